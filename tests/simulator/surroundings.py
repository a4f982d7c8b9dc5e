"""What changes around the bot: time, the directory, databases, Slack, the disk, and whoever starts and ends bots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulator.people import ON_CALL

if TYPE_CHECKING:
    from tests.simulator.world import World

SURROUNDINGS = ("group",) * 5 + ("up",) * 3 + ("drift",) * 4 + (
    "account", "account", "down", "locked", "sick", "slack", "card", "term", "term", "second", "full",
)  # fmt: skip


def time_passes(world: World) -> None:
    """Now and then somebody sets the clock."""
    seconds = world.rng.choice((1, 1, 10, 10, 60, 130, 300, 1000))
    if world.rng.random() < 0.15:
        jump = world.rng.choice((-7200, -600, -5, 5, 600, 4000))
        world.count("fault", "clock set back" if jump < 0 else "clock set forward")
        world.note("clock set", jump)
        world.clock.jump(jump)
    world.clock.mono += seconds


def change(world: World) -> None:
    """Something outside of the bot changes."""
    rng, slack = world.rng, world.slack
    base = world.bases[rng.choice(list(world.bases))]
    what = rng.choice(SURROUNDINGS)
    world.count("surroundings", what)
    world.note("surroundings", what, base.name)
    if what == "group":
        slack.members = rng.sample(ON_CALL, rng.randint(0, 3))
        slack.changed()
    elif what == "account":
        slack.inactive = set(rng.sample(ON_CALL, rng.randint(0, 1)))
        slack.changed()
    elif what == "down":
        base.fall()
    elif what == "up":
        base.down = base.locked = base.sick = False
    elif what == "drift" and not base.opened:
        base.drift += 1
    elif what == "locked":
        base.locked = True
    elif what == "sick":
        base.sick = True
    elif what == "slack":
        slack.away_until = world.clock.mono + rng.choice((5, 60, 300))
    elif what == "full":
        world.full_until = world.clock.mono + rng.choice((0.2, 5, 60))
    elif what == "card" and slack.messages:
        rng.choice(slack.messages).gone = True
    elif what == "term":
        world.process.end("SIGTERM")
    elif what == "second" and world.process.ledger.sole():
        world.faults.append("two bots hold one ledger")
