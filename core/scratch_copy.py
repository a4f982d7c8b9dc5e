"""The target, and a scratch database with its schema: what steps and backups work with."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from core import pgtools, postgres, scratch_extensions, scratch_server, trial
from core.errors import Problem, StepFailed
from core.pgtools import Tools
from core.runbook import Work
from core.scratch_server import Fit
from core.settings import Settings, Target

BROKE_OFF = re.compile(
    r" (?:(?:08|53)[0-9A-Z]{3}|57P0[0-9]) |: (?:the connection is (?:closed|lost)|server closed the connection)"
    r"|terminating connection due to"
)
"""SQLSTATEs of a server that goes down, or lacks what it needs, and what is said where nobody is there to give one.
Source: PostgreSQL, Appendix A, classes 08, 53 and 57."""


def target(work: Work) -> AbstractContextManager[postgres.Connection]:
    """The target, directly."""
    return postgres.target(work.target.database_url.get_secret_value(), work.run.id, work.target.name)


def tools(work: Work) -> Tools:
    """The client programs for the target's server."""
    version = work.run.evidence["identify"]["database"]["server_version"]
    return pgtools.find(int(version.split(".")[0]), work.settings.pg_bin)


def scratch(work: Work) -> Fit:
    """The scratch server, and what it lacks. Raises Refused(E-SCRATCH), StepFailed(E-SCRATCH)."""
    identified = work.run.evidence["identify"]
    scripts = [statement["sql"] for _, statement in trial.statements(work.run.going)]
    return scratch_server.fit(work.target, work.settings, identified["database"], scripts)


def scratch_url(work: Work) -> str:
    """The address of the scratch server. Raises as `scratch`."""
    return scratch(work).scratch.url


def own_name(kind: str, settings: Settings, target: Target) -> str:
    """Instead of a run's id, in the names of scratch databases: of one kind of work on one target of one ledger."""
    digest = hashlib.sha256(f"{settings.ledger.resolve()} {target.name}".encode()).hexdigest()
    return f"{kind}-{digest[:8]}"


def full(problem: Problem) -> StepFailed | None:
    """The answer where the scratch server has no room for a proof (SQLSTATE 53100); None where it is something else."""
    said = f" {problem.message} "
    ours = problem.message.startswith(("The backup folder", "The backup could not be made", "I could not look"))
    if ours or not (" 53100 " in said or "No space left on device" in said):
        return None
    return StepFailed(
        "E-SCRATCH",
        "The disk of the scratch server is full, so the proof could not be made. What was begun there is removed.",
        "Make room there for one whole copy of the database, or point `scratch_url` to a server that has it. "
        "Production was not changed.",
    )


def at_fault(problem: Problem) -> StepFailed | None:
    """The answer where the scratch server, and not a script or a backup, is why something failed there; None where it is not."""
    if found := full(problem):
        return found
    if not BROKE_OFF.search(problem.message):
        return None
    return StepFailed(
        "E-SCRATCH",
        f"The scratch server broke off: {problem.message}",
        "Ask again once it is back. Production was not changed.",
    )


def emptied(target: Target, name: str) -> None:
    """Remove what a process that was killed has left of that name, which only one at a time may use. Raises StepFailed(E-SCRATCH).

    A throw-away server has ended with that process.
    """
    if target.scratch_url:
        url = target.scratch_url.get_secret_value()
        with postgres.trouble("look for scratch databases"):
            for database in postgres.leftovers(url, name):
                postgres.drop(url, database)


@contextmanager
def copy(work: Work, fit: Fit) -> Iterator[str]:
    """A scratch database with the target's schema and no rows."""
    programs, source = tools(work), work.target.database_url.get_secret_value()
    dump: list[bytes] = []  # of the schema alone: some kilobytes, and no file that could outlive us
    with postgres.scratch(fit.scratch.url, work.run.id, "copy") as url, ExitStack() as ending:
        try:
            wait = f"--lock-wait-timeout={work.target.statement_timeout.total_seconds() * 1000:.0f}"  # ms
            programs.pour("pg_dump", ["-Fc", "-s", wait], source, dump.append, work.cancelled)
            options = ["--exit-on-error", *ownership(without_owners(work, fit))]
            if fit.lacking.left_out:
                entries = scratch_extensions.entries(programs.listing(dump), fit.lacking)
                options += ["-L", ending.enter_context(pgtools.unnamed(entries))]
            programs.feed("pg_restore", options, url, dump, work.cancelled)
        except pgtools.ToolFailed as error:
            raise pgtools.stopped(error, "E-REHEARSAL", "I could not copy the schema to the scratch server") from None
        yield url


def ownership(why: str) -> list[str]:
    """pg_restore's options; owners and privileges are restored unless there is a reason not to."""
    return ["--no-owner", "--no-privileges"] if why else []


def without_owners(work: Work, fit: Fit) -> str:
    """Why owners and privileges cannot be restored on the scratch server; empty where they can."""
    query = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_'"
    superuser = "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"
    with postgres.connect(work.target.database_url.get_secret_value(), "rollback-bot", work.target.name) as conn:
        there = {row[0] for row in postgres.execute(conn, query)}
    with postgres.connect(fit.scratch.url, "rollback-bot", "the scratch server") as conn:
        missing = sorted(there - {row[0] for row in postgres.execute(conn, query)})
        if missing:
            return f"the scratch server lacks {', '.join(missing)}"
        return "" if postgres.execute(conn, superuser)[0][0] else "my role on the scratch server is no superuser"
