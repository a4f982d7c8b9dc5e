"""What is told of a target and belongs to no run: reminders of drills, the drills themselves, and the like."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bot import messages
from bot.apart_applied import APPLIED
from bot.delivery import Delivery
from bot.messages.blocks import Message
from bot.people import People
from core import drills
from core.drill import drill_event
from core.ledger import Ledger
from core.model import Event
from core.settings import Target

Teller = Callable[[Event, Target, People, Ledger], Iterator[Delivery]]
ANSWERS = ("drill_snoozed", "drill_skipped", "drill_started", "drill_passed", "drill_failed")


def home(target: Target, people: People) -> str | None:
    """The id of the target's own channel. Raises one of AWAY."""
    return people.channel_id(target.channel) if target.channel else None


# -- drills ----------------------------------------------------------------------------------------------------


def drill_due(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """The reminder; it loses its buttons when it is answered."""
    yield Delivery("drill", reminder(event, people, ledger), channel=home(target, people))
    before = [
        one for one in ledger.apart(["drill_due"], target.name) if one.id < event.id and not one.data.get("first")
    ]
    if before and not event.data.get("first"):
        yield from reminded(before[0].id, people, ledger)


def drill_answered(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """Put off, or skipped: the reminder says so."""
    yield from reminded(event.data["due"], people, ledger)


def drill_started(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """In the reminder's thread, where there is one, else it begins a thread of its own."""
    yield from reminded(event.data["due"], people, ledger)
    root = reminder_of(event.data["due"], ledger)
    if root:
        yield Delivery("drill", messages.drill_started(event), channel=root["channel"], thread=root["ts"])
    else:
        yield Delivery("drill", messages.drill_started(event), channel=home(target, people))


def drill_line(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """One line of the drill's thread."""
    lines: dict[str, Callable[[Event], Message]] = {
        "drill_waits": messages.drill_waits,
        "drill_step": messages.drill_step,
        "drill_agreed": messages.drill_agreed,
    }
    yield from in_thread(event, lines[event.kind](event), ledger)
    if event.kind == "drill_agreed":
        yield from asked(event, target, people, ledger, agreed=event)


def drill_asks(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """The second person is asked in the channel."""
    yield from in_thread(event, messages.drill_asks(event, people.mention(target.approvers)), ledger, broadcast=True)


def drill_ended(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """In the thread, and in the channel where it failed; reminder and question lose their buttons."""
    owner = str((drills.standing(ledger, target.name).told or event).data.get("owner") or "") or next(
        iter(target.approvers), ""
    )
    start = start_of(event, ledger)
    now = drills.after([one for one in ledger.apart(drills.KINDS, target.name) if one.id <= event.id])
    message = messages.drill_ended(event, whose(owner, people), now, start)
    yield from in_thread(event, message, ledger, broadcast=event.kind == "drill_failed")
    yield from reminded(event.data["due"], people, ledger)
    yield from asked(event, target, people, ledger)


def whose(owner: str, people: People) -> messages.DrillOwner:
    """A person or a group."""
    return (
        messages.DrillOwner(people.mention([owner]), people.called([owner]))
        if owner
        else messages.DrillOwner("nobody", "nobody")
    )


def reminder(event: Event, people: People, ledger: Ledger) -> Message:
    """A reminder as it reads now."""
    due = event.data.get("first") or event.id
    answers = [
        one for one in ledger.apart(ANSWERS, event.data["target"]) if one.data.get("due") == due and one.id > event.id
    ]
    return messages.drill_due(event, whose(str(event.data.get("owner") or ""), people), answers[0] if answers else None)


def reminder_of(due: int | None, ledger: Ledger) -> dict[str, Any] | None:
    """Where the newest reminder of a period stands, with the number of its event."""
    numbers = [due, *(one.id for one in ledger.apart(["drill_due"]) if due and one.data.get("first") == due)]
    posts = [
        post
        for number in numbers
        if number
        for post in ledger.posts("event = ? AND place = 'drill' AND ts IS NOT NULL", (number,))
    ]
    return posts[-1] if posts else None


def reminded(due: int | None, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """The newest reminder of a period, brought up to date."""
    post = reminder_of(due, ledger)
    if post:
        (event,) = ledger.events(after=post["event"] - 1, limit=1)
        yield Delivery(
            f"edit {event.id} drill", reminder(event, people, ledger), channel=post["channel"], update=post["ts"]
        )


def asked(
    event: Event, target: Target, people: People, ledger: Ledger, agreed: Event | None = None
) -> Iterator[Delivery]:
    """The question to a second person, brought up to date."""
    question = drill_event(ledger, "drill_asks", target.name, event.data["drill"])
    agreed = agreed or drill_event(ledger, "drill_agreed", target.name, event.data["drill"])
    for post in ledger.posts("event = ? AND place = 'drill' AND ts IS NOT NULL", (question.id,)) if question else ():
        if question:
            message = messages.drill_asks(question, people.mention(target.approvers), agreed, over=True)
            yield Delivery(f"edit {question.id} drill", message, channel=post["channel"], update=post["ts"])


def start_of(event: Event, ledger: Ledger) -> Event | None:
    """The event that started a drill."""
    return next(iter(ledger.events(after=event.data["drill"] - 1, limit=1)), None)


def in_thread(event: Event, message: Message, ledger: Ledger, *, broadcast: bool = False) -> Iterator[Delivery]:
    """A reply in the thread of a drill."""
    posts = ledger.posts("event = ? AND place = 'drill' AND ts IS NOT NULL", (event.data["drill"],))
    start = start_of(event, ledger)
    root = (reminder_of(start.data["due"], ledger) if start else None) or (posts[0] if posts else None)
    if root:
        yield Delivery("drill", message, channel=root["channel"], thread=root["ts"], broadcast=broadcast)


def month(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """The report of a month, with a chart where Slack takes one."""
    made = messages.month(event, people.newer.of(target))
    yield Delivery("month", made, channel=home(target, people), classic=lambda: messages.month(event))


APART: dict[str, Teller] = {
    "month": month,
    "drill_due": drill_due,
    "drill_snoozed": drill_answered,
    "drill_skipped": drill_answered,
    "drill_started": drill_started,
    "drill_waits": drill_line,
    "drill_step": drill_line,
    "drill_agreed": drill_line,
    "drill_asks": drill_asks,
    "drill_passed": drill_ended,
    "drill_failed": drill_ended,
    **APPLIED,
}
"""By kind of event."""
