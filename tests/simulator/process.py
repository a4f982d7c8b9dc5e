"""One process of the bot, wired as `bot.__main__` does it, without threads: its parts run when the world lets them."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from slack_bolt.response import BoltResponse
from sqlite_utils import Database

from bot.announcer import Announcer
from bot.app import failed
from bot.clock import guarded, remind_of_drills, tidy
from bot.commands import Commands
from bot.countdown import Countdown
from bot.decisions import Decisions
from bot.drain import ROOM, Drain
from bot.forms import Forms
from bot.guard import Guard, who
from bot.home import Homes
from bot.notary import Notary
from bot.pace import Pace
from bot.people import People
from bot.rate import Rate
from bot.reply import Reply
from bot.sending import Ended, SlackRefuses
from bot.vitals import Vitals
from bot.worker import Worker
from core.desk import Desk
from core.engine import Engine
from core.errors import Problem, Refused
from core.ledger import Ledger, Transaction
from core.model import Json, Run
from core.passing import Passing
from core.settings import Target
from tests.simulator.clock import CURRENT, Stop
from tests.simulator.slack import APP, TEAM, Client

if TYPE_CHECKING:
    from tests.simulator.world import World


class SeenLedger(Ledger):
    """The ledger, with a boundary before and after each transaction, and faults inside."""

    def __init__(self, world: World) -> None:
        self.world = world
        super().__init__(world.settings.ledger, world.clock.now)
        self.passing = Passing(self.clock, CURRENT.steady)

    def _prepare(self) -> None:
        """The file was made by a ledger a moment ago, and copied."""

    @property
    def db(self) -> Database:
        """One connection for all processes of a world: what they have not committed is rolled back, and nothing is compiled twice."""
        if self.world.db is None:
            conn = sqlite3.connect(self.world.settings.ledger, cached_statements=256)
            # nobody else reads it, which saves the system calls for locks; and a simulated crash loses no page
            for pragma in ("locking_mode=EXCLUSIVE", "synchronous=OFF", "foreign_keys=ON"):
                conn.execute(f"PRAGMA {pragma}")
            self.world.db = Database(conn)
        return self.world.db

    @property
    def conn(self) -> sqlite3.Connection:
        conn: sqlite3.Connection = self.db.conn
        return conn

    def close(self) -> None:
        """The world closes it."""

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        self.world.at("before a transaction")
        with super().transaction() as t:
            yield t
            if self.world.full():
                raise sqlite3.OperationalError("database or disk is full")
            self.world.may_die("before COMMIT")
        self.world.written(self.head()[0])
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
        self.vitals, self.cut, self.told_at = Vitals(), threading.Event(), 0.0
        self.busy: set[str] = set()
        self.gone: set[str] = set()  # parts that have ended
        self.ledger = SeenLedger(world)
        place = self.ledger.sole()
        assert place, "a dead bot still holds the ledger"
        self.place = place
        self.client = Client(world.slack, self.vitals)
        self.people = People(self.client, settings)
        self.people.team_id = TEAM
        self.desk = Desk(self.ledger, settings)
        ending, cut = self.vitals.ending.is_set, self.cut.is_set
        self.engine = SeenEngine(world.steps.runbooks, self.ledger, settings, self.people, ending, cut)
        self.engine.told = lambda run_id: world.goes_on()
        self.jobs: Any = Jobs()
        self.announcer = Announcer(self.client, self.ledger, settings, self.people, Pace(1.0))
        self.announcer.stop = Stop()  # type: ignore[assignment]
        self.announcer.notary = Notary(self.ledger, settings, self.people, CURRENT.monotonic)
        self.worker = Worker(self.engine, self.ledger, self.jobs)
        self.engine.stuck = self.announcer.aside
        self.client.no_more = self.end
        self.doors(Forms(str(self.client.token)))
        self.parts = {
            "announcer": self.announce,
            "worker": self.look,
            "expire": guarded(self.desk.expire),
            "countdown": guarded(Countdown(self.desk, CURRENT.monotonic).look),
            "remind": guarded(lambda: self.desk.remind(self.asked)),
            "drills": guarded(lambda: remind_of_drills(self.desk)),
            "clean": guarded(lambda: tidy(self.desk)),
        }

    def doors(self, forms: Forms) -> None:
        """The listeners, as `bot.app` hangs them up."""
        self.forms = forms
        self.guard = Guard(self.people, self.ledger, TEAM, APP, forms, self.vitals.ending.is_set)
        self.guard.rate = Rate(clock=CURRENT.monotonic)
        decisions = Decisions(self.desk, self.engine, self.people, self.jobs)
        commands = Commands(self.desk, self.people, self.jobs, decisions)
        self.typed = commands.handle
        asking = commands.asking
        self.homes = commands.glass.homes = Homes(self.client, self.desk, self.people, self.jobs)  # type: ignore[arg-type]
        self.clicks = {**decisions.actions(), **commands.glass.actions(), **asking.actions()}
        self.sent = {**decisions.submissions(), **commands.glass.submissions(), **asking.submissions()}

    def begin(self) -> None:
        """As at a start; raises Refused where the ledger is full."""
        self.announcer.begin()

    def part(self, name: str) -> None:
        """One turn of a part, unless it is under way."""
        if name not in self.busy and name not in self.gone:
            self.busy.add(name)
            self.parts[name]()
            self.busy.discard(name)

    def announce(self) -> None:
        """One turn of the announcer's loop. What ends it ends the process, and the supervisor starts a new one."""
        try:
            self.announcer.say_asides()
            self.announcer.catch_up()
            self.announcer.witness()
        except Ended:
            self.gone.add("announcer")
        except (SlackRefuses, Refused) as no:
            self.gone.add("announcer")
            self.end(type(no).__name__)

    def look(self) -> None:
        """A problem of the ledger ends the loop of the worker, and so the process."""
        try:
            self.worker.start_what_is_due()
        except Refused as no:
            self.end(type(no).__name__)

    # -- the end -----------------------------------------------------------------------------------------------

    @property
    def ending(self) -> bool:
        return self.vitals.ending.is_set()

    def end(self, why: str) -> None:
        """The first reason to end counts; then nothing is begun any more. What is under way has its grace."""
        if not self.ending:
            self.world.count("fault", f"ended: {why}")
            self.world.note("ENDING", why)
            self.told_at = self.world.clock.mono
            self.vitals.ending.set()
            self.gone.add("worker")
            self.worker.stop.set()

    def late(self, seconds: float = 0.0) -> bool:
        """Has it had its grace since it was told to end, and so many seconds more?"""
        grace = self.world.settings.grace.total_seconds()
        return self.ending and self.world.clock.mono - self.told_at > grace + seconds

    def hurry(self) -> bool:
        """At a boundary of a process that ends: what is late is cut short. Must it be gone by now?"""
        if self.late() and not self.cut.is_set():
            drain = Drain(self.ledger, self.world.settings, self.worker, self.cut)
            self.cut.set()
            for run_id in drain.executing():
                self.world.count("fault", "cut short")
                drain.end(run_id)
        return self.late(ROOM)

    def drain(self) -> None:
        """As `bot.__main__` does it. Meanwhile `goes_on` is called, again and again."""
        drain = Drain(self.ledger, self.world.settings, self.worker, self.cut)
        drain.walks()
        drain.telling(self.announcer, self)  # type: ignore[arg-type]
        self.announcer.stop.set()

    def is_alive(self) -> bool:
        """Is the announcer at work? Asked for its thread."""
        return "announcer" not in self.gone

    def goes_on(self) -> None:
        """While the process drains."""
        self.world.at("draining")
        self.world.clock.mono += 0.5
        if self.jobs.waiting:
            self.job()
        else:
            self.part("announcer")

    # -- what comes from outside -------------------------------------------------------------------------------

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
        sealed = partial(self.forms.sealed, user=who(body))
        reply = Answer(body, self.ack, self.respond, self.client, sealed, self.vitals.refused)
        if "command" in body:
            handler = self.typed
        elif body["type"] == "view_submission":
            handler = self.sent[body["view"]["callback_id"]]
        else:
            handler = self.clicks[body["actions"][0]["action_id"]]
        try:
            self.guard(body, reply, lambda: reply.answer(handler))
        except Exception as error:  # noqa: BLE001 - as Bolt does it
            failed(error, reply)
        self.world.acknowledged.append(self.ledger.head())

    def home(self, user: str) -> None:
        """Somebody opens the Home tab."""
        self.jobs.submit(self.homes.publish, user)

    def ack(self, *said: Any, **more: Any) -> BoltResponse:
        return BoltResponse(status=200)

    def respond(self, *said: Any, **more: Any) -> None:
        if self.world.odds("respond"):
            raise OSError("the response URL does not answer")

    def close(self) -> None:
        """The operating system closes what a dead process had open."""
        self.place.close()
        self.ledger.close()
