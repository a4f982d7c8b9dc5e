"""The six steps of a run, as the list on the card and as single lines in the thread."""

from __future__ import annotations

from bot.messages.blocks import Context
from bot.messages.facts import backup_words, oldest, one_row, undo
from bot.messages.text import code, cut_marked, duration, listed, number, plural, prose, size
from core.model import STEPS, Json, Run, State

NAMES = {
    "identify": "Identify",
    "rehearse": "Rehearse",
    "backup": "Back up",
    "test restore": "Test restore and trial run",
    "execute": "Execute",
    "verify": "Verify",
}
LINE = "*— point of no return: the approval and steps 1 to 4 must be there —*"
_CLOSED = frozenset({State.STOPPED, State.DENIED, State.EXPIRED, State.WITHDRAWN, State.REFUSED})


def place(step: str) -> int:
    """The step's number, from 1; 0 for a step that this version does not know."""
    return STEPS.index(step) + 1 if step in STEPS else 0


def step_name(step: str) -> str:
    """The step's name for reading."""
    return NAMES.get(step, step)


def under_way(run: Run) -> str:
    """The step that runs or comes next."""
    if run.state is State.EXECUTING:
        return "execute"
    if run.state is State.VERIFYING:
        return "verify"
    return run.running or next((step for step in STEPS if step not in run.evidence), "verify")


def proven(run: Run) -> bool:
    """Are steps 1 to 4 there?"""
    return all(step in run.evidence for step in STEPS[:4])


def step_section(run: Run, ctx: Context) -> str:
    """All six lines, with the point of no return drawn."""
    lines = [_line(run, ctx, step) for step in STEPS]
    return "\n".join(["*Steps*", *lines[:4], LINE, *lines[4:]])


def _line(run: Run, ctx: Context, step: str) -> str:
    head = f"*{place(step)}. {NAMES[step]}*"
    if run.failed and run.failed.get("step") == step and step not in run.evidence:
        return f":x: {head} — {_failed(run, step)}"
    if run.state is State.NEEDS_A_PERSON and step == "execute":
        return f":rotating_light: {head} — not known whether it took effect"
    if run.state is State.DECIDE and step == "verify":
        return f":x: {head} — differs: see above"
    if run.state is State.VERIFYING and step == "verify":
        return f":arrows_counterclockwise: {head} — running{_running(ctx, step)}"
    if step in run.evidence:
        words = done_words(run, step)
        mark = ":warning:" if step == "rehearse" and _differs(run) else ":white_check_mark:"
        return f"{mark} {head} — {words}"
    if run.state is State.INTERRUPTED and step == "execute":
        return f":electric_plug: {head} — interrupted, not committed"
    if run.is_open and (
        run.running == step or (run.state in (State.EXECUTING, State.VERIFYING) and under_way(run) == step)
    ):
        return f":arrows_counterclockwise: {head} — running{_running(ctx, step)}"
    return f":white_circle: {head} — {_not_yet(run, ctx, step)}"


def _failed(run: Run, step: str) -> str:
    if step == "execute":
        return "failed, the transaction was undone"
    return "failed: see above"


def _running(ctx: Context, step: str) -> str:
    about = f", about {duration(ctx.estimates[step])}" if step in ctx.estimates else ""
    return ": one transaction, all or nothing" + about if step == "execute" else about


def _not_yet(run: Run, ctx: Context, step: str) -> str:
    if run.state in _CLOSED:
        return "not run"
    words = "not yet" + (f", about {duration(ctx.estimates[step])}" if step in ctx.estimates else "")
    if step != "verify":
        return words
    if "rehearse" in run.evidence and not run.evidence["rehearse"].get("health_url"):
        words += "; compares the schema only, no health check is set"
    return words + "; if it fails I ask, nothing goes back by itself"


def _differs(run: Run) -> bool:
    return run.evidence.get("rehearse", {}).get("restores") in ("differs", "unknown")


def _in(found: Json) -> str:
    return f"in {duration(float(found['seconds']))}" if "seconds" in found else ""


def done_words(run: Run, step: str) -> str:
    """A finished step in a few words, for the card."""
    found = run.evidence[step]
    done = f"done {_in(found)}".strip()
    if step == "identify":
        return f"done: {plural(len(undo(run)), 'migration')}, {_scripts(run)}"
    if step == "rehearse":
        return f"{done}: {rehearsed(run)}"
    if step == "backup":
        return f"{done}: {backup_words(run)}"
    if step == "test restore":
        trial = duration(float(found.get("trial_seconds", 0)))
        return f"{done}: {equal_tables(found)}; the scripts ran on the copy in {trial}"
    if step == "execute":
        return f"committed {_in(found)}".strip()
    return f"{done}: {verified(run)}"


