"""Rollbacks and ways back while the application writes: is every row that a client was told is committed still somewhere?

`make load` runs 200 of each under 20 clients; ROUNDS, CLIENTS and SEED change that. Half of the clients are pgbench's, with
its own tables; the others write as the sample application does, and remember what the server has acknowledged. After
every way back each acknowledged write must be in the target, among the rows that did not fit, or in the database that
a restore has set aside. Where nothing is lost the campaign says how much was looked at, so that it is seen not to be empty.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psycopg

from core.model import Run, State
from core.postgres import with_database
from core.save.archive import zstd
from demo import postgres
from demo.app import sample
from demo.postgres import Server
from tests.engine_stand import EngineStand

BALANCES = """
    SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),
           (SELECT sum(bbalance) FROM pgbench_branches), (SELECT sum(delta) FROM pgbench_history)"""
EVENT = "INSERT INTO stripe_events (event_id, type, payload) VALUES (%s, 'invoice.paid', '{}')"
SUBSCRIPTION = """
    INSERT INTO subscriptions (profile_id, stripe_subscription_id, plan, status, amount_cents, current_period_end, canceled_at)
    SELECT id, %s, 'pro', 'canceled', 900, now(), now() FROM profiles WHERE handle = %s"""
PROFILE = "INSERT INTO profiles (handle, display_name, email) VALUES (%s, 'x', %s)"
STEP = "UPDATE profiles SET display_name = %s WHERE handle = %s"
ATTEMPT = "UPDATE stripe_events SET attempts = %s WHERE event_id = %s"
KEYS = {
    "stripe_events": "SELECT event_id FROM stripe_events WHERE event_id LIKE 'evt\\_w%'",
    "subscriptions": "SELECT stripe_subscription_id FROM subscriptions WHERE stripe_subscription_id LIKE 'sub\\_w%'",
    "profiles": "SELECT handle FROM profiles WHERE handle LIKE 'w%'",
}
COUNTERS = {
    "profiles": "SELECT handle, display_name::int FROM profiles WHERE handle LIKE 'w%own'",
    "stripe_events": "SELECT event_id, attempts FROM stripe_events WHERE event_id LIKE 'evt\\_w%own'",
}
LOST = (psycopg.OperationalError, psycopg.InterfaceError)


@dataclass
class Writer:
    """One client of the application. `acked`: keys by table; `steps`: of its own two rows, the last value by table."""

    url: str
    name: str
    over: threading.Event
    pause: float
    acked: dict[str, set[str]] = field(default_factory=lambda: {table: set() for table in KEYS})
    steps: dict[str, int] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)

    n: int = 0

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=self.run, daemon=True)
        thread.start()
        return thread

    def run(self) -> None:
        while not self.over.is_set():
            with suppress(*LOST), psycopg.connect(self.url, autocommit=True, application_name=self.name) as conn:
                while not self.over.is_set():
                    self.write(conn)
                    time.sleep(random.uniform(0, 2 * self.pause))  # noqa: S311 - load, no secret

    def write(self, conn: psycopg.Connection[tuple[object, ...]]) -> None:
        """One of each; what the database answers for is remembered."""
        self.n += 1
        number, key = self.n, f"{self.name}x{self.n}"
        own_event = f"evt_{self.name}own"
        for table, query, values, counter in (
            ("profiles", PROFILE, (key, f"{key}@example.com"), 0),
            ("profiles", STEP, (str(number), f"{self.name}own"), number),
            ("subscriptions", SUBSCRIPTION, (f"sub_{key}", f"{self.name}own"), 0),
            ("stripe_events", EVENT, (f"evt_{key}",), 0),
            ("stripe_events", ATTEMPT, (number, own_event), number),
        ):
            try:
                done = conn.execute(query, values).rowcount
            except psycopg.ProgrammingError as error:  # the table is not there: it was rolled back
                self.refused[type(error).__name__] += 1
                continue
            if done and counter:
                self.steps[table] = counter
            elif done:
                self.acked[table].add(next(str(v) for v in values if key in str(v)))


def keys(url: str) -> dict[str, set[str]]:
    """What is there, by table."""
    return {table: {str(row[0]) for row in rows} for table, rows in asked(url, KEYS).items()}


def counters(url: str) -> dict[tuple[str, str], int]:
    """The values of the writers' own rows, by table and writer."""
    found = {}
    for table, rows in asked(url, COUNTERS).items():
        for key, value in rows:
            found[table, str(key).removeprefix("evt_").removesuffix("own")] = int(str(value))
    return found


