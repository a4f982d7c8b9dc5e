"""The App Home tabs: drawn when one is opened, and again when something has happened."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import cache, partial

import structlog
from slack_sdk import WebClient

from bot import messages
from bot.client import name_of, passing
from bot.clock import next_drill
from bot.people import AWAY, People
from core import board, drills, glass, survey
from core.desk import Desk
from core.errors import Problem, Refused, StepFailed
from core.model import Json, Person, Run, State
from core.settings import Target

log = structlog.get_logger()
APART = 3.0  # seconds between two looks at what has changed
FRESH = 60.0  # seconds for which the newest migrations of the targets are shown without asking again
KNOWN = 200  # people whose open tabs are kept up to date


class Homes:
    """Everybody's tab. `health`: sentences about the bot itself, as they are now."""

    def __init__(
        self,
        client: WebClient,
        desk: Desk,
        people: People,
        pool: Executor,
        health: Callable[[], list[str]] = list,
    ) -> None:
        self.client, self.desk, self.people, self.pool, self.health = client, desk, people, pool, health
        self._shown: dict[str, Json] = {}  # who has opened theirs in this process, and what it shows
        self._targets: tuple[float, datetime | None, list[messages.TargetNow]] = (float("-inf"), None, [])
        self._looked, self._head = 0.0, 0
        self._guard, self._idle = threading.Lock(), threading.Lock()
        self._asking = threading.Lock()  # the targets, once, however many open their tabs while they do not answer

    def opened(self, user: str) -> None:
        """Draw at once with what is known; then, where that is old, the targets are asked and it is drawn again."""
        self.publish(user, anyway=True)
        if time.monotonic() - self._targets[0] > FRESH and self._asking.acquire(blocking=False):
            try:
                now = [
                    messages.TargetNow(one.name, newest=one.newest, problem=one.problem)
                    for one in survey.targets(self.desk.settings, self.desk.ledger)
                ]
                self._targets = (time.monotonic(), self.desk.ledger.clock(), now)
            finally:
                self._asking.release()
            self.publish(user)

    def turn(self) -> None:
        """Where something has happened: draw the tabs that show something else now. Returns at once; ask it often."""
        now = time.monotonic()
        if not self._shown or now - self._looked < APART:
            return
        self._looked = now
        number = self.desk.ledger.head()[0]
        if number != self._head and self._idle.acquire(blocking=False):
            self._head = number
            try:
                self.pool.submit(self._all)
            except RuntimeError:  # the process ends
                self._idle.release()

    def _all(self) -> None:
        try:
            ready = cache(self.ready)  # the same for everybody, and each time a look at the backup folder
            drawn = [self.publish(user, ready=ready) for user in list(self._shown)]  # also after one that failed
            if not all(drawn):
                self._head = -1  # tried again at the next turn
        finally:
            self._idle.release()

    def publish(self, user: str, *, anyway: bool = False, ready: Callable[[], list[str]] | None = None) -> bool:
        """Draw the tab of one person, where it shows something else than before, or `anyway`; False where that did not go.

        `ready`: instead of `self.ready`.
        """
        try:
            view = messages.home(self.tab(self.people.person(user), (ready or self.ready)()))
            if view == self._shown.get(user) and not anyway:
                return True
            self.client.views_publish(user_id=user, view=view)
        except Problem as problem:
            log.warning("home not published", code=problem.code)
            return False
        except AWAY as error:
            log.warning("home not published", error=name_of(error) or type(error).__name__)
            if passing(error):
                return False
            with self._guard:
                self._shown.pop(user, None)  # who has left, or is not shown to us: nothing mends by asking again
            return True
        except Exception:  # in a thread whose end nobody waits for
            log.exception("bug", part="home")
            return True  # not again before something happens
        with self._guard:
            self._shown.pop(user, None)
            self._shown[user] = view
            if len(self._shown) > KNOWN:
                self._shown.pop(next(iter(self._shown)))
        return True

    def tab(self, person: Person, ready: list[str]) -> messages.Tab:
        """What one person's tab shows now."""
        desk, people = self.desk, self.people
        targets = list(desk.settings.targets.values())
        approve = [one.name for one in targets if allowed(partial(people.among_approvers, person, one))]
        open_runs = desk.ledger.open_runs()
        waiting = [run for run in open_runs if run.state is State.WAITING and self.waits_for(run, person, approve)]
        owed = [run for run in glass.owed(desk.ledger) if run.target in approve]
        shown = messages.Tab(
            desk.ledger.clock(),
            waiting=waiting,
            running=[run for run in open_runs if run not in waiting],
            last=desk.ledger.runs("ended_at IS NOT NULL AND state <> 'refused'", limit=5),
            owed=owed,
            own=frozenset(run.id for run in owed if not allowed(partial(glass.may_review, run, person, desk.same))),
            ask=[one.name for one in targets if allowed(partial(people.may_ask, person, one))],
            approve=approve,
            alone=[one.name for one in targets if allowed(partial(people.may_break, person, one))],
            held=survey.held(desk.ledger),
            drills=[self._drill(one.name) for one in targets if one.drill],
            ready=ready,
            targets=self._targets[2],
            checked=self._targets[1],
            health=self.health(),
        )
        runs = [*shown.waiting, *shown.running, *shown.owed]
        return replace(shown, links={run.id: link for run in runs if (link := people.link(desk.ledger, run.id))})

    def waits_for(self, run: Run, person: Person, approve: list[str]) -> bool:
        """Can this person decide on it, and has not yet?"""
        mine = [run.requester, *(approval.person for approval in run.approvals)]
        return run.target in approve and not any(self.desk.same(one, person) for one in mine)

    def ready(self) -> list[str]:
        """A line for each target of which something is known. Raises Refused(E-LEDGER)."""
        return [line for one in self.desk.settings.targets.values() if (line := self._ready(one))]

    def _ready(self, target: Target) -> str:
        """What could be undone there; empty where nobody has looked and no backup was proven."""
        ledger, aged = self.desk.ledger, None
        with suppress(StepFailed):  # the backup folder cannot be read
            aged = board.newest_proven(ledger, self.desk.settings, target)
        now = board.board(ledger, target.name)
        return messages.readiness_line(target.name, now, aged, ledger.clock()) if now or aged else ""

    def _drill(self, name: str) -> messages.DrillNow:
        drill, ledger = self.desk.settings.target(name).drill, self.desk.ledger
        due = next_drill(drill, ledger.clock()) if drill else None
        return messages.DrillNow(name, due, drills.standing(ledger, name))


def allowed(check: Callable[[], None]) -> bool:
    """Does a rule say yes?"""
    try:
        check()
    except Refused:
        return False
    return True
