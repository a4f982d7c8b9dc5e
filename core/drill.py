"""The drill: the runbook and both ways back, walked by the same engine on a copy of the target that was put back from a backup.

The copy is a target of its own on the scratch server, with an audit trail of its own, in a folder that goes with the drill.
The target itself is only read: its identity, and all of it where a fresh backup is taken. What comes of each step is written
into the real trail, so that the channel hears of it and the next real run knows how long its steps take.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import psycopg
import structlog

from core import drills, postgres, transcript
from core.backups import dump, kept, strategies
from core.desk import Desk
from core.driving import Nobody
from core.engine import Engine, problem_data
from core.errors import Problem, Refused, StepFailed
from core.ledger import Ledger, stamp
from core.model import Event, Json, Kind, Person, Request, Run, State
from core.pgtools import Cancelled
from core.redact import SecretStr, pg_error
from core.roll_back import RUNBOOKS
from core.runbook import Work
from core.scratch_copy import emptied, full, own_name, scratch
from core.settings import Backup, BreakGlass, Drill, Services, Settings, Target

log = structlog.get_logger()
LOOK = 0.5  # seconds between two looks at whether somebody has agreed, or a real run has ended
SETTLED = (State.INTERRUPTED, State.DECIDE, State.NEEDS_A_PERSON)
FOLDER = "drill-"


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
    of: Json | None = None  # the backup: {"id", "taken_at"}
    seen: int = 0  # the newest event of the drill's own trail that was told
    asked: datetime | None = None
    doing: str = "copy"
    stopped_by: str = ""  # who has stopped it
    looked: float = 0.0  # when that was last looked after
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
            self.gives_way()
            with dump.disk():
                self.folder.mkdir(parents=True, mode=0o700)
            with self.copy() as url:
                self.play(url)
        except (Ended, Cancelled):
            who = self.stopped_by
            told = f"{who} stopped it." if who else "I was told to end in the middle of it."
            problem = Problem("E-STOPPED", told, "Start it again.")
        except Problem as found:
            problem = full(found) or found
        except psycopg.Error as error:
            problem = Problem("E-DB", f"A database broke off: {pg_error(error)}.", "Start it again once it is back.")
        except Exception as error:
            reference = os.urandom(3).hex()
            log.error("bug", ref=reference, drill=self.number, exc_info=error)
            problem = Problem("E-BUG", f"Something broke on my side (ref {reference}).", "Look it up in my log.")
        sweep(self.settings, self.target, self.number)
        return self.end(round(time.monotonic() - started, 3), problem)

    def over(self) -> bool:
        """Is this process told to end, or has somebody stopped the drill?"""
        if self.ending() or self.stopped_by:
            return True
        if time.monotonic() - self.looked > LOOK:  # asked for each block of a backup
            self.looked = time.monotonic()
            stop = drill_event(self.ledger, "drill_stopped", self.target.name, self.number)
            self.stopped_by = (stop.actor.name if stop.actor else "somebody") if stop else ""
        return bool(self.stopped_by)

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
        return self.say("drill_failed", {**data, "step": self.doing, **problem_data(problem)})

    # -- the copy ------------------------------------------------------------------------------------------

    @contextmanager
    def copy(self) -> Iterator[str]:
        """A scratch database with all that the backup holds, compared. Yields its conninfo; gone with the block."""
        with ExitStack() as ending:
            with postgres.target(self.target.database_url.get_secret_value(), self.name, self.target.name) as conn:
                identity = postgres.identity(conn)
            found, settings = self.backup(identity)
            self.of = {"id": found.id, "taken_at": found.evidence["taken_at"], "fresh": found.id == self.name}
            self.begin("copy")
            work = replace(kept.work_of(found, self.target, settings, self.name), cancelled=self.over)
            self.may_drill(work)
            began = time.monotonic()
            strategy = strategies.named(found.evidence["format"])
            copy = ending.enter_context(strategy.proven(work, dump.archive_of(work, found.id)))
            self.tell(
                "rollback", "copy", time.monotonic() - began, f"{len(copy.tables)} of {len(copy.tables)} tables equal"
            )
            yield copy.url

    def backup(self, identity: Json) -> tuple[kept.Kept, Settings]:
        """What is put back, and the settings that know where it lies. Raises Refused(E-NO-BACKUP), StepFailed."""
        drill = self.target.drill or Drill()
        found = kept.newest(self.ledger, self.settings, self.target) if drill.backup == "latest" else None
        if found:
            kept.fits(found, identity)
            return found, self.settings
        strategy = strategies.of(self.target)
        if not strategy.restores:
            raise Refused(
                "E-NO-BACKUP",
                f"There is no backup of everything of *{self.target.name}* to drill on, and its strategy `{strategy.name}` takes none.",
                'Set `backup.kind = "dump"` for a while, take one with `rollback backup`, and start the drill again.',
            )
        self.begin("fresh backup")
        settings, began = replace(self.settings, backup_dir=self.folder / "fresh"), time.monotonic()
        fresh = kept.Kept(
            self.name,
            self.target.name,
            {"format": strategy.name, "taken_at": stamp(self.ledger.clock())},
            identity,
            None,
        )
        work = replace(kept.work_of(fresh, self.target, settings, self.name), cancelled=self.over)
        archive = dump.archive_of(work, self.name)
        archive.prepare()
        with dump.disk():
            evidence = strategy.take(work, archive)
        self.tell(
            "rollback",
            "fresh backup",
            time.monotonic() - began,
            f"{evidence['tables']} tables, {evidence['rows']:,} rows",
        )
        return replace(fresh, evidence=evidence), settings

    def may_drill(self, work: Work) -> None:
        """Raises Refused(E-RIGHTS) where the role of the scratch server could not put a database in another one's place."""
        query = "SELECT rolsuper OR (rolcreatedb AND pg_has_role('pg_signal_backend', 'MEMBER')) FROM pg_roles WHERE rolname = current_user"
        with postgres.connect(scratch(work).scratch.url, f"rollback-bot {self.name}", "the scratch server") as conn:
            if not postgres.scalar(conn, query):
                raise Refused(
                    "E-RIGHTS",
                    "My role on the scratch server may not end sessions, so the drill could not restore there.",
                    "Grant it CREATEDB and pg_signal_backend, or leave `scratch_url` out where a throw-away server can be started.",
                )

    # -- the runbooks --------------------------------------------------------------------------------------

    def play(self, url: str) -> None:
        """Roll back, re-apply, restore. Raises Problem where one of them does not come to its end."""
        mine = on_the_copy(self.target, url)
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
        self.begin("identify")
        while run.is_open and run.state not in SETTLED:
            if self.over():
                raise Ended
            run = engine.walk(run.id)
            self.hear(desk.ledger, run.id)
            if run.state is State.WAITING:
                self.ask(desk, run)
                run = desk.ledger.run(run.id)
        if run.state is not State.DONE:
            raise why(run)

    def ask(self, desk: Desk, run: Run) -> None:
        """Has a second person agreed? Then the copy's own gate opens; else wait for a moment, for as long as a request may."""
        agreed = drill_event(self.ledger, "drill_agreed", self.target.name, self.number)
        if agreed and agreed.actor:
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
        self.doing = run.running or following(run) or self.doing
        self.gives_way()

    # -- the real trail ------------------------------------------------------------------------------------

    def begin(self, step: str) -> None:
        """What is under way now."""
        self.doing = step

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
        said = None
        while run := next((run for run in self.ledger.open_runs() if run.target == self.target.name), None):
            if run.id != said:
                said = run.id
                self.say("drill_waits", {"for": run.id})
            if self.over():
                raise Ended
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


