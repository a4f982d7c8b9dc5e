"""Pipes to and from child programs: nothing waits for ever, and everything can be stopped while it waits."""

from __future__ import annotations

import fcntl
import os
import select
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO

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
