"""How far the step under way is, counted in passing. It is no evidence: it stays in the process and never enters the chain.

Counting is an addition in memory for each block of some 100 kB: nothing is written, asked or waited for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import get_type_hints

from core.model import Json


@dataclass(eq=False)
class Phase:
    """One thing that a step does, and how much of it is done.

    `what` says it: of what is counted as a participle (`read`), else as a whole (`checking the file`). `unit` is `bytes`
    or a noun (`table`), empty where nothing is counted. `total` is 0 where nobody knows it, `about` says that it is an
    estimate. `whole`: it takes nearly all of the step's time, so that its pace tells when the step is over.
    """

    what: str = ""
    unit: str = ""
    total: int = 0
    about: bool = False
    whole: bool = False
    done: int = 0
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False)  # held for one addition

    def add(self, count: int = 1) -> None:
        """So much more is done. From any thread."""
        with self._guard:
            self.done += count

    def through(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The same blocks, counted as they are taken."""
        for block in blocks:
            self.add(len(block))
            yield block


@dataclass(frozen=True)
class HowFar:
    """What a meter shows at one moment. `since`: when the step began, as the ledger says; `elapsed`: seconds since then."""

    step: str
    since: str
    elapsed: float
    what: str = ""
    unit: str = ""
    total: int = 0
    about: bool = False
    whole: bool = False
    done: int = 0

    def told(self) -> Json:
        """For another process; `heard` reads it."""
        return asdict(self)


KINDS = get_type_hints(HowFar)


def heard(told: Json) -> HowFar | None:
    """What another process told; None where that says nothing of the kind."""
    try:
        found = HowFar(**told)
    except TypeError:
        return None
    return found if all(isinstance(getattr(found, name), kind) for name, kind in KINDS.items()) else None


class Meter:
    """Of one step while it runs. The step sets it; whoever tells people reads it, from another thread."""

    def __init__(self, step: str = "", since: str = "") -> None:
        self.step, self.since, self.started = step, since, time.monotonic()
        self.phase = Phase()

    def show(self, phase: Phase) -> Phase:
        """From now on this is what the step does."""
        self.phase = phase
        return phase

    def doing(self, what: str) -> None:
        """Something that cannot be counted."""
        self.show(Phase(what))

    def how_far(self) -> HowFar:
        """As of now."""
        one, elapsed = self.phase, round(time.monotonic() - self.started, 3)
        return HowFar(self.step, self.since, elapsed, one.what, one.unit, one.total, one.about, one.whole, one.done)
