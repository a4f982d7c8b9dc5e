"""Drills in the real bot: by the buttons of the reminder, typed, in the shell, and through everything that comes in between."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core import drills
from core.model import Event
from demo.workspace import Message
from tests.bench_fixtures import BOB, CHANNEL, CHEN, DEE, Play, compare, owe_a_drill

DAILY = 'drill = {{ schedule = "daily 10:00", timezone = "Europe/Berlin", owners = ["U0CHEN"]{} }}\n'
Stage = Callable[..., Play]


@pytest.fixture
def drilled(stage: Stage, tmp_path: Path) -> Callable[..., Play]:
    def start(more: str = "", extra: str = "") -> Play:
        owe_a_drill(tmp_path / "bench")
        play = stage(DAILY.format(more) + extra)
        button(play, "drill.start")
        return play

    return start


def button(play: Play, action: str) -> Message:
    """The newest message that has it."""
    found = play.slack.wait_for(
        lambda: next((m for m in reversed(play.everything()) if f"'{action}'" in str(m.blocks)), None), 30
    )
    assert found
    return found


def clicks(play: Play, action: str, user: str, **more: Any) -> None:
    play.slack.click(user, CHANNEL, button(play, action).ts, action, **more)


def told(play: Play, *kinds: str) -> Event:
    """The newest event of these kinds, once there is one."""
    found = play.slack.wait_for(lambda: next(iter(play.ledger.apart(kinds)), None), 60)
    assert found
    play.told()
    return found


def ended(play: Play) -> Event:
    return told(play, "drill_passed", "drill_failed")


def test_a_drill_is_started_and_finished_by_buttons(drilled: Callable[..., Play]) -> None:
    play = drilled(", second_person = true")
    before = play.applied(), play.tables()
    clicks(play, "drill.start", CHEN)
    asks = button(play, "drill.agree")
    play.slack.click(CHEN, CHANNEL, asks.ts, "drill.agree")
    assert "somebody else must agree" in play.hears("E-SELF", CHEN)
    told_step(play, "test restore")
    clicks(play, "drill.agree", BOB)
    end = ended(play)
    assert end.kind == "drill_passed", end.data
    assert [one["name"] for one in end.data["people"]] == ["Bob Lee"]
    compare(
        "drill_by_buttons",
        re.sub(r"(\*(Roll back|Re-apply|Restore)\* SPAN): .*", r"\1: …", play.transcript(viewer=CHEN)),
    )
    assert (play.applied(), play.tables()) == before and play.markers() == []
    play.left_clean()
    play.types("audit verify")
    assert "is not what" not in play.hears("that I posted")
    run = play.asks("latest")
    card = str(play.with_button(run, "rb.review").blocks)
    assert "Last drill: today" in card and "overdue" not in card


def test_a_reminder_is_put_off_and_skipped_with_a_reason_that_everybody_sees(drilled: Callable[..., Play]) -> None:
    play = drilled()
    reminder = button(play, "drill.snooze")
    play.slack.click(CHEN, CHANNEL, reminder.ts, "drill.snooze", selected=chosen(reminder, "In a week"))
    assert "before that" in play.hears("E-TOO-LATE", CHEN)
    assert drills.standing(play.ledger, "production").snoozed is None
    clicks(play, "drill.skip", CHEN)
    answer = play.slack.submit(CHEN, {"reason": "no"})
    assert "at least" in str(answer.errors) or "E-REASON" in str(answer.errors)
    play.slack.submit(CHEN, {"reason": "release week"})
    told(play, "drill_skipped")
    play.slack.wait_for(lambda: "Skipped by" in str(button_less(play, reminder.ts).blocks), 20)
    play.types("drill status")
    play.hears("release week")
    play.types("drill skip once more, please")
    play.hears("E-CLOSED")


def told_step(play: Play, step: str) -> None:
    """Wait until it is told."""
    play.slack.wait_for(lambda: any(one.data["step"] == step for one in play.ledger.apart(["drill_step"])), 60)
    play.told()


def test_a_bot_that_is_killed_in_the_middle_says_so_and_the_drill_can_be_started_again(
    drilled: Callable[..., Play],
) -> None:
    play = drilled(", second_person = true")
    clicks(play, "drill.start", CHEN)
    told_step(play, "test restore")
    play.bench.kill_bot()
    folder = play.bench.folder / "state" / "rollback-bot" / "backups"
    assert [path.name for path in folder.iterdir() if path.name.startswith("drill-")]
    play.bench.start_bot()
    end = ended(play)
    assert (end.kind, end.data["code"], end.data["step"]) == ("drill_failed", "E-STOPPED", "test restore")
    play.slack.wait_for(lambda: not [path.name for path in folder.iterdir() if path.name.startswith("drill-")], 20)
    failed = button(play, "drill.start")
    assert "please look" in failed.text and "ended in the middle" in str(failed.blocks)
    clicks(play, "drill.start", BOB)
    clicks(play, "drill.agree", CHEN)
    play.slack.wait_for(lambda: play.ledger.apart(["drill_passed"]), 60)
    assert drills.standing(play.ledger, "production").due is None
    assert not left(play), "no scratch database is left"


def left(play: Play) -> list[str]:
    with psycopg.connect(play.bench.server.url()) as conn:
        names = [name for (name,) in conn.execute("SELECT datname FROM pg_database").fetchall()]
    return [name for name in names if "scratch_dr_" in name]


def test_a_real_run_goes_first_and_a_second_drill_is_refused(drilled: Callable[..., Play]) -> None:
    play = drilled()
    run = play.asks("latest")
    clicks(play, "drill.start", CHEN)
    (waits,) = play.slack.wait_for(lambda: play.ledger.apart(["drill_waits"]), 30)
    assert waits.data["for"] == run.id
    play.types("drill start", DEE)
    assert "started by Chen Wu" in play.hears("E-BUSY", DEE)
    assert play.ledger.apart(["drill_step"]) == []
    play.types(f"withdraw {run.id}")
    end = ended(play)
    assert end.kind == "drill_passed", end.data


def test_the_shell_follows_the_drill_that_the_bot_walks_and_walks_it_itself_without_one(stage: Stage) -> None:
    play = stage()
    done = play.bench.shell("drill", "start")
    assert done.returncode == 0, done.stderr
    assert "test restore" in done.stderr and "The drill passed in" in done.stderr
    told(play, "drill_passed")
    play.bench.stop_bot()
    alone = play.bench.shell("drill", "start", "--json")
    assert alone.returncode == 0, alone.stderr
    assert [one["step"] for one in json.loads(alone.stdout)["drill"]["steps"]][:2] == ["fresh backup", "copy"]
    status = play.bench.shell("drill")
    assert status.returncode == 0 and "2 in a row" in status.stdout and "no schedule" in status.stdout
    nothing = play.bench.shell("drill", "snooze", "2")
    assert (nothing.returncode, "E-CLOSED" in nothing.stderr) == (3, True)
    agreed = play.bench.shell("drill", "agree")
    assert (agreed.returncode, "E-SHELL-APPROVE" in agreed.stderr) == (3, True)


def test_who_may_not_starts_puts_off_skips_and_agrees_to_nothing(drilled: Callable[..., Play]) -> None:
    play = drilled(", second_person = true", extra='requesters = ["U0BOB"]\n')
    for action in ("drill.start", "drill.skip"):
        clicks(play, action, DEE)
        play.hears("E-NOT-ALLOWED", DEE)
        play.slack.state.messages[CHANNEL] = [m for m in play.everything() if not m.ephemeral_for]
    menu = button(play, "drill.snooze")
    play.slack.click(DEE, CHANNEL, menu.ts, "drill.snooze", selected=chosen(menu, "Tomorrow"))
    play.hears("E-NOT-ALLOWED", DEE)
    assert [event.kind for event in play.ledger.apart(drills.KINDS)] == ["drill_due"]
    clicks(play, "drill.start", CHEN)  # whose turn it is, though no requester
    clicks(play, "drill.agree", DEE)
    play.hears("E-NOT-APPROVER", DEE)
    play.types("drill agree", DEE)
    play.types("drill stop", DEE)
    assert play.ledger.apart(["drill_agreed", "drill_stopped"]) == []
    play.types("drill stop", CHEN)
    assert ended(play).data["message"] == "Chen Wu stopped it."
    first = button(play, "drill.start")
    clicks(play, "drill.start", CHEN)
    play.slack.wait_for(lambda: "started again since" in str(button_less(play, first.ts).blocks), 20)


def button_less(play: Play, ts: str) -> Message:
    return next(m for m in play.everything() if m.ts == ts)


def chosen(message: Message, words: str) -> str:
    """The value of an option."""
    menu = next(
        one for block in message.blocks if block["type"] == "actions" for one in block["elements"] if "options" in one
    )
    return next(str(option["value"]) for option in menu["options"] if option["text"]["text"] == words)
