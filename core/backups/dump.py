"""A full backup with pg_dump, custom format: written aside, fsynced, hashed, then renamed into place.

A killed pg_dump leaves a plausible file: only a renamed one with its manifest beside it is a backup. The rows are
fingerprinted in the very snapshot that pg_dump reads, so that the test restore can be compared exactly.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, LiteralString

from psycopg import sql

from core import postgres, schema
from core.errors import StepFailed
from core.model import Json
from core.pgtools import ToolFailed, Tools

COMPRESSIONS = ("zstd:1", "lz4", "1")
"""Best first; the default gzip takes eight times as long. Which ones a pg_dump knows depends on its build."""

TABLES: LiteralString = """
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
       AND n.nspname !~ '^pg_(toast|temp)'
       AND NOT EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
     ORDER BY 1"""


@dataclass(frozen=True)
class Archive:
    """Where a run's backup lies: `RB-….dump` and its manifest `RB-….json`."""

    folder: Path
    run: str

    @property
    def file(self) -> Path:
        return self.folder / f"{self.run}.dump"

    @property
    def partial(self) -> Path:
        """The dump while it is being written."""
        return self.folder / f"{self.run}.partial"

    @property
    def manifest(self) -> Path:
        return self.folder / f"{self.run}.json"

    @property
    def saved(self) -> Path:
        """What the scripts destroyed, copied out before."""
        return self.folder / f"{self.run}.saved"

    @property
    def aside(self) -> Path:
        """Saved rows that did not fit when they were put back."""
        return self.folder / f"{self.run}.aside"

    @property
    def schema(self) -> Path:
        """The schema as it must be after the rollback."""
        return self.folder / f"{self.run}.after.json"

    @contextmanager
    def writing(self, file: Path) -> Iterator[IO[bytes]]:
        """A file for us alone that is there whole or not at all: the writer syncs it, then it is renamed into place."""
        partial = file.with_name(f"{file.name}.partial")
        try:
            partial.unlink(missing_ok=True)
            partial.touch(mode=0o600)
            with partial.open("wb") as out:
                yield out
            partial.rename(file)
            sync(file.parent)
        finally:
            partial.unlink(missing_ok=True)

    def prepare(self) -> None:
        """The folder, writable, for us alone. Raises StepFailed(E-BACKUP)."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            probe = self.folder / f".{self.run}.probe"
            probe.write_bytes(b"")
            probe.unlink()
            self.partial.unlink(missing_ok=True)  # a pg_dump that outlived a killed bot may still write to that one
            self.partial.touch(mode=0o600)  # for us alone from its first byte
        except OSError as error:
            why = os.strerror(error.errno or 0).lower()
            raise StepFailed(
                "E-BACKUP",
                f"I cannot write to the backup folder: {why}. Production was not changed.",
                "Check `backup_dir`.",
            ) from None

    def enough_room(self, needed: int) -> None:
        """Raises StepFailed(E-DISK) where fewer than `needed` bytes are free."""
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise StepFailed(
                "E-DISK",
                f"The backup needs up to {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB is free. Production was not changed.",
                "Free the disk, or set `backup_dir` to a bigger one.",
            )


OURS = re.compile(r"(RB-[2-9A-Z]{4})\.(?:partial|(?:dump|json|after\.json|saved|aside)(?:\.partial)?)")
"""The names of our files in the backup folder."""


def clean(folder: Path, outlived: Callable[[str], bool]) -> list[str]:
    """Remove our files of the runs that have `outlived` their use; their names. Others' files are never touched."""
    found = [(path, match[1]) for path in sorted(folder.iterdir()) if (match := OURS.fullmatch(path.name))]
    gone = {run for run in {run for _, run in found} if outlived(run)}
    removed = []
    for path, run in found:
        if run in gone and path.is_file() and not path.is_symlink():
            with suppress(OSError):  # what cannot be removed today is tried again with the next backup
                path.unlink()
                removed.append(path.name)
    return removed