def asked(url: str, queries: dict[str, str]) -> dict[str, list[tuple[object, ...]]]:
    """Each query that has its table, in one snapshot."""
    answers: dict[str, list[tuple[object, ...]]] = {}
    with psycopg.connect(url) as conn:
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        for table, query in queries.items():
            if conn.execute("SELECT to_regclass(%s)", [table]).fetchone() != (None,):
                answers[table] = conn.execute(query.encode()).fetchall()
    return answers


@dataclass
class Campaign:
    """`rounds`: rollbacks, each with a way back; `clients`: half of them pgbench's."""

    stand: EngineStand
    rounds: int
    clients: int
    dice: random.Random
    pause: float = 0.02  # seconds between two rounds of a writer
    over: threading.Event = field(default_factory=threading.Event)
    found: Counter[str] = field(default_factory=Counter)
    elsewhere: dict[str, set[str]] = field(default_factory=lambda: {table: set() for table in KEYS})
    kept_steps: dict[tuple[str, str], int] = field(default_factory=dict)

    def run(self) -> Counter[str]:
        """All rounds. Raises AssertionError where a write is lost."""
        writers = [Writer(self.stand.url, f"w{n}", self.over, self.pause) for n in range(self.clients // 2)]
        with psycopg.connect(self.stand.url, autocommit=True) as conn:
            for writer in writers:
                conn.execute(PROFILE, (f"{writer.name}own", f"{writer.name}@example.com"))
                conn.execute(STEP, ("0", f"{writer.name}own"))
                conn.execute(EVENT, (f"evt_{writer.name}own",))
        with self.bench():
            threads = [writer.start() for writer in writers]
            try:
                for number in range(self.rounds):
                    self.round(writers)
                    if sys.stderr.isatty() or not (number + 1) % 20:
                        print(f"{number + 1} of {self.rounds}: {dict(self.found)}", file=sys.stderr, flush=True)
            finally:
                self.over.set()
                for thread in threads:
                    thread.join()
        self.check(writers)
        self.found["acknowledged"] = sum(len(rows) for writer in writers for rows in writer.acked.values())
        self.found["refused while rolled back"] = sum(writer.refused.total() for writer in writers)
        return self.found

    @contextmanager
    def bench(self) -> Iterator[None]:
        """pgbench, started again whenever a restore has ended its sessions."""
        program = str(self.stand.server.bin_dir / "pgbench")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([program, "-i", "-q", "-s", "1", self.stand.url], check=True, **quiet)  # type: ignore[call-overload]

        def again() -> None:
            words = [
                program,
                "-n",
                "-c",
                str(self.clients - self.clients // 2),
                "-j",
                "1",
                "-T",
                "3600",
                "-R",
                f"{10 * self.clients}",
            ]
            while not self.over.is_set():
                running = subprocess.Popen([*words, self.stand.url], **quiet)  # type: ignore[call-overload]
                while running.poll() is None and not self.over.wait(0.1):
                    pass
                running.kill()
                running.wait()
                self.found["pgbench started"] += 1

        thread = threading.Thread(target=again)
        thread.start()
        try:
            yield
        finally:
            self.over.set()
            thread.join()

    def round(self, writers: list[Writer]) -> None:
        """A rollback, some time, and a way back."""
        rollback = self.stand.rolled_back(self.dice.choice(("012", "011")))
        self.found["rollbacks"] += 1
        time.sleep(self.dice.uniform(0, 0.3))
        kind = ("reapply", "restore")[self.found["rollbacks"] % 2]
        run = self.stand.goes_back(kind, rollback)
        assert run.state is State.DONE, (kind, run.state, run.failed or (run.ending and run.ending.data))
        self.found[kind] += 1
        self.check(writers, rollback, run)
        self.stand.drop_others()
        for file in self.stand.settings.backup_dir.iterdir():
            file.unlink()

    def check(self, writers: list[Writer], rollback: Run | None = None, run: Run | None = None) -> None:
        """Everything that was acknowledged until now is in one of the places."""
        told = {table: set[str]() for table in KEYS}
        steps = {}
        for writer in writers:  # before looking: what is acknowledged meanwhile is looked for next time
            for table, acked in writer.acked.items():
                told[table] |= set(acked)
            for table, value in writer.steps.items():
                steps[table, writer.name] = value
        for name, _ in self.stand.others():
            kept = with_database(self.stand.url, name)
            for table, there in keys(kept).items():
                self.elsewhere[table] |= there
            for where, value in counters(kept).items():
                self.kept_steps[where] = max(value, self.kept_steps.get(where, 0))
            self.balanced(kept)
        aside = self.files(rollback, run)
        self.balanced(self.stand.url)
        now, values = keys(self.stand.url), counters(self.stand.url)
        for table, acked in told.items():
            if table in now:
                lost = acked - now[table] - self.elsewhere[table] - aside
                self.found["lost"] += len(lost)
                assert not lost, f"{len(lost)} acknowledged rows of {table} are nowhere, as {sorted(lost)[:3]}"
                self.found["looked for"] += len(acked)
        for where, value in steps.items():
            if where[0] in now:
                there = max(values.get(where, 0), self.kept_steps.get(where, 0))
                assert there >= value, f"{where} was told {value}, there is {there}"

    def files(self, rollback: Run | None, run: Run | None) -> set[str]:
        """The keys in the files: rows that a re-apply could not put back, or that were saved and then a backup restored."""
        if not rollback or not run:
            return set()
        kept = rollback.evidence["execute"]["saved"] if run.kind == "restore" else run.evidence["execute"]["back"]
        if not kept["file"]:
            return set()
        with zstd.open(self.stand.settings.backup_dir / kept["file"]) as rows:
            text = rows.read().decode()
        found = set(re.findall(r"\b(?:evt_|sub_)?w\d+x\d+\b", text))
        for columns, lines in re.findall(
            r'^COPY "public"\."stripe_events" \((.*?)\) FROM.*\n((?:.*\n)*?)\\\.$', text, re.M
        ):
            place = columns.replace('"', "").split(", ").index("attempts")
            for writer, line in re.findall(r"^(?=.*\bevt_(w\d+)own\b)(.*)$", lines, re.M):
                where = ("stripe_events", writer)
                self.kept_steps[where] = max(int(line.split("\t")[place]), self.kept_steps.get(where, 0))
                self.found["values in a file"] += 1
        self.found[f"rows in a file after a {run.kind}"] += len(found)
        for table in KEYS:
            self.elsewhere[table] |= found
        return found

    def balanced(self, url: str) -> None:
        """pgbench's transactions are whole or not there."""
        with psycopg.connect(url) as conn:
            (sums,) = conn.execute(BALANCES).fetchall()
        assert len({int(one or 0) for one in sums}) == 1, sums
        self.found["balances compared"] += 1


def campaign(
    server: Server, folder: Path, rounds: int, clients: int, seed: int, url: str, pause: float = 0.02
) -> Counter[str]:
    """On a database of the sample application. Raises AssertionError where a write is lost."""
    stand = EngineStand(server, url, folder)
    stand.set(lock_timeout=timedelta(seconds=1), lock_wait=timedelta(seconds=60), count_budget=timedelta(seconds=1))
    return Campaign(stand, rounds, clients, random.Random(seed), pause).run()  # noqa: S311 - reproducible


def main() -> None:
    rounds, clients, seed = (int(os.environ.get(k, v)) for k, v in (("ROUNDS", 200), ("CLIENTS", 20), ("SEED", 1)))
    started = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="load-")))
        server = stack.enter_context(postgres.start(folder / "pg"))
        with psycopg.connect(server.url(), autocommit=True) as conn:
            conn.execute("CREATE DATABASE app")
        url = server.url("app")
        sample.migrate(url)
        sample.fill(url, 500)
        found = campaign(server, folder, rounds, clients, seed, url, 0.2)
    print(f"seed {seed}, {clients} clients, {time.monotonic() - started:.0f} s")
    for what, count in found.items():
        print(f"{count:>12,} {what}")


if __name__ == "__main__":
    main()
