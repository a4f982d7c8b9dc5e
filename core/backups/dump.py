"""The files of the backup folder: written aside, synced, hashed, renamed into place; so each is there whole or not at all.

A killed pg_dump leaves a plausible file: only what was renamed, with its manifest beside it, is a backup.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PosixPath
from typing import IO, Any

from core.backups.encryption import REMEDY, Cipher, cipher_of, opened
from core.errors import StepFailed
from core.model import Json
from core.runbook import Work
from core.save.archive import Damaged

ENDINGS = {"custom": "dump", "directory": "dir", "scoped": "scoped", "command": "scoped"}
"""The end of a backup's name, by its format."""
OURS = re.compile(
    r"((?:RB|BK)-[2-9A-Z]{4})\.(?:[a-z0-9_]{8}\.partial|(?:dump|dir|scoped|json|after\.json|saved|aside)(?:\.partial)?)"
)
"""The names of our files in the backup folder."""
PARTIAL = ".partial"


class Readable(PosixPath):
    """A file that is read through the tool that encrypted it, where one did."""

    cipher: Cipher | None = None

    def open(self, mode: str = "r", *args: Any, **more: Any) -> IO[Any]:  # type: ignore[override]  # for `rb` alone
        """Mode `rb`: what it holds. Raises Damaged where it cannot be decrypted, OSError."""
        return opened(Path(self), self.cipher) if mode == "rb" else super().open(mode, *args, **more)


@dataclass(frozen=True)
class Archive:
    """Where the files of a run lie, and how they are encrypted: `RB-….dump`, its manifest `RB-….json`, and so on.

    `place`: where `room` is made for a proof that is not the run's own, which the run's clean-up must not take away.
    """

    folder: Path
    run: str
    cipher: Cipher | None = None
    place: Path | None = None

    def backup(self, form: str) -> Path:
        """The backup itself: a file, or a directory."""
        return self._readable(ENDINGS[form])

    @property
    def manifest(self) -> Path:
        return self.folder / f"{self.run}.json"

    @property
    def saved(self) -> Path:
        """What the scripts destroyed, copied out before."""
        return self._readable("saved")

    @property
    def aside(self) -> Path:
        """Saved rows that did not fit when they were put back."""
        return self._readable("aside")

    @property
    def schema(self) -> Path:
        """The schema as it must be after the rollback."""
        return self.folder / f"{self.run}.after.json"

    def _readable(self, ending: str) -> Path:
        file = Readable(self.folder / f"{self.run}.{ending}")
        file.cipher = self.cipher
        return file

    @contextmanager
    def writing(self, file: Path) -> Iterator[IO[bytes]]:
        """A file for us alone that is there whole or not at all, encrypted where the target's files are.

        Where they are not, the writer syncs it. Raises OSError, StepFailed, Refused.
        """
        partial = self.folder / f"{file.name}{PARTIAL}"
        try:
            with written(partial, self.cipher) as out:
                yield out
            partial.rename(file)
            sync(file.parent)
        finally:
            partial.unlink(missing_ok=True)

    @contextmanager
    def where_needed(self, file: Path) -> Iterator[Callable[[], IO[bytes]]]:
        """What opens a file for `writing` until the block ends, called once at most; not called, there is no file."""
        with ExitStack() as ending:
            yield lambda: ending.enter_context(self.writing(file))

    @contextmanager
    def room(self) -> Iterator[Path]:
        """A folder of our own in the backup folder, for as long as the block lasts.

        Its name is new each time: what outlived a killed bot may still write to an old one.
        """
        with tempfile.TemporaryDirectory(
            prefix=f"{self.run}.", suffix=PARTIAL, dir=self.place or self.folder
        ) as folder:
            yield Path(folder)

    def prepare(self) -> None:
        """The folder, writable, for us alone, without leftovers of this run. Raises StepFailed(E-BACKUP)."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            probe = self.folder / f".{self.run}.probe"
            probe.write_bytes(b"")
            probe.unlink()
            remove_leftovers(self.folder, lambda run: run == self.run)
        except OSError as error:
            why = os.strerror(error.errno or 0).lower()
            raise StepFailed(
                "E-BACKUP",
                f"I cannot write to the backup folder: {why}. Production was not changed.",
                "Check `backup_dir`.",
            ) from None

    def lies(self, file: Path) -> Json:
        """Size and SHA-256 of a file as it lies on disk, where that is not what was given to it to write."""
        return {"bytes": file.stat().st_size, "sha256": sha256(file)} if self.cipher else {}


def archive_of(work: Work, run: str | None = None) -> Archive:
    """The files of this run, or of another one of its target."""
    return Archive(work.settings.backup_dir, run or work.run.id, cipher_of(work.target))


def readable(file: Path) -> None:
    """Raises StepFailed(E-BACKUP) where a file cannot be decrypted, and Refused(E-TOOLS) where the tool is missing."""
    if not file.is_dir():
        try:
            with file.open("rb") as inside:
                inside.read(1)
        except Damaged as error:
            raise StepFailed("E-BACKUP", f"The backup cannot be read: {error}.", REMEDY) from None


@contextmanager
def written(file: Path, cipher: Cipher | None) -> Iterator[IO[bytes]]:
    """A new file for us alone from its first byte, through a cipher where there is one."""
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    with file.open("wb") as out:
        if cipher is None:
            yield out
        else:
            with cipher.into(out) as inside:
                yield inside


# -- keeping ---------------------------------------------------------------------------------------------------


def clean(folder: Path, outlived: Callable[[str], bool]) -> list[tuple[str, str]]:
    """Remove our files of the runs that have `outlived` their use; name and run of each. Others' files are never touched."""
    return _remove(ours(folder), outlived)


