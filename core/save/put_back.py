"""Puts a save back around the forward scripts, in their transaction.

Every saved row ends in one of three places: back where it was; there already; or aside, in a file of its own with the
reason, where putting it back would overwrite a newer write or break a rule of the database. Nothing is dropped
silently, and nothing that was written since is overwritten. What fits is decided in `core.save.fit`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import LiteralString

from psycopg import sql

from core import postgres, schema
from core.meter import Meter, Phase
from core.model import Json
from core.save import archive, fit, links, sequences, xids
from core.save.archive import Writer
from core.save.aside import Aside
from core.save.fill import insert, may_skip, update
from core.save.inventory import destroyed, inventory
from core.save.items import Item, item_of
from core.save.stage import Live, Stage
from core.save.texts import whole

ORDER = ("rows", "touched", "retyped", "values")
"""Rows before values: without a key these are found by all other columns of their row."""
DELETIONS: LiteralString = (
    "SELECT coalesce(sum(n_tup_del), 0)::bigint FROM pg_catalog.pg_stat_xact_user_tables WHERE relid = ANY (%s)"
)
VIEWS: LiteralString = """SELECT c.oid::bigint, quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm' AND c.relispopulated ORDER BY 1"""


@dataclass(frozen=True)
class Save:
    """A save on disk, and what is known about the way back.

    `seeds`: rows that the forward scripts put into a table by themselves, on an empty copy. `derived`: tables that the forward scripts fill from rows (names without schema; `*`: any). `exact`: tables in which
    they were seen to make just what was saved. `since`: snapshot and numbers of the rollback's transaction.
    """

    file: Path
    seeds: Mapping[str, int] = field(default_factory=dict)
    derived: Collection[str] = ()
    exact: Collection[str] = ()
    since: tuple[str, ...] = ()

    def derives(self, table: str) -> bool:
        """May the forward scripts fill this table from rows?"""
        return "*" in self.derived or schema.names(table)[-1] in self.derived


@dataclass
class Back:
    """What became of the saved rows. `aside`: {"table", "kind", "rows", "why", "reason"} each; `manifest`: the save's.

    `exact`: tables in which the forward scripts have made what was saved, all of it, by themselves.
    """

    rows: int = 0
    values: int = 0
    manifest: Json = field(default_factory=dict)
    aside: list[Json] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    exact: list[str] = field(default_factory=list)

    def told(self) -> Json:
        """As it is kept in the ledger."""
        return {"rows": self.rows, "values": self.values, "aside": self.aside, "notes": self.notes, "exact": self.exact}


@contextmanager
def putting_back(
    conn: postgres.Connection, save: Save, aside: Callable[[], Writer], meter: Meter | None = None
) -> Iterator[Back]:
    """Around the forward scripts. `aside` opens the file for rows that do not fit; it is called only where there are any.

    Raises psycopg.Error, OSError, archive.Damaged; the caller undoes the transaction.
    """
    work = _Work(conn, save, Aside(conn, aside), meter or Meter())
    with postgres.printing(conn):
        work.before()
    yield work.back
    with postgres.printing(conn):
        work.after()
    work.refresh()


