"""Step 1: find the migrations and their rollback scripts."""

from __future__ import annotations

from core import layouts, plan, postgres, script, staging
from core.applied import stored
from core.errors import Refused
from core.layouts import Applied, Migration
from core.ledger import stamp
from core.model import Json
from core.runbook import Work


def identify(work: Work) -> Json:
    """What goes, in which order, with the scripts as they are now. Raises Refused: nothing was started."""
    layout = layouts.of(work.target)
    with postgres.target(work.target.database_url.get_secret_value(), work.run.id, work.target.name) as conn:
        history = layout.history(conn)
        database = postgres.identity(conn)
        postgres.may_mark(conn, work.target.name)
    selection = plan.select(work.run.request, layout.migrations(), history.applied)
    if selection.kept_after and not layout.row_each:
        raise plan.only_the_newest(selection, layout.name)
    undo = [undone(applied, migration, history.name) for applied, migration in selection.undo]
    staged = work.staged(undo)
    staging.may_plan(work.target, staged)
    named = selection.undo[-1][1].name if work.run.request.what == "from" else work.run.request.migration
    return {
        "database": database,
        "layout": layout.name,
        **({"commit": layout.commit} if layout.commit else {}),
        "one_row": not layout.row_each,
        "history_table": history.table,
        "applied": [applied.version for applied in history.applied],
        "undo": undo,
        **({"staging": staged} if staged else {}),
        "stays": selection.stays.name if selection.stays else None,
        "kept_after": list(selection.kept_after),
        "named": named,
    }


def undone(applied: Applied, migration: Migration, history_table: str) -> Json:
    """One migration that goes, with its script whole: what is approved is what will run."""
    if migration.rollback is None:
        raise Refused(
            "E-NO-SCRIPT", f"`{migration.name}` has no rollback script. I do not guess one. Nothing was started."
        )
    read = script.read(migration.rollback.shown, migration.rollback.data, history_table=history_table)
    return {
        "version": applied.version,
        "name": migration.name,
        "applied_at": stamp(applied.applied_at) if applied.applied_at else None,
        "script": {
            "file": read.name,
            "sha256": read.sha256,
            "bytes": read.size,
            "transaction": migration.rollback.transaction,
            **({"stored": True} if migration.rollback.stored else {}),
            "statements": [s.told() for s in read.statements],
        },
        "warnings": [*stored.remarks(migration), *script.warnings(read)],
    }
