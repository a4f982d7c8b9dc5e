"""One process of the bot, wired as `bot.__main__` does it, without threads: its parts run when the world lets them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from slack_bolt.response import BoltResponse

from bot.announcer import Announcer, Ended, SlackRefuses
from bot.clock import guarded, remind_of_drills, tidy
from bot.commands import Commands
from bot.decisions import Decisions
from bot.guard import Guard
from bot.pace import Pace
from bot.people import AWAY, People
from bot.reply import Reply
from bot.worker import Worker
from core.desk import Desk
from core.engine import Engine
from core.errors import Problem, Refused
from core.ledger import Ledger, Transaction
from core.model import Json, Run
from core.settings import Target
from tests.simulator.clock import Stop
from tests.simulator.slack import APP, TEAM, Client

if TYPE_CHECKING:
    from tests.simulator.world import World


class SeenLedger(Ledger):
    """The ledger, with a boundary before and after each transaction, and faults inside."""

    def __init__(self, world: World) -> None:
        self.world = world
        super().__init__(world.settings.ledger, world.clock.now)
        self.db.conn.execute("PRAGMA synchronous = OFF")  # a simulated crash loses no page
        self.db.conn.execute(
            "PRAGMA locking_mode = EXCLUSIVE"
        )  # saves the system calls for locks: nobody else reads it

    def _prepare(self) -> None:
        """The file was made by a ledger a moment ago, and copied."""

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        self.world.at("before a transaction")
        with super().transaction() as t:
            yield t
            if self.world.odds("ledger full"):
                self.world.count("fault", "ledger full")
                raise sqlite3.OperationalError("database or disk is full")
            self.world.may_die("before COMMIT")
        self.world.at("after a transaction")


class Jobs:
    """An executor whose jobs run when the world lets them."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], object]] = []

    def submit(self, job: Callable[..., object], *args: Any) -> None:
        self.waiting.append(partial(job, *args))


class SeenEngine(Engine):
    """The engine; the world notes when the rights to a run were asked last."""

    def _still_right(self, run: Run, target: Target) -> bool:
        world = self.ledger.world  # type: ignore[attr-defined]
        world.asked_anew[run.id] = world.clock.mono
        return super()._still_right(run, target)


@dataclass(frozen=True)
class Answer(Reply):
    """The way back to one person; the world counts what it refuses."""

    def refuse(self, problem: Problem) -> BoltResponse:
        self.client.slack.world.count("refused", problem.code)  # type: ignore[attr-defined]
        self.client.slack.world.note("refused", problem.code)  # type: ignore[attr-defined]
        return super().refuse(problem)


class Process:
    """Its parts, by name, are actors of the world; each is on the stack at most once, as each has one thread."""

    def __init__(self, world: World) -> None:
        self.world, settings = world, world.settings
        self.ending = False
        self.busy: set[str] = set()
        self.ledger = SeenLedger(world)
        holder = self.ledger.hold("bot")
        assert holder, "a dead bot still holds the ledger"
        self.holder = holder
        self.client = Client(world.slack)
        self.people = People(self.client, settings)
        self.desk = Desk(self.ledger, settings)
        self.engine = SeenEngine(world.steps.runbooks, self.ledger, settings, self.people, lambda: self.ending)
        self.jobs: Any = Jobs()
        self.announcer = Announcer(self.client, self.ledger, settings, self.people, Pace(1.0))
        self.announcer.stop = Stop()  # type: ignore[assignment]
        self.worker = Worker(self.engine, self.ledger, self.jobs)
        self.guard = Guard(self.people, self.ledger, TEAM, APP)
        self.decisions = Decisions(self.desk, self.engine, self.people, self.jobs)
        self.commands = Commands(self.desk, self.people, self.jobs, self.decisions)
        self.clicks, self.forms = self.decisions.actions(), self.decisions.submissions()
        self.parts = {
            "announcer": self.announce,
            "worker": self.look,
            "expire": guarded(self.desk.expire),
            "remind": guarded(lambda: self.desk.remind(self.asked)),
            "drills": guarded(lambda: remind_of_drills(self.desk)),
            "clean": guarded(lambda: tidy(self.desk)),
        }

    def begin(self) -> None:
        """As at a start; raises Refused where the ledger is full."""
        self.announcer.begin()

    def part(self, name: str) -> None:
        """One turn of a part, unless it is under way."""
        if name not in self.busy:
            self.busy.add(name)
            self.parts[name]()
            self.busy.discard(name)

    def announce(self) -> None:
        """What ends the announcer ends the process, and the supervisor starts a new one."""
        try:
            self.announcer.catch_up()
        except Ended:
            return
        except (SlackRefuses, Refused) as no:
            self.world.ends(type(no).__name__)

    def look(self) -> None:
        """A problem of the ledger ends the loop of the worker, and so the process."""
        try:
            self.worker.start_what_is_due()
        except Refused as no:
            self.world.ends(type(no).__name__)

    def job(self) -> None:
        """One of those that the pool would run now."""
        if self.jobs.waiting:
            job = self.jobs.waiting.pop(self.world.rng.randrange(len(self.jobs.waiting)))
            with suppress(Problem):
                job()

    def asked(self, run: Run) -> list[str]:
        try:
            return [
                self.people.person(user).name
                for user in self.people.reachable(run, self.world.settings.target(run.target))
            ]
        except Refused:
            return []

    def deliver(self, body: Json) -> None:
        """One delivery of Slack's, through the gate to its listener. What is acknowledged must stay."""
        reply = Answer(body, self.ack, self.respond, self.client)
        if "command" in body:
            handler = self.commands.handle
        elif "view" in body:
            handler = self.forms[body["view"]["callback_id"]]
        else:
            handler = self.clicks[body["actions"][0]["action_id"]]
        try:
            self.guard(body, reply, lambda: reply.answer(handler))
        except AWAY:
            self.world.count("fault", "a form did not open")  # Slack shows an error to the person
            return
        self.world.acknowledged.append(self.ledger.head())

    def ack(self, *said: Any, **more: Any) -> BoltResponse:
        return BoltResponse(status=200)

    def respond(self, *said: Any, **more: Any) -> None:
        if self.world.odds("respond"):
            raise OSError("the response URL does not answer")

    def close(self) -> None:
        """The operating system closes what a dead process had open."""
        self.holder.close()
        self.ledger.close()
