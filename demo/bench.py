"""Everything around the bot: database, sample application, workspace, settings. The demo and the tests stand on it.

The bot is the unchanged product, a process of its own that is told where things are by its settings alone.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from core import config
from core.ledger import Ledger
from core.shell import account_name
from demo.app import health, sample
from demo.postgres import Server
from demo.workspace import Workspace

ROOT = Path(__file__).parent.parent
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH")


@dataclass
class Bench:
    """One bot with a world of its own below `folder`. `database` is the URL of the target.

    `settings` are lines of TOML for the target, after the defaults of the sample. `account` is the operating system's
    account that is mapped to Ana; `people` maps more of them.
    """

    folder: Path
    server: Server
    database: str
    settings: str = ""
    top: str = ""
    migrations: Path = sample.MIGRATIONS
    workspace: Workspace = field(default_factory=Workspace)
    env: dict[str, str] = field(default_factory=dict)
    account: str = field(default_factory=account_name)
    people: dict[str, str] = field(default_factory=dict)
    processes: Any = subprocess  # what starts the bot and the shell: `Popen` and `run` as there

    def __enter__(self) -> Bench:
        """Start it all; where one part does not start, the others end. Raises RuntimeError, TimeoutError."""
        self.bot: subprocess.Popen[bytes] | None = None
        self.folder.mkdir(parents=True, exist_ok=True)
        self.health = health.serve(self.database)
        try:
            self.workspace.start()
            self.write_settings()
            self.start_bot()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop_bot()
        finally:
            self.workspace.stop()
            self.health.stop()

    def write_settings(self, settings: str | None = None) -> None:
        """`rollback.toml` of this world; read by the bot when it starts."""
        if settings is not None:
            self.settings = settings
        lines = {
            "database_url": "$DATABASE_URL",
            "scratch_url": "$TEST_DATABASE_URL",
            "migrations": str(self.migrations),
            "health_url": f"{self.health.url}/health",
            "channel": "#incidents",
            "channels": ["#inc-418"],
            "approvers": ["@db-oncall"],
        }
        ours = re.split(r"(?m)^\[", self.settings)[0]  # further tables may follow
        own = {line.partition("=")[0].strip() for line in ours.splitlines()}
        text = "".join(f"{key} = {value!r}\n".replace("'", '"') for key, value in lines.items() if key not in own)
        self.file.write_text(
            f'default_target = "production"\npg_bin = "{self.server.bin_dir}"\n{self.top}\n'
            f'[people]\n"{self.account}" = "U0ANA"\n'
            + "".join(f'"{account}" = "{user}"\n' for account, user in self.people.items())
            + f"[targets.production]\n{text}{self.settings}\n"
        )

    @property
    def file(self) -> Path:
        return self.folder / "rollback.toml"

    @property
    def log(self) -> Path:
        """What the bot wrote to stderr."""
        return self.folder / "bot.log"

    @property
    def environment(self) -> dict[str, str]:
        """What the bot and the shell need to know, and nothing else."""
        return {
            **{name: os.environ[name] for name in KEPT if name in os.environ},
            "ROLLBACK_CONFIG": str(self.file),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "DATABASE_URL": self.database,
            "TEST_DATABASE_URL": self.server.url(),
            "SLACK_API_URL": self.workspace.api_url,
            "SLACK_BOT_TOKEN": self.workspace.bot_token,
            "SLACK_APP_TOKEN": self.workspace.app_token,
            **self.env,
        }

    @property
    def ledger(self) -> Ledger:
        """The audit trail, for looking."""
        return Ledger(config.load(self.file, self.environment).ledger)

    def start_bot(self, wait: float = 30) -> None:
        """Start the bot and wait until it is connected; the socket of one that was killed must have gone first.

        Raises RuntimeError where it ends at once, TimeoutError after `wait` seconds.
        """
        self.workspace.wait_for(lambda: not self.workspace.connected(), 10)
        with self.log.open("ab") as log:
            self.bot = self.processes.Popen(
                [sys.executable, "-m", "bot"],
                cwd=ROOT,
                env=self.environment,
                stderr=log,
                stdout=log,
                stdin=subprocess.DEVNULL,
            )
        bot = self.bot
        up = self.workspace.wait_for(lambda: self.workspace.connected() or bot.poll() is not None, wait)
        if up and bot.poll() is not None:
            raise RuntimeError(f"the bot ended with {bot.returncode}:\n{self.log.read_text()[-2000:]}")

    def kill_bot(self) -> None:
        """As a power cut would."""
        if self.bot:
            self.bot.send_signal(signal.SIGKILL)
            self.bot.wait()

    def stop_bot(self) -> None:
        """As a supervisor would."""
        if self.bot and self.bot.poll() is None:
            self.bot.terminate()
            try:
                self.bot.wait(40)
            except subprocess.TimeoutExpired:
                self.kill_bot()

    def shell(
        self, *words: str, stdin: str = "", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`rollback …` in a shell of this world."""
        environment = {**self.environment, **(env or {})}
        command = [sys.executable, "-m", "core", *words]
        done: subprocess.CompletedProcess[str] = self.processes.run(
            command, cwd=ROOT, env=environment, input=stdin, capture_output=True, text=True, timeout=120, check=False
        )
        return done
