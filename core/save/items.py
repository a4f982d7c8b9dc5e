"""What must be saved: the rows and values that the scripts destroy, and the columns by which they are found again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, LiteralString

from psycopg import sql

from core import postgres, schema
from core.model import Json
from core.save.inventory import Inventory, Table

KEY: LiteralString = """
    SELECT array_agg(a.attname::text ORDER BY k.place)
      FROM pg_catalog.pg_index i
      CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (number, place)
      JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
     WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indimmediate
       AND i.indpred IS NULL AND i.indexprs IS NULL AND k.place <= i.indnkeyatts
     GROUP BY i.indexrelid, i.indisprimary
    HAVING bool_and(a.attnotnull) AND NOT bool_or(a.attname::text = ANY (%s))
     ORDER BY i.indisprimary DESC, count(*), i.indexrelid LIMIT 1"""
Kind = Literal["rows", "values", "retyped", "touched"]


@dataclass(frozen=True)
class Item:
    """One thing to save of one table (qualified, quoted as in SQL).

    `rows`: all rows. `values`: dropped columns. `retyped`: columns whose type changes, where that changes the value.
    `touched`: rows that the scripts delete or update, as they were. `key` finds a row again; `weak`: no index
    vouches for it, it is all columns that stay. `nulls`: NULLs are written too. `whole`: the table is partitioned.
    `stays`: the table is there afterwards.
    """

    kind: Kind
    table: str
    columns: tuple[str, ...]
    key: tuple[str, ...] = ()
    weak: bool = False
    nulls: bool = True
    whole: bool = False
    stays: bool = True

    def told(self) -> Json:
        """As it is kept in the archive and the ledger."""
        return {**asdict(self), "columns": list(self.columns), "key": list(self.key)}

    @property
    def name(self) -> sql.Identifier:
        """The table, for a statement."""
        return sql.Identifier(*schema.names(self.table))

    @property
    def source(self) -> sql.Composable:
        """The table's own rows: without those of tables that inherit from it, unless it is partitioned."""
        return self.name if self.whole else sql.SQL("ONLY {}").format(self.name)


def item_of(told: Json) -> Item:
    """The item that `told` tells of."""
    known = {name: told[name] for name in Item.__dataclass_fields__ if name in told}
    return Item(**{**known, "columns": tuple(told["columns"]), "key": tuple(told["key"])})


def items(
    conn: postgres.Connection, held: Inventory, destroyed: Json, emptied: Iterable[str], writes: Iterable[str]
) -> list[Item]:
    """What to save of the tables that `held` lists, before the scripts run.

    `destroyed` is `Destroyed.told()`, `emptied` are tables that lose all rows and stay, `writes` those whose rows the scripts
    may delete or update. Of a partitioned table the columns are saved once, the rows of each partition.
    """
    tables = {table.name: (oid, table) for oid, table in held.items()}
    found = [
        Item("rows", name, _stored(table), key=_key(conn, oid, ()), stays=name not in destroyed["tables"])
        for name, (oid, table) in sorted(tables.items())
        if table.kind == "r" and (name in destroyed["tables"] or name in set(emptied))
    ]
    whole = {item.table for item in found}
    others = {name: one for name, one in tables.items() if name not in whole}
    found += _columns(conn, "values", destroyed["columns"], others, destroyed)
    found += _columns(conn, "retyped", destroyed["retyped"], others, destroyed)
    written = {*writes}
    roots = {held[t.root].name for name, (_, t) in tables.items() if name in written and t.root and t.root in held}
    for name in sorted(((written | roots) - whole) & tables.keys()):
        oid, table = tables[name]
        # by INHERITS an UPDATE of the parent changes rows of children that have more columns: then all are kept
        key = _key(conn, oid, _lost(destroyed, name))
        found.append(Item("rows" if table.inherits else "touched", name, _stored(table), key, whole=table.kind == "p"))
    return found


def _columns(
    conn: postgres.Connection,
    kind: Kind,
    listed: Sequence[Sequence[str]],
    tables: dict[str, tuple[int, Table]],
    destroyed: Json,
) -> list[Item]:
    """One item for each table that loses columns, or values by another type."""
    found, roots = [], {oid: name for name, (oid, _) in tables.items()}
    for name in sorted({table for table, _ in listed} & tables.keys()):
        oid, table = tables[name]
        lost = {column for one, column in listed if one == name}
        columns = tuple(column for column in _stored(table) if column in lost)
        root = roots.get(table.root) if table.root else None
        if not columns or (root and lost <= _of(listed, root)):
            continue
        gone = _lost(destroyed, name)
        key = _key(conn, oid, gone)
        stay = tuple(column for column in _stored(table) if column not in gone)
        found.append(Item(kind, name, columns, key or stay, weak=not key, whole=table.kind == "p"))
    return found


def _of(listed: Sequence[Sequence[str]], name: str) -> set[str]:
    return {column for table, column in listed if table == name}


def _lost(destroyed: Json, name: str) -> list[str]:
    """The columns of a table that are no key: they go, or their type does."""
    return sorted(_of(destroyed["columns"], name) | _of(destroyed["retyped"], name))


def _stored(table: Table) -> tuple[str, ...]:
    """The columns that hold values of their own, in order."""
    return tuple(column.name for _, column in sorted(table.columns.items()) if not column.generated)


def _key(conn: postgres.Connection, oid: int, without: Sequence[str]) -> tuple[str, ...]:
    """The columns of a unique index without NULLs, the primary key first; empty where there is none."""
    rows = postgres.execute(conn, KEY, oid, list(without))
    return tuple(rows[0][0]) if rows else ()


def without_nulls(found: Sequence[Item], filled: Json) -> list[Item]:
    """The same, where columns that the forward migration leaves NULL need no NULLs saved.

    `filled`: {"schema.table": columns in which it was seen to put values}, from the trial on the restored copy.
    """
    return [
        replace(item, nulls=bool(set(filled.get(item.table, item.columns)) & set(item.columns)))
        if item.kind == "values"
        else item
        for item in found
    ]
