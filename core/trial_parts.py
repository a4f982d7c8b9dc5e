"""Runs rollback scripts on a scratch database as they will really run: part by part, each of them committed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import psycopg

from core import postgres, schema, trial
from core.errors import Refused
from core.model import Json
from core.parts import Part
from core.runbook import Work
from core.save.inventory import destroyed, inventory
from core.save.sequences import STEERS
from core.stopping import stoppable


def for_real(
    work: Work, url: str, parts: Sequence[Part], code: str, sentence: str, done: trial.Done
) -> tuple[trial.Done, list[Json]]:
    """After `trial.run` has taken everything back on the same database, which is now changed for good: what really happens.

    That may be more: a partition that is detached concurrently gets a constraint. And of each part {"about", "locks",
    "writes", "saves", "effect", "seconds"}; `saves`: it destroys or changes what must be saved first. Raises
    StepFailed(code), Cancelled; Refused(E-NO-TX) where several parts must save, since one save belongs to one transaction.
    """
    shown: list[Json] = []
    for part in parts:
        with postgres.connect(url, f"rollback-bot {work.run.id}", "the scratch server") as conn:
            conn.execute(
                f"SET statement_timeout = {int(work.target.statement_timeout.total_seconds() * 1000)}".encode()
            )
            started = time.monotonic()
            with stoppable(conn, work.cancelled):
                found = alone(conn, part, code, sentence) if part.alone else together(conn, part, code, sentence)
            shown.append({"about": str(part), **found, "seconds": round(time.monotonic() - started, 3)})
    with postgres.connect(url, f"rollback-bot {work.run.id}", "the scratch server") as conn:
        after = schema.snapshot(conn)
    if sum(one["saves"] for one in shown) > 1:
        several = "; ".join(one["about"] for one in shown if one["saves"])
        raise Refused(
            "E-NO-TX",
            f"Rows or columns would go in several transactions ({several}), and I save them in one only.",
            "Leave CONCURRENTLY out, or undo the migrations one at a time. Nothing was started.",
        )
    if not any(one["saves"] for one in shown):
        shown[-1]["saves"] = True  # the old definitions and rights are kept in any case
    locks = {(lock["table"], lock["mode"]) for one in shown for lock in one["locks"]}
    changes = tuple(schema.difference(done.before, after))
    return replace(done, after=after, changes=changes, locks=tuple(sorted(locks))), shown


def alone(conn: postgres.Connection, part: Part, code: str, sentence: str) -> Json:
    """A statement that runs by itself. Its locks keep neither readers nor writers out."""
    file, statement = part.statements[0]
    try:
        conn.execute(statement["sql"].encode(), binary=True)
    except psycopg.Error as error:
        raise trial.failed(code, sentence, file, statement, error) from None
    return {"locks": [], "writes": [], "saves": False, "effect": ""}


def together(conn: postgres.Connection, part: Part, code: str, sentence: str) -> Json:
    """The statements of one transaction, without the history table, which the copy may lack."""
    with conn.transaction():
        before, held = schema.snapshot(conn), inventory(conn)
        touched = trial.Touched(conn, held)
        for file, statement in part.statements:
            trial.one(conn, file, statement, code, sentence)
            touched.look()
        writes = touched.writes
        trial.reset(conn)
        after, gone = schema.snapshot(conn), destroyed(held, inventory(conn))
    changes = schema.difference(before, after)
    sequences = any(change.kind == "sequence" and change.change == "missing" for change in changes) or any(
        STEERS.search(statement["sql"]) for _, statement in part.statements
    )
    return {
        "locks": [{"table": table, "mode": mode} for table, mode in touched.strong],
        "writes": list(writes),
        "saves": bool(writes or sequences or any(gone.told().values())),
        "effect": trial.effect(changes),
    }
