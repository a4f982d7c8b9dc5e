"""Asking for a rollback: typed, by the form, from a thread, or with the button of a plan that was only shown."""

from __future__ import annotations

import json
import secrets
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from dataclasses import replace

from slack_bolt.response import BoltResponse

from bot import messages
from bot.decisions import Decisions, Handler, delivery
from bot.guard import place, who
from bot.people import AWAY
from bot.reply import Reply
from core import survey
from core.errors import Problem, Refused
from core.grammar import Command, asked, named_migration
from core.model import Json, Person, Request, Run, State
from core.settings import Target

PATIENCE = 2.0
"""Seconds in which the database may tell its migrations: the list must be there within three (docs.slack.dev)."""
FRESH = 15.0  # seconds for which a list of migrations is good enough to choose from


class Elsewhere(Refused):
    """Typed in a channel in which the target's rollbacks are not posted; `home`: the id of the channel where they are."""

    def __init__(self, target: Target, where: str, home: str) -> None:
        told = f"Rollbacks of *{target.name}* are posted in {where}. Nothing was started."
        super().__init__("E-CHANNEL", told, "Continue with the button, or type it there.")
        self.home, self.where = home, where


class Asking:
    """What leads to a new run."""

    def __init__(self, decisions: Decisions) -> None:
        self.decisions, self.desk, self.people, self.pool = (
            decisions, decisions.desk, decisions.people, decisions.pool,
        )  # fmt: skip
        self.settings, self.ledger = decisions.settings, decisions.ledger
        self._lists: dict[str, tuple[float, list[str]]] = {}  # target -> when, and its migrations, newest first
        self._asked: dict[str, Future[list[str]]] = {}  # targets that are asked now: once, however fast somebody types
        self._guard = threading.Lock()

    def actions(self) -> dict[str, Handler]:
        """action_id -> handler."""
        return {
            "rb.ask": self.ask,
            "rb.again": self.again,
            "rb.elsewhere": self.elsewhere,
            "rb.open": lambda body, reply: self.form(body, reply),
            "rb.reason": self.ask_why,
        }

    def submissions(self) -> dict[str, Handler]:
        """callback_id -> handler."""
        return {"rb.request": self.sent, "rb.reason": self.explain}

    def shortcuts(self) -> dict[str, Handler]:
        """callback_id -> handler."""
        return {"rb.shortcut.global": self.form, "rb.shortcut.message": self.form}

    # -- typed and clicked ---------------------------------------------------------------------------------

    def typed(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        """`/rollback MIGRATION`: at once, or by the form where the target wants a reason and none was typed."""
        request, target = asked(command), self.settings.target(command.target)
        if target.reason == "required" and not command.reason:
            self.people.may_ask(person, target)
            note = f"Rollbacks of {target.name} need a reason."
            return self.form(body, reply, filled(target, request, command.incident, note))
        key = f"command {body['trigger_id']}"
        return self.start(request, target, person, (command.reason, command.incident), key, reply)

    def ask(self, body: Json, reply: Reply) -> BoltResponse:
        """The button of a plan that was only shown."""
        plan, person = self.decisions.clicked(body)
        target = self.settings.target(plan.target)
        return self.start(plan.request, target, person, (plan.reason, plan.incident), delivery(body), reply)

    def start(
        self, request: Request, target: Target, person: Person, words: tuple[str, str], key: str, reply: Reply
    ) -> BoltResponse:
        """A new run where it was typed; the card follows when the plan is made. `words`: reason and incident."""
        self.may(request, person, target)
        try:
            channel = self.channel(target, place(reply.body))
        except Elsewhere as no:
            draft = self.draft(request, target, person, words)
            return reply.no(no, messages.elsewhere(no, draft.id, no.where))
        run = self.desk.ask(request, target, person, *words, channel, key)
        return reply.tell(messages.planning(run))

    def may(self, request: Request, person: Person, target: Target) -> None:
        """Requesters ask for rollbacks, and requesters and approvers for ways back. Raises Refused."""
        if request.origin:
            self.people.may_handle(person, self.ledger.run(request.origin), target)
        else:
            self.people.may_ask(person, target)

    def draft(self, request: Request, target: Target, person: Person, words: tuple[str, str]) -> Run:
        """What was asked for, kept under a name for the button that goes on with it."""
        run = Run(survey.PREVIEW, 1, State.PLANNING, target.name, request, person, self.ledger.clock())
        return self.decisions.keep(replace(run, reason=words[0], incident=words[1], digest=secrets.token_hex(6)))

    def elsewhere(self, body: Json, reply: Reply) -> BoltResponse:
        """The button of a request that was typed in another channel: the card stands in the target's own."""
        plan, person = self.decisions.clicked(body)
        target = self.settings.target(plan.target)
        self.may(plan.request, person, target)
        run = self.desk.ask(
            plan.request, target, person, plan.reason, plan.incident, self.channel(target, None), delivery(body)
        )
        return reply.tell(messages.planning(run))

    def again(self, body: Json, reply: Reply) -> BoltResponse:
        """The same request as a new run; by the form, filled in, where the target wants a reason and there was none."""
        run, person = self.decisions.clicked(body)
        target = self.settings.target(run.target)
        self.may(run.request, person, target)
        if target.reason == "required" and not run.reason:
            if run.request.origin and run.kind != "rollback":
                return self.decisions.way_back(run.kind, self.ledger.run(run.request.origin), person, reply)
            return self.form(body, reply, filled(target, run.request, run.incident))
        channel = place(body) or run.channel
        new = self.desk.ask(run.request, target, person, run.reason, run.incident, channel, delivery(body))
        return reply.tell(messages.planning(new))

    # -- where the card goes -------------------------------------------------------------------------------

    def channel(self, target: Target, typed_in: str | None) -> str:
        """The channel of the command if the target allows it, else the target's own. Raises Elsewhere, Refused(E-CHANNEL)."""
        names = [name for name in (target.channel, *target.channels) if name]
        try:
            found = [self.people.channel_id(name) for name in names]
        except AWAY:
            raise Refused(
                "E-CANNOT-CHECK",
                f"Slack did not tell me which channel {names[0]} is. Nothing was started.",
                "Try again in a minute.",
            ) from None
        if typed_in and (typed_in in found or not names):
            return self.joined(typed_in)
        home = found[0] if found else None
        if home is None:
            named = f"in {names[0]}, which I do not find" if names else "where they are typed, and this is no channel"
            raise Refused(
                "E-CHANNEL",
                f"Rollbacks of *{target.name}* are posted {named}. Nothing was started.",
                "Invite me there, or correct the target's `channel`.",
            )
        if typed_in:
            raise Elsewhere(target, self.called(home), home)
        return self.joined(home)

    def called(self, channel: str) -> str:
        """A channel as people read it: `#incidents`."""
        try:
            return f"#{self.people.channel(channel)['name']}"
        except AWAY:
            return channel

    def joined(self, channel: str) -> str:
        """The channel itself. Raises Refused(E-CHANNEL) where the bot could not post: nobody would see the card."""
        try:
            record = self.people.channel(channel)
        except AWAY as error:
            if "channel_not_found" not in str(error):
                return channel  # Slack is away: the card waits for it
            record = {}
        if record.get("is_member") and not record.get("is_archived"):
            return channel
        raise Refused(
            "E-CHANNEL", f"I am not in {self.called(channel)}. Nothing was started.", "Type `/invite @rollback` there."
        )

    # -- the form ------------------------------------------------------------------------------------------

    def form(self, body: Json, reply: Reply, asked: messages.Asked | None = None) -> BoltResponse:
        """Open it, with what is known; from a message, its card will stand in that message's thread."""
        names = list(self.settings.targets)
        default = self.settings.default_target
        asked = asked or messages.Asked(default if default in names else names[0])
        message = body.get("message") or {}
        channel = place(body) or "D"
        if channel.startswith("D"):  # nobody would see the card there
            return reply.open(messages.request(names, asked))
        thread = None
        if body.get("type") == "message_action":
            thread = str(message.get("thread_ts") or message["ts"])
        asked = replace(asked, channel=channel, thread=thread)
        return reply.open(messages.request(names, asked))

    def options(self, body: Json, reply: Reply) -> BoltResponse:
        """The list of migrations: what is applied on the target that the form shows."""
        chosen = ((body["view"]["state"]["values"].get("target") or {}).get("v") or {}).get("selected_option") or {}
        target = self.settings.target(chosen.get("value"))
        self.people.may_ask(self.people.person(who(body)), target)
        names, known = self.applied(target)
        return reply.ack(options=messages.choices(names, str(body.get("value") or ""), known))

    def applied(self, target: Target) -> tuple[list[str], str]:
        """Names of the applied migrations, newest first, and what this list is worth where it is not fresh."""
        at, names = self._lists.get(target.name, (float("-inf"), []))
        if time.monotonic() - at < FRESH:
            return names, ""
        with self._guard:
            asked = self._asked.get(target.name)
            if asked is None or asked.done():
                asked = self._asked[target.name] = self.pool.submit(self._ask_target, target)
        try:
            return asked.result(PATIENCE), ""
        except TooLate:
            problem = "does not answer yet"
        except Problem:
            problem = "could not be asked"
        return names, f"{target.name} {problem}" + ("; as it was before" if names else "")

    def _ask_target(self, target: Target) -> list[str]:
        names = [one.name for one in survey.migrations(target, self.desk.ledger) if one.applied]
        with self._guard:
            self._lists[target.name] = (time.monotonic(), names)
        return names

    def sent(self, body: Json, reply: Reply) -> BoltResponse:
        """The form, sent off: a new run. What is wrong with a field is said beside it."""
        values = body["view"]["state"]["values"]
        carried = json.loads(body["view"]["private_metadata"])
        person = self.people.person(who(body))
        target = self.settings.target(values["target"]["v"]["selected_option"]["value"])
        self.people.may_ask(person, target)
        extent = values["extent"]["v"]["selected_option"]["value"]
        if extent not in messages.EXTENTS:
            raise KeyError(extent)
        reason, incident = ((values[name]["v"].get("value") or "").strip() for name in ("reason", "incident"))
        key = f"view {body['view']['id']}"
        came, thread, channel = carried["channel"], carried["thread"], carried["channel"]
        try:
            name = named_migration(values["migration"]["v"]["selected_option"]["value"])
            request = Request("to" if extent == "to" else "from", name, extent == "only")
            try:
                channel = self.channel(target, came)
            except Elsewhere as no:
                channel = self.joined(no.home)
            thread = thread if channel == came else None
            run = self.desk.ask(request, target, person, reason, incident, channel, key, thread)
        except Refused as no:
            block = {"E-REASON": "reason", "E-CHANNEL": "target", "E-BUSY": "target", "E-USAGE": "migration"}.get(
                no.code
            )
            if block is None:
                raise
            return reply.ack(response_action="errors", errors={block: f"{no.text} ({no.code})"})
        if came == channel:
            return reply.ack(response_action="clear")
        return reply.ack(response_action="update", view=reply.seal(messages.follows(run, self.called(channel))))

    # -- the reason afterwards -----------------------------------------------------------------------------

    def ask_why(self, body: Json, reply: Reply) -> BoltResponse:
        """The form of a reason that was not given with the request."""
        run, person = self.decisions.clicked(body)
        if not self.desk.same(run.requester, person):
            raise Refused("E-NOT-YOURS", f"Only {run.requester.name} can give the reason of *{run.id}*.")
        return reply.open(messages.why(run))

    def explain(self, body: Json, reply: Reply) -> BoltResponse:
        """The reason, sent off; the card and the thread tell it."""
        run, _, values = self.decisions.submitted(body)
        person = self.people.person(who(body))
        try:
            self.desk.give_reason(run.id, person, values.get("reason", ""), f"view {body['view']['id']}")
        except Refused as no:
            if no.code != "E-REASON":
                raise
            return reply.ack(response_action="errors", errors={"reason": f"{no.text} ({no.code})"})
        return reply.ack(response_action="clear")


def filled(target: Target, request: Request, incident: str, note: str = "") -> messages.Asked:
    """The form for a request that is known, apart from its reason. `latest` is left to be chosen: it may be another one by now."""
    extent = "only" if request.only else "to" if request.what == "to" else "from"
    return messages.Asked(target.name, request.migration, extent, incident=incident, note=note)
