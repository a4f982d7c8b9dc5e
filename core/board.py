"""The board of what could be undone, as the ledger keeps it; and how old the last proven backup is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.errors import Problem
from core.ledger import Ledger, Transaction
from core.model import Event, Json, Person
from core.readiness_words import BAD, changed, listed, remembered
from core.settings import Settings, Target


@dataclass(frozen=True)
class Board:
    """The last time that somebody looked. `found`: the event's data; `trouble`: why it could not be looked at since then."""

    found: Json
    at: datetime
    trouble: str = ""


def board(ledger: Ledger, target: str) -> Board | None:
    """The newest of a target; None where nobody has looked yet, or nobody could."""
    events = ledger.apart(["readiness", "readiness_failed"], target)
    newest = next((event for event in events if event.kind == "readiness"), None)
    trouble = str(events[0].data["message"]) if events and events[0].kind == "readiness_failed" else ""
    if newest is None:
        return Board({}, events[0].at, trouble) if events else None
    return Board(newest.data, newest.at, trouble)


def keep(
    ledger: Ledger,
    target: str,
    found: Json,
    who: Person | None = None,
    period: str = "",
    applied: Sequence[str] | None = None,
) -> Event | None:
    """Write a board down, with what is to be told of it. `found`: of `readiness.look`.

    `period`: the night that it is for, which counts once; None is returned where somebody was first. `applied`: the names of all
    applied migrations, newest first, where only some were looked at: what was found of the others before still stands, as far
    as it can with what is newer.
    """
    with ledger.transaction() as t:
        before = last(t, target)
        if applied is not None:
            earlier = before["migrations"] if before else []
            both = beside(found["migrations"], earlier, {name: at for at, name in enumerate(applied)})
            found = {**found, "migrations": both[: max(len(found["migrations"]), len(earlier))]}
        if period and not t.claim(f"readiness {target}", period):
            return None
        found = {**found, "migrations": remembered(before, found["migrations"])}
        return t.append(None, "readiness", {**found, "changed": changed(before, found)}, who)


def beside(found: Sequence[Json], earlier: Sequence[Json], place: Mapping[str, int]) -> list[Json]:
    """The lines of what was looked at, and those `earlier` ones that still stand; `place`: 0 for the newest applied migration.

    To undo an older one undoes the newer ones too: it cannot stand better than these.
    """
    before, mine = {one["name"] for one in earlier}, {one["name"] for one in found}
    both = list(found)
    for one in earlier:
        if one["name"] not in place or one["name"] in mine:
            continue
        newer = [other for other in found if place.get(other["name"], 0) < place[one["name"]]]
        bad = [other for other in newer if other["state"] in BAD]
        new = [other["name"] for other in newer if other["name"] not in before]
        if one["state"] in BAD or not (bad or new):
            both.append(one)
        elif bad:
            after = listed([other["name"] for other in bad])
            why = f"{after} {'comes' if len(bad) == 1 else 'come'} after it"
            both.append({**one, "state": bad[0]["state"], "why": why, "seconds": None, "rows": None})
        else:
            why = f"{listed(new)} {'was' if len(new) == 1 else 'were'} applied since"
            both.append({**one, "state": "not tried", "why": why, "seconds": None, "rows": None})
    return sorted(both, key=lambda one: place.get(one["name"], 0))


def failed(ledger: Ledger, target: str, problem: Problem, who: Person | None = None, period: str = "") -> None:
    """Nobody could look: said on the board, the last one stays."""
    with ledger.transaction() as t:
        if not period or t.claim(f"readiness {target}", period):
            told = {"code": problem.code, "message": problem.message, "hint": problem.hint}
            t.append(None, "readiness_failed", {"target": target, **told}, who)


def last(t: Transaction, target: str) -> Json | None:
    """The newest board, as of this transaction."""
    where = "run IS NULL AND kind = 'readiness' AND json_extract(data, '$.target') = ?"
    found = t.told(where, [target])
    return found[0].data if found else None


@dataclass(frozen=True)
class Aged:
    """The last proven backup of a target, and the age of its data."""

    id: str
    taken_at: datetime
    age: timedelta


def newest_proven(ledger: Ledger, settings: Settings, target: Target) -> Aged | None:
    """None where none is kept. Raises StepFailed(E-BACKUP), Refused(E-LEDGER)."""
    from core.backups import kept

    found = kept.last_proven(ledger, settings, target)
    return Aged(found.id, found.taken_at, max(ledger.clock() - found.taken_at, timedelta())) if found else None


def last_proof(ledger: Ledger, target: str) -> int:
    """The event that last proved a backup of everything of the target, whether or not it is still there; 0 where none did."""
    query = """
        SELECT coalesce(max(e.id), 0) FROM events e LEFT JOIN rollbacks r ON r.id = e.run
         WHERE (e.run IS NULL AND e.kind = 'backup_proven' AND json_extract(e.data, '$.target') = ?)
            OR (r.target = ? AND e.kind = 'step_done' AND json_extract(e.data, '$.step') = 'test restore'
                AND json_extract(e.data, '$.evidence.verified') AND EXISTS (
                SELECT 1 FROM events b WHERE b.run = e.run AND b.kind = 'step_done'
                   AND json_extract(b.data, '$.step') = 'backup' AND json_extract(b.data, '$.evidence.format') <> 'scoped'))"""
    return int(ledger.look(query, target, target)[0][0])


def alarm(ledger: Ledger, settings: Settings, target: Target) -> None:
    """Write down that the newest proven backup is older than it may be: once for each, also where there are two bots.

    And again after a newer proof: the newest one may be none, or one that was told of before. Raises StepFailed(E-BACKUP), Refused(E-LEDGER).
    """
    limit = target.backup.alarm
    if limit is None or not ledger.passing.settled():
        return
    newest = newest_proven(ledger, settings, target)
    if newest and newest.age <= limit:
        return
    name = f"backup alarm {target.name}"
    period = f"{newest.id if newest else 'none'} {last_proof(ledger, target.name)}"
    if any(row["period"] == period for row in ledger.reminders(name)):
        return
    with ledger.transaction() as t:
        if t.claim(name, period):
            age = newest.age.total_seconds() if newest else None
            told = {"newest": newest.id if newest else None, "age_seconds": age, "limit_seconds": limit.total_seconds()}
            t.append(None, "backup_old", {"target": target.name, **told})
