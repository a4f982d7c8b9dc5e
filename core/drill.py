"""The drill: the runbook and both ways back, walked by the same engine on a copy of the target that was put back from a backup.

The copy is a target of its own on the scratch server, with an audit trail of its own, in a folder that goes with the drill.
The target itself is only read: its identity, and all of it where a fresh backup is taken. What comes of each step is written
into the real trail, so that the channel hears of it and the next real run knows how long its steps take.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import psycopg
import structlog

from core import drills, postgres, survey, transcript
from core.backups import dump, kept, strategies
from core.desk import Desk
from core.drill_leftovers import FOLDER, sweep
from core.driving import Nobody
from core.engine import Engine, problem_data
from core.errors import Problem, Refused, StepFailed
from core.ledger import Ledger, stamp
from core.model import Event, Json, Kind, Person, Request, Run, State
from core.pgtools import Cancelled
from core.redact import SecretStr, pg_error
from core.roll_back import RUNBOOKS
from core.runbook import Work
from core.scratch_copy import at_fault, own_name, scratch
from core.settings import Backup, BreakGlass, Drill, Services, Settings, Target

log = structlog.get_logger()
LOOK = 0.5  # seconds between two looks at whether somebody has agreed, or a real run has ended
SETTLED = (State.INTERRUPTED, State.DECIDE, State.NEEDS_A_PERSON)


class Ended(Exception):
    """The process is told to end."""


class Agreed(Nobody):
    """Rights on the copy: whoever has agreed was let through by the door, in the real trail."""

    def may_approve(self, person: Person, run: Run, target: Target) -> None:
        """They may."""


@dataclass
class Walk:
    """One drill. `number`: the event that started it; `who`: who did; `ending`: is this process told to end?"""

    ledger: Ledger
    settings: Settings
    target: Target
    number: int
    who: Person
    ending: Callable[[], bool] = lambda: False
    steps: list[Json] = field(default_factory=list)  # {"kind", "step", "seconds"}
    people: list[Json] = field(default_factory=list)  # {"what", "who", "seconds"}
    migrations: list[str] = field(default_factory=list)
    of: Json | None = None  # the backup: {"id", "taken_at", "fresh"}
    fresh: kept.Kept | None = None  # the backup that the drill has taken itself
    server: str = ""  # where the copies lie: the conninfo of the scratch server
    seen: int = 0  # the newest event of the drill's own trail that was told
    asked: datetime | None = None
    doing: tuple[Kind, str] = ("rollback", "copy")
    looked: float = 0.0  # when the trail was last asked for what follows
    stopped_by: str = ""  # who has stopped it
    held_by: str = ""  # the real run that has the target
    told: Callable[[Event], object] = lambda event: None  # called with what is written down

    @property
    def name(self) -> str:
        """Part of the names of the scratch databases."""
        return own_name("DR", self.settings, self.target)

    @property
    def folder(self) -> Path:
        """Where the trail and the backups of the drill lie."""
        return self.settings.backup_dir / f"{FOLDER}{self.number}"

    def walk(self) -> Event:
        """To its end, whatever that is: the event `drill_passed` or `drill_failed`."""
        started, problem = time.monotonic(), None
        try:
            with dump.disk():
                self.settings.backup_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
                self.folder.mkdir(mode=0o700)
            with ExitStack() as ending:
                self.play(self.copied(ending))
        except Ended:
            who = self.stopped_by
            told = f"{who} stopped it." if who else "I was told to end in the middle of it."
            problem = Problem("E-STOPPED", told, "Start it again.")
        except Problem as found:
            problem = at_fault(found) or found
        except psycopg.Error as error:
            problem = Problem("E-DB", f"A database broke off: {pg_error(error)}.", "Start it again once it is back.")
        except Exception as error:
            reference = os.urandom(3).hex()
            log.error("bug", ref=reference, drill=self.number, exc_info=error)
            problem = Problem("E-BUG", f"Something broke on my side (ref {reference}).", "Look it up in my log.")
        sweep(self.settings, self.target, self.number, self.server)
        return self.end(round(time.monotonic() - started, 3), problem)

    def look(self) -> None:
        """Has somebody stopped the drill, and has a real run the target? Asked for each block of a backup."""
        if time.monotonic() - self.looked > LOOK:
            stop = drills.drill_event(self.ledger, "drill_stopped", self.target.name, self.number)
            self.stopped_by = (stop.actor.name if stop.actor else "somebody") if stop else ""
            self.held_by = next((run.id for run in self.ledger.open_runs() if run.target == self.target.name), "")
            self.looked = time.monotonic()

    def over(self) -> bool:
        """Is this process told to end, or has somebody stopped the drill?"""
        self.look()
        return self.ending() or bool(self.stopped_by)

    def given_up(self) -> bool:
        """The same; or a real run has begun, which what reads the target would stand in the way of."""
        return self.over() or bool(self.held_by)

    def end(self, seconds: float, problem: Problem | None) -> Event:
        """How it went, in the real trail."""
        earlier = drills.standing(self.ledger, self.target.name)
        data: Json = {
            "due": earlier.running.data["due"] if earlier.running else None,
            "seconds": seconds,
            "steps": self.steps,
            "people": self.people,
            "migrations": self.migrations,
            "backup": self.of,
            "before": earlier.last.data["seconds"] if earlier.last and earlier.last.kind == "drill_passed" else None,
        }
        if problem is None:
            return self.say("drill_passed", data)
        kind, step = self.doing
        return self.say("drill_failed", {**data, "kind": kind, "step": step, **problem_data(problem)})

    # -- the copy ------------------------------------------------------------------------------------------

    def copied(self, ending: ExitStack) -> str:
        """The conninfo of a scratch database that holds the backup, gone with `ending`. Begun anew where a real run came between."""
        while True:
            self.gives_way()
            try:
                with ExitStack() as attempt:
                    url = attempt.enter_context(self.copy())
                    ending.push(attempt.pop_all())
                    return url
            except Cancelled:
                if self.over():
                    raise Ended from None

    @contextmanager
    def copy(self) -> Iterator[str]:
        """A scratch database with all that the backup holds, compared. Yields its conninfo; gone with the block. Raises Cancelled."""
        with postgres.target(self.target.database_url.get_secret_value(), self.name, self.target.name) as conn:
            identity = postgres.identity(conn)
        self.may_drill(identity)
        found, settings = self.backup(identity)
        self.of = {"id": found.id, "taken_at": found.evidence["taken_at"], "fresh": found is self.fresh}
        self.doing, began = ("rollback", "copy"), time.monotonic()
        work = self.work(found, settings)
        archive = replace(dump.archive_of(work, found.id), place=self.folder)
        with strategies.named(found.evidence["format"]).proven(work, archive) as copy:
            many = len(copy.tables)
            self.tell("rollback", "copy", time.monotonic() - began, f"{many} of {many} tables equal")
            yield copy.url

    def work(self, backup: kept.Kept, settings: Settings) -> Work:
        """For what reads the target, or a backup."""
        return replace(kept.work_of(backup, self.target, settings, self.name), cancelled=self.given_up)

    def backup(self, identity: Json) -> tuple[kept.Kept, Settings]:
        """What is put back, and the settings that know where it lies. Raises Refused(E-NO-BACKUP), StepFailed, Cancelled."""
        drill = self.target.drill or Drill()
        found = kept.newest(self.ledger, self.settings, self.target) if drill.backup == "latest" else None
        if found:
            kept.fits(found, identity)
            return found, self.settings
        settings = replace(self.settings, backup_dir=self.folder / "fresh")
        self.fresh = self.fresh or self.taken(identity, settings)
        return self.fresh, settings

    def taken(self, identity: Json, settings: Settings) -> kept.Kept:
        """A fresh backup of everything. Raises as `backup`."""
        strategy = strategies.of(self.target)
        if not strategy.restores:
            raise Refused(
                "E-NO-BACKUP",
                f"There is no backup of everything of *{self.target.name}* to drill on, and its strategy `{strategy.name}` takes none.",
                'Set `backup.kind = "dump"` for a while, take one with `rollback backup`, and start the drill again.',
            )
        self.doing, began = ("rollback", "fresh backup"), time.monotonic()
        fresh = self.nothing_yet(identity)
        work = self.work(fresh, settings)
        archive = dump.archive_of(work, self.name)
        archive.prepare()
        with dump.disk():
            evidence = strategy.take(work, archive)
        told = f"{evidence['tables']} tables, {evidence['rows']:,} rows"
        self.tell("rollback", "fresh backup", time.monotonic() - began, told)
        return replace(fresh, evidence=evidence)

    def nothing_yet(self, identity: Json) -> kept.Kept:
        """Stands for a backup that is not taken yet."""
        form, at = strategies.of(self.target).name, stamp(self.ledger.clock())
        return kept.Kept(self.name, self.target.name, {"format": form, "taken_at": at}, identity, None)

    def may_drill(self, identity: Json) -> None:
        """Raises Refused(E-RIGHTS) where the role of the scratch server could not put a database in another one's place."""
        self.server = scratch(self.work(self.nothing_yet(identity), self.settings)).scratch.url
        query = "SELECT rolsuper OR (rolcreatedb AND pg_has_role('pg_signal_backend', 'MEMBER')) FROM pg_roles WHERE rolname = current_user"
        with postgres.connect(self.server, f"rollback-bot {self.name}", "the scratch server") as conn:
            if not postgres.scalar(conn, query):
                raise Refused(
                    "E-RIGHTS",
                    "My role on the scratch server may not end sessions, so the drill could not restore there.",
                    "Grant it CREATEDB and pg_signal_backend, or leave `scratch_url` out where a throw-away server can be started.",
                )

    # -- the runbooks --------------------------------------------------------------------------------------

    def play(self, url: str) -> None:
        """Roll back, re-apply, restore. Raises Problem where one of them does not come to its end."""
        mine = on_the_copy(survey.known(self.ledger, self.target), url)
        settings = replace(
            self.settings,
            targets={mine.name: mine},
            ledger=self.folder / "ledger.db",
            backup_dir=self.folder / "backups",
        )
        ledger = Ledger(settings.ledger)
        desk = Desk(ledger, settings)
        engine = Engine(
            RUNBOOKS, ledger, settings, Agreed(), draining=self.over, cut=self.over, confirm=lambda run: True,
            told=lambda run_id: self.hear(ledger, run_id),
        )  # fmt: skip
        try:
            run = desk.ask(Request("latest"), mine, self.who, "drill")
            self.to_the_end(desk, engine, run)
            for kind in ways_back():
                back = desk.way_back(kind, run.id, replace(mine, approvals=0), self.who, "drill")
                self.to_the_end(desk, engine, back)
        finally:
            ledger.close()

    def to_the_end(self, desk: Desk, engine: Engine, run: Run) -> None:
        """Raises Problem where it does not end as it should."""
        self.doing = (run.kind, "identify")
        while run.is_open and run.state not in SETTLED:
            if self.over():
                raise Ended
            run = engine.walk(run.id)
            self.hear(desk.ledger, run.id)
            if run.state is State.WAITING:
                self.ask(desk, run)
                run = desk.ledger.run(run.id)
        if run.state is not State.DONE:
            if self.over():  # cut short by us: it says nothing about the scripts
                raise Ended
            raise why(run)

    def ask(self, desk: Desk, run: Run) -> None:
        """Has a second person agreed? Then the copy's own gate opens; else wait for a moment, for as long as a request may."""
        agreed = drills.drill_event(self.ledger, "drill_agreed", self.target.name, self.number)
        if agreed and agreed.actor and agreed.data["digest"] == run.digest:
            waited = (agreed.at - (self.asked or agreed.at)).total_seconds()
            self.people.append(
                {"what": "agree", "who": agreed.actor.id, "name": agreed.actor.name, "seconds": round(waited, 3)}
            )
            desk.approve(run.id, agreed.actor, run.revision, run.digest)
            return
        desk.expire()
        self.ledger.wait(self.ledger.head()[0], LOOK)

    def hear(self, ledger: Ledger, run_id: str) -> None:
        """Tell what has happened on the copy; then a real run of the target goes first."""
        run = ledger.run(run_id)
        for event in ledger.events(run_id, after=self.seen):
            self.seen = event.id
            if event.kind == "step_done":
                step, evidence = event.data["step"], event.data["evidence"]
                if step == "identify" and run.kind == "rollback":
                    self.migrations = [item["name"] for item in evidence["undo"]]
                _, told = transcript.outcome(step, evidence, run)
                if (run.kind, step) == ("restore", "execute"):
                    told = "the names were swapped"  # what the copies are called is nobody's business
                self.tell(run.kind, step, float(evidence.get("seconds", 0.0)), told)
            elif event.kind == "opened" and run.needed:
                until, digest = event.data["expires_at"], event.data["digest"]
                self.asked = self.say(
                    "drill_asks", {"digest": digest, "until": until, "migrations": self.migrations}
                ).at
        self.doing = (run.kind, run.running or following(run) or self.doing[1])
        self.gives_way()

    # -- the real trail ------------------------------------------------------------------------------------

    def tell(self, kind: Kind, step: str, seconds: float, told: str) -> None:
        """One finished step."""
        done = {"kind": kind, "step": step, "seconds": round(seconds, 3)}
        self.steps.append(done)
        self.say("drill_step", {**done, "told": told})

    def say(self, kind: str, data: Json) -> Event:
        """An event of this drill."""
        event = self.ledger.append(kind, {"target": self.target.name, "drill": self.number, **data})
        self.told(event)
        return event

    def gives_way(self) -> None:
        """Wait while a real run has the target. Raises Ended."""
        said = ""
        while True:
            if self.over():
                raise Ended
            if not self.held_by:
                return
            if self.held_by != said:
                said = self.held_by
                self.say("drill_waits", {"for": said})
            self.ledger.wait(self.ledger.head()[0], LOOK)


