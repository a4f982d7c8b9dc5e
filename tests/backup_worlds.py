"""One small world for each strategy of backups."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from core.model import Run
from core.runbook import Work
from core.settings import Backup, Settings
from demo.postgres import Server
from tests.execute_stand import Stand

WORLDS = ("custom", "directory")


@dataclass(frozen=True)
class World:
    """A target whose plan is approved, with one strategy, and a backup folder of its own."""

    name: str
    run: Run
    stand: Stand
    folder: Path

    @property
    def backups(self) -> Path:
        return self.folder / "backups"

    @property
    def settings(self) -> Settings:
        return replace(self.stand.settings, backup_dir=self.backups)

    def work(self, **backup: object) -> Work:
        """`backup`: other settings of the strategy."""
        chosen = Backup(**{"format": self.name, **backup})  # type: ignore[arg-type]
        target = replace(self.stand.target, backup=chosen)
        return Work(self.run, target, self.settings)

    def files(self) -> list[str]:
        return sorted(path.name for path in self.backups.iterdir())

    def lock(self) -> psycopg.Connection[tuple[object, ...]]:
        """Somebody holds a table that every strategy reads."""
        conn = psycopg.connect(self.stand.url)
        conn.execute("LOCK TABLE stripe_events")
        return conn


@contextmanager
def approved(server: Server, template: str, folder: Path) -> Iterator[tuple[Stand, Run]]:
    """A database of its own with an approved plan, for tests that only read it."""
    name = f"contract_{folder.name.replace('-', '_')}"
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    stand = Stand(server, server.url(name), folder)
    yield stand, stand.approved().run
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
