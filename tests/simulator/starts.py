"""Where worlds begin: with nothing, or where a rollback or a way back stands somewhere. Made once, by the product itself."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from core import glass
from core.model import Person
from tests.simulator.people import ANA, BOB
from tests.simulator.slack import Message

if TYPE_CHECKING:
    from tests.simulator.world import World

NAMES = ("empty", "proven", "agreed", "parts", "done", "differs", "reapply", "restore", "half", "broken", "owed")
"""Nothing; a plan is proven, it is agreed to, the same in two parts; done; done but it differs; a way back is agreed to; half done;
the glass was broken, and nobody was told yet; done without a second person."""


@dataclass
class Start:
    """A ledger's file, and what Slack and the database knew then."""

    ledger: Path
    messages: list[Message] = field(default_factory=list)
    applied: list[str] = field(default_factory=lambda: ["011", "012"])
    markers: dict[str, str] = field(default_factory=dict)
    committed: Counter[str] = field(default_factory=Counter)
    mono: float = 1000.0
    parts: int | None = None
    side: dict[str, int] = field(default_factory=dict)

    def begin(self, world: World) -> None:
        """The world goes on from here."""
        world.slack.messages = [replace(message) for message in self.messages]
        seen = [*world.slack.messages, *world.slack.messages[:1]]  # the card, last of all
        world.slack.screens = [(message, message.shown) for message in seen]
        base = world.bases["production"]
        base.applied, base.markers = list(self.applied), dict(self.markers)
        base.committed, base.side = Counter(self.committed), dict(self.side)
        base.parts = self.parts or base.parts
        world.clock.mono = self.mono


def lead_to(name: str, world: World) -> Start:
    """What people do, without faults, until it stands where the name says."""
    world.calm, process, base = True, world.process, world.bases["production"]
    base.parts = 2 if name in ("parts", "half") else 1
    process.begin()
    world.crowd.ask_for(ANA, "production")
    turns(world)
    if name in ("broken", "owed"):
        broken(world)
    elif name != "proven":
        agree(world)
    if name == "owed":
        turns(world)
    world.clock.mono += 35.0 if name in ("broken", "owed") else 0.0
    if name not in ("proven", "agreed", "parts", "broken"):
        base.sick, base.fails_after = name == "differs", 1 if name == "half" else 9
        turns(world)
    if name in ("reapply", "restore"):
        (run,) = process.ledger.runs()
        process.desk.way_back(name, run.id, world.settings.target(run.target), Person(ANA, "Ana"), "it must go back")  # type: ignore[arg-type]
        turns(world)
        agree(world)
    process.ledger.db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = world.settings.ledger.with_name(f"{name}.start")
    shutil.copyfile(world.settings.ledger, kept)
    assert not world.faults, world.faults
    world.bury()
    return Start(
        kept, world.slack.messages, base.applied, base.markers, base.committed, world.clock.mono, base.parts, base.side
    )


def agree(world: World) -> None:
    """A second person says yes."""
    (run,) = world.process.ledger.open_runs()
    world.process.desk.approve(run.id, Person(BOB, "Bob"), run.revision, run.digest)


def broken(world: World) -> None:
    """Nobody has answered, and somebody starts it without a second person."""
    (run,) = world.process.ledger.open_runs()
    world.clock.mono += 90.0
    words = (glass.word(run), "nobody answers, and checkout is down")
    world.process.desk.break_glass(run.id, Person(ANA, "Ana"), (run.revision, run.digest), words)


def turns(world: World) -> None:
    """Worker and announcer, until there is nothing to do."""
    for _ in range(3):
        world.process.part("worker")
        world.process.job()
        world.process.part("announcer")
        world.process.part("countdown")
        world.clock.mono += 4.0
