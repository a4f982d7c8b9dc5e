"""Only what the rollback destroys, as it is before: for databases too big to dump, whose whole is backed up elsewhere.

Taken from one snapshot, without a lock, by the code that saves under the lock. Which rows the scripts will change in tables
that stay is not known before they run: of such a table all are taken.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from core import postgres, schema, scratch_copy
from core.backups import Copy, Need, affected, dump, fingerprints, partial_copy, programs
from core.backups.dump import Archive
from core.backups.proof import same_rows, unharmed
from core.backups.sizes import SQUEEZED, enough_room, last_of, weight
from core.errors import StepFailed
from core.ledger import now, stamp
from core.meter import Phase
from core.model import Json
from core.redact import pg_error
from core.runbook import Work
from core.settings import Target
from core.stopping import stoppable


class Scoped:
    """`verified` vouches for the backup of everything."""

    name = "scoped"
    restores = False

    def ready(self, target: Target, conn: postgres.Connection) -> str:
        at = programs.verified_at(target, now())
        return f"what a rollback destroys; the last verified backup of everything is {programs.old(now() - at)} old"

    def whole(self, evidence: Json) -> str:
        return f"The last backup of everything was verified elsewhere, as of {evidence['verified_at']}."

    def need(self, work: Work, conn: postgres.Connection) -> Need:
        return self._foretold(work, weight(conn, affected.items_of(conn, work.run.evidence["rehearse"])))

    def _foretold(self, work: Work, weighs: int) -> Need:
        last = last_of(work, self.name)
        if not last:
            size = int(weighs * SQUEEZED)
            return Need(size, size)
        size = int(last["bytes"] * weighs / last["size"])
        return Need(size, size, round(last["seconds"] * weighs / last["size"], 1))

    def elsewhere(self, work: Work) -> Json:
        """Of the backup of everything, for the evidence; `notes` at least. Raises StepFailed, Refused, Cancelled."""
        at = stamp(programs.verified_at(work.target, now()))
        return {"verified_at": at, "notes": [f"everything is in the backup of {at}, which `verified` vouches for"]}

    def take(self, work: Work, archive: Archive) -> Json:
        started, url = time.monotonic(), work.target.database_url.get_secret_value()
        whole, file = self.elsewhere(work), archive.backup(self.name)
        with postgres.target(url, work.run.id, work.target.name) as conn, stoppable(conn, work.cancelled):
            fingerprints.patient(conn)
            conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            seen, at = postgres.scalar(conn, "SELECT pg_current_snapshot()::text"), now()
            found = affected.items_of(conn, work.run.evidence["rehearse"])
            weighs = weight(conn, found)
            enough_room(archive.folder, int(weighs * SQUEEZED))
            foretold = self._foretold(work, weighs).bytes
            work.meter.show(Phase("written", "bytes", foretold, about=True, whole=True))
            with archive.writing(file) as out:
                affected.write(conn, work, found, out)
            tables = affected.marks(conn, work, found)
            held = schema.snapshot(conn)
        about = {"bytes": dump.size(file), "size": weighs}
        manifest = {
            "run": work.run.id,
            "target": work.target.name,
            "format": self.name,
            "snapshot": seen,
            "tables": tables,
            "schema": [[*key, text] for key, text in sorted(held.items())],
            "about": {**about, "seconds": round(time.monotonic() - started, 3)},
        }
        return {
            **whole,
            "format": self.name,
            "compression": "zstd:1",
            "tables": len(tables),
            "rows": sum(int(count) for count, _ in tables.values()),
            "taken_at": stamp(at),
            "bytes": about["bytes"],
            "sha256": dump.sha256(file),
            "manifest_sha256": dump.write_manifest(archive, manifest),
            "file": file.name,
        }

    @contextmanager
    def proven(self, work: Work, archive: Archive) -> Iterator[Copy]:
        work.meter.doing("checking the file")
        manifest, file = unharmed(archive, work.run.evidence["backup"]), archive.backup(self.name)
        fit = scratch_copy.scratch(work)
        with scratch_copy.copy(work, fit) as url:
            try:
                with postgres.connect(url, f"rollback-bot {work.run.id}", "the scratch server") as conn:
                    lies = partial_copy.load(conn, file, work.meter.show(Phase("restored", "bytes")))
                    work.meter.doing("bringing the rows that they refer to")
                    same_rows(manifest["tables"], lies.tables)
                    lacks = lies.lacks or partial_copy.complete(work, conn, file, lies.tables)
            except psycopg.Error as error:
                why = f"The backup could not be restored: {pg_error(error)}."
                raise StepFailed("E-BACKUP", why, "Production was not changed.") from None
            yield Copy(url, manifest["tables"], (*fit.notes, *partial_copy.notes(lies, lacks)), lacks, whole=False)
