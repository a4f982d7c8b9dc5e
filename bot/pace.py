"""How fast we may post: Slack allows about one message a second per channel, and short bursts."""

from __future__ import annotations

import time


class Pace:
    """A bucket per channel: `burst` messages at once, then one every `seconds`."""

    def __init__(self, seconds: float = 1.0, burst: int = 4) -> None:
        self.seconds, self.burst = seconds, burst
        self._free: dict[str, float] = {}

    def wait(self, channel: str) -> None:
        """Sleep until one more message fits."""
        now = time.monotonic()
        # the moment at which the bucket is full again; each message moves it on
        full = max(self._free.get(channel, now), now) + self.seconds
        self._free[channel] = full
        ahead = full - now - self.burst * self.seconds
        if ahead > 0:
            time.sleep(ahead)
