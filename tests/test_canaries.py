"""Secrets and rows as canaries: each step is made to fail, and nothing that leaves the program has met one of them."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import structlog

from bot.announcer import Announcer
from bot.client import Client
from bot.pace import Pace
from bot.people import People
from bot.vitals import Vitals
from core import complaint, logs, printing, redact, report, transcript, zone
from core.engine import Engine
from core.ledger import Ledger
from core.model import Request, Run, State
from core.redact import SecretStr
from core.report import markdown, page
from core.roll_back import RUNBOOKS
from core.settings import Backup, Services, SlackSettings
from demo.bench import ROOT
from demo.postgres import Server
from demo.workspace import Workspace
from tests import forks
from tests.engine_stand import ANA, Anybody, EngineStand

SECRETS = {
    "database": "k1-canary/of 'the' & dätabase%",
    "scratch": "k2-canary-of-the-scratch-server",
    "admin": "k3-canary-of-the-admin",
    "PGPASSWORD": "k4-canary-of-libpq",
    "bot token": "xoxb-k5-canary",
    "app token": "xapp-k6-canary",
    "signing secret": "k7canaryofthesignature",
    "health": "k8-canary-of-health",
    "cloud": "k9/canary+of+the+cloud",
}
ROWS = {
    "raised": "row-canary-raised",
    "cast": "row-canary-cast",
    "detail": "row-canary-detail",
    "typed": "row-canary-typed",
}
TELL = """#!/bin/sh
echo "$0 $*" >> "$0.argv"; env >> "$0.env"
echo "error: $AWS_SECRET_ACCESS_KEY is not accepted at https://me:$AWS_SECRET_ACCESS_KEY@cloud/" >&2
exit 9
"""
FORWARD = "CREATE TABLE two (id int);\nCREATE UNIQUE INDEX word_once ON canaries (word);\n"
GOOD = "DROP INDEX word_once;\nDROP TABLE two;\n"
RAISES = f"DO $$ DECLARE found text; BEGIN SELECT word INTO found FROM canaries; IF found IS NOT NULL THEN RAISE EXCEPTION 'there is %', found; END IF; END $$;\n{GOOD}"
CASTS = f"ALTER TABLE canaries ALTER other TYPE int USING other::int;\n{GOOD}"


class Aviary:
    """A stand whose every address and variable holds a canary, and all that has left it."""

    def __init__(self, server: Server, url: str, folder: Path, slack: Workspace) -> None:
        self.folder, self.slack = folder, slack
        self.migrations = folder / "migrations"
        (self.migrations / "rollback").mkdir(parents=True)
        self.write("001_canaries", "CREATE TABLE canaries (word text, other text);\n", "DROP TABLE canaries;\n")
        self.write("002_two", FORWARD, GOOD)
        self.tell = folder / "tell"
        self.tell.write_text(TELL)
        self.tell.chmod(0o755)
        self.stand = EngineStand(server, with_password(url, "database"), folder / "stand", self.migrations)
        self.stand.set(
            scratch_url=SecretStr(with_password(server.url(), "scratch")), channel="#incidents", health_tries=1
        )
        self.stand.set(admin_url=SecretStr(with_password(server.url(), "admin")))
        self.stand.set(health_url=f"http://probe:{SECRETS['health']}@127.0.0.1:9/health")
        self.stand.settings = replace(self.stand.settings, slack=slack_settings(slack), log_level="debug")
        self.stand.sql(
            "CREATE TABLE canaries (word text, other text)", FORWARD,
            "CREATE TABLE schema_migrations (version text PRIMARY KEY, applied_at timestamptz DEFAULT now())",
            "INSERT INTO schema_migrations VALUES ('001'), ('002')",
            f"INSERT INTO canaries VALUES ('{ROWS['raised']}', '7')",
        )  # fmt: skip
        self.terminal, self.children = StringIO(), []  # type: ignore[var-annotated]

    def write(self, name: str, forward: str, back: str) -> None:
        (self.migrations / f"{name}.sql").write_text(forward)
        (self.migrations / "rollback" / f"{name}.sql").write_text(back)

    def fails(
        self, ask: Callable[[], Run], step: str, code: str, told: Callable[[str], object] = id, **target: Any
    ) -> Run:
        """One run that ends at that step."""
        before = self.stand.target
        self.stand.set(**target)
        settings = self.stand.settings
        engine = Engine(RUNBOOKS, self.stand.ledger, settings, Anybody(), confirm=lambda run: True, told=told)
        run = engine.walk(ask().id)
        self.stand.set(**{name: getattr(before, name) for name in target})
        events = self.stand.ledger.events(run.id)
        ending = next(
            e for e in reversed(events) if e.kind in ("step_failed", "refused", "unknown", "interrupted", "differs")
        )
        assert (ending.data.get("step", step), ending.data.get("code", code)) == (step, code), ending.data
        return run

    def asks(self) -> Run:
        return self.stand.desk.ask(
            Request("latest"), self.stand.target, ANA, f"see postgresql://me:{ROWS['typed']}@db/x"
        )

    def tells(self, run: Run) -> None:
        """What the shell prints of it, as text and as data."""
        out = self.terminal
        for event in self.stand.ledger.events(run.id):
            print(*transcript.step_lines(event, run, self.stand.target), sep="\n", file=out)
        print(*printing.timeline(run, self.stand.ledger.events(run.id)), json.dumps(printing.record(run)), file=out)
        packet = report.of(report.gather(self.stand.ledger, run.id, zone.here()))
        print(markdown.whole(packet), page.whole(packet), file=out)


def with_password(url: str, name: str) -> str:
    return url.replace("postgres@", f"postgres:{quote(SECRETS[name], safe='')}@", 1)


def slack_settings(slack: Workspace) -> SlackSettings:
    return SlackSettings(
        SecretStr(SECRETS["bot token"]), SecretStr(SECRETS["app token"]), SecretStr(SECRETS["signing secret"]),
        slack.api_url,
    )  # fmt: skip


@pytest.fixture
def logging_put_back() -> Iterator[None]:
    """What the program's log has put in Python's place is taken out again."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook
    yield
    root.handlers[:], sys.excepthook, sys.unraisablehook, threading.excepthook = before, *hooks
    root.setLevel(level)
    logging.captureWarnings(False)
    logging.raiseExceptions = True
    structlog.reset_defaults()
    redact.install(redact.Redactor())


