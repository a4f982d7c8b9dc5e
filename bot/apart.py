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
from core.ledger import Ledger
from core.model import Event
from core.settings import Target

Teller = Callable[[Event, Target, People, Ledger], Iterator[Delivery]]
ITS = "event = ? AND place IN ('due', 'drill') AND ts IS NOT NULL"
"""What was posted of one event. `due`: what is edited later, as a card is; `drill`: a line that is not."""
NEWEST = 100  # events that are looked through for a drill's own
ANSWERS = ("drill_snoozed", "drill_skipped", "drill_started", "drill_passed", "drill_failed")


def home(target: Target, people: People) -> str | None:
    """The id of the target's own channel. Raises one of AWAY."""
    return people.channel_id(target.channel) if target.channel else None


# -- drills ----------------------------------------------------------------------------------------------------


def drill_due(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """The reminder; it loses its buttons when it is answered, or when the next period comes."""
    yield Delivery("due", reminder(event, people, ledger), channel=home(target, people))
    told = ledger.apart(["drill_due"], target.name, NEWEST)
    before = [one for one in told if one.id < event.id and not one.data.get("first")]
    if before and not event.data.get("first"):
        yield from reminded(before[0].id, target.name, people, ledger)


def drill_answered(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """Put off, or skipped: the reminder says so."""
    yield from reminded(event.data["due"], target.name, people, ledger)


def drill_started(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """In the reminder's thread, where there is one, else it begins a thread of its own. What failed before loses its button."""
    yield from reminded(event.data["due"], target.name, people, ledger)
    root = reminder_of(event.data["due"], target.name, ledger)
    channel, thread = (root["channel"], root["ts"]) if root else (home(target, people), None)
    yield Delivery("drill", messages.drill_started(event), channel=channel, thread=thread)
    for failed in ledger.apart(["drill_failed"], target.name, 1):
        for post in ledger.posts(ITS, (failed.id,)):
            message = ended(failed, target, people, ledger, over=True)
            yield Delivery(f"edit {failed.id} due", message, channel=post["channel"], update=post["ts"])


def drill_line(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """One line of the drill's thread."""
    lines: dict[str, Callable[[Event], Message]] = {
        "drill_waits": messages.drill_waits,
        "drill_step": messages.drill_step,
        "drill_agreed": messages.drill_agreed,
    }
    yield from in_thread("drill", event, lines[event.kind](event), ledger)
    if event.kind == "drill_agreed":
        yield from asked(event, target, people, ledger)


def drill_asks(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """The second person is asked in the channel."""
    message = messages.drill_asks(event, people.mention(target.approvers))
    yield from in_thread("due", event, message, ledger, broadcast=True)


def drill_ended(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """In the thread, and in the channel where it failed; reminder and question lose their buttons."""
    failed, message = event.kind == "drill_failed", ended(event, target, people, ledger)
    yield from in_thread("due" if failed else "drill", event, message, ledger, broadcast=failed)
    yield from reminded(event.data["due"], target.name, people, ledger)
    yield from asked(event, target, people, ledger)


def ended(event: Event, target: Target, people: People, ledger: Ledger, over: bool = False) -> Message:
    """How it went; `over`: it was started again since."""
    now = drills.after([one for one in ledger.apart(drills.KINDS, target.name, drills.READ) if one.id <= event.id])
    owner = str(now.told.data.get("owner") or "") if now.told else ""
    whom = whose(owner or next(iter(target.approvers), ""), people)
    return messages.drill_ended(event, whom, now, start_of(event, ledger), over=over)


def whose(owner: str, people: People) -> messages.DrillOwner:
    """A person or a group."""
    return (
        messages.DrillOwner(people.mention([owner]), people.called([owner]))
        if owner
        else messages.DrillOwner("nobody", "nobody")
    )


def reminder(event: Event, people: People, ledger: Ledger) -> Message:
    """A reminder as it reads now: with what has become of it, or that the next one is due."""
    due = event.data.get("first") or event.id
    later = [one for one in ledger.apart((*ANSWERS, "drill_due"), event.data["target"], NEWEST) if one.id > event.id]
    answers = [one for one in later if one.kind in ANSWERS and one.data.get("due") == due]
    following = [one for one in later if one.kind == "drill_due" and not one.data.get("first")]
    owner = whose(str(event.data.get("owner") or ""), people)
    return messages.drill_due(event, owner, next(iter(answers or following[-1:]), None))


def reminder_of(due: int | None, target: str, ledger: Ledger) -> dict[str, Any] | None:
    """Where the newest reminder of a period stands, with the number of its event."""
    told = ledger.apart(["drill_due"], target, NEWEST) if due else []
    numbers = [due, *(one.id for one in reversed(told) if one.data.get("first") == due)]
    posts = [post for number in numbers if number for post in ledger.posts(ITS, (number,))]
    return posts[-1] if posts else None


def reminded(due: int | None, target: str, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """The newest reminder of a period, brought up to date."""
    post = reminder_of(due, target, ledger)
    if post:
        (event,) = ledger.events(after=post["event"] - 1, limit=1)
        message = reminder(event, people, ledger)
        yield Delivery(f"edit {event.id} due", message, channel=post["channel"], update=post["ts"])


def asked(event: Event, target: Target, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """The question to a second person, brought up to date."""
    question = drills.drill_event(ledger, "drill_asks", target.name, event.data["drill"])
    agreed = drills.drill_event(ledger, "drill_agreed", target.name, event.data["drill"])
    for post in ledger.posts(ITS, (question.id,)) if question else ():
        if question:
            message = messages.drill_asks(question, people.mention(target.approvers), agreed, over=True)
            yield Delivery(f"edit {question.id} due", message, channel=post["channel"], update=post["ts"])


def start_of(event: Event, ledger: Ledger) -> Event | None:
    """The event that started a drill."""
    return next(iter(ledger.events(after=event.data["drill"] - 1, limit=1)), None)


def in_thread(
    place: str, event: Event, message: Message, ledger: Ledger, *, broadcast: bool = False
) -> Iterator[Delivery]:
    """A reply in the thread of a drill."""
    start = start_of(event, ledger)
    root = reminder_of(start.data["due"], start.data["target"], ledger) if start else None
    root = root or next(iter(ledger.posts(ITS, (event.data["drill"],))), None)
    if root:
        yield Delivery(place, message, channel=root["channel"], thread=root["ts"], broadcast=broadcast)


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
