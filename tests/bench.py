"""Figures against what a user would do by hand, side by side in one run: `make bench` writes docs/performance.md.

SIZE is the size of the big database in MB (1,000), PAIRS how often each side is measured (5). By hand is the runbook as a
shell script: a plain dump, read into a scratch database, the script by psql, the row deleted. Both sides use the same
server and the same disk; each pair runs A, then B, then A, then B. Medians, and the range. Nothing of this is a test.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from core import locks
from core.locks import EXCLUSIVE, Patience
from core.model import State
from demo import postgres
from demo.app import sample
from demo.postgres import Server
from tests.engine_stand import ANA, BOB, EngineStand
from tests.execute_stand import LATEST

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
UNDO = sample.MIGRATIONS / "rollback" / "012_stripe_events.sql"
ROWS = """
    INSERT INTO subscriptions (profile_id, stripe_subscription_id, plan, status, amount_cents, current_period_end, canceled_at)
    SELECT (SELECT min(id) FROM profiles), 'sub_' || g, 'pro', 'canceled', 900, now(), now() FROM generate_series(1, {n}) g;
    INSERT INTO stripe_events (event_id, type, payload, subscription_id)
    SELECT 'evt_' || id, 'invoice.paid', jsonb_build_object('id', id, 'note', repeat(md5(id::text), 4)), id FROM subscriptions
     WHERE stripe_subscription_id LIKE 'sub\\_%' ORDER BY id LIMIT {n}"""


@dataclass
class Figures:
    """Seconds (or bytes) by what was measured."""

    seen: dict[str, list[float]] = field(default_factory=dict)

    def add(self, what: str, value: float) -> None:
        self.seen.setdefault(what, []).append(value)

    def median(self, what: str) -> float:
        return statistics.median(self.seen[what])

    def told(self, what: str, unit: str = "s") -> str:
        values = sorted(self.seen[what])
        digits = 3 if unit == "s" and values[-1] < 1 else 1
        return f"{statistics.median(values):,.{digits}f} {unit} ({values[0]:,.{digits}f}–{values[-1]:,.{digits}f})"


@contextmanager
def timed(figures: Figures, what: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    figures.add(what, time.monotonic() - started)


class Database:
    """The sample application beside pgbench's tables, of about `megabytes` in all; `touched` MB of it in stripe_events."""

    def __init__(self, server: Server, name: str, megabytes: int, touched: float) -> None:
        self.server, self.name = server, name
        with psycopg.connect(server.url(), autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE {name}".encode())
        self.url = server.url(name)
        sample.migrate(self.url)
        sample.fill(self.url, 60)
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(ROWS.format(n=max(10, int(touched * 2500))).encode())
        self.tool("pgbench", "-i", "-q", "-s", str(max(1, round(megabytes / 15))), self.url)
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute("VACUUM ANALYZE")
            conn.execute("CHECKPOINT")
            self.bytes = int(str(conn.execute("SELECT pg_database_size(current_database())").fetchall()[0][0]))
            self.touched = int(str(conn.execute("SELECT pg_table_size('stripe_events')").fetchall()[0][0]))

    def tool(self, program: str, *words: str, out: Path | None = None) -> None:
        """A client program, quietly."""
        with (out or Path(os.devnull)).open("wb") as into:
            subprocess.run(
                [str(self.server.bin_dir / program), *words], check=True, stdout=into, stderr=subprocess.DEVNULL
            )

    def copy(self, name: str) -> str:
        """A copy on the server, for one measurement."""
        with psycopg.connect(self.server.url(), autocommit=True) as conn:
            conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
            conn.execute(f"CREATE DATABASE {name} TEMPLATE {self.name}".encode())
            conn.execute("CHECKPOINT")
        return self.server.url(name)


def by_hand(database: Database, folder: Path, figures: Figures) -> None:
    """The runbook as a script, on a copy; and the full backup put back, as the runbook says it."""
    url = database.copy("by_hand")
    dump, size = folder / "by_hand.sql", database.name
    scratch = database.server.url("by_hand_scratch")
    with psycopg.connect(database.server.url(), autocommit=True) as conn:
        conn.execute("DROP DATABASE IF EXISTS by_hand_scratch WITH (FORCE)")
        conn.execute("CREATE DATABASE by_hand_scratch")
    started = time.monotonic()
    with timed(figures, f"{size}: dump by hand"):
        database.tool("pg_dump", url, out=dump)
    with timed(figures, f"{size}: test restore by hand"):
        database.tool("psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(dump), scratch)
    with timed(figures, f"{size}: script by hand"):
        database.tool("psql", "-q", "-f", str(UNDO), url)
    database.tool("psql", "-q", "-c", "DELETE FROM schema_migrations WHERE version = '012'", url)
    database.tool("psql", "-q", "-c", "SELECT * FROM schema_migrations", url)
    figures.add(f"{size}: all by hand", time.monotonic() - started)
    both = (figures.seen[f"{size}: {what} by hand"][-1] for what in ("dump", "test restore"))
    figures.add(f"{size}: dump and test restore by hand", sum(both))
    figures.add(f"{size}: dump by hand, bytes", dump.stat().st_size)
    with psycopg.connect(database.server.url(), autocommit=True) as conn:
        conn.execute("DROP DATABASE by_hand WITH (FORCE)")
        conn.execute("CREATE DATABASE by_hand")
    with timed(figures, f"{size}: restore by hand"):
        database.tool("psql", "-q", "-f", str(dump), url)
    dump.unlink()


def by_the_bot(database: Database, folder: Path, figures: Figures) -> None:
    """The same with the bot: proofs, then everything from the click on, then a re-apply."""
    url, size = database.copy("by_the_bot"), database.name
    shutil.rmtree(folder / "bot", ignore_errors=True)
    (folder / "bot").mkdir()
    stand = EngineStand(database.server, url, folder / "bot")
    stand.set(approvals=1)
    engine = stand.engine
    engine.confirm = None
    with timed(figures, f"{size}: proofs by the bot"):
        run = engine.walk(stand.desk.ask(LATEST, stand.target, ANA, channel="C0").id)
    assert "test restore" in run.evidence, run.ending
    stand.desk.approve(run.id, BOB, run.revision, run.digest)
    with timed(figures, f"{size}: from the click to verified"):
        run = engine.walk(run.id)
    assert run.state is State.DONE, run.ending
    executed, backup = run.evidence["execute"], run.evidence["backup"]
    figures.add(f"{size}: lock held", executed["locked"])
    figures.add(f"{size}: backup, bytes", backup["bytes"])
    figures.add(f"{size}: backup", backup["seconds"])
    figures.add(f"{size}: save, bytes", executed["saved"]["bytes"])
    back = stand.desk.way_back("reapply", run.id, stand.target, ANA, "for the figures", "C0")
    back = engine.walk(back.id)
    stand.desk.approve(back.id, BOB, back.revision, back.digest)
    with timed(figures, f"{size}: re-apply, from the click"):
        back = engine.walk(back.id)
    assert back.state is State.DONE, back.ending
    stand.ledger.close()


def copies_raw(database: Database, folder: Path, figures: Figures) -> None:
    """COPY of the table to a file with SHA-256 and fsync: what a save could cost at least."""
    file = folder / "raw"
    with psycopg.connect(database.url) as conn, file.open("wb") as out, timed(figures, f"{database.name}: raw COPY"):
        digest = hashlib.sha256()
        with conn.cursor().copy("COPY stripe_events TO STDOUT") as rows:
            for block in rows:
                digest.update(block)
                out.write(block)
        out.flush()
        os.fsync(out.fileno())
    file.unlink()


# -- readers under a long transaction ------------------------------------------------------------------------


def readers(url: str, seconds: float, during: Callable[[], object] = lambda: None) -> list[float]:
    """Seconds that each of 4 readers' queries took while something goes on."""
    over, took, lock = threading.Event(), list[float](), threading.Lock()

    def read() -> None:
        with psycopg.connect(url, autocommit=True) as conn:
            while not over.is_set():
                started = time.monotonic()
                conn.execute("SELECT count(*) FROM stripe_events WHERE event_id = 'evt_1'")
                with lock:
                    took.append(time.monotonic() - started)
                time.sleep(0.001)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    started = time.monotonic()
    during()
    time.sleep(max(0.0, seconds - (time.monotonic() - started)))
    over.set()
    for thread in threads:
        thread.join()
    return sorted(took)


HOW = ("control", "plainly", "with lock_timeout", "politely")


def stalls(database: Database, figures: Figures, pairs: int) -> None:
    """A report reads the table for three seconds; somebody wants it exclusively: plainly, by `lock_timeout` and again, or as the bot."""
    for _ in range(pairs):
        for how in HOW:
            took = readers(database.url, 3.5, lambda how=how: wants(database.url, how, figures))  # type: ignore[misc]
            figures.add(f"readers {how}: p99", took[int(len(took) * 0.99)])
            figures.add(f"readers {how}: longest", took[-1])


def wants(url: str, how: str, figures: Figures) -> None:
    """Get the lock while the report lasts; how long after its end it was had."""
    ended: list[float] = []

    def report() -> None:
        with psycopg.connect(url) as conn:
            conn.execute("SELECT count(*) FROM stripe_events")
            time.sleep(3)
        ended.append(time.monotonic())

    reporting = threading.Thread(target=report)
    reporting.start()
    time.sleep(0.2)
    if how != "control":
        with psycopg.connect(url, autocommit=True) as conn:
            if how == "politely":
                tables = {"public.stripe_events": EXCLUSIVE}
                locks.politely(conn, tables, Patience(2.0, 30.0), lambda: conn.execute("BEGIN"))
            else:
                insists(conn, "2s" if how == "with lock_timeout" else "0")
            had = time.monotonic()
            conn.execute("ROLLBACK")
        reporting.join()
        figures.add(f"lock {how}: after the report", max(0.0, had - ended[0]))
    reporting.join()


def insists(conn: psycopg.Connection[tuple[object, ...]], timeout: str) -> None:
    """Stand in the queue until the lock is had, again after each timeout."""
    conn.execute(f"SET lock_timeout = '{timeout}'".encode())
    while True:
        conn.execute("BEGIN")
        try:
            conn.execute("LOCK TABLE stripe_events IN ACCESS EXCLUSIVE MODE")
            return
        except psycopg.errors.LockNotAvailable:
            conn.execute("ROLLBACK")


# -- the page ------------------------------------------------------------------------------------------------


def page(figures: Figures, small: Database, big: Database, pairs: int) -> str:
    """docs/performance.md."""
    m, t = figures.median, figures.told
    small_name, big_name = small.name, big.name

    def ratio(one: str, other: str) -> str:
        return f"{m(one) / m(other):.3f}"

    lines = [
        "# Performance",
        "",
        f"Written by `make bench` ({pairs} pairs, {os.cpu_count()} cores, PostgreSQL {figures_version(big)}, Python {platform.python_version()}). "
        "Medians, with the range. By hand is the runbook as a script: a plain `pg_dump`, read into a scratch database by `psql`, the script by `psql -f`, the row deleted. "
        "Both sides ran in turn on the same server; absolute times are those of one machine, the ratios travel.",
        "",
        f"The databases: pgbench's tables beside the sample application, {small.bytes / 1e6:,.0f} MB and {big.bytes / 1e6:,.0f} MB; "
        f"the rollback drops a table of {big.touched / 1e6:,.1f} MB in both.",
        "",
        "| what | by hand | the bot | ratio |",
        "|---|---|---|---|",
    ]
    for database in (small, big):
        n, size = database.name, f"{database.bytes / 1e6:,.0f} MB"
        lines += [
            f"| proofs: backup on disk, restored, compared, scripts and way back tried ({size}) | {t(f'{n}: dump and test restore by hand')} | {t(f'{n}: proofs by the bot')} | {ratio(f'{n}: proofs by the bot', f'{n}: dump and test restore by hand')} |",
            f"| from the approver's click to verified, proofs there ({size}) | {t(f'{n}: all by hand')} | {t(f'{n}: from the click to verified')} | {ratio(f'{n}: from the click to verified', f'{n}: all by hand')} |",
            f"| back again: re-apply from the click, against the full backup read back ({size}) | {t(f'{n}: restore by hand')} | {t(f'{n}: re-apply, from the click')} | {ratio(f'{n}: re-apply, from the click', f'{n}: restore by hand')} |",
            f"| backup, bytes ({size}) | {m(f'{n}: dump by hand, bytes') / 1e6:,.1f} MB | {m(f'{n}: backup, bytes') / 1e6:,.1f} MB | {ratio(f'{n}: backup, bytes', f'{n}: dump by hand, bytes')} |",
        ]
    lines += [
        "",
        "Acknowledged writes that are lost between backup and rollback: by hand all that are written while it lasts, with the bot none "
        "(`make load` counts them: 200 rollbacks and 200 ways back under 20 writing clients).",
        "",
        "## Under the lock",
        "",
        "| | seconds |",
        "|---|---|",
        *[
            f"| locked, {database.bytes / 1e6:,.0f} MB database | {t(f'{database.name}: lock held')} |"
            for database in (small, big)
        ],
        f"| the table to a file by raw `COPY`, with SHA-256 and fsync | {t(f'{big_name}: raw COPY')} |",
        "",
        "Saving, comparing the catalogs twice, and the script. It grows with what is touched, not with the database.",
        "",
        "## Readers while a long transaction is in the way",
        "",
        "Four readers of the table, a report that reads it for three seconds, and somebody who wants it exclusively.",
        "",
        "| how the lock is asked for | readers, p99 | readers, longest | had after the report's end |",
        "|---|---|---|---|",
    ]
    for how in HOW:
        after = t(f"lock {how}: after the report") if how != "control" else "–"
        lines.append(
            f"| {'nobody asks' if how == 'control' else how} | {t(f'readers {how}: p99')} | {t(f'readers {how}: longest')} | {after} |"
        )
    assert small_name != big_name
    return "\n".join(lines) + "\n"


def figures_version(database: Database) -> str:
    with psycopg.connect(database.url) as conn:
        return str(conn.execute("SHOW server_version").fetchall()[0][0])


def main() -> None:
    size, pairs = int(os.environ.get("SIZE", 1000)), int(os.environ.get("PAIRS", 5))
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        folder = Path(made)
        with postgres.start(folder / "pg") as server:
            small, big = (Database(server, f"mb{mb}", mb, 8) for mb in (max(20, size // 10), size))
            for pair in range(pairs):
                for database in (small, big):
                    by_hand(database, folder, figures)
                    by_the_bot(database, folder, figures)
                    copies_raw(database, folder, figures)
                print(f"pair {pair + 1} of {pairs}", file=sys.stderr, flush=True)
            stalls(small, figures, pairs)
            PAGE.write_text(page(figures, small, big, pairs))
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
