"""What other programs ask the bot's program, each in a process of its own: `--healthy`, `--witness [FILE]`, `--may-approve`.

The shell does not know Slack: where an answer needs it, the shell asks here.
"""

from __future__ import annotations

import json
from pathlib import Path

from bot.client import client_of
from bot.people import People
from bot.vitals import Vitals
from bot.witness import Reader, from_file
from core import ask_witness, config
from core.errors import Problem
from core.ledger import Ledger
from core.settings import Settings


def healthy(settings: Settings) -> int:
    """0 where a bot holds the ledger and its heart beats."""
    ledger = Ledger(settings.ledger)
    return 0 if ledger.held("bot") and ledger.beaten("bot") < 15 else 1


def may_approve(settings: Settings, user: str, run_id: str) -> int:
    """For the shell, which does not know Slack: 0 where it says yes, else why not as JSON on stdout."""
    try:
        people, run = People(client_of(settings, Vitals()), settings), Ledger(settings.ledger).run(run_id)
        people.may_approve(people.person(user), run, settings.target(run.target))
    except Problem as no:
        print(json.dumps({"code": no.code, "message": no.message}))
        return no.exit
    return 0


def read_back(files: list[str]) -> int:
    """For `rollback audit verify --witness`: what we have posted, or the refusal, as one object on stdout."""
    try:
        if files:
            said = from_file(Path(files[0]))
        else:
            settings = config.load()
            client = client_of(settings, Vitals())
            said = Reader(client, settings, People(client, settings)).read()
    except Problem as problem:
        refused = {"code": problem.code, "message": problem.message, "hint": problem.hint}
        print(json.dumps({"refused": refused}))
        return problem.exit
    print(ask_witness.told(said))
    return 0
