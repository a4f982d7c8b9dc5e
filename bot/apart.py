"""What is told of a target and belongs to no run: reminders of drills, and the like."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bot import messages
from bot.delivery import Delivery
from bot.people import People
from core.ledger import Ledger
from core.model import Event
from core.settings import Target


def home(target: Target, people: People) -> str | None:
    """The id of the target's own channel. Raises one of AWAY."""
    return people.channel_id(target.channel) if target.channel else None


def drill_due(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """The reminder of a drill."""
    yield Delivery("drill", messages.drill_due(event), channel=home(target, people))


APART: dict[str, Callable[[Event, Target, People, Ledger], Iterator[Delivery]]] = {"drill_due": drill_due}
"""By kind of event."""
