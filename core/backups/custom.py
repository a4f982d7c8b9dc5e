"""pg_dump's custom format as one compressed stream: one file, by one connection.

pg_dump does not compress: its own zstd, where a build has it, takes the time in the process that also talks to the server, and
its gzip eight times as long. The stream goes through zstd here, in another thread, so that every major is as fast:
about as long as a plain dump, at a fifth of its size. `zstdcat RB-7K3M.dump | pg_restore …` reads it without the bot.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from core import pipes, scratch_extensions
from core.backups.dump import Archive, written
from core.backups.sampled import filled
from core.errors import Refused, StepFailed
from core.meter import Meter, Phase
from core.model import Json
from core.pgtools import Cancelled, Tools
from core.save.archive import Damaged
from core.scratch_extensions import Lacking

if TYPE_CHECKING or sys.version_info < (3, 14):
    from backports import zstd
else:
    from compression import zstd

Parameter = zstd.CompressionParameter
SQUEEZE: dict[int, int] = {Parameter.compression_level: 1, Parameter.nb_workers: 1, Parameter.checksum_flag: 1}


class Custom:
    """One file. Encrypted, it is restored by one connection, since pg_restore cannot read a pipe by several."""

    name = "custom"
    ratio, plain = 0.3, 0.8
    """Size of the backup, and of the archive while it lies uncompressed, as parts of the database's: seen 0.14 and 0.72."""

    def write(
        self,
        tools: Tools,
        url: str,
        snapshot: str,
        archive: Archive,
        cancelled: Callable[[], bool],
        meter: Meter,
        about: Json,
    ) -> Json:
        """Dump one snapshot; the compression, and the bytes before it. Raises ToolFailed, Cancelled, OSError, StepFailed."""
        file, plain = archive.backup(self.name), 0
        read = meter.show(Phase("read", "bytes", int(about["plain"]), about=True, whole=True))
        arguments = ["-Fc", "-Z", "0", f"--snapshot={snapshot}", "--lock-wait-timeout=10s"]
        with archive.writing(file) as out:
            with zstd.ZstdFile(out, "wb", options=SQUEEZE) as squeezed:

                def take(block: bytes) -> None:
                    nonlocal plain
                    squeezed.write(block)
                    plain += len(block)
                    read.add(len(block))

                tools.pour("pg_dump", arguments, url, take, cancelled)
            out.flush()
            os.fsync(out.fileno())
        return {"compression": "zstd:1", "plain": plain}

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
    ) -> None:
        """Put it into an empty database. Raises ToolFailed at the first error, Cancelled, OSError, StepFailed(E-BACKUP)."""
        file = archive.backup(self.name)
        options = ["--exit-on-error", *options]
        with archive.room() as room:
            options += scratch_extensions.listed(lambda: tools.listing(blocks(file)), lacking, room)
            if archive.cipher:
                restored = meter.show(Phase("restored", "bytes", int(about.get("plain", 0))))
                tools.feed("pg_restore", options, url, restored.through(blocks(file)), cancelled)
                return
            whole, unpacked = room / "archive", meter.show(Phase("unpacked", "bytes", int(about.get("plain", 0))))
            with written(whole, None) as out:
                for block in unpacked.through(blocks(file)):
                    out.write(block)
                    if cancelled():
                        raise Cancelled
            with filled(meter, url, about):
                tools.run("pg_restore", [*options, "-j", jobs(), str(whole)], url, cancelled)


def blocks(file: Path) -> Iterator[bytes]:
    """The archive as pg_dump wrote it. Raises StepFailed(E-BACKUP)."""
    try:
        with file.open("rb") as source, zstd.ZstdFile(source) as plain:
            while block := plain.read(pipes.ROOM):
                yield block
    except (Damaged, Refused, EOFError, zstd.ZstdError) as error:
        why = error.message if isinstance(error, Refused) else str(error).rstrip(".")
        raise StepFailed("E-BACKUP", f"The backup cannot be read: {why}.", "Production was not changed.") from None


def jobs() -> str:
    """How many connections restore at once."""
    return str(min(4, os.cpu_count() or 1))
