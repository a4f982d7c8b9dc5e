"""States and events in a few words, for lists."""

from __future__ import annotations

from bot.messages.blocks import who
from bot.messages.facts import approvals_missing
from bot.messages.steps import NAMES, of_all, step_name, under_way
from bot.messages.text import data, duration, prose
from core.model import UNCHANGED, Event, Run, State

STATES = {
    State.PLANNING: (":mag:", "planning"),
    State.WAITING: (":hourglass_flowing_sand:", "waiting"),
    State.APPROVED: (":arrows_counterclockwise:", "approved"),
    State.EXECUTING: (":arrows_counterclockwise:", "executing"),
    State.INTERRUPTED: (":electric_plug:", "interrupted"),
    State.VERIFYING: (":arrows_counterclockwise:", "verifying"),
    State.DECIDE: (":rotating_light:", "not verified"),
    State.NEEDS_A_PERSON: (":rotating_light:", "needs a person"),
    State.DONE: (":white_check_mark:", "done"),
    State.REFUSED: (":no_entry_sign:", "refused"),
    State.STOPPED: (":octagonal_sign:", "stopped"),
    State.DENIED: (":no_entry_sign:", "denied"),
    State.EXPIRED: (":hourglass:", "expired"),
    State.WITHDRAWN: (":leftwards_arrow_with_hook:", "withdrawn"),
    State.REAPPLIED: (":white_check_mark:", "re-applied"),
    State.RESTORED: (":white_check_mark:", "restored"),
}
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
    return f"{actor}{_KINDS.get(kind, data(kind.replace('_', ' '), 40))}{tail}"


_KINDS = {
    "asked": "asked",
    "opened": "plan shown, approval opened",
    "approved": "approved",
    "unapproved": "approval no longer counts",
    "denied": "denied",
    "withdrawn": "withdrew the request",
    "expired": "expired",
    "stopped": "stopped",
    "refused": "refused",
    "executing": "execution started",
    "interrupted": "stopped while it executed; the database says: not committed",
    "resumed": "lets it execute again",
    "part_started": "began a part",
    "part_done": "ended a part",
    "continued": "lets the rest follow",
    "found_committed": "stopped while it executed; the database says: committed",
    "plan_changed": "the plan changed, approvals are void",
    "done": "done",
    "differs": "verification differs",
    "checking_again": "checks again",
    "kept": "kept as is",
    "unknown": "outcome unknown",
    "reminded": "reminded the approvers",
    "no_approvers": "nobody who may approve is reachable",
    "notme": "said: not me",
    "reasoned": "gave the reason",
    "held_up": "waits for a lock",
    "services_stopping": "stops the services",
    "released": "released the hold",
    "reapplied": "re-applied",
    "restored": "its full backup was restored",
    "old_dropped": "dropped the database of before",
    "glass_broken": "broke the glass: it starts without a second person",
    "countdown_over": "broke the glass, and nobody stopped it",
    "reviewed": "reviewed the break-glass",
    "totp_wrong": "typed a wrong code",
    "files_removed": "backup and saved rows are not kept any more",
}
