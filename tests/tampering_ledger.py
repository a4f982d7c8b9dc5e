"""A realistic ledger for the campaign of tamperings: some runs, told in the local workspace by the real announcer."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from slack_sdk import WebClient

from bot.announcer import Announcer
from bot.notary import QUIET
from bot.pace import Pace
from bot.people import People
from bot.witness import Reader
from core.desk import Desk
from core.ledger import Ledger
from core.model import Person, Request, Run, State
from core.redact import SecretStr
from core.settings import Settings, Target
from core.witness import Posted
from demo.workspace import Workspace
from tests import messages_story as story

ANA, BOB = Person("U0ANA", "Ana"), Person("U0BOB", "Bob")
ENDS = (
    "done",
    "denied",
    "expired",
    "done",
    "withdrawn",
    "stopped",
    "changed",
    "refused",
    "done",
    "taken back",
    "done",
    "late",
)
"""How each run ends, in order; `late` still waits."""


@dataclass(frozen=True)
class World:
    """The ledger as bytes (without guards, as somebody with a SQLite client has it), older copies, and the channel."""

    now: bytes
    older: tuple[bytes, ...]
    said: Posted


class Office:
    """Desk, announcer and a clock of their own."""

    def __init__(self, folder: Path, slack: Workspace) -> None:
        self.time = datetime(2026, 11, 10, 9, 0, tzinfo=UTC)
        database = SecretStr("postgresql://db/app")
        target = Target("production", database, channel="#incidents", approvers=("U0BOB", "U0CHEN"))
        self.settings = Settings(targets={"production": target}, ledger=folder / "ledger.db")
        self.ledger = Ledger(self.settings.ledger, self.clock)
        self.desk = Desk(self.ledger, self.settings)
        client = WebClient(slack.bot_token, base_url=slack.api_url, retry_handlers=[])
        self.people = People(client, self.settings)
        self.announcer = Announcer(client, self.ledger, self.settings, self.people, Pace(0.0))

    def clock(self) -> datetime:
        self.time += timedelta(milliseconds=731)
        return self.time

    def goes(self, run: Run, to: State, kind: str, data: dict[str, Any] | None = None, **columns: Any) -> Run:
        with self.ledger.transaction() as t:
            t.move(t.run(run.id), to, kind, data or {}, **columns)
        return self.ledger.run(run.id)

    def steps(self, run: Run, *names: str) -> None:
        """Steps, each with its evidence."""
        for name in names:
            with self.ledger.transaction() as t:
                t.append(run.id, "step_started", {"step": name, "revision": 1})
            with self.ledger.transaction() as t:
                t.append(run.id, "step_done", {"step": name, "evidence": story.EXECUTED.get(name, story.VERIFY)})

    def waits(self, run: Run) -> Run:
        self.steps(run, "identify", "rehearse")
        until = (self.time + timedelta(minutes=15)).isoformat()
        opened = {"digest": "d" * 64, "expires_at": until}
        return self.goes(run, State.WAITING, "opened", opened, plan_digest="d" * 64, expires_at=until)

    def plays(self, end: str) -> None:
        """One run, to that end."""
        run = self.desk.ask(Request("latest"), self.settings.target(), ANA, f"it ends {end}", channel="C0INCIDENTS")
        if end == "refused":
            self.goes(run, State.REFUSED, "refused", {"step": "identify", "code": "E-NOTHING", "message": "Nothing."})
            return
        run = self.waits(run)
        self.announcer.catch_up()
        match end:
            case "denied":
                self.desk.deny(run.id, BOB, "not today")
            case "withdrawn":
                self.desk.withdraw(run.id, ANA, "not needed")
            case "stopped":
                self.desk.stop(run.id, ANA)
            case "expired":
                self.time += timedelta(minutes=16)
                self.desk.expire()
            case "late":
                self.desk.not_me(run.id, BOB)
            case _:
                self.executed(run, end)
        self.announcer.catch_up()

    def executed(self, run: Run, end: str) -> None:
        """From the approval on."""
        self.desk.approve(run.id, BOB, run.revision, run.digest, "looks right")
        if end == "taken back":
            self.desk.withdraw(run.id, BOB, "wait")
            self.desk.stop(run.id, ANA)
            return
        if end == "changed":
            with self.ledger.transaction() as t:
                t.move(t.run(run.id), State.PLANNING, "plan_changed", {"what": ["one more row"]}, revision=2)
            run = self.waits(run)
            self.desk.approve(run.id, BOB, run.revision, run.digest)
        self.steps(run, "backup", "test restore")
        run = self.goes(run, State.EXECUTING, "executing", {"step": "execute"})
        self.steps(run, "execute")
        run = self.goes(run, State.VERIFYING, "verifying")
        self.steps(run, "verify")
        self.goes(run, State.DONE, "done")


def made(folder: Path, ends: Sequence[str] = ENDS) -> World:
    """Play it; every event is told at the end, and the head has been witnessed."""
    older = []
    with Workspace() as slack:
        office = Office(folder, slack)
        for number, end in enumerate(ends):
            office.plays(end)
            if number % 3 == 0:
                office.ledger.append(
                    "drill_due", {"target": "production", "period": f"{number}", "owner": "", "last": None}
                )
                office.announcer.catch_up()
            older.append(taken(office.ledger))
        office.ledger.append("files_removed", {"files": 2})
        office.announcer.catch_up()
        office.announcer.notary.since -= QUIET
        office.announcer.witness()
        said = Reader(office.people.client, office.settings, office.people).read()
        now = taken(office.ledger)
        office.ledger.close()
    # Slack's clock tells seconds; here nothing was posted while we read
    return World(now, tuple(older), replace(said, until="9"))


def taken(ledger: Ledger) -> bytes:
    """A copy of the file, without its guards."""
    with sqlite3.connect(":memory:") as copy:
        ledger.db.conn.backup(copy)
        for trigger in ("update", "delete", "replace"):
            copy.execute(f"DROP TRIGGER events_no_{trigger}")
        copy.commit()
        data = bytearray(copy.serialize())
    copy.close()
    data[18:20] = (
        b"\1\1"  # no write-ahead log: a database in memory has none. Source: sqlite.org/fileformat2.html#the_database_header
    )
    return bytes(data)
