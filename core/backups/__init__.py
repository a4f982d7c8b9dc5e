"""How a backup is taken, proven, kept and put back. The port is `Strategy`; `core.backups.strategies` has its adapters."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from core.backups.dump import Archive
    from core.model import Json
    from core.runbook import Work


@dataclass(frozen=True)
class Copy:
    """A scratch database in which the backup lies, compared.

    `tables`: rows and hash of what came back. `notes`: what was not proven, one sentence each.
    """

    url: str
    tables: Mapping[str, list[str]]
    notes: tuple[str, ...] = ()


class Strategy(Protocol):
    """One way of taking backups."""

    @property
    def name(self) -> str:
        """As `format` in the evidence."""

    def take(self, work: Work, archive: Archive) -> Json:
        """Take it, with its manifest beside it; its evidence. Repeated after a kill it begins anew.

        Raises StepFailed(E-BACKUP, E-DISK), ToolFailed, Cancelled, OSError, psycopg.Error; then nothing counts as a backup.
        """

    def proven(self, work: Work, archive: Archive) -> AbstractContextManager[Copy]:
        """The backup in a scratch database, compared with what was there when it was taken; gone with the block.

        Raises StepFailed(E-BACKUP, E-SCRATCH), Refused(E-SCRATCH), Cancelled.
        """
