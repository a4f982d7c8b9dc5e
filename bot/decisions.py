"""Buttons and forms. A button's value names a run and a revision; everything else comes from the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace

import structlog
from slack_bolt.response import BoltResponse

from bot import messages
from bot.answering import Answering
from bot.context import context_of
from bot.guard import run_of, who
from bot.people import People
from bot.reading import Reading
from bot.reply import Reply
from core import grammar, hold, staging, survey
from core.desk import Desk
from core.engine import Engine
from core.errors import Problem, Refused
from core.model import Json, Person, Run, State
from core.refusals import WayBack, goes
from core.report import gather
from core.second_factor import Code

log = structlog.get_logger()
SHOWN = "plan-"
KEPT_PLANS = 50
Handler = Callable[[Json, Reply], BoltResponse]
Deed = Callable[[Run, Person, str], Run]


class Decisions:
    """What may be clicked or sent off."""

    def __init__(self, desk: Desk, engine: Engine, people: People, pool: Executor) -> None:
        self.desk, self.engine, self.people, self.pool = desk, engine, people, pool
        self.settings, self.ledger = desk.settings, desk.ledger
        self.reading, self.answering = Reading(), Answering(pool)
        self.plans: dict[str, Run] = {}  # plans that were only shown, for their buttons; a restart forgets them

    def actions(self) -> dict[str, Handler]:
        """action_id -> handler."""
        desk = self.desk
        return {
            "rb.review": lambda body, reply: self.review(*self.clicked(body), reply),
            "rb.deny": lambda body, reply: self.ask_why(*self.clicked(body), reply),
            "rb.plan": self.full_plan,
            "rb.timeline": self.timeline,
            "rb.report": lambda body, reply: self.report(*self.clicked(body), reply),
            "rb.withdraw": self.deed(lambda run, who, key: desk.withdraw(run.id, who, delivery=key)),
            "rb.unapprove": self.deed(lambda run, who, key: desk.withdraw(run.id, who, delivery=key)),
            "rb.notme": self.deed(lambda run, who, key: desk.not_me(run.id, who, key), self.may_approve),
            "rb.stop": self.deed(self.stop, self.may_stop),
            "rb.resume": self.deed(lambda run, who, key: desk.resume(run.id, who, key), self.may_handle),
            "rb.verify": self.deed(lambda run, who, key: desk.verify_again(run.id, who, key), self.may_handle),
            "rb.keep": self.deed(lambda run, who, key: desk.keep(run.id, who, key), self.may_handle),
            "rb.reapply": lambda body, reply: self.way_back("reapply", *self.clicked(body), reply),
            "rb.restore": lambda body, reply: self.way_back("restore", *self.clicked(body), reply),
            "rb.release": self.release,
            "rb.look": self.look,
        }

    def submissions(self) -> dict[str, Handler]:
        """callback_id -> handler."""
        return {
            "rb.review": self.approve,
            "rb.deny": self.deny,
            "rb.reapply": lambda body, reply: self.ask_back("reapply", body, reply),
            "rb.restore": lambda body, reply: self.ask_back("restore", body, reply),
        }

    # -- opening forms -------------------------------------------------------------------------------------

    def review(self, run: Run, person: Person, reply: Reply) -> BoltResponse:
        """The review form, if this person's yes could count now."""
        self.may_approve(run, person)
        self.desk.may_decide(run, person)
        if any(self.desk.same(given.person, person) for given in run.approvals):
            raise Refused("E-ALREADY", f"You approved *{run.id}* already.", "Nothing to do.")
        staging.may_approve(self.ledger, self.settings, run)
        coded = self.desk.needs_code(run)
        if coded:
            self.desk.factor.counts(person.id)
        ctx = self.context(run)
        view = reply.opened(
            messages.review(run, ctx, coded), lambda: messages.review(run, replace(ctx, newer=frozenset()), coded)
        )
        if view is None:
            return reply.unopened()
        self.reading.opened(run.id, person)
        return reply.ack()

    def ask_why(self, run: Run, person: Person, reply: Reply) -> BoltResponse:
        """The reason form of a denial."""
        self.may_approve(run, person)
        self.desk.may_decide(run, person)
        return reply.open(messages.reason(run))

    def way_back(self, kind: WayBack, run: Run, person: Person, reply: Reply) -> BoltResponse:
        """The form of a way back, with its price, where there is one now."""
        self.may_handle(run, person)
        goes(kind, run)
        return reply.open(messages.reapply_form(run) if kind == "reapply" else messages.restore_form(run))

    def full_plan(self, body: Json, reply: Reply) -> BoltResponse:
        """Everything that is approved, page by page, only to the person who clicked."""
        run, _ = self.clicked(body)
        if (body.get("view") or {}).get("type") != "modal":
            return reply.open(messages.full_plan(run, 1))
        return reply.turn(messages.full_plan(run, messages.page_of(str(body["actions"][0].get("block_id"))) or 1))

    def report(self, run: Run, person: Person, reply: Reply) -> BoltResponse:
        """The incident packet, page by page, with the times of whoever looks at it, and only to them."""

        def page(number: int) -> Json:
            return messages.report(gather(self.ledger, run.id, self.people.zone(person.id)), number)

        # the packet walks the whole trail: longer than a trigger may live, or Slack waits for an acknowledgement
        view = reply.body.get("view") or {}
        if view.get("type") != "modal":
            return self.answering.in_a_form(
                reply, lambda: page(1), messages.loading(run.id, "Reading the audit trail.")
            )
        number = messages.page_of(str(reply.body["actions"][0].get("block_id"))) or 1
        self.answering.start(person.id, lambda: page(number), reply.turn, messages.refused)
        return reply.ack()

    def timeline(self, body: Json, reply: Reply) -> BoltResponse:
        """What happened, in order."""
        run, _ = self.clicked(body)
        return reply.tell(messages.timeline(run, self.ledger.events(run.id), intact=self.ledger.verify().unbroken))

    # -- deciding ------------------------------------------------------------------------------------------

    def approve(self, body: Json, reply: Reply) -> BoltResponse:
        """The review form, sent off: yes to exactly what was shown."""
        run, shown, values = self.submitted(body)
        person = self.people.person(who(body))
        self.may_approve(run, person)
        word = messages.confirm_word(run)
        if word and values.get("confirm", "").strip() != word:
            wrong = f"Type {word} exactly. Nothing was approved. (E-TYPED)"
            return reply.ack(response_action="errors", errors={"confirm": wrong})
        note, key = values.get("note", ""), f"view {body['view']['id']}"
        code = Code(values["code"]) if "code" in values else None
        try:
            self.desk.approve(run.id, person, shown["rev"], shown["digest"], note, key, code)
        except Refused as no:
            if no.code != "E-TOTP" or code is None:
                raise
            return reply.ack(response_action="errors", errors={"code": f"{no.text} ({no.code})"})
        self.reading.closed(run.id, person.id)
        return reply.ack(response_action="clear")

    def left(self, body: Json, reply: Reply) -> BoltResponse:
        """The review form, closed without a word."""
        self.reading.closed(str(self.submitted(body)[1]["run"]), who(body))
        return reply.ack()

    def deny(self, body: Json, reply: Reply) -> BoltResponse:
        """The reason form, sent off."""
        run, _, values = self.submitted(body)
        person = self.people.person(who(body))
        self.may_approve(run, person)
        self.desk.deny(run.id, person, values.get("reason", ""), f"view {body['view']['id']}")
        return reply.ack(response_action="clear")

    def ask_back(self, kind: WayBack, body: Json, reply: Reply) -> BoltResponse:
        """The form of a way back, sent off: a new run with the same gate; its card follows."""
        run, _, values = self.submitted(body)
        person = self.people.person(who(body))
        self.may_handle(run, person)
        target, key = self.settings.target(run.target), f"view {body['view']['id']}"
        self.desk.way_back(kind, run.id, target, person, values.get("reason", ""), run.channel, key)
        return reply.ack(response_action="clear")

    def release(self, body: Json, reply: Reply) -> BoltResponse:
        """Let the migrations of a rollback be applied again."""
        run, person = self.clicked(body)
        self.may_handle(run, person)
        self.pool.submit(self.let_go, run, person, delivery(body), reply)
        return reply.ack()

    def let_go(self, run: Run, person: Person, key: str, reply: Reply) -> None:
        """First in the database, then in the audit trail; the thread tells."""
        try:
            hold.let_go(survey.known(self.ledger, self.settings.target(run.target)), run)
            self.desk.release(run.id, person, key)
        except Problem as problem:
            reply.later(messages.refusal(problem))

    def deed(self, do: Deed, may: Callable[[Run, Person], None] | None = None) -> Handler:
        """A click that changes the run and needs no form; the card tells the outcome."""

        def handler(body: Json, reply: Reply) -> BoltResponse:
            run, person = self.clicked(body)
            if may:
                may(run, person)
            do(run, person, delivery(body))
            return reply.ack()

        return handler

    def stop(self, run: Run, person: Person, key: str) -> Run:
        """Stop safely. After an interruption the database is asked once more first, away from the listener."""
        if run.state is not State.INTERRUPTED:
            return self.desk.stop(run.id, person, key)
        self.pool.submit(self.stop_interrupted, run.id, person, key)
        return run

    def stop_interrupted(self, run_id: str, person: Person, key: str) -> None:
        """It may have committed after all; then there is nothing to stop, and the card says so."""
        try:
            if self.engine.look(run_id).state is State.INTERRUPTED:
                self.desk.stop(run_id, person, key)
        except Problem as problem:
            log.info("not stopped", run=run_id, code=problem.code)

    def look(self, body: Json, reply: Reply) -> BoltResponse:
        """Ask the database now."""
        run, person = self.clicked(body)
        self.may_handle(run, person)
        self.pool.submit(self.engine.look, run.id)
        return reply.ack()

    # -- reading requests ----------------------------------------------------------------------------------

    def clicked(self, body: Json) -> tuple[Run, Person]:
        """The run that a button names, and who clicked. Raises Refused."""
        named = str(body["actions"][0].get("value") or "").rpartition(".")[0]
        person = self.people.person(who(body))
        if not named.startswith(SHOWN):
            return run_of(self.ledger, grammar.run_id(named)), person
        if named not in self.plans or self.plans[named].requester.id != person.id:
            raise Refused("E-STALE", "I do not keep this plan any more.", "Type the command again.")
        return self.plans[named], person

    def keep(self, plan: Run) -> Run:
        """A plan that was only shown, under a name for its buttons; the newest few are kept."""
        named = replace(plan, id=f"{SHOWN}{plan.digest[:12]}")
        self.plans[named.id] = named
        while len(self.plans) > KEPT_PLANS:
            self.plans.pop(next(iter(self.plans)))
        return named

    def submitted(self, body: Json) -> tuple[Run, Json, dict[str, str]]:
        """The run of a form, what it showed, and the typed values by block. Raises Refused."""
        view = body["view"]
        shown = json.loads(view.get("private_metadata") or "{}")
        if not {"run", "rev"} <= shown.keys():
            raise Refused("E-STALE", "This form is not one of mine.", "Open the card again.")
        blocks = view["state"]["values"]
        values = {block: (next(iter(v.values())).get("value") or "") for block, v in blocks.items() if v}
        return run_of(self.ledger, grammar.run_id(shown["run"])), {"digest": "", **shown}, values

    def context(self, run: Run) -> messages.Context:
        return context_of(run, self.settings.target(run.target), self.people, self.ledger)

    def may_approve(self, run: Run, person: Person) -> None:
        self.people.may_approve(person, run, self.settings.target(run.target))

    def may_stop(self, run: Run, person: Person) -> None:
        """Whoever has passed the guard may stop what goes on without a second person. Raises Refused."""
        if not (run.broken and run.state in (State.WAITING, State.APPROVED)):
            self.may_handle(run, person)

    def may_handle(self, run: Run, person: Person) -> None:
        self.people.may_handle(person, run, self.settings.target(run.target))


def delivery(body: Json) -> str:
    """Names one click, also when Slack delivers it twice."""
    action = body["actions"][0]
    container = body.get("container") or {}
    ts = container.get("message_ts") or container.get("view_id")
    return f"click {ts} {action['action_id']} {who(body)} {action.get('action_ts')}"
