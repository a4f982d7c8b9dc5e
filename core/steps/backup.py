"""Step 3: take the backup that we would put back."""

from __future__ import annotations

import psycopg

from core import pgtools, postgres, schema
from core.backups import dump
from core.backups.fingerprints import fingerprints, patient
from core.errors import StepFailed
from core.ledger import now, stamp
from core.model import Json
from core.redact import pg_error
from core.runbook import Work
from core.steps.rehearse import tools


def backup(work: Work) -> Json:
    """A dump of the whole database, on disk for good, with fingerprints of every table as of the same snapshot.

    Files of rollbacks that ended longer ago than their target keeps them are removed first.
    Raises StepFailed(E-BACKUP, E-DISK); nothing half-written stays.
    """
    archive = dump.Archive(work.settings.backup_dir, work.run.id)
    archive.prepare()
    try:
        with dump.disk():
            removed = dump.clean(archive.folder, work.outlived)
            evidence, manifest = taken(work, archive)
            size, digest = dump.settle(archive.partial, archive.file)
            manifested = dump.write_manifest(archive, manifest)
    except pgtools.ToolFailed as error:
        raise pgtools.stopped(error, "E-BACKUP", "The backup could not be made") from None
    except psycopg.Error as error:
        raise StepFailed(
            "E-BACKUP", f"The backup could not be made: {pg_error(error)}.", "Production was not changed."
        ) from None
    finally:
        archive.partial.unlink(missing_ok=True)
    about = {"bytes": size, "sha256": digest, "manifest_sha256": manifested, "file": archive.file.name}
    return {**evidence, **about, "removed": removed}


def taken(work: Work, archive: dump.Archive) -> tuple[Json, Json]:
    """Write the dump beside its place; evidence and manifest, all of one snapshot."""
    url = work.target.database_url.get_secret_value()
    with postgres.target(url, work.run.id, work.target.name) as conn:
        patient(conn)
        conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        query = "SELECT pg_export_snapshot(), pg_current_snapshot()::text, pg_database_size(current_database())"
        snapshot, seen, size = postgres.execute(conn, query)[0]
        archive.enough_room(size)
        at = now()
        compression = dump.dump(tools(work), url, snapshot, archive.partial, work.cancelled)
        tables = fingerprints(url, work.run.id, snapshot, cancelled=work.cancelled)
        held = schema.snapshot(conn)
        notes = dump.notes(conn)
    evidence = {
        "format": "custom",
        "compression": compression,
        "tables": len(tables),
        "rows": sum(int(count) for count, _ in tables.values()),
        "taken_at": stamp(at),
        "notes": notes,
    }
    schema_rows = [[*key, text] for key, text in sorted(held.items())]
    return evidence, {"run": work.run.id, "snapshot": seen, "tables": tables, "schema": schema_rows}
