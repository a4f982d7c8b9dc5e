"""Whoever asks the bot to look at something is answered, and keeps nobody else waiting for long."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from slack_bolt import Ack, Respond
from slack_sdk import WebClient

from bot import messages
from bot.commands import AT_ONCE, Commands, noted
from bot.decisions import Decisions
from bot.people import People
from bot.reply import Reply
from core.desk import Desk
from core.driving import Nobody
from core.engine import Engine
from core.errors import Refused
from core.ledger import Ledger
from core.roll_back import RUNBOOKS
from core.settings import Settings


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
    with ThreadPoolExecutor(1) as commands.pool:
        assert commands.looking(lambda: noted("Fine."), reply("U0CHEN"), "Looking.").status == 200
    ledger.close()
