"""Time and chance of a world, put in the place of the modules `time` and `secrets` where the product uses them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import bot.announcer
import bot.countdown
import bot.drain
import bot.edits
import bot.guard
import bot.pace
import bot.people
import bot.sending
import bot.vitals
import bot.worker
import core.engine
import core.grammar
import core.holds
import core.ledger
import core.meter
from bot.drain import TELL
from core import postgres
from core.settings import Target

if TYPE_CHECKING:
    from tests.simulator.world import World

TIMED = (
    bot.announcer, bot.edits, bot.guard, bot.pace, bot.people, bot.sending, bot.vitals, bot.worker, core.engine, core.holds,
    core.ledger, core.meter,
)  # fmt: skip
NOON = datetime(2026, 11, 10, 9, 50, tzinfo=UTC)  # ten minutes before a drill is due


class Clock:
    """Two clocks: one that only goes forward, and the wall's, which somebody may set. Seconds."""

    def __init__(self) -> None:
        self.mono, self.set_by, self.jumps = 1000.0, 0.0, 0

    def now(self) -> datetime:
        """The wall's, UTC, to the millisecond."""
        return NOON + timedelta(milliseconds=int((self.mono - 1000.0 + self.set_by) * 1000))

    def jump(self, seconds: float) -> None:
        """Somebody, or NTP, sets the wall clock."""
        self.set_by += seconds
        self.jumps += 1


class Current:
    """The world that runs in this process, seen as the modules `time` and `secrets` and as a server for proofs."""

    world: World

    def monotonic(self) -> float:
        return self.world.clock.mono

    def time(self) -> float:
        return self.world.clock.now().timestamp()

    def sleep(self, seconds: float) -> None:
        self.world.sleep(seconds)

    def choice(self, of: Sequence[str]) -> str:
        return self.world.rng.choice(of)

    def steady(self) -> float:
        return self.world.clock.mono

    def cut_short(self, target: Target, run: str) -> int:
        return self.world.bases[target.name].cut_short(run)

    def leftovers(self, url: str, run: str) -> list[str]:
        return [name for name in sorted(self.world.scratch) if name.startswith(run)]

    def drop(self, url: str, name: str) -> None:
        self.world.scratch.discard(name)


class Draining:
    """The module `time` as the drain sees it: while it waits, what is under way goes on."""

    def monotonic(self) -> float:
        return CURRENT.monotonic()

    def sleep(self, seconds: float) -> None:
        CURRENT.world.process.goes_on()


CURRENT, DRAINING = Current(), Draining()


class Stop:
    """The announcer's event: waiting takes the world's time, and ends with the time of a process that ends."""

    def __init__(self) -> None:
        self.told = False

    def set(self) -> None:
        self.told = True

    def is_set(self) -> bool:
        return self.told

    def wait(self, seconds: float) -> bool:
        if not self.told:
            CURRENT.sleep(seconds)
            self.told = CURRENT.world.process.late(TELL)
        return self.told


@contextmanager
def installed() -> Iterator[None]:
    """The product's modules see the world's time, chance and scratch server; afterwards everything is as before."""
    places: list[tuple[Any, str]] = [(module, "time") for module in TIMED]
    places += [(core.grammar, "secrets"), (bot.drain, "time"), (bot.drain, "cut_short")]
    before = [(place, name, getattr(place, name)) for place, name in places]
    before += [(postgres, "leftovers", postgres.leftovers), (postgres, "drop", postgres.drop)]
    before += [(bot.countdown, name, getattr(bot.countdown, name)) for name in ("FROZEN", "QUIET")]
    try:
        for place, name in places:
            setattr(place, name, CURRENT)
        bot.drain.time, bot.drain.cut_short = DRAINING, CURRENT.cut_short  # type: ignore[assignment]
        postgres.leftovers, postgres.drop = CURRENT.leftovers, CURRENT.drop
        bot.countdown.FROZEN = bot.countdown.QUIET = float("inf")  # jobs come now and then here, not each second
        yield
    finally:
        for place, name, value in before:
            setattr(place, name, value)
