"""Watching a run from the shell: what the ledger says, as it says it.

At a terminal the step under way is the last line, with the time that it has taken; elsewhere each event is a plain line.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from core import transcript, under_way
from core.desk import Desk
from core.errors import Problem
from core.lines import Line
from core.meter import HowFar
from core.model import Run, State
from core.screen import Screen, err
from core.settings import Target

SETTLED = frozenset({State.INTERRUPTED, State.DECIDE, State.NEEDS_A_PERSON})
"""Open, but waiting for a named person: the shell does not wait with them."""
TICK = 0.2  # seconds between two looks at the ledger, and at the clock


class Follower:
    """Prints the new events of one run, from one thread at a time."""

    def __init__(self, desk: Desk, target: Target, screen: Screen | None = None) -> None:
        self.ledger, self.target, self.screen = desk.ledger, target, screen or err()
        self.seen = 0
        self.far: Callable[[str], HowFar | None] = lambda run_id: None  # of a run that this process walks itself
        self.before: dict[str, float] = {}  # seconds that each step is said to take
        self.lock = threading.RLock()

    def follow(self, run_id: str) -> Run:
        """Until it has ended or waits for somebody else than an approver. Raises SystemExit(130) at Ctrl-C."""
        try:
            while True:
                before = self.ledger.head()[0]
                run = self.catch_up(run_id)
                if not run.is_open or run.state in SETTLED:
                    return run
                self.ledger.wait(before, TICK if self.screen.moves else 1.0)
        except KeyboardInterrupt:
            self.screen.update(None)
            self.screen.tell(f"Stopped watching. {run_id} goes on: `rollback status {run_id}`.")
            raise SystemExit(130) from None
        finally:
            self.screen.update(None)

    @contextmanager
    def beside(self, run_id: str) -> Iterator[None]:
        """Meanwhile the caller's thread walks the run itself, and another one prints what comes of it."""
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(TICK):
                with suppress(Problem, OSError):  # of a ledger or a terminal that is gone the walk itself will hear
                    self.catch_up(run_id)

        thread = threading.Thread(target=look, name="watching", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.screen.update(None)

    def confirm(self, run: Run) -> bool:
        """Show the plan, and have the database's name typed."""
        with self.lock:  # nothing is updated while somebody types
            self.catch_up(run.id)
            self.screen.update(None)
            word = str(run.evidence["identify"]["database"]["name"])
            question = f"No approval is needed: throw-away target. Type the database's name to go on ({word}): "
            return asked(question, self.screen) == word

    def catch_up(self, run_id: str) -> Run:
        """Print what is new."""
        with self.lock:
            run = self.ledger.run(run_id)
            for event in self.ledger.events(run_id, after=self.seen):
                self.seen = event.id
                if event.kind == "step_started" and self.screen.moves:
                    self.before = under_way.estimates(run, self.ledger)
                if event.kind in ("executing", "step_started") and self.screen.moves:
                    continue  # the last line says it, as long as it is so
                for line in transcript.step_lines(event, run, self.target):
                    self.screen.tell(line)
            if self.screen.moves:
                self.screen.update(self._last_line(run))
            return run

    def _last_line(self, run: Run) -> Line | None:
        """What happens now; times as this process sees them pass, whatever is done to the clock."""
        began = run.since if run.running and run.since else run.created_at
        spent = self.ledger.age((run.id, run.running, began), began).total_seconds()
        own = self.far(run.id)
        far = own if own and own.step == run.running else under_way.told_beside(run, self.ledger)
        known = transcript.how_far(far, self.before.get(run.running or ""), spent)
        return transcript.last_line(run, spent, self._left(run), known)

    def _left(self, run: Run) -> float:
        """Seconds until nobody is waited for any more: the approval expires, or a break-glass starts."""
        until = run.broken.starts_at if run.broken else run.expires_at
        return (until - self.ledger.clock()).total_seconds() if until else 0


def say(text: str, end: str = "\n") -> None:
    """Progress is for people: stderr."""
    err().tell(text, end=end)


def asked(question: str, screen: Screen | None = None) -> str:
    """What is typed in answer; empty at the end of the input."""
    screen = screen or err()
    screen.tell(question, end="")
    answer = sys.stdin.readline()
    if not (sys.stdin.isatty() and screen.terminal and answer):
        screen.tell("")  # nobody's key has ended the line
    return answer.strip()