def _scripts(run: Run) -> str:
    return "it has a rollback script" if len(undo(run)) == 1 else "each has a rollback script"


def rehearsed(run: Run) -> str:
    """What the rehearsal showed, as a phrase."""
    found = run.evidence["rehearse"]
    ran = f"{plural(int(found['statements']), 'statement')}, 0 errors"
    if found["restores"] == "exact":
        aside = len(found.get("differences", []))
        harmless = f", apart from {plural(aside, 'harmless difference')}" if aside else ""
        return f"{ran}; afterwards the schema is the one from before {code(oldest(run))}{harmless}"
    if found["restores"] == "differs":
        differences = plural(len(found.get("differences", [])), "difference")
        return f"{ran}, *{differences}* from the schema before {code(oldest(run))}"
    return f"{ran}; the schema from before {code(oldest(run))} could not be compared"


def equal_tables(found: Json) -> str:
    """9 of 9 tables equal."""
    return f"{number(int(found['equal']))} of {plural(int(found['tables']), 'table')} equal"


def verified(run: Run) -> str:
    """What the verification saw, as a phrase."""
    found = run.evidence["verify"]
    newest = f"newest migration is {code(found['newest'])}" if found.get("newest") else "no migration is applied"
    return "; ".join([f"schema {found.get('schema', 'not compared')}", newest, health(found)])


def health(found: Json) -> str:
    """What the application answered."""
    seen = found.get("health")
    if not seen:
        return "no health check is set"
    ms = f" in {number(int(seen['ms']))} ms" if seen.get("ms") is not None else ""
    status = seen.get("status") or "no answer"
    return f"health check {status}{ms}, {seen['ok']} of {seen['tries']}"


def thread_words(run: Run, step: str, found: Json) -> tuple[str, str]:
    """A finished step for the thread: how it ended ("done in 38 s") and its evidence in one or two sentences."""
    known = Run(**{**run.__dict__, "evidence": {**run.evidence, step: found}})
    done = "done" if step == "identify" else f"done {_in(found)}".strip()
    if step == "execute":
        done = f"committed {_in(found)}".strip()
    return done, cut_marked(_EVIDENCE[step](known), 2400)


def _identified(run: Run) -> str:
    gone = [code(str(one["name"])) for one in undo(run)]
    who = listed(gone) if len(gone) <= 20 else plural(len(gone), "migration")
    verb = "goes" if len(gone) == 1 else "go"
    stays = run.evidence["identify"].get("stays")
    rest = f"{code(stays)} stays newest" if stays else "no migration stays applied"
    if run.evidence["identify"].get("kept_after"):
        rest = "everything else stays applied"
    has = "It has a rollback script." if len(gone) == 1 else "Each has a rollback script."
    return f"{who} {verb}; {rest}. {has}"


def _rehearsed_line(run: Run) -> str:
    return f"On an empty copy of the schema: {rehearsed(run)}."


def _backed_up(run: Run) -> str:
    found = run.evidence["backup"]
    form = prose(str(found.get("format", "custom")), 40)
    tables = plural(int(found["tables"]), "table")
    return f"{size(int(found['bytes']))}, {form} format, {tables}, sha256 {code(str(found['sha256']))}"


def _restored(run: Run) -> str:
    found = run.evidence["test restore"]
    trial = duration(float(found.get("trial_seconds", 0)))
    rows = plural(int(found.get("rows_deleted", 0)), "row")
    told = "".join(f"\n• {prose(str(note), 200)}" for note in found.get("notes", [])[:8])
    return (
        f"The backup was restored into a scratch database: {equal_tables(found)}. "
        f"The scripts ran there in {trial} and deleted {rows}.{told}"
    )


def _executed(run: Run) -> str:
    found = run.evidence["execute"]
    versions = [code(str(one)) for one in found.get("versions", [])]
    rows = "row" if len(versions) == 1 else "rows"
    which = listed(versions) if len(versions) <= 20 else number(len(versions))
    tries = int(found.get("lock_tries", 1))
    locks = f" The locks were free at try {tries}." if tries > 1 else ""
    ran = plural(int(found["statements"]), "statement")
    table, now = code(str(found["history_table"])), one_row(run)
    history = f"{table} {now}" if now else f"{rows} {which} deleted from {table}"
    return f"{ran}; {history}, in the same transaction.{locks}"


def _verified_line(run: Run) -> str:
    words = verified(run)
    return words[:1].upper() + words[1:] + "."


_EVIDENCE = {
    "identify": _identified,
    "rehearse": _rehearsed_line,
    "backup": _backed_up,
    "test restore": _restored,
    "execute": _executed,
    "verify": _verified_line,
}
