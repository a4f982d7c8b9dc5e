"""Runs rollback scripts on a scratch database, in one transaction that is rolled back, and reports what they did."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import LiteralString

import psycopg

from core import postgres, schema
from core.commit import Seal
from core.errors import StepFailed
from core.forward import Forward
from core.ledger import canonical
from core.model import Json
from core.observer import Observer, Seen
from core.parts import inside
from core.redact import pg_error
from core.runbook import Work
from core.save.inventory import Destroyed, Inventory, destroyed, inventory
from core.save.links import settle
from core.schema import Change
from core.stopping import stoppable

LOCKS: LiteralString = """
    SELECT relation::bigint, mode FROM pg_catalog.pg_locks
     WHERE pid = pg_catalog.pg_backend_pid() AND locktype = 'relation' AND granted
       AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"""
VIEWS: LiteralString = """
    SELECT c.oid::bigint, quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'm' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'"""
ROWS: LiteralString = """
    SELECT relid::bigint, pg_catalog.quote_ident(schemaname) || '.' || pg_catalog.quote_ident(relname), n_tup_ins, n_tup_upd, n_tup_del
      FROM pg_catalog.pg_stat_xact_user_tables
     WHERE schemaname NOT IN ('rollback_bot', 'rollback_rehearsal') AND schemaname !~ '^pg_temp'"""
ACTIONS: LiteralString = """
    SELECT confrelid::bigint, conrelid::bigint FROM pg_catalog.pg_constraint
     WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))"""
"""Foreign keys that write by themselves: rows of the first table, when they go, take along or change rows of the second."""
STRONG = {"ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"}
"""Lock modes that keep writers, or writers and readers, out of a table."""
WRITES = "RowExclusiveLock"
"""The lock of INSERT, UPDATE and DELETE: on an empty copy it tells of writes that find no row."""


Counts = tuple[int, int, int]


class LeftTransaction(StepFailed):
    """A statement ended the transaction that it ran in."""


@dataclass(frozen=True)
class Again:
    """Do the forward migrations apply again afterwards, and give the same schema? None: it could not be tried.

    `seeds`: how many rows they put into each table by themselves. `derived`: see `core.forward`.
    """

    works: bool | None
    why: str = ""
    seeds: dict[str, int] = field(default_factory=dict)
    derived: Sequence[str] = ()


@dataclass(frozen=True)
class Done:
    """What the scripts did. `before` and `after` are snapshots, `touched` rows by table (inserted, updated, deleted).

    `writes`: tables that they wrote to, or would have if there had been rows. `slowest`: seconds of one statement.
    """

    statements: int
    seconds: float
    before: schema.Snapshot = field(default_factory=dict)
    after: schema.Snapshot = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    locks: tuple[tuple[str, str], ...] = ()
    touched: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    destroyed: Destroyed = field(default_factory=Destroyed)
    writes: tuple[str, ...] = ()
    slowest: float = 0.0
    seen: Seen = field(default_factory=Seen)
    again: Again = field(default_factory=lambda: Again(None, "not tried"))

    def evidence(self) -> Json:
        """As it is kept in the ledger."""
        return {
            "statements": self.statements,
            "script_seconds": round(self.seconds, 3),
            "changes": [told(change) for change in self.changes],
            "effect": effect(self.changes),
            "locks": [{"table": table, "mode": mode} for table, mode in self.locks],
            "cascaded": [{"kind": kind, "name": schema.plain(name)} for kind, name in self.seen.cascaded],
            "rewritten": [schema.plain(name) for name in self.seen.rewritten],
            "emptied": list(self.seen.emptied),
            "blind": self.seen.blind,
            "destroyed": self.destroyed.told(),
            "writes": list(self.writes),
            "reapplies": self.again.works,
            "why_not_reapplies": self.again.why,
            "seeds": self.again.seeds,
            "derived": list(self.again.derived),
        }


