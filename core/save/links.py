"""Foreign keys between saved rows and others, and what must not act while saved rows go back: triggers, rules.

The application's own triggers must not fire: what they once did is among the saved rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from core import postgres, schema

FOREIGN: LiteralString = """
    SELECT c.oid::bigint, c.conname::text, quote_ident(n.nspname) || '.' || quote_ident(r.relname),
           quote_ident(pn.nspname) || '.' || quote_ident(p.relname),
           (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(c.conkey) WITH ORDINALITY AS k (number, place)
              JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number),
           (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(c.confkey) WITH ORDINALITY AS k (number, place)
              JOIN pg_catalog.pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number),
           (SELECT array_agg(format('OPERATOR(%I.%s)', o.oprnamespace::regnamespace::text, o.oprname) ORDER BY k.place)
              FROM unnest(c.conpfeqop) WITH ORDINALITY AS k (operator, place) JOIN pg_catalog.pg_operator o ON o.oid = k.operator),
           c.confmatchtype = 'f', p.relkind = 'p', c.condeferrable, coalesce((to_jsonb(c) ->> 'conperiod')::boolean, false)
      FROM pg_catalog.pg_constraint c
      JOIN pg_catalog.pg_class r ON r.oid = c.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
      JOIN pg_catalog.pg_class p ON p.oid = c.confrelid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
     WHERE c.contype = 'f' AND c.conparentid = 0 AND coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true) ORDER BY c.oid"""
DEFERRABLE: LiteralString = """
    SELECT DISTINCT n.nspname::text, c.conname::text FROM pg_catalog.pg_constraint c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace WHERE c.condeferrable AND n.nspname !~ '^pg_temp'"""
ACTING: LiteralString = """
    WITH RECURSIVE tree AS (
      SELECT to_regclass(%(table)s)::oid AS oid, 0 AS depth
       UNION ALL
      SELECT i.inhrelid, t.depth + 1 FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid
        JOIN pg_catalog.pg_class p ON p.oid = i.inhrelid AND p.relispartition
    )
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), 'TRIGGER', g.tgname::text, g.tgenabled::text, tree.depth
      FROM tree JOIN pg_catalog.pg_trigger g ON g.tgrelid = tree.oid AND NOT g.tgisinternal
       AND (g.tgenabled <> 'D' OR tree.depth > 0)
      JOIN pg_catalog.pg_class c ON c.oid = tree.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     UNION ALL
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), 'RULE', w.rulename::text, w.ev_enabled::text, 0
      FROM tree JOIN pg_catalog.pg_rewrite w ON w.ev_class = tree.oid AND w.ev_type <> '1' AND w.ev_enabled <> 'D'
      JOIN pg_catalog.pg_class c ON c.oid = tree.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE tree.depth = 0 ORDER BY 5"""
ENABLE = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA", "D": "DISABLE"}


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key: `columns` of `table` refer to `targets` of `parent`, compared by `operators`.

    `full`: MATCH FULL. `whole`: the parent is partitioned. `period`: the last column must lie within the parents' times.
    """

    oid: int
    name: str
    table: str
    parent: str
    columns: tuple[str, ...]
    targets: tuple[str, ...]
    operators: tuple[str, ...]
    full: bool
    whole: bool
    deferrable: bool
    period: bool

    @property
    def source(self) -> sql.Composable:
        """The rows that it may refer to."""
        return _table(self.parent) if self.whole else sql.SQL("ONLY {}").format(_table(self.parent))

    def given(self, values: Sequence[sql.Composable]) -> sql.Composed:
        """Does the row with these values, one for each of `columns`, refer to anything?"""
        each = [sql.SQL("{} IS NOT NULL").format(one) for one in values]
        return sql.SQL("({})").format(sql.SQL(" OR " if self.full else " AND ").join(each))

    def found(self, values: Sequence[sql.Composable]) -> sql.Composed:
        """Is the row there that it refers to?"""
        each = [
            sql.SQL("p.{} {} {}").format(sql.Identifier(target), sql.SQL(operator), one)
            for target, operator, one in zip(self.targets, self.operators, values, strict=True)
        ]
        if not self.period:
            return sql.SQL("EXISTS (SELECT FROM {} p WHERE {})").format(self.source, sql.SQL(" AND ").join(each))
        last, where = sql.Identifier(self.targets[-1]), sql.SQL(" AND ").join(each[:-1] or [sql.SQL("true").format()])
        query = "coalesce({} OPERATOR(pg_catalog.<@) (SELECT pg_catalog.range_agg(p.{}) FROM {} p WHERE {}), false)"
        return sql.SQL(query).format(values[-1], last, self.source, where)


