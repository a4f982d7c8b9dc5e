"""How much goes: rows of dropped tables, values of dropped columns, counted on the target within a time budget."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from core import postgres, schema, trial
from core.model import Json
from core.runbook import Work

COUNTED = ("table", "column")
LISTED = ("foreign table", "view", "materialized view", "function", "procedure", "type", "sequence", "schema")
"""Kinds of objects besides tables and columns that the approver is told of by name."""


def losses(conn: postgres.Connection, work: Work, done: trial.Done) -> list[Json]:
    """What is missing after the scripts, tables first, with rows counted; `about` marks an estimate."""
    deadline = time.monotonic() + work.target.count_budget.total_seconds()
    found: list[Json] = []
    for kind, item in lost([trial.told(change) for change in done.changes]):
        found.append({"kind": kind, "name": schema.plain(item)})
        if kind in COUNTED:
            rows, about = count(conn, kind, item, deadline)
            found[-1] |= {"rows": rows, "about": about}
    for table in done.seen.emptied:
        rows, about = count(conn, "table", table, deadline)
        found.append({"kind": "rows", "name": schema.plain(table), "rows": rows, "about": about})
    return found


def lost(changes: Sequence[Json]) -> list[tuple[str, str]]:
    """Kind and identity of what is told as a loss, in its order: tables, columns of others, the rest."""
    dropped = [change for change in changes if change["change"] == "missing"]
    tables = {change["table"] for change in dropped if change["kind"] in schema.TABLES}
    return [
        (change["kind"], change["object"])
        for change in sorted(dropped, key=lambda c: (c["kind"] != "table", c["kind"] != "column", c["object"]))
        if change["kind"] == "table" or (change["kind"] in ("column", *LISTED) and change["table"] not in tables)
    ]


def moved(conn: postgres.Connection, work: Work) -> list[str]:
    """What would lose far more or fewer rows than the approver was shown, one sentence each.

    Counted again within the same budget; compared only where both counts are exact.
    """
    deadline = time.monotonic() + work.target.count_budget.total_seconds()
    rehearsed, changed = work.run.evidence["rehearse"], []
    for (kind, item), shown in zip(lost(rehearsed["changes"]), rehearsed["losses"], strict=False):
        if kind not in COUNTED or shown["about"]:
            continue
        before, (rows, about) = shown["rows"], count(conn, kind, item, deadline)
        if not about and abs(rows - before) * 100 > work.target.drift_rows_percent * before:
            what = "rows" if kind == "table" else "values"
            changed.append(f"{what} in `{shown['name']}`: {before:,} → {rows:,}")
    return changed


def count(conn: postgres.Connection, kind: str, item: str, deadline: float) -> tuple[int, bool]:
    """Rows of a table, non-null values of a column; exact while the budget lasts, else PostgreSQL's estimate."""
    names = schema.names(item)
    table = sql.Identifier(*names[:2])
    what = sql.SQL("*") if kind == "table" else sql.Identifier(names[2])
    left = int((deadline - time.monotonic()) * 1000)
    if left > 0:
        try:
            with conn.transaction():
                conn.execute(f"SET LOCAL statement_timeout = {left}".encode())
                row: Any = conn.execute(sql.SQL("SELECT count({}) FROM {}").format(what, table)).fetchone()
                return int(row[0]), False
        except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
            pass  # the budget is used up, or the table is locked: the estimate below says "about"
    query = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = %s::regclass"
    row = conn.execute(query, [table.as_string(conn)]).fetchone()
    return int(row[0]), True
