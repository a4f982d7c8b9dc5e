"""Could the newest migrations be undone now? Each is rehearsed, and its scripts run on one restored copy of the newest backup.

The target is only read. What comes of it is the board: one line for each migration, kept in the ledger.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from core import layouts, postgres, survey, turns
from core.backups import dump, kept, strategies
from core.backups.kept import BOT, Kept
from core.errors import Problem, Refused, StepFailed
from core.ledger import Ledger, stamp
from core.meter import Meter
from core.model import Json, Request, Run, State
from core.pgtools import Cancelled
from core.readiness_words import BAD, NO_BACKUP, listed, words
from core.redact import pg_error
from core.runbook import Work
from core.scratch_copy import at_fault, emptied, full, own_name
from core.settings import Readiness, Settings, Target
from core.steps import rehearse, trial_restore
from core.stopping import stoppable
from core.survey import MigrationNow
from core.watched import UNWATCHED, Watch

OF_THE_SCRIPT = ("E-SCRIPT", "E-NO-TX", "E-FILE-MISSING", "E-TRIAL-RUN")


@dataclass
class One:
    """A migration as it is being looked at. `run`: identified and rehearsed, where that went."""

    name: str
    version: str
    state: str = "not tried"
    why: str = ""
    seconds: float | None = None
    rows: int | None = None
    run: Run | None = None

    def told(self) -> Json:
        """A line of the board."""
        facts = {"name": self.name, "version": self.version, "state": self.state}
        return {**facts, "seconds": self.seconds, "rows": self.rows, "why": self.why}


def look(
    ledger: Ledger,
    settings: Settings,
    target: Target,
    only: Sequence[str] | None,
    watch: Watch = UNWATCHED,
    ending: Callable[[], bool] = lambda: False,
    patience: float = 0.0,
) -> Json:
    """{"target", "backup": {"id", "taken_at"} | None, "seconds", "migrations": [One.told()]}, newest first; nothing is written down.

    `only`: names or versions of applied migrations, instead of the newest ones. `ending`: the process ends; `patience`: seconds to
    wait for somebody else who looks. Raises Problem where it could not be looked at: E-BUSY (also where a rollback begins
    meanwhile), E-DB, E-SCRATCH, E-HISTORY and so on.
    """
    started = time.monotonic()
    with turns.alone(ledger, "readiness", target.name, patience):
        cancelled = turns.given_up(ledger, target.name, ending)
        try:
            looking = Looking(ledger, settings, survey.known(ledger, target), cancelled, watch)
            found = looking.at(only)
        except Cancelled:
            why = f"I stopped looking at what could be undone on *{target.name}*: a rollback has begun there, or the process ends."
            raise Refused("E-BUSY", why, "Ask again afterwards. Production was not changed.") from None
        except psycopg.Error as error:
            raise StepFailed(
                "E-DB", f"A database broke off: {pg_error(error)}.", "Try again once it is back."
            ) from None
        except Problem as problem:
            raise full(problem) or problem from None
    newest = looking.backup
    backup = {"id": newest.id, "taken_at": stamp(newest.taken_at)} if newest else None
    seconds = round(time.monotonic() - started, 3)
    return {"target": target.name, "backup": backup, "seconds": seconds, "migrations": [one.told() for one in found]}


class Looking:
    """One look."""

    def __init__(
        self, ledger: Ledger, settings: Settings, target: Target, cancelled: Callable[[], bool], watch: Watch
    ) -> None:
        self.ledger, self.settings, self.target, self.cancelled, self.watch = ledger, settings, target, cancelled, watch
        self.name = own_name("READY", settings, target)
        self.backup: Kept | None = None

    def at(self, only: Sequence[str] | None) -> list[One]:
        """All of it. Raises Problem, Cancelled, psycopg.Error."""
        turns.free(self.ledger, self.target.name, "look at what could be undone")
        emptied(self.target, self.name)
        found = [One(row.name, row.version) for row in chosen(survey.migrations(self.target), self.target, only)]
        for one in found:
            with self.watch.step(f"rehearse {one.name}") as step:
                self.rehearse(one, step.meter)
                step.found = words(one.told()) if one.state in BAD else ""
        self.backup = kept.newest(self.ledger, self.settings, self.target)
        if rehearsed := [one for one in found if one.run]:
            self.tried(rehearsed)
        self.go_on()
        return found

    def work(self, run: Run, meter: Meter) -> Work:
        """For a run that the ledger does not know."""
        return Work(run, self.target, self.settings, self.cancelled, meter=meter)

    def rehearse(self, one: One, meter: Meter) -> None:
        """What `/rollback NAME` would do, on an empty copy of the schema. Raises Problem where that is not the script's fault."""
        self.go_on()
        request, at = Request("from", one.name), self.ledger.clock()
        like = self.work(Run(self.name, 1, State.PLANNING, self.target.name, request, BOT, at), meter)
        try:
            one.run = survey.preview(request, self.target, self.settings, BOT, at, like)
        except Problem as problem:
            one.state, said = blamed(problem), problem.message.removesuffix(" Nothing was started.")
            another = one.state == "no script" and not said.startswith(f"`{one.name}`")
            one.why = said.split(". ")[0] if another else "" if one.state == "no script" else said
            return
        rehearsed = one.run.evidence["rehearse"]
        one.rows = sum(loss["rows"] for loss in rehearsed["losses"] if loss["kind"] in ("table", "rows"))
        if rehearsed["restores"] == "differs":
            told = [change["message"] for change in rehearsed["differences"] if change["severity"] == "harmful"]
            one.state, one.why = "differs", "; ".join(told[:3])
        elif rehearsed["restores"] == "unknown":
            one.why = rehearsed["why_unknown"]

    def tried(self, found: Sequence[One]) -> None:
        """Run the scripts of each on one restored copy, in transactions that are taken back."""
        newest, deepest = self.backup, found[-1].run
        why = "" if newest else NO_BACKUP
        try:
            if newest and deepest:
                self.go_on()
                kept.fits(newest, deepest.evidence["identify"]["database"])
                self.on_a_copy(newest, deepest, found)
        except Problem as problem:
            if problem.code not in ("E-BACKUP", "E-NO-BACKUP"):
                raise
            if other := at_fault(problem):
                raise other from None
            why = f"the newest backup cannot be used: {problem.message}"
        for one in found if why else ():
            one.why = one.why or why

    def on_a_copy(self, newest: Kept, deepest: Run, found: Sequence[One]) -> None:
        """`deepest`: the run that undoes the most, so that its scripts need all that the copy must have."""
        proof = kept.work_of(newest, self.target, self.settings, self.name)
        run = replace(
            proof.run, evidence={**deepest.evidence, **proof.run.evidence, "identify": deepest.evidence["identify"]}
        )
        with own_folder(self.settings.backup_dir / self.name.lower()) as place, ExitStack() as ending:
            with self.watch.step("put the backup back") as step:
                proof = replace(self.work(run, step.meter))
                strategy = strategies.named(newest.evidence["format"])
                archive = replace(dump.archive_of(proof, newest.id), place=place)
                copy = ending.enter_context(strategy.proven(proof, archive))
                step.meter.doing("bringing the copy up to date")
                brought, lacks = self.up_to_date(proof, copy.url)
            for one in found:
                with self.watch.step(f"try {one.name}") as step:
                    self.go_on()
                    if lacks:
                        one.why = one.why or lacks
                    elif one.run:
                        self.try_one(one, self.work(one.run, step.meter), copy.url, brought)
                    step.found = words(one.told())

    def up_to_date(self, work: Work, url: str) -> tuple[list[str], str]:
        """Apply to the copy what was applied since the backup: these names, and why the scripts cannot be tried there, or nothing."""
        layout = layouts.of(self.target)
        with postgres.connect(url, f"rollback-bot {self.name}", "the scratch server") as conn, ExitStack() as ending:
            rehearse.timeout(conn, work)
            ending.enter_context(stoppable(conn, self.cancelled))
            there = [row.version for row in layout.history(conn).applied]
            now = work.run.evidence["identify"]["applied"]
            if gone := [version for version in there if version not in now]:
                return [], f"the newest backup is from before {listed(gone)} was rolled back"
            missing = layouts.forward_of(layout, [version for version in now if version not in there])
            names = [migration.name for migration in missing]
            for migration in missing:
                try:
                    rehearse.apply(conn, migration)
                except StepFailed as problem:
                    if other := at_fault(problem):
                        raise other from None
                    said = problem.message.replace("an empty database", "the restored copy")
                    return names, f"the newest backup is from before {listed([migration.name])}, and {said}"
        return names, ""

    def try_one(self, one: One, work: Work, url: str, brought: Sequence[str]) -> None:
        """One of them, on the copy. Raises Problem where that is not the script's fault."""
        since = f"the newest backup is from before {listed(brought)}, which the copy was given first" if brought else ""
        try:
            done = trial_restore.in_parts(work, url)
        except StepFailed as problem:
            if problem.code != "E-TRIAL-RUN":
                raise
            if other := at_fault(problem):
                raise other from None
            one.state, one.why = "fails", limited(problem.message)
            return
        one.seconds = round(done.seconds, 3)
        try:
            trial_restore.surprise(work.run.evidence["rehearse"], done)
        except StepFailed as problem:
            if brought:  # the copy may differ from the target for other reasons
                one.why = one.why or since
            else:
                one.state, one.why = "fails", problem.message
            return
        if one.state == "not tried":
            one.state, one.why = "ready", one.why or since

    def go_on(self) -> None:
        """Raises Cancelled where the process ends, or a rollback has begun on the target."""
        if self.cancelled():
            raise Cancelled


