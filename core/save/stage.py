"""Saved rows in a temporary table, before they go back: all as text, each with the reason why it does not fit, if any.

As text, because their types may not be there yet. A row without a reason goes back; one with a reason is kept aside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, LiteralString

from psycopg import sql

from core import postgres
from core.save.items import Item
from core.save.take import numbered

TYPES: LiteralString = """
    SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attidentity = 'a' OR a.attgenerated <> '',
           t.typnamespace = 'pg_catalog'::regnamespace
      FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
     WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped"""

REASONS = {
    "parent_gone": "the row that they refer to is gone",
    "row_gone": "their own row is gone",
    "changed_since": "their row was changed since",
    "taken": "another row has their key or a unique value of theirs",
    "no_key": "no key tells which row they were",
    "key_changed": "the scripts changed their key",
    "ambiguous": "several saved values belong to rows that look the same",
}
"""Why a saved row does not fit, as the rest of a sentence about it."""
THERE = "there"  # not put back, since exactly this row is there already


class Stage:
    """One part of a save. Columns: `k` key, `o` saved values or rows before, `n` after (retyped, touched), `what`."""

    def __init__(self, conn: postgres.Connection, n: int, item: Item, rows: Iterable[bytes]) -> None:
        self.conn, self.item = conn, item
        self.table = sql.SQL("pg_temp.{}").format(sql.Identifier(f"rollback_back_{n}"))
        keys = numbered("k", len(item.key)) if item.kind in ("values", "retyped") else []
        olds = numbered("o", len(item.columns))
        news = numbered("n", len(item.columns)) if item.kind in ("retyped", "touched") else []
        what = [sql.Identifier("what")] if item.kind == "touched" else []
        self.listed = [*what, *keys, *olds, *news]
        made = sql.SQL(", ").join([*(sql.SQL("{} text").format(one) for one in self.listed), sql.SQL("why text")])
        conn.execute(
            sql.SQL("CREATE TEMP TABLE {} ({}) ON COMMIT DROP").format(sql.Identifier(f"rollback_back_{n}"), made)
        )
        names = sql.SQL(", ").join(self.listed)
        with conn.cursor() as cursor, cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(self.table, names)) as copy:
            for block in rows:
                copy.write(block)
        conn.execute(sql.SQL("ANALYZE {}").format(self.table))

    # -- pieces of SQL -----------------------------------------------------------------------------------------

    def types(self) -> dict[str, tuple[str, bool, bool]]:
        """Of the table's columns as they are now: type, is it always made by PostgreSQL, is the type its own."""
        rows = postgres.execute(self.conn, TYPES, self.item.name.as_string(self.conn))
        return {name: (kind, made, builtin) for name, kind, made, builtin in rows}

    def value(self, side: str, column: str, types: Mapping[str, Any]) -> sql.Composed:
        """A saved value as the column's type: `s.o3::public.plan_tier`."""
        at = (self.item.key if side == "k" else self.item.columns).index(column) + 1
        return sql.SQL("s.{}::{}").format(sql.Identifier(f"{side}{at}"), sql.SQL(types[column][0]))

    def match(self, side: str, types: Mapping[str, Any]) -> sql.Composed:
        """`t` is the row that `s` tells of. By the column's own equality where an index may serve it, else by its text."""
        parts = []
        for column in self.item.key:
            own, saved = sql.SQL("t.{}").format(sql.Identifier(column)), self.value(side, column, types)
            if self.item.weak:
                form = "{}::text IS NOT DISTINCT FROM {}::text"
            else:
                form = (
                    "{} = {}" if types[column][2] else "{}::text = {}::text"
                )  # `=` of an extension is not on our path
            parts.append(sql.SQL(form).format(own, saved))
        if self.item.weak:  # hashable: whole keys as one text
            mine = sql.SQL(", ").join(sql.SQL("t.{}::text").format(sql.Identifier(c)) for c in self.item.key)
            theirs = sql.SQL(", ").join(sql.SQL("{}::text").format(self.value(side, c, types)) for c in self.item.key)
            return sql.SQL("ROW({})::text = ROW({})::text").format(mine, theirs)
        return sql.SQL(" AND ").join(parts)

    def same(self, side: str, columns: Sequence[str], types: Mapping[str, Any]) -> sql.Composed:
        """The live row has exactly these saved values."""
        mine = sql.SQL(", ").join(sql.SQL("t.{}::text").format(sql.Identifier(c)) for c in columns)
        theirs = sql.SQL(", ").join(sql.SQL("{}::text").format(self.value(side, c, types)) for c in columns)
        return sql.SQL("ROW({})::text = ROW({})::text").format(mine, theirs)

    def mark(self, why: str, where: sql.Composable) -> int:
        """Give the rows that fit so far and meet a condition their reason; how many."""
        query = sql.SQL("UPDATE {} s SET why = {} WHERE s.why IS NULL AND ({})").format(self.table, why, where)
        return self.conn.execute(query).rowcount

    def left(self) -> dict[str, int]:
        """Rows by reason, without those that are there already."""
        query = sql.SQL("SELECT why, count(*) FROM {} WHERE why IS NOT NULL AND why <> {} GROUP BY 1 ORDER BY 1")
        return dict(self.conn.execute(query.format(self.table, THERE)).fetchall())

    # -- what can be told before the forward scripts run ---------------------------------------------------------

    def compare(self, since: tuple[str, str] | None) -> None:
        """Mark what was changed, taken or removed since the rollback. `since`: its snapshot and transaction number."""
        types = self.types()
        if not types:
            return
        if self.item.kind == "retyped":
            self._changed("n", self.item.columns, types)
        elif self.item.kind == "touched":
            self._touched(types)
        elif self.item.kind == "values" and since:
            written = sql.SQL("EXISTS (SELECT FROM {} t WHERE {} AND NOT {})").format(
                self.item.source, self.match("k", types), untouched(*since)
            )
            self.conn.execute(
                sql.SQL("ALTER TABLE {} ADD COLUMN since boolean NOT NULL DEFAULT false").format(self.table)
            )
            self.conn.execute(sql.SQL("UPDATE {} s SET since = true WHERE {}").format(self.table, written))

    def _changed(
        self, side: str, columns: Sequence[str], types: Mapping[str, Any], where: LiteralString = "true"
    ) -> None:
        """The row must still be as the rollback left it: with the values of `side`."""
        match = self.match("k" if self.item.kind == "retyped" else side, types)
        there = sql.SQL("SELECT FROM {} t WHERE {}").format(self.item.source, match)
        only = sql.SQL(where)
        self.mark("row_gone", sql.SQL("{} AND NOT EXISTS ({})").format(only, there))
        same = self.same(side, columns, types)
        self.mark("changed_since", sql.SQL("{} AND NOT EXISTS ({} AND {})").format(only, there, same))

    def _touched(self, types: Mapping[str, Any]) -> None:
        item = self.item
        if not item.key:
            self.mark("no_key", sql.SQL("s.what = 'updated'"))
            return
        places = [item.columns.index(column) + 1 for column in item.key]
        moved = sql.SQL(" OR ").join(
            sql.SQL("s.{} <> s.{}").format(sql.Identifier(f"o{at}"), sql.Identifier(f"n{at}")) for at in places
        )
        self.mark("key_changed", sql.SQL("s.what = 'updated' AND ({})").format(moved))
        live = [column for column in item.columns if column in types]
        self._changed("n", live, types, "s.what = 'updated'")
        there = sql.SQL("SELECT FROM {} t WHERE {}").format(item.source, self.match("o", types))
        same = self.same("o", live, types)
        self.mark(THERE, sql.SQL("s.what = 'deleted' AND EXISTS ({} AND {})").format(there, same))
        self.mark("taken", sql.SQL("s.what = 'deleted' AND EXISTS ({})").format(there))


def untouched(snapshot: str, *own: str) -> sql.Composed:
    """The row version `t` was there at that moment, or was written by one of these transactions.

    xmin has 32 bits: its upper half is that of the newest transaction, or one less. 1 and 2 stand for rows older than all.
    Source: PostgreSQL documentation, "Transactions and Identifiers", pg_visible_in_snapshot.
    """
    wide = sql.SQL(
        "(SELECT CASE WHEN w <= now.x THEN w ELSE greatest(w - 4294967296, 3) END::text::xid8"
        " FROM (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS x) now,"
        " LATERAL (SELECT (now.x >> 32 << 32) + t.xmin::text::bigint AS w) u)"
    )
    return sql.SQL(
        "(t.xmin::text::bigint < 3 OR {w}::text = ANY ({x}) OR pg_visible_in_snapshot({w}, {s}::pg_snapshot))"
    ).format(w=wide, x=list(own), s=snapshot)
