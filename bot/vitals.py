"""What the process knows about itself: its loops' heartbeats, what it counts, and whether it is ending."""

from __future__ import annotations

import threading
import time
from collections import Counter

LATE = 60.0  # seconds without a beat after which a loop counts as stuck; Slack may take ten for one answer


class Vitals:
    """Shared by all threads. `ending` is set once the process was told to end, and stays set."""

    def __init__(self) -> None:
        self.ending = threading.Event()
        self.calls: Counter[tuple[str, str]] = Counter()  # (method of Slack's, outcome)
        self.refusals: Counter[str] = Counter()  # by code
        self._beats: dict[str, float] = {}
        self._guard = threading.Lock()

    def expect(self, *loops: str) -> None:
        """These loops must beat from now on; a loop is named as its thread is."""
        for name in loops:
            self._beats[name] = time.monotonic()

    def retire(self, *loops: str) -> None:
        """These loops end in order."""
        for name in loops:
            self._beats.pop(name, None)

    def beat(self, loop: str | None = None) -> None:
        """The loop is alive: by default the one that this thread is; any other thread beats nothing."""
        name = loop or threading.current_thread().name
        if name in self._beats:
            self._beats[name] = time.monotonic()

    def stuck(self) -> list[str]:
        """One sentence for each loop that has not beaten for LATE seconds."""
        ages = {name: time.monotonic() - at for name, at in self._beats.items()}
        return [f"{name}: no beat for {age:.0f} s" for name, age in ages.items() if age > LATE]

    def called(self, method: str, outcome: str) -> None:
        """Slack was asked."""
        with self._guard:
            self.calls[method, outcome] += 1

    def refused(self, code: str) -> None:
        """Somebody was told no."""
        with self._guard:
            self.refusals[code] += 1
