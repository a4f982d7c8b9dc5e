"""Longer work that is no run, as the shell shows it: the step under way in the last line, each finished one a line of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from core import transcript
from core.lines import FAILED, OK, RUNNING, line
from core.meter import Meter
from core.printing import plain
from core.quantities import duration
from core.screen import Screen

TICK = 0.2  # seconds between two looks at the meter


@dataclass
class Step:
    """What is done in one step: `found` says what came of it, once it is done."""

    meter: Meter = field(default_factory=Meter)
    found: str = ""


class Watch(Protocol):
    """Who looks on."""

    def step(self, name: str) -> AbstractContextManager[Step]:
        """While the block lasts, a step of that name is under way."""


class Nobody:
    """Nobody looks on."""

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Nothing is said of it."""
        yield Step()


UNWATCHED = Nobody()


class Onlooker:
    """Somebody at a shell."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Say that it runs, how far it is where the screen can be updated, and how it ended."""
        step, started, over = Step(), time.monotonic(), threading.Event()

        def look() -> None:
            while not over.wait(TICK):
                spent = time.monotonic() - started
                far = transcript.how_far(step.meter.how_far(), None, spent)
                with suppress(OSError):  # a terminal that is gone
                    told = ", ".join(filter(None, (transcript.lasting(spent), far)))
                    self.screen.update(line(f"  {name:<16} ", ("running", RUNNING), f"   {told}"))

        looking = threading.Thread(target=look, name="watching", daemon=True)
        if self.screen.moves:
            looking.start()
        else:
            self.screen.put(line(f"  {name:<16} ", ("running", RUNNING)))
        word, tone = "failed", FAILED
        try:
            yield step
            word, tone = "done", OK
        finally:
            over.set()
            if looking.is_alive():
                looking.join()
            self.screen.update(None)
            took = duration(time.monotonic() - started)
            found = f", {plain(step.found)}" if step.found and tone is OK else ""
            self.screen.put(line(f"  {name:<16} ", (word, tone), f"{'':<{10 - len(word)}}{took}{found}"))
