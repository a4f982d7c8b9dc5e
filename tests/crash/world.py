"""One world of the campaign: a small application, a workspace, and bots that die as planned."""

from __future__ import annotations

import json
import re
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg

from demo.bench import ROOT, Bench
from demo.postgres import Server
from tests import forks
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


class CrashBench(Bench):
    """A bench whose bots carry a plan."""

    plan: Plan | None = None
    lives = 0

    def start_bot(self, wait: float = 30) -> None:
        """Nothing yet: `live` does it."""

    def live(self, act: str, seed: int, ended: dict[str, int], **more: Any) -> None:
        """A new bot; whether it comes to anything is seen later."""
        self.lives += 1
        file = self.folder / f"plan-{self.lives}.json"
        self.plan = Plan(act, seed, str(self.folder / f"life-{self.lives}.json"), ended=ended, **more)
        file.write_text(json.dumps(asdict(self.plan)))
        with self.log.open("ab") as log:
            words = [sys.executable, "-m", "tests.crash.life", str(file)]
            self.bot = forks.Popen(words, cwd=ROOT, env=self.environment, stdin=forks.DEVNULL, stdout=log, stderr=log)

    @property
    def report(self) -> dict[str, Any] | None:
        """Where this life met its act; None: it has not yet."""
        try:
            line: dict[str, Any] = json.loads(Path(self.plan.report).read_text()) if self.plan else {}
        except (OSError, ValueError):
            return None
        return line or None

    def kill_bot(self) -> None:
        super().kill_bot()
        self.bot = None

    def stop_bot(self) -> None:
        self.kill_bot()

    def ended(self, timeout: float) -> int | None:
        """The exit code of the bot, negative for a signal, once it has ended within `timeout` seconds."""
        try:
            code: int = self.bot.wait(timeout)
        except forks.TimeoutExpired:
            return None
        self.bot = None
        return code

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
        with suppress(OSError):
            return Path(f"/proc/{self.bot.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        return False


def make(folder: Path, server: Server, url: str) -> CrashBench:
    """A world below `folder`, not entered yet."""
    folder.mkdir(parents=True)
    (folder / "tmp").mkdir()
    (folder / "services").write_text(SERVICES.format(folder=folder))
    settings = SETTINGS.format(folder=folder, sh="/bin/sh")
    env = {"ROLLBACK_SLACK__POST_EVERY": "0 s", "TMPDIR": str(folder / "tmp"), "LOG_LEVEL": "warning"}
    return CrashBench(folder, server, url, settings, migrations=MIGRATIONS, env=env)


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
