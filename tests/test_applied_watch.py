"""The watch over all targets, and what the announcer reads for it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bot.applied import AppliedWatch
from core.applied import seen
from core.redact import SecretStr
from demo.postgres import Server
from demo.workspace import Workspace
from tests.engine_stand import EngineStand
from tests.test_announcer import CHANNEL, Office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with Workspace() as running:
        yield Office(tmp_path, running)


def test_one_target_that_breaks_the_look_does_not_end_that_of_the_others_and_is_logged_once(
    server: Server, app: str, tmp_path: Path
) -> None:
    stand = EngineStand(server, app, tmp_path / "state")
    names = ("broken", "away", "production")
    away = SecretStr("postgresql://127.0.0.1:1/away")
    targets = {name: replace(stand.target, name=name, database_url=away) for name in names[:2]}
    stand.settings = replace(stand.settings, targets={**targets, "production": stand.target})
    stand.ledger.append("applied", {"target": "broken"})  # no event of ours lacks a version
    with ThreadPoolExecutor(1) as pool, capture_logs() as logged:
        watch = AppliedWatch(stand.desk, pool, lambda: False)
        for _ in range(2):
            watch.lanes["look"].acquire()
            watch.through("look", watch.look)
    assert seen.of(stand.ledger, "production").looked
    said = [(one["event"], one["what"]) for one in logged if one["what"].startswith("look")]
    assert said == [("bug", "look broken"), ("not watched now", "look away")]


def test_what_the_first_look_notes_is_told_without_reading_all_of_it_again_for_each(office: Office) -> None:
    def applied(version: int, late: bool = False) -> dict[str, object]:
        name = f"{version:03}_m"
        return {"target": "production", "version": f"{version:03}", "name": name, "out_of_order": late}

    with office.ledger.transaction() as t:
        for version in range(50):
            t.append(None, "applied", applied(version))
    asked: list[str] = []
    office.ledger.conn.set_trace_callback(asked.append)
    office.announcer.catch_up()
    office.ledger.conn.set_trace_callback(None)
    assert asked and not [one for one in asked if "kind = 'applied'" in one]
    with office.ledger.transaction() as t:
        for version in (60, 61, 62):
            t.append(None, "applied", applied(version, late=version != 61))
    office.announcer.catch_up()
    (told,) = office.new(CHANNEL)
    assert "2 migrations are applied out of order" in told.text
