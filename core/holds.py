"""Locks beside the ledger that end with their process, whatever ends it: `flock` on one small file per name."""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from core.entry import refusal
from core.model import Json

PROBED = 0.1
"""Seconds for which a lock is tried: somebody who only looks whether it is held (`held`) has it for a moment."""
NOTE = 400
"""Bytes of what is left beside a lock."""


class Sole:
    """The place of the one bot: its lock file, and the ledger's own file under a lock of its own.

    The second lock keeps another bot out also where somebody has removed the lock file, which frees its name and not the
    lock. SQLite does not see it: on a local disk it locks by `fcntl`, not `flock`.
    """

    def __init__(self, lock: IO[str], trail: IO[bytes], paths: tuple[Path, Path]) -> None:
        self.lock, self.trail, self.paths = lock, trail, paths

    def lost(self) -> str:
        """What is no longer the file that is held, in words; empty where all is well."""
        lock, trail = self.paths
        for number, path, what in (
            (self.lock.fileno(), lock, "the lock file"),
            (self.trail.fileno(), trail, "the audit trail"),
        ):
            try:
                same = os.path.samestat(os.fstat(number), path.stat())
            except OSError:
                return f"{what} is gone"
            if not same:
                return f"{what} was replaced"
        return ""

    def close(self) -> None:
        """Give the place up."""
        self.trail.close()
        self.lock.close()


class Holds:
    """The locks of one ledger. Names: `bot` for its one bot, a run's id for who walks it."""

    def __init__(self, ledger: Path) -> None:
        self.ledger = ledger.resolve()  # one file is one ledger, by whatever link it is reached

    def hold(self, name: str) -> IO[str] | None:
        """Take a lock; it ends when the file is closed or the process ends. None: somebody else has it.

        Raises Refused(E-LEDGER) where the folder cannot be written.
        """
        try:
            file = self._open(name)
        except OSError as error:
            raise refusal(os.strerror(error.errno or 0).lower()) from error
        until = time.monotonic() + PROBED
        while not _lock(file, fcntl.LOCK_EX):
            if time.monotonic() > until:
                file.close()
                return None
            time.sleep(0.01)
        self.beat(name)
        return file

    def sole(self) -> Sole | None:
        """The place of the one bot; None: another one has it. Raises Refused(E-LEDGER)."""
        lock = self.hold("bot")
        if lock is None:
            return None
        trail = self.ledger.open("rb")
        if not _lock(trail, fcntl.LOCK_EX):
            trail.close()
            lock.close()
            return None
        return Sole(lock, trail, (self._path("bot"), self.ledger))

    def held(self, name: str) -> bool:
        """Does a living process hold it?"""
        try:
            with self._path(name).open() as file:
                return not _lock(file, fcntl.LOCK_SH)  # shared: two who look do not see each other
        except FileNotFoundError:
            return False
        except OSError as error:
            raise refusal(os.strerror(error.errno or 0).lower()) from error

    def beat(self, name: str) -> None:
        """Show that the holder is alive: the age of the lock file is read by the health check."""
        try:
            os.utime(self._path(name))
        except OSError as error:
            raise refusal(os.strerror(error.errno or 0).lower()) from error

    def beaten(self, name: str) -> float:
        """Seconds since the last beat; infinite without one."""
        try:
            return time.time() - self._path(name).stat().st_mtime
        except OSError:
            return float("inf")

    def declare(self, holder: IO[str], told: Json) -> None:
        """Write beside the lock what its holder goes by; `declared` reads it."""
        holder.seek(0)
        holder.truncate()
        holder.write(json.dumps(told))
        holder.flush()

    def leave(self, name: str, told: Json) -> None:
        """Write beside a lock what is of use for some seconds; `declared` reads it. Not synced, and where it fails nothing is said.

        Always NOTE bytes, so that a reader finds the old or the new, and a disk that is full later has room for it.
        """
        text = json.dumps(told).encode().ljust(NOTE)
        with suppress(OSError):
            file = os.open(self._path(name), os.O_WRONLY | os.O_CLOEXEC)  # what was forgotten is not made anew
            try:
                os.pwrite(file, text, 0)
            finally:
                os.close(file)

    def declared(self, name: str) -> Json:
        """What the holder goes by, or has left; empty where nothing is told."""
        try:
            told: Json = json.loads(self._path(name).read_text() or "{}")
        except (OSError, ValueError):
            return {}
        return told

    def left(self, beginning: str) -> list[str]:
        """Names that begin so and whose lock has a file: held now, or left by somebody who has ended."""
        own = f"{self.ledger.name}."
        names = [entry.name for entry in os.scandir(self.ledger.parent)]
        files = [name for name in names if name.startswith(own + beginning)]
        return sorted(name[len(own) : -len(".lock")] for name in files if name.endswith(".lock"))

    def forget(self, name: str) -> None:
        """Remove the lock's file, by its holder: for what has ended and will not be held again."""
        self._path(name).unlink(missing_ok=True)

    def _open(self, name: str) -> IO[str]:
        return os.fdopen(os.open(self._path(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")

    def _path(self, name: str) -> Path:
        return Path(f"{self.ledger}.{name}.lock")


def _lock(file: IO[str] | IO[bytes], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
