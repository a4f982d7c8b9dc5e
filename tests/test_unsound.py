"""Somebody with the file in hand, or in two places at once: nothing runs that the audit trail does not bear."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from core.model import State
from demo.bench import ROOT
from tests.bench_fixtures import BOB, CHEN, Play, copied
from tests.scenery import SLOW_TRIAL, UNDO_012, Stage


def edit(play: Play, *statements: str) -> None:
    with sqlite3.connect(play.ledger.path) as file:
        for statement in statements:
            file.execute(statement)
    file.close()


def test_a_row_marked_approved_by_hand_runs_nothing_and_stays_visible(stage: Stage) -> None:
    play = stage()
    run = play.proven(play.asks("latest"))
    edit(play, f"UPDATE rollbacks SET state = 'approved' WHERE id = '{run.id}'")
    play.types("help")
    play.ledger.append("drill_due", {"target": "production", "period": "now", "owner": "", "last": "never"})
    ended = play.until(run.id, State.STOPPED)
    assert ended.ending and ended.ending.data["code"] == "E-LEDGER"
    assert play.applied()[-1] == "012" and play.markers() == []


def test_sql_slipped_into_the_ledger_is_not_run(stage: Stage) -> None:
    play = stage()
    run = play.proven(play.asks("latest"))
    more = '{"kind":"DELETE","line":9,"sql":"DELETE FROM profiles"}'
    slipped = "json_insert(data, '$.evidence.undo[0].script.statements[#]', json(?))"
    with sqlite3.connect(play.ledger.path) as file:
        file.execute("DROP TRIGGER events_no_update")
        file.execute(
            f"UPDATE events SET data = {slipped} WHERE run = ? AND kind = 'step_done' AND data LIKE '%\"identify\"%'",
            [more, run.id],
        )
    file.close()
    play.approves(run, BOB)
    ended = play.until(run.id, State.STOPPED)
    assert ended.ending and "was changed after it was written" in ended.ending.data["message"]
    assert play.applied()[-1] == "012" and play.markers() == []


def test_an_execution_without_enough_approvals_is_found_by_verify(stage: Stage) -> None:
    play = stage()
    run = play.proven(play.asks("latest"))
    play.approves(run, BOB)
    play.until(run.id, State.DONE)
    assert play.ledger.verify().unbroken
    edit(play, "DROP TRIGGER events_no_delete", "DELETE FROM events WHERE kind = 'approved'")
    assert any("was executed with 0 of 1 approvals" in fault for fault in play.ledger.verify().faults)


def test_a_second_bot_is_refused_by_whatever_link_it_reaches_the_ledger(stage: Stage, tmp_path: Path) -> None:
    play = stage()
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "l.db"
    link.symlink_to(play.ledger.path)
    env = {**play.bench.environment, "ROLLBACK_LEDGER": str(link)}
    second = subprocess.run(
        [sys.executable, "-m", "bot"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=30, check=False
    )
    assert second.returncode == 1 and "E-LEDGER" in second.stderr


def test_an_approver_who_left_the_group_a_moment_ago_no_longer_counts(stage: Stage, tmp_path: Path) -> None:
    play = stage(migrations=copied(tmp_path, {UNDO_012: SLOW_TRIAL}))
    run = play.asks("latest")
    play.approves(run, BOB)
    with play.slack.state.changing():
        play.slack.state.groups["S0DBONCALL"].users.remove(BOB)
    waiting = play.when(run.id, lambda now: now.state is State.WAITING and "test restore" in now.evidence)
    assert waiting.approvals == ()
    play.approves(waiting, CHEN)
    play.until(run.id, State.DONE)


def test_while_slack_does_not_tell_who_is_in_the_group_nothing_is_executed(stage: Stage, tmp_path: Path) -> None:
    play = stage(migrations=copied(tmp_path, {UNDO_012: SLOW_TRIAL}))
    run = play.asks("latest")
    play.approves(run, BOB)
    play.slack.faults.down = True
    play.when(run.id, lambda now: "test restore" in now.evidence)
    time.sleep(1.5)
    assert play.ledger.run(run.id).state is State.APPROVED and play.applied()[-1] == "012"
    play.slack.faults.down = False
    play.until(run.id, State.DONE)


@pytest.mark.parametrize("private", ["[1,2]", '"x"', "5", "null", "{", '{"run": 3, "rev": 1}'])
def test_a_form_of_another_shape_is_answered_in_words(stage: Stage, private: str) -> None:
    play = stage()
    payload: dict[str, Any] = {
        "type": "view_submission",
        "api_app_id": play.slack.app_id,
        "team": {"id": play.slack.team_id},
        "user": {"id": BOB, "team_id": play.slack.team_id},
        "trigger_id": "1.2.x",
        "view": {
            "id": "V0NEVER",
            "type": "modal",
            "callback_id": "rb.review",
            "private_metadata": private,
            "state": {"values": {}},
        },
    }
    answer = play.slack.click_raw(payload)
    assert "E-" in str(answer.raw) and "update" in str(answer.raw)
    assert play.ledger.runs() == []
