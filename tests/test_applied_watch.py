"""The watch over all targets, and what the announcer reads for it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from structlog.testing import capture_logs

from bot.applied import AppliedWatch
from core.applied import seen
from core.redact import SecretStr
from demo.postgres import Server
from tests.engine_stand import EngineStand


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
    assert [(one["event"], one["what"]) for one in logged] == [("bug", "look broken"), ("not watched now", "look away")]
