"""The steps of a run, as the list on the card and as single lines in the thread."""

from __future__ import annotations

from bot.messages.blocks import Context
from bot.messages.evidence import equal_tables, fits, holder, lost_rows, rehearsed, took, tried_back, verified
from bot.messages.facts import backup_words, saved_words, undo
from bot.messages.text import code, duration, plural, prose, several, size
from core.model import STEPS, Json, Run, State
from core.telling import NAMES
from core.under_way import phrase

_CLOSED = frozenset({State.STOPPED, State.DENIED, State.EXPIRED, State.WITHDRAWN, State.REFUSED})


def place(run: Run, step: str = "execute") -> int:
    """The step's number in this kind of run, from 1; 0 for a step that it does not have."""
    return STEPS[run.kind].index(step) + 1 if step in STEPS[run.kind] else 0


def of_all(run: Run, step: str) -> str:
    """4 of 6."""
    return f"{place(run, step)} of {len(STEPS[run.kind])}"


def step_name(run: Run, step: str) -> str:
    """The step's name for reading."""
    return NAMES[run.kind].get(step, step)


def under_way(run: Run) -> str:
    """The step that runs or comes next."""
    if run.state is State.EXECUTING:
        return "execute"
    if run.state is State.VERIFYING:
        return "verify"
    return run.running or next((step for step in STEPS[run.kind] if step not in run.evidence), "verify")


def proven(run: Run) -> bool:
    """Is everything there that comes before the point of no return?"""
    return all(step in run.evidence for step in STEPS[run.kind][: place(run) - 1])


def step_section(run: Run, ctx: Context) -> str:
    """All lines, with the point of no return drawn."""
    lines, at = [_line(run, ctx, step) for step in STEPS[run.kind]], place(run) - 1
    gate = f"*— point of no return: the approval and steps 1 to {at} must be there —*"
    return "\n".join(["*Steps*", *lines[:at], gate, *lines[at:]])


def _line(run: Run, ctx: Context, step: str) -> str:
    mark, words = seen(run, ctx, step)
    return f"{mark} *{place(run, step)}. {step_name(run, step)}* — {words}"


def seen(run: Run, ctx: Context, step: str) -> tuple[str, str]:
    """How a step stands: its sign, and in words."""
    if run.failed and run.failed.get("step") == step and step not in run.evidence:
        return ":x:", _failed(run, step)
    if run.state is State.NEEDS_A_PERSON and step == "execute":
        known = run.ending and run.ending.data.get("code", "E-UNKNOWN") != "E-UNKNOWN"
        return ":rotating_light:", "see above" if known else "not known whether it took effect"
    if run.state is State.DECIDE and step == "verify":
        return ":x:", "differs: see above"
    if run.state is State.VERIFYING and step == "verify":
        return ":arrows_counterclockwise:", f"running{_running(run, ctx, step)}"
    if step in run.evidence:
        mark = ":warning:" if step == "rehearse" and _differs(run) else ":white_check_mark:"
        return mark, done_words(run, step)
    if run.state is State.INTERRUPTED and step == "execute":
        return ":electric_plug:", "interrupted, not committed"
    if run.is_open and (
        run.running == step or (run.state in (State.EXECUTING, State.VERIFYING) and under_way(run) == step)
    ):
        return ":arrows_counterclockwise:", f"running{_running(run, ctx, step)}"
    return ":white_circle:", _not_yet(run, ctx, step)


def _failed(run: Run, step: str) -> str:
    if step == "execute":
        return "failed, the transaction was undone"
    return "failed: see above"


def _running(run: Run, ctx: Context, step: str) -> str:
    about = f", about {duration(ctx.estimates[step])}" if step in ctx.estimates else ""
    told = how_far(run, ctx, step)
    if step != "execute":
        return f": {told}" if told else about
    return f": {how(run)}{f'; {told}' if told else about}{held_up(run)}"


def how_far(run: Run, ctx: Context, step: str) -> str:
    """How much of the step under way is done and what it may still take; empty while it has only begun."""
    return phrase(run, step, ctx.far, ctx.estimates.get(step), ctx.now)


def how(run: Run) -> str:
    """How step 5 takes effect, in a few words."""
    if run.part:
        at = f"part {run.part.get('part')} of {run.part.get('of')}"
        return f"{at}, {prose(str(run.part.get('about', '')), 150)}"
    parts = len(run.evidence.get("rehearse", {}).get("parts", ()))
    return f"{parts} parts, one after the other" if parts else "one transaction, all or nothing"


