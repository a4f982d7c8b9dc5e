"""Who has a plan open now, so that approvers do not wait for each other. In memory only: nothing depends on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from core.model import Person

LASTS = 60.0
"""Seconds after which a form counts as left: Slack does not tell when the app itself is closed."""


class Reading:
    """One mark for each person and run."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._marks: dict[tuple[str, str], tuple[str, float]] = {}
        self._guard = threading.Lock()

    def opened(self, run: str, person: Person) -> None:
        """This person has the review of the run before them."""
        with self._guard:
            self._marks[run, person.id] = (person.name, self.clock() + LASTS)

    def closed(self, run: str, user: str) -> None:
        """Sent off, or closed."""
        with self._guard:
            self._marks.pop((run, user), None)

    def names(self, run: str) -> tuple[str, ...]:
        """Who reads it now."""
        with self._guard:
            now = self.clock()
            self._marks = {key: mark for key, mark in self._marks.items() if mark[1] > now}
            return tuple(name for (of, _), (name, _) in self._marks.items() if of == run)
