"""What may be written together: one transaction of the ledger, and how its rows are read back."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from core import chain, fold
from core.errors import Refused
from core.known import Known
from core.model import MOVES, OPEN, Event, Json, Person, Run, State
from core.redact import clean, clean_all
from core.refusals import Duplicate

if TYPE_CHECKING:  # a shell command must start fast, and most only read
    from sqlite_utils import Database


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

    def __init__(self, db: Database, now: datetime, known: Known) -> None:
        self._db, self.now, self._known = db, now, known

    def run(self, run_id: str) -> Run:
        """As of this transaction. Raises Refused(E-RUN-UNKNOWN)."""
        return read_run(self._db, run_id, self._known)

    def taken(self, run_id: str) -> bool:
        """Is there a run of this name?"""
        return bool(self._db.table("rollbacks").count_where("id = ?", [run_id]))

    def open_runs(self, target: str) -> list[str]:
        """The ids of the runs that hold the target."""
        marks = ",".join("?" * len(OPEN))
        query = f"SELECT id FROM rollbacks WHERE target = ? AND state IN ({marks})"  # noqa: S608
        return [str(run) for (run,) in self._db.conn.execute(query, [target, *sorted(OPEN)])]

    def first_time(self, key: str) -> bool:
        """Remember a delivery of Slack's; False if it was seen before."""
        done = self._db.conn.execute(
            "INSERT INTO seen (key, at) VALUES (?, ?) ON CONFLICT DO NOTHING", [key, stamp(self.now)]
        )
        return done.rowcount == 1

    def once(self, delivery: str | None) -> None:
        """Raises Duplicate where this delivery of Slack's was seen before; empty: it is none of Slack's."""
        if delivery and not self.first_time(delivery):
            raise Duplicate

    def forget(self, key: str) -> None:
        """This delivery was refused for what was typed: the same form may be sent off again."""
        self._db.execute("DELETE FROM seen WHERE key = ?", [key])

    def forget_deliveries(self, before: datetime) -> int:
        """Forget what was seen before that moment; how many. Slack repeats a request within the hour, or never."""
        return int(self._db.execute("DELETE FROM seen WHERE at < ?", [stamp(before)]).rowcount)

    def create(self, row: Mapping[str, Any], actor: Person, **more: Any) -> Event:
        """A new rollback in state planning, with its first event; `more` stands in the event alone."""
        row = clean_all(row, clean)
        begun = {"revision": 1, "state": State.PLANNING, "created_at": stamp(self.now), "last_event": 0}
        insert(self._db, "rollbacks", {**row, **begun})
        # what is asked is told in the event too: a row that somebody edits then contradicts the chain
        return self.append(str(row["id"]), "asked", {**row, **more}, actor, state=State.PLANNING)

    def move(
        self,
        run: Run,
        to: State,
        kind: str,
        data: Json | None = None,
        actor: Person | None = None,
        **columns: Any,
    ) -> Event:
        """Compare-and-set: from the state and revision that `run` was read in. Raises Lost, also where a way back of the
        rollback holds the target meanwhile: what waits for a decision then waits for the end of that.
        """
        if to not in MOVES.get(run.state, ()):
            raise Lost(self.run(run.id))
        values = {"state": to, **columns}
        if to not in OPEN:
            values["ended_at"] = stamp(self.now)
        setters = ", ".join(f"{name} = ?" for name in values)
        query = f"UPDATE rollbacks SET {setters} WHERE id = ? AND state = ? AND revision = ?"  # noqa: S608
        try:
            done = self._db.conn.execute(query, [*values.values(), run.id, run.state, run.revision])
        except sqlite3.IntegrityError:
            raise Lost(self.run(run.id)) from None
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
        insert(self._db, "events", row)
        if run_id:
            self._db.conn.execute("UPDATE rollbacks SET last_event = ? WHERE id = ?", [number + 1, run_id])
        return fold.event(row)

    def post(self, event: int, place: str, **columns: Any) -> None:
        """Remember a message: `place` is unique within its event."""
        row = {"event": event, "place": place, "at": stamp(self.now), **columns}
        insert(self._db, "posts", row, "INSERT OR REPLACE")

    def unpost(self, event: int, place: str) -> None:
        """Forget what was remembered of that place, if anything was."""
        self._db.conn.execute("DELETE FROM posts WHERE event = ? AND place = ?", [event, place])

    def keep(self, data: bytes) -> str:
        """Keep the bytes of a script; their SHA-256, under which they are found. Other bytes that stand there are replaced."""
        digest = hashlib.sha256(data).hexdigest()
        self._db.conn.execute(
            "INSERT INTO scripts (sha256, bytes, at) VALUES (?, ?, ?) ON CONFLICT (sha256) DO UPDATE "
            "SET bytes = excluded.bytes, at = excluded.at WHERE bytes IS NOT excluded.bytes",
            [digest, data, stamp(self.now)],
        )
        return digest

    def probe(self) -> None:
        """A row that says nothing: can it be written?"""
        self._db.table("reminders").insert(
            {"name": "probe", "period": "", "at": stamp(self.now)}, pk=("name", "period"), replace=True
        )

    def claim(self, name: str, period: str) -> bool:
        """Take a reminder's period; False if somebody has it already."""
        done = self._db.conn.execute(
            "INSERT INTO reminders (name, period, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [name, period, stamp(self.now)],
        )
        return done.rowcount == 1

    def told(self, where: str, values: Sequence[Any]) -> list[Event]:
        """Events that fit, newest first."""
        return told(self._db, where, values)

    def apart(self, kinds: Sequence[str], target: str | None = None, limit: int | None = None) -> list[Event]:
        """As `Ledger.apart`, as of this transaction."""
        return apart(self._db, kinds, target, limit)


