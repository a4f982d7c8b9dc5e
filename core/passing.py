"""How much time has passed, as far as this process can see, also where somebody sets the machine's clock.

Stored times are wall time, since they must outlive the process. An age is what the wall clock says, or what has passed on
a clock that nobody sets, whichever is more: setting the clock back makes nothing younger. After a leap the wall clock is
not believed for a while, so that a wrong time that is mended soon ends nothing that people still look at.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta

LEAP = 5.0  # seconds by which the two clocks may differ between two ticks
SETTLE = 60.0  # seconds without a leap until the wall clock is believed again
KEPT = 5000  # moments that are remembered


def steady() -> float:
    """Seconds on a clock that is never set; where the system has one, it counts while the machine sleeps too."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Passing:
    """Compares the wall clock with the steady one. `leaps` counts how often they parted."""

    def __init__(self, clock: Callable[[], datetime], steady: Callable[[], float] = steady) -> None:
        self.clock, self.steady = clock, steady
        self.leaps = 0
        self._seen: dict[Hashable, tuple[float, timedelta]] = {}
        self._last: tuple[datetime, float] | None = None
        self._leapt = float("-inf")
        self._guard = threading.Lock()

    def tick(self) -> None:
        """Look at both clocks: about once a second."""
        with self._guard:
            wall, now = self.clock(), self.steady()
            if self._last:
                off = (wall - self._last[0]).total_seconds() - (now - self._last[1])
                if abs(off) > LEAP:
                    self.leaps, self._leapt = self.leaps + 1, now
                    import structlog  # only then: the shell must start fast

                    log = structlog.get_logger()
                    log.warning("the clock was set", seconds=round(off, 1), nothing_expires_for=SETTLE)
            self._last = wall, now

    def settled(self) -> bool:
        """Is the wall clock to be believed?"""
        return self.steady() - self._leapt >= SETTLE

    def age(self, what: Hashable, at: datetime, newest: Callable[[], datetime | None]) -> timedelta:
        """How long ago `what` happened, `at` a stored time: at least what has passed since it was first asked after.

        `newest` is the time of the newest stored event: the clock had come that far already.
        """
        with self._guard:
            wall, now = self.clock(), self.steady()
            if what not in self._seen:
                self._seen[what] = now, max(wall, newest() or wall) - at
                while len(self._seen) > KEPT:
                    self._seen.pop(next(iter(self._seen)))
            since, before = self._seen[what]
            return max(wall - at, before + timedelta(seconds=now - since))
