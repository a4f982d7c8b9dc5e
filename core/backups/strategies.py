"""The adapters of the port."""

from __future__ import annotations

from core.backups.custom import Custom
from core.backups.directory import Directory
from core.backups.full import Full
from core.settings import Target


def of(target: Target) -> Full:
    """How a target's next backup is taken."""
    return named(target.backup.format, target.backup.jobs)


def named(name: str, jobs: int = 2) -> Full:
    """The strategy that has taken a backup, by the `format` in its evidence: the settings may have changed since."""
    return Full(Directory(jobs) if name == "directory" else Custom())
