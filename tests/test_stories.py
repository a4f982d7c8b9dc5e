"""Stories: what the channel shows, whole, as text files in `stories/`; the diff is the review."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import psycopg

from core.ledger import Ledger, now, stamp
from core.model import State
from demo.workspace import Message
from tests.bench_fixtures import ANA, BOB, CHANNEL, CHEN, compare, copied, stable
from tests.scenery import LATER, REASON, SCRIPT_012, SLOW_TRIAL, UNDO_012, Stage, holding


def test_a_rollback_of_011_is_planned_proven_approved_executed_and_verified(stage: Stage) -> None:
    play = stage(processes=subprocess)  # the true command line
    play.types(f"011_subscriptions --reason {REASON}")
    run = play.until(play.newest().id, State.WAITING)
    play.clicks(run, "rb.review", ANA)
    assert "E-SELF" in play.hears("E-SELF")
    play.proven(run)
    waiting = play.transcript(BOB)
    play.approves(run, BOB, "Looks right, payments are down")
    play.until(run.id, State.DONE)
    compare("approved", waiting + LATER + play.transcript(BOB, CHEN))
    assert play.applied() == ["001", "002", "003", "004", "010"]
    assert play.markers() == [run.id]
    play.left_clean()


def test_latest_then_to_004_undo_what_they_say(stage: Stage) -> None:
    play = stage()
    run = play.proven(play.asks("latest"))
    play.approves(run)
    play.until(run.id, State.DONE)
    assert play.applied() == ["001", "002", "003", "004", "010", "011"]
    run = play.proven(play.asks("to 004_verifications"))
    play.approves(run)
    play.until(run.id, State.DONE)
    compare("latest_then_to", play.transcript())
    assert play.applied() == ["001", "002", "003", "004"]
    play.left_clean()


def test_only_is_refused_where_something_depends_on_it_and_done_where_nothing_does(stage: Stage) -> None:
    play = stage()
    play.types("011_subscriptions --only")
    play.hears("E-ONLY-DEPENDS")
    run = play.proven(play.asks("010_rate_limits --only"))
    play.approves(run)
    play.until(run.id, State.DONE)
    compare("only", play.transcript())
    assert play.applied() == ["001", "002", "003", "004", "011", "012"]
    play.left_clean()


def test_one_request_is_denied_with_a_reason_and_the_next_is_withdrawn(stage: Stage) -> None:
    play = stage()
    run = play.proven(play.asks("latest"))
    play.clicks(run, "rb.deny", BOB)
    play.slack.submit(BOB, {"reason": "The webhook is fixed already"})
    play.until(run.id, State.DENIED)
    play.told()
    run = play.proven(play.asks("latest"))
    play.clicks(run, "rb.withdraw", ANA)
    play.until(run.id, State.WITHDRAWN)
    compare("denied_then_withdrawn", play.transcript(BOB))
    assert play.applied()[-1] == "012"
    play.left_clean()


def test_an_approval_is_taken_back_another_is_given_and_the_run_is_stopped_safely(stage: Stage, tmp_path: Path) -> None:
    play = stage(migrations=copied(tmp_path, {UNDO_012: SLOW_TRIAL}))
    run = play.asks("latest")
    play.when(run.id, lambda now: "backup" in now.evidence)
    play.approves(run, BOB)
    play.until(run.id, State.APPROVED)
    play.told()
    own = play.slack.wait_for(lambda: [m for m in play.slack.direct(BOB) if "rb.unapprove" in str(m.blocks)])
    play.slack.click(BOB, own[0].channel, own[0].ts, "rb.unapprove")
    play.until(run.id, State.WAITING)
    play.approves(run, CHEN)
    play.until(run.id, State.APPROVED)
    play.clicks(run, "rb.stop", ANA)
    play.until(run.id, State.STOPPED)
    compare("taken_back_and_stopped", play.transcript(BOB, CHEN))
    assert play.applied()[-1] == "012"
    play.left_clean()


def test_two_approvals_are_two_people(stage: Stage) -> None:
    play = stage("approvals = 2\n")
    run = play.proven(play.asks("latest"))
    play.approves(run, BOB)
    play.when(run.id, lambda now: len(now.approvals) == 1)
    play.told()
    play.clicks(run, "rb.review", BOB)
    play.approves(run, CHEN)
    play.until(run.id, State.DONE)
    compare("two_approvals", play.transcript(BOB, CHEN))
    play.left_clean()


def test_nobody_decides_so_approvers_are_reminded_it_expires_and_is_asked_again(stage: Stage) -> None:
    play = stage('approval_expires = "10 s"\nremind_after = ["1 s", "4 s", "8 s"]\n')
    run = play.proven(play.asks("latest"))
    play.until(run.id, State.EXPIRED)
    expired = play.transcript(CHEN)
    play.clicks(run, "rb.again", ANA)
    again = play.slack.wait_for(lambda: next((r for r in play.ledger.open_runs() if r.id != run.id), None))
    assert again
    again = play.proven(play.until(again.id, State.WAITING))
    play.clicks(again, "rb.withdraw", ANA)
    play.until(again.id, State.WITHDRAWN)
    compare("expired_and_asked_again", expired + LATER + play.transcript())
    play.left_clean()


def test_scripts_that_cannot_work_are_found_before_production_is_touched(stage: Stage, tmp_path: Path) -> None:
    folder = copied(tmp_path, {UNDO_012: SCRIPT_012 + "DROP TABLE plans;\n"})
    play = stage(migrations=folder)
    play.types("latest")
    play.hears("E-REHEARSAL")
    fits_only_no_rows = "ALTER TABLE profiles ADD CONSTRAINT nobody CHECK (id < 0);\n"
    (folder / UNDO_012).write_text(SCRIPT_012 + fits_only_no_rows)
    run = play.asks("latest")
    play.until(run.id, State.STOPPED)
    compare("scripts_that_cannot_work", play.transcript())
    assert play.applied()[-1] == "012"
    play.left_clean()


def test_a_script_that_forgets_an_index_is_shown_with_a_warning(stage: Stage, app: str, tmp_path: Path) -> None:
    forward = "CREATE TABLE plans (id int);\nCREATE INDEX profiles_created_idx ON profiles (created_at);\n"
    changes: dict[str, str | None] = {"013_plans.sql": forward, "rollback/013_plans.sql": "DROP TABLE plans;\n"}
    with psycopg.connect(app) as conn:
        conn.execute(forward.encode())
        conn.execute("INSERT INTO schema_migrations VALUES ('013', now())")
    play = stage(migrations=copied(tmp_path, changes))
    run = play.proven(play.asks("013"))
    waiting = play.transcript()
    play.clicks(run, "rb.deny", BOB)
    play.slack.submit(BOB, {"reason": "The index stays behind"})
    play.until(run.id, State.DENIED)
    compare("forgets_an_index", waiting + LATER + play.transcript(BOB))
    play.left_clean()


def test_a_result_that_differs_is_checked_again_and_another_is_kept(stage: Stage) -> None:
    play = stage()
    play.bench.health.fail()
    run = play.proven(play.asks("latest"))
    play.approves(run)
    play.until(run.id, State.DECIDE)
    decide = play.transcript()
    play.bench.health.fail(False)
    play.clicks(run, "rb.verify", ANA)
    play.until(run.id, State.DONE)
    play.told()
    play.bench.health.fail()
    run = play.proven(play.asks("latest"))
    play.approves(run)
    play.until(run.id, State.DECIDE)
    play.told()
    play.clicks(run, "rb.keep", BOB)
    play.until(run.id, State.DONE)
    compare("differs", decide + LATER + play.transcript())
    play.left_clean()


def test_a_plan_that_changes_after_the_approval_needs_a_new_one(stage: Stage, tmp_path: Path) -> None:
    folder = copied(tmp_path, {UNDO_012: SLOW_TRIAL})
    play = stage(migrations=folder)
    run = play.asks("012")
    play.when(run.id, lambda now: "backup" in now.evidence)
    play.approves(run, BOB)
    play.told()
    (folder / UNDO_012).write_text("-- edited\n" + SLOW_TRIAL)
    run = play.when(run.id, lambda now: now.revision == 2 and now.state is State.WAITING)
    play.when(run.id, lambda now: "backup" in now.evidence)
    play.approves(run, BOB)
    play.told()
    (folder / "013_plans.sql").write_text("CREATE TABLE plans (id int);\n")
    (folder / "rollback/013_plans.sql").write_text("DROP TABLE plans;\n")
    with psycopg.connect(play.bench.database) as conn:
        conn.execute("CREATE TABLE plans (id int)")
        conn.execute("INSERT INTO schema_migrations VALUES ('013', now())")
    run = play.when(run.id, lambda now: now.revision == 3 and now.state is State.WAITING)
    play.proven(run)
    play.approves(run, BOB)
    play.until(run.id, State.DONE)
    compare("plan_changes", play.transcript(BOB))
    assert play.applied()[-1] == "011"
    assert "plans" not in play.tables()
    play.left_clean()


def test_a_lock_that_is_not_free_undoes_the_transaction_and_names_who_holds_it(stage: Stage) -> None:
    play = stage()
    run = play.proven(play.asks("latest"))
    with holding(play.bench.database, "SELECT count(*) FROM stripe_events"):
        play.approves(run)
        play.until(run.id, State.STOPPED)
    compare("lock", play.transcript())
    assert play.applied()[-1] == "012"
    play.left_clean()


def test_a_script_that_does_something_else_on_production_is_undone_before_the_commit(
    stage: Stage, tmp_path: Path
) -> None:
    elsewhere = "DO $$ BEGIN IF current_database() NOT LIKE 'rollback_scratch%' THEN CREATE TABLE surprise (id int);"
    play = stage(migrations=copied(tmp_path, {UNDO_012: SCRIPT_012 + elsewhere + " END IF; END $$;\n"}))
    run = play.proven(play.asks("latest"))
    play.approves(run)
    play.until(run.id, State.STOPPED)
    compare("does_something_else", play.transcript())
    assert play.applied()[-1] == "012"
    assert "surprise" not in play.tables()
    play.left_clean()


def test_a_request_from_the_shell_is_approved_in_slack_and_followed_to_the_end(stage: Stage) -> None:
    play = stage()
    with ThreadPoolExecutor(1) as pool:
        shell = pool.submit(play.bench.shell, "011_subscriptions", "--reason", REASON)
        run = play.slack.wait_for(lambda: next(iter(play.ledger.open_runs()), None))
        assert run
        play.proven(play.until(run.id, State.WAITING))
        play.approves(run, BOB)
        done = shell.result(60)
    play.told()
    assert (done.returncode, done.stdout) == (0, "")
    compare("from_the_shell", stable(done.stderr + "\n" + play.slack.transcript(CHANNEL)))
    play.left_clean()


def test_a_drill_reminder_that_was_missed_is_posted_once_also_after_a_restart(stage: Stage, tmp_path: Path) -> None:
    folder = tmp_path / "bench" / "state" / "rollback-bot"
    ledger = Ledger(folder / "ledger.db")
    with ledger.transaction() as t:
        t.claim("drill production by daily 10:00 Europe/Berlin", stamp(now() - timedelta(days=9)))
    ledger.close()
    play = stage('drill = { schedule = "daily 10:00", timezone = "Europe/Berlin", owners = ["U0CHEN"] }\n')
    play.slack.wait_for(lambda: any(event.kind == "drill_due" for event in play.ledger.events()))
    play.told()
    play.bench.stop_bot()
    play.bench.start_bot()
    play.bench.kill_bot()
    play.bench.start_bot()
    play.types("history")  # the bot is up and its clock has looked
    compare("drill", play.transcript(viewer=CHEN))
    assert len(play.everything()) == 2, "one reminder, one answer"


def test_slack_is_away_for_a_while_and_nothing_is_lost_or_out_of_order(stage: Stage) -> None:
    play = stage('approvers = ["U0BOB", "U0CHEN"]\n')
    run = play.proven(play.asks("latest"))
    play.told()
    play.approves(run)
    play.slack.faults.down = True
    play.until(run.id, State.DONE)
    play.slack.faults.down = False

    def undecided() -> bool:
        """Does a message still ask for a decision? What Slack did not edit while it was away is edited a few seconds later."""
        return "rb.review" in str([m.blocks for m in (*play.everything(), *play.slack.direct(BOB))])

    play.slack.wait_for(lambda: not undecided(), 40)
    compare("slack_was_away", play.transcript(BOB))
    play.left_clean()


def test_a_plan_that_was_only_shown_can_be_asked_for_with_its_button(stage: Stage) -> None:
    play = stage()
    play.types("plan 011_subscriptions --reason checkout fails")

    def plan() -> Message | None:
        shown = [m for m in play.slack.messages(CHANNEL, viewer=ANA) if "rb.ask" in str(m.blocks)]
        return shown[-1] if shown else None

    message = play.slack.wait_for(plan, 30)
    assert message
    assert play.ledger.runs() == []
    play.slack.click(ANA, CHANNEL, message.ts, "rb.plan")
    view = play.slack.open_view(ANA)
    assert view and "DROP TABLE stripe_events" in play.slack.view_text(view)
    play.slack.close_view(ANA)
    play.slack.click(ANA, CHANNEL, message.ts, "rb.ask")
    run = play.until(play.slack.wait_for(lambda: next(iter(play.ledger.runs()), None), 10).id, State.WAITING)
    assert (run.request.migration, run.reason) == ("011_subscriptions", "checkout fails")
    play.types(f"withdraw {run.id}")
    play.until(run.id, State.WITHDRAWN)
    play.left_clean()


def test_anybody_reads_the_report_of_a_run_that_has_ended_page_by_page(stage: Stage, tmp_path: Path) -> None:
    long = "DO $$ BEGIN\n" + "  -- nothing happens here, at length\n" * 4000 + "END $$;\n"
    play = stage(migrations=copied(tmp_path, {UNDO_012: long + SCRIPT_012}))
    run = play.proven(play.asks("latest"))
    play.types(f"deny {run.id} wait for the replica", BOB)
    play.until(run.id, State.DENIED)
    play.clicks(run, "rb.report", CHEN)

    def packet(user: str, page: int = 1) -> str:
        """The packet, once it shows this page."""

        def look() -> str:
            view = play.slack.open_view(user)
            text = play.slack.view_text(view) if view and view.callback_id == "rb.report" else ""
            return text if f"Page {page} of 2" in text else ""

        return play.slack.wait_for(look, 20)

    pages = []
    for shown, block in ((1, "page:2"), (2, "page:1"), (1, "page:2")):
        pages.append(packet(CHEN, shown))
        play.slack.click_view(CHEN, "rb.report", block_id=block)
    assert pages[0] == pages[2] != pages[1] and "- **Denied by:** Bob Lee" in pages[0]
    assert "DROP TABLE stripe_events;" in pages[1]
    assert f"`rollback report {run.id} --html --out {run.id}.html`" in pages[0]
    play.types(f"report {run.id}", ANA)
    assert packet(ANA) == pages[0]
    play.types(f"report {run.id} --html", BOB)
    play.hears("E-USAGE", BOB)
    play.left_clean()
