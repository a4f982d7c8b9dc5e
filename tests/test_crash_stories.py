"""Stories of a bot that is killed: resumed, found committed, or left to people; nothing runs twice."""

from __future__ import annotations

from pathlib import Path

import psycopg

from core.model import STEPS, State
from demo.app import sample
from tests.bench_fixtures import ANA, BOB, compare, copied
from tests.scenery import LATER, SCRIPT_012, SLOW_TRIAL, UNDO_012, Stage, holding, waits_for_lock


def test_killed_in_each_proof_it_goes_on_after_the_restart_and_no_finished_step_is_repeated(
    stage: Stage, tmp_path: Path
) -> None:
    play = stage(migrations=copied(tmp_path, {UNDO_012: SLOW_TRIAL}))
    play.types("latest")
    run = play.newest()
    for step in ("rehearse", "backup", "test restore"):
        play.when(run.id, lambda now, step=step: now.running == step)  # type: ignore[misc]
        play.bench.kill_bot()
        play.bench.start_bot()
    run = play.proven(play.until(run.id, State.WAITING))
    play.approves(run)
    play.until(run.id, State.DONE)
    play.told()
    done = [event.data["step"] for event in play.ledger.events(run.id) if event.kind == "step_done"]
    assert done == list(STEPS["rollback"])
    assert play.markers() == [run.id]
    assert not list(play.bench.folder.rglob("*.partial"))
    play.left_clean()


def test_killed_twice_between_approval_and_execution_it_starts_by_itself(stage: Stage, tmp_path: Path) -> None:
    play = stage(migrations=copied(tmp_path, {UNDO_012: SLOW_TRIAL}))
    run = play.asks("latest")
    play.when(run.id, lambda now: now.running == "test restore")
    play.approves(run)
    play.until(run.id, State.APPROVED)
    play.told()
    for _ in range(2):
        play.bench.kill_bot()
        play.bench.start_bot()
    play.until(run.id, State.DONE)
    compare("killed_after_approval", play.transcript(BOB))
    assert play.markers() == [run.id]
    play.left_clean()


def test_killed_in_execute_without_a_commit_people_choose_to_stop_or_to_execute_again(stage: Stage) -> None:
    play = stage('lock_wait = "30 s"\n')
    for choice, end in (("rb.stop", State.STOPPED), ("rb.resume", State.DONE)):
        run = play.proven(play.asks("latest"))
        with holding(play.bench.database, "SELECT count(*) FROM stripe_events"):
            play.approves(run)
            play.until(run.id, State.EXECUTING)
            waits_for_lock(play)
            play.bench.kill_bot()
            play.bench.start_bot()
            play.until(run.id, State.INTERRUPTED)
            interrupted = play.transcript()
        assert play.applied()[-1] == "012"
        play.clicks(run, choice, ANA)
        play.until(run.id, end)
        play.told()
    compare("killed_without_commit", interrupted + LATER + play.transcript(BOB))
    assert play.markers() == [run.id]
    play.left_clean()


def test_killed_right_after_the_commit_nothing_runs_twice(stage: Stage) -> None:
    play = stage('lock_wait = "30 s"\n')
    run = play.proven(play.asks("latest"))
    with holding(play.bench.database, "SELECT count(*) FROM stripe_events"):
        play.approves(run)
        play.until(run.id, State.EXECUTING)
        waits_for_lock(play)
        play.told()
        play.ledger.db.execute("BEGIN IMMEDIATE")  # the bot can commit, and cannot write it down
    play.slack.wait_for(lambda: play.markers() == [run.id])
    play.bench.kill_bot()
    play.ledger.db.execute("ROLLBACK")
    assert play.ledger.run(run.id).state is State.EXECUTING
    play.bench.start_bot()
    play.until(run.id, State.DONE)
    compare("killed_after_commit", play.transcript(BOB))
    assert play.kinds(run).count("executing") == 1
    play.left_clean()


def test_killed_between_two_parts_people_see_what_is_done_and_left_and_let_the_rest_follow(
    stage: Stage, tmp_path: Path
) -> None:
    index = "CREATE INDEX stripe_events_type_idx ON stripe_events (type);\n"
    forward = (sample.MIGRATIONS / "012_stripe_events.sql").read_text() + index
    back = f"DROP INDEX CONCURRENTLY stripe_events_type_idx;\n{SCRIPT_012}"
    play = stage(
        'lock_wait = "30 s"\n', migrations=copied(tmp_path, {"012_stripe_events.sql": forward, UNDO_012: back})
    )
    with psycopg.connect(play.bench.database) as conn:
        conn.execute(index.encode())
    run = play.proven(play.asks("latest"))
    with holding(play.bench.database, "LOCK schema_migrations IN SHARE MODE"):  # only the second part needs it
        play.approves(run)
        play.when(run.id, lambda now: (now.part or {}).get("part") == 2)
        waits_for_lock(play)
        play.told()
        play.bench.kill_bot()
        play.bench.start_bot()
        play.until(run.id, State.NEEDS_A_PERSON)
        play.told()
        half_done = play.transcript()
    assert play.applied()[-1] == "012"
    play.clicks(run, "rb.resume", ANA)
    play.until(run.id, State.DONE)
    play.told()
    compare("killed_between_parts", half_done + LATER + play.transcript(BOB))
    assert play.kinds(run).count("part_done") == 2 and play.applied()[-1] == "011"
    play.left_clean()