@contextmanager
def disk() -> Iterator[None]:
    """Turn the backup folder's refusals into one sentence. Raises StepFailed(E-DISK) where it is full, else E-BACKUP."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "Free the disk, or set `backup_dir` to a bigger one." if full else "Check `backup_dir`."
        why = os.strerror(error.errno or 0).lower()
        raise StepFailed(
            "E-DISK" if full else "E-BACKUP", f"The backup folder refuses: {why}. Production was not changed.", hint
        ) from None


def dump(tools: Tools, url: str, snapshot: str, file: Path, cancelled: Callable[[], bool]) -> str:
    """Write the dump of one snapshot to `file`; the compression that was used. Raises ToolFailed."""
    for compression in COMPRESSIONS if tools.major >= 16 else COMPRESSIONS[-1:]:
        arguments = ["-Fc", "-Z", compression, f"--snapshot={snapshot}", "--lock-wait-timeout=10s", "-f", str(file)]
        try:
            tools.run("pg_dump", arguments, url, cancelled)
        except ToolFailed as error:
            if compression != COMPRESSIONS[-1] and "compress" in error.said:
                continue
            raise
        return "gzip:1" if compression == "1" else compression
    raise AssertionError("the last compression is always known")


def settle(partial: Path, final: Path) -> tuple[int, str]:
    """fsync, hash, rename, fsync the folder; size in bytes and SHA-256."""
    digest = sha256(partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
    partial.rename(final)
    sync(final.parent)
    return size, digest


def sync(folder: Path) -> None:
    """Names in a folder are durable only when the folder itself is synced."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sha256(file: Path) -> str:
    """SHA-256 of a file, in constant memory."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(archive: Archive, manifest: Json) -> str:
    """Write what the backup holds beside it; SHA-256 of the text."""
    return write(archive.manifest, json.dumps(manifest, sort_keys=True))


def write(file: Path, text: str) -> str:
    """Write a text whole or not at all, for us alone; its SHA-256. Raises OSError."""
    partial = file.with_name(f"{file.name}.partial")
    try:
        partial.touch(mode=0o600)
        partial.write_text(text)
        return settle(partial, file)[1]
    finally:
        partial.unlink(missing_ok=True)


def fingerprints(url: str, run: str, snapshot: str | None = None, workers: int = 2) -> dict[str, list[str]]:
    """Rows and hash of each table, by its qualified and quoted name: [count, sum of row hashes].

    Reads in `snapshot` (exported by another transaction), or as of now. Text forms are pinned, so that two servers
    print the same row the same way.
    """
    with _reader(url, run, snapshot) as conn:
        tables = [row[0] for row in postgres.execute(conn, TABLES)]
    shares = [tables[i::workers] for i in range(workers)]
    with ThreadPoolExecutor(workers) as pool:
        parts = pool.map(lambda share: fingerprint(url, run, share, snapshot), shares)
    return {name: mark for part in parts for name, mark in sorted(part.items())}


def fingerprint(url: str, run: str, tables: Sequence[str], snapshot: str | None = None) -> dict[str, list[str]]:
    """The same for some tables."""
    marks: dict[str, list[str]] = {}
    if not tables:
        return marks
    query = sql.SQL(
        # `(t.*)`: the row, also where a column is called t
        "SELECT count(*)::text, coalesce(sum(hashtextextended((t.*)::text, 0)::numeric), 0)::text FROM ONLY {} t"
    )
    with _reader(url, run, snapshot) as conn:
        for table in tables:
            row = conn.execute(query.format(sql.Identifier(*schema.names(table)))).fetchone()
            marks[table] = list(row or ())
    return marks


def patient(conn: postgres.Connection) -> None:
    """No time limits of the role or the database, as in pg_dump: reading everything may take long, and idling for it."""
    for name in ("statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"):
        conn.execute("SELECT set_config(name, '0', false) FROM pg_settings WHERE name = %s", [name])


class _reader:
    """A read-only transaction, in an exported snapshot where one is given."""

    def __init__(self, url: str, run: str, snapshot: str | None) -> None:
        self.conn = postgres.connect(url, f"rollback-bot {run} reading")
        patient(self.conn)
        self.snapshot = snapshot

    def __enter__(self) -> postgres.Connection:
        self.conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if self.snapshot:
            self.conn.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(self.snapshot)))
        postgres.settle(self.conn, postgres.PRINTED)
        return self.conn

    def __exit__(self, *_: object) -> None:
        self.conn.close()


def notes(conn: postgres.Connection) -> list[str]:
    """What the backup holds and the test restore does not compare, one sentence each."""
    count = postgres.execute(conn, "SELECT count(*) FROM pg_largeobject_metadata")[0][0]
    return [f"{count:,} large objects are in the backup; the test restore does not compare them"] if count else []


def restore(tools: Tools, file: Path, url: str, options: list[str], cancelled: Callable[[], bool]) -> None:
    """Put a backup into an empty database. Raises ToolFailed at the first error."""
    jobs = str(min(4, os.cpu_count() or 1))
    tools.run("pg_restore", ["--exit-on-error", "-j", jobs, *options, str(file)], url, cancelled)
