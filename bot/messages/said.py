"""States and events in a few words, for lists."""

from __future__ import annotations

from bot.messages.blocks import who
from bot.messages.facts import approvals_missing
from bot.messages.steps import of_all, step_name, under_way
from bot.messages.text import data, duration, prose
from core import telling
from core.model import UNCHANGED, Event, Run, State
from core.telling import KINDS, NAMES

_SIGNS = {
    State.PLANNING: ":mag:",
    State.WAITING: ":hourglass_flowing_sand:",
    State.APPROVED: ":arrows_counterclockwise:",
    State.EXECUTING: ":arrows_counterclockwise:",
    State.INTERRUPTED: ":electric_plug:",
    State.VERIFYING: ":arrows_counterclockwise:",
    State.DECIDE: ":rotating_light:",
    State.NEEDS_A_PERSON: ":rotating_light:",
    State.DONE: ":white_check_mark:",
    State.REFUSED: ":no_entry_sign:",
    State.STOPPED: ":octagonal_sign:",
    State.DENIED: ":no_entry_sign:",
    State.EXPIRED: ":hourglass:",
    State.WITHDRAWN: ":leftwards_arrow_with_hook:",
    State.REAPPLIED: ":white_check_mark:",
    State.RESTORED: ":white_check_mark:",
}
STATES = {state: (sign, telling.STATES[state]) for state, sign in _SIGNS.items()}
"""Sign and word of each state."""


def state_words(run: Run) -> str:
    """approved, step 4 of 6, test restore; production is not changed yet."""
    word = STATES[run.state][1]
    if run.state is State.WAITING:
        word = "break-glass, counting down" if run.broken else f"waiting for {approvals_missing(run)}"
    if not run.is_open:
        return word
    name = data(run.target, 60)
    step = f", step {of_all(run, under_way(run))}, {step_name(run, under_way(run)).lower()}"
    if run.state in (State.DECIDE, State.NEEDS_A_PERSON, State.INTERRUPTED):
        step = ""
    if run.state is State.WAITING and under_way(run) == "execute":
        step = ", proven"
    if run.state in UNCHANGED:
        return f"{word}{step}; {name} is not changed yet"
    return f"{word}{step}; committed" if run.state in (State.VERIFYING, State.DECIDE) else f"{word}{step}"


def event_words(event: Event) -> str:
    """One event of a timeline."""
    told, kind = event.data, event.kind
    named = str(told.get("step", ""))
    step = next((names[named] for names in NAMES.values() if named in names), named).lower()
    detail = str(
        told.get("reason") or told.get("note") or told.get("why") or told.get("message") or told.get("text") or ""
    )
    tail = f": {prose(detail, 160)}" if detail else ""
    if kind == "step_done":
        seconds = told.get("evidence", {}).get("seconds")
        return f"{step} done" + (f", {duration(float(seconds))}" if seconds is not None else "")
    if kind in ("step_started", "step_failed"):
        return f"{data(step, 40)} {'started' if kind == 'step_started' else 'failed'}{tail}"
    actor = f"{who(event.actor)} " if event.actor else ""
    return f"{actor}{KINDS.get(kind, data(kind.replace('_', ' '), 40))}{tail}"
