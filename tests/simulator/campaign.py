"""Many worlds, in several processes: counters, and the seeds of those in which something was wrong."""

from __future__ import annotations

import gc
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog

from core.ledger import Ledger
from tests.simulator.clock import CURRENT, installed
from tests.simulator.starts import NAMES, Start, lead_to
from tests.simulator.world import Endless, World

MEMORY = Path("/dev/shm")


@dataclass
class Found:
    """`wrong`: seed -> sentences. `cpu`: seconds."""

    counters: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: dict[int, list[str]] = field(default_factory=dict)
    worlds: int = 0
    cpu: float = 0.0

    def add(self, other: Found) -> None:
        self.counters += other.counters
        self.wrong |= other.wrong
        self.worlds += other.worlds
        self.cpu += other.cpu

    def totals(self) -> dict[str, int]:
        """The numbers that matter most, in words."""
        sums: Counter[str] = Counter()
        for (what, _), number in self.counters.items():
            sums[what] += number
        glass = self.counters["glass", "runs"]
        return {
            "worlds": self.worlds, "runs": sums["runs"], "events": sums["events"], "scripts run": sums["script"],
            "of these by break-glass": glass, "processes that died": sums["crash"],
            "processes that drained": self.counters["fault", "drained"], "faults of Slack": sums["slack"],
            "other faults": sums["fault"], "refusals": sums["refused"], "worlds with something wrong": len(self.wrong),
        }  # fmt: skip

    def tables(self) -> dict[str, dict[str, int]]:
        """Counters by kind, for JSON and for people."""
        made: dict[str, dict[str, int]] = {}
        for (what, which), number in sorted(self.counters.items()):
            made.setdefault(what, {})[which] = number
        return made


def overheard(logger: Any, method: str, said: Any) -> Any:
    """What the product logs about faults on purpose is of no use here; a bug of its own is."""
    CURRENT.world.count("log", said["event"])
    CURRENT.world.note("logs", said["event"], said.get("error", ""), said.get("faults", ""))
    if said["event"] in ("bug", "unsound"):
        why = said.get("faults") or (
            said["exc_info"] if isinstance(said.get("exc_info"), Exception) else sys.exception()
        )
        at = "".join(traceback.format_exception(why)) if isinstance(why, BaseException) else ""
        CURRENT.world.faults.append(f"logged as {said['event']}: {why!r} {at}")
    raise structlog.DropEvent


@contextmanager
def prepared() -> Iterator[dict[str, Start]]:
    """Where worlds may begin, in a folder of its own: in memory, where that is possible."""
    with TemporaryDirectory(prefix="worlds-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        empty = Path(name) / "empty.start"
        Ledger(empty).close()
        starts = {"empty": Start(empty)}
        with quiet(), installed():
            made = {at: lead_to(at, World(0, starts, Path(name))) for at in NAMES if at != "empty"}
        yield starts | made


def explore(
    seeds: Iterable[int], starts: Mapping[str, Start], trace: list[str] | None = None, enough: int = 0
) -> Found:
    """Worlds one after the other, in this process; ends after `enough` wrong ones."""
    found, started, folder = Found(), time.process_time(), starts["empty"].ledger.parent
    with quiet(), installed():
        for number, seed in enumerate(seeds):
            if number % 25 == 0:
                gc.collect()
            world = World(seed, starts, folder, trace)
            try:
                world.run()
            except (Exception, Endless):  # noqa: BLE001 - whatever it is, it belongs to this seed
                world.faults.append(traceback.format_exc())
                world.bury()
            found.worlds += 1
            found.counters += world.counters
            if world.faults:
                found.wrong[seed] = list(dict.fromkeys(world.faults))
            if enough and len(found.wrong) >= enough:
                break
    found.cpu = time.process_time() - started
    return found


@contextmanager
def quiet() -> Iterator[None]:
    """The log is overheard, and rubbish is collected between worlds: each is a heap of cycles."""
    before = structlog.get_config()
    structlog.configure(processors=[overheard], cache_logger_on_first_use=False)
    gc.freeze()  # what was imported is no rubbish
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
        structlog.configure(**before)


def campaign(worlds: int, seed: int, jobs: int) -> Found:
    """`worlds` seeds from `seed` on, in `jobs` processes."""
    found, size = Found(), 250
    parts = [range(at, min(at + size, seed + worlds)) for at in range(seed, seed + worlds, size)]
    with prepared() as starts, ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        for one in pool.map(explore, parts, repeat(starts)):
            found.add(one)
    return found
