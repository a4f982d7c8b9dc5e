"""Who is who, and which channel is which, where Slack does not tell."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from slack_sdk import WebClient
from test_announcer import Office

from bot.commands import Commands
from bot.decisions import Decisions
from bot.deliveries import deliveries
from bot.people import People
from core.desk import Desk
from core.engine import Engine
from core.errors import Refused
from core.ledger import Ledger
from core.model import Run
from core.redact import SecretStr
from core.roll_back import RUNBOOKS
from core.settings import BreakGlass, Settings, Target
from demo.workspace import Workspace

WORDS = ("011_subscriptions", "Nobody of the on-call group answers, checkout is down")


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


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with Workspace() as slack:
        made = Office(tmp_path, slack)
        yield made
        made.ledger.close()


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


def test_where_no_approver_can_be_asked_the_next_group_is(office: Office) -> None:
    targets: Any = office.settings.targets
    run = office.asked()
    for approvers, now, at_last in (
        (("U0BOB",), ["U0BOB"], ["U0BOB", "U0DEE"]),
        ((run.requester.id, "U0GUEST"), ["U0DEE"], ["U0DEE"]),
    ):
        target = targets["production"] = replace(targets["production"], approvers=approvers, escalation=("U0DEE",))
        assert office.people.reachable(run, target) == now
        assert office.people.reachable(run, target, escalated=True) == at_last
        assert not office.people.alone(run, target)
    alone = replace(targets["production"], escalation=("U0GUEST",))
    assert office.people.reachable(run, alone) == [] and office.people.alone(run, alone)


def test_a_break_glass_is_told_to_the_next_group_where_that_was_asked(office: Office) -> None:
    targets: Any = office.settings.targets
    targets["production"] = replace(
        targets["production"], escalation=("U0DEE",), break_glass=BreakGlass(people=("U0ANA",))
    )

    def told(run: Run) -> list[str | None]:
        broken = office.desk.break_glass(run.id, run.requester, (run.revision, run.digest), WORDS, alone=True)
        event = office.ledger.events(run.id)[-1]
        sent = deliveries(event, broken, office.settings, office.people, office.ledger)
        return [one.user for one in sent if one.place.startswith("dm ")]

    run = office.asked()
    office.announcer.catch_up()
    assert told(run) == ["U0BOB", "U0CHEN"]
    office.desk.withdraw(run.id, run.requester)
    run = office.asked()
    with office.ledger.transaction() as t:
        t.append(run.id, "reminded", {"minutes_left": 6, "asked": [], "number": 3, "last": True})
    office.announcer.catch_up()
    assert told(run) == ["U0BOB", "U0CHEN", "U0DEE"]
