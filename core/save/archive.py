r"""The file that a save is written to: streamed, compressed, hashed as it is written, synced before it counts.

Decompressed it is SQL that psql can run, so that it can be used without the bot. Each part is a zstd frame of its own: a
comment with what it holds as JSON, a COPY statement on one line, rows in PostgreSQL's text format, and `\.`. The last
part is the manifest, which says where each of the others starts; a skippable frame of 16 bytes says where the manifest
does. Every frame has a checksum. Memory is bounded by one block, whatever is written or read.
Sources: RFC 8878 (frames follow each other, skippable frames, checksums); PostgreSQL documentation, "COPY", text format.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from core.meter import Phase
from core.model import Json

if TYPE_CHECKING or sys.version_info < (3, 14):
    from backports import zstd
else:
    from compression import zstd

OPTIONS: dict[int, int] = {
    zstd.CompressionParameter.compression_level: 1,  # as fast as PostgreSQL writes COPY; more costs time under the lock
    zstd.CompressionParameter.checksum_flag: 1,
}
BLOCK = 1 << 17  # bytes handed to the compressor at once: psycopg gives a row at a time
MARK = b"-- rollback-bot save 1 "
END = b"\\.\n"
FOOT = struct.Struct("<IIQ")  # magic number of a skippable frame, bytes that follow, where the manifest starts
SKIPPABLE = 0x184D2A5B

Write = Callable[[bytes | memoryview], object]


class Damaged(Exception):
    """The file is not one of ours, or not whole."""


class Writer:
    """Writes parts to an open file. `close` ends it with the manifest and gives size (bytes) and SHA-256.

    `phase` counts what is written.
    """

    def __init__(self, out: IO[bytes], phase: Phase | None = None) -> None:
        self.out, self.phase = out, phase or Phase()
        self.hash = hashlib.sha256()
        self.size = 0
        self.parts: list[Json] = []

    @contextmanager
    def part(self, about: Json, copy: str) -> Iterator[Write]:
        """One part. `copy` is its COPY statement, on one line; yields what takes rows in COPY's text format.

        `about` is kept as it is at the end: the caller may still add to it what it learns while writing (`rows`). A part
        that turns out to have no rows is left out, unless it says `empty`.
        """
        at, frame = self.size, _Frame(self._put)
        frame.write(MARK + json.dumps({"n": len(self.parts) + 1, **about}).encode() + f"\n{copy}\n".encode())
        yield frame.write
        if not about["rows"] and not about.get("empty") and self.size == at:
            return
        frame.write(END)
        frame.end()
        about["at"] = at
        self.parts.append(about)

    def say(self, sql: str) -> None:
        """Statements for whoever uses the file by hand, on lines of their own."""
        frame = _Frame(self._put)
        frame.write(MARK + f"{{}}\n{sql}".encode())
        frame.end()

    def close(self, manifest: Json, sql: str = "") -> tuple[int, str]:
        """The manifest with statements for whoever uses the file by hand, and everything on disk for good."""
        at, frame = self.size, _Frame(self._put)
        frame.write(MARK + json.dumps({**manifest, "parts": self.parts}, sort_keys=True).encode() + f"\n{sql}".encode())
        frame.end()
        self._put(FOOT.pack(SKIPPABLE, FOOT.size - 8, at))
        self.out.flush()
        os.fsync(self.out.fileno())
        return self.size, self.hash.hexdigest()

    def _put(self, data: bytes) -> None:
        self.out.write(data)
        self.hash.update(data)
        self.size += len(data)
        self.phase.add(len(data))


class _Frame:
    """One zstd frame, fed in blocks."""

    def __init__(self, put: Callable[[bytes], None]) -> None:
        self.put, self.compressor, self.block = put, zstd.ZstdCompressor(options=OPTIONS), bytearray()

    def write(self, data: bytes | memoryview) -> None:
        self.block += data
        if len(self.block) >= BLOCK:
            self.put(self.compressor.compress(bytes(self.block)))
            self.block.clear()

    def end(self) -> None:
        self.put(self.compressor.compress(bytes(self.block), zstd.ZstdCompressor.FLUSH_FRAME))


class Saved:
    """A file that was written, open for reading."""

    def __init__(self, source: IO[bytes], phase: Phase | None = None) -> None:
        """`phase`: how far in the file we are. Raises Damaged, OSError."""
        self.source, self.phase = source, phase or Phase()
        self.size = self.phase.total = source.seek(0, os.SEEK_END)
        if self.size < FOOT.size:
            raise Damaged("it is cut off")
        source.seek(self.size - FOOT.size)
        magic, length, at = FOOT.unpack(source.read(FOOT.size))
        if (magic, length) != (SKIPPABLE, FOOT.size - 8) or at >= self.size:
            raise Damaged("its end is missing")
        frame = _Reader(source, at, self.size - FOOT.size, self.phase)
        self.manifest: Json = frame.head()
        frame.finish()
        if "parts" not in self.manifest:
            raise Damaged("its end is missing")
        self.parts: list[Json] = self.manifest["parts"]
        self.phase.done = 0

    def rows(self, part: Json) -> Iterator[bytes]:
        """The rows of one of `parts`, in blocks. Raises Damaged at its end at the latest."""
        frame = _Reader(self.source, part["at"], self.size, self.phase)
        n = frame.head().get("n")
        if n is None or n > len(self.parts) or self.parts[n - 1] is not part:
            raise Damaged("its parts are mixed up")
        frame.line()  # COPY
        held = b""
        for data in frame.rest():
            if len(held) > len(END):
                yield held[: -len(END)]
                held = held[-len(END) :]
            held += data
        if not held.endswith(END):
            raise Damaged("a part of it has no end")
        if len(held) > len(END):
            yield held[: -len(END)]


@contextmanager
def reading(file: Path, phase: Phase | None = None) -> Iterator[Saved]:
    """A save, open for reading; `phase`: how far in it we are, bytes. Raises Damaged, OSError."""
    with file.open("rb") as source:
        yield Saved(source, phase)


class _Reader:
    """One frame of a file, from `at`; what stands at `end` or later does not belong to it."""

    def __init__(self, source: IO[bytes], at: int, end: int, phase: Phase) -> None:
        source.seek(at)
        self.phase, self.end = phase, end
        self.source, self.left, self.inner, self.kept = source, end - at, zstd.ZstdDecompressor(), b""

    def more(self) -> bytes:
        """Some bytes of it, at most BLOCK; nothing at its end."""
        while not self.inner.eof:
            data = b""
            if self.inner.needs_input:
                data = self.source.read(min(BLOCK, self.left))
                self.left -= len(data)
                self.phase.done = self.end - self.left
                if not data:
                    raise Damaged("it is cut off")
            try:
                found = self.inner.decompress(data, BLOCK)
            except zstd.ZstdError:
                raise Damaged("it cannot be decompressed") from None
            if found:
                return found
        return b""

    def line(self) -> bytes:
        """Its next line, without the end."""
        text = bytearray(self.kept)
        while (at := text.find(b"\n")) < 0 and (data := self.more()):
            text += data
        if at < 0:
            raise Damaged("a part of it has no end")
        self.kept = bytes(text[at + 1 :])
        return bytes(text[:at])

    def head(self) -> Json:
        """What its first line says."""
        first = self.line()
        if not first.startswith(MARK):
            raise Damaged("it is no save of this version")
        try:
            about: Json = json.loads(first[len(MARK) :])
        except ValueError:
            raise Damaged("it cannot be read") from None
        return about

    def rest(self) -> Iterator[bytes]:
        """What follows."""
        if self.kept:
            yield self.kept
        while data := self.more():
            yield data

    def finish(self) -> None:
        """Read to the end: only there the checksum tells whether all of it was right."""
        while self.more():
            pass
        if self.inner.unused_data or self.left:
            raise Damaged("something follows its end")
