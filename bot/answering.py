"""Answers that take long: given after the acknowledgement, from the pool, and only a few for one person at a time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

import structlog
from slack_bolt.response import BoltResponse

from bot import messages
from bot.guard import who
from bot.reply import Reply
from core.errors import Problem, Refused
from core.model import Json

log = structlog.get_logger()
AT_ONCE = 2
"""Answers that one person may wait for: a plan, or reading back the channels, can take minutes."""
T = TypeVar("T")


class Answering:
    """Whatever comes of the work is told, also that it broke."""

    def __init__(self, pool: Executor) -> None:
        self.pool = pool
        self._waiting: Counter[str] = Counter()  # people -> answers that they wait for
        self._guard = threading.Lock()

    def start(
        self, person: str, work: Callable[[], T], tell: Callable[[T], object], refused: Callable[[Problem], T]
    ) -> None:
        """Work in the pool and tell what comes of it; `refused` makes an answer of a no. Raises Refused(E-RATE)."""
        self._take(person)
        self._go(person, work, tell, refused)

    def in_a_form(self, reply: Reply, make: Callable[[], Json], form: Json) -> BoltResponse:
        """`form` at once, and what `make` makes in its place when it is there. Raises Refused(E-RATE)."""
        person = who(reply.body)
        self._take(person)
        view = reply.opened(form)
        if not view:
            self._give(person)
            return reply.unopened() if view is None else reply.ack()
        opened = view
        self._go(person, make, lambda made: reply.change(opened, made), messages.refused)
        return reply.ack()

    def _take(self, person: str) -> None:
        with self._guard:
            if self._waiting[person] >= AT_ONCE:
                raise Refused(
                    "E-RATE", "I am still at what you asked before, so I did nothing.", "Wait for its answer."
                )
            self._waiting[person] += 1

    def _give(self, person: str) -> None:
        with self._guard:
            self._waiting[person] -= 1

    def _go(
        self, person: str, work: Callable[[], T], tell: Callable[[T], object], refused: Callable[[Problem], T]
    ) -> None:
        def later() -> None:
            try:
                tell(work())
            except Problem as problem:
                tell(refused(problem))
            except Exception as error:
                log.exception("bug", error=type(error).__name__)
                tell(refused(Problem("E-BUG", "Something broke on my side. Nothing was started.")))
            finally:
                self._give(person)

        self.pool.submit(later)
