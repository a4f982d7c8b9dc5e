"""The file that a save is written to: streamed, compressed, hashed as it is written, synced before it counts.

Decompressed it is SQL that psql can read: `zstdcat RB-7K3M.saved` shows it, so that it can be used without the bot. Each
part is a zstd frame of its own: a comment with what it holds as JSON, `COPY … FROM stdin;`, the rows in PostgreSQL's
text format, and `\\.`. The last frame is the manifest. Memory is bounded by one block, whatever is written.
Source of the formats: RFC 8878 (frames may follow each other); PostgreSQL documentation, "COPY", text format.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from core.model import Json

if TYPE_CHECKING or sys.version_info < (3, 14):
    from backports import zstd
else:
    from compression import zstd

LEVEL = 1  # five times as fast as PostgreSQL writes COPY; higher levels cost time under the lock
BLOCK = 1 << 17  # bytes handed to the compressor at once: psycopg gives a few hundred at a time
MARK = "-- rollback-bot save 1 "
END = b"\\.\n"

Write = Callable[[bytes | memoryview], object]


class Damaged(Exception):
    """The file is not one of ours, or not whole."""


class Writer:
    """Writes parts to an open file. `close` ends it with the manifest and gives size (bytes) and SHA-256."""

    def __init__(self, out: IO[bytes]) -> None:
        self.out = out
        self.hash = hashlib.sha256()
        self.size = 0
        self.parts: list[Json] = []

    @contextmanager
    def part(self, about: Json, sql: str) -> Iterator[Write]:
        """One part: `sql` is its COPY statement. Yields what takes rows in COPY's text format.

        `about` is kept as it is at the end: the caller may still add to it what it learns while writing (`rows`).
        """
        frame = _Frame(self._put)
        line = sql.replace("\n", " ")  # a reader skips exactly one
        frame.write(f"{MARK}{json.dumps({'n': len(self.parts) + 1, **about})}\n{line}\n".encode())
        yield frame.write
        frame.write(END)
        frame.end()
        self.parts.append(about)

    def close(self, manifest: Json) -> tuple[int, str]:
        """The last frame, and everything on disk for good."""
        frame = _Frame(self._put)
        frame.write(f"{MARK}{json.dumps({**manifest, 'parts': self.parts}, sort_keys=True)}\n".encode())
        frame.end()
        self.out.flush()
        os.fsync(self.out.fileno())
        return self.size, self.hash.hexdigest()

    def _put(self, data: bytes) -> None:
        self.out.write(data)
        self.hash.update(data)
        self.size += len(data)


class _Frame:
    """One zstd frame, fed in blocks."""

    def __init__(self, put: Callable[[bytes], None]) -> None:
        self.put, self.compressor, self.block = put, zstd.ZstdCompressor(level=LEVEL), bytearray()

    def write(self, data: bytes | memoryview) -> None:
        self.block += data
        if len(self.block) >= BLOCK:
            self.put(self.compressor.compress(bytes(self.block)))
            self.block.clear()

    def end(self) -> None:
        self.put(self.compressor.compress(bytes(self.block), zstd.ZstdCompressor.FLUSH_FRAME))


@contextmanager
def reading(file: Path) -> Iterator[Iterator[tuple[Json, Iterator[bytes]]]]:
    """The parts of a file, one after the other: what each holds, and its rows in blocks.

    A part whose rows are not read is skipped. The manifest comes last, without rows. Raises Damaged, OSError.
    """
    with file.open("rb") as source:
        yield _parts(source)


def _parts(source: IO[bytes]) -> Iterator[tuple[Json, Iterator[bytes]]]:
    rest = b""
    while rest or (rest := source.read(BLOCK)):
        frame = _Reader(source, rest)
        about = frame.head()
        yield about, frame.rows("parts" not in about)
        rest = frame.skip()
        if "parts" in about:
            if rest or source.read(1):
                raise Damaged("something follows its end")
            return
    raise Damaged("its end is missing")


class _Reader:
    """One frame of a file."""

    def __init__(self, source: IO[bytes], first: bytes) -> None:
        self.source, self.inner = source, zstd.ZstdDecompressor()
        self.given, self.kept = first, b""

    def more(self) -> bytes:
        """Some bytes of it, at most BLOCK; nothing at its end."""
        while not self.inner.eof:
            data = self.given if self.inner.needs_input else b""
            if self.inner.needs_input:
                self.given = b""
                data = data or self.source.read(BLOCK)
                if not data:
                    raise Damaged("it is cut off")
            try:
                found = self.inner.decompress(data, BLOCK)
            except zstd.ZstdError:
                raise Damaged("it cannot be decompressed") from None
            if found:
                return found
        return b""

    def head(self) -> Json:
        """Its first line; that of COPY is read over."""
        text = self.kept
        lines = 1
        while text.count(b"\n") < lines and (data := self.more()):
            text += data
            if text.startswith(MARK.encode()) and b'"parts"' not in text.split(b"\n", 1)[0]:
                lines = 2
        first, _, rest = text.partition(b"\n")
        if not first.startswith(MARK.encode()):
            raise Damaged("it is no save of this version")
        about: Json = json.loads(first[len(MARK) :])
        self.kept = rest.partition(b"\n")[2] if "parts" not in about else rest
        return about

    def rows(self, ended: bool) -> Iterator[bytes]:
        """What stands between COPY and its end."""
        held = self.kept
        self.kept = b""
        while data := self.more():
            if len(held) > len(END):
                yield held[: -len(END)]
                held = held[-len(END) :]
            held += data
        if ended and not held.endswith(END):
            raise Damaged("a part of it has no end")
        if ended and len(held) > len(END):
            yield held[: -len(END)]

    def skip(self) -> bytes:
        """Read to the end of the frame; what was read beyond it."""
        while self.more():
            pass
        return self.inner.unused_data