def head(db: fold.Store) -> tuple[int, str]:
    """Number and digest of the newest event."""
    row = db.conn.execute("SELECT id, digest FROM events ORDER BY id DESC LIMIT 1").fetchone()
    return (int(row[0]), str(row[1])) if row else (0, chain.GENESIS)


def told(db: fold.Store, where: str, values: Sequence[Any]) -> list[Event]:
    """Events that fit, newest first."""
    return [fold.event(row) for row in fold.select(db, f"events WHERE {where} ORDER BY id DESC", values)]


def apart(db: fold.Store, kinds: Sequence[str], target: str | None, limit: int | None) -> list[Event]:
    """Events of these kinds that belong to no run, newest first. Each kind is read from its newest, so that a limit saves time."""
    of, values = ("", []) if target is None else (" AND json_extract(data, '$.target') = ?", [target])
    query = f"SELECT * FROM events WHERE run IS NULL AND kind = ?{of} ORDER BY id DESC LIMIT {-1 if limit is None else limit}"  # noqa: S608
    each = " UNION ALL ".join(f"SELECT * FROM ({query})" for _ in kinds)  # noqa: S608
    given = [value for kind in kinds for value in (kind, *values)]
    rows = fold.select(db, f"({each}) ORDER BY id DESC LIMIT {-1 if limit is None else limit}", given)
    return [fold.event(row) for row in rows]


def read_run(db: fold.Store, run_id: str, known: Known) -> Run:
    """Row and events of one rollback, folded."""
    for row in fold.select(db, "rollbacks WHERE id = ?", [run_id]):
        return known.run(db, row)
    near = db.conn.execute("SELECT id FROM rollbacks WHERE id LIKE ? LIMIT 1", [f"%{run_id[-2:]}"]).fetchone()
    hint = f"Did you mean `{near[0]}`?" if near else "`history` lists the last ones."
    raise Refused("E-RUN-UNKNOWN", f"I know no run `{run_id}`.", hint)


def insert(db: Database, table: str, row: Mapping[str, Any], how: str = "INSERT") -> None:
    """One row, straight through sqlite3, as `fold.select`."""
    marks = ", ".join("?" * len(row))
    db.conn.execute(f"{how} INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))


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
