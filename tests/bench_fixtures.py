"""What the tests of whole stories stand on: a bench per test, people who act in it, and the channel as stable text."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from core.ledger import Ledger, now, stamp
from core.model import Run, State
from demo.app import sample
from demo.bench import Bench
from demo.workspace import ALL, Answer, Message, View, Workspace

CHANNEL = "C0INCIDENTS"
ANA, BOB, CHEN, DEE, GUEST = "U0ANA", "U0BOB", "U0CHEN", "U0DEE", "U0GUEST"
STORIES = Path(__file__).parent / "stories"
FAST = 'health_tries = 1\nlock_timeout = "200 ms"\nlock_wait = "500 ms"\n'
QUICK = {"ROLLBACK_SLACK__POST_EVERY": "10 ms"}
"""Settings and environment of every bench here: short waits, so that a story is quick."""

VOLATILE: tuple[tuple[str, str], ...] = (
    (r"\bt_[0-9a-f]{10}\b", "DATABASE"),
    (r"\bt_[0-9a-f]{10}_before_rb_[2-9a-z]{4}_\d{8}\b", "DATABASE_BEFORE"),
    (r"\bt_[0-9a-f]{10}_restore_rb_[2-9a-z]{4}\b", "DATABASE_NEW"),
    (r"PostgreSQL \d+(\.\d+)?", "PostgreSQL VERSION"),
    (r"\b[0-9a-f]{12,64}\b", "HASH"),
    (r"\b[0-9a-f]{6}…[0-9a-f]{4}\b", "HASH"),
    (r"(?i)(audit) #\d+", r"\1 #N"),
    (r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b", "WEEKDAY"),
    (r"\b\d{1,2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)( \d{4})?\b", "DAY"),
    (r"\b\d\d:\d\d(:\d\d)?( UTC)?", "TIME"),
    (r"\b[\d,.]+ (B|kB|MB|GB)\b", "SIZE"),
    (r"\b\d+ min \d+ s\b|\b\d+(\.\d+)? ?(s|ms|min)\b", "SPAN"),
    (r"\b\d+ (second|minute|hour|day|month)s?\b", "SPAN"),
    (r"\b(under|about) SPAN", "SPAN"),
    (r"127\.0\.0\.1:\d+", "HOST"),
    (r"\(ref [0-9a-f]{6}\)", "(ref REF)"),
)


def stable(text: str) -> str:
    """A text without what differs from run to run; the rollbacks are numbered as they appear."""
    names: dict[str, str] = {}
    text = re.sub(r"RB-[2-9A-Z]{4}", lambda m: names.setdefault(m[0], f"RB-{len(names) + 1:03}"), text)
    for pattern, word in VOLATILE:
        text = re.sub(pattern, word, text)
    return text


def compare(name: str, text: str) -> None:
    """Hold a text against the kept one; `GOLDEN=write` keeps it anew."""
    file = STORIES / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text(), f"{file.name} differs; GOLDEN=write keeps the new one"


class Play:
    """People act in a bench, and somebody looks at what comes of it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.ledger: Ledger = bench.ledger

    @property
    def slack(self) -> Workspace:
        return self.bench.workspace

    # -- acting --------------------------------------------------------------------------------------------

    def types(self, text: str, user: str = ANA, channel: str = CHANNEL) -> Answer:
        """`/rollback text`."""
        return self.slack.command(user, channel, text)

    def asks(self, text: str, user: str = ANA) -> Run:
        """`/rollback text`, and wait until people may decide."""
        known = {run.id for run in self.ledger.runs()}
        self.types(text, user)
        run = next(run for run in self.ledger.runs() if run.id not in known)
        return self.until(run.id, State.WAITING)

    def proven(self, run: Run) -> Run:
        """Wait until every proof is there, so that the thread has one order."""
        return self.when(run.id, lambda now: "test restore" in now.evidence)

    def reviews(self, run: Run, user: str = BOB) -> View:
        """Open the review form on the card."""
        self.clicks(run, "rb.review", user)
        view = self.slack.open_view(user)
        assert view, "no form opened"
        return view

    def approves(self, run: Run, user: str = BOB, note: str = "") -> None:
        """Read, type the number, send it off."""
        view = self.reviews(run, user)
        values = {"note": note} if note else {}
        if "confirm" in str(view.body):
            named = next(b for b in view.blocks if b.get("block_id") == "confirm")
            values["confirm"] = word_of(named)
        self.slack.submit(user, values)

    def clicks(self, run: Run, action: str, user: str = BOB) -> Answer:
        """A button on the newest message of the run that has it."""
        return self.slack.click(user, CHANNEL, self.with_button(run, action).ts, action)

    def with_button(self, run: Run, action: str) -> Message:
        """The newest message that shows this button for the run; waits for it."""

        def look() -> Message | None:
            mark = f"{run.id}.{self.ledger.run(run.id).revision}"
            found = [m for m in self.everything() if f"'{action}'" in str(m.blocks) and mark in str(m.blocks)]
            return found[-1] if found else None

        found = self.slack.wait_for(look, 20)
        assert found
        return found

    def everything(self, channel: str = CHANNEL) -> list[Message]:
        """Every message of the channel, replies and ephemerals too."""
        with self.slack.state.reading():
            return list(self.slack.state.messages.get(channel, []))

    # -- looking -------------------------------------------------------------------------------------------

    def newest(self) -> Run:
        return self.ledger.runs(limit=1)[0]

    def until(self, run_id: str, *states: State, timeout: float = 40) -> Run:
        """Wait for a state."""
        return self.when(run_id, lambda run: run.state in states, timeout)

    def when(self, run_id: str, true: Callable[[Run], bool], timeout: float = 40) -> Run:
        """Wait until something is true of a run; fails at once where it has ended otherwise."""

        def look() -> Run | None:
            run = self.ledger.run(run_id)
            ended = not run.is_open and not true(run)
            assert not ended, f"{run_id} ended {run.state}: {run.failed or (run.ending and run.ending.data)}"
            return run if true(run) else None

        found = self.slack.wait_for(look, timeout)
        assert found
        return found

    def told(self, timeout: float = 40) -> None:
        """Wait until everything that happened has been told, and the cards say so."""

        def look() -> bool:
            posts = self.ledger.posts("place = 'told'", (), newest=True)
            return bool(posts) and posts[0]["event"] == self.ledger.head()[0]

        self.slack.wait_for(look, timeout)
        self.wait_for_quiet()

    def wait_for_quiet(self) -> None:
        """The cards of what is open are as the ledger says."""
        for run in self.ledger.open_runs():
            self.slack.wait_for(lambda r=run: f"{r.id}:{r.last.id}:" in str([m.blocks for m in self.everything()]), 10)  # type: ignore[misc]

    def hears(self, code: str, user: str = ANA, channel: str = CHANNEL) -> str:
        """What only this person sees, once an answer with that code is there."""

        def look() -> str:
            own = [m for m in self.everything(channel) if m.ephemeral_for == user and code in str(m.blocks)]
            return own[-1].text if own else ""

        return self.slack.wait_for(look, 20)

    def tables(self) -> set[str]:
        """The tables of the target."""
        with psycopg.connect(self.bench.database) as conn:
            rows = conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return {row[0] for row in rows}

    def applied(self) -> list[str]:
        """The versions in the history table."""
        with psycopg.connect(self.bench.database) as conn:
            return [r[0] for r in conn.execute("SELECT version FROM schema_migrations ORDER BY 1").fetchall()]

    def markers(self) -> list[str]:
        """Runs whose commit the target itself proves."""
        with psycopg.connect(self.bench.database) as conn:
            if conn.execute("SELECT to_regclass('rollback_bot.marker')").fetchone() == (None,):
                return []
            return [r[0] for r in conn.execute("SELECT run FROM rollback_bot.marker").fetchall()]

    def scratch(self) -> list[str]:
        """Scratch databases of this bench's runs that are still there."""
        mine = tuple(run.id.lower().replace("-", "_") for run in self.ledger.runs())
        with psycopg.connect(self.bench.server.url()) as conn:
            rows = conn.execute("SELECT datname FROM pg_database WHERE datname LIKE 'rollback_scratch%'").fetchall()
        return [row[0] for row in rows if any(one in row[0] for one in mine)]

    def kinds(self, run: Run) -> list[str]:
        """The run's events, in order."""
        return [event.kind for event in self.ledger.events(run.id)]

    def transcript(self, *direct: str, viewer: str | None = None) -> str:
        """The channel whole, and the direct messages of these people, as stable text."""
        self.told()
        texts = [self.slack.transcript(CHANNEL, viewer)]
        texts += [self.slack.transcript(self.slack.state.direct(user).id, viewer) for user in direct]
        return stable("\n".join(texts))

    def left_clean(self) -> None:
        """Nothing half done: the chain holds, nothing is open, no scratch database is left."""
        assert self.ledger.verify().unbroken
        assert not self.ledger.open_runs()
        self.slack.wait_for(lambda: not self.scratch(), 10)


