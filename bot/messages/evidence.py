"""What a step has found, in words: phrases for the card, and whole lines for the thread."""

from __future__ import annotations

from collections.abc import Sequence

from bot.messages.blocks import at_most
from bot.messages.facts import back_words, in_shell, one_row, saved_words, undo
from bot.messages.text import code, cut_marked, data, duration, listed, number, plural, prose, several, size
from core.confirming import oldest
from core.model import Json, Run


def holder(one: Json) -> str:
    """A session that holds a lock: its application name, state, and for how long."""
    span = f" for {duration(float(one['seconds']))}" if one["seconds"] >= 1 else ""
    return f"{code(one['who'], 80)} ({data(one['state'], 40)}{span})"


def fits(run: Run) -> str:
    """What the trial on a copy says of the saved rows."""
    back = run.evidence["rehearse"].get("back", {})
    if back.get("works") is None:
        return f"the scripts run; whether the saved rows fit was not tried ({prose(str(back.get('why', '')), 150)})"
    aside = sum(int(one["rows"]) for one in back.get("aside", ()))
    left = f"{plural(aside, 'row')} no longer fit and will be kept aside" if aside else "0 rows that no longer fit"
    return f"tried on a copy: 0 errors, {left}"


def lost_rows(run: Run) -> int:
    """Rows written since the backup, as far as they were counted."""
    return sum(max(int(one["new"] or 0), int(one["gone"] or 0)) for one in run.evidence["rehearse"]["losses"])


def tried_back(found: Json) -> str:
    """Was the way back tried on the copy too?"""
    back = found.get("way_back", {})
    if back.get("works"):
        return f", and re-apply put everything back in {duration(float(back['seconds']))}"
    if back.get("works") is False:
        return ", but *re-apply did not put everything back*"
    return ""


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


def took(found: Json) -> str:
    """in 38 s"""
    return f"in {duration(float(found['seconds']))}" if "seconds" in found else ""


def _lines(items: Sequence[str], run: Run, room: int = 1400) -> str:
    """A line for each, or how many more there are and where."""
    return "".join(f"\n{line}" for line in at_most([f"• {item}" for item in items], 12, in_shell(run), room))


def thread_words(run: Run, step: str, found: Json) -> tuple[str, str]:
    """A finished step for the thread: how it ended ("done in 38 s") and its evidence in one or two sentences."""
    known = Run(**{**run.__dict__, "evidence": {**run.evidence, step: found}})
    done = "done" if step == "identify" else f"done {took(found)}".strip()
    if step == "execute":
        done = f"{'swapped' if run.kind == 'restore' else 'committed'} {took(found)}".strip()
    return done, cut_marked(_EVIDENCE[run.kind].get(step, _verified_line)(known), 2400)


def _identified(run: Run) -> str:
    gone = [code(str(one["name"])) for one in undo(run)]
    who = listed(gone) if len(gone) <= 20 and sum(map(len, gone)) < 1600 else plural(len(gone), "migration")
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
    told = _lines([prose(str(note), 200) for note in found.get("notes", [])], run)
    return (
        f"The backup was restored into a scratch database: {equal_tables(found)}. "
        f"The scripts ran there in {trial} and deleted {rows}.{_way_back(found)}{told}"
    )


def _way_back(found: Json) -> str:
    """What the trial of save and re-apply on the copy has shown."""
    back = found.get("way_back")
    if not back:
        return ""
    saved = (
        f" What they destroy was saved in {duration(float(back['save_seconds']))} ({size(int(back['bytes']))})"
        if "bytes" in back
        else ""
    )
    if back["works"]:
        return f"{saved} and put back by a re-apply in {duration(float(back['seconds']))}: every row is the same."
    why = prose(str(back.get("why") or "rows do not fit"), 300)
    first = f"{saved}." if saved else ""
    if back["works"] is None:
        return f"{first} A re-apply was not tried: {why}"
    return f"{first} *A re-apply did not put everything back*: {why}"


def _executed(run: Run) -> str:
    found = run.evidence["execute"]
    versions = [code(str(one)) for one in found.get("versions", [])]
    rows = "row" if len(versions) == 1 else "rows"
    which = several(versions, 20, 800)
    tries = int(found.get("lock_tries", 1))
    locks = f" The locks were free at try {tries}." if tries > 1 else ""
    ran = plural(int(found["statements"]), "statement")
    table, now = code(str(found["history_table"])), one_row(run)
    history = f"{table} {now}" if now else f"{rows} {which} deleted from {table}"
    saved = saved_words(found.get("saved", {}))
    first = f"{saved} saved first; " if saved else ""
    held = " The history table refuses them from now on." if found.get("hold") == "refuse" else ""
    together = f"in {found['parts']} parts" if "parts" in found else "in the same transaction"
    return f"{first}{ran}; {history}, {together}.{locks}{held}"


