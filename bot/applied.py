"""Every half a minute each target's history table is looked at; what is new there is tried, away from the clock's threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import UTC, datetime
from threading import Lock

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from core.applied.look import look
from core.applied.try_back import try_back
from core.desk import Desk
from core.errors import Problem

log = structlog.get_logger()
EVERY = 30  # seconds
AGAIN = 600.0  # seconds until something is tried again that could not be


class AppliedWatch:
    """Two tasks in the pool at the most, whatever number of targets there is: one that looks, one that tries."""

    def __init__(self, desk: Desk, pool: Executor, ending: Callable[[], bool]) -> None:
        self.desk, self.ledger, self.settings = desk, desk.ledger, desk.settings
        self.pool, self.ending = pool, ending
        self.lanes = {"look": Lock(), "try": Lock()}
        self.after: dict[str, float] = {}  # by target, when something is tried again
        self.said: dict[str, str] = {}  # by target, the problem that was logged last

    def begin(self, clock: BackgroundScheduler) -> None:
        """At once, so that what was applied while no bot ran is found, and then at its times."""
        clock.add_job(self.turn, "interval", seconds=EVERY, id="applied", next_run_time=datetime.now(UTC))

    def turn(self) -> None:
        """What the clock calls. What a look finds is tried right after it."""
        self.enter("look", self.look)

    def enter(self, lane: str, task: Callable[[str], None]) -> None:
        """Begin a task, where it is not under way."""
        if not self.ending() and self.lanes[lane].acquire(blocking=False):
            try:
                self.pool.submit(self.through, lane, task)
            except RuntimeError:  # the pool was closed in this very moment
                self.lanes[lane].release()

    def through(self, lane: str, task: Callable[[str], None]) -> None:
        """All targets, one after the other. One that cannot be read now is found at a later turn, without noise."""
        try:
            for name in self.settings.targets:
                if self.ending():
                    return
                self.one(lane, name, task)
        finally:
            self.lanes[lane].release()
        if lane == "look":
            self.enter("try", self.attempt)

    def one(self, lane: str, name: str, task: Callable[[str], None]) -> None:
        """One target; whatever is wrong with it, the others are looked at too."""
        what = f"{lane} {name}"
        try:
            task(name)
        except Problem as problem:
            if self.new(what, problem.code):
                log.info("not watched now", what=what, problem=problem.code)
        except Exception as error:
            if self.new(what, type(error).__name__):
                log.exception("bug", what=what, error=type(error).__name__)
        else:
            self.said.pop(what, None)

    def look(self, name: str) -> None:
        """Note what has changed, where no other process does so now."""
        holder = self.ledger.hold(f"watch {name}")
        if holder:
            with holder:
                look(self.ledger, self.settings, name)

    def attempt(self, name: str) -> None:
        """Try what is new; what could not be tried is left for later."""
        if time.monotonic() < self.after.get(name, 0.0):
            return
        holder = self.ledger.hold(f"try {name}")
        if holder:
            with holder:
                if not try_back(self.ledger, self.settings, name, self.ending):
                    self.after[name] = time.monotonic() + AGAIN

    def new(self, what: str, problem: str) -> bool:
        """Is it another problem than was logged last?"""
        before = self.said.get(what)
        self.said[what] = problem
        return before != problem
