"""Which tables and columns there are, told apart by PostgreSQL's own numbers: what a script has destroyed, whatever it
is called. A renamed table is the same one; a table that was dropped and made again is another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import LiteralString

from core import postgres
from core.model import Json

TABLES: LiteralString = """
    SELECT c.oid::bigint, quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relkind::text,
           pg_catalog.pg_relation_filenode(c.oid)::bigint,
           CASE WHEN c.relispartition THEN pg_catalog.pg_partition_root(c.oid)::bigint END,
           NOT c.relispartition AND c.relkind = 'r'
             AND EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent)),
           (SELECT jsonb_object_agg(a.attnum, jsonb_build_array(a.attname, format_type(a.atttypid, a.atttypmod),
                                                                a.attgenerated <> '', a.atttypid || ':' || a.atttypmod))
              FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
       AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'rollback_bot', 'rollback_rehearsal')
       AND n.nspname !~ '^pg_(toast|temp)'"""


@dataclass(frozen=True)
class Column:
    """A column as it is now; `generated`: PostgreSQL computes it, so there is nothing to save.

    `identity`: its type's number and modifier: a type that was dropped and made again has the same name.
    """

    name: str
    type: str
    generated: bool
    identity: str


@dataclass(frozen=True)
class Table:
    """A table by its number. `kind` is pg_class's: `r`, or `p` for a partitioned one, which holds no rows itself.

    `root`: the oid of the partitioned table that it is a part of; `inherits`: it is a parent or child by INHERITS.
    """

    name: str
    kind: str
    file: int | None
    root: int | None
    inherits: bool
    columns: Mapping[int, Column]


Inventory = Mapping[int, Table]


@dataclass(frozen=True)
class Destroyed:
    """What is no longer there, by the names from before. Columns are (table, column) of tables that stay.

    `retyped` also are columns that were dropped and made again, `anew` only these. `moved`: tables that stay in another
    file, so they were emptied or written anew.
    """

    tables: tuple[str, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    retyped: tuple[tuple[str, str], ...] = ()
    anew: tuple[tuple[str, str], ...] = ()
    moved: tuple[str, ...] = ()

    def told(self) -> Json:
        """As it is kept in the ledger."""
        pairs = {"columns": self.columns, "retyped": self.retyped, "anew": self.anew}
        return {"tables": list(self.tables), "moved": list(self.moved)} | {
            kind: [list(one) for one in found] for kind, found in pairs.items()
        }


def inventory(conn: postgres.Connection) -> dict[int, Table]:
    """Every ordinary and partitioned table of the users, by its oid."""
    found = {}
    for oid, name, kind, file, root, inherits, columns in postgres.execute(conn, TABLES):
        held = {int(number): Column(*facts) for number, facts in (columns or {}).items()}
        found[oid] = Table(name, kind, file, root, inherits, held)
    return found


def destroyed(before: Inventory, after: Inventory) -> Destroyed:
    """What the second no longer has of the first; all names sorted."""
    gone = {table.name for oid, table in before.items() if oid not in after}
    columns, retyped, again = set[tuple[str, str]](), set[tuple[str, str]](), set[tuple[str, str]]()
    moved = {oid for oid, table in before.items() if oid in after and table.file != after[oid].file}
    written = moved | {before[oid].root for oid in moved}  # another type that keeps the file keeps the values
    for oid, table in before.items():
        now = after.get(oid)
        if now is None:
            continue
        new = {column.name for number, column in now.columns.items() if number not in table.columns}
        for number, column in table.columns.items():
            if number not in now.columns:
                (again if column.name in new else columns).add((table.name, column.name))
            elif oid in written and column.identity != now.columns[number].identity:
                retyped.add((table.name, column.name))
    files = sorted(before[oid].name for oid in moved)
    return Destroyed(
        tuple(sorted(gone)), tuple(sorted(columns)), tuple(sorted(retyped | again)), tuple(sorted(again)), tuple(files)
    )


def unsaved(found: Destroyed, known: Json, harmless: Sequence[str]) -> list[str]:
    """What was destroyed although the save does not know it, one sentence each. `harmless`: rewritten tables."""
    words = [f"table {name} is gone" for name in found.tables if name not in known["tables"]]
    for kind, verb in (("columns", "is gone"), ("retyped", "has another type")):
        listed = {tuple(one) for one in known[kind]}
        words += [
            f"column {table}.{column} {verb}" for table, column in getattr(found, kind) if (table, column) not in listed
        ]
    expected = {*known["moved"], *harmless}
    return words + [f"the rows of {name} were written anew" for name in found.moved if name not in expected]