def run(
    work: Work,
    url: str,
    todo: Sequence[tuple[str, Json]],
    code: str,
    sentence: str,
    forward: Forward | str | None = None,
) -> Done:
    """Run the statements (file and statement) on `url`, then the `forward` scripts, and take everything back.

    `forward` is a text where it is known that they cannot be run. Raises StepFailed(code), Cancelled.
    """
    try:
        return _run(work, url, todo, code, sentence, forward)
    except psycopg.Error as error:  # in a statement of ours: the script has left settings behind that break it
        raise StepFailed(
            code,
            f"{sentence}: after it, {pg_error(error)}.",
            "Mend the script and ask again. Production was not changed.",
        ) from None


def _run(
    work: Work, url: str, todo: Sequence[tuple[str, Json]], code: str, sentence: str, forward: Forward | str | None
) -> Done:
    with postgres.connect(url, f"rollback-bot {work.run.id}", "the scratch server") as conn:
        limit = int(work.target.statement_timeout.total_seconds() * 1000)
        conn.execute(f"SET statement_timeout = {limit}".encode())
        with stoppable(conn, work.cancelled), conn.transaction(force_rollback=True):
            postgres.make_room(conn)
            before = schema.snapshot(conn)
            done = effects(conn, todo, code, sentence)
            after = schema.snapshot(conn)
            again = _forward_again(conn, forward, before)
    return replace(done, before=before, after=after, changes=tuple(schema.difference(before, after)), again=again)


def effects(conn: postgres.Connection, todo: Sequence[tuple[str, Json]], code: str, sentence: str) -> Done:
    """Run the statements in the open transaction and tell what they did, but for the schema. Raises StepFailed(code)."""
    observer, held, limit = Observer(conn), inventory(conn), postgres.scalar(conn, "SHOW statement_timeout")
    Seal(conn)  # a script that ends its transaction is found here
    touched = Touched(conn, held)
    started, slowest = time.monotonic(), 0.0
    for file, statement in todo:
        at = time.monotonic()
        one(conn, file, statement, code, sentence)
        slowest = max(slowest, time.monotonic() - at)
        touched.look()
    settle(conn)  # what COMMIT would check: the transaction here never gets that far
    seconds, rows = time.monotonic() - started, touched.rows()
    reset(conn)
    conn.execute("SELECT set_config('statement_timeout', %s, false)", [limit])
    gone = destroyed(held, inventory(conn))
    return Done(
        len(todo),
        seconds,
        locks=touched.strong,
        touched=rows,
        destroyed=gone,
        writes=touched.writes,
        slowest=slowest,
        seen=observer.seen(code),
    )


class Touched:
    """Which tables and views the open transaction locks and writes to from now on; `look` after each statement."""

    def __init__(self, conn: postgres.Connection, held: Inventory) -> None:
        self.conn, self.seen = conn, set[tuple[int, str]]()
        self.names = {oid: table.name for oid, table in held.items()} | dict(postgres.execute(conn, VIEWS))
        self.actions, self.earlier = postgres.execute(conn, ACTIONS), _rows(conn)

    def look(self) -> None:
        self.seen |= {(oid, mode) for oid, mode in postgres.execute(self.conn, LOCKS) if oid in self.names}

    @property
    def strong(self) -> tuple[tuple[str, str], ...]:
        """Table and mode, of the locks that keep somebody out."""
        return tuple(sorted((self.names[oid], mode) for oid, mode in self.seen if mode in STRONG))

    @property
    def writes(self) -> tuple[str, ...]:
        """The tables that were written to, or would have been if there had been rows."""
        written = {oid for oid, mode in self.seen if mode == WRITES} | self._more().keys()
        return tuple(sorted(self.names[oid] for oid in reached(written, self.actions) if oid in self.names))

    def rows(self) -> dict[str, Counts]:
        """Rows inserted, updated and deleted, by table as it was called at first."""
        return {self.names.get(oid, name): counts for oid, (name, counts) in self._more().items()}

    def _more(self) -> dict[int, tuple[str, Counts]]:
        found = {oid: (name, _more(counts, self.earlier.get(oid))) for oid, (name, counts) in _rows(self.conn).items()}
        return {oid: one for oid, one in found.items() if any(one[1])}


