"""A target with an approved plan, and a wire that can be cut, for the tests of the steps."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from core import survey
from core.model import Person, Request, Run, State
from core.redact import SecretStr
from core.runbook import Work
from core.settings import Settings, Target
from demo.app import sample
from demo.postgres import Server

ANA = Person("U0ANA", "Ana")
RUN = "RB-7K3M"
LATEST = Request("latest")


class Stand:
    """A target, and a plan for it that was approved."""

    def __init__(
        self,
        server: Server,
        url: str,
        folder: Path,
        migrations: Path = sample.MIGRATIONS,
        through: str = "",
        **more: Any,
    ) -> None:
        self.url, self.server = url, server
        self.settings = Settings(backup_dir=folder / "backups", ledger=folder / "ledger.db", pg_bin=server.bin_dir)
        self.settings.backup_dir.mkdir(parents=True)
        self.target = Target(
            "production", SecretStr(through or url), SecretStr(server.url()), migrations, approvers=("U0BOB",),
            lock_timeout=timedelta(milliseconds=300), lock_wait=timedelta(milliseconds=600), **more,
        )  # fmt: skip

    def approved(self, request: Request = LATEST, **more: Any) -> Work:
        """Identified, rehearsed, and with its digest."""
        run = survey.preview(request, self.target, self.settings, ANA, datetime.now(UTC))
        return self.work(replace(run, id=RUN, state=State.EXECUTING, **more))

    def work(self, run: Run, **target: Any) -> Work:
        return Work(run, replace(self.target, **target), self.settings)

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        """By somebody else, committed."""
        rows: list[tuple[Any, ...]] = []
        with psycopg.connect(self.url, autocommit=True) as conn:
            for statement in statements:
                cursor = conn.execute(statement.encode())
                rows = cursor.fetchall() if cursor.description else []
        return rows

    def applied(self) -> list[str]:
        return [row[0] for row in self.sql("SELECT version FROM schema_migrations ORDER BY 1")]

    def tables(self) -> set[str]:
        return {
            row[0]
            for row in self.sql(
                "SELECT relname FROM pg_class WHERE relkind IN ('r','m') AND relnamespace = 'public'::regnamespace"
            )
        }

    def marked(self) -> bool:
        if self.sql("SELECT to_regclass('rollback_bot.marker')") == [(None,)]:
            return False
        return self.sql("SELECT run FROM rollback_bot.marker") == [(RUN,)]

    def unchanged(self) -> None:
        """Tables, history row and marker stand or fall together."""
        assert (not self.marked()) and self.applied()[-1] == "012" and "stripe_events" in self.tables()

    def gone(self) -> None:
        assert self.marked() and self.applied()[-1] == "011" and "stripe_events" not in self.tables()


class Wire:
    """A proxy before PostgreSQL that does something when it sees a query, once: `at` is a part of its text."""

    def __init__(self, server: Server, at: bytes, act: Callable[[socket.socket, socket.socket, bytes], None]) -> None:
        self.server, self.at, self.act, self.acted = server, at, act, False
        self.folder = Path(tempfile.mkdtemp(prefix="wire"))
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.folder / f".s.PGSQL.{server.port}"))
        self.listener.listen()
        self.armed = self.ripe = False
        self.broken = 0
        self.ends: list[socket.socket] = [self.listener]
        threading.Thread(target=self.accept, daemon=True).start()

    def url(self, url: str) -> str:
        return url.replace(str(self.server.socket_dir).replace("/", "%2F"), str(self.folder)).replace(
            str(self.server.socket_dir), str(self.folder)
        )

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            upstream = socket.socket(socket.AF_UNIX)
            upstream.connect(str(self.server.socket_dir / f".s.PGSQL.{self.server.port}"))
            self.ends += [client, upstream]
            for one, other, out in ((client, upstream, True), (upstream, client, False)):
                threading.Thread(target=self.pump, args=(one, other, out), daemon=True).start()

    def pump(self, one: socket.socket, other: socket.socket, out: bool) -> None:
        try:
            while data := one.recv(65536):
                self.ripe = self.ripe or b"INSERT INTO rollback_bot" in data
                hit = self.at in data and (self.ripe or self.at != b"COMMIT")  # other COMMITs come before the one
                if out and self.armed and not self.acted and hit:
                    self.acted = True
                    self.act(one, other, data)
                    return
                other.sendall(data)
        except OSError:  # the other end is gone: so is this one
            self.broken += 1
        for end in (one, other):
            shut(end)

    def close(self) -> None:
        for end in self.ends:
            shut(end)
            end.close()
        shutil.rmtree(self.folder)


def shut(end: socket.socket) -> None:
    with suppress(OSError):  # closed already
        end.shutdown(socket.SHUT_RDWR)