def held_up(run: Run) -> str:
    """Who keeps the step under way waiting, and for which tables."""
    if not run.held_up:
        return ""
    tables = several(
        [code(name.removeprefix("public.")) for name in dict.fromkeys(t for t in map(_table, run.held_up) if t)], 4, 400
    )
    for_what = f" for the lock on {tables}" if tables else ""
    return f"; waiting{for_what}, held by {several(list(dict.fromkeys(map(holder, run.held_up))), 3)}"


def _table(one: Json) -> str:
    return str(one.get("table", ""))


def _not_yet(run: Run, ctx: Context, step: str) -> str:
    if run.state in _CLOSED:
        return "not run"
    words = "not yet" + (f", about {duration(ctx.estimates[step])}" if step in ctx.estimates else "")
    if step == "execute" and run.kind == "restore":
        return f"{words}; {_stops(run)}"
    if step != "verify":
        return words
    if "rehearse" in run.evidence and not run.evidence["rehearse"].get("health_url"):
        words += "; compares the schema only, no health check is set"
    return words + "; if it fails I ask, nothing goes back by itself"


def _differs(run: Run) -> bool:
    return run.evidence.get("rehearse", {}).get("restores") in ("differs", "unknown")


def _stops(run: Run) -> str:
    """What stands still during the swap."""
    names = run.evidence.get("identify", {}).get("services", {}).get("names", ())
    return (
        f"stops {several([code(name) for name in names], 6, 400)} for it" if names else "no service is stopped for it"
    )


def done_words(run: Run, step: str) -> str:
    """A finished step in a few words, for the card."""
    found = run.evidence[step]
    done = f"done {took(found)}".strip()
    return _DONE[run.kind].get(step, _verified_words)(run, found, done)


def _identified_words(run: Run, found: Json, done: str) -> str:
    return f"done: {plural(len(undo(run)), 'migration')}, {_scripts(run)}"


def _rehearsed_words(run: Run, found: Json, done: str) -> str:
    return f"{done}: {rehearsed(run)}"


def _backup_done(run: Run, found: Json, done: str) -> str:
    return f"{done}: {backup_words(run)}"


def _trial_words(run: Run, found: Json, done: str) -> str:
    trial = duration(float(found.get("trial_seconds", 0)))
    return f"{done}: {equal_tables(found)}; the scripts ran on the copy in {trial}{tried_back(found)}"


def _executed_words(run: Run, found: Json, done: str) -> str:
    return f"committed {took(found)}".strip()


def _verified_words(run: Run, found: Json, done: str) -> str:
    return f"{done}: {verified(run)}"


def _save_words(run: Run, found: Json, done: str) -> str:
    return f"done: {plural(len(undo(run)), 'migration')}, {saved_words(found.get('saved', {}))} saved"


def _fits_words(run: Run, found: Json, done: str) -> str:
    return f"{done}: {fits(run)}"


def _backup_there(run: Run, found: Json, done: str) -> str:
    return f"done: the backup is {size(int(found['backup']['bytes']))}, unharmed"


def _lost_words(run: Run, found: Json, done: str) -> str:
    return f"{done}: {plural(lost_rows(run), 'row')} in {plural(len(found['losses']), 'table')} written since"


def _prepared_words(run: Run, found: Json, done: str) -> str:
    return f"{done}: {equal_tables(found)}"


def _swapped_words(run: Run, found: Json, done: str) -> str:
    down = (
        f"; services were down for {duration(float(found['down']))}"
        if found.get("services") and "down" in found
        else ""
    )
    return f"swapped {took(found)}{down}".strip()


_DONE = {
    "rollback": {
        "identify": _identified_words,
        "rehearse": _rehearsed_words,
        "backup": _backup_done,
        "test restore": _trial_words,
        "execute": _executed_words,
    },
    "reapply": {"identify": _save_words, "rehearse": _fits_words, "execute": _executed_words},
    "restore": {
        "identify": _backup_there,
        "rehearse": _lost_words,
        "prepare": _prepared_words,
        "execute": _swapped_words,
    },
}


def _scripts(run: Run) -> str:
    return "it has a rollback script" if len(undo(run)) == 1 else "each has a rollback script"
