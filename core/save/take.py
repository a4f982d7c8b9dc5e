"""Copies out what goes, in the transaction that destroys it: rows and values before the scripts, changed rows after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from psycopg import sql

from core import postgres, schema
from core.model import Json
from core.save import rights, sequences, xids
from core.save.archive import Writer
from core.save.inventory import Inventory
from core.save.items import Item, item_of
from core.save.net import image, net, standing
from core.save.texts import columns, identifiers, name_of, oid_of, whole
from core.save.watch import Watch

KEYED = sql.SQL("""
    SELECT CASE WHEN t.now IS NULL THEN 'gone' ELSE 'updated' END, w.o, t.now
      FROM {was} w LEFT JOIN (SELECT {key} AS key, {now} AS now FROM {source} t) t ON t.key = {old}
     WHERE {every} OR w.o IS DISTINCT FROM t.now""")
WEAK = sql.SQL("""
    WITH was AS (SELECT o, ctid AS at, row_number() OVER (PARTITION BY o) AS i FROM {was}),
         now AS (SELECT n, row_number() OVER (ORDER BY tab, at) AS at, row_number() OVER (PARTITION BY n) AS i
                   FROM (SELECT {now} AS n, t.tableoid AS tab, t.ctid AS at FROM {source} t) t),
         lost AS (SELECT o, at, {old} AS key, row_number() OVER (PARTITION BY {old} ORDER BY at) AS i FROM was w
                   WHERE {new_one}),
         come AS (SELECT n, at, {new} AS key, row_number() OVER (PARTITION BY {new} ORDER BY at) AS i FROM now w
                   WHERE {old_one}),
         pair AS (SELECT o, n, l.at AS left, c.at AS right FROM lost l JOIN come c USING (key, i)),
         rest AS (SELECT o, row_number() OVER (ORDER BY at) AS i FROM lost l WHERE NOT EXISTS (SELECT FROM pair p WHERE p.left = l.at)),
         more AS (SELECT n, row_number() OVER (ORDER BY at) AS i FROM come c WHERE NOT EXISTS (SELECT FROM pair p WHERE p.right = c.at))
    SELECT 'updated', o, n FROM pair
     UNION ALL SELECT CASE WHEN n IS NULL THEN 'deleted' ELSE 'updated' END, o, n FROM rest LEFT JOIN more USING (i)""")
"""Without a key: what looks the same before and after has not changed. The rest belongs together by what stays, else in its order."""


READ = ("datestyle", "intervalstyle", "xmloption", "lc_monetary")
"""Settings under which what was printed is read as it was."""


class Taking:
    """What is saved around the scripts of one transaction: begin, run them, `through`, and at last `finish`."""

    def __init__(
        self,
        conn: postgres.Connection,
        items: Sequence[Item],
        held: Inventory,
        writer: Writer,
        scripts: Sequence[str],
        changes: Sequence[Json],
    ) -> None:
        """Copy out what goes before the `scripts` run. `changes`: what they did to the schema in the rehearsal.

        Raises StepFailed(E-DIFFERS), OSError, psycopg.Error.
        """
        self.conn, self.writer = conn, writer
        gone = [one["object"] for one in changes if one["kind"] == "sequence" and one["change"] == "missing"]
        self.sequences = sequences.standing(conn, items, gone, scripts)
        self.rows = [item for item in items if item.kind == "rows"]
        self.retyped = [item for item in items if item.kind == "retyped"]
        self.touched = [item for item in items if item.kind == "touched"]
        readable(writer)
        with postgres.printing(conn):
            for item in items:
                if item.kind in ("rows", "values"):
                    copy(conn, item, writer, before(item), empty=item.kind == "rows")  # the table itself is told
            for n, item in enumerate(self.retyped):
                self._remember(n, item)
        compared = [item for item in self.retyped if item.weak]
        self.watch = Watch(conn, self.touched, held, [*self.rows, *compared])

    def through(self) -> None:
        """Right after the scripts: what they changed. Raises as the start does."""
        self.watch.end()
        self.sequences = sequences.set_back(self.conn, self.sequences)
        with postgres.printing(self.conn):
            for n, item in enumerate(self.retyped):
                copy(self.conn, item, self.writer, self._retyped(n, item))
            for n, item in enumerate(self.touched):
                copy(self.conn, item, self.writer, net(self.conn, n, item))
            for item in self.rows:
                self._left(item)

    def finish(self, run: str, before: schema.Snapshot, after: schema.Snapshot) -> Json:
        """The manifest, with definitions, owners and privileges of what is gone; what is told of the save. Raises OSError."""
        lost = [key for key, text in before.items() if after.get(key) != text]
        for part in self.writer.parts:
            part["now"] = called(self.conn, part)
        manifest = {
            "run": run,
            "sequences": self.sequences,
            "definitions": [[*key, before[key]] for key in sorted(lost) if key.kind not in ("owner", "privileges")],
            "rights": rights.kept(before, lost),
        }
        size, digest = self.writer.close(manifest, sequences.by_hand(self.sequences))
        since = [postgres.scalar(self.conn, "SELECT pg_current_snapshot()::text"), *xids.numbers(self.conn)]
        parts = [part for part in self.writer.parts if part["kind"] != "left"]
        return {
            "bytes": size,
            "sha256": digest,
            "rows": sum(part["rows"] for part in parts if part["kind"] in ("rows", "touched")),
            "values": sum(part["rows"] for part in parts if part["kind"] not in ("rows", "touched")),
            "parts": [
                {"kind": part["kind"], "table": part["table"], "columns": list(part["columns"]), "rows": part["rows"]}
                for part in parts
            ],
            "sequences": len(self.sequences),
            "since": since,
        }

    def _remember(self, n: int, item: Item) -> None:
        """The values before their type changes, as text: a column of the old type would be in the way of the scripts."""
        query = sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} AS o FROM {} t")
        self.conn.execute(query.format(_was(n), image(item, standing(self.conn, item)), item.source))

    def _retyped(self, n: int, item: Item) -> sql.Composed:
        """Rows whose values have changed: as they were, and as they are now."""
        now, places = standing(self.conn, item), [item.columns.index(name) for name in item.key]
        named = replace(item, table=name_of(self.conn, item.oid) or item.table)
        old, new = (whole(sql.SQL(f"{side}[{place + 1}]") for place in places) for side in "on")
        pieces: dict[str, sql.Composable] = {
            "was": _was(n),
            "now": image(item, now),
            "source": named.source,
            "old": old,
            "new": new,
        }
        # of columns that are made anew their NULLs too: the migration may fill them
        pieces["every"] = sql.SQL("true" if item.anew else "false")
        pieces["new_one"] = sql.SQL(
            "true" if item.anew else "NOT EXISTS (SELECT FROM now WHERE now.n = w.o AND now.i = w.i)"
        )
        pieces["old_one"] = sql.SQL(
            "true" if item.anew else "NOT EXISTS (SELECT FROM was WHERE was.o = w.n AND was.i = w.i)"
        )
        if item.weak:
            return sql.SQL("({})").format(WEAK.format(**pieces))
        return sql.SQL("({})").format(KEYED.format(key=whole(now[name].text() for name in item.key), **pieces))

    def _left(self, item: Item) -> None:
        """What the scripts leave in a table of the same name: not all that was saved has gone."""
        oid = oid_of(self.conn, item.table)
        now = columns(self.conn, oid) if oid else {}
        names = tuple(name for name in item.columns if name in now and not now[name].generated)
        if oid and names:
            types = tuple(now[name].type for name in names)
            numbers = tuple(now[name].number for name in names)
            whole = postgres.scalar(self.conn, "SELECT relkind = 'p' FROM pg_catalog.pg_class WHERE oid = %s", oid)
            left = replace(
                item, kind="left", oid=oid, columns=names, lost=names, types=types, numbers=numbers, whole=whole
            )
            copy(self.conn, left, self.writer, before(left))


def _was(n: int) -> sql.Composed:
    return sql.SQL("pg_temp.{}").format(sql.Identifier(f"rollback_was_{n}"))


def readable(writer: Writer) -> None:
    """Settings at the start of the archive, for whoever feeds it to psql."""
    writer.say("".join(f"SET {name} = '{postgres.PRINTED[name]}';\n" for name in READ))


def called(conn: postgres.Connection, part: Json) -> Json | None:
    """What the table and the columns of a part are called now."""
    name, now = name_of(conn, part["oid"]), standing(conn, item_of(part))
    return {"table": name, "columns": {old: own.name for old, own in now.items()}} if name else None


def copy(conn: postgres.Connection, item: Item, writer: Writer, query: sql.Composable, **more: Any) -> int:
    """One part of the archive: `rows` is added to what is told of the item, and `more`; how many rows."""
    about: Json = item.told() | more
    encoding = postgres.scalar(conn, "SHOW server_encoding")
    out = sql.SQL("COPY {} TO STDOUT (ENCODING {})").format(query, encoding)
    with writer.part(about, stand_in(item, encoding)) as write, conn.cursor() as cursor:
        with cursor.copy(out) as rows:
            for block in rows:
                write(block)  # type: ignore[arg-type]
        about["rows"] = cursor.rowcount
    return int(about["rows"])


def before(item: Item) -> sql.Composable:
    """The rows, or key and values, as they are now."""
    if item.kind != "values" and item.columns and not item.whole:
        return sql.SQL("{} ({})").format(item.name, identifiers(item.columns))
    where: sql.Composable = sql.SQL("")
    if not item.nulls:  # a row type of NULLs IS NULL, and yet is none
        some = sql.SQL(" OR ").join(sql.SQL("{} IS DISTINCT FROM NULL").format(sql.Identifier(c)) for c in item.lost)
        where = sql.SQL(" WHERE {}").format(some)
    return sql.SQL("(SELECT {} FROM {}{})").format(identifiers(item.columns), item.source, where)


def stand_in(item: Item, encoding: str) -> str:
    """The COPY statement in the archive: into the table itself, or into a temporary one for the rest to be done by hand."""
    end = f"FROM stdin (ENCODING '{encoding}');"
    if item.kind == "rows":
        return f"COPY {_written(*schema.names(item.table))} {_columns(item.columns)}{end}"
    made = [f"{_written(name)} text" for name in item.columns]
    if item.kind in ("retyped", "touched"):
        made = ["what text", "old text[]", "new text[]"]
    name = _written(f"saved_{item.kind}_{'_'.join(schema.names(item.table))}".encode()[:63].decode(errors="ignore"))
    return f"CREATE TEMP TABLE {name} ({', '.join(made)}); COPY {name} {end}"


def _columns(names: Sequence[str]) -> str:
    return f"({', '.join(map(_written, names))}) " if names else ""


def _written(*names: str) -> str:
    """A name as SQL on one line: COPY ends where its line ends."""

    def one(name: str) -> str:
        if name.isprintable():
            return sql.Identifier(name).as_string()
        text = "".join(c if c.isprintable() and c not in '\\"' else f"\\+{ord(c):06x}" for c in name)
        return f'U&"{text}"'

    return ".".join(map(one, names))