class _Work:
    def __init__(self, conn: postgres.Connection, save: Save, aside: Aside, meter: Meter) -> None:
        self.conn, self.save, self.aside, self.meter = conn, save, aside, meter
        self.back = Back(aside=aside.told)
        self.stages: list[Stage] = []
        self.lives: dict[Stage, Live] = {}

    # -- before the forward scripts ------------------------------------------------------------------------------

    def before(self) -> None:
        """Compare with what is there now: after the forward scripts it could not be told who wrote what."""
        xids.begin(self.conn)
        self.held, self.views = inventory(self.conn), dict(postgres.execute(self.conn, VIEWS))
        self.deletions = self._deletions()
        with archive.reading(self.save.file, self.meter.show(Phase("read back", "bytes"))) as saved:
            self.back.manifest = saved.manifest
            for number, part in enumerate(saved.parts):
                item = item_of(part)
                stage = Stage(self.conn, number, part, item, saved.rows(part))
                if item.kind == "left":
                    fit.left_over(
                        next(one for one in self.stages if (one.item.kind, one.item.table) == ("rows", item.table)),
                        stage,
                    )
                else:
                    self.stages.append(stage)
        for stage in self.stages:
            now = stage.part["now"] or {"table": stage.item.table, "columns": None}  # one of that name may be new
            live = Live(self.conn, stage.item, now["table"], now["columns"])
            if live and {*stage.item.key} <= live.own.keys():
                fit.before(stage, live, self.save.since if self.save.derives(stage.item.table) else ())

    def _deletions(self) -> int:
        return int(postgres.execute(self.conn, DELETIONS, list(self.held))[0][0])

    # -- after them ----------------------------------------------------------------------------------------------

    def after(self) -> None:
        """Put back what fits, keep the rest aside."""
        self.meter.doing("comparing the saved rows")
        links.settle(self.conn)
        now, self.keys = inventory(self.conn), links.foreign_keys(self.conn)
        gone = destroyed(self.held, now)
        self._place()
        self._compare(moves=bool(gone.tables or gone.columns or self._deletions() > self.deletions))
        ranks = links.ranked(
            {name: one.item.family for one in self.stages for name in (one.item.table, one.item.family)}, self.keys
        )
        self.circles = circles = [
            key for key in self.keys if key.parent in ranks and ranks.get(key.table, inf) < ranks[key.parent]
        ]
        tables, self.may_skip = {live.table for live in self.lives.values()}, may_skip(self.conn)
        with links.at_rest(self.conn, tables), links.deferred(self.conn, circles):
            for stage in sorted(self.lives, key=lambda one: -ranks[one.item.table]):
                self._clear(stage)
            self._fill(ranks)
        for stage in self.stages:
            self.aside.put(stage)
        self.aside.close()
        sequences.forward(self.conn, self.back.manifest["sequences"])

    def _place(self) -> None:
        """Where the rows belong now: a partition may be gone while its table is there."""
        for stage in self.stages:
            item = stage.item
            for table in filter(None, (item.table, item.root)):
                live = Live(self.conn, item, table)
                own = {name for name in item.lost if name in live.own and not live.own[name].generated}
                if live and {*item.key} <= live.own.keys() and (own or not item.columns):
                    self.lives[stage] = live
                    break
            else:
                stage.mark("no_place", fit.EVERY)

    def _derives(self, stage: Stage) -> bool:
        return self.save.derives(stage.item.table)

    def _compare(self, moves: bool) -> None:
        exact: dict[str, bool] = {}
        for stage, live in self.lives.items():
            table, derives = stage.item.table, self._derives(stage)
            stage.constant = not derives
            if stage.count(fit.EVERY):
                made = fit.after(stage, live, derives and table in self.save.exact, derives and moves)
                exact[table] = derives and made and exact.get(table, True)
        self.back.exact = sorted(table for table, made in exact.items() if made)

    def _clear(self, stage: Stage) -> None:
        """Rows that the migration itself puts into its new table, and that were not there before, give way."""
        item, live = stage.item, self.lives[stage]
        count = sql.SQL("SELECT count(*) FROM {}").format(live.source)
        if (
            item.kind != "rows" or live.oid in self.held or self._derives(stage)
            or not 0 < self.save.seeds.get(item.table, 0) == postgres.scalar(self.conn, count)
        ):  # fmt: skip
            return
        names = item.key or [name for name in item.columns if name in live.own]
        mine, theirs = whole(map(stage.old, names)), whole(live.own[name].text() for name in names)
        query = sql.SQL(
            "DELETE FROM {0} t USING (SELECT t.tableoid AS tab, t.ctid AS at, {1} AS image, row_number() OVER (PARTITION BY {1}) AS i"
            " FROM {0} t) l LEFT JOIN (SELECT {2} AS image, row_number() OVER (PARTITION BY {2}) AS i, true AS saved FROM {3} s) s"
            " USING (image, i) WHERE s.saved IS NULL AND t.tableoid = l.tab AND t.ctid = l.at AND {4}"
        ).format(live.source, theirs, mine, stage.table, links.unreferenced(self.keys, (item.table, item.family)))
        if gone := self.conn.execute(query).rowcount:
            self.back.notes.append(
                f"{gone:,} rows that the migration puts into `{schema.plain(item.table)}` were removed, as before"
            )

    def _fill(self, ranks: Mapping[str, float]) -> None:
        """Table by table, those that others refer to first."""
        stages = sorted(self.lives, key=lambda one: ranks[one.item.table])
        fit.orphans(stages, self.keys, stages, self.lives.__getitem__)
        refused, filled = False, self.meter.show(Phase("filled", "table", len({one.item.table for one in stages})))
        for rank in sorted({ranks[stage.item.table] for stage in stages}):
            group = [stage for stage in stages if ranks[stage.item.table] == rank]
            group.sort(key=lambda one: ORDER.index(one.item.kind))
            if refused:
                waiting = [stage for stage in stages if ranks[stage.item.table] >= rank]
                fit.orphans(group, self.keys, waiting, self.lives.__getitem__)
            asked = sum(stage.count(fit.EVERY) for stage in group)
            self._group(group)
            filled.add(len({one.item.table for one in group}))
            refused = refused or sum(stage.count(fit.EVERY) for stage in group) < asked

    def _group(self, group: Sequence[Stage]) -> None:
        for stage in group:
            # the parents of a new table are locked since its foreign keys were made: what was found there stays there
            new = self.lives[stage].oid not in self.held and not self.circles
            self.back.rows += insert(stage, self.lives[stage], unchecked=new and self.may_skip)
        for stage in group:
            for rows in group:
                if stage.item.kind in ("values", "retyped") and (rows.item.kind, rows.item.table) == (
                    "touched",
                    stage.item.table,
                ):
                    fit.companions(stage, rows)
            update(stage, self.lives[stage])
            if stage.item.kind in ("values", "retyped"):
                self.back.values += stage.filled()
            else:
                self.back.rows += stage.count(fit.LIVE)
            self._without_place(stage, [one.item for one in group if one.item.kind == "values"])

    def _without_place(self, stage: Stage, others: Sequence[Item]) -> None:
        """Columns that are not there any more, of rows that are."""
        live = self.lives[stage]
        known = {
            name for item in others if item.table == stage.item.table and item is not stage.item for name in item.lost
        }
        names = [c for c in stage.item.lost if c not in known and (c not in live.own or live.own[c].generated)]
        if names:
            self.aside.put_columns(stage, names)

    def refresh(self) -> None:
        """Materialized views that the forward scripts have made were filled before the rows came back."""
        for oid, name in postgres.execute(self.conn, VIEWS):
            if oid not in self.views:
                self.conn.execute(sql.SQL("REFRESH MATERIALIZED VIEW {}").format(sql.SQL(name)))
