"""pg_dump's directory format: a file for each table, written and restored by several connections at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from core import scratch_extensions
from core.backups import dump
from core.backups.custom import jobs
from core.backups.dump import Archive
from core.backups.sampled import filled, sampled
from core.meter import Meter, Phase
from core.model import Json
from core.pgtools import ToolFailed, Tools
from core.scratch_extensions import Lacking

COMPRESSIONS = {"zstd:1": "zstd:1", "lz4": "lz4", "1": "gzip:1", "0": "none"}
"""pg_dump's word for it, and ours; best first. Which ones it knows depends on its major and its build."""


@dataclass(frozen=True)
class Directory:
    """`jobs`: how many connections write it."""

    jobs: int = 2
    name = "directory"
    ratio, plain = 0.3, 0.0

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
        """Dump one snapshot; the compression. Raises ToolFailed, Cancelled, OSError."""
        grows = meter.show(Phase("written", "bytes", int(about["bytes"]), about=True, whole=True))
        arguments = ["-Fd", "-j", str(self.jobs), f"--snapshot={snapshot}", "--lock-wait-timeout=10s"]
        for word in [word for word in COMPRESSIONS if tools.major >= 16 or word.isdigit()]:
            with archive.room() as room:
                place = room / "dump"
                try:
                    with sampled(grows, partial(dump.size, place)):
                        tools.run("pg_dump", [*arguments, "-Z", word, "-f", str(place)], url, cancelled)
                except ToolFailed as error:
                    if "compress" in error.said and word != "0":
                        continue
                    raise
                for file in place.iterdir():
                    file.chmod(0o600)
                    dump.sync(file)
                dump.sync(place)
                final = archive.backup(self.name)
                if final.exists():  # of a step that was killed before it was written down
                    dump.remove(final)
                place.rename(final)
                dump.sync(archive.folder)
                return {"compression": COMPRESSIONS[word], "plain": 0}
        raise AssertionError("no compression is always known")

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
        """Put it into an empty database. Raises ToolFailed at the first error, Cancelled, OSError."""
        place = archive.backup(self.name)
        with archive.room() as room:
            options = ["--exit-on-error", *options, *scratch_extensions.only(tools, place, lacking, room)]
            with filled(meter, url, about):
                tools.run("pg_restore", [*options, "-j", jobs(), str(place)], url, cancelled)
