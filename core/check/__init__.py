"""`rollback check`: can every migration of a folder be undone? Tried on a scratch server, without any target.

Each migration is applied, undone and applied again; the schema is compared each time. `core.check.walk.check` does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.schema import Change

Verdict = Literal["exact", "cosmetic", "differs", "fails", "missing", "empty", "irreversible"]
VERDICTS: tuple[Verdict, ...] = ("exact", "cosmetic", "differs", "fails", "missing", "empty", "irreversible")


@dataclass(frozen=True)
class Checked:
    """What was found about one migration.

    `problem`: why it fails or could not be tried, in one sentence; empty otherwise. `differences`: the schema after the
    rollback against the one from before. `reapplies`: does the migration apply again afterwards and leave the same
    schema; None where that was not tried; `again`: why not. `notes` are for people. `seconds` for this migration.
    `forward` and `rollback`: SHA-256 of its scripts, as hexadecimal digits; empty where there is none.
    """

    id: str
    verdict: Verdict
    problem: str = ""
    differences: tuple[Change, ...] = ()
    reapplies: bool | None = None
    again: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    forward: str = ""
    rollback: str = ""

    @property
    def undone_wrong(self) -> bool:
        """Would the rollback itself go wrong? What is declared irreversible, or cosmetic, is no finding."""
        return self.verdict in ("differs", "fails", "missing") or (self.verdict == "empty" and bool(self.differences))

    @property
    def harmful(self) -> bool:
        """Would a rollback, or the way forward after it, go wrong?"""
        return self.undone_wrong or self.reapplies is False


@dataclass(frozen=True)
class Report:
    """All findings, oldest migration first. `server`: the scratch server's version; `seconds` for the whole."""

    layout: str
    server: str
    migrations: tuple[Checked, ...]
    seconds: float

    @property
    def harmful(self) -> int:
        """How many migrations could not be undone as they should."""
        return sum(one.harmful for one in self.migrations)