def remove_leftovers(folder: Path, over: Callable[[str], bool]) -> None:
    """Remove what was begun and never finished by runs that are `over`."""
    _remove([(path, run) for path, run in ours(folder) if path.suffix == PARTIAL], over)


def ours(folder: Path) -> list[tuple[Path, str]]:
    """Our files and directories in the backup folder, each with its run."""
    found = [(path, match[1]) for path in sorted(folder.iterdir()) if (match := OURS.fullmatch(path.name))]
    return [(path, run) for path, run in found if not path.is_symlink()]


def _remove(found: list[tuple[Path, str]], over: Callable[[str], bool]) -> list[tuple[str, str]]:
    gone = {run for run in {run for _, run in found} if over(run)}
    removed = []
    for path, run in found:
        if run in gone:
            with suppress(OSError):  # what cannot be removed today is tried again the next time
                remove(path)
                removed.append((path.name, run))
    return removed


def remove(path: Path) -> None:
    """A file, or a directory with all that is in it."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


@contextmanager
def or_nothing(archive: Archive) -> Iterator[None]:
    """Where the block ends by an exception, nothing of the run's backup stays: a file without its manifest is none."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            clean(archive.folder, lambda run: run == archive.run)
        raise


# -- to disk, for good -----------------------------------------------------------------------------------------


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


def sync(path: Path) -> None:
    """To disk for good: a file, or the names in a folder."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sha256(path: Path) -> str:
    """SHA-256 of a file as it lies on disk, in constant memory; of a directory that of its list of files.

    The list is what `sha256sum` prints for all of them, sorted by name: so it can be checked by hand.
    """
    if path.is_dir():
        lines = [
            f"{sha256(file)}  {file.name}\n" for file in sorted(path.iterdir(), key=lambda one: os.fsencode(one.name))
        ]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with io.FileIO(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def size(path: Path) -> int:
    """Bytes of a file, or of all files of a directory."""
    return sum(file.stat().st_size for file in path.iterdir()) if path.is_dir() else path.stat().st_size


def write(file: Path, text: str) -> str:
    """Write a text whole or not at all, for us alone; its SHA-256. Raises OSError."""
    partial = file.with_name(f"{file.name}{PARTIAL}")
    try:
        with written(partial, None) as out:
            out.write(text.encode())
            out.flush()
            os.fsync(out.fileno())
        partial.rename(file)
        sync(file.parent)
    finally:
        partial.unlink(missing_ok=True)
    return hashlib.sha256(text.encode()).hexdigest()


def write_manifest(archive: Archive, manifest: Json) -> str:
    """Write what the backup holds beside it; SHA-256 of the text."""
    return write(archive.manifest, json.dumps(manifest, sort_keys=True))
