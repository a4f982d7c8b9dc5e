"""Rows and a hash of each table: two databases hold the same when these are the same, whatever the order of the rows.

A row's hash is made of one hash for each column, by PostgreSQL's own hash functions: of the bytes where equal bytes are equal
values on every server, else of the text that the value is printed as. That takes a third of the time of hashing the
row as text. The settings that steer printing are pinned, so that two servers print the same value the same way.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import LiteralString

import psycopg
from psycopg import sql

from core import postgres, schema
from core.meter import Phase
from core.pgtools import Cancelled

Marks = dict[str, list[str]]
"""By the table's qualified and quoted name: [rows, sum of the rows' hashes]."""
Table = tuple[str, list[tuple[str, str]]]
"""A table's name, and name and type of its columns."""

TABLES: LiteralString = """
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname),
           coalesce((SELECT array_agg(ARRAY[a.attname::text, format_type(a.atttypid, NULL)] ORDER BY a.attnum)
                       FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
                    '{}')
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
       AND n.nspname !~ '^pg_(toast|temp)'
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
     ORDER BY c.relpages DESC, 1"""
"""The biggest first, so that no reader ends with the biggest while the others have nothing left."""

HASHES: dict[str, LiteralString] = {
    "smallint": "hashint8extended({}, {})",
    "integer": "hashint8extended({}, {})",
    "bigint": "hashint8extended({}, {})",
    "text": 'hashtextextended({} COLLATE "C", {})',
    "character varying": 'hashtextextended({} COLLATE "C", {})',
    "uuid": "uuid_hash_extended({}, {})",
    "timestamp without time zone": "timestamp_hash_extended({}, {})",
    "timestamp with time zone": "timestamp_hash_extended({}::timestamp, {})",  # the time zone is pinned to UTC
}
TEXT: LiteralString = 'hashtextextended(ROW({})::text COLLATE "C", {})'
"""Any other type, by its output function: a cast to text may be somebody's own. Types that have a hash too, where it takes
for equal what is not the same, such as 1.0 and 1.00."""


def fingerprints(
    url: str,
    run: str,
    snapshot: str | None = None,
    workers: int = 2,
    cancelled: Callable[[], bool] = lambda: False,
    phase: Phase | None = None,
) -> Marks:
    """Of every table that is not an extension's. In `snapshot` (exported by another transaction), or as of now.

    `phase` counts them. Raises Cancelled, psycopg.Error.
    """
    with reading(url, run, snapshot, workers, phase) as marks:
        return marks(cancelled)


@contextmanager
def reading(
    url: str, run: str, snapshot: str | None = None, workers: int = 2, phase: Phase | None = None
) -> Iterator[Callable[[Callable[[], bool]], Marks]]:
    """The same in the background: yields what waits for the result. Leaving ends queries that still run."""
    phase = phase or Phase()
    with ExitStack() as ending:
        readers = [ending.enter_context(reader(url, run, snapshot)) for _ in range(workers)]
        todo: deque[Table] = deque(tables(readers[0]))
        phase.total = len(todo)
        pool = ending.enter_context(ThreadPoolExecutor(workers, "fingerprints"))
        stop = threading.Event()
        running = [pool.submit(_some, conn, todo, stop, phase) for conn in readers]
        ending.callback(_end, readers, todo, stop)
        yield partial(_gathered, running)


def _some(conn: postgres.Connection, todo: deque[Table], stop: threading.Event, phase: Phase) -> Marks:
    found: Marks = {}
    with suppress(IndexError):  # nothing is left to do
        while not stop.is_set():
            name, columns = todo.popleft()
            found[name] = mark(conn, name, columns)
            phase.add()
    return found


def _gathered(running: Sequence[Future[Marks]], cancelled: Callable[[], bool]) -> Marks:
    left: set[Future[Marks]] = {*running}
    while left:
        done, left = wait(left, 0.2, "FIRST_EXCEPTION")
        for one in done:
            one.result()
        if cancelled():
            raise Cancelled
    return dict(sorted(pair for one in running for pair in one.result().items()))


def _end(readers: Sequence[postgres.Connection], todo: deque[Table], stop: threading.Event) -> None:
    stop.set()
    todo.clear()
    for conn in readers:
        with suppress(psycopg.Error):  # it has ended by itself
            conn.cancel_safe(timeout=5)


@contextmanager
def reader(url: str, run: str, snapshot: str | None) -> Iterator[postgres.Connection]:
    """A read-only transaction, in an exported snapshot where one is given.

    One process of the server each where the target is read: how many there are is ours to say.
    """
    conn = postgres.connect(url, f"rollback-bot {run} reading")
    try:
        patient(conn)
        conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if snapshot:
            conn.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
            conn.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        postgres.settle(conn, postgres.PRINTED)
        yield conn
    finally:
        conn.close()


def patient(conn: postgres.Connection) -> None:
    """No time limits of the role or the database, as in pg_dump: reading everything may take long, and idling for it."""
    limits = [
        "statement_timeout",
        "idle_in_transaction_session_timeout",
        "transaction_timeout",
    ]  # the last one since 17
    conn.execute("SELECT set_config(name, '0', false) FROM pg_settings WHERE name = ANY(%s)", [limits])


def tables(conn: postgres.Connection) -> list[Table]:
    """Every table that is not an extension's, the biggest first."""
    return [(name, [(column, kind) for column, kind in columns]) for name, columns in postgres.execute(conn, TABLES)]


def mark(conn: postgres.Connection, name: str, columns: Sequence[tuple[str, str]]) -> list[str]:
    """Rows and hash of one table, under the settings of `postgres.PRINTED`."""
    parts = [_hash(column, kind, place) for place, (column, kind) in enumerate(columns, 1)]
    whole = sql.SQL(" # ").join(parts) if parts else sql.SQL("0::bigint")
    query = sql.SQL("SELECT count(*)::text, coalesce(sum({}), 0)::text FROM ONLY {} t")
    row = conn.execute(query.format(whole, sql.Identifier(*schema.names(name)))).fetchone()
    return list(row or ())


def _hash(column: str, kind: str, place: int) -> sql.Composed:
    """The place is the seed, so that values that have changed places are told apart; alone it stands for NULL."""
    value = sql.SQL("t.{}").format(sql.Identifier(column))
    one = sql.SQL(HASHES.get(kind, TEXT)).format(value, sql.Literal(place))
    return sql.SQL("coalesce({}, {})").format(one, sql.Literal(place))
