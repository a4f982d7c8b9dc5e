"""Stories of the two ways back, as people see them in Slack and in the shell."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest

from core.model import Run, State
from tests.bench_fixtures import ANA, BOB, CHEN, Play, compare
from tests.scenery import LATER, Stage
from tests.service_worlds import CommandWorld

SERVICES = (
    'services = { kind = "command", stop = ["application", "stop"], start = ["application", "start"],'
    ' status = ["application", "status"] }\n'
)
WRITES = (
    "INSERT INTO profiles (handle, display_name, email) VALUES ('later', 'Later', 'later@example.com')",
    "UPDATE profiles SET display_name = 'changed' WHERE id <= 3",
)


def rolled_back(play: Play, what: str = "latest") -> Run:
    run = play.proven(play.asks(what))
    play.approves(run)
    return play.until(run.id, State.DONE)


def goes_back(play: Play, origin: Run, button: str) -> Run:
    """The button of a way back, its form, and the new run when its plan can be seen."""
    play.told()
    play.clicks(origin, button, ANA)
    play.slack.submit(ANA, {"reason": "the old release does not start"})
    run = play.slack.wait_for(lambda: next((run for run in play.ledger.open_runs() if run.request.origin), None))
    assert run
    return play.until(run.id, State.WAITING)


def writes(play: Play) -> None:
    """The application goes on."""
    with psycopg.connect(play.bench.database) as conn:
        for statement in WRITES:
            conn.execute(statement.encode())


def everybody(play: Play) -> list[tuple[object, ...]]:
    with psycopg.connect(play.bench.database) as conn:
        return conn.execute("SELECT handle, display_name, plan::text FROM profiles ORDER BY 1").fetchall()


def test_a_rollback_is_re_applied_with_its_button_and_keeps_what_was_written_since(stage: Stage) -> None:
    play = stage()
    before = everybody(play)
    rollback = rolled_back(play, "011_subscriptions")
    writes(play)
    run = goes_back(play, rollback, "rb.reapply")
    play.told()
    waiting = play.transcript()
    play.approves(run)
    play.until(run.id, State.DONE)
    compare("reapplied", waiting + LATER + play.transcript(BOB, CHEN))
    after = {handle: (name, plan) for handle, name, plan in everybody(play)}
    assert after.pop("later") == ("Later", None)
    assert {handle: plan for handle, (_, plan) in after.items()} == {handle: plan for handle, _, plan in before}
    assert [name for name, _ in after.values()].count("changed") == 3
    assert play.ledger.run(rollback.id).state is State.REAPPLIED
    play.left_clean()


def test_the_full_backup_is_restored_with_its_button_and_services_stop_for_the_swap(
    stage: Stage, tmp_path: Path
) -> None:
    (tmp_path / "world").mkdir()
    world = CommandWorld(tmp_path / "world")
    play = stage(SERVICES, env={"PATH": f"{world.bin}:{os.environ['PATH']}"})
    before = everybody(play)
    rollback = rolled_back(play)
    writes(play)
    run = goes_back(play, rollback, "rb.restore")
    play.told()
    waiting = play.transcript()
    play.approves(run)
    play.until(run.id, State.DONE)
    compare("restored", waiting + LATER + play.transcript(BOB))
    assert everybody(play) == before and play.applied()[-1] == "012"
    assert [call[0] for call in world.state()["calls"] if call[0] != "status"] == ["stop", "start"]
    assert world.running() == {"application": 1}
    play.left_clean()
    old = run.evidence["identify"]["kept"]
    wrong = play.bench.shell("restore", run.id, "--drop-old", stdin="production\n")
    assert (wrong.returncode, old in wrong.stderr) == (3, True)
    done = play.bench.shell("restore", run.id, "--drop-old", stdin=f"{old}\n")
    assert (done.returncode, done.stdout) == (0, f"{old} is dropped.\n")


def test_the_bot_is_killed_while_services_are_stopped_and_a_new_one_starts_them(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "world").mkdir()
    world = CommandWorld(tmp_path / "world")
    play = stage(SERVICES, env={"PATH": f"{world.bin}:{os.environ['PATH']}"})
    run = goes_back(play, rolled_back(play), "rb.restore")
    world.change(linger=1.5)
    play.approves(run)
    play.slack.wait_for(lambda: "services_stopping" in play.kinds(run))
    play.bench.kill_bot()
    world.change(linger=0)
    play.bench.start_bot()
    play.until(run.id, State.INTERRUPTED)
    assert world.running() == {"application": 1} and play.applied()[-1] == "011"
    play.told()
    interrupted = play.transcript()
    play.clicks(run, "rb.resume", ANA)
    play.until(run.id, State.DONE)
    play.told()
    compare("killed_while_restoring", interrupted)
    assert world.running() == {"application": 1} and play.applied()[-1] == "012"
    play.left_clean()
    play.bench.shell("restore", run.id, "--drop-old", stdin=f"{run.evidence['identify']['kept']}\n")


def test_a_hold_is_shown_by_status_and_released_with_its_button(stage: Stage) -> None:
    play = stage('hold = "refuse"\n')
    run = rolled_back(play)
    with psycopg.connect(play.bench.database) as conn, pytest.raises(psycopg.errors.RaiseException, match=run.id):
        conn.execute("INSERT INTO schema_migrations VALUES ('012')")
    play.types("status")
    play.hears("held by")
    play.clicks(run, "rb.release", ANA)
    play.slack.wait_for(lambda: play.ledger.run(run.id).released)
    with psycopg.connect(play.bench.database) as conn:
        conn.execute("INSERT INTO schema_migrations VALUES ('012')")
    compare("held_and_released", play.transcript())
    play.left_clean()
