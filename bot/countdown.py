"""The countdown of a break-glass: the time in which everybody can stop it."""

from __future__ import annotations

import time
from collections.abc import Callable

from bot.watchdog import FROZEN
from core.desk import Desk
from core.model import State

QUIET = 10.0
"""Seconds between two frames of Slack's after which a click may have been lost between them: a pong comes every 5 s."""


class Countdown:
    """Opens the gate of what was broken open, once everybody has really had the time to stop it.

    The ledger's clock alone could jump forward. So the countdown must also have passed on the monotonic clock of this
    process, from when it first saw the announcement in the channel, and only time counts in which a click could have
    reached us: not while the process was frozen, ends, or hears nothing of Slack. A restart begins it anew, and what
    nobody can see does not start.
    """

    def __init__(
        self,
        desk: Desk,
        clock: Callable[[], float] = time.monotonic,
        unheard: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.desk, self.clock, self.unheard = desk, clock, unheard
        self._passed: dict[int, float] = {}
        self._looked = self._heard = clock()

    def look(self) -> None:
        """Once a second."""
        passed = self.heard()
        for run in self.desk.ledger.open_runs():
            one = run.broken
            if run.state is not State.WAITING or one is None or not self.announced(one.event):
                continue
            before = self._passed.get(one.event)
            # what was heard last was heard before the announcement was seen: the time from then on is not part of it
            self._passed[one.event] = self._heard - self._looked if before is None else before + passed
            if self._passed[one.event] >= one.countdown:
                self.desk.countdown_over(run.id, one.event)

    def heard(self) -> float:
        """Seconds since the last look in which a click could have reached us, as far as it is known by now."""
        now = self.clock()
        heard = max(self._heard, now - self.unheard())
        passed = heard - self._heard if now - self._looked <= FROZEN and heard - self._heard <= QUIET else 0.0
        self._looked, self._heard = now, heard
        return passed

    def announced(self, event: int) -> bool:
        """Does the channel show it?"""
        return bool(self.desk.ledger.posts("event = ? AND place = 'call' AND ts IS NOT NULL", (event,)))
