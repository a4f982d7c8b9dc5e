"""What a run is about, in phrases: its title, what goes, what is lost, its SQL. All from the ledger's evidence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from bot.messages.blocks import Context, in_batches
from bot.messages.text import (
    code,
    data,
    day,
    duration,
    listed,
    moment,
    plural,
    short_hash,
    size,
    utc_day,
    when,
)
from core import staging
from core.model import Json, Run
from core.telling import WORDS as WORDS

Mark = Callable[[str], str]


def noun(run: Run) -> str:
    """What a run of this kind is called, with its id: `Re-apply RB-M4TQ`."""
    return f"{WORDS[run.kind]} {run.id}"


def undo(run: Run) -> list[Json]:
    """The migrations of the plan, in the order in which their scripts run."""
    return run.going


def saved_words(saved: Json) -> str:
    """57,333 rows and 1,204 values; empty where nothing was saved."""
    parts = [plural(int(saved["rows"]), "row")] if saved.get("rows") else []
    return listed([*parts, *([plural(int(saved["values"]), "value")] if saved.get("values") else [])])


def back_words(back: Json) -> str:
    """The same for what was put back."""
    return saved_words(back) or "no rows"


def names(run: Run) -> list[str]:
    """Their full names."""
    return [str(one["name"]) for one in undo(run)]


def held_names(run: Run) -> str:
    """The migrations of a hold, by name where they are few and short."""
    found = [code(name) for name in names(run)]
    return listed(found) if len(found) <= 3 and sum(map(len, found)) <= 250 else plural(len(found), "migration")


def one_row(run: Run) -> str:
    """What becomes of a history table that has one row, the current version; empty where each migration has a row."""
    found = run.evidence.get("identify", {})
    if not found.get("one_row"):
        return ""
    left = found["applied"][: -len(undo(run))]
    return f"set to version {code(str(left[-1]))}" if left else "emptied"


def commit_of(run: Run) -> str:
    """The commit that the scripts were read from, where they are in a git repository; else empty."""
    return str(run.evidence.get("identify", {}).get("commit", ""))


def staged(run: Run, now: datetime) -> tuple[str, str] | None:
    """On which target these very scripts run first, and when they last did; None where there is none."""
    found = run.evidence.get("identify", {}).get("staging")
    if not found:
        return None
    return f"On {data(found['target'], 60)}", staging.sentence(found, code, lambda at: when(moment(at), now))


def main_name(run: Run) -> str:
    """The migration that a reader would call this run by."""
    gone = names(run)
    return gone[-1] if gone else run.request.migration or "the newest migration"


def typed(run: Run) -> str:
    """How the same request is typed again, without the command's own name."""
    if run.request.origin:
        return f"{run.kind} {run.request.origin}"
    if run.request.what == "latest":
        return "latest"
    words = [*(["to"] if run.request.what == "to" else []), run.request.migration or ""]
    return " ".join([*words, *(["--only"] if run.request.only else [])])


def again(run: Run, ctx: Context) -> str:
    """The command that asks again."""
    on = "" if ctx.target_default or run.request.origin else f" --on {run.target}"
    return f"{code(f'/rollback {typed(run)}{on}')} asks again"


def in_shell(run: Run) -> str:
    """Where everything stands that a message leaves out."""
    return f"all of them in the shell: `rollback show {run.id} --json`"


def target(run: Run) -> str:
    """The target's name, bold."""
    return f"*{data(run.target, 60)}*"


def _plain_name(text: str) -> str:
    return data(text, 80)


def title(run: Run, *, rich: bool = True, where: bool = True) -> str:
    """What is undone, in one sentence without its full stop; `rich` marks names as code, `where` names the target."""
    mark: Mark = code if rich else _plain_name
    on = f" on {target(run) if rich else data(run.target, 60)}" if where else ""
    if run.kind != "rollback":
        return _way_back(run, mark, on)
    if not undo(run):
        return _title_before(run, mark, on)
    gone, what = names(run), run.request.what
    if run.request.only:
        kept = [mark(one) for one in run.evidence["identify"].get("kept_after", [])]
        return f"Undo only {mark(gone[0])}{on}" + (f"; {_stay(kept)}" if kept else "")
    if what == "to":
        stays = run.evidence["identify"].get("stays") or run.request.migration or ""
        return f"Undo everything after {mark(str(stays))}{on}: {plural(len(gone), 'migration')}"
    if what == "latest":
        return f"Undo the newest migration, {mark(gone[0])}" + (f",{on}" if where else "")
    return f"Undo {mark(gone[-1])}{on}" + _also(gone[:-1], mark)


