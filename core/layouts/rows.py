"""One migration out of a history table and in again: its rows, whole, whatever columns they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from core.errors import StepFailed
from core.layouts import Connection, History
from core.model import Json

UNDONE = "The transaction was undone; production was not changed."
WRITABLE: LiteralString = """
    SELECT attname, atttypid = 'numeric'::regtype, attgenerated <> '' FROM pg_attribute
     WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""


def take(conn: Connection, history: History, column: str, version: str) -> list[Json]:
    """Delete the rows of one version, in the caller's transaction; whole rows, numbers of type numeric as text.

    Raises StepFailed (E-EXECUTE) where PostgreSQL refuses.
    """
    query = sql.SQL("DELETE FROM {} AS h WHERE {} = %s RETURNING {}")
    try:
        names = _columns(conn, history)
        done = conn.execute(query.format(_table(history), _version(column), _row(names)), [version]).fetchall()
    except psycopg.Error as error:
        message = f"The row of `{version[:60]}` could not be removed from `{history.name}`: SQLSTATE {error.sqlstate}."
        raise StepFailed("E-EXECUTE", message, UNDONE) from None
    return [row[0] for row in done]


def everything(conn: Connection, history: History) -> list[Json]:
    """All rows, whole, locked until the transaction ends. Raises StepFailed (E-EXECUTE) where PostgreSQL refuses."""
    try:
        query = sql.SQL("SELECT {} FROM {} AS h FOR UPDATE").format(_row(_columns(conn, history)), _table(history))
        return [row[0] for row in conn.execute(query).fetchall()]
    except psycopg.Error as error:
        message = f"`{history.name}` could not be read: SQLSTATE {error.sqlstate}."
        raise StepFailed("E-EXECUTE", message, UNDONE) from None


def put(conn: Connection, history: History, column: str, version: str, wanted: Sequence[Json]) -> None:
    """Write rows that `take` has returned, whatever the table says of that version now, in the caller's transaction.

    Columns that a row does not have keep what stands there already, or get their default.
    Raises StepFailed (E-EXECUTE) unless afterwards the version has exactly these rows, with these values.
    """
    there = take(conn, history, column, version)
    kept = there[-1] if there else {}
    try:
        names = _columns(conn, history)
        for row in wanted:
            _insert(conn, history, {**kept, **row}, names)
        equal = sql.SQL("to_jsonb(h) = to_jsonb(jsonb_populate_record(h, %s))")
        query = sql.SQL("SELECT {} FROM {} AS h WHERE {} = %s").format(equal, _table(history), _version(column))
        found = [[same for (same,) in conn.execute(query, [Jsonb(row), version]).fetchall()] for row in wanted]
    except psycopg.Error as error:
        message = f"The row of `{version[:60]}` could not be put back into `{history.name}`: SQLSTATE {error.sqlstate}."
        raise StepFailed("E-EXECUTE", message, UNDONE) from None
    gone = sorted({name for row in wanted for name in row} - names.keys())
    if gone or any(len(same) != len(wanted) or sum(same) != 1 for same in found):
        why = f"it has no column `{gone[0][:60]}` any more" if gone else "something in the database changed it"
        message = f"The row of `{version[:60]}` in `{history.name}` would not be the one that was taken out: {why}."
        raise StepFailed("E-EXECUTE", message, UNDONE)


def exactly_one(found: Sequence[Json], history: History, version: str) -> Json:
    """The row. Raises StepFailed (E-EXECUTE)."""
    if len(found) != 1:
        message = f"{len(found)} rows of `{history.name}` have the version `{version[:60]}`; it must be exactly one."
        raise StepFailed("E-EXECUTE", message, UNDONE)
    return found[0]


def _insert(conn: Connection, history: History, row: Json, names: Mapping[str, tuple[bool, bool]]) -> None:
    """A row with its own numbers of identity columns; PostgreSQL computes generated columns itself."""
    columns = [name for name, (_, generated) in names.items() if name in row and not generated]
    query = sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM jsonb_populate_record(NULL::{}, %s) r")
    into = sql.SQL(", ").join(map(sql.Identifier, columns))
    each = sql.SQL(", ").join(sql.Identifier("r", name) for name in columns)
    conn.execute(query.format(_table(history), into, each, _table(history)), [Jsonb(row)])


def _columns(conn: Connection, history: History) -> dict[str, tuple[bool, bool]]:
    """Name of each column as it is now: is it of type numeric, is it generated?"""
    found = conn.execute(WRITABLE, [_table(history).as_string(conn)]).fetchall()
    return {name: (numeric, generated) for name, numeric, generated in found}


def _row(names: Mapping[str, tuple[bool, bool]]) -> sql.Composable:
    """A whole row as JSON. Numeric as text: Python would read 1.50 as a float."""
    exact = [
        sql.SQL("{}, {}::text").format(name, sql.Identifier("h", name))
        for name, (numeric, _) in names.items()
        if numeric
    ]
    return sql.SQL("to_jsonb(h) || jsonb_build_object({})").format(sql.SQL(", ").join(exact))


def _table(history: History) -> sql.Identifier:
    return sql.Identifier(history.schema, history.name)


def _version(column: str) -> sql.Composable:
    return sql.SQL("{}::text").format(sql.Identifier("h", column))
