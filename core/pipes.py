"""Pipes to and from child programs: nothing waits for ever, and everything can be stopped while it waits."""

from __future__ import annotations

import fcntl
import io
import os
import select
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, Any

ROOM = 1 << 20  # bytes: what an ordinary user may give a pipe (Linux: /proc/sys/fs/pipe-max-size)
TURN = 200  # milliseconds between two looks at whether to go on

Look = Callable[[], object]
"""Called while a pipe is waited for; it raises where the waiting must end."""


def widen(pipe: IO[bytes]) -> None:
    """Room for the other side to go on while we work on a block. Linux only; elsewhere it stays as it is."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # others of this account have taken what there is
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, ROOM)


def blocks(pipe: IO[bytes], look: Look) -> Iterator[bytes]:
    """What comes out of a pipe until its end."""
    while data := read(pipe.fileno(), ROOM, look):
        yield data


def read(fd: int, size: int, look: Look) -> bytes:
    """Some bytes; nothing at the end."""
    _await(fd, select.POLLIN, look)
    return os.read(fd, size)


def write(fd: int, data: bytes | memoryview, look: Look) -> None:
    """All of `data` into a pipe that does not block. Raises BrokenPipeError where nobody reads any more."""
    rest = memoryview(data)
    while rest:
        _await(fd, select.POLLOUT, look)
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            continue  # another writer of ours was faster


def _await(fd: int, what: int, look: Look) -> None:
    ready = select.poll()
    ready.register(fd, what)
    while not ready.poll(TURN):
        look()


class Rewindable(io.RawIOBase):
    """What comes out of a pipe, as a file: whoever goes back further than ROOM starts anew.

    `again` opens it at its start.
    """

    def __init__(self, again: Callable[[], IO[bytes]]) -> None:
        self.again, self.inner = again, again()
        self.passed, self.window = 0, b""  # bytes that have come out so far, and the last of them
        self.wanted = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            while self._forth():
                pass
        self.wanted = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.wanted, os.SEEK_END: self.passed}[whence]
        return self.wanted

    def readinto(self, room: Any) -> int:
        if self.wanted < self.passed - len(self.window):
            self.inner.close()
            self.inner, self.passed, self.window = self.again(), 0, b""
        while self.wanted >= self.passed and self._forth():
            pass
        start = self.wanted - self.passed + len(self.window)
        data = self.window[start : start + len(room)]
        room[: len(data)] = data
        self.wanted += len(data)
        return len(data)

    def _forth(self) -> bool:
        """Some more; False at the end."""
        data = self.inner.read(1 << 17)
        self.passed += len(data)
        self.window = (self.window + data)[-ROOM:]
        return bool(data)

    def close(self) -> None:
        if not self.closed:
            self.inner.close()
        super().close()
