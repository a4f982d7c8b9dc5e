"""The audit trail, journal and outbox in one SQLite file: the only place that writes it.

One transaction holds the change of state, the chained event and what follows from it. Plain SQLite: `sqlite-utils`
and Datasette read the file as it is. Settings: WAL, synchronous=FULL, BEGIN IMMEDIATE for every write.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from sqlite_utils import Database

from core import chain, fold
from core.errors import Refused
from core.model import MOVES, OPEN, Event, Json, Person, Run, State
from core.tables import TABLES

APPLICATION_ID = 0x524F4C4C  # "ROLL": PRAGMA application_id of our files


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


class Ledger:
    """One file, many threads and processes. Raises Refused(E-LEDGER) where it cannot be written."""

    def __init__(self, path: Path, clock: Callable[[], datetime] = now) -> None:
        self.path = path
        self.clock = clock
        self._local = threading.local()
        self._all: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        self._news = threading.Condition()
        with unwritable():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._prepare()

    def _prepare(self) -> None:
        created = not self.path.exists()
        db = self.db
        if created:
            self.path.chmod(0o600)  # reasons and names are nobody else's business
        TABLES.apply(db)
        missing = {"events_no_update", "events_no_delete", "events_no_replace"} - {t.name for t in db.triggers}
        if missing:
            raise Refused(
                "E-LEDGER",
                f"The audit trail has lost its guards ({', '.join(sorted(missing))}).",
                "Somebody changed its tables. Keep the file as evidence, start with a new one.",
            )

    @property
    def db(self) -> Database:
        """This thread's connection."""
        db: Database | None = getattr(self._local, "db", None)
        if db is None:
            conn = sqlite3.connect(self.path, timeout=10, check_same_thread=False)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                conn.execute(f"PRAGMA {pragma}")
            db = self._local.db = Database(conn)
            with self._guard:
                self._all.append(conn)
        return db

    def close(self) -> None:
        """Close every thread's connection."""
        with self._guard:
            while self._all:
                self._all.pop().close()
        self._local = threading.local()

    # -- writing ---------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """One durable change: BEGIN IMMEDIATE … COMMIT with an fsync. Everything in it or nothing."""
        with unwritable():
            db = self.db
            db.execute("BEGIN IMMEDIATE")
            try:
                yield Transaction(self, db)
                db.conn.execute("COMMIT")
            except BaseException:
                if db.conn.in_transaction:
                    db.conn.execute("ROLLBACK")
                raise
        with self._news:
            self._news.notify_all()

    def append(self, kind: str, data: Json | None = None, actor: Person | None = None) -> Event:
        """An event that belongs to no rollback."""
        with self.transaction() as t:
            return t.append(None, kind, data, actor)

    # -- reading ---------------------------------------------------------------------------------------

    def run(self, run_id: str) -> Run:
        """Everything known about one rollback. Raises Refused(E-RUN-UNKNOWN)."""
        return read_run(self.db, run_id)

    def runs(self, where: str = "1", values: tuple[Any, ...] = (), limit: int = 1000) -> list[Run]:
        """Rollbacks, newest first."""
        rows = self.db.table("rollbacks").rows_where(where, values, order_by="created_at desc, id", limit=limit)
        return [fold.run(row, self.events(row["id"])) for row in rows]

    def open_runs(self) -> list[Run]:
        """Those that still hold their target."""
        return self.runs(f"state IN ({','.join('?' * len(OPEN))})", tuple(sorted(OPEN)))

    def events(self, run_id: str | None = None, after: int = 0, limit: int = 1_000_000) -> list[Event]:
        """Events in order, of one rollback or of all."""
        where, values = ("id > ?", [after]) if run_id is None else ("run = ? AND id > ?", [run_id, after])
        rows = self.db.table("events").rows_where(where, values, order_by="id", limit=limit)
        return [fold.event(row) for row in rows]

    def head(self) -> tuple[int, str]:
        """Number and digest of the newest event: (0, GENESIS) in an empty trail."""
        return head(self.db)

    def verify(self) -> chain.Verdict:
        """Walk the chain."""
        return chain.verify(self.db.conn)

    def wait(self, after: int, timeout: float) -> bool:
        """Sleep until an event after number `after` exists, at most `timeout` seconds; other processes count too."""
        deadline = time.monotonic() + timeout
        while True:
            if self.head()[0] > after:
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with self._news:
                self._news.wait(min(left, 0.05))

    def posts(self, where: str, values: tuple[Any, ...], newest: bool = False) -> list[dict[str, Any]]:
        """What was posted where: rows of `posts`, in order; `newest`: the last one only."""
        order, limit = ("event DESC", 1) if newest else ("event, place", None)
        return list(self.db.table("posts").rows_where(where, values, order_by=order, limit=limit))

    def reminders(self, name: str) -> list[dict[str, Any]]:
        """Periods that were claimed under a name."""
        return list(self.db.table("reminders").rows_where("name = ?", [name]))

    # -- holding ---------------------------------------------------------------------------------------

    def hold(self, name: str) -> IO[str] | None:
        """Take a lock that ends with the process, whatever ends it. None: somebody else has it.

        Names: `bot` for the one bot of this ledger, a run's id for who walks it.
        """
        with unwritable():
            file = self._lock_path(name).open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
        os.utime(self._lock_path(name))
        return file

    def held(self, name: str) -> bool:
        """Does a living process hold it?"""
        if not self._lock_path(name).exists():
            return False
        file = self.hold(name)
        if file is None:
            return True
        file.close()
        return False

    def beat(self, name: str) -> None:
        """Show that the holder is alive: the age of the lock file is read by the health check."""
        os.utime(self._lock_path(name))

    def beaten(self, name: str) -> float:
        """Seconds since the last beat; infinite without one."""
        path = self._lock_path(name)
        return time.time() - path.stat().st_mtime if path.exists() else float("inf")

    def _lock_path(self, name: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{name}.lock")


class Transaction:
    """What may be written together."""

    def __init__(self, ledger: Ledger, db: Database) -> None:
        self._ledger, self._db = ledger, db
        self.now = ledger.clock()

    def run(self, run_id: str) -> Run:
        """As of this transaction. Raises Refused(E-RUN-UNKNOWN)."""
        return read_run(self._db, run_id)

    def taken(self, run_id: str) -> bool:
        """Is there a run of this name?"""
        return bool(self._db.table("rollbacks").count_where("id = ?", [run_id]))

    def open_run(self, target: str) -> str | None:
        """The id of the rollback that holds the target."""
        marks = ",".join("?" * len(OPEN))
        rows = self._db.table("rollbacks").rows_where(f"target = ? AND state IN ({marks})", [target, *sorted(OPEN)])
        return next((str(row["id"]) for row in rows), None)

    def first_time(self, key: str) -> bool:
        """Remember a delivery of Slack's; False if it was seen before."""
        done = self._db.execute(
            "INSERT INTO seen (key, at) VALUES (?, ?) ON CONFLICT DO NOTHING", [key, stamp(self.now)]
        )
        return done.rowcount == 1

    def create(self, row: Mapping[str, Any], actor: Person) -> Event:
        """A new rollback in state planning, with its first event."""
        self._db.table("rollbacks").insert(
            {**row, "revision": 1, "state": State.PLANNING, "created_at": stamp(self.now), "last_event": 0}
        )
        return self.append(str(row["id"]), "asked", {}, actor, state=State.PLANNING)

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
        row = {
            "id": number + 1,
            "at": stamp(self.now),
            "run": run_id,
            "kind": kind,
            "state": state,
            "actor": canonical({"id": actor.id, "name": actor.name}) if actor else None,
            "data": canonical(data or {}),
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

    def claim(self, name: str, period: str) -> bool:
        """Take a reminder's period; False if somebody has it already."""
        done = self._db.execute(
            "INSERT INTO reminders (name, period, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [name, period, stamp(self.now)],
        )
        return done.rowcount == 1


def head(db: Database) -> tuple[int, str]:
    """Number and digest of the newest event."""
    row = db.execute("SELECT id, digest FROM events ORDER BY id DESC LIMIT 1").fetchone()
    return (int(row[0]), str(row[1])) if row else (0, chain.GENESIS)


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
    """Turn SQLite's and the file system's refusals into one sentence."""
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.DatabaseError, OSError) as error:
        if isinstance(error, sqlite3.IntegrityError):
            raise
        why = str(error) if isinstance(error, sqlite3.Error) else os.strerror(error.errno or 0).lower()
        raise Refused(
            "E-LEDGER",
            f"I cannot write the audit trail ({why}).",
            "I start nothing without it. Free the disk, or mend its folder.",
        ) from error
