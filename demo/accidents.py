"""What may go wrong around the bot in the demo: switches for the page's panel "Break things"."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import sql

from demo.bench import Bench
from demo.workspace import Switch, WorkspaceError

TABLES = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 2"
APPLICATION = "demo: a reader that forgot to commit"
LOOK_EVERY = 0.5  # seconds between two looks whether the session is still there


def of(bench: Bench) -> Iterable[Switch]:
    """The switches of one bench."""
    reader = Reader(bench)
    yield Switch(
        "kill_bot",
        "Kill the bot",
        "The bot's process ends at once, as in a power cut, whatever it was doing.",
        "The demo starts it again at once; it goes on from its audit trail.",
        lambda _: kill(bench),
        part="The bot",
    )
    yield Switch(
        "lock_table",
        "Lock the tables",
        "Somebody reads the sample application's tables and does not commit, so a rollback waits for its locks.",
        "Switch it off: the reader commits.",
        reader.hold,
        lambda: reader.holds,
        part="The database",
    )
    yield Switch(
        "fail_health",
        "Fail the health check",
        "The sample application says that it is not well, so a finished rollback cannot be verified.",
        "Switch it off, then press Check again on the card.",
        bench.health.fail,
        lambda: bench.health.failing,
        part="The application",
    )


def kill(bench: Bench) -> None:
    """SIGKILL, without waiting; whoever watches the bot starts it again."""
    if bench.bot and bench.bot.poll() is None:
        with suppress(ProcessLookupError):
            os.kill(bench.bot.pid, signal.SIGKILL)


class Reader:
    """A session that reads every table and leaves its transaction open. It may be ended from outside, as by a restore."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.holds = False
        self._enough = threading.Event()
        self._thread: threading.Thread | None = None

    def hold(self, on: bool) -> None:
        """Take the locks, or give them back. Raises WorkspaceError `database_not_ready` where they cannot be had."""
        self._enough.set()
        if self._thread:
            self._thread.join()
        self._thread = None
        if not on:
            return
        self._enough = threading.Event()
        try:
            conn = self._reading()
        except psycopg.Error:
            raise WorkspaceError("database_not_ready", ["The tables cannot be read just now."]) from None
        self.holds = True
        self._thread = threading.Thread(target=self._stay, args=[conn], name="reader", daemon=True)
        self._thread.start()

    def _reading(self) -> psycopg.Connection[Any]:
        conn = psycopg.connect(self.bench.database, application_name=APPLICATION, connect_timeout=5)
        try:
            conn.execute("SET LOCAL lock_timeout = '2s'")
            tables = sql.SQL(", ").join(sql.Identifier(*row) for row in conn.execute(TABLES).fetchall())
            conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(tables))
        except psycopg.Error:
            conn.close()
            raise
        return conn

    def _stay(self, conn: psycopg.Connection[Any]) -> None:
        try:
            with conn:
                while not self._enough.wait(LOOK_EVERY):
                    conn.execute("SELECT 1")
        except psycopg.Error:
            pass  # the session was ended: nothing is held any more, and the page says so
        finally:
            self.holds = False
            with self.bench.workspace.state.changing():
                pass
