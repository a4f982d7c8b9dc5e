"""Foreign keys and triggers that are out of the way while saved rows go back, and are put in place again afterwards.

Row by row a foreign key would cost more than the row itself, and the first missing parent would end it all. So the keys
that the forward scripts have just made are taken away, rows without their parent are found by one query each, and the
keys come back as they were. The application's own triggers must not fire: what they once did is among the saved rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from core import postgres, schema

FOREIGN: LiteralString = """
    SELECT c.oid::bigint, c.conname::text, quote_ident(n.nspname) || '.' || quote_ident(r.relname),
           quote_ident(pn.nspname) || '.' || quote_ident(p.relname), pg_get_constraintdef(c.oid),
           (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(c.conkey) WITH ORDINALITY AS k (number, place)
              JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number),
           (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(c.confkey) WITH ORDINALITY AS k (number, place)
              JOIN pg_catalog.pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number),
           (SELECT array_agg(format('OPERATOR(%I.%s)', o.oprnamespace::regnamespace::text, o.oprname) ORDER BY k.place)
              FROM unnest(c.conpfeqop) WITH ORDINALITY AS k (operator, place) JOIN pg_catalog.pg_operator o ON o.oid = k.operator),
           c.confmatchtype = 'f', p.relkind = 'p', obj_description(c.oid, 'pg_constraint')
      FROM pg_catalog.pg_constraint c
      JOIN pg_catalog.pg_class r ON r.oid = c.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
      JOIN pg_catalog.pg_class p ON p.oid = c.confrelid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
     WHERE c.contype = 'f' AND c.conparentid = 0 ORDER BY c.oid"""
TRIGGERS: LiteralString = """
    SELECT t.tgname::text, t.tgenabled::text FROM pg_catalog.pg_trigger t
     WHERE t.tgrelid = to_regclass(%s) AND NOT t.tgisinternal AND t.tgenabled <> 'D'"""
ENABLE = {"O": "ENABLE TRIGGER {}", "A": "ENABLE ALWAYS TRIGGER {}", "R": "ENABLE REPLICA TRIGGER {}"}


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key: `columns` of `table` refer to `targets` of `parent`, compared by `operators`.

    `full`: MATCH FULL. `whole`: the parent is partitioned.
    """

    oid: int
    name: str
    table: str
    parent: str
    definition: str
    columns: tuple[str, ...]
    targets: tuple[str, ...]
    operators: tuple[str, ...]
    full: bool
    whole: bool
    comment: str | None

    def orphan(self, values: Sequence[sql.Composable]) -> sql.Composed:
        """The row with these values, one for each of `columns`, refers to a parent that is not there."""
        given = sql.SQL(" OR " if self.full else " AND ").join(sql.SQL("{} IS NOT NULL").format(one) for one in values)
        match = sql.SQL(" AND ").join(
            sql.SQL("p.{} {} {}").format(sql.Identifier(target), sql.SQL(operator), one)
            for target, operator, one in zip(self.targets, self.operators, values, strict=True)
        )
        parent: sql.Composable = sql.Identifier(*schema.names(self.parent))
        parent = parent if self.whole else sql.SQL("ONLY {}").format(parent)
        return sql.SQL("(({}) AND NOT EXISTS (SELECT FROM {} p WHERE {}))").format(given, parent, match)


def foreign_keys(conn: postgres.Connection) -> dict[int, ForeignKey]:
    """All of the database, by oid; those of partitions stand with their partitioned table."""
    found = {}
    for oid, name, table, parent, text, columns, targets, operators, *more in postgres.execute(conn, FOREIGN):
        full, whole, comment = more
        key = ForeignKey(
            oid, name, table, parent, text, tuple(columns), tuple(targets), tuple(operators), full, whole, comment
        )
        found[oid] = key
    return found


@contextmanager
def without_keys(conn: postgres.Connection, before: Collection[int]) -> Iterator[list[ForeignKey]]:
    """Foreign keys that are not among `before` are away inside; coming back they are checked by PostgreSQL."""
    new = [key for oid, key in foreign_keys(conn).items() if oid not in before]
    for key in new:
        conn.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(_table(key.table), sql.Identifier(key.name)))
    yield new
    for key in new:
        table, name = _table(key.table), sql.Identifier(key.name)
        definition = sql.SQL(key.definition)  # PostgreSQL's own words
        conn.execute(sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(table, name, definition))
        if key.comment is not None:
            conn.execute(sql.SQL("COMMENT ON CONSTRAINT {} ON {} IS {}").format(name, table, key.comment))


@contextmanager
def without_triggers(conn: postgres.Connection, tables: Collection[str]) -> Iterator[None]:
    """The users' triggers of these tables are off inside; afterwards each fires again as it did."""
    states = {}
    for table in sorted(tables):
        states[table] = postgres.execute(conn, TRIGGERS, _table(table).as_string(conn))
        if states[table]:
            conn.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(_table(table)))
    yield
    for table, rows in states.items():
        for name, state in rows:
            way = sql.SQL(ENABLE[state]).format(sql.Identifier(name))
            conn.execute(sql.SQL("ALTER TABLE {} {}").format(_table(table), way))


def _table(name: str) -> sql.Identifier:
    return sql.Identifier(*schema.names(name))
