"""The audit trail, journal and outbox in one SQLite file: the only place that writes it.

One transaction holds the change of state, the chained event and what follows from it. Plain SQLite: `sqlite-utils`
and Datasette read the file as it is. Settings: WAL, synchronous=FULL, BEGIN IMMEDIATE for every write.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import chain, fold, witness
from core.entry import Lost, Transaction, apart, canonical, head, now, read_run, refusal, stamp, told, unwritable
from core.errors import Refused
from core.holds import Holds
from core.known import Known
from core.model import OPEN, Event, Json, Person, Run
from core.passing import Passing

if TYPE_CHECKING:  # a shell command must start fast: who only reads does without
    from sqlite_utils import Database

__all__ = ["APPLICATION_ID", "Ledger", "Lost", "Transaction", "canonical", "now", "stamp"]

APPLICATION_ID = 0x524F4C4C
"""`PRAGMA application_id` of our files: "ROLL". Source: sqlite.org/pragma.html#pragma_application_id."""
GUARDS = {"events_no_update", "events_no_delete", "events_no_replace"}
"""Triggers without which nothing is written."""
NEWEST = "scripts"
"""The last migration of core/tables.py."""
WAIT = 10.0  # seconds for another process's transaction


class Ledger(Holds):
    """One file, many threads and processes. Raises Refused(E-LEDGER) where it cannot be read or written."""

    def __init__(self, path: Path, clock: Callable[[], datetime] = now) -> None:
        super().__init__(path)
        self.path = path
        self.clock = clock
        self.passing = Passing(clock)
        self._local = threading.local()
        self._all: dict[sqlite3.Connection, threading.Thread] = {}
        self._guard = threading.Lock()
        self._news = threading.Condition()
        self._known = Known()
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # reasons and names are nobody else's business, not even for a moment
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise refusal(os.strerror(error.errno or 0).lower()) from error
        with unwritable():
            self._prepare()
            self._file = identity(path)

    def _prepare(self) -> None:
        if not self.path.stat().st_size:
            self._make()  # also the switch to WAL is one process's at a time
        (ours,) = self.conn.execute("PRAGMA application_id").fetchone()
        made = self._made()
        if ours != APPLICATION_ID and self._names("table") and not made:
            raise refusal("the file belongs to another program")
        if NEWEST not in made:
            self._make()
        missing = GUARDS - self._names("trigger")
        if missing:
            raise refusal(f"it has lost its guards: {', '.join(sorted(missing))}; keep the file as evidence")

    def _names(self, kind: str) -> set[str]:
        return {name for (name,) in self.conn.execute("SELECT name FROM sqlite_master WHERE type = ?", [kind])}

    def _made(self) -> set[str]:
        """Migrations of core/tables.py that the file has had, as sqlite-utils writes them down."""
        if "_sqlite_migrations" not in self._names("table"):
            return set()
        query = "SELECT name FROM _sqlite_migrations WHERE migration_set = 'rollback-bot'"
        return {name for (name,) in self.conn.execute(query)}

    def _make(self) -> None:
        """Create the tables, one process at a time."""
        from core.tables import TABLES

        until = time.monotonic() + WAIT
        while (holder := self.hold("making")) is None:
            if time.monotonic() > until:
                raise refusal("another process is making its tables")
        with holder:
            self.conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            TABLES.apply(self.db)

    @property
    def db(self) -> Database:
        """This thread's connection, as sqlite-utils has it."""
        db: Database | None = getattr(self._local, "db", None)
        if db is None:
            from sqlite_utils import Database

            db = self._local.db = Database(self.conn)
        return db

    @property
    def conn(self) -> sqlite3.Connection:
        """This thread's connection."""
        conn: sqlite3.Connection | None = getattr(self._local, "conn", None)
        if conn is None:
            conn = sqlite3.connect(self.path, timeout=WAIT, check_same_thread=False)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                conn.execute(f"PRAGMA {pragma}")
            with self._guard:
                # a server makes a thread for each request: what ended threads left open is closed here
                for old in [old for old, thread in self._all.items() if not thread.is_alive()]:
                    del self._all[old]
                    old.close()
                self._all[conn] = threading.current_thread()
            self._local.conn = conn
        return conn

    def close(self) -> None:
        """Close every thread's connection."""
        with self._guard:
            while self._all:
                self._all.popitem()[0].close()
        self._local = threading.local()

    # -- writing ---------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """One durable change: BEGIN IMMEDIATE … COMMIT with an fsync. Everything in it or nothing."""
        if identity(self.path) != self._file:
            raise refusal("its file was removed or replaced; put the file back, and start again")
        with unwritable():
            db = self.db
            db.conn.execute("BEGIN IMMEDIATE")
            try:
                yield Transaction(db, self.clock(), self._known)
                db.conn.execute("COMMIT")
            except BaseException:
                if db.conn.in_transaction:
                    db.conn.execute("ROLLBACK")
                raise
        with self._news:
            self._news.notify_all()

    def writable(self) -> str:
        """Why nothing can be written now, in words; empty where it can. Writes for real, one small row that is replaced."""
        try:
            with self.transaction() as t:
                t.probe()
        except Refused as no:
            return no.message
        return ""

    def append(self, kind: str, data: Json | None = None, actor: Person | None = None) -> Event:
        """An event that belongs to no rollback."""
        with self.transaction() as t:
            return t.append(None, kind, data, actor)

    def first_time(self, key: str) -> bool:
        """Remember a request of Slack's, durably; False if it was seen before."""
        with self.transaction() as t:
            return t.first_time(key)

    # -- reading ---------------------------------------------------------------------------------------

    def run(self, run_id: str) -> Run:
        """Everything known about one rollback. Raises Refused(E-RUN-UNKNOWN)."""
        with unwritable():
            return read_run(self, run_id, self._known)

    def runs(self, where: str = "1", values: tuple[Any, ...] = (), limit: int = 1000) -> list[Run]:
        """Rollbacks, newest first."""
        rows = self._rows(f"rollbacks WHERE {where} ORDER BY created_at DESC, id LIMIT {limit}", values)
        with unwritable():
            return [self._known.run(self, row) for row in rows]

    def recent(self, target: str | None = None, by: str | None = None, count: int | None = None) -> list[Run]:
        """The newest rollbacks that were not refused, of one target or one person where that is asked for; 10 unless told."""
        where, values = "state <> 'refused'", list[str]()
        if target:
            where, values = f"{where} AND target = ?", [target]
        if by:
            where, values = f"{where} AND (requester = ? OR requester_name = ?)", [*values, by, by]
        return self.runs(where, tuple(values), count or 10)

    def open_runs(self) -> list[Run]:
        """Those that still hold their target."""
        return self.runs(f"state IN ({','.join('?' * len(OPEN))})", tuple(sorted(OPEN)))

    def events(self, run_id: str | None = None, after: int = 0, limit: int = 1_000_000) -> list[Event]:
        """Events in order, of one rollback or of all."""
        where, values = ("id > ?", (after,)) if run_id is None else ("run = ? AND id > ?", (run_id, after))
        return [fold.event(row) for row in self._rows(f"events WHERE {where} ORDER BY id LIMIT {limit}", values)]

    def told(self, where: str, values: Sequence[Any]) -> list[Event]:
        """Events that fit, newest first."""
        with unwritable():
            return told(self, where, values)

    def apart(self, kinds: Sequence[str], target: str | None = None, limit: int | None = None) -> list[Event]:
        """Events of these kinds that belong to no run, newest first; `target`: those of one target; `limit`: as many at most."""
        with unwritable():
            return apart(self, kinds, target, limit)

    def script(self, sha256: str) -> bytes | None:
        """The bytes that are kept under a SHA-256; None where there are none. They may be others: hold them against it."""
        rows = self.look("SELECT CAST(bytes AS BLOB) FROM scripts WHERE sha256 = ?", sha256)
        return bytes(rows[0][0]) if rows else None

    def head(self) -> tuple[int, str]:
        """Number and digest of the newest event: (0, GENESIS) in an empty trail."""
        with unwritable():
            return head(self)

    def age(self, what: Hashable, at: datetime) -> timedelta:
        """How long ago a stored moment was, as far as this process can see, whatever was done to the clock."""
        return self.passing.age(what, at, self._newest)

    def _newest(self) -> datetime | None:
        row = self.conn.execute("SELECT at FROM events ORDER BY id DESC LIMIT 1").fetchone()
        return fold.moment(row[0]) if row else None

    def verify(self, scripts: bool = True) -> chain.Verdict:
        """Walk the chain, as it is at one moment; `scripts`: and hold the kept scripts against it."""
        with self._still():
            return chain.verify(self.conn, scripts)

    def held_against(self, said: witness.Posted) -> witness.Held:
        """Hold what was posted in the channel against it."""
        with self._still():
            return witness.hold(self.conn, said)

    @contextmanager
    def _still(self) -> Iterator[None]:
        """What others write meanwhile is not seen: several queries are about one state."""
        with unwritable():
            self.conn.execute("BEGIN")
            try:
                yield
            finally:
                if self.conn.in_transaction:
                    self.conn.execute("ROLLBACK")

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
        order = "event DESC LIMIT 1" if newest else "event, place"
        return self._rows(f"posts WHERE {where} ORDER BY {order}", values)

    def reminders(self, name: str) -> list[dict[str, Any]]:
        """Periods that were claimed under a name."""
        return self._rows("reminders WHERE name = ?", (name,))

    def look(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query that only reads."""
        with unwritable():
            return list(self.conn.execute(query, values))

    def _rows(self, rest: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        with unwritable():
            return fold.select(self, rest, values)


def identity(path: Path) -> tuple[int, int] | None:
    """Which file it is, whatever its name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