def word_of(block: dict[str, Any]) -> str:
    """What the form asks people to type: it is said in the label."""
    label = str(block["label"]["text"])
    found = re.search(r"\b\d{3,}\b|(?<=to confirm: )\w+", label)
    assert found, label
    return found[0]


def owe_a_drill(bench: Path) -> None:
    """A bench that has not started yet owes a reminder: the schedule of its target was first seen some days ago."""
    ledger = Ledger(bench / "state" / "rollback-bot" / "ledger.db")
    with ledger.transaction() as t:
        t.claim("drill production by daily 10:00 Europe/Berlin", stamp(now() - timedelta(days=3)))
    ledger.close()


@contextmanager
def playing(bench: Bench) -> Iterator[Play]:
    """A bench with people in it."""
    with bench:
        play = Play(bench)
        try:
            yield play
        finally:
            play.ledger.close()
            bench.kill_bot()  # an orderly end takes seconds; the tests that care end it themselves


def settings_of(own: str) -> str:
    """FAST, without what `own` sets, then `own`."""
    ours = re.split(r"(?m)^\[", own)[0]
    keys = {line.partition("=")[0].strip() for line in ours.splitlines()}
    return "".join(line for line in FAST.splitlines(True) if line.partition("=")[0].strip() not in keys) + own


def copied(folder: Path, changes: dict[str, str | None] | None = None, only: Sequence[str] = ()) -> Path:
    """A copy of the sample's migrations; `changes`: path below it -> its new text, None removes it."""
    place = folder / "migrations"
    shutil.copytree(sample.MIGRATIONS, place)
    for name, text in (changes or {}).items():
        file = place / name
        if text is None:
            file.unlink()
        else:
            file.write_text(text)
    return place


__all__ = [
    "ALL",
    "ANA",
    "BOB",
    "CHANNEL",
    "CHEN",
    "DEE",
    "FAST",
    "GUEST",
    "QUICK",
    "Play",
    "compare",
    "copied",
    "owe_a_drill",
    "playing",
    "settings_of",
    "stable",
]
