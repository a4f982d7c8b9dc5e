"""The records that every room shares, and the table of allowed moves. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

Json = dict[str, Any]


class State(StrEnum):
    """Where a rollback stands. The value is what the ledger stores."""

    PLANNING = "planning"
    WAITING = "waiting"  # for approval; the proofs go on meanwhile
    APPROVED = "approved"  # starts when the proofs are complete
    EXECUTING = "executing"  # past the point of no return
    INTERRUPTED = "interrupted"  # restarted in execute; the database says: not committed
    VERIFYING = "verifying"
    DECIDE = "decide"  # committed, but the verification differs
    NEEDS_A_PERSON = "needs_a_person"  # outcome unknown, or some of it is done and the rest is not
    DONE = "done"
    REFUSED = "refused"  # a rule said no before anybody was asked
    STOPPED = "stopped"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    REAPPLIED = "reapplied"
    RESTORED = "restored"


S = State
MOVES: Mapping[State, frozenset[State]] = {
    S.PLANNING: frozenset({S.WAITING, S.APPROVED, S.REFUSED, S.STOPPED, S.WITHDRAWN}),
    S.WAITING: frozenset({S.APPROVED, S.DENIED, S.EXPIRED, S.WITHDRAWN, S.STOPPED, S.PLANNING}),
    S.APPROVED: frozenset({S.EXECUTING, S.WAITING, S.STOPPED, S.WITHDRAWN, S.DENIED, S.PLANNING, S.EXPIRED}),
    S.EXECUTING: frozenset({S.VERIFYING, S.STOPPED, S.INTERRUPTED, S.NEEDS_A_PERSON, S.PLANNING}),
    S.INTERRUPTED: frozenset({S.APPROVED, S.STOPPED, S.VERIFYING}),
    S.VERIFYING: frozenset({S.DONE, S.DECIDE}),
    S.DECIDE: frozenset({S.DONE, S.VERIFYING, S.REAPPLIED, S.RESTORED}),
    S.NEEDS_A_PERSON: frozenset(
        {
            S.VERIFYING,
            S.INTERRUPTED,
            S.EXECUTING,
            S.DONE,
            S.RESTORED,
            S.NEEDS_A_PERSON,
        }  # the last: it is known better now
    ),
    S.DONE: frozenset({S.REAPPLIED, S.RESTORED}),
    S.REAPPLIED: frozenset({S.RESTORED}),
}
OPEN = frozenset(s for s in MOVES if s not in (S.DONE, S.REAPPLIED))
"""States in which the target is taken: one open run per target, apart from a way back of one that waits for a decision."""
UNCHANGED = frozenset(
    {S.PLANNING, S.WAITING, S.APPROVED, S.INTERRUPTED, S.REFUSED, S.STOPPED, S.DENIED, S.EXPIRED, S.WITHDRAWN}
)
"""States in which production is known not to have been changed."""

Kind = Literal["rollback", "reapply", "restore"]
STEPS: Mapping[Kind, tuple[str, ...]] = {
    "rollback": ("identify", "rehearse", "backup", "test restore", "execute", "verify"),
    "reapply": ("identify", "rehearse", "execute", "verify"),
    "restore": ("identify", "rehearse", "prepare", "execute", "verify"),
}
"""The steps of each runbook, in order; `execute` is the point of no return."""


@dataclass(frozen=True)
class Person:
    """Somebody who acts. `id` is a Slack user id, or `shell:ACCOUNT`; `name` is for reading only."""

    id: str
    name: str


@dataclass(frozen=True)
class Request:
    """What was typed: `latest`, a migration (and all after it), or `to` a migration (which stays); or a way back.

    `origin`: the rollback that a way back undoes.
    """

    what: Literal["latest", "from", "to", "reapply", "restore"]
    migration: str | None = None
    only: bool = False
    origin: str | None = None

    @property
    def kind(self) -> Kind:
        """Which runbook it is."""
        return self.what if self.what in ("reapply", "restore") else "rollback"


@dataclass(frozen=True)
class Event:
    """One row of the audit trail. `digest` is the chain's head after it (64 hex digits)."""

    id: int
    at: datetime
    run: str | None
    kind: str
    actor: Person | None
    data: Json
    digest: str
    state: State | None = None  # the state that it led to, where it moved the rollback


