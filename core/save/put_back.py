"""Puts a save back around the forward scripts, in their transaction.

Every saved row ends in one of three places: back where it was; there already; or aside, in a file of its own with the
reason, where putting it back would overwrite a newer write or break a rule of the database. Nothing is dropped
silently, and nothing that was written since is overwritten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

from psycopg import sql

from core import postgres, schema
from core.model import Json
from core.save import archive, links
from core.save.archive import Writer
from core.save.items import Item, item_of
from core.save.stage import REASONS, THERE, Stage
from core.save.take import columns, pour, stand_in

INSERTED: LiteralString = """
    SELECT pg_catalog.quote_ident(schemaname) || '.' || pg_catalog.quote_ident(relname), n_tup_ins
      FROM pg_catalog.pg_stat_xact_user_tables"""
OURS = sql.SQL("t.xmin::text = (pg_current_xact_id()::text::bigint % 4294967296)::text")
"""The row version was written by this transaction: xmin holds the lower 32 bits of its number."""


@dataclass(frozen=True)
class Save:
    """A save on disk, and what is known about the way back.

    `seeds`: rows that the forward scripts put into a table by themselves, on an empty copy. `derived`: the forward
    scripts hold more than definitions, so what they fill in may stem from rows written since. `since`: snapshot and
    number of the rollback's transaction.
    """

    file: Path
    seeds: Mapping[str, int] = field(default_factory=dict)
    derived: bool = False
    since: tuple[str, str] | None = None


@dataclass
class Back:
    """What became of the saved rows. `aside`: {"table", "kind", "rows", "why", "reason"} each; `manifest`: the save's."""

    rows: int = 0
    values: int = 0
    manifest: Json = field(default_factory=dict)
    aside: list[Json] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def told(self) -> Json:
        """As it is kept in the ledger."""
        return {"rows": self.rows, "values": self.values, "aside": self.aside, "notes": self.notes}


@contextmanager
def putting_back(conn: postgres.Connection, save: Save, aside: Callable[[], Writer]) -> Iterator[Back]:
    """Around the forward scripts. `aside` opens the file for rows that do not fit; it is called only where there are any.

    Raises psycopg.Error, OSError, archive.Damaged; the caller undoes the transaction.
    """
    work = _Work(conn, save, aside)
    with postgres.printing(conn):
        work.before()
    yield work.back
    with postgres.printing(conn):
        work.after()


