"""Who uses the affected tables now, and what was written since the migration: read-only questions to the target.

Each answer says how sure it is. Row contents are never read into the answer: counts, times and application names only.
"""

from __future__ import annotations

import time
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from core import postgres, schema
from core.model import Json

STATS: LiteralString = """
    SELECT quote_ident(schemaname) || '.' || quote_ident(relname), seq_scan + coalesce(idx_scan, 0),
           n_tup_ins + n_tup_upd + n_tup_del
      FROM pg_catalog.pg_stat_user_tables"""
HOLDERS: LiteralString = """
    SELECT coalesce(nullif(a.application_name, ''), a.backend_type, 'a session'), a.state, max(l.mode),
           extract(epoch FROM clock_timestamp() - min(a.xact_start))::int
      FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
     WHERE l.locktype = 'relation' AND l.granted AND l.relation = %s::regclass
       AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
       AND a.pid <> pg_catalog.pg_backend_pid() AND a.application_name NOT LIKE 'rollback-bot%%'
     GROUP BY 1, 2, a.pid ORDER BY 4 DESC NULLS LAST LIMIT 5"""
TIMES: LiteralString = """
    SELECT a.attname FROM pg_catalog.pg_attribute a
     WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
       AND a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype) AND a.attname = ANY(%s)
     ORDER BY array_position(%s, a.attname::text) LIMIT 1"""
WRITTEN = ["updated_at", "modified_at", "changed_at", "created_at", "inserted_at", "received_at", "recorded_at", "at"]
"""Names that teams give to the time of a write, the most telling first."""
SAMPLE = 1.0  # seconds between two looks: PostgreSQL publishes its counters once a second


class Usage:
    """Two samples of the counters of all tables, and what is known of some besides."""

    def __init__(self, conn: postgres.Connection) -> None:
        self.conn = conn
        self.started = time.monotonic()
        self.first = self._stats()

    def tell(self, tables: list[str], applied_at: str | None, budget: float) -> list[Json]:
        """One record per table: {"table", "reads", "writes", "per": seconds, "holders", "since", "last_write"}.

        Waits until the counters had time to move. `since`: rows written since `applied_at`, None where no column tells.
        """
        left = self.started + SAMPLE - time.monotonic()
        if left > 0:
            time.sleep(left)
        span, deadline, now = time.monotonic() - self.started, time.monotonic() + budget, self._stats()
        return [self._table(table, now.get(table, (0, 0)), span, applied_at, deadline) for table in tables]

    def _table(self, table: str, now: tuple[int, int], span: float, applied_at: str | None, deadline: float) -> Json:
        before = self.first.get(table, now)
        holders = [
            {"who": who, "state": state or "active", "mode": mode, "seconds": seconds or 0}
            for who, state, mode, seconds in postgres.execute(self.conn, HOLDERS, self._name(table))
        ]
        return {
            "table": table,
            "reads": max(now[0] - before[0], 0),
            "writes": max(now[1] - before[1], 0),
            "per": round(span, 1),
            "holders": holders,
            **self._written(table, applied_at, deadline),
        }

    def _written(self, table: str, applied_at: str | None, deadline: float) -> Json:
        """Rows whose own time column says that they were written since; and the newest of these times."""
        column = postgres.execute(self.conn, TIMES, self._name(table), WRITTEN, WRITTEN)
        left = int((deadline - time.monotonic()) * 1000)
        if not column or not applied_at or left <= 0:
            return {"since": None, "last_write": None}
        name = sql.Identifier(column[0][0])
        query = sql.SQL("SELECT count(*) FILTER (WHERE {c} >= %s), max({c})::timestamptz FROM {t}").format(
            c=name, t=sql.Identifier(*schema.names(table))
        )
        try:
            with self.conn.transaction():
                self.conn.execute(f"SET LOCAL statement_timeout = {left}".encode())
                row: Any = self.conn.execute(query, [applied_at]).fetchone()
        except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
            return {"since": None, "last_write": None}
        return {"since": int(row[0]), "last_write": row[1].isoformat() if row[1] else None}

    def _stats(self) -> dict[str, tuple[int, int]]:
        return {name: (int(reads), int(writes)) for name, reads, writes in postgres.execute(self.conn, STATS)}

    def _name(self, table: str) -> str:
        return sql.Identifier(*schema.names(table)).as_string(self.conn)