def ways_back() -> tuple[Literal["reapply"], Literal["restore"]]:
    """In the order in which they are tried: the restore may follow the re-apply."""
    return ("reapply", "restore")


def on_the_copy(target: Target, url: str) -> Target:
    """The target as the drill has it: the same rules, on the copy; nobody's application, services or channel."""
    drill = target.drill or Drill()
    return replace(
        target,
        database_url=SecretStr(url),
        admin_url=None,
        approvals=int(drill.second_person),
        approval_totp=False,
        health_url=None,
        services=Services(),
        break_glass=BreakGlass(),
        staging=None,
        require="nothing",
        backup=target.backup if strategies.of(target).restores else Backup(),
        drill=None,
    )


def why(run: Run) -> Problem:
    """What stopped it, as a real run would say."""
    data = run.failed or (run.ending.data if run.ending else {})
    if run.state is State.EXPIRED:
        return StepFailed(
            "E-EXPIRED", "Nobody agreed in time.", "See that a second person can be reached, and start the drill again."
        )
    if run.state is State.DECIDE:
        return StepFailed(
            "E-DIFFERS", f"The result differs: {'; '.join(data.get('differences', [])[:3])}.", "Read the script."
        )
    return StepFailed(data.get("code", "E-UNKNOWN"), data.get("message", f"It is {run.state}."), data.get("hint", ""))


def following(run: Run) -> str | None:
    """The step that comes next; None where there is none."""
    return next(
        (part.name for part in RUNBOOKS[run.kind] if part.name != "approve" and part.name not in run.evidence), None
    )
