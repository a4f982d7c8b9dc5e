"""Break-glass in Slack: its form, the countdown, and the review that it owes."""

from __future__ import annotations

import structlog
from slack_bolt.response import BoltResponse

from bot import messages
from bot.decisions import Decisions, Handler
from bot.deliveries import card_of
from bot.guard import who
from bot.home import Homes
from bot.reply import Reply
from core import glass
from core.errors import Refused
from core.model import Json, Person, Run, State
from core.second_factor import Code

log = structlog.get_logger()
FIELDS = {"E-TYPED": "confirm", "E-REASON": "reason", "E-TOTP": "code"}
"""Refusals that belong to a field of the form."""


class Glass:
    """What may be clicked and sent off."""

    def __init__(self, decisions: Decisions) -> None:
        self.decisions, self.desk, self.people = decisions, decisions.desk, decisions.people
        self.settings, self.ledger = decisions.settings, decisions.ledger
        self.homes: Homes | None = None

    def actions(self) -> dict[str, Handler]:
        """action_id -> handler."""
        clicked = self.decisions.clicked
        return {
            "rb.breakglass": lambda body, reply: self.form(*clicked(body), reply),
            "rb.owed": lambda body, reply: self.owed_form(*clicked(body), reply),
        }

    def submissions(self) -> dict[str, Handler]:
        """callback_id -> handler."""
        return {"rb.breakglass": self.break_glass, "rb.owed": self.close}

    def form(self, run: Run, person: Person, reply: Reply) -> BoltResponse:
        """The form, if this person could break the glass now."""
        alone = self.may_break(run, person)
        target = self.settings.target(run.target)
        glass.possible(run, target, alone, self.ledger.clock())
        coded = self.desk.needs_code(run)
        if coded:
            self.desk.factor.counts(person.id)
        return reply.open(messages.break_glass_form(run, target.break_glass.countdown, coded))

    def break_glass(self, body: Json, reply: Reply) -> BoltResponse:
        """The form, sent off: the countdown begins. The announcer tells the channel and every approver."""
        run, shown, values = self.decisions.submitted(body)
        person = self.people.person(who(body))
        alone = self.may_break(run, person)
        plan, words = (shown["rev"], shown["digest"]), (values.get("confirm", ""), values.get("reason", ""))
        code = Code(values["code"]) if "code" in values else None
        try:
            self.desk.break_glass(run.id, person, plan, words, alone, f"view {body['view']['id']}", code)
        except Refused as no:
            if FIELDS.get(no.code) not in values:
                raise
            return reply.ack(response_action="errors", errors={FIELDS[no.code]: f"{no.text} ({no.code})"})
        return reply.ack(response_action="clear")

    def may_break(self, run: Run, person: Person) -> bool:
        """Is there no approver who could be asked? Raises Refused where this person may not, or nobody would see it."""
        target = self.settings.target(run.target)
        self.people.may_break(person, target)
        if run.state is State.WAITING and card_of(self.ledger, run.id) is None:
            raise Refused("E-CHANNEL", f"*{run.id}* has no card, so nobody could stop it.", "Nothing was started.")
        return self.people.alone(run, target)

    # -- the review ----------------------------------------------------------------------------------------

    def owed_form(self, run: Run, person: Person, reply: Reply) -> BoltResponse:
        """The form of an owed review, for those who may close it."""
        self.may_review(run, person)
        return reply.open(messages.owed_form(run))

    def close(self, body: Json, reply: Reply) -> BoltResponse:
        """The review, sent off; the Home tab of who closed it is drawn anew."""
        run, _, values = self.decisions.submitted(body)
        person = self.people.person(who(body))
        self.may_review(run, person)
        try:
            self.desk.review(run.id, person, values.get("text", ""), f"view {body['view']['id']}")
        except Refused as no:
            if no.code != "E-REASON":
                raise
            return reply.ack(response_action="errors", errors={"text": f"{no.text} ({no.code})"})
        if self.homes:
            self.decisions.pool.submit(self.homes.publish, person.id)
        return reply.ack(response_action="clear")

    def may_review(self, run: Run, person: Person) -> None:
        """An approver of the target who neither asked nor broke the glass. Raises Refused."""
        glass.may_review(run, person, self.desk.same)
        self.people.may_approve(person, run, self.settings.target(run.target))
