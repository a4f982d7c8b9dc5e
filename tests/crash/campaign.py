"""One stretch of the campaign: worlds, runs in them, and lives that end at boundaries."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg

from core.model import Run, State
from demo.postgres import Server
from tests.crash import invariants, world
from tests.crash.people import People
from tests.crash.world import CrashBench

RUNS = 12  # in one world: then a new one, with an empty audit trail
PATIENCE = 120.0  # seconds until a run that does not move is called stuck
LATE = ("execute", "executing", "verify")  # boundaries past the point of no return begin so
FAR = 400  # boundaries: about as many as a whole rollback has
MOST = 25  # lives of one run: the next one lives on
FAULTS = (
    "ratelimit",
    "lose_answer",
    "down",
    "slow",
    "deliver_twice",
    "deliver_late",
    "cut_socket",
    "silent",
    "http_500",
)


class Campaign:
    """Worlds on one server, one after the other. Raises AssertionError at the first thing that does not hold."""

    def __init__(self, server: Server, folder: Path, seed: int, want: dict[str, int]) -> None:
        self.server, self.folder, self.seed = server, folder, seed
        self.dice = random.Random(seed)  # noqa: S311 - reproducible
        self.want = Counter(want)
        self.found: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()  # by boundary and moment
        self.worlds = 0
        with psycopg.connect(server.url(), autocommit=True) as conn:
            conn.execute("CREATE DATABASE crash_template")
        world.fill(server.url("crash_template"))

    def run(self) -> None:
        """Until everything that was wanted has happened."""
        while any(self.left().values()):
            self.world()

    def left(self) -> dict[str, int]:
        """What is still wanted; the lives of a short campaign must end past the point of no return too."""
        left = {act: max(number - self.found[act], 0) for act, number in self.want.items()}
        if not any(left.values()) and not any(place.startswith(LATE) for place in self.ended):
            left["kill"] = 1
        return left

    def world(self) -> None:
        """RUNS runs over one audit trail."""
        self.worlds += 1
        name = f"app_{self.worlds}"
        with psycopg.connect(self.server.url(), autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE {name} TEMPLATE crash_template STRATEGY FILE_COPY".encode())
        bench = world.make(self.folder / f"world-{self.worlds}", self.server, self.server.url(name))
        with bench:
            World(self, bench, random.Random(self.dice.random())).play()  # noqa: S311 - reproducible
        with psycopg.connect(self.server.url(), autocommit=True) as conn:
            for (one,) in conn.execute(
                "SELECT datname FROM pg_database WHERE datname LIKE %s", [f"{name}%"]
            ).fetchall():
                conn.execute(f'DROP DATABASE "{one}" WITH (FORCE)'.encode())

    def next_act(self, dice: random.Random) -> str:
        """What is still wanted, in proportion to how much of it."""
        left = self.left()
        if not any(left.values()):
            return "none"
        return dice.choices(list(left), list(left.values()))[0]


class World:
    """The runs of one bench."""

    def __init__(self, campaign: Campaign, bench: CrashBench, dice: random.Random) -> None:
        self.campaign, self.bench, self.dice = campaign, bench, dice
        self.found = campaign.found
        self.ledger = bench.ledger
        self.people = People(bench.workspace, self.ledger, dice)
        self.full = invariants.content(bench.database)
        self.lives_of_run = 0
        self.calm = False

    def play(self) -> None:
        """The runs, and what each leaves behind."""
        done: Run | None = None
        for _ in range(RUNS):
            if done and done.state is State.DONE and done.kind == "rollback":
                kind = self.dice.choice(("reapply", "reapply", "restore"))
                run = self.one(kind, done)
                if run.state is not State.DONE:
                    run = self.one(kind, self.ledger.run(done.id))
                self.found[f"end {kind} {run.state}"] += 1
                if run.state is State.DONE:
                    self.as_before(run)
                    done = None
                elif invariants.look(self.bench.database).applied == invariants.known_versions():
                    done = None
            else:
                done = self.one(self.dice.choice(("latest", "latest", "002")), None)
                self.found[f"end rollback {done.state}"] += 1
        self.people.ledger.close()
        self.found["clicks and commands"] += self.people.tried
        self.found["of these unanswered"] += self.people.away

    def as_before(self, run: Run) -> None:
        """After a way back every row is where it was."""
        assert invariants.content(self.bench.database) == self.full, f"after {run.kind} the rows differ"
        with psycopg.connect(self.bench.server.url(), autocommit=True) as conn:
            for (one,) in conn.execute(
                "SELECT datname FROM pg_database WHERE datname LIKE '%\\_before\\_%'"
            ).fetchall():
                conn.execute(f'DROP DATABASE "{one}" WITH (FORCE)'.encode())

    def one(self, what: str, origin: Run | None) -> Run:
        """One run, from the request to its end, told and tidied."""
        before = invariants.look(self.bench.database)
        self.bench.kill_bot()  # which was to live until everything was told
        self.lives_of_run, self.calm = 0, False
        started, unread = time.monotonic(), self.unread()
        known = {run.id for run in self.ledger.runs()}
        while (run_id := self.people.asked(known)) is None:
            if self.alive() and self.bench.workspace.connected():
                self.people.goes_back(what, origin) if origin else self.people.asks(what)
            self.passes(0.02, None)
            assert time.monotonic() - started < PATIENCE, f"{what} cannot be asked for"
        expected = invariants.Expected(before, run_id, what if origin else "rollback")
        while (run := self.ledger.run(run_id)).is_open:
            if self.alive() and self.bench.workspace.connected():
                self.people.act(run)
            self.passes(0.02, expected)
            assert time.monotonic() - started < PATIENCE * 3, f"{run_id} is stuck: {run.ending} {self.people.told()}"
        self.quiet(run)
        self.check(run, expected, self.unread() - unread)
        self.found["runs"] += 1
        return run

    def alive(self) -> bool:
        """Is there a bot? If not, the next life begins."""
        if self.bench.bot is not None:
            return True
        self.lives_of_run += 1
        self.calm = self.calm or self.lives_of_run > MOST
        act = "none" if self.calm else self.campaign.next_act(self.dice)
        self.slack_faults(act)
        skip = self.dice.choice((0, 0, self.dice.randrange(FAR)))
        self.bench.live(act, self.dice.randrange(1 << 30), dict(self.campaign.ended), skip=skip)
        return False

    def passes(self, seconds: float, expected: invariants.Expected | None) -> None:
        """A moment passes; what has happened to the bot meanwhile is looked at."""
        if self.bench.bot is None:
            return
        status = self.bench.ended(seconds)
        report = self.bench.report
        if status is not None:
            self.died(status, report, expected)
        elif report and self.bench.plan and self.bench.plan.act == "server":
            self.stop_the_server(report)
        elif report and self.bench.plan and self.bench.plan.act == "freeze" and self.bench.frozen():
            self.thaw(report, expected)
        elif report and self.bench.plan and self.bench.plan.act in ("backend", "disk"):
            self.count(report)

    def died(self, status: int, report: Any, expected: invariants.Expected | None) -> None:
        """A life has ended: as planned, and the target is whole."""
        log = self.bench.log.read_text()[-3000:] if self.bench.log.exists() else ""
        assert status == -signal.SIGKILL, f"the bot ended by itself, with {status}:\n{log}"
        if report:
            self.count(report)
        if expected:
            run = self.ledger.run(expected.run)
            self.found[f"killed while {run.state}"] += 1
            expected.after_a_death(self.bench.database, run)

    def count(self, report: dict[str, Any]) -> None:
        """An act has met its boundary."""
        self.found[report["act"]] += 1
        self.campaign.ended[f"{report['boundary']} {report['moment']}"] += 1
        Path(self.bench.plan.report).unlink() if self.bench.plan else None

    def stop_the_server(self, report: dict[str, Any]) -> None:
        """PostgreSQL goes away in the middle of the call, and comes back."""
        assert self.bench.plan
        if self.dice.random() < 0.5:
            self.bench.server.restart("immediate")
            Path(f"{self.bench.plan.report}.done").touch()
        else:
            self.bench.server.crash()
            Path(f"{self.bench.plan.report}.done").touch()
            time.sleep(self.dice.uniform(0, 0.3))
            self.bench.server.start_again()
        self.count(report)

    def thaw(self, report: dict[str, Any], expected: invariants.Expected | None) -> None:
        """Frozen: another bot is refused; then it goes on, or is killed and the other takes over."""
        frozen = self.bench.bot
        self.count(report)
        self.bench.live("none", 0, {})
        assert self.bench.ended(20) == 1, "a second bot works beside a frozen one"
        time.sleep(self.dice.choice((0.0, 0.2, 3.5)))
        self.bench.bot = frozen
        frozen.send_signal(self.dice.choice((signal.SIGCONT, signal.SIGKILL)))

    def slack_faults(self, act: str) -> None:
        """Slack, for the life that begins: as it should be, or with one fault."""
        slack, faults = self.bench.workspace, self.bench.workspace.faults
        calm = {"down": False, "slow": 0.0, "ratelimit": 0, "lose_answer": 0, "deliver_twice": False, "silent": False}
        for name, value in {**calm, "deliver_late": 0.0}.items():
            slack.set_fault(name, value)
        faults.errors.clear()
        if act == "none" or self.dice.random() > 0.2:
            return
        fault = self.dice.choice(FAULTS)
        self.found[f"slack {fault}"] += 1
        match fault:
            case "ratelimit":
                slack.set_fault("ratelimit", 2)
            case "lose_answer":
                slack.set_fault("lose_answer", 2)
            case "slow":
                slack.set_fault("slow", 0.05)
            case "deliver_twice":
                slack.set_fault("deliver_twice", True)
            case "deliver_late":
                slack.set_fault("deliver_late", 0.7)
            case "http_500":
                # not for ever: without a card there is no button to go on with
                faults.errors["chat.update"] = "internal_error"
                threading.Timer(self.dice.uniform(0.2, 1.0), faults.errors.clear).start()
            case _:
                self.bench.later(self.dice.uniform(0.1, 0.5), fault)

    def quiet(self, run: Run) -> None:
        """The last life of a run lives until everything is told and tidied."""
        self.calm = True
        if self.bench.plan and self.bench.plan.act != "none":
            self.bench.kill_bot()
        self.alive()
        self.slack_faults("none")
        until = time.monotonic() + PATIENCE
        while True:
            posts = self.ledger.posts("place = 'told'", (), newest=True)
            told = bool(posts) and posts[0]["event"] == self.ledger.head()[0]
            left = list(invariants.clean(self.bench, run)) if told else ["not told"]
            if not left:
                return
            assert time.monotonic() < until, f"{run.id} ended {run.state}; left: {left}"
            self.passes(0.05, None)

    def unread(self) -> int:
        """How often a bot of this world could not look whether a post stands there already; each says so in its log."""
        return self.bench.log.read_text().count("not looked up") if self.bench.log.exists() else 0

    def check(self, run: Run, expected: invariants.Expected, unread: int) -> None:
        """Everything that must hold at the end of a run."""
        invariants.sound(self.bench, run)
        unchanged = run.state in (State.STOPPED, State.DENIED, State.WITHDRAWN, State.EXPIRED, State.REFUSED)
        if unchanged:
            invariants.untouched(expected.before, self.bench.database)
        elif expected.kind != "restore":
            expected.after_a_death(self.bench.database, run)
            assert expected.seen_after, f"{run.id} is {run.state}, and the target is untouched"
        twice = invariants.told(self.bench, run)
        assert twice <= unread, f"{run.id}: {twice} posts stand there twice, and only {unread} could not be looked up"
        self.found["told twice"] += twice
