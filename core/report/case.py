"""What a packet is written from: one run with its events, the runs that belong to it, and how the audit trail stands.

All of it comes from the ledger: the target may be gone by then.
"""

from __future__ import annotations

from dataclasses import dataclass

from core import fold
from core.chain import Verdict
from core.errors import Refused
from core.ledger import Ledger
from core.model import Event, Run
from core.zone import Zone

BROKEN = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What reading a trail raises that somebody has tampered with."""


@dataclass(frozen=True)
class Told:
    """A run and what its events say. `unread`: one sentence for each event that makes no sense."""

    run: Run
    events: tuple[Event, ...]
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """`others`: the ways back of a rollback, or the rollback that a way back undoes, oldest first; `head`: of the trail."""

    told: Told
    verdict: Verdict
    head: tuple[int, str]
    zone: Zone
    others: tuple[Told, ...] = ()

    @property
    def run(self) -> Run:
        return self.told.run

    @property
    def events(self) -> tuple[Event, ...]:
        return self.told.events


def gather(ledger: Ledger, run_id: str, zone: Zone) -> Case:
    """Everything about one run. Raises Refused (E-RUN-UNKNOWN, E-LEDGER)."""
    told = read(ledger, run_id)
    found = ledger.look("SELECT id FROM rollbacks WHERE origin = ? ORDER BY created_at, id", run_id)
    others = [str(way) for (way,) in found] or [told.run.request.origin or ""]
    there = tuple(read(ledger, one) for one in others if one)
    return Case(told, ledger.verify(), ledger.head(), zone, there)


def read(ledger: Ledger, run_id: str) -> Told:
    """One run with the events that led to it as it stands. Where the trail is broken: what still makes sense of it."""
    try:
        run = ledger.run(run_id)
        last = run.last.id if run.last else 0
        return Told(run, tuple(event for event in ledger.events(run_id) if event.id <= last))
    except BROKEN:
        if ledger.verify().unbroken:
            raise
        return pieces(ledger, run_id)


def pieces(ledger: Ledger, run_id: str) -> Told:
    """The events of a broken trail that can be read. Raises Refused(E-LEDGER) where not even the run itself can be."""
    row = fold.select(ledger.db, "rollbacks WHERE id = ?", [run_id])[0]
    good: list[Event] = []
    unread: list[str] = []
    for found in fold.select(ledger.db, "events WHERE run = ? ORDER BY id", [run_id]):
        try:
            event = fold.event(found)
            fold.run(row, [*good, event])
        except BROKEN:
            unread.append(f"event {found['id']} cannot be read")
        else:
            good.append(event)
    try:
        return Told(fold.run(row, good), tuple(good), tuple(unread))
    except BROKEN:
        hint = "Keep the file as evidence: `audit verify` says where it was changed."
        raise Refused("E-LEDGER", f"{run_id} cannot be read: the audit trail is broken.", hint) from None
