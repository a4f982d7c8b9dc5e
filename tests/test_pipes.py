"""What comes out of a pipe can be read as a file, in any order."""

from __future__ import annotations

import io
import os
import random
from typing import IO

from core.pipes import ROOM, Rewindable

DATA = random.Random(3).randbytes(5 * ROOM // 2)  # noqa: S311 - reproducible, no secret


def test_it_reads_like_a_file_wherever_it_is_sought() -> None:
    opened: list[IO[bytes]] = []

    def again() -> IO[bytes]:
        opened.append(io.BytesIO(DATA))
        return opened[-1]

    dice = random.Random(7)  # noqa: S311 - reproducible, no secret
    file, plain = Rewindable(again), io.BytesIO(DATA)
    for _ in range(300):
        whence = dice.choice((os.SEEK_SET, os.SEEK_SET, os.SEEK_END))
        at = dice.randrange(len(DATA) + 10) if whence == os.SEEK_SET else -dice.randrange(len(DATA))
        assert file.seek(at, whence) == plain.seek(at, whence)
        wanted = dice.choice((0, 1, 100, ROOM // 3))
        got = b""
        while part := file.read(wanted - len(got)):
            got += part
        assert got == plain.read(wanted) and file.tell() == plain.tell()
    file.close()
    assert all(one.closed for one in opened), "each pipe is closed when it is left"


def test_the_last_bytes_are_kept_so_that_an_end_is_read_without_starting_anew() -> None:
    count = []
    file = Rewindable(lambda: (count.append(1), io.BytesIO(DATA))[1])
    size = file.seek(0, os.SEEK_END)
    file.seek(size - ROOM)
    assert file.read(10) == DATA[-ROOM:][:10] and len(count) == 1
    file.seek(0)
    assert file.read(10) == DATA[:10] and len(count) == 2
