"""Sees to it that the channel witnesses every event, and not only those that have a line of their own.

Some events have none: a refusal that one person hears of, a run of the shell, the clock's tidying. After QUIET without a
message that shows a newer one, the head of the chain is posted: a line in a thread of its own, which disturbs nobody.
What was shown is remembered here and not in the ledger, where somebody could say that it was; so a bot that has just
started shows the head that it found.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bot.people import AWAY, People
from core.ledger import Ledger
from core.model import Event
from core.settings import Settings
from core.witness import EXACT

QUIET = 300.0
"""Seconds that an event may stand without a witness. Our choice: a step of a run rarely takes longer."""


class Notary:
    """Which event the channel has seen, and which it should see."""

    def __init__(
        self, ledger: Ledger, settings: Settings, people: People, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.ledger, self.settings, self.people, self.clock = ledger, settings, people, clock
        self.shown = 0
        self.since = clock()

    def seen(self, event: int, place: str) -> None:
        """A message was posted in that place."""
        if place in EXACT and event > self.shown:
            self.shown, self.since = event, self.clock()

    def due(self, told: int) -> Event | None:
        """The head, where it was told, and no message has shown it for long; at most once in QUIET."""
        head = self.ledger.head()[0]
        if head <= self.shown:
            self.since = self.clock()
        if told < head or self.clock() - self.since < QUIET:
            return None
        self.since = self.clock()
        return next(iter(self.ledger.events(after=head - 1, limit=1)), None)

    def where(self) -> str | None:
        """The channel of the default target, else of the first that has one; None where there is none, or Slack is away."""
        targets = sorted(self.settings.targets.values(), key=lambda one: one.name != self.settings.default_target)
        names = [target.channel for target in targets if target.channel]
        try:
            return self.people.channel_id(names[0]) if names else None
        except AWAY:
            return None

    def thread(self, channel: str) -> str | None:
        """The first of the lines there; the others follow in its thread."""
        posts = self.ledger.posts("place = 'witness root' AND channel = ? AND ts IS NOT NULL", (channel,), newest=True)
        return str(posts[0]["ts"]) if posts else None
