"""What is told of a history table: one message for all events of one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bot import messages
from bot.delivery import Delivery
from bot.people import People
from core.ledger import Ledger, stamp
from core.model import Event
from core.settings import Target

AT_ONCE = "run IS NULL AND kind = ? AND at = ? AND json_extract(data, '$.target') = ?"


def together(event: Event, ledger: Ledger, which: Callable[[Event], bool]) -> list[Event]:
    """All that was noted with this event, where it is the last of them; else nothing: the last one tells of all."""
    values = [event.kind, stamp(event.at), event.data["target"]]
    found = [one for one in ledger.told(AT_ONCE, values) if which(one)]
    return found[::-1] if found and found[0].id == event.id else []


def call(target: Target, people: People, message: messages.Message) -> Iterator[Delivery]:
    """In the target's own channel."""
    yield Delivery("call", message, channel=people.channel_id(target.channel) if target.channel else None)


def no_way_back(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """Migrations that could not be undone."""
    if events := together(event, ledger, lambda one: True):
        yield from call(target, people, messages.no_way_back(events))


def applied(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """Only those that came out of order; of the others nothing is said."""
    # the first look notes hundreds: nothing is read for what says nothing
    if event.data["out_of_order"] and (events := together(event, ledger, lambda one: bool(one.data["out_of_order"]))):
        yield from call(target, people, messages.out_of_order(events))


def unapplied(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """Only what no run of ours took out."""
    if event.data["by"] is None:
        yield from call(target, people, messages.unapplied(event))


def history_emptied(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """Loudly."""
    yield from call(target, people, messages.history_emptied(event, people.mention(target.approvers)))


APPLIED = {
    "no_way_back": no_way_back,
    "applied": applied,
    "unapplied": unapplied,
    "history_emptied": history_emptied,
}
"""By kind of event."""
