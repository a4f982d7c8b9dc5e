"""Who is who, and which channel is which, where Slack does not tell."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from slack_sdk import WebClient

from bot.commands import Commands
from bot.decisions import Decisions
from bot.people import People
from core.desk import Desk
from core.engine import Engine
from core.errors import Refused
from core.ledger import Ledger
from core.redact import SecretStr
from core.roll_back import RUNBOOKS
from core.settings import Settings, Target
from demo.workspace import Workspace


class Proxy(BaseHTTPRequestHandler):
    """Answers in Slack's place, and not in JSON."""

    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()
        self.wfile.write(b"<html>try later</html>")

    do_POST = do_GET

    def log_message(self, format: str, *said: object) -> None:
        """Nothing."""


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    server = HTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    client = WebClient("xoxb-x", base_url=f"http://127.0.0.1:{server.server_port}/api/", retry_handlers=[])
    target = Target("production", SecretStr("postgresql://db/app"), channel="#incidents", approvers=("@db-oncall",))
    yield People(client, Settings(targets={"production": target}, ledger=tmp_path / "ledger.db"))
    server.shutdown()
    server.server_close()


def test_an_answer_that_is_no_json_is_none_and_lets_nobody_in(people: People) -> None:
    target = people.settings.target()
    for ask in (
        lambda: people.may_act("U0BOB"),
        lambda: people.among_approvers(people.person("U0BOB"), target),
        lambda: people.may_break(people.person("U0BOB"), target),
    ):
        with pytest.raises(Refused, match="E-CANNOT-CHECK"):
            ask()


def test_a_request_is_refused_where_slack_does_not_tell_which_channel_is_which(people: People) -> None:
    desk = Desk(Ledger(people.settings.ledger), people.settings)
    engine = Engine(RUNBOOKS, desk.ledger, people.settings, people)
    pool: object = None
    commands = Commands(desk, people, pool, Decisions(desk, engine, people, pool))  # type: ignore[arg-type]
    with pytest.raises(Refused, match="Slack did not tell me which channel #incidents is"):
        commands.asking.channel(people.settings.target(), "C0INCIDENTS")
    desk.ledger.close()


def test_times_are_shown_in_the_readers_zone_of_slack_or_else_the_machines(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    with Workspace() as slack:
        told = People(WebClient(slack.bot_token, base_url=slack.api_url, retry_handlers=[]), people.settings)
        assert told.zone("U0BOB").name == "Etc/UTC"
    assert people.zone("U0BOB").name == "Asia/Tokyo"
