"""How much goes: rows of dropped tables, values of dropped columns, counted on the target within a time budget."""

from __future__ import annotations

import time
from typing import Any

import psycopg
from psycopg import sql

from core import postgres, schema, trial
from core.model import Json
from core.runbook import Work

LISTED = ("foreign table", "view", "materialized view", "function", "procedure", "type", "sequence", "schema")
"""Kinds of objects besides tables and columns that the approver is told of by name."""


def losses(work: Work, done: trial.Done) -> list[Json]:
    """What is missing after the scripts, tables first, with rows counted; `about` marks an estimate."""
    dropped = [change for change in done.changes if change.change == "missing"]
    tables = {change.table for change in dropped if change.kind in schema.TABLES}
    deadline = time.monotonic() + work.target.count_budget.total_seconds()
    found: list[Json] = []
    url = work.target.database_url.get_secret_value()
    with postgres.target(url, work.run.id, work.target.name) as conn:
        for change in sorted(dropped, key=lambda c: (c.kind != "table", c.kind != "column", c.object)):
            if change.kind == "table" or (change.kind == "column" and change.table not in tables):
                rows, about = count(conn, change, deadline)
                name = schema.plain(change.object)
                found.append({"kind": change.kind, "name": name, "rows": rows, "about": about})
            elif change.kind in LISTED and change.table not in tables:
                found.append({"kind": change.kind, "name": schema.plain(change.object)})
    return found


def count(conn: postgres.Connection, change: schema.Change, deadline: float) -> tuple[int, bool]:
    """Rows of a table, non-null values of a column; exact while the budget lasts, else PostgreSQL's estimate."""
    names = schema.names(change.object)
    table = sql.Identifier(*names[:2])
    what = sql.SQL("*") if change.kind == "table" else sql.Identifier(names[2])
    left = int((deadline - time.monotonic()) * 1000)
    if left > 0:
        try:
            with conn.transaction():
                conn.execute(f"SET LOCAL statement_timeout = {left}".encode())
                row: Any = conn.execute(sql.SQL("SELECT count({}) FROM {}").format(what, table)).fetchone()
                return int(row[0]), False
        except psycopg.errors.QueryCanceled:
            pass  # the budget is used up: the estimate below says "about"
    query = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = %s::regclass"
    row = conn.execute(query, [table.as_string(conn)]).fetchone()
    return int(row[0]), True