def drill_event(ledger: Ledger, kind: str, target: str, number: int) -> Event | None:
    """The newest event of that kind of a drill."""
    return next((event for event in ledger.apart([kind], target) if event.data.get("drill") == number), None)


# -- leftovers -------------------------------------------------------------------------------------------------


def sweep(settings: Settings, target: Target, number: int) -> None:
    """Remove what a drill has left: its databases on a scratch server that outlives us, and its folder."""
    folder = settings.backup_dir / f"{FOLDER}{number}"
    names = [own_name("DR", settings, target)]
    if (folder / "ledger.db").is_file():
        with suppress(Refused):
            trail = Ledger(folder / "ledger.db")
            names += [run.id for run in trail.runs()]
            trail.close()
    try:
        for name in names:
            emptied(target, name)
    except Problem as problem:
        log.warning("scratch databases of a drill not tidied", drill=number, code=problem.code)
        return  # the folder names them: the next sweep finds them
    with suppress(OSError):
        shutil.rmtree(folder)


def abandoned(settings: Settings) -> list[int]:
    """Drills whose folder is still there."""
    with suppress(OSError):
        names = [
            path.name.removeprefix(FOLDER) for path in settings.backup_dir.iterdir() if path.name.startswith(FOLDER)
        ]
        return sorted(int(name) for name in names if name.isdecimal())
    return []


def begun(ledger: Ledger, start: Event) -> bool:
    """Has anything of it been told? Then whoever walked it has ended in the middle."""
    return any(
        event.data.get("drill") == start.id
        for event in ledger.apart(["drill_step", "drill_waits", "drill_asks"], start.data["target"])
    )


def interrupted(ledger: Ledger, start: Event) -> Event:
    """The end of a drill whose process has died."""
    steps = [
        {name: event.data[name] for name in ("kind", "step", "seconds")}
        for event in reversed(ledger.apart(["drill_step"], start.data["target"]))
        if event.data["drill"] == start.id
    ]
    data = {
        "target": start.data["target"],
        "drill": start.id,
        "due": start.data["due"],
        "seconds": round(max(0.0, (ledger.clock() - start.at).total_seconds()), 3),
        "steps": steps,
        "people": [],
        "migrations": [],
        "backup": None,
        "before": None,
        "step": steps[-1]["step"] if steps else "copy",
        **problem_data(Problem("E-STOPPED", "The process that walked it has ended in the middle.", "Start it again.")),
    }
    with ledger.transaction() as t:
        return t.append(None, "drill_failed", data)
