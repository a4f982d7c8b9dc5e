"""How fast one person may ask: a bucket of requests that fills again with time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

BURST, PER_SECOND = 60, 1.0
"""Nobody types or clicks that fast for long; a script in somebody's session does."""
MOST = 10_000  # people who are remembered


class Rate:
    """One bucket for each person. In memory: a restart fills all of them."""

    def __init__(
        self, burst: int = BURST, per_second: float = PER_SECOND, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.burst, self.per_second, self.clock = burst, per_second, clock
        self._full: dict[str, float] = {}  # when the bucket will be full again
        self._guard = threading.Lock()

    def left(self, user: str) -> bool:
        """Take one request out of this person's bucket; False where there is none."""
        now = self.clock()
        with self._guard:
            if len(self._full) >= MOST:
                self._full = {one: at for one, at in self._full.items() if at > now}
            full = max(self._full.get(user, now), now) + 1 / self.per_second
            if full - now > self.burst / self.per_second:
                return False
            self._full[user] = full
            return True
