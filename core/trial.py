"""Runs rollback scripts on a scratch database, in one transaction that is rolled back, and reports what they did."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import LiteralString

import psycopg

from core import postgres, schema
from core.errors import Refused, StepFailed
from core.ledger import canonical
from core.model import Json
from core.observer import Observer, Seen
from core.redact import pg_error
from core.runbook import Work
from core.schema import Change
from core.script import read

LOCKS: LiteralString = """
    SELECT relation::bigint, mode FROM pg_catalog.pg_locks
     WHERE pid = pg_catalog.pg_backend_pid() AND locktype = 'relation' AND granted
       AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"""
TABLES: LiteralString = """
    SELECT c.oid::bigint, quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'm')
       AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'rollback_bot', 'rollback_rehearsal')
       AND n.nspname !~ '^pg_(toast|temp)'"""
ROWS: LiteralString = """
    SELECT pg_catalog.quote_ident(schemaname) || '.' || pg_catalog.quote_ident(relname), n_tup_ins, n_tup_upd, n_tup_del FROM pg_catalog.pg_stat_xact_user_tables"""
STRONG = {"ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"}
"""Lock modes that keep writers, or writers and readers, out of a table."""


class LeftTransaction(StepFailed):
    """A statement ended the transaction that it ran in."""


@dataclass(frozen=True)
class Again:
    """Do the forward migrations apply again afterwards, and give the same schema? None: it could not be tried."""

    works: bool | None
    why: str = ""


@dataclass(frozen=True)
class Done:
    """What the scripts did. `before` and `after` are snapshots, `touched` rows by table (inserted, updated, deleted)."""

    statements: int
    seconds: float
    before: schema.Snapshot
    after: schema.Snapshot
    changes: tuple[Change, ...]
    locks: tuple[tuple[str, str], ...]
    touched: dict[str, tuple[int, int, int]]
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
            "reapplies": self.again.works,
            "why_not_reapplies": self.again.why,
        }


def run(work: Work, url: str, code: str, sentence: str, forward: Sequence[tuple[str, bytes]] | None = None) -> Done:
    """Run the scripts of the plan on `url`, then the `forward` ones, and take everything back.

    Raises StepFailed(code).
    """
    try:
        return _run(work, url, code, sentence, forward)
    except psycopg.Error as error:  # in a statement of ours: the script has left settings behind that break it
        raise StepFailed(
            code,
            f"{sentence}: after it, {pg_error(error)}.",
            "Mend the script and ask again. Production was not changed.",
        ) from None


def _run(work: Work, url: str, code: str, sentence: str, forward: Sequence[tuple[str, bytes]] | None) -> Done:
    with postgres.connect(url, f"rollback-bot {work.run.id}", "the scratch server") as conn:
        limit = int(work.target.statement_timeout.total_seconds() * 1000)
        conn.execute(f"SET statement_timeout = {limit}".encode())
        with conn.transaction(force_rollback=True):
            observer = Observer(conn)
            before, names = schema.snapshot(conn), dict(postgres.execute(conn, TABLES))
            started, held = time.monotonic(), set[tuple[str, str]]()
            count = 0
            for file, statement in statements(work.run.evidence["identify"]["undo"]):
                one(conn, file, statement, code, sentence)
                count += 1
                held |= {(names[oid], mode) for oid, mode in postgres.execute(conn, LOCKS) if oid in names}
            seconds = time.monotonic() - started
            touched = {name: (i, u, d) for name, i, u, d in postgres.execute(conn, ROWS) if i or u or d}
            for reset in ("RESET SESSION AUTHORIZATION", "RESET ROLE", "RESET ALL"):
                conn.execute(reset)  # whatever the script has set must not steer what follows
            postgres.ours(conn)
            conn.execute(f"SET statement_timeout = {limit}".encode())
            seen = observer.seen(code)
            after = schema.snapshot(conn)
            again = _forward_again(conn, forward, before)
    locks = tuple(sorted((table, mode) for table, mode in held if mode in STRONG))
    return Done(count, seconds, before, after, tuple(schema.difference(before, after)), locks, touched, seen, again)


def _forward_again(
    conn: postgres.Connection, forward: Sequence[tuple[str, bytes]] | None, before: schema.Snapshot
) -> Again:
    """Apply the forward migrations in the same transaction and compare with the schema from before the scripts."""
    if forward is None:
        return Again(None, "a forward migration is missing")
    for name, data in forward:
        try:
            script = read(name, data)
            for statement in script.statements:
                conn.execute(statement.sql.encode(), binary=True)
        except Refused as no:
            return Again(None, no.message)
        except psycopg.Error as error:
            return Again(False, f"`{name}` fails: {pg_error(error)}")
    found = [c.message for c in schema.difference(before, schema.snapshot(conn)) if c.severity == "harmful"]
    return Again(not found, "; ".join(found[:3]))


def statements(undo: Iterable[Json]) -> list[tuple[str, Json]]:
    """File and statement, in the order in which they run."""
    return [(item["script"]["file"], s) for item in undo for s in item["script"]["statements"]]


def one(conn: postgres.Connection, file: str, statement: Json, code: str, sentence: str) -> None:
    """One statement, by the extended protocol: the server itself refuses two in one.

    Afterwards the transaction must still be ours. Raises StepFailed(code) with file, line, SQLSTATE and first line.
    """
    where = f"`{file}`, line {statement['line']}"
    try:
        conn.execute(statement["sql"].encode(), binary=True)
    except psycopg.Error as error:
        raise StepFailed(
            code,
            f"{sentence}: {where}: {pg_error(error)}.",
            "Mend the script and ask again. Production was not changed.",
        ) from None
    if conn.info.transaction_status != psycopg.pq.TransactionStatus.INTRANS:
        raise LeftTransaction(
            code, f"{sentence}: {where} ended the transaction.", "Take transaction control out of the script."
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
