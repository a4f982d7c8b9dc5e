"""By the clock: the nightly look at what could be undone, and the alarm of an old backup."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import datetime

import structlog

from bot.clock import newest_due
from core import board, readiness
from core.errors import Problem, StepFailed
from core.ledger import Ledger, stamp
from core.settings import Drill, Readiness, Settings, Target

log = structlog.get_logger()


class Nightly:
    """One target after the other, in a pool that neither rollbacks nor answers wait for."""

    def __init__(self, ledger: Ledger, settings: Settings, pool: Executor, ending: Callable[[], bool]) -> None:
        self.ledger, self.settings, self.pool, self.ending = ledger, settings, pool, ending
        self.idle = threading.Lock()

    def busy(self) -> bool:
        """Does somebody look just now?"""
        return self.idle.locked()

    def turn(self) -> None:
        """Begin what is due; returns at once. Ask it once a minute. Raises Refused(E-LEDGER)."""
        if not self.ledger.passing.settled():
            return  # the clock was set just now
        due = [(target, at) for target in self.settings.targets.values() if (at := self.due(target))]
        for target in self.settings.targets.values():
            try:
                board.alarm(self.ledger, self.settings, target)
            except StepFailed as problem:
                log.warning("backup folder", problem=problem.message)
        if due and self.idle.acquire(blocking=False):
            try:
                self.pool.submit(self.look, due)
            except RuntimeError:  # the process ends
                self.idle.release()

    def due(self, target: Target) -> datetime | None:
        """The newest night that nobody has looked in. A new schedule owes nothing for the time before it."""
        wanted, name = target.readiness, f"readiness {target.name}"
        if wanted is None:
            return None
        now, rows = self.ledger.clock(), self.ledger.reminders(name)
        if not rows:
            with self.ledger.transaction() as t:
                t.claim(name, stamp(now))
            return None
        periods = [datetime.fromisoformat(row["period"]) for row in rows]
        since = max((one for one in periods if one <= now), default=min(periods))
        return next(iter(newest_due(schedule_of(wanted), since, now)), None)

    def look(self, due: list[tuple[Target, datetime]]) -> None:
        """What a rollback interrupts, or somebody else does just now, is left for the next turn."""
        try:
            for target, at in due:
                if not self.ending():
                    self.look_at(target, stamp(at))
        except Exception:
            log.exception("bug", part="nightly")
        finally:
            self.idle.release()

    def look_at(self, target: Target, period: str) -> None:
        """One target; written down together with the night that it is for. Raises Refused(E-LEDGER)."""
        try:
            found = readiness.look(self.ledger, self.settings, target, None, ending=self.ending)
        except Problem as problem:
            log.info("not looked at", target=target.name, code=problem.code)
            if problem.code != "E-BUSY":
                board.failed(self.ledger, target.name, problem, period=period)
        except Exception as error:
            log.exception("bug", part="nightly", target=target.name)
            broken = Problem(
                "E-BUG", f"Something broke on my side ({type(error).__name__}).", "The bot's log says more."
            )
            board.failed(self.ledger, target.name, broken, period=period)
        else:
            board.keep(self.ledger, target.name, found, period=period)


def schedule_of(wanted: Readiness) -> Drill:
    """A schedule as that of a drill."""
    return Drill(wanted.schedule, wanted.timezone)
