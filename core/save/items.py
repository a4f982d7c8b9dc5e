"""What must be saved: the rows and values that the scripts destroy, and the columns by which they are found again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, LiteralString

from psycopg import sql

from core import postgres, schema
from core.model import Json
from core.save import links
from core.save.inventory import Column, Inventory, Table

KEY: LiteralString = """
    SELECT array_agg(a.attname::text ORDER BY k.place)
      FROM pg_catalog.pg_index i
      CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (number, place)
      LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
     WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indimmediate
       AND i.indpred IS NULL AND i.indexprs IS NULL AND k.place <= i.indnkeyatts
     GROUP BY i.indexrelid, i.indisprimary
    HAVING bool_and(a.attnotnull AND a.attgenerated = '') AND NOT bool_or(a.attname::text = ANY (%s))
     ORDER BY i.indisprimary DESC, count(*), i.indexrelid LIMIT 1"""
EXACT = ("smallint", "integer", "bigint", "uuid")
"""Types whose values no ALTER … TYPE changes, unless it says USING."""
DEAF = re.compile(r"\b(en|dis)able\s+((always|replica)\s+)?trigger\s+(all|user)\b", re.IGNORECASE)
"""What switches our triggers. After a statement that does only this they are switched back."""
ALTER = re.compile(r"\s*alter\s+table\b", re.IGNORECASE)
USING = re.compile(r"\busing\b", re.IGNORECASE)
PLAIN = re.compile(
    r"\s*(create|drop|comment|grant|revoke|insert|update|delete|truncate|set|reset|lock)\b", re.IGNORECASE
)
Kind = Literal["rows", "left", "values", "retyped", "touched"]


@dataclass(frozen=True)
class Item:
    """One thing to save of one table (qualified, quoted as in SQL).

    `rows`: all rows, and `left` the rows that the scripts leave in a table of that name. `values`: dropped columns.
    `retyped`: columns whose values another type changes, without a key whole rows. `touched`: rows that the scripts delete or update. `key` finds
    a row again; `weak`: no index vouches for it. `columns` hold the key; `lost` are those that are saved for their own sake. `oid`, `numbers`: PostgreSQL's own numbers of
    the table and its columns, `types` their types. `whole`: the table is partitioned; `root`: the partitioned table
    that it is a part of. `apart`: tables inherit from it, or it from one. `nulls`: NULLs are written too.
    `anew`: columns of which the scripts make others of the same name.
    """

    kind: Kind
    table: str
    columns: tuple[str, ...]
    lost: tuple[str, ...]
    key: tuple[str, ...] = ()
    weak: bool = False
    oid: int = 0
    numbers: tuple[int, ...] = ()
    types: tuple[str, ...] = ()
    root: str | None = None
    whole: bool = False
    apart: bool = False
    nulls: bool = True
    anew: tuple[str, ...] = ()

    def told(self) -> Json:
        """As it is kept in the archive."""
        return asdict(self)

    @property
    def name(self) -> sql.Identifier:
        """The table, for a statement."""
        return sql.Identifier(*schema.names(self.table))

    @property
    def source(self) -> sql.Composable:
        """The table's own rows: without those of tables that inherit from it, unless it is partitioned."""
        return self.name if self.whole else sql.SQL("ONLY {}").format(self.name)

    @property
    def family(self) -> str:
        """The table that foreign keys name."""
        return self.root or self.table


def item_of(told: Json) -> Item:
    """The item that `told` tells of."""
    known = {name: told[name] for name in Item.__dataclass_fields__ if name in told}
    return Item(**known | {name: tuple(told[name]) for name in ("columns", "lost", "key", "numbers", "types", "anew")})


def items(
    conn: postgres.Connection,
    held: Inventory,
    destroyed: Json,
    emptied: Iterable[str],
    writes: Iterable[str],
    scripts: Sequence[str],
) -> list[Item]:
    """What to save of the tables that `held` lists, before the `scripts` (their statements) run.

    `destroyed` is `Destroyed.told()`, `emptied` are tables that lose all rows and stay, `writes` those whose rows the
    scripts may delete or update. Of a partitioned table the columns are saved once, the rows of each partition.
    """
    return _Choice(conn, held, destroyed, scripts).items({*emptied}, {*writes})


