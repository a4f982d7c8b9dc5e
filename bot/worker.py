"""Walks what is due, in threads of its own: nothing runs inside a listener, and one rollback never waits for another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor

import structlog

from core.engine import Engine, due
from core.errors import Problem
from core.ledger import Ledger
from core.model import Run, State

log = structlog.get_logger()
LOOK = 10.0  # seconds between two questions to a database that did not answer
REST = 5.0  # seconds before a walk that broke is tried again
PUBLISH = 1.0  # seconds between two notes of how far the steps under way are


class Worker:
    """One loop over the ledger; the shell's requests arrive the same way as Slack's."""

    def __init__(self, engine: Engine, ledger: Ledger, pool: Executor) -> None:
        self.engine, self.ledger, self.pool = engine, ledger, pool
        self.stop = threading.Event()
        self.beat: Callable[[], object] = lambda: None
        self._busy: set[str] = set()
        self._not_before: dict[str, float] = {}
        self._guard = threading.Lock()

    def run(self) -> None:
        """Until `stop`."""
        seen, published = -1, 0.0
        while not self.stop.is_set():
            self.beat()
            if time.monotonic() - published >= PUBLISH:
                self.engine.publish()
                published = time.monotonic()
            head = self.ledger.head()[0]
            if head != seen or self._not_before:
                seen = head
                self.start_what_is_due()
            self.ledger.wait(head, 0.5)

    def busy(self) -> list[str]:
        """The runs that are being walked now."""
        with self._guard:
            return sorted(self._busy)

    def start_what_is_due(self) -> None:
        """Hand every rollback with something to do to a thread, unless one has it already."""
        try:
            going = self.ledger.open_runs()
            for run in [*going, *self.untidied({run.id for run in going})]:
                looking = run.state is State.NEEDS_A_PERSON
                if (looking or due(run) or not run.is_open) and self.takes(run.id):
                    self.pool.submit(self.walk, run.id, looking)
        except RuntimeError:
            if not self.stop.is_set():
                raise  # else the pool was closed between the question and the answer: the process ends

    def untidied(self, going: set[str]) -> list[Run]:
        """Those that ended while nobody walked them, closed by a person or by the clock: their lock's file is still there."""
        ended = [name for name in self.ledger.left("RB-") if name not in going]
        runs = [run for name in ended for run in self.ledger.runs("id = ?", (name,))]
        return [run for run in runs if not run.is_open and run.target in self.engine.settings.targets]

    def takes(self, run_id: str) -> bool:
        """Is it nobody's, and its turn?"""
        with self._guard:
            if run_id in self._busy or self._not_before.get(run_id, 0.0) > time.monotonic():
                return False
            self._busy.add(run_id)
            return True

    def walk(self, run_id: str, looking: bool) -> None:
        """One walk; a fault of our own is logged and tried again later, it never ends the loop."""
        again = 0.0
        try:
            run = self.engine.look(run_id) if looking else self.engine.walk(run_id)
            if run.state is State.NEEDS_A_PERSON or (not run.is_open and self.ledger.left(run_id)):
                again = LOOK  # a database did not answer, or could not be tidied
            elif due(run):
                again = REST
        except Problem as problem:
            log.warning("walk ended", run=run_id, code=problem.code)
            again = REST
        except Exception:
            log.exception("bug", run=run_id)
            again = REST
        with self._guard:
            self._busy.discard(run_id)
            self._not_before.pop(run_id, None)
            if again:
                self._not_before[run_id] = time.monotonic() + again
