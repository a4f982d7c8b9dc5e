"""How a value is written as text and read back: by the output and input functions of its type, as COPY does.

A cast to text is something else for some types: `true` where COPY writes `t`, and no trailing blanks of `character(n)`.
A type that people made may even have a cast that says something else altogether.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from core import postgres

TYPES: LiteralString = """
    SELECT a.attname::text, a.attnum::int, format_type(a.atttypid, a.atttypmod), a.attgenerated <> '', a.attidentity = 'a',
           t.typnamespace = 'pg_catalog'::regnamespace,
           t.typtype = 'd' OR EXISTS (SELECT FROM pg_catalog.pg_cast c WHERE c.castsource = t.oid AND c.casttarget = 'text'::regtype
                                         AND c.castmethod = 'f')
      FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
     WHERE a.attrelid = %s::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""


@dataclass(frozen=True)
class Own:
    """A column as it is now. `type` as SQL writes it; `generated`: PostgreSQL computes it; `identity`: GENERATED ALWAYS.

    `builtin`: its type is PostgreSQL's own; `odd`: a cast to text is not what COPY writes.
    """

    name: str
    number: int
    type: str
    generated: bool
    identity: bool
    builtin: bool
    odd: bool

    def text(self, alias: str = "t") -> sql.Composed:
        """`t.c` as COPY would write it; NULL stays NULL."""
        own = sql.SQL("{}.{}").format(sql.SQL(alias), sql.Identifier(self.name))
        if not self.odd:
            return sql.SQL("{}::text").format(own)
        # a row type of NULLs IS NULL, and yet is none
        return sql.SQL("CASE WHEN {0} IS DISTINCT FROM NULL THEN format('%s', {0}) END").format(own)

    def value(self, text: sql.Composable) -> sql.Composed:
        """A text as this type. From varchar, since a cast from text could be anybody's function."""
        return sql.SQL("{}::{}" if self.builtin else "{}::varchar::{}").format(text, sql.SQL(self.type))

    def equals(self, text: sql.Composable, type: str, alias: str = "t") -> sql.Composed:
        """`t.c` is what a text says that was written as that type: so that an index serves it, where that is possible."""
        if self.builtin and self.type == type:
            return sql.SQL("{}.{} = {}").format(sql.SQL(alias), sql.Identifier(self.name), self.value(text))
        return sql.SQL("{} = {}").format(self.text(alias), text)


def columns(conn: postgres.Connection, oid: int) -> dict[str, Own]:
    """The columns of a table as they are now, by name; empty where there is no such table."""
    return {row[0]: Own(*row) for row in postgres.execute(conn, TYPES, oid)}


def oid_of(conn: postgres.Connection, table: str) -> int | None:
    """The number of the table with that name (qualified, quoted), if there is one that rows can be put into."""
    query: LiteralString = (
        "SELECT oid::bigint FROM pg_catalog.pg_class WHERE oid = to_regclass(%s) AND relkind IN ('r', 'p')"
    )
    found = postgres.execute(conn, query, table)
    return int(found[0][0]) if found else None


def name_of(conn: postgres.Connection, oid: int) -> str | None:
    """The name of a table now, qualified and quoted, if it is still there."""
    query: LiteralString = """SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %s"""
    found = postgres.execute(conn, query, oid)
    return str(found[0][0]) if found else None


def whole(texts: Iterable[sql.Composable]) -> sql.Composed:
    """Several texts as one, unambiguously: hashable, and equal where all are, NULLs too."""
    return sql.SQL("ROW({})::text").format(sql.SQL(", ").join(texts))


def numbered(side: str, count: int) -> list[sql.Identifier]:
    """`o1`, `o2`, …: columns of our own temporary tables, whose names cannot clash with anybody's."""
    return [sql.Identifier(f"{side}{n}") for n in range(1, count + 1)]


def listed(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)


def identifiers(names: Sequence[str]) -> sql.Composed:
    return listed(map(sql.Identifier, names))
