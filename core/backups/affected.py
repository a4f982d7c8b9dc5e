"""What a rollback destroys, written to a file before it runs, and its fingerprints."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import IO

import psycopg
from psycopg import sql

from core import postgres
from core.backups.fingerprints import Marks, mark, tables
from core.model import Json
from core.pgtools import Cancelled
from core.runbook import Work
from core.save.archive import Writer
from core.save.inventory import inventory
from core.save.items import Item, items
from core.save.take import as_text, before, copy, numbered, sequences


def items_of(conn: postgres.Connection, rehearsed: Json) -> list[Item]:
    """Whole tables, and the values of dropped columns with their keys. `rehearsed`: evidence of the rehearsal."""
    held = inventory(conn)
    gone = rehearsed["destroyed"]
    names = {*rehearsed["writes"], *rehearsed["emptied"], *(table for table, _ in gone["retyped"])}
    if rehearsed["blind"]:  # nobody could tell whether these were written anew or emptied
        names |= {*gone["moved"]}
    roots = {oid for oid, table in held.items() if table.name in names and table.kind == "p"}
    names |= {table.name for table in held.values() if table.root in roots}
    found = items(conn, held, {**gone, "retyped": []}, names, ())
    return [replace(item, nulls=False) if item.kind == "values" else item for item in found]


def write(conn: postgres.Connection, work: Work, found: Sequence[Item], out: IO[bytes]) -> None:
    """All of them into a file in the form of a save, in the open transaction. Raises Cancelled, OSError, psycopg.Error."""
    writer = Writer(out)
    with postgres.printing(conn):
        for item in found:
            copy(conn, item, writer, before(item))
    counters = sequences(conn, work.run.evidence["rehearse"]["changes"])
    writer.close({"run": work.run.id, "sequences": counters, "definitions": [], "rights": []})


@contextmanager
def stoppable(conn: postgres.Connection, cancelled: Callable[[], bool]) -> Iterator[None]:
    """What the connection does in the block is ended where the rollback was closed meanwhile. Raises Cancelled."""
    over, closed = threading.Event(), threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            if cancelled():
                closed.set()
                with suppress(psycopg.Error):  # the connection is gone, so is what it did
                    conn.cancel_safe(timeout=5)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield
    except psycopg.errors.QueryCanceled:
        if not closed.is_set():
            raise
        raise Cancelled from None
    finally:
        over.set()
        watcher.join()


def marks(conn: postgres.Connection, found: Sequence[Item]) -> Marks:
    """By table: of its rows, or of the values that go with their keys; in the open transaction."""
    columns = dict(tables(conn))
    with postgres.printing(conn):
        return {
            item.table: value_mark(conn, item) if item.kind == "values" else mark(conn, item.table, columns[item.table])
            for item in found
        }


def value_mark(conn: postgres.Connection, item: Item, stage: sql.Composable | None = None) -> list[str]:
    """Of values with their keys, as they are printed; `stage`: of those that came back, in a table of texts."""
    if stage is None:
        listed = [*as_text(item.key), *map(sql.Identifier, item.columns)]
        some = sql.SQL(" OR ").join(sql.SQL("{} IS NOT NULL").format(sql.Identifier(one)) for one in item.columns)
        source: sql.Composable = sql.SQL("{} WHERE {}").format(item.source, some)
    else:
        listed = [*numbered("k", len(item.key)), *numbered("o", len(item.columns))]
        source = stage
    query = sql.SQL(
        'SELECT count(*)::text, coalesce(sum(hashtextextended(ROW({})::text COLLATE "C", 0)), 0)::text FROM {}'
    ).format(sql.SQL(", ").join(listed), source)
    return list(conn.execute(query).fetchone() or ())
