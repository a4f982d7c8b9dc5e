"""Drills in Slack: the buttons of the reminder, the second person, and what is typed."""

from __future__ import annotations

import json

from slack_bolt.response import BoltResponse

from bot import messages
from bot.decisions import Decisions, Handler, delivery
from bot.guard import APART, stale, value_of, who
from bot.reply import Reply
from core import drills, schedule
from core.errors import Refused
from core.grammar import Command
from core.model import Event, Json, Person
from core.settings import Target


class Drilling:
    """What may be clicked, sent off and typed."""

    def __init__(self, decisions: Decisions) -> None:
        self.decisions, self.people, self.settings = decisions, decisions.people, decisions.settings
        self.ledger = decisions.ledger
        self.drills = drills.Drills(decisions.ledger, decisions.desk.same)

    def actions(self) -> dict[str, Handler]:
        """action_id -> handler."""
        return {
            "drill.start": self.start,
            "drill.snooze": self.snooze,
            "drill.skip": self.ask_why,
            "drill.agree": self.agree,
        }

    def submissions(self) -> dict[str, Handler]:
        """callback_id -> handler."""
        return {"drill.skip": self.skip}

    # -- clicked -------------------------------------------------------------------------------------------

    def clicked(self, body: Json) -> tuple[Event, Target, Person, int]:
        """The event that the message tells, its target, who clicked, and the choice of a menu (0: none). Raises Refused."""
        value = value_of(body["actions"][0])
        found = APART.fullmatch(value)
        if not found:
            raise stale()
        event = self.event(int(found[1]))
        return (
            event,
            self.settings.target(event.data["target"]),
            self.people.person(who(body)),
            int(value.partition(".")[2] or 0),
        )

    def event(self, number: int) -> Event:
        """Raises Refused(E-STALE)."""
        for event in self.ledger.events(after=number - 1, limit=1):
            if event.kind.startswith("drill_"):
                return event
        raise stale()

    def start(self, body: Json, reply: Reply) -> BoltResponse:
        """Begin the drill: the channel tells."""
        _, target, person, _ = self.clicked(body)
        self.may(person, target)
        self.drills.start(target.name, person, delivery(body))
        return reply.ack()

    def snooze(self, body: Json, reply: Reply) -> BoltResponse:
        """Put it off by the days that were chosen."""
        event, target, person, days = self.clicked(body)
        self.may(person, target)
        self.still(event, target)
        self.drills.snooze(target.name, person, days, delivery(body))
        return reply.ack()

    def ask_why(self, body: Json, reply: Reply) -> BoltResponse:
        """The form that asks why it is skipped."""
        event, target, person, _ = self.clicked(body)
        self.may(person, target)
        self.still(event, target)
        return reply.open(messages.drill_skip(event))

    def skip(self, body: Json, reply: Reply) -> BoltResponse:
        """The form, sent off."""
        view = body["view"]
        event, person = self.event(int(json.loads(view["private_metadata"])["due"])), self.people.person(who(body))
        target = self.settings.target(event.data["target"])
        self.may(person, target)
        self.still(event, target)
        reason = view["state"]["values"]["reason"]["v"].get("value") or ""
        try:
            self.drills.skip(target.name, person, reason, f"view {view['id']}")
        except Refused as no:
            if no.code != "E-REASON":
                raise
            return reply.ack(response_action="errors", errors={"reason": f"{no.text} ({no.code})"})
        return reply.ack(response_action="clear")

    def agree(self, body: Json, reply: Reply) -> BoltResponse:
        """The second person."""
        question, target, person, _ = self.clicked(body)
        self.people.among_approvers(person, target, "the drill")
        self.drills.agree(target.name, person, delivery(body), question.id)
        return reply.ack()

    def still(self, event: Event, target: Target) -> None:
        """Raises Refused(E-STALE) where the reminder is of a period that is over."""
        due = drills.standing(self.ledger, target.name).due
        if not due or due.id != (event.data.get("first") or event.id):
            raise stale("This reminder is of a drill that is over.")

    def may(self, person: Person, target: Target) -> None:
        """Whose turn it is, and requesters. Raises Refused."""
        told = drills.standing(self.ledger, target.name).told
        owner = str(told.data.get("owner") or "") if told else ""
        still = (target.drill.owners or target.approvers) if target.drill else ()
        if not (owner in still and self.people.is_one_of(person, [owner])):
            self.people.may_ask(person, target)

    # -- typed ---------------------------------------------------------------------------------------------

    def typed(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        """`/rollback drill …`."""
        word = command.args[0] if command.args else "status"
        if word == "status":
            return reply.tell(self.standing(command.target))
        target, key = self.settings.target(command.target), f"command {body['trigger_id']}"
        if word == "agree":
            self.people.among_approvers(person, target, "the drill")
            self.drills.agree(target.name, person, key)
            return reply.tell(noted(f"You agreed to the drill of {target.name}."))
        self.may(person, target)
        if word == "start":
            self.drills.start(target.name, person, key)
            return reply.tell(noted(f"The drill of {target.name} starts; the channel tells."))
        if word == "stop":
            self.drills.stop(target.name, person, key)
            return reply.tell(noted(f"The drill of {target.name} ends; the channel tells."))
        if word == "snooze":
            self.drills.snooze(target.name, person, command.count or 1, key)
            return reply.tell(noted(f"The drill of {target.name} is put off."))
        self.drills.skip(target.name, person, command.text, key)
        return reply.tell(noted(f"The drill of {target.name} is skipped; the channel sees why."))

    def standing(self, named: str | None) -> messages.Message:
        """How it is with the drills of one target, or of all."""
        targets = [self.settings.target(named)] if named else list(self.settings.targets.values())
        rows = [
            (
                one.name,
                schedule.parse(one.drill.schedule).describe() if one.drill else "no schedule",
                drills.standing(self.ledger, one.name),
            )
            for one in targets
        ]
        return messages.drill_standing(rows, self.ledger.clock())


def noted(text: str) -> messages.Message:
    """A short confirmation."""
    return {"text": text, "blocks": [messages.section(text)]}
