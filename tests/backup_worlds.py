"""One small world for each strategy of backups, plain and encrypted: settings, keys, and programs on PATH."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pyrage
import pytest

from core.desk import Desk
from core.driving import Nobody
from core.engine import Engine
from core.ledger import Ledger, now
from core.model import Run
from core.refusals import WayBack
from core.roll_back import RUNBOOKS
from core.runbook import Work
from core.settings import Backup, Encrypt, Settings
from demo.postgres import Server
from tests.execute_stand import ANA, LATEST, Stand

STAND_IN = Path(__file__).parent / "backup_programs" / "age.py"
WORLDS = ("custom", "custom+age", "directory", "scoped", "scoped+gpg", "command")
"""Each strategy, each tool that encrypts, a whole and a part of a database encrypted."""
NAME = "gpg-for-tests@example.org"


@dataclass(frozen=True)
class Keys:
    """What encrypts and decrypts, by tool; `bin` holds a stand-in where `age` is not installed."""

    folder: Path

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    def encrypt(self, tool: str) -> Encrypt:
        """The settings of a target."""
        if tool == "gpg":
            if shutil.which("gpg") is None:
                pytest.skip("gpg is not installed")
            return Encrypt("gpg", NAME, self.folder)
        recipient = (self.folder / "age.pub").read_text()
        return Encrypt("age", recipient, self.folder / "age.key")


@contextmanager
def keys(folder: Path) -> Iterator[Keys]:
    """A key pair for each tool; gpg's agent ends with the block."""
    folder.chmod(0o700)
    (folder / "bin").mkdir()
    if shutil.which("age") is None:
        program(folder / "bin" / "age", f'exec {sys.executable} -E {STAND_IN} "$@"')
    identity = pyrage.x25519.Identity.generate()
    (folder / "age.key").write_text(f"# for tests\n{identity}\n")
    (folder / "age.pub").write_text(str(identity.to_public()))
    if shutil.which("gpg"):
        gpg = ["gpg", "--homedir", str(folder), "--batch", "--quiet", "--passphrase", ""]
        subprocess.run(
            [*gpg, "--quick-gen-key", NAME, "future-default", "default", "never"], check=True, capture_output=True
        )
    yield Keys(folder)
    if shutil.which("gpgconf"):
        subprocess.run(["gpgconf", "--homedir", str(folder), "--kill", "all"], check=True, capture_output=True)


def program(file: Path, body: str) -> Path:
    """An executable shell script."""
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return file


@dataclass(frozen=True)
class World:
    """A target whose plan is approved, with one strategy, and a backup folder of its own."""

    name: str
    run: Run
    stand: Stand
    folder: Path
    keys: Keys

    @property
    def backups(self) -> Path:
        return self.folder / "backups"

    @property
    def settings(self) -> Settings:
        return replace(self.stand.settings, backup_dir=self.backups)

    def work(self, **backup: object) -> Work:
        """`backup`: other settings of the strategy."""
        form, _, tool = self.name.partition("+")
        given = {
            "custom": {"kind": "dump", "format": "custom"},
            "directory": {"kind": "dump", "format": "directory"},
            "scoped": {"kind": "scoped", "verified": (str(self.program("verified", "echo 3600")),)},
            "command": {
                "kind": "command",
                "take": (str(self.program("take", 'echo "taking"; echo "nightly-7 of $RB_TARGET for $RB_RUN"')),),
                "verify": (str(self.program("verify", 'test "$RB_BACKUP" = "nightly-7 of production for RB-7K3M"')),),
            },
        }[form]
        target = replace(
            self.stand.target,
            backup=Backup(**{**given, **backup}),  # type: ignore[arg-type]
            encrypt=self.keys.encrypt(tool) if tool else None,
        )
        return Work(self.run, target, self.settings)

    def program(self, name: str, body: str) -> Path:
        file = self.folder / name
        return file if file.exists() else program(file, body)

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


class Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = now()

    def __call__(self) -> datetime:
        return self.now


class Trip:
    """A target that needs no approvals, walked to the end; `more` are its settings."""

    def __init__(self, server: Server, url: str, folder: Path, **more: Any) -> None:
        self.stand, self.clock = Stand(server, url, folder), Time()
        self.ledger = Ledger(self.stand.settings.ledger, self.clock)
        self.use(**more)

    def use(self, **more: Any) -> None:
        """Start again with other settings."""
        self.target = replace(self.stand.target, approvals=0, **more)
        self.settings = replace(self.stand.settings, targets={"production": self.target})
        self.desk = Desk(self.ledger, self.settings)
        self.engine = Engine(RUNBOOKS, self.ledger, self.settings, Nobody(), confirm=lambda run: True)

    def roll_back(self) -> Run:
        return self.engine.walk(self.desk.ask(LATEST, self.target, ANA).id)

    def back(self, kind: WayBack, run: Run) -> Run:
        return self.engine.walk(self.desk.way_back(kind, run.id, self.target, ANA).id)

    def rows(self) -> list[tuple[Any, ...]]:
        """What the newest migration keeps."""
        return self.stand.sql("SELECT * FROM stripe_events ORDER BY 1")
