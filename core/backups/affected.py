"""What a rollback destroys, written to a file before it runs, and its fingerprints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import IO

from psycopg import sql

from core import postgres
from core.backups.fingerprints import Marks, mark, tables
from core.meter import Phase
from core.model import Json
from core.runbook import Work
from core.save.archive import Writer
from core.save.inventory import inventory
from core.save.items import Item, items
from core.save.sequences import by_hand, standing
from core.save.take import before, called, copy, readable
from core.save.texts import columns, numbered, whole


def items_of(conn: postgres.Connection, rehearsed: Json) -> list[Item]:
    """Whole tables, and the values of dropped columns with their keys. `rehearsed`: evidence of the rehearsal."""
    held = inventory(conn)
    gone = rehearsed["destroyed"]
    names = {*rehearsed["writes"], *rehearsed["emptied"], *(table for table, _ in gone["retyped"])}
    if rehearsed["blind"]:  # nobody could tell whether these were written anew or emptied
        names |= {*gone["moved"]}
    roots = {oid for oid, table in held.items() if table.name in names and table.kind == "p"}
    names |= {table.name for table in held.values() if table.root in roots}
    found = items(conn, held, {**gone, "retyped": [], "moved": []}, names, (), ())
    return [replace(item, nulls=False) if item.kind == "values" else item for item in found]


def write(conn: postgres.Connection, work: Work, found: Sequence[Item], out: IO[bytes]) -> None:
    """All of them into a file in the form of a save, in the open transaction. Raises Cancelled, OSError, psycopg.Error."""
    writer = Writer(out, work.meter.phase)
    readable(writer)
    with postgres.printing(conn):
        for item in found:
            copy(conn, item, writer, before(item), empty=True)
    for part in writer.parts:
        part["now"] = called(conn, part)
    changes = work.run.evidence["rehearse"]["changes"]
    gone = [one["object"] for one in changes if one["kind"] == "sequence" and one["change"] == "missing"]
    counters = standing(conn, found, gone, ())
    manifest = {"run": work.run.id, "sequences": counters, "definitions": [], "rights": []}
    writer.close(manifest, by_hand(counters))


def marks(conn: postgres.Connection, work: Work, found: Sequence[Item]) -> Marks:
    """By table: of its rows, or of the values that go with their keys; in the open transaction."""
    listed, made = dict(tables(conn)), Marks()
    hashed = work.meter.show(Phase("hashed", "table", len({item.table for item in found})))
    with postgres.printing(conn):
        for item in found:
            of_values = item.kind == "values"
            made[item.table] = value_mark(conn, item) if of_values else mark(conn, item.table, listed[item.table])
            hashed.done = len(made)
    return made


def value_mark(conn: postgres.Connection, item: Item, stage: sql.Composable | None = None) -> list[str]:
    """Of values with their keys, as COPY writes them; `stage`: of those that came back, in a table of texts."""
    if stage is None:
        own = columns(conn, item.oid)
        texts = whole(own[name].text() for name in item.columns)
        some = sql.SQL(" OR ").join(sql.SQL("{} IS DISTINCT FROM NULL").format(sql.Identifier(c)) for c in item.lost)
        source: sql.Composable = sql.SQL("{} t WHERE {}").format(item.source, some)
    else:
        texts, source = whole(numbered("o", len(item.columns))), stage
    query = sql.SQL('SELECT count(*)::text, coalesce(sum(hashtextextended({} COLLATE "C", 0)), 0)::text FROM {}')
    return list(conn.execute(query.format(texts, source)).fetchone() or ())
