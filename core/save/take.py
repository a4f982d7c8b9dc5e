"""Copies out what goes, in the transaction that destroys it: rows and values before the scripts, changed rows after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

from psycopg import sql

from core import postgres, schema
from core.model import Json
from core.save import rights
from core.save.archive import Write, Writer
from core.save.items import Item
from core.save.watch import Watch, kept

NET = sql.SQL("""
    WITH caught AS (
      SELECT *, {same} AS one FROM {kept}
    ), net AS (
      SELECT *, first_value(op) OVER w AS first_op, first_value(seq) OVER w AS first_seq,
             last_value(op) OVER w AS last_op, last_value(seq) OVER w AS last_seq
        FROM caught WINDOW w AS (PARTITION BY one ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
    )
    SELECT CASE WHEN l.op IN ('D', 'T') THEN 'deleted' ELSE 'updated' END, {old}, {new}
      FROM net f JOIN net l ON l.seq = f.last_seq
     WHERE f.seq = f.first_seq AND f.op <> 'I' ORDER BY f.seq""")
"""The first image of each row and what became of it at last: a row that the scripts themselves made is nobody's loss."""
OWNER: LiteralString = """
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), a.attname::text
      FROM pg_catalog.pg_depend d
      JOIN pg_catalog.pg_class c ON c.oid = d.refobjid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
     WHERE d.classid = 'pg_class'::regclass AND d.objid = to_regclass(%s) AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0"""


@contextmanager
def saving(conn: postgres.Connection, items: Sequence[Item], writer: Writer) -> Iterator[Watch]:
    """Around the scripts: saves what goes before them, and what they changed when they have run.

    The caller ends the `Watch` in between, as soon as the scripts are through. Raises StepFailed(E-DIFFERS), OSError,
    psycopg.Error.
    """
    with postgres.printing(conn):
        for item in items:
            if item.kind in ("rows", "values"):
                copy(conn, item, writer, before(item))
        retyped = [item for item in items if item.kind == "retyped"]
        for n, item in enumerate(retyped):
            conn.execute(remember(n, item))
    touched = [item for item in items if item.kind == "touched"]
    watch = Watch(conn, touched)
    yield watch
    with postgres.printing(conn):
        for n, item in enumerate(retyped):
            copy(conn, item, writer, changed(n, item))
        for n, item in enumerate(touched):
            copy(conn, item, writer, net(n, item))


def copy(conn: postgres.Connection, item: Item, writer: Writer, query: sql.Composable) -> None:
    """One part of the archive: `rows` and `seconds` are added to what is told of the item."""
    about: Json = item.told()
    with writer.part(about, stand_in(item)) as write, conn.cursor() as cursor:
        with cursor.copy(sql.SQL("COPY {} TO STDOUT").format(query)) as rows:
            pour(rows, write)
        about["rows"] = cursor.rowcount


def pour(rows: Any, write: Write) -> None:
    """All blocks of a COPY."""
    for block in rows:
        write(block)


def before(item: Item) -> sql.Composable:
    """The rows, or key and values, as they are now."""
    if item.kind == "rows" and not item.whole:
        return sql.SQL("{} ({})").format(item.name, columns(item.columns))
    where: sql.Composable = sql.SQL("")
    if not item.nulls:
        some = sql.SQL(" OR ").join(sql.SQL("{} IS NOT NULL").format(sql.Identifier(column)) for column in item.columns)
        where = sql.SQL(" WHERE {}").format(some)
    listed: list[sql.Composable] = [sql.Identifier(column) for column in item.columns]
    if item.kind == "values":
        listed = [*as_text(item.key), *listed]
    return sql.SQL("(SELECT {} FROM {}{})").format(sql.SQL(", ").join(listed), item.source, where)


def as_text(names: Sequence[str], alias: str = "") -> list[sql.Composable]:
    """Columns by their cast to text, which is how rows are found again: `true` where COPY would write `t`."""
    return [sql.SQL("{}{}::text").format(sql.SQL(alias), sql.Identifier(name)) for name in names]


def columns(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def numbered(side: str, count: int) -> list[sql.Identifier]:
    """`o1`, `o2`, …: columns of our own temporary tables, whose names cannot clash with anybody's."""
    return [sql.Identifier(f"{side}{n}") for n in range(1, count + 1)]


def remember(n: int, item: Item) -> sql.Composed:
    """The values before their type changes, as text: a column of the old type would be in the way of the scripts."""
    names = [*numbered("k", len(item.key)), *numbered("o", len(item.columns))]
    values = as_text((*item.key, *item.columns))
    listed = sql.SQL(", ").join(sql.SQL("{} AS {}").format(v, n) for v, n in zip(values, names, strict=True))
    return sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {}").format(
        sql.Identifier(f"rollback_was_{n}"), listed, item.source
    )


def changed(n: int, item: Item) -> sql.Composed:
    """Key, value before and value after, where the type has changed the value itself."""
    keys, olds = numbered("k", len(item.key)), numbered("o", len(item.columns))
    new = as_text(item.columns, "t.")
    differ = sql.SQL(" OR ").join(
        sql.SQL("w.{} IS DISTINCT FROM {}").format(o, n) for o, n in zip(olds, new, strict=True)
    )
    shown = sql.SQL(", ").join([*(sql.SQL("w.{}").format(one) for one in (*keys, *olds)), *new])
    # whole keys as one text: hashable, also where a part of a weak key is NULL
    return sql.SQL("(SELECT {} FROM pg_temp.{} w JOIN {} t ON ROW({})::text = ROW({})::text WHERE {})").format(
        shown,
        sql.Identifier(f"rollback_was_{n}"),
        item.source,
        sql.SQL(", ").join(as_text(item.key, "t.")),
        sql.SQL(", ").join(sql.SQL("w.{}").format(key) for key in keys),
        differ,
    )


def net(n: int, item: Item) -> sql.Composed:
    """What became of each row that was there before: how it ended, its columns before, and after where it was updated."""
    places = {column: place for place, column in enumerate(item.columns, 1)}
    olds, news = (numbered(side, len(item.columns)) for side in "on")
    one = sql.SQL("'#' || seq::text")  # without a key every change stands for itself
    if item.key:
        pairs = [(sql.Identifier(f"o{places[c]}"), sql.Identifier(f"n{places[c]}")) for c in item.key]
        before, after = (sql.SQL("ROW({})::text").format(sql.SQL(", ").join(p[side] for p in pairs)) for side in (0, 1))
        # an update that changes the key starts a row of its own: no chain is guessed
        one = sql.SQL(
            "CASE WHEN op = 'U' AND {before} <> {after} THEN '#' || seq::text WHEN op = 'I' THEN {after} ELSE {before} END"
        ).format(before=before, after=after)  # type: ignore[assignment]
    query = NET.format(
        same=one,
        kept=kept(n),
        old=sql.SQL(", ").join(sql.SQL("f.{}").format(o) for o in olds),
        new=sql.SQL(", ").join(sql.SQL("l.{}").format(n) for n in news),
    )
    return sql.SQL("({})").format(query)


def stand_in(item: Item) -> str:
    """The COPY statement in the archive: into the table itself, or into a temporary one for the rest to be done by hand."""
    if item.kind == "rows":
        return f"COPY {item.table} ({columns(item.columns).as_string()}) FROM stdin;"
    made = [f"key_{name}" for name in item.key] + [f"old_{name}" for name in item.columns]
    if item.kind == "values":
        made = [*item.key, *item.columns]
    if item.kind == "retyped":
        made += [f"new_{name}" for name in item.columns]
    if item.kind == "touched":
        made = ["what", *(f"{side}_{name}" for side in ("old", "new") for name in item.columns)]
    name = sql.Identifier(f"saved_{'_'.join(item.table.replace(chr(34), '').split('.'))}_{item.kind}"[:63]).as_string()
    listed = ", ".join(f"{sql.Identifier(one).as_string()} text" for one in made)
    return f"CREATE TEMP TABLE {name} ({listed}); COPY {name} FROM stdin;"


# -- what is no row, and the end of the archive ---------------------------------------------------------------


def sequences(conn: postgres.Connection, changes: Sequence[Json]) -> list[Json]:
    """Where the sequences stand that will be dropped: {"name", "last", "table", "column"}; only those that were used."""
    gone = [one["object"] for one in changes if one["kind"] == "sequence" and one["change"] == "missing"]
    found = []
    for name in gone:
        called = sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(*schema.names(name)))
        row = conn.execute(called).fetchone()
        if row and row[1]:
            owner = postgres.execute(conn, OWNER, name)
            found.append(
                {
                    "name": name,
                    "last": row[0],
                    **dict(zip(("table", "column"), owner[0] if owner else (None, None), strict=True)),
                }
            )
    return found


def finish(
    conn: postgres.Connection,
    run: str,
    writer: Writer,
    counters: list[Json],
    before: schema.Snapshot,
    after: schema.Snapshot,
) -> Json:
    """The manifest, with definitions, owners and privileges of what is gone; what is told of the save. Raises OSError."""
    lost = [key for key, text in before.items() if after.get(key) != text]
    manifest = {
        "run": run,
        "sequences": counters,
        "definitions": [[*key, before[key]] for key in sorted(lost) if key.kind not in ("owner", "privileges")],
        "rights": rights.kept(before, lost),
    }
    size, digest = writer.close(manifest)
    since = postgres.execute(conn, "SELECT pg_current_snapshot()::text, pg_current_xact_id()::text")[0]
    return {
        "bytes": size,
        "sha256": digest,
        "rows": sum(part["rows"] for part in writer.parts if part["kind"] in ("rows", "touched")),
        "values": sum(part["rows"] for part in writer.parts if part["kind"] not in ("rows", "touched")),
        "parts": [{name: part[name] for name in ("kind", "table", "columns", "rows")} for part in writer.parts],
        "sequences": len(counters),
        "since": list(since),
    }
