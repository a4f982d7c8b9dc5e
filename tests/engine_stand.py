"""Whole runs without Slack: ledger, desk and engine over a real database, walked in this process or in one that dies."""

from __future__ import annotations

import pickle
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from core.desk import Desk
from core.driving import Nobody
from core.engine import Engine
from core.ledger import Ledger
from core.model import Person, Request, Run, State
from core.postgres import with_database
from core.roll_back import RUNBOOKS
from core.settings import Services, Target
from demo.app import sample
from demo.postgres import Server
from tests import forks
from tests.execute_stand import ANA, Stand

BOB = Person("U0BOB", "Bob")
ROOT = Path(__file__).parent.parent
TABLES = """
    SELECT c.oid::regclass::text, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname)
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace GROUP BY 1"""


class Anybody(Nobody):
    """Rights as the bot gives them, with two people."""

    def may_approve(self, person: Person, run: Run, target: Target) -> None:
        """Both may."""


class EngineStand(Stand):
    """A stand with a ledger. `more`: settings of the target."""

    def __init__(
        self, server: Server, url: str, folder: Path, migrations: Path = sample.MIGRATIONS, **more: Any
    ) -> None:
        super().__init__(server, url, folder, migrations, approvals=0, services=Services(kind="none"), **more)
        self.folder = folder
        self.set()
        self.ledger = Ledger(self.settings.ledger)

    def set(self, **more: Any) -> None:
        """Other settings of the target, from now on."""
        self.target = replace(self.target, **more)
        self.settings = replace(self.settings, targets={"production": self.target})

    @property
    def desk(self) -> Desk:
        return Desk(self.ledger, self.settings)

    @property
    def engine(self) -> Engine:
        return Engine(RUNBOOKS, self.ledger, self.settings, Anybody(), confirm=lambda run: True)

    def rolled_back(self, what: str = "012", **request: Any) -> Run:
        """A rollback, to its end."""
        run = self.walk(self.desk.ask(Request("from", what, **request), self.target, ANA))
        assert run.state is State.DONE, run.ending
        return run

    def asks(self, kind: Any, origin: Run) -> Run:
        """A way back is asked for."""
        return self.desk.way_back(kind, origin.id, self.target, ANA, "the old code does not run")

    def goes_back(self, kind: Any, origin: Run) -> Run:
        """A way back, to its end."""
        return self.walk(self.asks(kind, origin))

    def walk(self, run: Run) -> Run:
        return self.engine.walk(run.id)

    def planned(self, run: Run) -> Run:
        """Its plan made, and not more: nobody confirms it."""
        seen: list[Run] = []
        engine = Engine(RUNBOOKS, self.ledger, self.settings, Anybody(), confirm=lambda now: bool(seen.append(now)))
        engine.walk(run.id)
        return seen[0]

    def dies(self, run: Run, where: str, when: str) -> None:
        """Walk it in a process that is killed right before or after that function (`tests.dying`)."""
        told = pickle.dumps((self.settings, run.id, where, when))
        done = forks.run([sys.executable, "-m", "tests.dying"], input=told, cwd=ROOT, timeout=90)
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]

    def marks(self, database: str = "") -> dict[str, str]:
        """Rows and hash of every table of the target, or of another database, whatever the order of its columns."""
        with psycopg.connect(with_database(self.url, database) if database else self.url) as conn:
            found = {}
            for table, columns in conn.execute(TABLES).fetchall():
                mark = "count(*) || ' ' || coalesce(sum(hashtextextended(x::text, 0)::numeric), 0)"
                row = conn.execute(f"SELECT {mark} FROM (SELECT {columns} FROM {table}) x".encode()).fetchone()
                found[table] = str(row)
            return found

    def kinds(self, run: Run) -> list[str]:
        return [event.kind for event in self.ledger.events(run.id)]

    # -- what a restore has made ---------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The target's database."""
        return str(conninfo_to_dict(self.url)["dbname"])

    def others(self) -> list[tuple[str, bool]]:
        """The databases beside the target that a restore has made: name, may people connect."""
        query = "SELECT datname, datallowconn FROM pg_database WHERE datname LIKE %s ORDER BY 1"
        with psycopg.connect(self.server.url()) as conn:
            return [(str(name), bool(yes)) for name, yes in conn.execute(query, [f"{self.name}\\_%"])]

    def drop_others(self) -> None:
        with psycopg.connect(self.server.url(), autocommit=True) as conn:
            for name, _ in self.others():
                conn.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
