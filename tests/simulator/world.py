"""One world: a seeded scheduler over a process, people, Slack and databases. It pre-empts by letting others act in between.

At each boundary (around transactions, calls and sleeps) somebody else may do one thing, the process may die, or time may
pass. What lets another act waits until that act is over, as if it had been slow: a stack, no threads.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

import sqlite_utils

from core.errors import Refused
from core.model import Run
from core.runbook import Work
from core.settings import Settings
from tests.simulator import invariants, surroundings
from tests.simulator.clock import CURRENT, Clock
from tests.simulator.database import Database
from tests.simulator.people import ALIAS, ANA, Crowd
from tests.simulator.process import Process
from tests.simulator.slack import FAULTS, Slack
from tests.simulator.starts import NAMES, Start
from tests.simulator.steps import Steps
from tests.simulator.targets import TARGETS

ACTS = (8, 14, 20, 36)
MOST = 5000  # boundaries of a world; some hundred are usual
DEEPEST = 3  # acts on top of each other
RARE = {
    "connect", "under the lock", "the script has run", "COMMIT is under way", "COMMIT was answered", "look for the marker",
    "services are stopped", "names are swapped", "look for the names", "backup", "prepare", "tidy", "verify", "compare the plan",
}  # fmt: skip
FEARED = 12  # times as often as elsewhere a process dies at these boundaries, which a world passes once or twice
ODDS = {
    "proof": 0.02, "script": 0.04, "commit undone": 0.04, "commit late": 0.05, "commit answer": 0.06, "ledger full": 0.003,
    "respond": 0.05, "twice": 0.06, "typed wrong": 0.05,
}  # fmt: skip


class Crash(BaseException):
    """The process is gone. Nothing of it does anything any more, not even while the stack unwinds."""


class Endless(BaseException):
    """Something in this world goes on and on."""


class World:
    """`run` it, then read `counters` and `faults`: sentences about what must not be, empty where all is well."""

    def __init__(self, seed: int, starts: Mapping[str, Start], folder: Path, trace: list[str] | None = None) -> None:
        self.seed, self.rng, self.trace = seed, random.Random(seed), trace  # noqa: S311 - chance that can be repeated
        self.counters: Counter[tuple[str, str]] = Counter()
        self.faults: list[str] = []
        self.acknowledged: list[tuple[int, str]] = []
        self.depth = self.generation = self.passed = 0
        self.calm = self.dead = self.over = False
        self.full_until = 0.0
        self.db: sqlite_utils.Database | None = None
        self.written_at: dict[int, float] = {}  # event -> by the clock that only goes forward
        self.asked_anew: dict[str, float] = {}  # run -> when its approvers' rights were asked last
        self.dying = self.rng.choice((0.0, 0.001, 0.003, 0.01))
        self.failing = self.rng.choice((0.0, 0.02, 0.1))
        self.stubborn = self.rng.random() < 0.05  # Slack posts, and edits nothing
        self.scratch: set[str] = set()
        self.clock = Clock()
        self.bases = {name: Database(self, name, parts=self.rng.choice((1, 1, 2))) for name in TARGETS}
        self.slack, self.steps, self.crowd = Slack(self), Steps(self), Crowd(self)
        name = self.rng.choice([name for name in NAMES if name in starts])
        start = starts[name]
        self.count("start", name)
        start.begin(self)
        ledger = folder / f"{seed}.db"
        shutil.copyfile(start.ledger, ledger)
        self.settings = Settings(
            targets=TARGETS,
            ledger=ledger,
            backup_dir=folder / "none",
            aliases=((ANA, ALIAS),),
            grace=timedelta(seconds=self.rng.choice((3, 20))),
        )
        CURRENT.world = self
        self.process = Process(self)
        self.seen = self.process.ledger.head()[0]

    # -- what others call ------------------------------------------------------------------------------------

    def note(self, *words: object) -> None:
        """A line of the trace."""
        if self.trace is not None:
            self.trace.append(f"{self.clock.mono:10.3f} {'  ' * self.depth}{' '.join(map(str, words))}")

    def count(self, what: str, which: str) -> None:
        self.counters[what, which] += 1

    def odds(self, of: str) -> bool:
        """Does it go wrong this time?"""
        return not self.calm and self.rng.random() < ODDS[of]

    def at(self, boundary: str) -> None:
        """A boundary: others act, the process dies, or nothing happens. Raises Crash."""
        self.may_die(boundary)
        self.goes_on()
        self.clock.mono += 0.01
        if self.calm:
            return
        if self.process.ending:
            self.clock.mono += 1.0  # a machine that shuts down is slow
            if self.process.hurry():
                self.dies("the drain took too long")
        chance = self.rng.random()
        if chance < 0.06 and self.depth < DEEPEST:
            self.nested()
        elif chance > 0.997:
            self.freeze()

    def goes_on(self) -> None:
        """Raises Endless where far more happens than in any world that ends."""
        self.passed += 1
        if self.passed > MOST:
            raise Endless(f"it does not end: {MOST} boundaries")

    def may_die(self, boundary: str) -> None:
        """Raises Crash, now and then; always in a process that is dead already."""
        if self.dead:
            raise Crash
        if not self.calm and self.rng.random() < self.dying * (FEARED if boundary in RARE else 1):
            self.dies(boundary)

    def dies(self, where: str) -> None:
        """Raises Crash."""
        self.count("crash", where)
        self.note("CRASH", where)
        self.dead = True
        raise Crash

    def sleep(self, seconds: float) -> None:
        """Somebody in the process waits, and others act meanwhile."""
        if seconds <= 0.05:
            self.clock.mono += seconds
            return
        self.may_die("sleep")
        if not self.calm:
            for _ in range(2 if seconds > 1 else 1):
                if self.depth < DEEPEST and self.rng.random() < 0.5:
                    self.nested()
        self.clock.mono += seconds

    def freeze(self) -> None:
        """The machine stands still for a while."""
        seconds = self.rng.choice((5, 40, 90, 1200))
        self.count("fault", "frozen")
        self.note("frozen", seconds)
        self.clock.mono += seconds

    def full(self) -> bool:
        """Is there no room for what a transaction has written?"""
        lasting = not self.calm and self.clock.mono < self.full_until
        if lasting or self.odds("ledger full"):
            self.count("fault", "ledger full for a while" if lasting else "ledger full")
            return True
        return False

    def written(self, head: int) -> None:
        """The ledger has grown up to there."""
        for number in range(self.seen, head):
            self.written_at[number + 1] = self.clock.mono
        self.seen = max(self.seen, head)

    def buttons(self, run: Run) -> set[str] | None:
        """What the newest card of a run offers; None where there is none."""
        posts = self.process.ledger.posts("run = ? AND place = 'card' AND ts IS NOT NULL", (run.id,), newest=True)
        if not posts:
            return None
        card = self.slack.find(posts[0]["channel"], posts[0]["ts"])
        return {one["action_id"] for block in card.shown if block["type"] == "actions" for one in block["elements"]}

    def slack_fault(self, method: str) -> str | None:
        """What Slack does instead of answering."""
        if self.calm:
            return None
        if self.clock.mono < self.slack.away_until:
            self.count("slack", "away")
            return "refused"
        if self.stubborn and method == "chat.update":
            self.count("slack", "edits nothing")
            return "internal_error"
        if self.rng.random() >= self.failing:
            return None
        fault = self.rng.choice((FAULTS[0], FAULTS[1], *FAULTS[4:]))
        if method.startswith("chat.") and self.rng.random() < 0.03:
            fault = "invalid_auth"
        self.count("slack", fault)
        self.note("Slack", method, fault)
        return fault

    def answer_lost(self, method: str) -> str | None:
        """How the answer to what took effect gets lost."""
        if self.calm or self.rng.random() >= self.failing / 3:
            return None
        fault = self.rng.choice(FAULTS[2:4])
        self.count("slack", fault)
        self.note("Slack", method, fault)
        return fault

    def runs_script(self, work: Work, mark: str, plan: str | None = None) -> None:
        """Right before something changes a target: may it? `plan`: what it was compared with, where that was earlier."""
        self.note("runs", mark)
        self.count("script", work.run.kind)
        self.faults += invariants.allowed(self, work, mark, plan or self.bases[work.target.name].plan(work.run))

    # -- the scheduler ------------------------------------------------------------------------------------------

    def nested(self) -> None:
        self.depth += 1
        self.count("pre-empted", str(self.depth))
        self.act()
        self.depth -= 1

    def act(self) -> None:
        """One thing by somebody."""
        chance = self.rng.random()
        if chance < 0.40:
            self.crowd.act()
        elif chance < 0.66:
            if not self.process.jobs.waiting:
                self.process.part("worker")
            self.process.job()
        elif chance < 0.80:
            self.process.part("announcer")
        elif chance < 0.88:
            self.process.part(self.rng.choice(("expire", "remind", "countdown") * 5 + ("drills", "clean")))
        elif chance < 0.92:
            surroundings.time_passes(self)
        else:
            surroundings.change(self)

    def run(self) -> None:
        """Acts with faults, then a quiet end; afterwards nothing may be left undone."""
        self.alive(self.begin)
        for number in range(self.rng.choice(ACTS)):
            self.alive(partial(self.crowd.ask, ANA) if number == 0 and not self.slack.messages else self.act)
            if self.process.ending:
                with suppress(Crash):
                    self.process.drain()
                    self.count("fault", "drained")
                self.restart()
        invariants.settle(self)
        self.faults += invariants.hold(self)
        self.over = True
        self.bury()

    def bury(self) -> None:
        """Remove the world's files; first, since SQLite tidies up a file that is still there when it is closed."""
        for file in list(os.scandir(self.settings.ledger.parent)):
            if file.name.startswith(self.settings.ledger.name):
                Path(file).unlink()
        self.process.close()
        if self.db is not None:
            self.db.conn.close()

    def alive(self, act: object) -> None:
        """Do something; where the process dies of it, a new one is started."""
        try:
            act()  # type: ignore[operator]
        except Crash:
            self.restart()

    def begin(self) -> None:
        """A start at which the ledger is full ends at once."""
        try:
            self.process.begin()
        except Refused:
            self.dies("the ledger is full at the start")

    def restart(self) -> None:
        """The supervisor starts the bot again."""
        while True:
            self.process.close()
            self.generation += 1
            self.depth, self.dead = 0, False
            self.note("RESTART", self.generation)
            self.clock.mono += 2.0
            try:
                self.process = Process(self)
                self.begin()
            except Crash:
                continue
            return