def reset(conn: postgres.Connection) -> None:
    """Whatever a script has set must not steer what follows."""
    for statement in ("RESET SESSION AUTHORIZATION", "RESET ROLE", "RESET ALL"):
        conn.execute(statement.encode())
    postgres.ours(conn)


def _rows(conn: postgres.Connection) -> dict[int, tuple[str, Counts]]:
    """Name of each table that was written to, and rows inserted, updated, deleted: by earlier transactions too."""
    return {oid: (name, (i, u, d)) for oid, name, i, u, d in postgres.execute(conn, ROWS) if i or u or d}


def _more(now: Counts, earlier: tuple[str, Counts] | None) -> Counts:
    before = earlier[1] if earlier else (0, 0, 0)
    return now[0] - before[0], now[1] - before[1], now[2] - before[2]


def reached(written: set[int], actions: Sequence[tuple[int, int]]) -> set[int]:
    """The tables, and those that their foreign keys write to, whether or not there were rows for it this time."""
    while more := {child for parent, child in actions if parent in written} - written:
        written = written | more
    return written


def _forward_again(conn: postgres.Connection, forward: Forward | str | None, before: schema.Snapshot) -> Again:
    """Apply the forward migrations in the same transaction and compare with the schema from before the scripts."""
    if not isinstance(forward, Forward):
        return Again(None, forward or "not tried")
    try:
        seeds = seeded(conn, forward)
    except Failed as failed:
        return Again(False, str(failed), derived=forward.derived)
    found = [c.message for c in schema.difference(before, schema.snapshot(conn)) if c.severity == "harmful"]
    return Again(not found, "; ".join(found[:3]), seeds, forward.derived)


class Failed(Exception):
    """A forward script fails: which, and how."""


def seeded(conn: postgres.Connection, forward: Forward) -> dict[str, int]:
    """Run the forward scripts; how many rows they put into each table by themselves. Raises Failed."""
    earlier = _rows(conn)
    for name, statement in forward.statements:
        try:
            conn.execute(inside(statement), binary=True)
        except psycopg.Error as error:
            raise Failed(f"`{name}` fails: {pg_error(error)}") from None
    now = {name: _more(counts, earlier.get(oid))[0] for oid, (name, counts) in _rows(conn).items()}
    return {name: rows for name, rows in now.items() if rows > 0}


def statements(undo: Iterable[Json]) -> list[tuple[str, Json]]:
    """File and statement, in the order in which they run."""
    return [(item["script"]["file"], s) for item in undo for s in item["script"]["statements"]]


def one(conn: postgres.Connection, file: str, statement: Json, code: str, sentence: str) -> None:
    """One statement, by the extended protocol: the server itself refuses two in one.

    Afterwards the transaction must still be ours. Raises StepFailed(code) with file, line, SQLSTATE and first line.
    """
    try:
        conn.execute(inside(statement), binary=True)
    except psycopg.Error as error:
        raise failed(code, sentence, file, statement, error) from None
    if conn.info.transaction_status != psycopg.pq.TransactionStatus.INTRANS:
        raise LeftTransaction(
            code,
            f"{sentence}: `{file}`, line {statement['line']} ended the transaction.",
            "Take transaction control out of the script.",
        )


def failed(code: str, sentence: str, file: str, statement: Json, error: psycopg.Error) -> StepFailed:
    """Where, and what PostgreSQL said: SQLSTATE and first line."""
    return StepFailed(
        code,
        f"{sentence}: `{file}`, line {statement['line']}: {pg_error(error, statement['sql'])}.",
        "Mend the script and ask again. Production was not changed.",
    )


def key(change: Change) -> tuple[str, str, str]:
    """What makes two changes the same."""
    return change.kind, change.object, change.change


def told(change: Change) -> Json:
    """A change as it is kept in the ledger."""
    return {
        "kind": change.kind,
        "object": change.object,
        "change": change.change,
        "severity": change.severity,
        "message": change.message,
        "table": change.table,
    }


def effect(changes: Sequence[Change]) -> str:
    """SHA-256 of what was changed: equal where two runs of the scripts did the same."""
    return hashlib.sha256(canonical(sorted([key(change) for change in changes])).encode()).hexdigest()
