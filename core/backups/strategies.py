"""The adapters of the port."""

from __future__ import annotations

from core.backups import Strategy
from core.backups.command import Command
from core.backups.custom import Custom
from core.backups.directory import Directory
from core.backups.full import Full
from core.backups.scoped import Scoped
from core.settings import Target


def of(target: Target) -> Strategy:
    """How a target's next backup is taken."""
    return named(target.backup.name, target.backup.jobs)


def named(name: str, jobs: int = 2) -> Strategy:
    """The strategy that has taken a backup, by the `format` in its evidence: the settings may have changed since."""
    match name:
        case "directory":
            return Full(Directory(jobs))
        case "scoped":
            return Scoped()
        case "command":
            return Command()
        case _:
            return Full(Custom())
