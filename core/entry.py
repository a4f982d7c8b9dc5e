"""What may be written together: one transaction of the ledger, and how its rows are read back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlite_utils import Database

from core import chain, fold
from core.errors import Refused
from core.model import MOVES, OPEN, Event, Json, Person, Run, State
from core.redact import clean, clean_all


def now() -> datetime:
    """UTC, to the millisecond, as the ledger stores it."""
    value = datetime.now(UTC)
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


def stamp(at: datetime) -> str:
    """RFC 3339, UTC, milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def canonical(data: Any) -> str:
    """JSON as it is stored and hashed: sorted keys, no spaces, ASCII, one line."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), default=str)


class Lost(Exception):
    """Somebody else moved the rollback first; `run` is as they left it."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"{run.id} is {run.state}")
        self.run = run


class Transaction:
    """What may be written together."""

    def __init__(self, db: Database, now: datetime) -> None:
        self._db, self.now = db, now

    def run(self, run_id: str) -> Run:
        """As of this transaction. Raises Refused(E-RUN-UNKNOWN)."""
        return read_run(self._db, run_id)

    def taken(self, run_id: str) -> bool:
        """Is there a run of this name?"""
        return bool(self._db.table("rollbacks").count_where("id = ?", [run_id]))

    def open_runs(self, target: str) -> list[str]:
        """The ids of the runs that hold the target."""
        marks = ",".join("?" * len(OPEN))
        rows = self._db.table("rollbacks").rows_where(f"target = ? AND state IN ({marks})", [target, *sorted(OPEN)])
        return [str(row["id"]) for row in rows]

    def first_time(self, key: str) -> bool:
        """Remember a delivery of Slack's; False if it was seen before."""
        done = self._db.execute(
            "INSERT INTO seen (key, at) VALUES (?, ?) ON CONFLICT DO NOTHING", [key, stamp(self.now)]
        )
        return done.rowcount == 1

    def forget(self, key: str) -> None:
        """This delivery was refused for what was typed: the same form may be sent off again."""
        self._db.execute("DELETE FROM seen WHERE key = ?", [key])

    def forget_deliveries(self, before: datetime) -> int:
        """Forget what was seen before that moment; how many. Slack repeats a request within the hour, or never."""
        return int(self._db.execute("DELETE FROM seen WHERE at < ?", [stamp(before)]).rowcount)

    def create(self, row: Mapping[str, Any], actor: Person) -> Event:
        """A new rollback in state planning, with its first event."""
        row = clean_all(row, clean)
        self._db.table("rollbacks").insert(
            {**row, "revision": 1, "state": State.PLANNING, "created_at": stamp(self.now), "last_event": 0}
        )
        # what is asked is told in the event too: a row that somebody edits then contradicts the chain
        return self.append(str(row["id"]), "asked", dict(row), actor, state=State.PLANNING)

    def move(
        self,
        run: Run,
        to: State,
        kind: str,
        data: Json | None = None,
        actor: Person | None = None,
        **columns: Any,
    ) -> Event:
        """Compare-and-set: from the state and revision that `run` was read in. Raises Lost."""
        if to not in MOVES.get(run.state, ()):
            raise Lost(self.run(run.id))
        values = {"state": to, **columns}
        if to not in OPEN:
            values["ended_at"] = stamp(self.now)
        setters = ", ".join(f"{name} = ?" for name in values)
        done = self._db.execute(
            f"UPDATE rollbacks SET {setters} WHERE id = ? AND state = ? AND revision = ?",  # noqa: S608
            [*values.values(), run.id, run.state, run.revision],
        )
        if done.rowcount != 1:
            raise Lost(self.run(run.id))
        return self.append(run.id, kind, data, actor, state=to)

    def append(
        self,
        run_id: str | None,
        kind: str,
        data: Json | None = None,
        actor: Person | None = None,
        state: State | None = None,
    ) -> Event:
        """One more link of the chain."""
        number, previous = head(self._db)
        # a step's evidence is what later steps work with: its sentences were cleaned where they were made
        told = {name: value if name == "evidence" else clean_all(value, clean) for name, value in (data or {}).items()}
        row = {
            "id": number + 1,
            "at": stamp(self.now),
            "run": run_id,
            "kind": kind,
            "state": state,
            "actor": canonical({"id": actor.id, "name": clean(actor.name)}) if actor else None,
            "data": canonical(told),
            "prev": previous,
        }
        if any("\n" in str(value) for value in row.values()):
            raise ValueError("a line break in an event would make the chain ambiguous")
        row["digest"] = chain.link(previous, [row[name] for name in chain.COLUMNS])
        self._db.table("events").insert(row)
        if run_id:
            self._db.execute("UPDATE rollbacks SET last_event = ? WHERE id = ?", [number + 1, run_id])
        return fold.event(row)

    def post(self, event: int, place: str, **columns: Any) -> None:
        """Remember a message: `place` is unique within its event."""
        self._db.table("posts").insert(
            {"event": event, "place": place, "at": stamp(self.now), **columns},
            pk=("event", "place"),
            replace=True,
        )

    def probe(self) -> None:
        """A row that says nothing: can it be written?"""
        self._db.table("reminders").insert(
            {"name": "probe", "period": "", "at": stamp(self.now)}, pk=("name", "period"), replace=True
        )

    def claim(self, name: str, period: str) -> bool:
        """Take a reminder's period; False if somebody has it already."""
        done = self._db.execute(
            "INSERT INTO reminders (name, period, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [name, period, stamp(self.now)],
        )
        return done.rowcount == 1

    def told(self, where: str, values: Sequence[Any]) -> list[Event]:
        """Events that fit, newest first."""
        return told(self._db, where, values)


def head(db: Database) -> tuple[int, str]:
    """Number and digest of the newest event."""
    row = db.execute("SELECT id, digest FROM events ORDER BY id DESC LIMIT 1").fetchone()
    return (int(row[0]), str(row[1])) if row else (0, chain.GENESIS)


def told(db: Database, where: str, values: Sequence[Any]) -> list[Event]:
    """Events that fit, newest first."""
    return [fold.event(row) for row in db.table("events").rows_where(where, list(values), order_by="id desc")]


def read_run(db: Database, run_id: str) -> Run:
    """Row and events of one rollback, folded."""
    row = next(iter(db.table("rollbacks").rows_where("id = ?", [run_id])), None)
    if row is None:
        near = [r["id"] for r in db.table("rollbacks").rows_where("id LIKE ?", [f"%{run_id[-2:]}"], limit=1)]
        hint = f"Did you mean `{near[0]}`?" if near else "`history` lists the last ones."
        raise Refused("E-RUN-UNKNOWN", f"I know no run `{run_id}`.", hint)
    rows = db.table("events").rows_where("run = ?", [run_id], order_by="id")
    return fold.run(row, [fold.event(e) for e in rows])


@contextmanager
def unwritable() -> Iterator[None]:
    """Turn SQLite's refusals into one sentence. Raises Refused(E-LEDGER); a broken constraint stays what it is."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as error:
        raise refusal(str(error)) from error


def refusal(why: str) -> Refused:
    """Without the audit trail nothing is started."""
    return Refused(
        "E-LEDGER",
        f"I cannot use the audit trail ({why}).",
        "I start nothing without it. Free the disk, or mend its folder.",
    )
