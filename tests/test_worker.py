"""What the bot's worker hands out: whatever is due, and the tidying of what ended while nobody walked it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bot.worker import Worker
from core.desk import Desk
from core.driving import Nobody
from core.engine import Engine
from core.ledger import Ledger
from core.model import Person, Request, State
from core.redact import SecretStr
from core.roll_back import RUNBOOKS
from core.settings import Settings, Target


def test_a_rollback_that_was_closed_while_no_bot_lived_is_tidied_by_the_next_one(tmp_path: Path) -> None:
    target = Target("one", SecretStr("postgresql://"))
    settings = Settings(targets={"one": target}, default_target="one", ledger=tmp_path / "ledger.db")
    ledger = Ledger(settings.ledger)
    desk, ana = Desk(ledger, settings), Person("U0ANA", "Ana")
    run = desk.ask(Request("latest"), target, ana, channel="C1")
    walker = ledger.hold(run.id)
    assert walker
    walker.close()  # as its process ends
    assert desk.withdraw(run.id, ana).state is State.WITHDRAWN and run.id in ledger.names()
    with ThreadPoolExecutor(1) as pool:
        Worker(Engine(RUNBOOKS, ledger, settings, Nobody()), ledger, pool).start_what_is_due()
    assert run.id not in ledger.names()
