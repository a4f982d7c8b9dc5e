"""What a restore loses: rows written since the backup, counted before anybody agrees, by table."""

from __future__ import annotations

import time
from collections.abc import Container, Mapping
from typing import LiteralString

import psycopg
from psycopg import sql

from core import postgres, schema
from core.backups import dump
from core.backups.proof import unharmed
from core.model import Json
from core.runbook import Work
from core.save.stage import untouched

COUNTED: LiteralString = """
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), greatest(c.reltuples, 0)::bigint
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'rollback_bot')
       AND n.nspname !~ '^pg_(toast|temp)' ORDER BY c.relpages, 1"""


def losses(conn: postgres.Connection, work: Work) -> list[Json]:
    """Rows written since the backup, by table: {"table", "new", "gone", "about"}; tables that are the same are left out.

    `new`: rows that were inserted or changed since, by their row versions; `gone`: rows of the backup that were changed or
    deleted since; `saved`: those that the rollback has saved, and only they. Counted within the target's budget, small tables first; after it `about` is true and None means not counted.
    """
    evidence = work.undoes.evidence
    backup, history = evidence["backup"], evidence["identify"]["history_table"]
    own = [  # what the rollback, and its re-apply, wrote is no loss
        number
        for run in (work.undoes, work.between)
        if run and "saved" in run.evidence.get("execute", {})
        for number in run.evidence["execute"]["saved"]["since"][1:]
    ]
    manifest = unharmed(dump.archive_of(work, work.undoes.id), backup)
    deadline = time.monotonic() + work.target.count_budget.total_seconds()
    tables = postgres.execute(conn, COUNTED)
    found = only_saved(evidence, manifest, {table for table, _ in tables})
    for table, guess in tables:
        if table == history:
            continue
        then = int(manifest["tables"][table][0]) if table in manifest["tables"] else 0
        counted = count(conn, table, (manifest["snapshot"], *own), deadline)
        if counted is None:
            found.append({"table": table, "new": None, "gone": None, "about": True, "rows": guess})
            continue
        rows, new = counted
        gone = then - (rows - new)
        if new or gone:
            found.append({"table": table, "new": new, "gone": gone, "about": False, "rows": rows})
    return sorted(found, key=lambda one: -(one["new"] or 0))


def only_saved(evidence: Mapping[str, Json], manifest: Json, there: Container[str]) -> list[Json]:
    """Tables that the rollback has dropped, and that had more rows then than in the backup: those stay in its save alone."""
    found = []
    for part in evidence.get("execute", {}).get("saved", {}).get("parts", ()):
        more = part["rows"] - int(manifest["tables"].get(part["table"], ["0"])[0])
        if part["kind"] == "rows" and part["table"] not in there and more > 0:
            found.append(
                {"table": part["table"], "new": more, "gone": 0, "about": False, "rows": part["rows"], "saved": True}
            )
    return found


def count(conn: postgres.Connection, table: str, since: tuple[str, ...], deadline: float) -> tuple[int, int] | None:
    """Rows now, and those written since a snapshot (the first of `since`) by other transactions than the rest of it; None where the budget is used up or the table is locked."""
    left = int((deadline - time.monotonic()) * 1000)
    if left <= 0:
        return None
    query = sql.SQL("SELECT count(*), count(*) FILTER (WHERE NOT {}) FROM ONLY {} t").format(
        untouched(*since), sql.Identifier(*schema.names(table))
    )
    try:
        with conn.transaction():
            conn.execute(f"SET LOCAL statement_timeout = {left}".encode())
            row = conn.execute(query).fetchone()
            return (int(row[0]), int(row[1])) if row else None
    except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
        return None
