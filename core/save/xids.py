"""The numbers that the server has given to our transaction and to its savepoints: by them its rows are told from others'."""

from __future__ import annotations

from typing import LiteralString

from core import postgres

NOTE = "INSERT INTO pg_temp.rollback_own DEFAULT VALUES"
"""To be run in a savepoint that writes: its number stands in the row."""
MOST = 1000  # a table that refuses many rows has a savepoint for each: the rest count as written by others
NUMBERS: LiteralString = "SELECT DISTINCT xmin::text::bigint FROM pg_temp.rollback_own ORDER BY 1 LIMIT %s"


def begin(conn: postgres.Connection) -> None:
    """From now on savepoints may be noted."""
    conn.execute("CREATE TEMP TABLE rollback_own () ON COMMIT DROP")


def numbers(conn: postgres.Connection) -> list[str]:
    """Of the open transaction and of its noted savepoints, in 64 bits as text: savepoints come after it."""
    own = int(postgres.scalar(conn, "SELECT pg_current_xact_id()::text"))
    found = [own]
    if postgres.scalar(conn, "SELECT to_regclass('pg_temp.rollback_own') IS NOT NULL"):
        high = own >> 32 << 32
        found += [high + low + (high + low < own) * (1 << 32) for (low,) in postgres.execute(conn, NUMBERS, MOST)]
    return [str(number) for number in dict.fromkeys(found)]