def foreign_keys(conn: postgres.Connection) -> list[ForeignKey]:
    """All of the database that are enforced; those of partitions stand with their partitioned table."""
    return [
        ForeignKey(oid, name, table, parent, tuple(columns), tuple(targets), tuple(operators), *more)
        for oid, name, table, parent, columns, targets, operators, *more in postgres.execute(conn, FOREIGN)
    ]


def ranked(families: Mapping[str, str], keys: Sequence[ForeignKey]) -> dict[str, float]:
    """An order in which tables come first that others refer to, as far as there is one; by each name of `families`.

    `families`: a table, and the partitioned table that it is a part of; and that one itself.
    """
    parents: dict[str, set[str]] = {name: set() for name in families.values()}
    for key in keys:
        child, parent = families.get(key.table), families.get(key.parent)
        if child and parent and child != parent:
            parents[child].add(parent)
    ranks: dict[str, float] = {}
    while waiting := sorted(parents.keys() - ranks.keys()):
        free = [name for name in waiting if parents[name] <= ranks.keys()]
        ranks[(free or waiting)[0]] = len(ranks)  # where none is free they refer to each other in a circle
    return {name: ranks[one] for name, one in families.items()}


def settle(conn: postgres.Connection) -> None:
    """Check now what would be checked at COMMIT, and from now on at once: a table with pending checks cannot be altered.

    Raises psycopg.Error where a constraint does not hold.
    """
    found = postgres.execute(conn, DEFERRABLE)
    if found:  # by name: ALL would break the seal of the transaction
        names = sql.SQL(", ").join(sql.Identifier(*name) for name in found)
        conn.execute(sql.SQL("SET CONSTRAINTS {} IMMEDIATE").format(names))


def unreferenced(keys: Sequence[ForeignKey], tables: Collection[str]) -> sql.Composed:
    """No row refers to the live row `t` of a table that foreign keys know by one of these names."""
    conditions: list[sql.Composable] = [sql.SQL("true")]
    for key in keys:
        if key.parent in tables:
            match = [
                sql.SQL("t.{} {} c.{}").format(sql.Identifier(target), sql.SQL(operator), sql.Identifier(column))
                for target, operator, column in zip(key.targets, key.operators, key.columns, strict=True)
            ]
            query = sql.SQL("NOT EXISTS (SELECT FROM {} c WHERE {})")
            conditions.append(
                query.format(_table(key.table), sql.SQL(" AND ").join(match[: -1 if key.period else None]))
            )
    return sql.SQL(" AND ").join(conditions)


@contextmanager
def deferred(conn: postgres.Connection, keys: Sequence[ForeignKey]) -> Iterator[None]:
    """These foreign keys are checked at the end, so that tables that refer to each other can be filled."""
    alter = "ALTER TABLE {} ALTER CONSTRAINT {} "
    for key in keys:
        if key.deferrable:
            name = sql.Identifier(schema.names(key.table)[0], key.name)
            conn.execute(sql.SQL("SET CONSTRAINTS {} DEFERRED").format(name))
        else:
            later = sql.SQL(alter + "DEFERRABLE INITIALLY DEFERRED")
            conn.execute(later.format(_table(key.table), sql.Identifier(key.name)))
    yield
    settle(conn)
    for key in keys:
        if not key.deferrable:
            again = sql.SQL(alter + "NOT DEFERRABLE")
            conn.execute(again.format(_table(key.table), sql.Identifier(key.name)))


@contextmanager
def at_rest(conn: postgres.Connection, tables: Collection[str]) -> Iterator[None]:
    """The users' triggers and rules of these tables are off inside; afterwards each acts again as it did."""
    states = list(dict.fromkeys(row for table in sorted(tables) for row in _acting(conn, table)))
    for table, kind, name, _ in states:
        conn.execute(sql.SQL("ALTER TABLE {} DISABLE {} {}").format(_table(table), sql.SQL(kind), sql.Identifier(name)))
    yield
    for table, kind, name, state in states:  # a partitioned table before its partitions, which have states of their own
        way = sql.SQL(f"{ENABLE[state]} {kind}")
        conn.execute(sql.SQL("ALTER TABLE {} {} {}").format(_table(table), way, sql.Identifier(name)))


def _acting(conn: postgres.Connection, table: str) -> list[tuple[str, str, str, str]]:
    return [(a, b, c, d) for a, b, c, d, _ in conn.execute(ACTING, {"table": table}).fetchall()]


def _table(name: str) -> sql.Identifier:
    return sql.Identifier(*schema.names(name))
