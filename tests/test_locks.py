"""The locks that a rollback needs: never a queue that stalls the application, and never for ever without them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from core import locks, postgres
from core.errors import StepFailed
from core.locks import EXCLUSIVE, SHARED, Patience, politely
from core.model import Json
from tests.scenery import holding


@pytest.fixture
def conn(database: str) -> Iterator[postgres.Connection]:
    with psycopg.connect(database, autocommit=True) as setting_up:
        setting_up.execute("CREATE TABLE busy (id int); CREATE TABLE quiet (id int)")
        setting_up.execute("CREATE MATERIALIZED VIEW seen AS SELECT 1 AS one")
    with postgres.connect(database, "rollback-bot test") as made:
        yield made


class Readers:
    """The application: reads the table all the time, and knows how long it had to wait at most."""

    def __init__(self, url: str) -> None:
        self.url, self.over, self.longest, self.reads = url, threading.Event(), 0.0, 0
        self.thread = threading.Thread(target=self.read)

    def __enter__(self) -> Readers:
        self.thread.start()
        while not self.reads:
            time.sleep(0.01)
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.thread.join()

    def read(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as conn:
            while not self.over.is_set():
                started = time.monotonic()
                conn.execute("SELECT count(*) FROM busy")
                self.longest = max(self.longest, time.monotonic() - started)
                self.reads += 1


@contextmanager
def later(url: str, seconds: float) -> Iterator[None]:
    """A report that reads the table for so long."""

    def report() -> None:
        with psycopg.connect(url, application_name="report") as conn:
            conn.execute("SELECT count(*) FROM busy")
            time.sleep(seconds)

    thread = threading.Thread(target=report)
    thread.start()
    time.sleep(0.2)
    yield
    thread.join()


def begin(conn: postgres.Connection) -> None:
    conn.execute("BEGIN")


def test_free_tables_are_locked_at_once(conn: postgres.Connection) -> None:
    wanted = {"public.busy": EXCLUSIVE, "public.quiet": SHARED, "public.seen": EXCLUSIVE}
    assert politely(conn, wanted, Patience(0.3, 1), lambda: begin(conn)) == 1
    held = conn.execute(
        "SELECT relation::regclass::text, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'"
        " AND relation IN ('busy'::regclass, 'quiet'::regclass)"
    ).fetchall()
    assert set(held) == {("busy", "AccessExclusiveLock"), ("quiet", "ShareRowExclusiveLock")}


def test_a_long_transaction_is_waited_for_beside_the_queue_so_readers_do_not_stall(
    conn: postgres.Connection, database: str
) -> None:
    said: list[list[Json]] = []
    with Readers(database) as readers, later(database, 2.0):
        tries = politely(conn, {"public.busy": EXCLUSIVE}, Patience(0.3, 20), lambda: begin(conn), said.append)
        conn.execute("ROLLBACK")
    assert tries >= 1 and readers.reads > 10
    assert readers.longest < 1.5  # the report lasts 2 s: in a queue behind it readers would have waited as long
    assert any(one["who"] == "report" for look in said for one in look) and said[-1] == []


def test_readers_that_never_end_are_told_of_and_nothing_is_locked(conn: postgres.Connection, database: str) -> None:
    with holding(database, "SELECT count(*) FROM busy", "nightly"), pytest.raises(StepFailed) as no:
        politely(conn, {"public.busy": EXCLUSIVE, "public.quiet": SHARED}, Patience(0.1, 0.6), lambda: begin(conn))
    assert no.value.code == "E-LOCK"
    assert no.value.message.startswith("The lock on `busy` was not free within 1 s")
    assert "(held by nightly (idle in transaction" in no.value.message
    assert conn.info.transaction_status is psycopg.pq.TransactionStatus.IDLE


def test_readers_are_not_in_the_way_of_a_lock_that_keeps_writers_out(conn: postgres.Connection, database: str) -> None:
    with holding(database, "SELECT count(*) FROM busy"):
        assert politely(conn, {"public.busy": SHARED}, Patience(0.2, 1), lambda: begin(conn)) == 1
        conn.execute("ROLLBACK")
    with holding(database, "INSERT INTO busy VALUES (1)"), pytest.raises(StepFailed):
        politely(conn, {"public.busy": SHARED}, Patience(0.1, 0.3), lambda: begin(conn))


def test_a_table_that_always_has_somebody_is_had_in_the_end(conn: postgres.Connection, database: str) -> None:
    over = threading.Event()

    def overlapping() -> None:
        with psycopg.connect(database) as other:
            while not over.is_set():
                other.execute("SELECT count(*) FROM busy")
                time.sleep(0.15)
                other.commit()

    threads = [threading.Thread(target=overlapping) for _ in range(3)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    try:
        assert politely(conn, {"public.busy": EXCLUSIVE}, Patience(1.0, 30), lambda: begin(conn)) >= 1
        conn.execute("ROLLBACK")
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_a_table_that_is_gone_is_said(conn: postgres.Connection) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        politely(conn, {"public.gone": EXCLUSIVE}, Patience(0.1, 0.3), lambda: begin(conn))


def test_a_statement_that_waits_for_everybody_begins_only_when_nobody_stays_long(
    conn: postgres.Connection, database: str
) -> None:
    locks.quiet(conn, "public.busy", Patience(0.2, 0.5))
    with holding(database, "SELECT count(*) FROM busy", "nightly"):
        time.sleep(0.3)
        with pytest.raises(StepFailed, match="nightly"):
            locks.quiet(conn, "public.busy", Patience(0.2, 0.5))
