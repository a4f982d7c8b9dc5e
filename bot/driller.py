"""Walks the drills that were started: one of a target at a time, in threads of their own, and never two processes one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import IO

import structlog

from core import drill_leftovers as left
from core.drill import Walk
from core.errors import Problem
from core.ledger import Ledger
from core.model import Event, Person
from core.settings import Settings, Target

log = structlog.get_logger()


class Driller:
    """`ending`: is the process told to end?"""

    def __init__(self, ledger: Ledger, settings: Settings, pool: Executor, ending: Callable[[], bool]) -> None:
        self.ledger, self.settings, self.pool, self.ending = ledger, settings, pool, ending
        self._busy: dict[str, int] = {}  # target -> the drill
        self._guard = threading.Lock()
        self._swept = False

    def busy(self) -> list[str]:
        """Targets whose drills are walked here."""
        with self._guard:
            return sorted(self._busy)

    def look(self) -> None:
        """Begin what was started; end what a process before has left in the middle. Returns at once; ask it every second."""
        self.sweep()
        for target in self.settings.targets.values():
            start = self.open(target)
            if start is None or target.name in self.busy() or self.ending():
                continue
            lock = self.ledger.hold(f"drill-{target.name}")
            if lock is None:
                continue  # a shell walks it
            now = self.open(target)
            if now is None or now.id != start.id:  # it has ended, since we asked
                lock.close()
                continue
            if left.begun(self.ledger, self.settings, start):
                left.interrupted(self.ledger, start)
                left.sweep(self.settings, target, start.id)
                lock.close()
                continue
            with self._guard:
                self._busy[target.name] = start.id
            try:
                self.pool.submit(self.walk, start, target, lock)
            except RuntimeError:  # the process ends
                self.over(target, lock)

    def open(self, target: Target) -> Event | None:
        """The start of the drill that is under way, or waits to be begun."""
        newest = self.ledger.apart(["drill_started", "drill_passed", "drill_failed"], target.name, 1)
        return newest[0] if newest and newest[0].kind == "drill_started" else None

    def sweep(self) -> None:
        """Once: what drills have left whose process died. One that is still open is ended by `look`, which then sweeps it."""
        if self._swept:
            return
        self._swept = True
        for number in left.abandoned(self.settings):
            for start in self.ledger.events(after=number - 1, limit=1):
                name = str(start.data.get("target"))
                target = self.settings.targets.get(name)
                now = self.open(target) if target else None
                lock = self.ledger.hold(f"drill-{name}") if start.kind == "drill_started" else None
                if lock:
                    if now is None or now.id != number:
                        left.sweep(self.settings, target, number)
                    if target is None:
                        log.warning(
                            "a drill of a target that has left the settings", target=name, databases="may be left"
                        )
                    lock.close()

    def walk(self, start: Event, target: Target, lock: IO[str]) -> None:
        """One drill, to its end."""
        try:
            who = start.actor or Person("bot", "the bot")
            Walk(self.ledger, self.settings, target, start.id, who, self.ending).walk()
        except Problem as problem:
            log.warning("drill ended", target=target.name, code=problem.code)
        except Exception:
            log.exception("bug", part="drill")
        finally:
            self.over(target, lock)

    def over(self, target: Target, lock: IO[str]) -> None:
        """Somebody else may."""
        with self._guard:
            self._busy.pop(target.name, None)
        lock.close()
