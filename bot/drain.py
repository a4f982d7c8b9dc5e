"""The orderly end: nothing is begun, what is under way ends or is taken back, what happened is told.

A proof changes nothing: it is given up and done again by the next bot. A step that changes the target has `grace` to end.
Then its sessions are ended, the database is asked what took effect, and that is written down. What cannot be told or
written in time is found by the next start: the marker in the target says it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from bot.announcer import Announcer
from bot.worker import Worker
from core.cutting import cut_short
from core.errors import Problem, Refused
from core.ledger import Ledger
from core.model import State
from core.settings import Settings

log = structlog.get_logger()
PROOFS = 5.0  # seconds for proofs to notice and to clean up
CUT = 10.0  # seconds from ending the sessions to having asked the database
TELL = 8.0  # seconds for Slack to take what happened
ROOM = 30.0
"""Seconds that the process may need besides `grace`: CUT, TELL, and the closing of connections."""


class Drain:
    """Walks to their end. `cut` is set when the grace is over."""

    def __init__(self, ledger: Ledger, settings: Settings, worker: Worker, cut: threading.Event) -> None:
        self.ledger, self.settings, self.worker, self.cut = ledger, settings, worker, cut

    def walks(self) -> None:
        """Until nothing is under way any more, or the time is over; says so in the log."""
        started, grace = time.monotonic(), self.settings.grace.total_seconds()
        log.info(
            "ending: nothing is begun any more", under_way=self.executing(), proofs_given_up=self.proving(), grace=grace
        )
        self.until(lambda: not self.worker.busy(), min(PROOFS, grace))
        self.until(lambda: not self.executing(), grace - PROOFS)
        left = self.executing()
        if left:
            log.warning("the grace is over: cutting short", runs=left)
            self.cut.set()
            for run_id in left:
                self.end(run_id)
            self.until(lambda: not self.executing(), CUT)
        seconds = round(time.monotonic() - started, 1)
        log.info("ended" if not self.executing() else "ended with work left", seconds=seconds, left=self.executing())

    def end(self, run_id: str) -> None:
        """Take back what one run has not committed."""
        try:
            target = self.settings.target(self.ledger.run(run_id).target)
        except Problem as problem:
            log.warning("not cut short", run=run_id, code=problem.code)
            return
        log.warning("cut short", run=run_id, sessions=cut_short(target, run_id))

    def executing(self) -> list[str]:
        """Walks past the point of no return, and those of which the ledger does not say."""
        return [run_id for run_id in self.worker.busy() if self.state(run_id) in (None, State.EXECUTING)]

    def proving(self) -> list[str]:
        """Walks that have changed nothing, or nothing more to change."""
        return [run_id for run_id in self.worker.busy() if self.state(run_id) not in (None, State.EXECUTING)]

    def state(self, run_id: str) -> State | None:
        """As the ledger says; None where it cannot be read."""
        try:
            return self.ledger.run(run_id).state
        except Refused:
            return None

    def telling(self, announcer: Announcer, thread: threading.Thread) -> None:
        """Until what happened was told, or Slack takes too long, or nothing at all any more."""

        def told() -> bool:
            try:
                return not thread.is_alive() or announcer.told() >= self.ledger.head()[0]
            except Refused:
                return False

        if not self.until(told, TELL):
            log.warning("not all was told: the next start does")

    @staticmethod
    def until(true: Callable[[], bool], seconds: float) -> bool:
        """Wait for something, at most so long; was it true in the end?"""
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True
