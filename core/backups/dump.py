"""A full backup with pg_dump, custom format: written aside, fsynced, hashed, then renamed into place.

A killed pg_dump leaves a plausible file: only a renamed one with its manifest beside it is a backup.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from core import postgres
from core.errors import StepFailed
from core.model import Json
from core.pgtools import ToolFailed, Tools

COMPRESSIONS = ("zstd:1", "lz4", "1")
"""Best first; the default gzip takes eight times as long. Which ones a pg_dump knows depends on its build."""


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


def notes(conn: postgres.Connection) -> list[str]:
    """What the backup holds and the test restore does not compare, one sentence each."""
    count = postgres.execute(conn, "SELECT count(*) FROM pg_largeobject_metadata")[0][0]
    return [f"{count:,} large objects are in the backup; the test restore does not compare them"] if count else []


def restore(tools: Tools, file: Path, url: str, options: list[str], cancelled: Callable[[], bool]) -> None:
    """Put a backup into an empty database. Raises ToolFailed at the first error."""
    jobs = str(min(4, os.cpu_count() or 1))
    tools.run("pg_restore", ["--exit-on-error", "-j", jobs, *options, str(file)], url, cancelled)
