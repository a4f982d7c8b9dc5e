"""`/rollback …`: the words people type. What needs the database is answered from the pool, after the acknowledgement."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial

from slack_bolt.response import BoltResponse

from bot import messages
from bot.asking import Asking
from bot.context import context_of
from bot.decisions import Decisions, Handler
from bot.drilling import Drilling
from bot.glass import Glass
from bot.guard import run_of, who
from bot.home import allowed
from bot.people import People
from bot.preparing import Preparing
from bot.reply import Reply
from bot.witness import Reader
from core import doctor, glass, grammar, hold, stats, survey
from core.desk import Desk
from core.errors import Refused
from core.grammar import Command, asked
from core.model import Json, Person, Request, Run
from core.refusals import WayBack


class Commands:
    """One method per verb. `long`: for what may take hours, instead of `pool`."""

    def __init__(
        self, desk: Desk, people: People, pool: Executor, decisions: Decisions, long: Executor | None = None
    ) -> None:
        self.desk, self.people, self.pool, self.decisions = desk, people, pool, decisions
        self.settings, self.ledger = desk.settings, desk.ledger
        self.glass, self.asking = Glass(decisions), Asking(decisions)
        self.do_request, self.drilling = self.asking.typed, Drilling(decisions)
        preparing = Preparing(desk, people, decisions.engine, long or pool)
        self.do_backup, self.do_readiness = preparing.backup, preparing.readiness

    def handle(self, body: Json, reply: Reply) -> BoltResponse:
        """The listener of the command."""
        command = grammar.parse(str(body.get("text") or ""))
        person = self.people.person(str(body["user_id"]), str(body.get("user_name", "")))
        verb = getattr(self, f"do_{command.verb.replace('-', '_')}", None)
        if verb is None:
            raise Refused("E-USAGE", f"`{command.verb}` is in the shell only.", "`/rollback help` lists what is here.")
        answer: BoltResponse = verb(command, person, body, reply)
        return answer

    def do_plan(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        target, request = self.settings.target(command.target), asked(command)
        self.people.may_ask(person, target)

        def work() -> messages.Message:
            run = survey.preview(request, target, self.settings, person, self.ledger.clock(), ledger=self.ledger)
            run = self.decisions.keep(replace(run, reason=command.reason, incident=command.incident))
            return messages.plan_private(run, context_of(run, target, self.people, self.ledger))

        return self.looking(work, reply, f"Making a plan for {target.name}. Nothing is started; it follows here.")

    def do_migrations(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        target = self.settings.target(command.target)

        def work() -> messages.Message:
            rows = [
                messages.MigrationRow(one.name, one.applied_at, one.rollback)
                for one in survey.migrations(target, self.ledger)
                if one.applied
            ]
            return messages.migrations(rows, target.name, self.ledger.clock())

        return self.looking(work, reply, f"Looking at {target.name}.")

    def do_doctor(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        return self.looking(self.examined, reply, "Checking the set-up.")

    def examined(self) -> messages.Message:
        """What `doctor` finds."""
        return messages.checkup(doctor.examine(self.settings))

    def looking(self, work: Callable[[], messages.Message], reply: Reply, meanwhile: str) -> BoltResponse:
        """Acknowledge now, answer when the database has. Raises Refused(E-RATE)."""
        self.decisions.answering.start(who(reply.body), work, reply.later, messages.refusal)
        return reply.ack(text=meanwhile, response_type="ephemeral")

    def do_status(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        if command.run:
            return self.do_show(command, person, body, reply)

        def work() -> messages.Message:
            runs, owed = self.ledger.open_runs(), glass.owed(self.ledger)
            links = {run.id: link for run in (*runs, *owed) if (link := self.people.link(self.ledger, run.id))}
            held = survey.held(self.ledger)
            now = [
                messages.TargetNow(
                    one.name,
                    one.name == self.settings.default_target,
                    one.newest,
                    one.problem,
                    tuple(held.get(one.name, ())),
                )
                for one in survey.targets(self.settings, self.ledger)
            ]
            return messages.status(runs, now, self.ledger.head()[1], links, owed)

        return self.looking(work, reply, "Looking.")

    def do_history(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        runs = self.ledger.recent(command.target, command.by, command.count)
        newer = self.people.newer.of(self.settings.targets.get(command.target or self.settings.default_target))
        if not newer:
            return reply.tell(messages.history(runs, command.target))
        # the answer to the command itself would not tell whether Slack takes the table
        classic = partial(messages.history, runs, command.target)
        self.pool.submit(reply.later, messages.history(runs, command.target, newer), classic)
        return reply.ack()

    def do_stats(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        if command.args:
            raise Refused("E-USAGE", "CSV is printed in the shell only.", "In the shell: `rollback stats --csv`.")

        def work() -> messages.Message:
            found = stats.of(self.ledger, self.settings, command.count, command.target)
            return messages.stats(found, command.target)

        return self.looking(work, reply, "Counting.")

    def do_show(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        run = self.run(command)
        intact = self.ledger.verify().unbroken
        return reply.tell(messages.timeline(run, self.ledger.events(run.id), intact=intact))

    def do_report(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        run = self.run(command)
        if command.args or command.out:
            hint = f"In the shell: `rollback report {run.id} --html --out FILE`."
            raise Refused("E-USAGE", "Files and pages are written in the shell only.", hint)
        return self.decisions.report(run, person, reply)

    def do_audit(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        if command.run:
            return self.do_show(command, person, body, reply)
        if "export" in command.args:
            raise Refused(
                "E-USAGE", "The whole trail does not fit a message.", "In the shell: `rollback audit export`."
            )
        if command.witness:
            raise Refused("E-USAGE", "A file is read in the shell only.", "Here: `/rollback audit verify`.")
        return self.looking(self.audited, reply, "Reading back what I posted.")

    def audited(self) -> messages.Message:
        """The chain, and what was posted of it."""
        said, why = None, ""
        try:
            said = Reader(self.people.client, self.settings, self.people).read()
        except Refused as no:
            why = no.text
        verdict = self.ledger.verify()
        held = self.ledger.held_against(said) if said else None
        ended = self.ledger.runs("ended_at IS NOT NULL AND state <> 'refused'", limit=1)
        last = None
        if ended and ended[0].last:
            last = (ended[0].id, ended[0].last.digest, self.people.link(self.ledger, ended[0].id))
        faults = "; ".join(verdict.faults[:3])
        return messages.audit(verdict.events, verdict.head, faults, last, held, why, verdict.remarks)

    def actions(self) -> dict[str, Handler]:
        """action_id -> handler: the buttons of the Home tab."""
        return {
            "rb.history": lambda body, reply: reply.open(
                messages.answer("Last rollbacks", messages.history(self.ledger.recent())["blocks"])
            ),
            "rb.doctor": lambda body, reply: self.shown("Check setup", self.examined, reply),
        }

    def shown(self, title: str, work: Callable[[], messages.Message], reply: Reply) -> BoltResponse:
        """For a click that has no channel to answer in: a form at once, and the answer in it when it is there."""

        def make() -> Json:
            return messages.answer(title, work()["blocks"])

        return self.decisions.answering.in_a_form(reply, make, messages.loading())

    def do_help(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        return reply.tell(messages.help_(command.args[0] if command.args else None))

    def do_form(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        """The bare command."""
        return self.asking.form(body, reply)

    def do_drill(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        return self.drilling.typed(command, person, body, reply)

    def do_whoami(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        targets = self.settings.targets.values()
        ask = [target.name for target in targets if allowed(partial(self.people.may_ask, person, target))]
        approve = [t.name for t in targets if allowed(partial(self.people.among_approvers, person, t))]
        alone = [t.name for t in targets if allowed(partial(self.people.may_break, person, t))]
        return reply.tell(messages.whoami(person, ask, approve, alone))

    # -- ways back -----------------------------------------------------------------------------------------

    def do_reapply(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        return self.way_back("reapply", command, person, body, reply)

    def do_restore(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        if command.args:
            raise Refused(
                "E-USAGE", "The old database is dropped in the shell only.", "`rollback restore RUN --drop-old`"
            )
        return self.way_back("restore", command, person, body, reply)

    def way_back(self, kind: WayBack, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        """With a reason it is asked for at once; without one the form opens, with the price."""
        run = self.run(command)
        if not command.reason:
            return self.decisions.way_back(kind, run, person, reply)
        target, request = self.settings.target(run.target), Request(kind, origin=run.id)
        words = (command.reason, run.incident)
        return self.asking.start(request, target, person, words, f"command {body['trigger_id']}", reply)

    def do_release(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        run = self.run(command)
        self.people.may_handle(person, run, self.settings.target(run.target))

        def work() -> messages.Message:
            hold.let_go(survey.known(self.ledger, self.settings.target(run.target)), run)
            self.desk.release(run.id, person, f"command {body['trigger_id']}")
            return noted(f"Released: the migrations of {run.id} may be applied again.")

        return self.looking(work, reply, f"Releasing the hold of {run.id}.")

    def run(self, command: Command) -> Run:
        """The run that was named. Raises Refused."""
        if not command.run:
            raise Refused("E-USAGE", "Say which run.", "For example `/rollback show RB-7K3M`; `history` lists them.")
        return run_of(self.ledger, command.run)

    def do_resume(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        return self.handled(self.desk.resume, command, person, body, reply)

    def do_verify(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        return self.handled(self.desk.verify_again, command, person, body, reply)

    def do_keep(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        return self.handled(self.desk.keep, command, person, body, reply)

    def handled(
        self, deed: Callable[[str, Person, str], Run], command: Command, person: Person, body: Json, reply: Reply
    ) -> BoltResponse:
        """As the button does it; the card tells."""
        run = self.run(command)
        self.people.may_handle(person, run, self.settings.target(run.target))
        run = deed(run.id, person, f"command {body['trigger_id']}")
        return reply.tell(noted(f"{run.id} is {run.state.replace('_', ' ')} now. The card tells."))

    def do_totp(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        if command.args == ("confirm",):
            self.desk.factor.confirm(person, command.text)
            return reply.tell(noted("Confirmed: from now on the codes of your authenticator count."))
        if command.args != ("status",):
            raise Refused(
                "E-USAGE", "Authenticators come and go in the shell only.", f"`rollback totp {command.args[0]}`"
            )
        mine = self.desk.factor.of(person.id)
        state = "none" if mine is None else "one that counts" if mine.confirmed else "one that is not confirmed yet"
        others = " ".join(f"<@{one.person}>" for one in self.desk.factor.everybody() if one.confirmed) or "nobody"
        return reply.tell(noted(f"You have enrolled {state}. Authenticators that count: {others}."))

    # -- deciding, typed -----------------------------------------------------------------------------------

    def do_approve(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        return self.decisions.review(self.run(command), person, reply)

    def do_break_glass(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        return self.glass.form(self.run(command), person, reply)

    def do_deny(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        run = self.run(command)
        if not command.text:
            return self.decisions.ask_why(run, person, reply)
        self.people.may_approve(person, run, self.settings.target(run.target))
        self.desk.deny(run.id, person, command.text, f"command {body['trigger_id']}")
        return reply.tell(noted(f"You denied {run.id}."))

    def do_withdraw(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        run = self.desk.withdraw(self.run(command).id, person, command.text, f"command {body['trigger_id']}")
        return reply.tell(noted(f"Withdrawn. {run.id} is {run.state}."))

    def do_stop(self, command: Command, person: Person, body: Json, reply: Reply) -> BoltResponse:
        run = self.run(command)
        self.decisions.may_stop(run, person)
        run = self.decisions.stop(run, person, f"command {body['trigger_id']}")
        asking = "I ask the database first; the card tells." if run.is_open else "Nothing was changed."
        return reply.tell(noted(f"{run.id} is stopped. {asking}" if not run.is_open else asking))


def noted(text: str) -> messages.Message:
    """A short confirmation; the card tells the rest."""
    return {"text": text, "blocks": [messages.section(text)]}
