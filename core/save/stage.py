"""Saved rows in a temporary table, before they go back: all as text, each with the reason why it does not fit, if any.

As text, because their types may not be there yet. A row without a reason goes back; one with a reason is kept aside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import LiteralString

from psycopg import sql

from core import postgres
from core.model import Json
from core.save.items import Item
from core.save.texts import Own, columns, listed, numbered, oid_of, whole

REASONS = {
    "parent_gone": "the row that they refer to is gone",
    "row_gone": "their own row is gone",
    "changed_since": "their row was changed since",
    "taken": "another row has their key or a unique value of theirs",
    "key_changed": "the scripts changed their key",
    "ambiguous": "several saved values belong to rows that look the same",
    "made": "the migration makes them otherwise now, from what was written since",
    "refused": "a rule of their table refuses them",
    "no_place": "the table or the column that they belong to is not there",
}
"""Why a saved row does not fit, as the rest of a sentence about it."""
THERE = "there"  # not put back, since exactly this row is there already
PAIRS = sql.SQL("pg_temp.rollback_pairs")


class Live:
    """A table as it is now, seen by the names that an item knows its columns by.

    `called` says what they are called now, where that is something else.
    """

    def __init__(
        self, conn: postgres.Connection, item: Item, table: str, called: Mapping[str, str] | None = None
    ) -> None:
        self.oid = oid_of(conn, table) or 0
        self.there = columns(conn, self.oid)
        names = {name: name for name in item.columns} if called is None else called
        self.own: dict[str, Own] = {old: self.there[now] for old, now in names.items() if now in self.there}
        self.table, self.name = table, sql.SQL(table)
        partitioned = postgres.execute(conn, "SELECT relkind = 'p' FROM pg_catalog.pg_class WHERE oid = %s", self.oid)
        self.source = self.name if partitioned and partitioned[0][0] else sql.SQL("ONLY {}").format(self.name)

    def __bool__(self) -> bool:
        return bool(self.oid)


class Stage:
    """One part of a save in a temporary table.

    `what`: `deleted` (a whole row, gone), `updated` (a row with other values), `moved` (with another key), `values` (of
    columns that went), `gone` (values of a row that went). `o1`, `o2`, … or `old` is what it was, `new` what the scripts
    left; `why` is the reason to keep it aside, `rule` what refused it; `since` says which columns were changed since.
    """

    def __init__(self, conn: postgres.Connection, number: int, part: Json, item: Item, rows: Iterable[bytes]) -> None:
        self.conn, self.item, self.part = conn, item, part
        self.constant = False
        self.still = (part["now"] or {"columns": item.columns})["columns"]  # columns that the rollback left
        name = sql.Identifier(f"rollback_back_{number}")
        self.table = sql.SQL("pg_temp.{}").format(name)
        self.plain = item.kind in ("rows", "left", "values")
        # a table without columns has rows too: COPY writes them as empty lines
        self.listed = (
            numbered("o", len(item.columns) or 1) if self.plain else [sql.Identifier(c) for c in ("what", "old", "new")]
        )
        olds = [sql.SQL("{} text").format(one) for one in self.listed] if self.plain else [sql.SQL("old text[]")]
        made = listed([
            sql.SQL("n bigint GENERATED ALWAYS AS IDENTITY"), *olds, sql.SQL("new text[]"), sql.SQL("why text"), sql.SQL("rule text"),
            sql.SQL("had bigint"), sql.SQL("since boolean[]"), sql.SQL("what text NOT NULL DEFAULT {}").format("values" if item.kind == "values" else "deleted"),
        ])  # fmt: skip
        conn.execute(sql.SQL("CREATE TEMP TABLE {} ({}) ON COMMIT DROP").format(name, made))
        encoding = postgres.scalar(conn, "SHOW server_encoding")
        query = sql.SQL("COPY {} ({}) FROM STDIN (ENCODING {})").format(self.table, listed(self.listed), encoding)
        with conn.cursor() as cursor, cursor.copy(query) as copy:
            for block in rows:
                copy.write(block)
        conn.execute(sql.SQL("ANALYZE {}").format(self.table))

    # -- pieces of SQL, where `s` is the stage and `t` the live table ------------------------------------------

    def old(self, column: str, alias: LiteralString = "s") -> sql.SQL:
        """What a column was, as text."""
        at = self.item.columns.index(column) + 1
        return sql.SQL(f"{alias}.o{at}" if self.plain else f"{alias}.old[{at}]")

    def new(self, column: str, alias: LiteralString = "s") -> sql.SQL:
        """What the scripts left in a column, as text."""
        return sql.SQL(f"{alias}.new[{self.item.columns.index(column) + 1}]")

    def is_old(self, live: Live, names: Sequence[str]) -> sql.Composed:
        """The live row has the values that were saved."""
        return every(sql.SQL("{} IS NOT DISTINCT FROM {}").format(live.own[c].text(), self.old(c)) for c in names)

    def is_new(self, live: Live, names: Sequence[str]) -> sql.Composed:
        """The live row has what the scripts left, wherever they changed anything."""
        same, either = "{} IS NOT DISTINCT FROM {}", "({} IS NOT DISTINCT FROM {} OR {} IS NOT DISTINCT FROM {})"
        return every(
            sql.SQL(same if c in self.item.anew else either).format(
                live.own[c].text(), self.new(c), self.old(c), self.new(c)
            )
            for c in names
        )

    def written(self, live: Live, name: str) -> sql.Composable:
        """What a column of a live row will be: as it is where the scripts did not change it, else what was saved.

        Where the migration makes nothing from rows (`constant`), also what the scripts did not change gives way, unless
        somebody has changed it since.
        """
        own = sql.SQL("t.{}").format(sql.Identifier(name))
        if name not in self.item.columns or name not in live.own:
            return own
        value, old, new = live.own[name].value(self.old(name)), self.old(name), self.new(name)
        if name not in self.still or name in self.item.anew:
            return value
        if self.constant:
            since = sql.SQL(f"s.since[{self.item.columns.index(name) + 1}]")
            return sql.SQL("CASE WHEN {} THEN {} ELSE {} END").format(since, own, value)
        case = "CASE WHEN s.what = 'updated' AND {} IS NOT DISTINCT FROM {} THEN {} ELSE {} END"
        return sql.SQL(case).format(old, new, own, value)

    # -- what is done with its rows ------------------------------------------------------------------------------

    def mark(self, why: str, where: sql.Composable, rule: str | None = None) -> int:
        """Give the rows that fit so far and meet a condition their reason; how many."""
        query = sql.SQL("UPDATE {} s SET why = {}, rule = {} WHERE s.why IS NULL AND ({})")
        return self.conn.execute(query.format(self.table, why, rule, where)).rowcount

    def mark_paired(self, why: str, live: Live, where: sql.Composable, rule: str | None = None) -> int:
        """The same, where the condition is about the live row of a pair."""
        return self.change(sql.SQL("why = {}, rule = {}").format(why, rule), live, where)

    def change(self, sets: sql.Composable, live: Live, where: sql.Composable) -> int:
        """Set something of the rows that fit so far, where a condition holds about the live row of their pair."""
        query = sql.SQL(
            "UPDATE {} s SET {} FROM {} p, {} t WHERE p.n = s.n AND t.tableoid = p.tab AND t.ctid = p.at AND s.why IS NULL AND ({})"
        )
        return self.conn.execute(query.format(self.table, sets, PAIRS, live.source, where)).rowcount

    def pair(self, live: Live, what: sql.Composable, names: Sequence[str], new: bool = False) -> None:
        """Find the live rows of the rows that fit so far: PAIRS holds `n` and where that row lies (`tab`, `at`).

        `names`: the columns by which, of the old values or of the `new` ones. Rows that look the same are counted.
        """
        item, side = self.item, self.new if new else self.old
        self.conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(PAIRS))
        make = sql.SQL(
            "CREATE TEMP TABLE rollback_pairs ON COMMIT DROP AS SELECT s.n, t.tableoid AS tab, t.ctid AS at FROM "
        )
        fits = sql.SQL("s.why IS NULL AND ({})").format(what)
        if names and not item.weak:
            types = dict(zip(item.columns, item.types, strict=True))
            match = every(live.own[c].equals(side(c), types[c]) for c in names)
            query = make + sql.SQL("{} s JOIN {} t ON {} WHERE {}").format(self.table, live.source, match, fits)
        else:
            query = make + self._alike(live, fits, side, names)
        self.conn.execute(query)
        self.conn.execute(sql.SQL("ANALYZE {}").format(PAIRS))

    def _alike(
        self,
        live: Live,
        fits: sql.Composable,
        side: Callable[[str], sql.SQL],
        names: Sequence[str],
        free: sql.Composable = sql.SQL("true"),  # noqa: B008
    ) -> sql.Composed:
        """Rows that look the same are counted: the second of the one is the second of the others."""
        mine, theirs = whole(side(c) for c in names), whole(live.own[c].text() for c in names)
        return sql.SQL(
            "(SELECT s.n, {0} AS image, row_number() OVER (PARTITION BY {0} ORDER BY s.n) AS i FROM {1} s WHERE {2}) s"
            " JOIN (SELECT t.tableoid, t.ctid, {3} AS image, row_number() OVER (PARTITION BY {3} ORDER BY t.tableoid, t.ctid) AS i"
            " FROM {4} t WHERE {5}) t USING (image, i)"
        ).format(mine, self.table, fits, theirs, live.source, free)

    def pair_live(self, live: Live) -> None:
        """Find the rows that are there and will be changed, after the forward scripts."""
        if not self.item.weak or self.item.kind == "values":
            return self.pair(live, sql.SQL("s.what IN ('values', 'gone', 'updated', 'seed')"), self.item.key)
        left = [name for name in self.item.columns if name in live.own and name in self.still]
        self.pair(live, sql.SQL("s.what = 'updated'"), left, new=True)
        self._pair_rest(live, [name for name in self.item.columns if name in live.own], self.old)
        if self.item.key:  # the forward scripts may have changed the other columns
            self._pair_rest(live, self.item.key, self.new)
        return None

    def _pair_rest(self, live: Live, names: Sequence[str], side: Callable[[str], sql.SQL]) -> None:
        """The rows without a pair, by some columns, among the live rows without one."""
        rest = every([sql.SQL("s.why IS NULL AND s.what = 'updated'"), UNPAIRED])
        free = sql.SQL("NOT EXISTS (SELECT FROM {} p WHERE p.tab = t.tableoid AND p.at = t.ctid)").format(PAIRS)
        query = sql.SQL("INSERT INTO {} SELECT s.n, t.tableoid, t.ctid FROM {}")
        self.conn.execute(query.format(PAIRS, self._alike(live, rest, side, names, free)))

    def left(self) -> list[tuple[str, str | None]]:
        """The reasons of rows that do not fit, with what refused them; not of those that are there already."""
        query = sql.SQL("SELECT DISTINCT why, rule FROM {} WHERE why <> {} ORDER BY 1, 2").format(self.table, THERE)
        return [(why, rule) for why, rule in self.conn.execute(query).fetchall()]

    def filled(self) -> int:
        """Values, other than NULL, in the rows that go back."""
        some = sql.SQL(" + ").join(sql.SQL("count({})").format(self.old(name)) for name in self.item.lost)
        return int(
            postgres.scalar(self.conn, sql.SQL("SELECT {} FROM {} s WHERE why IS NULL").format(some, self.table))
        )

    def count(self, where: sql.Composable) -> int:
        """Rows that fit so far and meet a condition."""
        query = sql.SQL("SELECT count(*) FROM {} s WHERE s.why IS NULL AND ({})").format(self.table, where)
        return int(postgres.scalar(self.conn, query))


UNPAIRED: sql.Composable = sql.SQL("NOT EXISTS (SELECT FROM pg_temp.rollback_pairs p WHERE p.n = s.n)")


def every(conditions: Iterable[sql.Composable]) -> sql.Composed:
    """All of them."""
    return sql.SQL(" AND ").join([sql.SQL("true"), *conditions])


def any_of(conditions: Iterable[sql.Composable]) -> sql.Composed:
    """At least one of them."""
    return sql.SQL("({})").format(sql.SQL(" OR ").join([sql.SQL("false"), *conditions]))


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