@dataclass(frozen=True)
class Approval:
    """One person's yes to one revision of the plan."""

    person: Person
    at: datetime
    note: str = ""
    revision: int = 1
    digest: str = ""  # of the plan that was shown
    totp: int | None = None  # the step of the code that it was given with


@dataclass(frozen=True)
class Broken:
    """A named person's word that this plan is to run without a second person, once its countdown has passed."""

    person: Person
    reason: str
    revision: int
    digest: str  # of the plan that was shown
    starts_at: datetime  # by the ledger's clock; not before
    countdown: float  # seconds
    event: int  # the number of `glass_broken`
    totp: int | None = None  # the step of the code that was given
    over: bool = False  # the countdown has passed, nobody stopped it, and the gate is open by it


@dataclass(frozen=True)
class Run:
    """One rollback as the ledger knows it: the present state and everything that was learnt.

    `evidence` maps a step's name to what it found in the current revision (shapes: docs/ledger.md).
    """

    id: str
    revision: int
    state: State
    target: str
    request: Request
    requester: Person
    created_at: datetime
    channel: str | None = None
    reason: str = ""
    incident: str = ""
    digest: str = ""  # of the plan
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    needed: int = 1  # approvals besides the requester
    evidence: Mapping[str, Json] = field(default_factory=dict)
    running: str | None = None  # the step under way
    since: datetime | None = None  # when it began
    failed: Json | None = None  # {"step", "code", "message", "hint"} of the step that stopped it
    approvals: tuple[Approval, ...] = ()
    ending: Event | None = None  # the event that led to the present state
    last: Event | None = None  # the newest event of this run
    opened_at: datetime | None = None  # when the approval opened
    coded: bool = False  # the plan was shown with the rule that approvals need a code
    executions: int = 0  # how often step 5 was begun
    changed: tuple[str, ...] = ()  # what made this revision differ from the one before
    partly: Json | None = None  # {"message", "done", "left"} where it was found half done
    part: Json | None = None  # {"part", "of", "about"} under way, of a run that is not one transaction
    continuing: bool = False  # a person said that the rest may follow, and it has not begun yet
    held_up: tuple[Json, ...] = ()  # who keeps the step under way waiting: {"who", "state", "seconds", "pid"}
    released: bool = False  # its migrations may be applied again: a person, or a way back, said so
    way_back: str | None = None  # the run that undid it
    stopped: Json | None = None  # of a restore: what ran before the services were stopped, name -> how many
    dropped_old: bool = False  # of a restore: the old database that it had set aside is gone
    cleaned: bool = False  # its backup and saved rows are not kept any more
    broken: Broken | None = None  # the break-glass that counts now
    reviewed: Event | None = None  # what an approver said of it afterwards
    thread: str | None = None  # ts of the message in whose thread it was asked for; its card is a reply there

    @property
    def kind(self) -> Kind:
        """A rollback, or one of the two ways back."""
        return self.request.kind

    @property
    def going(self) -> list[Json]:
        """The migrations of the plan with the scripts that run, in this order; empty before it is made."""
        found = self.evidence.get("identify", {})
        return list(found.get("undo") or found.get("redo") or [])

    @property
    def half_done(self) -> bool:
        """Is it known that a part of it took effect and the rest did not?"""
        return self.state is S.NEEDS_A_PERSON and bool(self.ending and self.ending.data.get("code") == "E-PARTLY")

    @property
    def without_second(self) -> bool:
        """Is the gate open by break-glass, for exactly this plan?"""
        one = self.broken
        return one is not None and one.over and (one.revision, one.digest) == (self.revision, self.digest)

    @property
    def owes_review(self) -> bool:
        """Has it taken effect without a second person, wholly or partly, and no approver has closed its review?"""
        return self.state in (S.DONE, S.REAPPLIED, S.RESTORED) and self.without_second and self.reviewed is None

    @property
    def is_open(self) -> bool:
        """Does it still hold its target?"""
        return self.state in OPEN
