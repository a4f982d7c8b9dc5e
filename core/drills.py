"""What the audit trail says of a target's drills, and what people may decide about them.

A drill belongs to a period of the target's schedule: its reminder, `drill_due`, names it. Each decision is one transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from core.errors import Refused
from core.grammar import SHORTEST_REASON
from core.ledger import Ledger, Transaction, stamp
from core.model import Event, Person
from core.quantities import duration

KINDS = (
    "drill_due", "drill_snoozed", "drill_skipped", "drill_started", "drill_asks", "drill_agreed", "drill_passed", "drill_failed",
)  # fmt: skip
"""What decides how it stands; `drill_waits` and `drill_step` only tell."""
LATE = timedelta(days=1)
"""A drill that nobody has answered for after so long is overdue."""


@dataclass(frozen=True)
class Standing:
    """How it is with the drills of one target.

    `due`: the reminder of the period that nobody has answered for, by a drill that passed or by a skip; `told`: its newest
    reminder; `snoozed`: until when. `running`: the start of the drill that is under way; `asks`: its question to a second
    person, while that is open. `last`: how the newest drill ended; `skipped`: the newest skip. `streak`: periods in a row in
    which a drill passed; before the first reminder, drills.
    """

    due: Event | None = None
    told: Event | None = None
    snoozed: datetime | None = None
    running: Event | None = None
    asks: Event | None = None
    last: Event | None = None
    skipped: Event | None = None
    streak: int = 0

    def overdue(self, now: datetime) -> bool:
        """Has the open period waited for too long?"""
        return self.due is not None and now - moment_of(self.due) > LATE


READ = 100
"""Events that are looked back at: what a reminder says of the row before it stands for all that is older."""


def standing(ledger: Ledger, target: str) -> Standing:
    """As of now."""
    return after(ledger.apart(KINDS, target, READ))


def after(newest_first: list[Event]) -> Standing:
    """What the newest events of one target come to; at most READ are needed."""
    told = newest_first[::-1]
    if len(told) >= READ:
        first = next((at for at, one in enumerate(told) if one.kind == "drill_due" and not one.data.get("again")), 0)
        told = told[first:]
    now = Standing(streak=told[0].data.get("streak", 0) if told and told[0].kind == "drill_due" else 0)
    for event in told:
        now = heard(now, event)
    return now


def heard(now: Standing, event: Event) -> Standing:
    """One more event."""
    match event.kind:
        case "drill_due" if event.data.get("again"):
            return replace(now, told=event, snoozed=None)
        case "drill_due":  # the period before went by unanswered, or it was answered and this is a new one
            streak = 0 if now.due or event.data.get("missed") else now.streak
            return replace(now, due=event, told=event, snoozed=None, streak=streak)
        case "drill_snoozed":
            return replace(now, snoozed=datetime.fromisoformat(event.data["until"]))
        case "drill_skipped":
            return replace(now, due=None, snoozed=None, skipped=event, streak=0)
        case "drill_started":
            return replace(now, running=event, asks=None)
        case "drill_asks":
            return replace(now, asks=event)
        case "drill_agreed":
            return replace(now, asks=None)
        case "drill_passed":
            counts = now.due is not None or now.told is None
            return replace(now, due=None, snoozed=None, running=None, asks=None, last=event, streak=now.streak + counts)
        case _:  # a process that ended says nothing about the way back
            streak = now.streak if event.data.get("code") == "E-STOPPED" else 0
            return replace(now, running=None, asks=None, last=event, streak=streak)


def moment_of(due: Event) -> datetime:
    """When the drill of a reminder is due."""
    return datetime.fromisoformat(due.data["due"])


class Drills:
    """Decisions, each by compare-and-set on what the trail says. Who may is checked by the door, as for the desk."""

    def __init__(self, ledger: Ledger, same: Callable[[Person, Person], bool]) -> None:
        self.ledger, self.same = ledger, same

    def start(self, target: str, who: Person, delivery: str = "") -> Event:
        """A drill begins; it answers for the open period, where there is one. Raises Refused(E-BUSY)."""

        def write(t: Transaction, now: Standing) -> Event:
            if now.running:
                raise running(now.running)
            return t.append(None, "drill_started", {"target": target, "due": now.due.id if now.due else None}, who)

        return self._decide(target, write, delivery)

    def snooze(self, target: str, who: Person, days: int, delivery: str = "") -> Event:
        """Be reminded again later, in the same period. Raises Refused(E-CLOSED, E-BUSY, E-TOO-LATE)."""

        def write(t: Transaction, now: Standing) -> Event:
            due = open_period(now, target)
            until = t.now + timedelta(days=days)
            following = due.data.get("next")
            if following and until >= datetime.fromisoformat(following):
                raise Refused(
                    "E-TOO-LATE",
                    f"The next drill of *{target}* is due on {following[:10]}, before that. Nothing was snoozed.",
                    "Snooze for less, start it, or skip it with a reason.",
                )
            data = {"target": target, "due": due.id, "until": stamp(until)}
            return t.append(None, "drill_snoozed", data, who)

        return self._decide(target, write, delivery)

    def skip(self, target: str, who: Person, reason: str, delivery: str = "") -> Event:
        """The period goes without a drill, and everybody sees why. Raises Refused(E-REASON, E-CLOSED, E-BUSY)."""
        if len(reason.strip()) < SHORTEST_REASON:
            raise Refused("E-REASON", f"Say why, in at least {SHORTEST_REASON} characters: everyone sees it.")

        def write(t: Transaction, now: Standing) -> Event:
            data = {"target": target, "due": open_period(now, target).id, "reason": reason.strip()}
            return t.append(None, "drill_skipped", data, who)

        return self._decide(target, write, delivery)

    def agree(self, target: str, who: Person, delivery: str = "", question: int | None = None) -> Event:
        """A second person agrees to the drill, as they would to a rollback. Raises Refused(E-CLOSED, E-SELF).

        `question`: the event that they were asked by; typed, that is the open one.
        """

        def write(t: Transaction, now: Standing) -> Event:
            if not now.asks or not now.running or not now.running.actor or question not in (None, now.asks.id):
                raise Refused("E-CLOSED", f"No drill of *{target}* waits for a second person.", "`drill status` tells.")
            if self.same(now.running.actor, who):
                raise Refused("E-SELF", "You started this drill, so somebody else must agree.", "It goes on waiting.")
            return t.append(
                None,
                "drill_agreed",
                {"target": target, "drill": now.running.id, "digest": now.asks.data["digest"]},
                who,
            )

        return self._decide(target, write, delivery)

    def stop(self, target: str, who: Person, delivery: str = "") -> Event:
        """The drill under way ends as failed, at its next look. Raises Refused(E-CLOSED)."""

        def write(t: Transaction, now: Standing) -> Event:
            if not now.running:
                raise Refused(
                    "E-CLOSED", f"No drill of *{target}* is under way.", "`drill status` tells how it stands."
                )
            return t.append(None, "drill_stopped", {"target": target, "drill": now.running.id}, who)

        return self._decide(target, write, delivery)

    def _decide(self, target: str, write: Callable[[Transaction, Standing], Event], delivery: str) -> Event:
        with self.ledger.transaction() as t:
            t.once(delivery)
            return write(t, after(t.apart(KINDS, target, READ)))


def open_period(now: Standing, target: str) -> Event:
    """The period that waits for an answer. Raises Refused(E-BUSY, E-CLOSED)."""
    if now.running:
        raise running(now.running)
    if now.due is None:
        raise Refused("E-CLOSED", f"No drill of *{target}* is due.", "`drill status` tells when the next one is.")
    return now.due


def running(start: Event) -> Refused:
    """One drill of a target at a time."""
    by = start.actor.name if start.actor else "somebody"
    return Refused(
        "E-BUSY",
        f"A drill of *{start.data['target']}* is under way, started by {by} at {start.at:%H:%M} UTC.",
        "`drill status` tells how far it is.",
    )


def told_last(now: Standing, at: datetime) -> str:
    """How the last drill went, in words: `35 days ago, 3 min 40 s, passed`, `never`."""
    if now.last is None:
        return "never"
    days = (at - now.last.at).days
    ago = "today" if days < 1 else "yesterday" if days == 1 else f"{days} days ago"
    return f"{ago}, {duration(now.last.data['seconds'])}, {now.last.kind.removeprefix('drill_')}"


def drill_event(ledger: Ledger, kind: str, target: str, number: int) -> Event | None:
    """The newest event of that kind of a drill."""
    return next((event for event in ledger.apart([kind], target, 1) if event.data.get("drill") == number), None)
