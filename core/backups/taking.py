"""`rollback backup`: a backup that no rollback has asked for, taken and proven by the target's strategy, and written down."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import psycopg

from core import grammar, keeping, postgres, turns
from core.backups import dump, kept, strategies
from core.backups.command import Command
from core.backups.kept import Kept
from core.errors import Problem, Refused, StepFailed
from core.ledger import Ledger, now, stamp
from core.model import Json, Person, Request, Run, State
from core.pgtools import Cancelled
from core.quantities import plural, size
from core.redact import pg_error
from core.runbook import Work
from core.scratch_copy import emptied, full, own_name
from core.settings import Settings, Target
from core.steps.backup import backup
from core.watched import UNWATCHED, Watch

NOTHING = "Nothing was started."


@dataclass(frozen=True)
class Proven:
    """A backup and its proof. `tables`: how many came back equal, 0 where the team's own program verifies; `seconds`: of both."""

    kept: Kept
    tables: int
    seconds: float

    def told(self) -> Json:
        """For `--json`."""
        evidence = self.kept.evidence
        facts = {key: evidence.get(key) for key in ("format", "taken_at", "bytes", "rows", "sha256", "name", "notes")}
        return {"id": self.kept.id, "target": self.kept.target, **facts, "tables": self.tables, "seconds": self.seconds}


def take(
    ledger: Ledger,
    settings: Settings,
    target: Target,
    who: Person,
    watch: Watch = UNWATCHED,
    ending: Callable[[], bool] = lambda: False,
) -> Proven:
    """Take one and prove it; `backup_begun`, `backup_taken`, then `backup_proven` or `backup_failed` stand in the ledger.

    `ending`: the process ends, so give it up. Raises Refused where nothing was started (E-BUSY, E-NO-BACKUP, E-BACKUP, E-DB, …),
    StepFailed where it came to nothing: then there is no backup, or one that is not proven, and the message says which.
    """
    possible(target)
    with turns.alone(ledger, "backup", target.name):
        turns.free(ledger, target.name, "backup")
        with postgres.target(target.database_url.get_secret_value(), "backup", target.name) as conn:
            database = postgres.identity(conn)
        cancelled = turns.given_up(ledger, target.name, ending)
        run = Run(new_id(ledger, settings), 1, State.PLANNING, target.name, Request("latest"), who, ledger.clock())
        run = replace(run, evidence={"identify": {"database": database, "undo": []}})
        work = Work(run, target, settings, cancelled, partial(keeping.clean, ledger, settings))
        # before there is any file: else nobody would know whose it is, once this process is killed
        ledger.append("backup_begun", {"target": target.name, "backup": run.id}, who)
        with written_down(ledger, target, who) as there:
            made, spent = taken(ledger, work, who, watch)
            there.append(made.id)
            return proven(ledger, made, work, who, watch, spent)


def possible(target: Target) -> None:
    """Raises Refused where the settings leave nothing to take, or nothing that proves it."""
    if target.backup.kind == "scoped":
        raise Refused(
            "E-NO-BACKUP",
            f"*{target.name}* keeps backups of the kind `scoped`: of what a rollback destroys, so without a plan there is "
            f"nothing to take. {NOTHING}",
            "Take the backup of everything with the tool that `verified` asks, or set `backup.kind` to `dump` or `command`.",
        )
    if target.backup.kind == "command" and not target.backup.verify:
        raise Refused(
            "E-BACKUP",
            f"Nothing verifies the backups of *{target.name}*, so none could be proven. {NOTHING}",
            "Set `backup.verify` to a program that does: docs/backups.md.",
        )


def new_id(ledger: Ledger, settings: Settings) -> str:
    """`BK-` and four symbols, as those of runs."""
    there = {event.data["backup"] for event in ledger.apart(["backup_begun"])}

    def used(run: str) -> bool:
        name = f"BK-{run[3:]}"
        return name in there or any(settings.backup_dir.glob(f"{name}.*"))

    return f"BK-{grammar.new_run_id(used)[3:]}"


@contextmanager
def written_down(ledger: Ledger, target: Target, who: Person) -> Iterator[list[str]]:
    """Why it came to nothing, in the ledger too; the list is for the backup that stays though it is not proven.

    Raises StepFailed, Refused.
    """
    there: list[str] = []
    try:
        yield there
    except Cancelled:
        problem: Problem = StepFailed(
            "E-STOPPED",
            f"The backup of *{target.name}* was given up: a rollback has begun there, or the bot is going down.",
            "Ask again afterwards. Production was not changed.",
        )
    except psycopg.Error as error:
        problem = StepFailed("E-DB", f"A database broke off: {pg_error(error)}.", "Ask again once it is back.")
    except Problem as found:
        problem = full(found) or found
    else:
        return
    if there:
        stays = f"{problem.message} {there[0]} is there, and not proven."
        problem = type(problem)(problem.code, stays, problem.hint, problem.options)
    told = {"code": problem.code, "message": problem.message, "hint": problem.hint}
    ledger.append("backup_failed", {"target": target.name, "backup": there[0] if there else None, **told}, who)
    raise problem from None


def taken(ledger: Ledger, work: Work, who: Person, watch: Watch) -> tuple[Kept, float]:
    """The backup on disk for good, or with the team's own tool; and the seconds that it took."""
    started, strategy = time.monotonic(), strategies.of(work.target)
    with watch.step("back up") as step:
        work = replace(work, meter=step.meter)
        if isinstance(strategy, Command):
            evidence: Json = {"format": strategy.name, "taken_at": stamp(now()), **strategy.elsewhere(work)}
            step.found = f"by your own program: {evidence['name']}"
        else:
            evidence = backup(work)
            step.found = (
                f"{size(evidence['bytes'])}, {plural(evidence['rows'], 'row')}, sha256 {evidence['sha256'][:12]}"
            )
        seconds = round(time.monotonic() - started, 3)
        made = Kept(work.run.id, work.target.name, evidence, work.run.evidence["identify"]["database"], None)
        data = {"target": made.target, "backup": made.id, "evidence": evidence, "database": made.database}
        with dump.or_nothing(dump.archive_of(work)):
            ledger.append("backup_taken", {**data, "seconds": seconds}, who)
    return made, seconds


def proven(ledger: Ledger, made: Kept, work: Work, who: Person, watch: Watch, spent: float) -> Proven:
    """Restored into a scratch database and compared, or verified by the team's own program."""
    started, strategy = time.monotonic(), strategies.named(made.evidence["format"])
    name = own_name("PROOF", work.settings, work.target)
    with watch.step("test restore") as step:
        proof = kept.work_of(made, work.target, work.settings, name)
        proof = replace(proof, meter=step.meter, cancelled=work.cancelled)
        if isinstance(strategy, Command):
            strategy.verified(replace(proof, run=replace(proof.run, id=made.id)))
            tables, step.found = 0, "verified by your own program"
        else:
            emptied(work.target, name)
            with strategy.proven(proof, dump.archive_of(proof, made.id)) as copy:
                tables = len(copy.tables)
            step.found = f"{tables} of {tables} tables equal"
        seconds = round(time.monotonic() - started, 3)
        data = {"target": made.target, "backup": made.id, "tables": tables, "seconds": seconds}
        at = ledger.append("backup_proven", data, who).at
    return Proven(replace(made, proven_at=at), tables, round(spent + seconds, 3))