@pytest.fixture
def children() -> Iterator[list[str]]:
    """Arguments and environment of every program that is started."""
    seen: list[str] = []
    listening = [True]

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and listening[0] and "tests.forks" not in given[1]:  # which stands for this test
            seen.append(repr(given))
            assert given[3] is not None, f"{given[0]} inherits our environment"

    sys.addaudithook(hook)
    yield seen
    listening[0] = False  # an audit hook cannot be taken away


def test_no_canary_leaves_by_any_way_whatever_fails(
    server: Server, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logging_put_back: None, children: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    named = {"SLACK_BOT_TOKEN": "bot token", "SLACK_APP_TOKEN": "app token", "SLACK_SIGNING_SECRET": "signing secret"}
    for variable, name in {**named, "PGPASSWORD": "PGPASSWORD", "AWS_SECRET_ACCESS_KEY": "cloud"}.items():
        monkeypatch.setenv(variable, SECRETS[name])
    with Workspace() as slack:
        aviary = Aviary(server, database, tmp_path, slack)
        stand = aviary.stand
        logs.set_up(stand.settings)
        for run in [*the_way_forth(aviary), *the_ways_back(aviary)]:
            aviary.tells(stand.ledger.run(run.id))
        a_bug_of_ours(aviary)
        a_start_that_slack_refuses(aviary, monkeypatch)
        every_word_told_in_slack(aviary)
        told = capsys.readouterr()
        left = {
            "log": told.err, "terminal": aviary.terminal.getvalue(), "stdout": told.out,
            "Slack": json.dumps(slack.calls, ensure_ascii=False), "argv": aviary.tell.with_name("tell.argv").read_text(),
            "children": "\n".join(children),
        }  # fmt: skip
        for file in (stand.ledger.path, Path(f"{stand.ledger.path}-wal")):
            left[file.name] = file.read_bytes().decode(errors="replace")
        for file in stand.settings.backup_dir.rglob("*.json"):
            left[file.name] = file.read_text()
        stand.ledger.close()
        stand.drop_others()
    caught = [(canary, way) for way, text in left.items() for canary in found_in(text, way)]
    assert not caught
    assert "E-TRIAL-RUN" in left["log"] + left["terminal"] and len(slack.calls) > 20 and len(children) > 10
    assert all(left[way] for way in ("log", "terminal", "stdout", "argv", "ledger.db"))


def found_in(text: str, way: str) -> Iterator[str]:
    """Which canaries sing in a text, however they are spelled."""
    for name, secret in {**SECRETS, **ROWS}.items():
        if name == "cloud" and way == "children":
            continue  # a team's own program may log in to its cloud
        if any(form in text for form in redact.spellings(secret)):
            yield name


def the_way_forth(aviary: Aviary) -> Iterator[Run]:
    stand = aviary.stand
    away = SecretStr(with_password("postgresql://postgres@/x?host=/nowhere", "database"))
    yield aviary.fails(aviary.asks, "identify", "E-DB", database_url=away)
    yield aviary.fails(
        aviary.asks,
        "rehearse",
        "E-SCRATCH",
        scratch_url=SecretStr(with_password("postgresql://postgres@/x?host=/nowhere", "scratch")),
    )
    yield aviary.fails(
        aviary.asks, "backup", "E-BACKUP", backup=Backup(kind="command", take=(str(aviary.tell), "take"))
    )
    aviary.write("002_two", FORWARD, f"ALTER ROLE postgres PASSWORD '{SECRETS['scratch']}';\n{GOOD}")
    yield aviary.fails(aviary.asks, "identify", "E-SCRIPT")
    aviary.write("002_two", FORWARD, RAISES)
    yield aviary.fails(aviary.asks, "test restore", "E-TRIAL-RUN")
    aviary.write("002_two", FORWARD, CASTS)

    def meanwhile(run_id: str) -> None:
        if stand.ledger.events(run_id)[-1].data.get("step") == "test restore":
            stand.sql(f"UPDATE canaries SET other = '{ROWS['cast']}'")

    yield aviary.fails(aviary.asks, "execute", "E-EXECUTE", told=meanwhile)


def the_ways_back(aviary: Aviary) -> Iterator[Run]:
    stand = aviary.stand
    aviary.write("002_two", FORWARD, GOOD)
    done = aviary.fails(aviary.asks, "verify", "")
    assert done.state is State.DECIDE
    yield done
    stand.desk.keep(done.id, ANA)
    away = SecretStr(with_password("postgresql://postgres@/x?host=/nowhere", "admin"))
    yield aviary.fails(lambda: stand.asks("restore", done), "identify", "E-DB", admin_url=away)
    stand.sql(f"INSERT INTO canaries VALUES ('{ROWS['detail']}', '1'), ('{ROWS['detail']}', '2')")
    yield aviary.fails(lambda: stand.asks("reapply", done), "execute", "E-EXECUTE")
    services = Services("command", stop=(str(aviary.tell), "stop"), start=(str(aviary.tell), "start"))
    yield aviary.fails(lambda: stand.asks("restore", done), "execute", "E-SERVICES", services=services)


def a_bug_of_ours(aviary: Aviary) -> None:
    """A driver's error that nobody has turned into a sentence, with the row in its DETAIL; a shell that breaks."""
    try:
        aviary.stand.sql("CREATE UNIQUE INDEX ON canaries (word)")
    except Exception as error:
        assert ROWS["detail"] in str(error)
        structlog.get_logger().error("bug", exc_info=error)
        logging.getLogger("apscheduler").error("a job broke", exc_info=error)
        complaint.complain(error, as_json=True)


def a_start_that_slack_refuses(aviary: Aviary, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bot itself: with a token that Slack does not know, and with settings that are none."""
    url = with_password("postgresql://postgres@/x?host=/nowhere", "database")
    monkeypatch.setenv("XDG_STATE_HOME", str(aviary.folder / "state"))
    monkeypatch.setenv("SLACK_API_URL", aviary.slack.api_url)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("ROLLBACK_APPROVERS", "U0BOB")
    assert started() in (2, 69)
    monkeypatch.setenv("DATABASE_URL", url.replace("postgresql://", "postgresql//"))
    assert started() == 2


def started() -> int:
    """A bot, until it ends; what it says is said here."""
    done = forks.run([sys.executable, "-m", "bot"], cwd=ROOT, timeout=60, text=True)
    sys.stderr.write(done.stdout + done.stderr)
    return int(done.returncode)


def every_word_told_in_slack(aviary: Aviary) -> None:
    """Everything that is in the ledger, posted by the real announcer."""
    slack, stand = aviary.slack, aviary.stand
    client = Client(slack.bot_token, slack.api_url, Vitals())
    people = People(client, stand.settings)
    Announcer(client, stand.ledger, stand.settings, people, Pace(0.0)).catch_up()
    assert Ledger(stand.settings.ledger).posts("place = 'told'", ())
