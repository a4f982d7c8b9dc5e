"""What is told of backups that no rollback has asked for, and of what could be undone."""

from __future__ import annotations

from collections.abc import Iterator

from bot import messages
from bot.apart import Teller, home
from bot.delivery import Delivery
from bot.people import People
from core.ledger import Ledger
from core.model import Event
from core.settings import Target


def backup_over(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """How a backup ended, where somebody in Slack has asked for it; a shell has heard of its own."""
    if event.actor and not event.actor.id.startswith("shell:"):
        mine = event.data.get("backup")
        taken = [one for one in ledger.apart(["backup_taken"], target.name) if one.data["backup"] == mine]
        channel = home(target, people)
        message = messages.backup_over(event, taken[0] if taken else None)
        yield Delivery("backup", message, channel=channel, user=None if channel else event.actor.id)


def backup_old(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """The alarm."""
    yield Delivery("backup", messages.backup_old(event), channel=home(target, people))


def readiness(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """Only what has changed."""
    if event.data["changed"]:
        yield Delivery("readiness", messages.readiness_changed(event), channel=home(target, people))


READY: dict[str, Teller] = {
    "backup_proven": backup_over,
    "backup_failed": backup_over,
    "backup_old": backup_old,
    "readiness": readiness,
}
"""By kind of event."""
