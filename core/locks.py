"""Gets the locks that a script needs without a queue that stalls the application.

Whoever waits for an exclusive lock stands in a queue, and every reader that comes later waits behind. So: as long as
somebody has held one of the tables for longer than we would wait ourselves, we only look. When it is promising we stand
in the queue for a few milliseconds. Each failed try, and each second, lets the next one wait twice as long, up to
`lock_timeout`, so that a table with long and overlapping readers is had in the end too.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql

from core import postgres, schema
from core.errors import StepFailed
from core.model import Json

FIRST = 0.02  # seconds in the queue at the first try: a reader hardly notices
LOOK = 0.02  # seconds between two looks at who holds the tables
RUNG = 1.0  # seconds after which the next try may wait twice as long, whether one was made or not
HOLDERS: LiteralString = """
    SELECT coalesce(nullif(a.application_name, ''), a.backend_type, 'a prepared transaction'), a.state,
           coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 1e9)::float8, l.pid, l.relation::bigint
      FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a USING (pid)
     WHERE l.locktype = 'relation' AND l.granted AND l.relation = ANY (%s) AND l.pid IS DISTINCT FROM pg_backend_pid()
       AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
       AND coalesce(a.backend_type, '') <> 'autovacuum worker'
       AND (l.mode NOT IN ('AccessShareLock', 'RowShareLock') OR l.relation = ANY (%s))
     ORDER BY 3 DESC LIMIT 20"""
"""Who is in the way; autovacuum gives way by itself. Readers are in the way only where everything is locked out."""
OIDS: LiteralString = """
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.oid::bigint, c.relkind = 'm'
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = ANY (SELECT to_regclass(t)::oid FROM unnest(%s::text[]) t)"""
EXCLUSIVE = "ACCESS EXCLUSIVE"
SHARED = "SHARE ROW EXCLUSIVE"


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds: in the queue at most, and for everything together."""

    queue: float
    overall: float


def politely(
    conn: postgres.Connection,
    tables: Mapping[str, str],
    patience: Patience,
    begin: Callable[[], object],
    say: Callable[[list[Json]], object] = lambda holders: None,
) -> int:
    """Open the transaction by `begin` and lock the tables (qualified name -> mode) in it; the number of tries.

    `say` is told who is in the way, at each look. Raises StepFailed(E-LOCK) naming them, and
    psycopg.errors.UndefinedTable where a table is gone.
    """
    started, rung, tries = time.monotonic(), FIRST, 0
    while True:
        in_the_way = holders(conn, tables)
        oldest = max((one["seconds"] for one in in_the_way), default=0.0)
        if oldest <= rung:
            tries += 1
            begin()
            if _locked(conn, tables, min(rung, patience.queue)):
                say([])
                return tries
            conn.execute("ROLLBACK")
            rung = min(rung * 2, patience.queue)
        waited = time.monotonic() - started
        rung = min(max(rung, FIRST * 2 ** int(waited / RUNG)), patience.queue)
        say(in_the_way)
        if waited >= patience.overall:
            raise StepFailed(
                "E-LOCK", _not_free(tables, waited, tries, in_the_way), "End what holds it, then ask again."
            )
        time.sleep(LOOK * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret


def quiet(
    conn: postgres.Connection,
    table: str,
    patience: Patience,
    say: Callable[[list[Json]], object] = lambda holders: None,
) -> None:
    """Wait, in no queue, until nobody has used a table for longer than we would wait in one.

    For statements that wait for everybody who uses the table: begun too early they could be cut short in between.
    Raises StepFailed(E-LOCK).
    """
    started, tables = time.monotonic(), {table: EXCLUSIVE}
    while True:
        in_the_way = holders(conn, tables)
        if max((one["seconds"] for one in in_the_way), default=0.0) <= patience.queue:
            say([])
            return
        waited = time.monotonic() - started
        say(in_the_way)
        if waited >= patience.overall:
            raise StepFailed("E-LOCK", _not_free(tables, waited, 0, in_the_way), "End what holds it, then ask again.")
        time.sleep(LOOK * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret


def holders(conn: postgres.Connection, tables: Mapping[str, str]) -> list[Json]:
    """Who holds locks that are in the way, the oldest first: {"who", "state", "seconds", "pid", "table"}.

    No queries: they can hold data.
    """
    oids = {name: oid for name, oid, _ in postgres.execute(conn, OIDS, list(tables))}
    names = {oid: name for name, oid in oids.items()}
    exclusive = [oid for name, oid in oids.items() if tables[name] == EXCLUSIVE]
    return [
        {"who": who, "state": state or "active", "seconds": round(seconds, 3), "pid": pid, "table": names[relation]}
        for who, state, seconds, pid, relation in postgres.execute(conn, HOLDERS, list(oids.values()), exclusive)
    ]


def _locked(conn: postgres.Connection, tables: Mapping[str, str], seconds: float) -> bool:
    """Stand in the queue for so long. Materialized views have no LOCK: the script itself locks them."""
    before = postgres.execute(conn, "SHOW lock_timeout")[0][0]
    conn.execute(f"SET LOCAL lock_timeout = {max(1, int(seconds * 1000))}".encode())
    views = {name for name, _, view in postgres.execute(conn, OIDS, list(tables)) if view}
    try:
        for table, mode in sorted(tables.items()):
            if table not in views:
                name = sql.Identifier(*schema.names(table))
                conn.execute(sql.SQL("LOCK TABLE {} IN {} MODE").format(name, sql.SQL(mode)))
    except psycopg.errors.LockNotAvailable:
        return False
    conn.execute("SELECT set_config('lock_timeout', %s, true)", [before])
    return True


def told(in_the_way: list[Json], most: int = 3) -> str:
    """`nightly-report (idle in transaction for 4 s)`, the oldest first."""
    found = [
        f"{one['who']} ({one['state']}" + (f" for {one['seconds']:.0f} s)" if one["seconds"] >= 1 else ")")
        for one in in_the_way
    ]
    return ", ".join(list(dict.fromkeys(found))[:most])


def _not_free(tables: Mapping[str, str], waited: float, tries: int, in_the_way: list[Json]) -> str:
    blamed = {one["table"] for one in in_the_way} or tables
    names = ", ".join(f"`{schema.plain(table)}`" for table in sorted(blamed))
    held = f" (held by {told(in_the_way)})" if in_the_way else ""
    many = "" if not tries else ", 1 try" if tries == 1 else f", {tries} tries"
    return (
        f"The lock on {names} was not free within {waited:.0f} s{many}{held}. "
        "The transaction was undone; production was not changed."
    )