def _save_found(run: Run) -> str:
    gone = [code(str(one["name"])) for one in undo(run)]
    who = listed(gone) if len(gone) <= 20 and sum(map(len, gone)) < 1600 else plural(len(gone), "migration")
    saved = saved_words(run.evidence["identify"].get("saved", {})) or "no rows"
    return f"{who} run forward again. The save of {run.request.origin} holds {saved}, and is the file that was written."


def _tried_line(run: Run) -> str:
    words = fits(run)
    told = _lines(aside_lines(run.evidence["rehearse"].get("back", {})), run)
    return f"{words[:1].upper()}{words[1:]}.{told}"


def aside_lines(back: Json) -> list[str]:
    """What does not fit, and why, a line each."""
    return [
        f"{plural(int(one['rows']), 'row')} of {code(str(one['table']).removeprefix('public.'))}: {prose(str(one['reason']), 200)}"
        for one in back.get("aside", ())
    ]


def _reapplied(run: Run) -> str:
    found = run.evidence["execute"]
    versions = [code(str(one)) for one in found.get("versions", [])]
    which = several(versions, 20, 600)
    told = _lines([f"kept aside: {line}" for line in aside_lines(found["back"])], run, 700)
    told += _lines([prose(str(note), 200) for note in found["back"].get("notes", ())], run, 500)
    released = " The hold on them is released." if found.get("released") else ""
    return (
        f"{plural(int(found['statements']), 'statement')}; {back_words(found['back'])} put back; "
        f"{which} again in {code(str(found['history_table']))}, in the same transaction.{released}{told}"
    )


def _backup_found(run: Run) -> str:
    found = run.evidence["identify"]
    slots = [code(name) for name in found.get("slots", ())]
    stay = f" The replication slots {several(slots, 8)} stay with the old database." if slots else ""
    return (
        f"The backup of {run.request.origin} is the file that was written: {size(int(found['backup']['bytes']))}.{stay}"
    )


def _lost_line(run: Run) -> str:
    lines = _lines(lost_lines(run), run, 1900)
    return f"Written since the backup, and not in it:{lines}" if lines else "Nothing was written since the backup."


def lost_lines(run: Run) -> list[str]:
    """What a restore loses, a line for each table."""
    return [lost_line(one) for one in run.evidence["rehearse"]["losses"]]


def lost_line(one: Json) -> str:
    """`profiles`: 43 new or changed, 2 of the backup's changed or deleted."""
    name = code(str(one["table"]).removeprefix("public."))
    if one.get("about"):
        return f"{name}: not counted, about {number(int(one['rows']))} rows"
    if one.get("saved"):
        return f"{name}: *{number(int(one['new']))}* more than in the backup; they stay in the save of the rollback"
    parts = [f"*{number(int(one['new']))}* new or changed"] if one["new"] else []
    parts += [f"*{number(int(one['gone']))}* of the backup's changed or deleted"] if one["gone"] else []
    return f"{name}: {', '.join(parts)}"


def _prepared_line(run: Run) -> str:
    found, names = run.evidence["prepare"], run.evidence["identify"]
    return f"{code(names['new'])} holds the backup: {equal_tables(found)}. The application has run on meanwhile."


def _swapped_line(run: Run) -> str:
    found, names = run.evidence["execute"], run.evidence["identify"]
    ran = [code(name) for name, count in found["services"].items() if count]
    down = f" {several(ran, 8)} stood still for {duration(float(found['down']))}." if ran and "down" in found else ""
    trouble = f" *{prose(found['services_trouble'], 200)}*" if found.get("services_trouble") else ""
    return f"{code(names['database']['name'])} is the restored database now; the one of before is kept as {code(names['kept'])}.{down}{trouble}"


def _verified_line(run: Run) -> str:
    words = verified(run)
    return words[:1].upper() + words[1:] + "."


_EVIDENCE = {
    "rollback": {
        "identify": _identified,
        "rehearse": _rehearsed_line,
        "backup": _backed_up,
        "test restore": _restored,
        "execute": _executed,
    },
    "reapply": {"identify": _save_found, "rehearse": _tried_line, "execute": _reapplied},
    "restore": {
        "identify": _backup_found,
        "rehearse": _lost_line,
        "prepare": _prepared_line,
        "execute": _swapped_line,
    },
}
