"""What kinds of runs, steps, states and events are called, at every door."""

from __future__ import annotations

import re
from collections.abc import Mapping

from core.model import Kind, State

MARKED = re.compile(r"`([^`\n]+)`|\*([\w.@#-]{1,64})\*")
"""What is marked in a sentence of ours: `code`, or *one word*. All else in it is text, whatever it looks like."""
WORDS: Mapping[Kind, str] = {"rollback": "Rollback", "reapply": "Re-apply", "restore": "Restore"}
NAMES: Mapping[Kind, Mapping[str, str]] = {
    "rollback": {
        "identify": "Identify",
        "rehearse": "Rehearse",
        "backup": "Back up",
        "test restore": "Test restore and trial run",
        "execute": "Execute",
        "verify": "Verify",
    },
    "reapply": {"identify": "Identify", "rehearse": "Rehearse", "execute": "Re-apply", "verify": "Verify"},
    "restore": {
        "identify": "Identify",
        "rehearse": "Count what is lost",
        "prepare": "Restore into a new database",
        "execute": "Swap names",
        "verify": "Verify",
    },
}
"""The steps of each runbook."""

STATES: Mapping[State, str] = {
    State.PLANNING: "planning",
    State.WAITING: "waiting",
    State.APPROVED: "approved",
    State.EXECUTING: "executing",
    State.INTERRUPTED: "interrupted",
    State.VERIFYING: "verifying",
    State.DECIDE: "not verified",
    State.NEEDS_A_PERSON: "needs a person",
    State.DONE: "done",
    State.REFUSED: "refused",
    State.STOPPED: "stopped",
    State.DENIED: "denied",
    State.EXPIRED: "expired",
    State.WITHDRAWN: "withdrawn",
    State.REAPPLIED: "re-applied",
    State.RESTORED: "restored",
}

KINDS: Mapping[str, str] = {
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
    "applied_again": "a migration was applied again, and not by the bot",
    "reapplied": "re-applied",
    "restored": "its full backup was restored",
    "old_dropped": "dropped the database of before",
    "glass_broken": "broke the glass: it starts without a second person",
    "countdown_over": "broke the glass, and nobody stopped it",
    "reviewed": "reviewed the break-glass",
    "totp_wrong": "typed a wrong code",
    "files_removed": "backup and saved rows are not kept any more",
}
"""Kinds of events; steps are told by their names."""


def lock(mode: str) -> str:
    """A lock's mode as SQL writes it: `AccessExclusiveLock` of pg_locks is `ACCESS EXCLUSIVE`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", mode.removesuffix("Lock")).upper()