class _Choice:
    def __init__(self, conn: postgres.Connection, held: Inventory, destroyed: Json, scripts: Sequence[str]) -> None:
        self.conn, self.held, self.destroyed = conn, held, destroyed
        self.oids = {table.name: oid for oid, table in held.items()}
        self.deaf = any(DEAF.search(one) and not ALTER.match(one) for one in scripts)
        # ALTER … TYPE … USING may change values under the same type, and so may code that we cannot look into
        self.careful = any(USING.search(one) if "alter" in one.lower() else not PLAIN.match(one) for one in scripts)

    def items(self, emptied: set[str], writes: set[str]) -> list[Item]:
        written = writes & self.oids.keys()
        whole = {*self.destroyed["tables"], *emptied, *(written if self.deaf else ())}
        mixed = {self._root(name) for name in whole & self.oids.keys()} & {self._root(name) for name in written}
        whole |= {name for name in self.oids if self._root(name) in mixed and self._table(name).root}
        found = [
            self._item("rows", name, self._stored(name))
            for name in sorted(whole & self.oids.keys())
            if self._rows(name)
        ]
        ranks = links.ranked(
            {name: one.family for one in found for name in (one.table, one.family)},
            links.foreign_keys(self.conn) if found else [],
        )
        found.sort(key=lambda one: ranks[one.table])  # by hand, too, they can go back in this order
        others = self.oids.keys() - whole
        found += self._columns("values", self._by_table("columns"), others)
        retyped = self._columns("retyped", self._retyped(others), others)
        # a table that is written anew may have been emptied as well
        touched = {self._root(name) for name in (written | {*self.destroyed["moved"]}) & others} & others
        touched -= {item.table for item in retyped if item.weak}  # compared whole
        return [*found, *retyped] + [self._item("touched", name, self._stored(name)) for name in sorted(touched)]

    def _table(self, name: str) -> Table:
        return self.held[self.oids[name]]

    def _rows(self, name: str) -> bool:
        return self._table(name).kind == "r"

    def _root(self, name: str) -> str:
        """The partitioned table that it is a part of, else itself."""
        root = self.held.get(self._table(name).root or 0)
        return root.name if root else name

    def _by_table(self, kind: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for table, column in self.destroyed[kind]:
            found.setdefault(table, set()).add(column)
        return found

    def _retyped(self, others: Iterable[str]) -> dict[str, set[str]]:
        found = self._by_table("retyped")
        dropped = self._by_table("columns")
        if self.careful:
            for name in {self._root(name) for name in {*self.destroyed["moved"]} & {*others}}:
                found[name] = {column.name for column in self._stored(name)} - dropped.get(name, set())
        return found

    def _columns(self, kind: Kind, listed: dict[str, set[str]], others: Iterable[str]) -> list[Item]:
        """One item for each table that loses columns, or values by another type."""
        found = []
        for name in sorted(listed.keys() & {*others}):
            root = self._root(name)
            if root == name or listed[name] - listed.get(root, set()):
                item = self._item(kind, name, self._stored(name), listed[name])
                found += [item] if item.lost else []
        return found

    def _item(self, kind: Kind, name: str, stored: Sequence[Column], lost: set[str] | None = None) -> Item:
        """`lost`: the columns that go, where these and the key are all that is saved."""
        table, oid = self._table(name), self.oids[name]
        unfit = self._unfit(name, stored) if kind != "rows" else set()
        found = postgres.execute(self.conn, KEY, oid, sorted(unfit))
        key = tuple(found[0][0]) if found else ()
        weak = not key
        names = [column.name for column in stored]
        if lost is not None:
            key = key or tuple(name for name in names if name not in unfit | (lost if kind == "values" else set()))
            if kind == "values" or not weak:
                stored = [column for column in stored if column.name in {*key} | lost]
                names = [name for name in names if name in lost - {*key}]
        numbers = {column.name: number for number, column in table.columns.items()}
        return Item(
            kind, name, tuple(c.name for c in stored), tuple(names), key, weak, oid, tuple(numbers[c.name] for c in stored),
            tuple(c.type for c in stored), self._root(name) if table.root else None, table.kind == "p", table.inherits,
            anew=tuple(sorted(self._by_table("anew").get(name, set()) & {*names})) if kind == "retyped" else (),
        )  # fmt: skip

    def _unfit(self, name: str, stored: Sequence[Column]) -> set[str]:
        """Columns by which no row is found again: they go, or their type may change their values."""
        retyped = self._by_table("retyped").get(name, set())
        exact = {column.name for column in stored if column.type in EXACT and not self.careful}
        return self._by_table("columns").get(name, set()) | (retyped - exact) | self._by_table("anew").get(name, set())

    def _stored(self, name: str) -> list[Column]:
        """The columns that hold values of their own, in order."""
        return [column for _, column in sorted(self._table(name).columns.items()) if not column.generated]


def without_nulls(found: Sequence[Item], filled: Json) -> list[Item]:
    """The same, where columns that the forward migration leaves NULL need no NULLs saved: but to count rows without a key.

    `filled`: {"schema.table": columns in which it was seen to put values}, from the trial on the restored copy.
    """
    return [
        replace(item, nulls=bool(set(filled.get(item.table, item.lost)) & set(item.lost)))
        if item.kind == "values" and not item.weak
        else item
        for item in found
    ]
