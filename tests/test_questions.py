"""Whoever asks the bot to look at something is answered, and keeps nobody else waiting for long."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from slack_bolt import Ack, Respond
from slack_sdk import WebClient
from test_announcer import BOB, CHANNEL, Office

import bot.asking
from bot import messages
from bot.answering import AT_ONCE
from bot.asking import Asking
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
from core.redact import SecretStr
from core.roll_back import RUNBOOKS
from core.settings import Settings
from demo.app import sample
from demo.workspace import Workspace
from tests.stand_ins import Mute


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with Workspace() as slack:
        made = Office(tmp_path, slack)
        yield made
        made.ledger.close()


@pytest.fixture
def mute() -> Iterator[Mute]:
    with closing(Mute()) as server:
        yield server


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


def test_a_target_is_asked_once_for_the_forms_list_however_fast_one_types(
    office: Office, mute: Mute, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets: Any = office.settings.targets
    there = replace(targets["production"], database_url=SecretStr(app), migrations=sample.MIGRATIONS)
    away = targets["production"] = replace(there, database_url=SecretStr(mute.url))
    monkeypatch.setattr(bot.asking, "PATIENCE", 1.0)
    monkeypatch.setattr(bot.asking, "FRESH", 0.0)
    with ThreadPoolExecutor(4) as pool, ThreadPoolExecutor(4) as fingers:
        asking = Asking(decisions(office, pool))

        def types(letters: str) -> list[str]:
            """What each line of the list says."""
            body = {"user": {"id": "U0ANA"}, "view": {"state": {"values": {}}}, "value": letters}
            offered = json.loads(asking.options(body, answering(office, body)).body)["options"]
            return [" - ".join(one[part]["text"] for part in ("text", "description") if part in one) for one in offered]

        said = list(fingers.map(types, ["", "0", "01", "012"]))
        assert said == [["production does not answer yet: type the command"]] * 4
        assert len(mute.connections) == 1
        mute.hang_up()
        targets["production"] = there
        assert all(one.exception(20) for one in asking._asked.values())
        monkeypatch.setattr(bot.asking, "PATIENCE", 20.0)
        assert types("012") == ["012_stripe_events - the newest"]
        targets["production"] = away
        monkeypatch.setattr(bot.asking, "PATIENCE", 0.2)
        assert types("012") == ["012_stripe_events - production does not answer yet; as it was before"]
        mute.hang_up()


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


def test_who_has_lost_the_right_to_ask_meanwhile_starts_nothing_with_an_older_button(office: Office) -> None:
    targets: Any = office.settings.targets
    run = office.asked()
    with ThreadPoolExecutor(1) as pool:
        asking = Asking(decisions(office, pool))
        draft = asking.draft(run.request, targets["production"], run.requester, ("why", ""))
        targets["production"] = replace(targets["production"], requesters=("U0CHEN",))
        for clicked, handler in ((draft, asking.elsewhere), (draft, asking.ask), (run, asking.again)):
            action = {"action_id": "rb", "action_ts": "1", "value": f"{clicked.id}.1"}
            body = {"user": {"id": run.requester.id}, "actions": [action], "channel": {"id": CHANNEL}}
            with pytest.raises(Refused, match="You may not ask for rollbacks on") as no:
                handler(body, answering(office, body))
            assert no.value.code == "E-NOT-ALLOWED"
    assert [one.id for one in office.ledger.runs()] == [run.id]
