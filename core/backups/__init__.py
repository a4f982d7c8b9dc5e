"""How a backup is taken, proven, kept and put back. The port is `Strategy`; `core.backups.strategies` has its adapters."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from core.backups.dump import Archive
    from core.model import Json
    from core.postgres import Connection
    from core.runbook import Work
    from core.settings import Target


@dataclass(frozen=True)
class Need:
    """What a backup will take. `bytes`: its size; `room`: what must be free meanwhile; `seconds`: None where nothing tells."""

    bytes: int
    room: int
    seconds: float | None = None


@dataclass(frozen=True)
class Copy:
    """A scratch database in which the backup lies, compared.

    `tables`: rows and hash of what came back. `notes`: what was not proven, one sentence each. `whole`: everything that the
    target held is there. `lacks`: why a re-apply cannot be tried there; empty where it can.
    """

    url: str
    tables: Mapping[str, list[str]]
    notes: tuple[str, ...] = ()
    lacks: str = ""
    whole: bool = True


class Strategy(Protocol):
    """One way of taking backups. `restores`: what it takes can be put back as a whole database."""

    @property
    def name(self) -> str:
        """As `format` in the evidence."""

    @property
    def restores(self) -> bool: ...

    def ready(self, target: Target, conn: Connection) -> str:
        """Can it be taken? What `doctor` says of it. `conn` is the target. Raises Refused(E-BACKUP)."""

    def whole(self, evidence: Json) -> str:
        """Where the backup of everything is, as a sentence; `evidence` is what `take` gave."""

    def need(self, work: Work, conn: Connection) -> Need:
        """What it will take, by what the rehearsal saw go and what the last one took. Raises Refused(E-TOOLS)."""

    def take(self, work: Work, archive: Archive) -> Json:
        """Take it, with its manifest beside it; its evidence. Repeated after a kill it begins anew.

        Raises StepFailed(E-BACKUP, E-DISK), ToolFailed, Cancelled, OSError, psycopg.Error; then nothing counts as a backup.
        """

    def proven(self, work: Work, archive: Archive) -> AbstractContextManager[Copy]:
        """The backup in a scratch database, compared with what was there when it was taken; gone with the block.

        Raises StepFailed(E-BACKUP, E-SCRATCH), Refused(E-SCRATCH), Cancelled.
        """
