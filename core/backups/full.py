"""All of the database by pg_dump, with fingerprints of every table as of the very snapshot that pg_dump reads.

So the test restore is compared exactly, while the application goes on writing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from core import pgtools, postgres, schema
from core.backups import Copy, Need, dump
from core.backups.dump import Archive
from core.backups.fingerprints import fingerprints, patient, reading
from core.backups.proof import same_rows, same_schema, unharmed
from core.backups.sizes import enough_room, last_of
from core.ledger import now, stamp
from core.meter import Meter, Phase
from core.model import Json
from core.pgtools import Tools
from core.runbook import Work
from core.scratch_copy import ownership, scratch, tools, without_owners
from core.scratch_extensions import Lacking
from core.settings import Target


class Format(Protocol):
    """What pg_dump writes. `ratio`, `plain`: sizes as parts of the database's, until a backup has told better.

    `about`: bytes, as in the manifest; for `write` only foretold.
    """

    @property
    def name(self) -> str: ...
    @property
    def ratio(self) -> float: ...
    @property
    def plain(self) -> float: ...

    def write(
        self,
        tools: Tools,
        url: str,
        snapshot: str,
        archive: Archive,
        cancelled: Callable[[], bool],
        meter: Meter,
        about: Json,
    ) -> Json: ...

    def load(
        self,
        tools: Tools,
        archive: Archive,
        url: str,
        options: list[str],
        lacking: Lacking,
        cancelled: Callable[[], bool],
        meter: Meter,
        about: Json,
    ) -> None: ...


@dataclass(frozen=True)
class Full:
    """A whole dump, in one of the formats."""

    form: Format
    restores = True

    @property
    def name(self) -> str:
        return self.form.name

    def ready(self, target: Target, conn: postgres.Connection) -> str:
        return f"a dump of all of the database, {self.name} format"

    def whole(self, evidence: Json) -> str:
        return f"It is everything, as of {evidence['taken_at']}."

    def need(self, work: Work, conn: postgres.Connection) -> Need:
        tools(work)
        size = postgres.scalar(conn, "SELECT pg_database_size(current_database())")
        return self._need(work, self._foretold(work, size))

    def _need(self, work: Work, about: Json) -> Need:
        plain, seconds = 0 if work.target.encrypt else about["plain"], about["seconds"]
        return Need(int(about["bytes"]), int(about["bytes"] + plain), seconds and round(seconds, 1))

    def _foretold(self, work: Work, size: int) -> Json:
        """From the last backup of this target and format, in proportion, else from what is usual."""
        last = last_of(work, self.name)
        if last:
            return {name: last[name] * size / last["size"] for name in ("bytes", "plain", "seconds")}
        return {"bytes": size * self.form.ratio, "plain": size * self.form.plain, "seconds": None}

    def take(self, work: Work, archive: Archive) -> Json:
        """A dump with its manifest; both on disk for good."""
        started, url = time.monotonic(), work.target.database_url.get_secret_value()
        with postgres.target(url, work.run.id, work.target.name) as conn:
            patient(conn)
            conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            query = "SELECT pg_export_snapshot(), pg_current_snapshot()::text, pg_database_size(current_database())"
            snapshot, seen, size = postgres.execute(conn, query)[0]
            foretold = self._foretold(work, size)
            enough_room(archive.folder, self._need(work, foretold).room)
            at, hashed = now(), Phase("hashed", "table")
            with reading(url, work.run.id, snapshot, workers=1, phase=hashed) as marks:
                how = self.form.write(tools(work), url, snapshot, archive, work.cancelled, work.meter, foretold)
                work.meter.show(hashed)
                tables = marks(work.cancelled)
            held = schema.snapshot(conn)
            notes = uncompared(conn)
        work.meter.doing("hashing the file")
        file = archive.backup(self.name)
        about = {"bytes": dump.size(file), "plain": how["plain"], "size": size}
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
            "format": self.name,
            "compression": how["compression"],
            "tables": len(tables),
            "rows": sum(int(count) for count, _ in tables.values()),
            "taken_at": stamp(at),
            "notes": notes,
            "bytes": about["bytes"],
            "sha256": dump.sha256(file),
            "manifest_sha256": dump.write_manifest(archive, manifest),
            "file": file.name,
        }

    @contextmanager
    def proven(self, work: Work, archive: Archive) -> Iterator[Copy]:
        work.meter.doing("checking the file")
        manifest = unharmed(archive, work.run.evidence["backup"])
        fit = scratch(work)
        bare = without_owners(work, fit)
        left_out = [f"owners and privileges were left out: {bare}"] if bare else []
        with postgres.scratch(fit.scratch.url, work.run.id, "restored") as url:
            self.put(work, archive, manifest, url, bare=bool(bare), lacking=fit.lacking)
            yield Copy(url, manifest["tables"], (*left_out, *fit.notes))

    def put(
        self,
        work: Work,
        archive: Archive,
        manifest: Json,
        url: str,
        bare: bool = False,
        lacking: Lacking = Lacking(),  # noqa: B008  # frozen
    ) -> None:
        """Into the empty database at `url`, and compared. `bare`: without owners and privileges; `lacking`: without these.

        Raises StepFailed(E-BACKUP, E-DISK), Cancelled.
        """
        try:
            with dump.disk():
                options, about = ownership("asked for" if bare else ""), manifest.get("about", {})
                self.form.load(tools(work), archive, url, options, lacking, work.cancelled, work.meter, about)
        except pgtools.ToolFailed as error:
            raise pgtools.stopped(error, "E-BACKUP", "The backup could not be restored") from None
        compared = work.meter.show(Phase("compared", "table"))
        same_rows(manifest["tables"], fingerprints(url, work.run.id, cancelled=work.cancelled, phase=compared))
        with postgres.connect(url, f"rollback-bot {work.run.id}") as conn:
            same_schema(manifest["schema"], schema.snapshot(conn), bare, lacking)


def uncompared(conn: postgres.Connection) -> list[str]:
    """What the backup holds and the test restore does not compare, one sentence each."""
    count = postgres.scalar(conn, "SELECT count(*) FROM pg_largeobject_metadata")
    return [f"{count:,} large objects are in the backup; the test restore does not compare them"] if count else []
