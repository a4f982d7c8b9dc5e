"""The history table: which one it is, and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from core.errors import Refused
from core.layouts import Applied, Connection, History

HINT = "Nothing was started."
Needs = Mapping[str, Sequence[str]]
"""Columns that a table must have, each with the types that it may have."""
NUMBERS = ("bigint", "integer", "smallint", "numeric")
TEXTS = ("text", "character varying", "character")
WORDS = {
    "text": "text",
    "bigint": "whole number",
    "boolean": "boolean",
    "timestamp with time zone": "timestamp",
    "bytea": "bytea",
}
"""One word for each kind of types."""
CLOCKS = ("timestamp with time zone", "timestamp without time zone")
TIMES = ("applied_at", "run_on", "executed_at", "installed_on", "migrated_at", "created_at", "inserted_at", "tstamp")
"""Columns that tools use for the time of a migration; the first that is there counts."""
OURS = {
    "goose_db_version": "goose",
    "_sqlx_migrations": "sqlx",
    "__diesel_schema_migrations": "diesel",
    "schema_migrations": "",
}
"""The usual names of history tables, and whose they are where the name alone tells."""
OTHERS = {
    "flyway_schema_history": "Flyway",
    "databasechangelog": "Liquibase",
    "alembic_version": "Alembic",
    "pgmigrations": "node-pg-migrate",
    "_yoyo_migration": "yoyo",
    "_prisma_migrations": "Prisma",
    "atlas_schema_revisions": "Atlas",
}
"""Tools that there is no layout for."""

# pg_attribute, because information_schema shows nothing to a role without rights on the table.
COLUMNS: LiteralString = """
    SELECT n.nspname, c.relname, format('%%I.%%I', n.nspname, c.relname), c.relkind::text, a.attname, format_type(a.atttypid, NULL)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relname = ANY(%s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
       AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'
     ORDER BY n.nspname, c.relname, a.attnum"""


class Missing(Refused):
    """E-HISTORY: there is no table of that name."""


@dataclass(frozen=True)
class Table:
    """A table or view. `quoted`: its qualified name, as the catalogs write it; `columns`: name -> type, in their order."""

    schema: str
    name: str
    quoted: str
    kind: str
    columns: Mapping[str, str]

    @property
    def plain(self) -> str:
        return f"{self.schema}.{self.name}"

    def has(self, needs: Needs) -> bool:
        """Does it have all these columns, each of one of its types?"""
        return all(self.columns.get(column) in types for column, types in needs.items())

    def whose(self) -> str:
        """The layout that only this shape can belong to, another tool's name, or an empty text."""
        if self.has({"version": NUMBERS, "dirty": ("boolean",)}):
            return "golang-migrate"
        if self.has({"version_id": NUMBERS, "is_applied": ("boolean",)}):
            return "goose"
        if self.has({"version": NUMBERS, "success": ("boolean",), "checksum": ("bytea",)}):
            return "sqlx"
        return OURS.get(self.name, "") or OTHERS.get(self.name, "")

    def shape(self) -> str:
        """The first columns, for people."""
        return ", ".join(f"{column} {kind}" for column, kind in list(self.columns.items())[:8])


def only(conn: Connection, layout: str, named: tuple[str, ...], needs: Needs) -> Table:
    """The one history table of a layout. `named`: its name, or its schema and its name.

    Raises Refused (E-HISTORY): none, several, another tool's, unknown shape.
    """
    name = ".".join(named)
    tables = _named(conn, [named[-1], *OURS, *OTHERS])
    found = [table for table in tables if (table.schema, table.name)[-len(named) :] == named]
    fit = [table for table in found if table.has(needs) and table.whose() in ("", layout)]
    if len(fit) > 1:
        listed = ", ".join(f"`{table.plain}`" for table in fit)
        raise Refused(
            "E-HISTORY", f"There are {len(fit)} history tables: {listed}.", f"Say which: `history_table`. {HINT}"
        )
    if not fit:
        raise _unfit(layout, name, needs, found) if found else _missing(layout, name, tables)
    if fit[0].kind not in ("r", "p"):
        raise Refused("E-HISTORY", f"`{fit[0].plain}` is no table but a view or a foreign table.", HINT)
    return fit[0]


def _named(conn: Connection, names: Sequence[str]) -> list[Table]:
    found: dict[tuple[str, str, str, str], dict[str, str]] = {}
    for schema, name, quoted, kind, column, type_ in conn.execute(COLUMNS, [list(names)]).fetchall():
        found.setdefault((schema, name, quoted, kind), {})[column] = type_
    return [Table(*key, columns) for key, columns in found.items()]


def _missing(layout: str, name: str, others: Sequence[Table]) -> Missing:
    """There is no table of that name; there may be another tool's."""
    message = f"There is no table `{name}` in this database."
    told = next((table for table in others if table.whose()), None)
    if told is None:
        return Missing(
            "E-HISTORY", message, f"Is it the right database? The layout `{layout}` needs that table. {HINT}"
        )
    return Missing("E-HISTORY", f"{message} There is `{told.plain}`, which is {told.whose()}'s.", _set(layout, told))


def _unfit(layout: str, name: str, needs: Needs, found: Sequence[Table]) -> Refused:
    """There is such a table, but it is not this layout's."""
    told = next((table for table in found if table.whose() not in ("", layout)), None)
    if told:
        message = f"`{told.plain}` is {told.whose()}'s ({told.shape()}), and the layout is `{layout}`."
        return Refused("E-HISTORY", message, _set(layout, told))
    kinds = {c: " or ".join(WORDS[one] for one in types if one in WORDS) for c, types in needs.items()}
    wanted = ", ".join(f"`{column}` ({kind})" for column, kind in kinds.items())
    return Refused(
        "E-HISTORY",
        f"`{name}` has an unknown shape ({found[0].shape()}).",
        f"The layout `{layout}` needs {wanted}. {HINT}",
    )


def _set(layout: str, told: Table) -> str:
    """What to do about a table that is another tool's."""
    if told.whose() in OTHERS.values():
        return f"I have no layout for {told.whose()}; the layout is `{layout}`. {HINT}"
    return f'Is it the right database? If so, set `layout = "{told.whose()}"`. {HINT}'


def history(table: Table, applied: Sequence[Applied]) -> History:
    """What the port hands out."""
    return History(table.quoted, table.schema, table.name, tuple(applied))


def rows(conn: Connection, table: Table, columns: Sequence[sql.Composable], order: str = "") -> list[tuple[Any, ...]]:
    """The rows, with the columns asked for. Raises Refused (E-RIGHTS, E-HISTORY)."""
    query = sql.SQL("SELECT {} FROM {} AS h").format(
        sql.SQL(", ").join(columns), sql.Identifier(table.schema, table.name)
    )
    if order:
        query += sql.SQL(" ORDER BY {}").format(sql.Identifier("h", order))  # not the text of the version
    try:
        found: list[tuple[Any, ...]] = conn.execute(query).fetchall()
    except psycopg.errors.InsufficientPrivilege:
        raise Refused("E-RIGHTS", f"My role may not read `{table.plain}`.", f"Grant it SELECT. {HINT}") from None
    except psycopg.Error as error:
        raise Refused("E-HISTORY", f"`{table.plain}` could not be read: SQLSTATE {error.sqlstate}.", HINT) from None
    if any(row[0] is None or not str(row[0]).strip() for row in found):
        raise Refused("E-HISTORY", f"`{table.plain}` has a row without a version.", f"Mend it first. {HINT}")
    return found


def text(column: str) -> sql.Composable:
    """A version as it is stored. Trailing blanks of `character(n)` go; the same comparison holds in `rows.take`."""
    return sql.SQL("{}::text").format(sql.Identifier(column))


def clock(table: Table) -> sql.Composable:
    """The time of a row, where a column keeps it; Python has no infinite times."""
    name = next((column for column in TIMES if table.columns.get(column) in CLOCKS), None)
    if name is None:
        return sql.SQL("NULL::timestamptz")
    return sql.SQL("CASE WHEN isfinite({0}) THEN {0} END").format(sql.Identifier(name))


def applied(version: str, at: Any) -> Applied:
    """A row, its time with a zone: UTC where the table keeps none."""
    return Applied(version, at.replace(tzinfo=at.tzinfo or UTC) if isinstance(at, datetime) else None)
