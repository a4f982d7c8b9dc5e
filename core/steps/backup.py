"""Step 3: take the backup that we would put back."""

from __future__ import annotations

import psycopg

from core import pgtools, postgres, schema
from core.backups import dump
from core.errors import StepFailed
from core.ledger import now, stamp
from core.model import Json
from core.redact import pg_error
from core.runbook import Work
from core.steps.rehearse import tools


def backup(work: Work) -> Json:
    """A dump of the whole database, on disk for good, with fingerprints of every table as of the same snapshot."""
    archive = dump.Archive(work.settings.backup_dir, work.run.id)
    archive.prepare()
    url = work.target.database_url.get_secret_value()
    partial = archive.file.with_suffix(".partial")
    try:
        with postgres.target(url, work.run.id, work.target.name) as conn:
            conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            snapshot, size = postgres.execute(
                conn, "SELECT pg_export_snapshot(), pg_database_size(current_database())"
            )[0]
            archive.enough_room(size)
            taken = now()
            compression = dump.dump(tools(work), url, snapshot, partial, work.cancelled)
            partial.chmod(0o600)
            tables = dump.fingerprints(url, work.run.id, snapshot)
            held = schema.snapshot(conn)
    except pgtools.ToolFailed as error:
        raise pgtools.stopped(error, "E-BACKUP", "The backup could not be made") from None
    except psycopg.Error as error:
        raise StepFailed(
            "E-BACKUP", f"The backup could not be made: {pg_error(error)}.", "Production was not changed."
        ) from None
    finally:
        done = partial.exists() and "held" in locals()
        if not done:
            partial.unlink(missing_ok=True)
    size, digest = dump.settle(partial, archive.file)
    manifest = {"run": work.run.id, "tables": tables, "schema": [[*key, text] for key, text in sorted(held.items())]}
    return {
        "bytes": size,
        "sha256": digest,
        "manifest_sha256": dump.write_manifest(archive, manifest),
        "format": "custom",
        "compression": compression,
        "tables": len(tables),
        "rows": sum(int(count) for count, _ in tables.values()),
        "taken_at": stamp(taken),
        "file": archive.file.name,
    }
