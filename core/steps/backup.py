"""Step 3: take the backup that we would put back."""

from __future__ import annotations

import psycopg

from core import pgtools
from core.backups import dump, strategies
from core.errors import StepFailed
from core.model import Json
from core.redact import pg_error
from core.runbook import Work


def backup(work: Work) -> Json:
    """A backup by the target's strategy, on disk for good, with fingerprints of what is in it as of the same snapshot.

    Files of rollbacks that ended longer ago than their target keeps them are removed first.
    Raises StepFailed(E-BACKUP, E-DISK), Refused; nothing half-written stays.
    """
    strategy, archive = strategies.of(work.target), dump.archive_of(work)
    archive.prepare()
    try:
        with dump.disk(), dump.or_nothing(archive):
            removed = work.clean()
            evidence = strategy.take(work, archive)
    except pgtools.ToolFailed as error:
        raise pgtools.stopped(error, "E-BACKUP", "The backup could not be made") from None
    except psycopg.Error as error:
        raise StepFailed(
            "E-BACKUP", f"The backup could not be made: {pg_error(error)}.", "Production was not changed."
        ) from None
    encrypted = archive.cipher.tool if archive.cipher else None
    return {**evidence, "restores": strategy.restores, "encrypted": encrypted, "removed": removed}
