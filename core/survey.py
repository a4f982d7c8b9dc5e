"""What both doors show without starting anything: a plan, the targets, the migrations, the history."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from core import layouts, postgres
from core.errors import Problem
from core.ledger import Ledger
from core.model import Person, Request, Run, State
from core.runbook import Work
from core.settings import Settings, Target

PREVIEW = "RB-PLAN"
"""Stands for a run that does not exist: no run id has these symbols."""


def known(ledger: Ledger, target: Target) -> Target:
    """The target with the scripts that only the audit trail has. Raises Refused(E-LEDGER)."""
    from core.applied import stored

    return stored.into(ledger, target)


def preview(
    request: Request,
    target: Target,
    settings: Settings,
    who: Person,
    now: datetime,
    like: Work | None = None,
    ledger: Ledger | None = None,
) -> Run:
    """Identify and rehearse, and write nothing down. `like`: work whose run's id, meter and end are taken over.

    `ledger`: what it keeps of the target counts. Raises Refused, StepFailed; Cancelled where `like` was.
    """
    from core import staging
    from core.steps.identify import identify
    from core.steps.rehearse import rehearse

    target = known(ledger, target) if ledger else target
    staged = partial(staging.told, ledger, settings, target) if ledger else lambda undo: None
    run = Run(
        like.run.id if like else PREVIEW, 1, State.PLANNING, target.name, request, who, now, needed=target.approvals
    )
    for name, step in (("identify", identify), ("rehearse", rehearse)):
        started = datetime.now(now.tzinfo)
        evidence = step(replace(like, run=run) if like else Work(run, target, settings, staged=staged))
        evidence.setdefault("seconds", round((datetime.now(now.tzinfo) - started).total_seconds(), 3))
        run = replace(run, evidence={**run.evidence, name: evidence})
    return replace(run, digest=run.evidence["rehearse"]["digest"])


@dataclass(frozen=True)
class TargetNow:
    """A target's newest migration, or why it could not be asked."""

    name: str
    newest: str | None = None
    problem: str = ""


def targets(settings: Settings, ledger: Ledger) -> list[TargetNow]:
    """Each target, asked now."""
    found = []
    for target in settings.targets.values():
        try:
            applied = [one for one in migrations(target, ledger) if one.applied]
            found.append(TargetNow(target.name, applied[0].name if applied else None))
        except Problem as problem:
            found.append(TargetNow(target.name, problem=problem.message))
    return found


def held(ledger: Ledger) -> dict[str, list[Run]]:
    """By target: rollbacks whose migrations nobody has released, newest first."""
    found: dict[str, list[Run]] = {}
    for run in ledger.runs("state IN ('done', 'decide') AND what NOT IN ('reapply', 'restore')", limit=100):
        if not run.released and "execute" in run.evidence:
            found.setdefault(run.target, []).append(run)
    return found


@dataclass(frozen=True)
class MigrationNow:
    """A migration as the target and the folder know it."""

    version: str
    name: str
    applied: bool
    applied_at: datetime | None
    forward: bool
    rollback: bool


def migrations(target: Target, ledger: Ledger | None = None) -> list[MigrationNow]:
    """Newest first: pending ones, then applied ones. Raises Refused."""
    layout = layouts.of(known(ledger, target) if ledger else target)
    with postgres.target(target.database_url.get_secret_value(), "survey", target.name) as conn:
        history = layout.history(conn)
    files = layout.migrations()
    rows = []
    for row in history.applied:
        found = layouts.find(files, row.version) or layouts.Migration(row.version, row.version)
        rows.append(now(found, row))
    names = {row.name for row in rows}
    pending = [now(found, None) for found in files if found.name not in names]
    return [*reversed(pending), *reversed(rows)]


def now(found: layouts.Migration, row: layouts.Applied | None) -> MigrationNow:
    """One line of the list."""
    at = row.applied_at if row else None
    return MigrationNow(found.version, found.name, row is not None, at, bool(found.forward), bool(found.rollback))
