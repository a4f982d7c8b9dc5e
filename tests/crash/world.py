"""One world of the campaign: a small application, a workspace, and bots that are forks and die as planned."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from demo.bench import ROOT, Bench
from demo.postgres import Server
from tests.crash.boundaries import Plan

MIGRATIONS = Path(__file__).parent / "migrations"
FIRST = "001"
UNDONE = ("003", "002")
"""What may be rolled back, newest first; each of their scripts writes one row into `ran`, forward and back."""
SETTINGS = """health_tries = 1
lock_timeout = "200 ms"
lock_wait = "2 s"
statement_timeout = "3 s"
remind_after = ["30 s"]
services = {{ kind = "command", names = ["app"], stop = ["{sh}", "{folder}/services", "stop"], start = ["{sh}", "{folder}/services", "start"], status = ["{sh}", "{folder}/services", "status"], timeout = "10 s" }}
"""
SERVICES = """case "$1" in
stop) touch "{folder}/down" ;;
start) rm -f "{folder}/down" ;;
status) test ! -e "{folder}/down" ;;
esac
"""


class Zygote:
    """The process whose forks are the bots."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.zygote"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.born: queue.Queue[int] = queue.Queue()
        self.died: dict[int, int] = {}
        self.news = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            what, pid, *status = line.decode().split()
            if what == "born":
                self.born.put(int(pid))
            else:
                with self.news:
                    self.died[int(pid)] = int(status[0])
                    self.news.notify_all()

    def bear(self, env: dict[str, str], log: Path, plan: Plan) -> int:
        """A new bot; its pid."""
        assert self.process.stdin
        order = {"env": env, "log": str(log), "plan": json.loads(plan.text())}
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        return self.born.get(timeout=20)

    def wait(self, pid: int, timeout: float) -> int | None:
        """The status of a bot that has died; None while it lives."""
        with self.news:
            self.news.wait_for(lambda: pid in self.died, timeout)
            return self.died.get(pid)

    def stop(self) -> None:
        """The end of it and of its bots."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(20)


class CrashBench(Bench):
    """A bench whose bots come from a zygote and carry a plan."""

    zygote: Zygote
    pid: int | None = None
    plan: Plan | None = None
    lives = 0

    def start_bot(self, wait: float = 30) -> None:
        """Nothing yet: `live` does it."""

    def live(self, act: str, seed: int, ended: dict[str, int], **more: Any) -> None:
        """A new bot; whether it comes to anything is seen later."""
        self.lives += 1
        report = str(self.folder / f"life-{self.lives}.json")
        self.plan = Plan(act, seed, report, ended=ended, **more)
        self.pid = self.zygote.bear(self.environment, self.log, self.plan)

    @property
    def report(self) -> dict[str, Any] | None:
        """Where this life met its act; None: it has not yet."""
        try:
            line: dict[str, Any] = json.loads(Path(self.plan.report).read_text()) if self.plan else {}
        except (OSError, ValueError):
            return None
        return line or None

    def kill_bot(self) -> None:
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.zygote.wait(self.pid, 10)
            self.pid = None

    def stop_bot(self) -> None:
        self.kill_bot()

    def ended(self, timeout: float) -> int | None:
        """The status of the bot, once it has ended within `timeout` seconds."""
        if self.pid is None:
            return 0
        status = self.zygote.wait(self.pid, timeout)
        if status is not None:
            self.pid = None
        return status

    def later(self, seconds: float, fault: str) -> None:
        """A fault of Slack's that comes, and goes again, while the bot lives."""

        def come() -> None:
            if fault == "cut_socket":
                self.workspace.cut_socket()
                return
            self.workspace.set_fault(fault, True)
            threading.Timer(seconds, lambda: self.workspace.set_fault(fault, False)).start()

        threading.Timer(seconds, come).start()

    def frozen(self) -> bool:
        """Is the bot stopped?"""
        if self.pid is None:
            return False
        with suppress(OSError):
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        return False


def make(folder: Path, server: Server, url: str, zygote: Zygote) -> CrashBench:
    """A world below `folder`, not entered yet."""
    folder.mkdir(parents=True)
    (folder / "tmp").mkdir()
    (folder / "services").write_text(SERVICES.format(folder=folder))
    settings = SETTINGS.format(folder=folder, sh="/bin/sh")
    env = {"ROLLBACK_SLACK__POST_EVERY": "0 s", "TMPDIR": str(folder / "tmp"), "LOG_LEVEL": "warning"}
    bench = CrashBench(folder, server, url, settings, migrations=MIGRATIONS, env=env)
    bench.zygote = zygote
    return bench


def fill(url: str) -> None:
    """The application's database: every migration applied, some rows."""
    with psycopg.connect(url) as conn:
        conn.execute("CREATE TABLE schema_migrations (version text PRIMARY KEY, applied_at timestamptz DEFAULT now())")
        for file in sorted(MIGRATIONS.glob("*.sql")):
            conn.execute(file.read_bytes())
            conn.execute("INSERT INTO schema_migrations (version) VALUES (%s)", [re.split("_", file.name)[0]])
        conn.execute("INSERT INTO subscriptions SELECT id, 'pro' FROM profiles WHERE id % 2 = 0")
        conn.execute("UPDATE profiles SET plan_hint = 'pro' WHERE id % 2 = 0")
        conn.execute("INSERT INTO events SELECT n, 2 + n % 50 * 2, 'x' || n FROM generate_series(1, 300) n")
