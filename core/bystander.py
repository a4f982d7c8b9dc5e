"""Looks on while a transaction runs, over a connection of its own, and says who keeps it waiting.

The connection that waits for a lock cannot ask whom it waits for; and the audit trail, which may be slow, must not be in
the way of a transaction that holds locks. Nothing here changes the target.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import LiteralString

import psycopg

from core import postgres
from core.errors import Problem
from core.model import Json
from core.runbook import Work

PAUSE = 0.5  # seconds before the first look and between two: most transactions are over before
BLOCKERS: LiteralString = """
    SELECT coalesce(nullif(a.application_name, ''), a.backend_type), a.state,
           coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8, a.pid
      FROM pg_catalog.pg_stat_activity a WHERE a.pid = ANY (pg_catalog.pg_blocking_pids(%s)) ORDER BY 3 DESC"""


class Bystander:
    """A context around the work of `conn`; appends an event `held_up` whenever the answer changes."""

    def __init__(self, work: Work, conn: postgres.Connection) -> None:
        self.work, self.pid = work, conn.info.backend_pid
        self.over = threading.Event()
        self.noted: list[Json] = []
        self.thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Bystander:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self.thread.join()

    def note(self, holders: list[Json]) -> None:
        """Who is in the way although the connection does not stand in a queue (`core.locks`)."""
        self.noted = holders

    def _look(self) -> None:
        if self.over.wait(PAUSE):
            return
        try:
            with postgres.connect(
                self.work.target.database_url.get_secret_value(), f"rollback-bot {self.work.run.id} looking"
            ) as conn:
                told: list[tuple[str, str]] = []
                while True:
                    by = self.noted or self._blockers(conn)
                    names = [(one["who"], one["state"]) for one in by]
                    if names != told:
                        self.work.say("held_up", {"by": by})
                        told = names
                    if self.over.wait(PAUSE):
                        return
        except (Problem, psycopg.Error):
            return  # the work itself says what is wrong with the database

    def _blockers(self, conn: postgres.Connection) -> list[Json]:
        rows = postgres.execute(conn, BLOCKERS, self.pid)
        return [
            {"who": who, "state": state or "active", "seconds": round(age, 3), "pid": pid}
            for who, state, age, pid in rows
        ]
