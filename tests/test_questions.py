"""Whoever asks the bot to look at something is answered, and keeps nobody else waiting for long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest
from slack_bolt import Ack, Respond
from slack_sdk import WebClient
from test_announcer import BOB, Office

from bot import messages
from bot.answering import AT_ONCE
from bot.commands import Commands, noted
from bot.decisions import Decisions
from bot.people import People
from bot.reply import Reply
from core.desk import Desk
from core.driving import Nobody
from core.engine import Engine
from core.errors import Refused
from core.ledger import Ledger
from core.model import Json
from core.roll_back import RUNBOOKS
from core.settings import Settings
from demo.workspace import Workspace


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with Workspace() as slack:
        made = Office(tmp_path, slack)
        yield made
        made.ledger.close()


def decisions(office: Office, pool: Executor) -> Decisions:
    engine = Engine(RUNBOOKS, office.ledger, office.settings, office.people)
    return Decisions(office.desk, engine, office.people, pool)


def answering(office: Office, body: Json) -> Reply:
    ack = Ack()  # type: ignore[no-untyped-call]
    return Reply(body, ack, Respond(response_url=None), office.people.client, lambda view: view)


def test_one_person_waits_for_a_few_answers_at_most_and_others_ask_meanwhile(tmp_path: Path) -> None:
    settings, client = Settings(ledger=tmp_path / "l.db"), WebClient()
    ledger, people = Ledger(settings.ledger), People(client, settings)
    desk, goes_on = Desk(ledger, settings), threading.Event()

    def work() -> messages.Message:
        goes_on.wait(20)
        raise Refused("E-DB", "It does not answer.")

    with ThreadPoolExecutor(8) as pool:
        engine = Engine(RUNBOOKS, ledger, settings, Nobody())
        commands = Commands(desk, people, pool, Decisions(desk, engine, people, pool))

        def reply(user: str) -> Reply:
            ack = Ack()  # type: ignore[no-untyped-call]
            return Reply({"command": "/rollback", "user_id": user}, ack, Respond(response_url=None), client, dict)

        def asks(user: str) -> None:
            commands.looking(work, reply(user), "Looking.")

        for _ in range(AT_ONCE):
            asks("U0CHEN")
        with pytest.raises(Refused, match="still at what you asked before") as no:
            asks("U0CHEN")
        assert no.value.code == "E-RATE"
        asks("U0DEE")
        goes_on.set()
    with ThreadPoolExecutor(1) as commands.decisions.answering.pool:
        assert commands.looking(lambda: noted("Fine."), reply("U0CHEN"), "Looking.").status == 200
    ledger.close()


def test_a_form_that_slack_did_not_open_counts_for_nothing(office: Office) -> None:
    run = office.asked()
    with ThreadPoolExecutor(1) as pool:
        made = decisions(office, pool)
        office.slack.faults.errors["views.open"] = "internal_error"
        body = {"command": "/rollback", "user_id": BOB.id, "trigger_id": office.slack.state.new_trigger(BOB.id)}
        for _ in range(AT_ONCE + 1):
            for opens in (made.review, made.report):
                answer = opens(run, BOB, answering(office, body))
                assert "Slack did not open the form. Click again." in answer.body and "E-SLACK" in answer.body
        assert made.reading.names(run.id) == ()
        office.slack.faults.errors.clear()
        for _ in range(2):  # Slack delivers it twice
            assert made.review(run, BOB, answering(office, body)).body == ""
        assert made.reading.names(run.id) == ("Bob",)