class _Work:
    def __init__(self, conn: postgres.Connection, save: Save, aside: Callable[[], Writer]) -> None:
        self.conn, self.save, self.open_aside = conn, save, aside
        self.back = Back()
        self.stages: list[Stage] = []
        self.writer: Writer | None = None
        self.keys: set[int] = set()
        self.inserted: dict[str, int] = {}

    # -- before the forward scripts ------------------------------------------------------------------------------

    def before(self) -> None:
        """Compare with what is there now: after the forward scripts it could not be told who wrote what."""
        self.keys = set(links.foreign_keys(self.conn))
        with archive.reading(self.save.file) as parts:
            for about, rows in parts:
                if "parts" in about:
                    self.back.manifest = about
                elif about["kind"] != "rows":
                    stage = Stage(self.conn, len(self.stages), item_of(about), rows)
                    stage.compare(self.save.since if self.save.derived else None)
                    self.stages.append(stage)
        self.inserted = dict(postgres.execute(self.conn, INSERTED))

    # -- after them ----------------------------------------------------------------------------------------------

    def after(self) -> None:
        made = {name: n - self.inserted.get(name, 0) for name, n in postgres.execute(self.conn, INSERTED)}
        tables = {about["table"] for about in self.back.manifest["parts"]}
        with links.without_keys(self.conn, self.keys) as new, links.without_triggers(self.conn, tables):
            self._rows(made)
            self._orphans(new)
            for stage in self.stages:
                self._staged(stage, new, made)
        for stage in self.stages:
            self._put_aside(stage)
        self._sequences()
        if self.writer:
            self.writer.close({"aside": self.back.aside})

    def _rows(self, made: Mapping[str, int]) -> None:
        """Whole tables: straight in where the forward scripts left nothing but their own seeds, else row by row."""
        with archive.reading(self.save.file) as parts:
            for about, rows in parts:
                if about.get("kind") != "rows":
                    continue
                item = item_of(about)
                empty = self._cleared(item, made.get(item.table, 0))
                if empty and not item.stays:
                    copy = sql.SQL("COPY {} ({}) FROM STDIN").format(item.name, columns(item.columns))
                    with self.conn.cursor() as cursor:
                        with cursor.copy(copy) as stream:
                            for block in rows:
                                stream.write(block)
                        self.back.rows += cursor.rowcount
                else:
                    stage = Stage(self.conn, len(self.stages), item, rows)
                    self._merge(stage, empty)
                    self._put_aside(stage)

    def _cleared(self, item: Item, made: int) -> bool:
        """Is the table as empty as it must be to take all saved rows? The forward scripts' own seeds are removed."""
        seeds = self.save.seeds.get(item.table, 0)
        if made and made == seeds:
            gone = self.conn.execute(sql.SQL("DELETE FROM {} t WHERE {}").format(item.source, OURS)).rowcount
            if gone:
                self.back.notes.append(
                    f"{gone:,} rows that the migration puts into `{schema.plain(item.table)}` gave way to the saved ones"
                )
        return not postgres.scalar(self.conn, sql.SQL("SELECT EXISTS (SELECT FROM {})").format(item.source))

    def _merge(self, stage: Stage, empty: bool) -> None:
        """Saved rows beside others: what is there wins."""
        item, types = stage.item, stage.types()
        if item.key:
            there = sql.SQL("SELECT FROM {} t WHERE {}").format(item.source, stage.match("o", types))
            stage.mark(THERE, sql.SQL("EXISTS ({} AND {})").format(there, stage.same("o", item.columns, types)))
            stage.mark("taken", sql.SQL("EXISTS ({})").format(there))
        elif not empty:
            stage.mark("no_key", sql.SQL("true"))
        self._insert(stage, types, list(links.foreign_keys(self.conn).values()))

    def _orphans(self, new: Sequence[links.ForeignKey]) -> None:
        """Rows that went straight in, and whose parent is gone: out again, until no row refers to nothing."""
        straight = {about["table"]: item_of(about) for about in self.back.manifest["parts"] if about["kind"] == "rows"}
        found = True
        while found:
            found = False
            for key in new:
                item = straight.get(key.table)
                values = [sql.SQL("t.{}").format(sql.Identifier(column)) for column in key.columns]
                where = key.orphan(values)
                if item is None or not self._any(item, where):
                    continue
                gone = sql.SQL("(DELETE FROM {} t WHERE {} RETURNING {})").format(
                    item.source, where, columns(item.columns)
                )
                count = self._copy_aside(item, gone, "parent_gone", key.name)
                self.back.rows -= count
                found = True

    def _any(self, item: Item, where: sql.Composable) -> bool:
        query = sql.SQL("SELECT EXISTS (SELECT FROM {} t WHERE {})").format(item.source, where)
        return bool(postgres.scalar(self.conn, query))

    def _staged(self, stage: Stage, new: Sequence[links.ForeignKey], made: Mapping[str, int]) -> None:
        """Values, retyped values, and rows that the scripts had deleted or updated."""
        item, types = stage.item, stage.types()
        live = [column for column in item.columns if column in types and not types[column][1]]
        if not types or not live:
            stage.mark("row_gone", sql.SQL("true"))
            return
        keys = [*links.foreign_keys(self.conn).values(), *new]
        if item.kind == "touched":
            self._deleted(stage, types, keys, made)
            self._update(stage, "n", live, types, sql.SQL("s.what = 'updated'"), keys)
            return
        if item.weak:
            self._ambiguous(stage)
        if item.kind == "values" and self.save.derived and self.save.since:
            filled = sql.SQL(" OR ").join(sql.SQL("t.{} IS NOT NULL").format(sql.Identifier(c)) for c in live)
            newer = sql.SQL("s.since AND EXISTS (SELECT FROM {} t WHERE {} AND ({}) AND NOT {})").format(
                item.source, stage.match("k", types), filled, stage.same("o", live, types)
            )
            stage.mark("changed_since", newer)
        self._update(stage, "k", live, types, sql.SQL("true"), keys)

    def _ambiguous(self, stage: Stage) -> None:
        """Without a key, rows that look the same may have had different values: then nobody can tell which is whose."""
        keys = sql.SQL(", ").join(sql.Identifier(f"k{n}") for n in range(1, len(stage.item.key) + 1))
        values = sql.SQL(", ").join(sql.Identifier(f"o{n}") for n in range(1, len(stage.item.columns) + 1))
        stage.mark(
            "ambiguous",
            sql.SQL(
                "ROW({k})::text IN (SELECT ROW({k})::text FROM {t} GROUP BY 1 HAVING count(DISTINCT ROW({v})::text) > 1)"
            ).format(k=keys, v=values, t=stage.table),
        )

    def _update(
        self,
        stage: Stage,
        side: str,
        live: Sequence[str],
        types: Mapping[str, Any],
        where: sql.Composable,
        keys: Sequence[links.ForeignKey],
    ) -> None:
        """Saved values into rows that are there."""
        item, match = stage.item, stage.match(side, types)
        self._parents(stage, live, types, keys, where)
        stage.mark(
            "row_gone", sql.SQL("{} AND NOT EXISTS (SELECT FROM {} t WHERE {})").format(where, item.source, match)
        )
        sets = sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(c), stage.value("o", c, types)) for c in live
        )
        done = self.conn.execute(
            sql.SQL("UPDATE {} t SET {} FROM {} s WHERE {} AND s.why IS NULL AND {}").format(
                item.source, sets, stage.table, match, where
            )
        ).rowcount
        if item.kind == "touched":
            self.back.rows += done
        else:
            some = sql.SQL(" + ").join(
                sql.SQL("count({})").format(sql.Identifier(f"o{item.columns.index(c) + 1}")) for c in live
            )
            query = sql.SQL("SELECT {} FROM {} WHERE why IS NULL").format(some, stage.table)
            self.back.values += postgres.scalar(self.conn, query)

    def _deleted(
        self, stage: Stage, types: Mapping[str, Any], keys: Sequence[links.ForeignKey], made: Mapping[str, int]
    ) -> None:
        """Rows that the scripts had deleted; the forward scripts' own seeds of the same key give way."""
        item = stage.item
        n = made.get(item.table, 0)
        if n and item.key and n == self.save.seeds.get(item.table, 0):
            seeds = sql.SQL("DELETE FROM {} t USING {} s WHERE s.what = 'deleted' AND s.why IS NULL AND {} AND {}")
            self.conn.execute(seeds.format(item.source, stage.table, stage.match("o", types), OURS))
        if item.key:
            there = sql.SQL("SELECT FROM {} t WHERE {}").format(item.source, stage.match("o", types))
            stage.mark("taken", sql.SQL("s.what = 'deleted' AND EXISTS ({})").format(there))
        self._insert(stage, types, keys, sql.SQL("s.what = 'deleted'"))

    def _insert(
        self,
        stage: Stage,
        types: Mapping[str, Any],
        keys: Sequence[links.ForeignKey],
        where: sql.Composable = sql.SQL("true"),  # noqa: B008
    ) -> None:
        """Saved rows as new ones; what a unique rule refuses stays in the stage."""
        item = stage.item
        live = [
            column
            for column in item.columns
            if column in types and not (types[column][1] and self._generated(item, column))
        ]
        self._parents(stage, live, types, keys, where)
        values = sql.SQL(", ").join(stage.value("o", column, types) for column in live)
        insert = sql.SQL(
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} s WHERE s.why IS NULL AND {} ON CONFLICT DO NOTHING"
        ).format(item.name, columns(live), values, stage.table, where)
        done = self.conn.execute(insert).rowcount
        self.back.rows += done
        if item.key:
            there = sql.SQL("SELECT FROM {} t WHERE {}").format(item.source, stage.match("o", types))
            stage.mark("taken", sql.SQL("{} AND NOT EXISTS ({})").format(where, there))

    def _generated(self, item: Item, column: str) -> bool:
        """Computed by PostgreSQL, so that no value may be given; an identity column takes one."""
        query = "SELECT attgenerated <> '' FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = %s"
        return bool(postgres.scalar(self.conn, query, item.name.as_string(self.conn), column))

    def _parents(
        self,
        stage: Stage,
        live: Sequence[str],
        types: Mapping[str, Any],
        keys: Sequence[links.ForeignKey],
        where: sql.Composable,
    ) -> None:
        """Rows whose values refer to a parent that is not there."""
        for key in keys:
            if key.table == stage.item.table and set(key.columns) <= set(live):
                values = [stage.value("o", column, types) for column in key.columns]
                stage.mark("parent_gone", sql.SQL("{} AND {}").format(where, key.orphan(values)))

    # -- aside ---------------------------------------------------------------------------------------------------

    def _put_aside(self, stage: Stage) -> None:
        for why in stage.left():
            listed = sql.SQL(", ").join(stage.listed)
            query = sql.SQL("(SELECT {} FROM {} WHERE why = {})").format(listed, stage.table, why)
            self._copy_aside(stage.item, query, why)

    def _copy_aside(self, item: Item, query: sql.Composable, why: str, key: str = "") -> int:
        """Rows that do not fit, into the file for them; how many."""
        self.writer = self.writer or self.open_aside()
        about = {**item.told(), "why": why}
        with self.writer.part(about, stand_in(item)) as write, self.conn.cursor() as cursor:
            with cursor.copy(sql.SQL("COPY {} TO STDOUT").format(query)) as rows:
                pour(rows, write)
            about["rows"] = cursor.rowcount
        reason = REASONS[why] + (f" (`{key}`)" if key else "")
        self.back.aside.append(
            {"table": item.table, "kind": item.kind, "rows": about["rows"], "why": why, "reason": reason}
        )
        return int(about["rows"])

    # -- what is no row ------------------------------------------------------------------------------------------

    def _sequences(self) -> None:
        """Sequences never go back: what was handed out before the rollback is not handed out again."""
        for told in self.back.manifest.get("sequences", ()):
            rows = postgres.execute(
                self.conn, "SELECT to_regclass(coalesce(%s, %s))::text", self._owned(told), told["name"]
            )
            if rows[0][0]:
                self.conn.execute(
                    sql.SQL(
                        "SELECT setval({name}, s.v, true) FROM (SELECT CASE WHEN q.seqincrement > 0 THEN greatest(l.last_value, {last})"
                        " ELSE least(l.last_value, {last}) END AS v FROM pg_catalog.pg_sequence q, {table} l"
                        " WHERE q.seqrelid = {name}::regclass) s"
                    ).format(name=rows[0][0], last=int(told["last"]), table=sql.SQL(rows[0][0]))
                )

    def _owned(self, told: Json) -> str | None:
        """The sequence of the same column, which may have another generated name now."""
        if not told.get("column"):
            return None
        found = self.conn.execute(
            "SELECT pg_get_serial_sequence(%s, %s) WHERE to_regclass(%s) IS NOT NULL",
            [told["table"], told["column"], told["table"]],
        ).fetchone()
        return str(found[0]) if found and found[0] else None