@contextmanager
def own_folder(place: Path) -> Iterator[Path]:
    """For what the proof unpacks: among the backups the clean-up would take it for a leftover of the run that it is called after.

    A look that was killed has left its own there. Raises StepFailed(E-DISK, E-BACKUP).
    """
    with dump.disk():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(mode=0o700)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def chosen(rows: Sequence[MigrationNow], target: Target, only: Sequence[str] | None) -> list[MigrationNow]:
    """The applied migrations that are looked at, newest first."""
    applied = [row for row in rows if row.applied]
    if only is not None:
        return [row for row in applied if row.name in only or row.version in only]
    return applied[: (target.readiness or Readiness()).last]


def blamed(problem: Problem) -> str:
    """The state of a migration whose plan cannot be made. Raises the problem again where another cause is to blame."""
    if problem.code == "E-NO-SCRIPT":
        return "no script"
    by_script = problem.code in OF_THE_SCRIPT or (
        problem.code == "E-REHEARSAL" and "I could not" not in problem.message
    )
    if not by_script:
        raise problem
    if other := at_fault(problem):
        raise other
    return "fails"


def limited(why: str) -> str:
    """Of a statement that took too long (SQLSTATE 57014), also that this is the script's own matter."""
    return f"{why} The same `statement_timeout` would stop a real run." if " 57014 " in why else why
