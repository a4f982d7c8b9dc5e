"""The sample application's database: its migrations, and rows that look real.

The scripts are in `apps/api/migrations`, the history is in `schema_migrations (version, applied_at)`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from core.errors import Refused
from demo.app import rows

MIGRATIONS = Path(__file__).parent / "apps" / "api" / "migrations"
AGES = {
    "001": "14 months 9 days",
    "002": "13 months 2 days",
    "003": "11 months 20 days",
    "004": "8 months 5 days",
    "010": "3 months 12 days",
    "011": "14 minutes 3 seconds",
    "012": "14 minutes 1 second",
}
"""How long ago each migration was applied, for a history that looks real: the last two came with today's deploy."""

HISTORY = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version     text PRIMARY KEY,
    applied_at  timestamptz NOT NULL DEFAULT now()
)"""


def versions() -> dict[str, Path]:
    """The forward scripts by version, oldest first."""
    return {path.name.split("_")[0]: path for path in sorted(MIGRATIONS.glob("[0-9]*.sql"))}


def migrate(url: str, upto: str | None = None) -> None:
    """Apply what is missing, oldest first up to and with `upto`, each with its history row in one transaction.

    Raises Refused (E-MIGRATION-UNKNOWN) when there is no migration `upto` ("011" or "011_subscriptions").
    """
    scripts = versions()
    last = upto.split("_")[0] if upto else max(scripts)
    if last not in scripts or upto not in (None, last, scripts[last].stem):
        raise Refused("E-MIGRATION-UNKNOWN", "The sample application has no such migration.", "Try 011.")
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("SET client_min_messages = warning")  # "already exists, skipping" is no news
        conn.execute(HISTORY)
        done = {row[0] for row in conn.execute("SELECT version FROM schema_migrations")}
        for version, path in scripts.items():
            if version in done or version > last:
                continue
            with conn.transaction():
                conn.execute(path.read_bytes())
                conn.execute(
                    "INSERT INTO schema_migrations VALUES (%s, now() - %s::interval)",
                    (version, AGES.get(version, "0")),
                )


def fill(url: str, profiles: int = 10_000, seed: int = 7) -> None:
    """Fill every table that exists: `profiles` people and what belongs to them, the same for the same `seed`.

    Times are relative to the database's clock. With 10,000 people: 5,418 subscriptions, 9,120 Stripe events,
    1,204 people with a paid plan; the last 37 subscriptions came after 011 was applied.
    """
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("SET synchronous_commit = off")
        with conn.transaction():
            found = conn.execute("SELECT now()").fetchone()
            assert found is not None
            there = _columns(conn)
            for table in rows.make(profiles, seed, found[0]):
                if table.name in there:
                    _copy(conn, table, there[table.name])
        conn.execute("ANALYZE")


def _columns(conn: psycopg.Connection[tuple[Any, ...]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    query = """
        SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"""
    for table, column in conn.execute(query):
        found.setdefault(table, set()).add(column)
    return found


def _copy(conn: psycopg.Connection[tuple[Any, ...]], table: rows.Table, there: set[str]) -> None:
    names = table.columns.split()
    # profiles has fewer columns before 002
    kept = [at for at, name in enumerate(names) if name in there]
    columns = sql.SQL(", ").join(sql.Identifier(names[at]) for at in kept)
    command = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), columns)
    with conn.cursor() as cursor, cursor.copy(command) as copy:
        for row in table.rows:
            copy.write_row([row[at] for at in kept])
    sequence = conn.execute("SELECT pg_get_serial_sequence(%s, %s)", (table.name, names[0])).fetchone()
    if sequence and sequence[0]:
        top = sql.SQL("SELECT setval({}, max(id)) FROM {}")
        conn.execute(top.format(sql.Literal(sequence[0]), sql.Identifier(table.name)))