def _way_back(run: Run, mark: Mark, on: str) -> str:
    """What a way back does."""
    if run.kind == "restore":
        return f"Put the full backup of {run.request.origin} back{on}"
    what = gone(run, rich=mark is code) or f"the migrations of {run.request.origin}"
    return f"Run {what} forward again{on} and put the saved rows back"


def inner(run: Run, *, rich: bool = True, where: bool = True) -> str:
    """The title inside a sentence."""
    words = title(run, rich=rich, where=where)
    return words[:1].lower() + words[1:]


def _stay(kept: list[str]) -> str:
    who = listed(kept) if len(kept) <= 3 else plural(len(kept), "later migration")
    verb = "stays" if len(kept) == 1 else "stay"
    return f"{who} {verb} applied, the rehearsal found nothing that depends on it"


def _title_before(run: Run, mark: Mark, on: str) -> str:
    named = mark(run.request.migration or "")
    by_kind = {"latest": "the newest migration", "to": f"everything after {named}"}
    return f"Undo {'only ' if run.request.only else ''}{by_kind.get(run.request.what, named)}{on}"


def _also(others: list[str], mark: Mark) -> str:
    if not others:
        return ""
    if len(others) > 3 or (mark is _plain_name and sum(map(len, others)) > 90):
        return f", also rolls back {plural(len(others), 'other')}"
    return f", also rolls back {listed([mark(one) for one in others])}"


def gone(run: Run, *, rich: bool = True) -> str:
    """The migrations as the subject of a sentence: names up to three, else their number."""
    mark: Mark = code if rich else _plain_name
    all_names = names(run)
    if len(all_names) > 3 or (not rich and sum(map(len, all_names)) > 150):
        return plural(len(all_names), "migration")
    return listed([mark(one) for one in all_names])


def are(run: Run) -> str:
    """is or are, for `gone`."""
    return "is" if len(names(run)) == 1 else "are"


def afterwards(run: Run) -> str:
    """What is newest when all is done."""
    newest = run.evidence.get("identify", {}).get("stays")
    return f"Afterwards the newest is {code(newest)}." if newest else "Afterwards no migration is applied."


def migrations(run: Run) -> list[Json]:
    """Every migration that goes, in order, as sections; never cut."""
    lines = [f"{place}. {code(one)}" for place, one in enumerate(names(run), 1)]
    if not lines:
        return []
    order = ", in this order" if len(lines) > 1 else ""
    verb = "Undoes" if run.kind == "rollback" else "Runs forward"
    return in_batches([*lines, afterwards(run)], 41, f"*{verb} {plural(len(names(run)), 'migration')}{order}*")


def applied(run: Run, ctx: Context) -> str:
    """When the migrations that go were applied, as far as the history table knows."""
    times = [moment(one["applied_at"]) for one in undo(run) if one.get("applied_at")]
    if not times:
        return "the history table keeps no time"
    first, last = min(times), max(times)
    if len(times) == 1 or first == last:
        both = {1: "", 2: "both "}.get(len(times), f"all {len(times)} ")
        return f"{both}at {when(last, ctx.now)}" if both else when(last, ctx.now)
    return f"{when(first, ctx.now)} to {when(last, ctx.now)}"


def backup_words(run: Run) -> str:
    """412 MB, sha256 `b1c4e0…7709`."""
    found = run.evidence["backup"]
    return f"{size(int(found['bytes']))}, sha256 {short_hash(str(found['sha256']))}"


def kept_until(run: Run, ctx: Context, *, rich: bool = True) -> str:
    """Until when the backup is kept; empty while there is none."""
    found = run.evidence.get("backup")
    if not found or ctx.keep_days <= 0:
        return ""
    until = moment(found["taken_at"]) + timedelta(days=ctx.keep_days)
    return day(until) if rich else utc_day(until)


def backup_kept(run: Run, ctx: Context) -> str:
    """The small print on endings before production was changed."""
    until = kept_until(run, ctx)
    return f"The backup is kept until {until}" if until else ""


def took(run: Run, ctx: Context) -> str:
    """From the request to the end (or until now), in words."""
    end = run.ended_at or ctx.now
    return duration((moment(end) - moment(run.created_at)).total_seconds())


def approvals_missing(run: Run) -> str:
    """1 approval; 1 of 2 approvals."""
    missing = max(run.needed - len(run.approvals), 0)
    if run.approvals:
        return f"{missing} of {plural(run.needed, 'approval')}"
    return plural(missing, "approval")


def unchanged(run: Run, *, yet: bool) -> str:
    """That the target is as it was."""
    name = data(run.target, 60)
    return f"*{name} is not changed yet*" if yet else f"*{name} was not changed*"


def untouched(run: Run) -> str:
    """The same as a sentence, for texts without markup."""
    return f"Nothing was changed on {data(run.target, 60)}."
