"""Which saved rows fit, told before the forward scripts run and again after them.

Before them it shows what was written since the rollback, after them what the migration itself has made of a row. A row
that somebody has written since stays as it is. What the migration makes gives way to what was saved, unless it makes it
from rows that may have been written since, and would have made just what was saved had nothing been written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from psycopg import sql

from core.save.links import ForeignKey
from core.save.stage import PAIRS, THERE, UNPAIRED, Live, Stage, any_of, every, untouched
from core.save.texts import listed, whole

DELETED, VALUES = sql.SQL("s.what = 'deleted'"), sql.SQL("s.what IN ('values', 'gone')")
GONE = sql.SQL("s.what = 'gone'")
UPDATED, MOVED = sql.SQL("s.what = 'updated'"), sql.SQL("s.what = 'moved'")
CHANGED, OWN = sql.SQL("s.what IN ('updated', 'moved')"), sql.SQL("s.what IN ('deleted', 'updated', 'seed')")
LIVE = sql.SQL("s.what IN ('values', 'gone', 'updated', 'seed')")
EVERY = sql.SQL("true")


def left_over(stage: Stage, left: Stage) -> None:
    """Of a table that was saved whole: the rows that the scripts left in a table of its name are not gone."""
    item, common = stage.item, left.item.columns
    stage.still = common
    same = every(sql.SQL("{} IS NOT DISTINCT FROM {}").format(stage.old(c), left.old(c, "l")) for c in common)
    same = same if len(common) == len(item.columns) else sql.SQL("false").format()
    news = listed(left.old(c, "l") if c in common else sql.SQL("NULL") for c in item.columns)
    if item.key and {*item.key} <= {*common}:
        key = every(sql.SQL("{} = {}").format(stage.old(c), left.old(c, "l")) for c in item.key)
        found = sql.SQL(
            "UPDATE {} s SET why = CASE WHEN {} THEN {} END, what = 'updated', new = ARRAY[{}]::text[] FROM {} l WHERE {}"
        )
        stage.conn.execute(found.format(stage.table, same, THERE, news, left.table, key))
        return
    if len(common) < len(item.columns):
        return
    mine, theirs = whole(stage.old(c) for c in common), whole(left.old(c, "s") for c in common)
    count = sql.SQL("(SELECT s.n, {0} AS image, row_number() OVER (PARTITION BY {0} ORDER BY s.n) AS i FROM {1} s)")
    pairs = sql.SQL("SELECT a.n FROM {} a JOIN {} b USING (image, i)").format(
        count.format(mine, stage.table), count.format(theirs, left.table)
    )
    stage.mark(THERE, sql.SQL("s.n IN ({})").format(pairs))


# -- before the forward scripts --------------------------------------------------------------------------------


def before(stage: Stage, live: Live, since: tuple[str, ...]) -> None:
    """Mark what was changed, taken or removed since the rollback. `since`: its snapshot and transaction numbers."""
    item, names = stage.item, [name for name in stage.item.columns if name in live.own]
    if stage.count(CHANGED):
        stage.pair(live, CHANGED, names if item.weak else item.key, new=True)
        stage.mark("row_gone", sql.SQL("{} AND {}").format(CHANGED, UNPAIRED))
        stage.mark_paired("changed_since", live, sql.SQL("NOT ({})").format(stage.is_new(live, names)))
        _since(stage, live, names)
    if item.weak and item.kind != "values":
        _count(stage, live, names)
    elif stage.count(DELETED):
        stage.pair(live, DELETED, item.key)
        stage.mark_paired(THERE, live, stage.is_old(live, names))
        stage.mark_paired("taken", live, EVERY)
    if item.kind == "values" and since:
        stage.pair(live, EVERY, item.key)
        stage.change(sql.SQL("had = 1"), live, sql.SQL("NOT {}").format(untouched(*since)))


def _since(stage: Stage, live: Live, names: Sequence[str]) -> None:
    """Of an updated row other columns may have been changed since; which."""
    changed = {name: sql.SQL("{} IS DISTINCT FROM {}").format(live.own[name].text(), stage.new(name)) for name in names}
    each = listed(changed.get(name, sql.SQL("false")) for name in stage.item.columns)
    stage.change(sql.SQL("since = ARRAY[{}]").format(each), live, every([UPDATED, any_of(changed.values())]))


def _count(stage: Stage, live: Live, names: Sequence[str]) -> None:
    """Without a key: how many live rows look just like a deleted one; they are others."""
    query = sql.SQL("UPDATE {} s SET had = c.count FROM ({}) c WHERE c.image = {} AND s.why IS NULL AND {}")
    stage.conn.execute(query.format(stage.table, _images(live, names), whole(map(stage.old, names)), DELETED))


def _images(live: Live, names: Sequence[str]) -> sql.Composed:
    image = whole(live.own[name].text() for name in names)
    return sql.SQL("SELECT {} AS image, count(*) FROM {} t GROUP BY 1").format(image, live.source)


# -- after them ------------------------------------------------------------------------------------------------


def after(stage: Stage, live: Live, exact: bool, moves: bool) -> bool:
    """Mark what the migration has made itself; has it made everything that was saved, as it was?

    `exact`: it is known to make just what was saved, from rows; so where it does not, these were written since. `moves`:
    it destroys what it makes rows from. Deleted rows that it has made otherwise, and that do not count, become `seed`.
    """
    if not stage.count(EVERY):
        return False
    if stage.item.kind == "values":
        return _values(stage, live, exact, moves)
    names, newer = [name for name in stage.item.columns if name in live.own], exact or moves
    _moved(stage, live, names)
    asked = stage.count(OWN)
    if stage.item.weak:
        _made_again(stage, live, names)
    else:
        stage.pair(live, DELETED, stage.item.key)
        stage.mark_paired(THERE, live, stage.is_old(live, names))
        stage.change(sql.SQL("why = {}").format("made") if newer else sql.SQL("what = 'seed'"), live, DELETED)
    _gone(stage, live, names)
    stage.pair_live(live)
    stage.mark_paired(THERE, live, every([UPDATED, stage.is_old(live, names)]))
    if not stage.item.weak and stage.item.kind != "retyped":  # the migration has removed it, as the scripts left it
        stage.conn.execute(AGAIN.format(stage.table, UPDATED, UNPAIRED))
    if exact:
        stage.mark("made", DELETED)
    if newer:
        left = [name for name in names if name in stage.still]
        stage.mark_paired("made", live, every([UPDATED, sql.SQL("NOT ({})").format(stage.is_new(live, left))]))
    return asked > 0 and not stage.count(OWN)


AGAIN = sql.SQL("UPDATE {} s SET what = 'deleted' WHERE s.why IS NULL AND {} AND {}")


def _gone(stage: Stage, live: Live, names: Sequence[str]) -> None:
    """Values of rows that were not found again when the scripts had run: the migration may have brought these rows back."""
    if stage.count(GONE):
        stage.pair(live, GONE, stage.item.key)
        stage.mark_paired(THERE, live, stage.is_old(live, names))


def _moved(stage: Stage, live: Live, names: Sequence[str]) -> None:
    """Rows whose key the scripts have changed: only the migration itself brings them back."""
    if stage.count(MOVED):
        stage.pair(live, MOVED, stage.item.key)
        stage.mark_paired(THERE, live, stage.is_old(live, names))
        stage.mark("key_changed", MOVED)


def _made_again(stage: Stage, live: Live, names: Sequence[str]) -> None:
    """Without a key: as many copies of a row as the migration has made itself are there already."""
    query = sql.SQL(
        "WITH own AS (SELECT s.n, s.had, {0} AS image, row_number() OVER (PARTITION BY {0} ORDER BY s.n) AS i FROM {1} s"
        " WHERE s.why IS NULL AND {2}) UPDATE {1} s SET why = {3} FROM own JOIN ({4}) c USING (image)"
        " WHERE own.n = s.n AND own.i <= c.count - coalesce(own.had, 0)"
    )
    mine = whole(map(stage.old, names))
    stage.conn.execute(query.format(mine, stage.table, DELETED, THERE, _images(live, names)))


def _values(stage: Stage, live: Live, exact: bool, moves: bool) -> bool:
    lost = [name for name in stage.item.lost if name in live.own]
    if stage.item.weak:
        _ambiguous(stage, live, lost)
    stage.pair(live, EVERY, stage.item.key)
    query = sql.SQL("SELECT count(*), count(*) FILTER (WHERE {}) FROM {} s JOIN {} p USING (n) JOIN {} t ON {}").format(
        stage.is_old(live, lost), stage.table, PAIRS, live.source, sql.SQL("t.tableoid = p.tab AND t.ctid = p.at")
    )
    found, same = stage.conn.execute(query).fetchone() or (0, 0)
    if exact or moves:
        filled = any_of(sql.SQL("{} IS NOT NULL").format(live.own[name].text()) for name in lost)
        newer = EVERY if exact else sql.SQL("s.had IS NOT NULL")
        stage.mark_paired("made", live, every([newer, filled, sql.SQL("NOT ({})").format(stage.is_old(live, lost))]))
    return bool(found and found == same)


def _ambiguous(stage: Stage, live: Live, lost: Sequence[str]) -> None:
    """Without a key, of rows that looked the same some are gone, and nobody can tell which values they had."""
    key, values = whole(map(stage.old, stage.item.key)), whole(map(stage.old, lost))
    query = sql.SQL("SELECT {0} AS image, count(*) FROM {1} s GROUP BY 1 HAVING count(DISTINCT {2}) > 1").format(
        key, stage.table, values
    )
    fewer = sql.SQL(
        "{} IN (SELECT g.image FROM ({}) g LEFT JOIN ({}) l USING (image) WHERE coalesce(l.count, 0) < g.count AND l.count > 0)"
    )
    stage.mark("ambiguous", fewer.format(key, query, _images(live, stage.item.key)))


def companions(stage: Stage, rows: Stage) -> None:
    """Values go with their row: where the scripts deleted that too, it is among `rows`, and goes back or not."""
    if stage.item.weak:
        return
    alike = every(sql.SQL("{} = {}").format(stage.old(name), rows.old(name, "d")) for name in stage.item.key)
    found = sql.SQL("EXISTS (SELECT FROM {} d WHERE {} AND {})")
    aside = sql.SQL("d.what = 'deleted' AND d.why IS NOT NULL AND d.why <> {}").format(THERE)
    stage.mark("row_gone", every([VALUES, found.format(rows.table, alike, aside)]))
    back = sql.SQL("d.what = 'deleted'")
    stage.mark("row_gone", every([GONE, sql.SQL("NOT ") + found.format(rows.table, alike, back)]))


# -- foreign keys ----------------------------------------------------------------------------------------------


def orphans(
    stages: Sequence[Stage], keys: Sequence[ForeignKey], waiting: Sequence[Stage], seen: Callable[[Stage], Live]
) -> None:
    """Mark rows that refer to a row that is neither there nor among those that still go back (`waiting`).

    Until nothing is found: a row that is kept aside can be what another one refers to.
    """
    found = True
    while found:
        found = False
        for stage in stages:
            for key in keys:
                live = seen(stage)
                if live and key.table in (stage.item.family, stage.item.table) and {*key.columns} <= live.there.keys():
                    found = bool(_rows(stage, key, waiting, live) + _changes(stage, key, waiting, live)) or found


def _rows(stage: Stage, key: ForeignKey, waiting: Sequence[Stage], live: Live) -> int:
    if not {*key.columns} <= live.own.keys() & {*stage.item.lost}:
        return 0
    texts = [stage.old(name) for name in key.columns]
    values = [live.own[name].value(text) for name, text in zip(key.columns, texts, strict=True)]
    return stage.mark("parent_gone", every([DELETED, _lacking(key, values, texts, waiting)]), key.name)


def _changes(stage: Stage, key: ForeignKey, waiting: Sequence[Stage], live: Live) -> int:
    """Of rows that are there, some columns of the key may be saved and others not."""
    names = {*key.columns} & {*stage.item.lost} & live.own.keys()
    other = any_of(sql.SQL("{} IS DISTINCT FROM {}").format(stage.old(name), stage.new(name)) for name in names)
    if not names or not stage.count(every([LIVE, other])):  # what the scripts did not change refers to what is there
        return 0
    stage.pair_live(live)
    values = [stage.written(live, name) for name in key.columns]
    texts = [stage.old(name) if name in stage.item.columns else live.there[name].text() for name in key.columns]
    lacking = every([LIVE, other, _lacking(key, values, texts, waiting)])
    return stage.mark_paired("parent_gone", live, lacking, key.name)


def _lacking(
    key: ForeignKey, values: Sequence[sql.Composable], texts: Sequence[sql.Composable], waiting: Sequence[Stage]
) -> sql.Composed:
    coming = [
        sql.SQL("NOT EXISTS (SELECT FROM {} q WHERE q.why IS NULL AND {})").format(
            other.table,
            every(
                sql.SQL("{} = {}").format(other.old(target, "q"), text)
                for target, text in zip(key.targets, texts, strict=True)
            ),
        )
        for other in waiting
        if key.parent in (other.item.family, other.item.table) and {*key.targets} <= {*other.item.columns}
    ]
    return every([key.given(values), sql.SQL("NOT ") + key.found(values), *coming])  # each a join of its own
