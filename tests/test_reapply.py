"""Re-apply, the first way back: forward again with the saved rows, nothing written since is lost, nothing drops silently."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import Refused
from core.model import Request, Run, State
from core.save.archive import zstd
from demo.app import sample
from demo.postgres import Server
from tests.bench_fixtures import copied
from tests.engine_stand import ANA, BOB, EngineStand
from tests.execute_stand import Stand
from tests.scenery import SCRIPT_012


@pytest.fixture
def stand(server: Server, app: str, tmp_path: Path) -> EngineStand:
    return EngineStand(server, app, tmp_path)


def schema_of(stand: Stand) -> list[str]:
    """What the catalogs say, as pg_dump would print it; the order of columns is the one thing that may change."""
    rows = stand.sql(
        "SELECT relname, relkind::text FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
    )
    return [f"{kind} {name}" for name, kind in rows]


def counter(stand: Stand) -> object:
    return stand.sql("SELECT last_value, is_called FROM subscriptions_id_seq")


def test_rows_values_sequences_schema_and_history_come_back_also_a_second_time(stand: EngineStand) -> None:
    before, schema, number = stand.marks(), schema_of(stand), counter(stand)
    for _ in range(2):
        rollback = stand.rolled_back("011")
        run = stand.goes_back("reapply", rollback)
        assert run.state is State.DONE, run.ending
        assert (stand.marks(), schema_of(stand), counter(stand)) == (before, schema, number)
        assert stand.ledger.run(rollback.id).state is State.REAPPLIED
        assert stand.ledger.run(rollback.id).way_back == run.id
    assert stand.ledger.verify().unbroken


def test_what_was_written_since_the_rollback_stays(stand: EngineStand) -> None:
    rollback = stand.rolled_back("011")
    stand.sql(
        "INSERT INTO profiles (handle, display_name, email) VALUES ('later', 'Later', 'later@example.com')",
        "UPDATE profiles SET display_name = 'changed' WHERE id = 1",
    )
    assert stand.goes_back("reapply", rollback).state is State.DONE
    assert stand.sql("SELECT display_name, plan FROM profiles WHERE handle = 'later'") == [("Later", None)]
    assert stand.sql("SELECT display_name FROM profiles WHERE id = 1") == [("changed",)]


GOING = (
    "INSERT INTO profiles (handle, display_name, email) VALUES ('going', 'Going', 'going@example.com')",
    "INSERT INTO subscriptions (profile_id, stripe_subscription_id, plan, status, amount_cents, current_period_end)"
    " SELECT id, 'sub_going', 'pro', 'active', 900, now() FROM profiles WHERE handle = 'going'",
)
GONE = "DELETE FROM profiles WHERE handle = 'going'"


def test_rows_whose_parent_is_gone_are_kept_aside_and_named_before_anybody_agrees(stand: EngineStand) -> None:
    stand.sql(*GOING)
    rollback = stand.rolled_back("011")
    stand.sql(GONE)
    run = stand.goes_back("reapply", rollback)
    assert run.state is State.DONE, run.ending
    for step in ("rehearse", "execute"):
        aside = {one["table"]: (one["rows"], one["reason"]) for one in run.evidence[step]["back"]["aside"]}
        assert aside["public.profiles"] == (1, "their own row is gone")
        assert (
            aside["public.subscriptions"][0] == 1
            and "subscriptions_profile_id_fkey" in aside["public.subscriptions"][1]
        )
    kept = stand.settings.backup_dir / run.evidence["execute"]["back"]["file"]
    with zstd.open(kept) as rows:
        assert b"sub_going" in rows.read()
    assert stand.sql("SELECT count(*) FROM subscriptions WHERE stripe_subscription_id = 'sub_going'") == [(0,)]


def test_more_rows_that_do_not_fit_than_were_foreseen_undo_it(stand: EngineStand) -> None:
    stand.sql(*GOING)
    before = stand.rolled_back("011")
    run = stand.asks("reapply", before)
    stand.dies(run, "core.steps.reapply:compare", "before")  # planned and confirmed, not begun
    stand.sql(GONE)
    run = stand.walk(run)
    stand.desk.resume(run.id, ANA)
    run = stand.walk(run)
    assert (run.state, run.failed and run.failed["code"]) == (State.STOPPED, "E-REAPPLY")
    assert "2 saved rows no longer fit, 0 were foreseen" in str(run.failed)
    assert stand.applied()[-1] == "010" and stand.ledger.run(before.id).state is State.DONE


DEATHS = (
    ("core.steps.reapply:carry_out", "before", State.INTERRUPTED),
    ("core.steps.reapply:track", "after", State.INTERRUPTED),
    ("core.commit:leave_marker", "after", State.INTERRUPTED),
    ("core.commit:once", "after", State.DONE),
)


@pytest.mark.parametrize(("where", "when", "state"), DEATHS)
def test_killed_in_between_it_is_whole_or_not_begun(stand: EngineStand, where: str, when: str, state: State) -> None:
    before = stand.marks()
    rollback = stand.rolled_back("012")
    run = stand.asks("reapply", rollback)
    stand.dies(run, where.replace("core.commit:once", "core.steps.reapply:once"), when)
    run = stand.walk(run)
    assert run.state is state
    if state is State.INTERRUPTED:
        assert stand.applied()[-1] == "011"
        stand.desk.resume(run.id, ANA)
        assert stand.walk(run).state is State.DONE
    assert stand.marks() == before and stand.kinds(run).count("done") == 1


def test_a_second_person_must_agree_to_a_re_apply_and_it_is_not_who_asked(stand: EngineStand) -> None:
    rollback = stand.rolled_back("012")
    stand.set(approvals=1)
    run = stand.walk(stand.asks("reapply", rollback))
    assert run.state is State.WAITING and stand.applied()[-1] == "011"
    with pytest.raises(Refused) as no:
        stand.desk.approve(run.id, ANA, run.revision, run.digest)
    assert no.value.code == "E-SELF"
    stand.desk.approve(run.id, BOB, run.revision, run.digest)
    assert stand.walk(run).state is State.DONE and stand.applied()[-1] == "012"


def test_a_plan_that_changes_after_the_approval_needs_a_new_one(stand: EngineStand) -> None:
    rollback = stand.rolled_back("012")
    stand.set(approvals=1)
    run = stand.walk(stand.asks("reapply", rollback))
    stand.desk.approve(run.id, BOB, run.revision, run.digest)
    stand.sql("INSERT INTO schema_migrations VALUES ('099')")
    run = stand.walk(run)
    assert (run.state, run.revision, run.changed) == (State.WAITING, 2, ("`099` was applied",))


def refused(stand: EngineStand, rollback: Run) -> tuple[str, str]:
    run = stand.goes_back("reapply", rollback)
    assert run.state is State.REFUSED and run.ending
    return run.ending.data["code"], run.ending.data["message"]


def test_a_save_that_is_gone_or_not_the_one_that_was_written_is_refused(stand: EngineStand) -> None:
    rollback = stand.rolled_back("012")
    file = stand.settings.backup_dir / rollback.evidence["execute"]["saved"]["file"]
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    code, message = refused(stand, rollback)
    assert code == "E-NO-SAVED" and "not the file that was written" in message
    file.unlink()
    code, message = refused(stand, rollback)
    assert code == "E-NO-SAVED" and "no longer kept" in message


def test_what_a_deploy_has_applied_again_is_refused(stand: EngineStand) -> None:
    rollback = stand.rolled_back("012")
    stand.sql("INSERT INTO schema_migrations VALUES ('012')")
    code, message = refused(stand, rollback)
    assert code == "E-NOTHING" and "`012_stripe_events` is applied" in message


def test_only_a_rollback_that_is_done_has_a_way_back_and_only_one_at_a_time(stand: EngineStand) -> None:
    rollback = stand.rolled_back("012")
    stand.set(approvals=1)
    run = stand.walk(stand.asks("reapply", rollback))
    for kind, code in (("reapply", "E-BUSY"), ("restore", "E-BUSY")):
        with pytest.raises(Refused) as no:
            stand.asks(kind, rollback)
        assert no.value.code == code
    with pytest.raises(Refused):
        stand.asks("reapply", run)
    stand.desk.withdraw(run.id, ANA)
    with pytest.raises(Refused) as no:
        stand.asks("reapply", stand.ledger.run(run.id))
    assert no.value.code == "E-CLOSED"


def test_an_index_that_was_made_concurrently_comes_back_in_the_one_transaction(
    server: Server, app: str, tmp_path: Path
) -> None:
    index = "CREATE INDEX CONCURRENTLY stripe_events_type_idx ON stripe_events (type);\n"
    forward = (sample.MIGRATIONS / "012_stripe_events.sql").read_text() + index
    stand = EngineStand(server, app, tmp_path, copied(tmp_path, {"012_stripe_events.sql": forward}))
    stand.sql(index)
    before, schema = stand.marks(), schema_of(stand)
    run = stand.goes_back("reapply", stand.rolled_back("012"))
    assert run.state is State.DONE, run.ending
    (redo,) = run.evidence["identify"]["redo"]
    assert "runs without CONCURRENTLY here, in the one transaction" in redo["warnings"][0]
    assert (stand.marks(), schema_of(stand)) == (before, schema)


def test_half_done_can_be_left_and_the_backup_still_goes_back(server: Server, app: str, tmp_path: Path) -> None:
    index = "CREATE INDEX stripe_events_type_idx ON stripe_events (type);\n"
    files = {
        "012_stripe_events.sql": (sample.MIGRATIONS / "012_stripe_events.sql").read_text() + index,
        "rollback/012_stripe_events.sql": f"DROP INDEX CONCURRENTLY stripe_events_type_idx;\n{SCRIPT_012}",
    }
    stand = EngineStand(server, app, tmp_path, copied(tmp_path, files))
    stand.sql(index)
    before, schema = stand.marks(), schema_of(stand)
    run = stand.desk.ask(Request("latest"), stand.target, ANA)
    stand.dies(run, "core.steps.part_by_part:together", "before")
    run = stand.walk(run)
    assert run.half_done and run.partly and len(run.partly["done"]) == len(run.partly["left"]) == 1
    with pytest.raises(Refused) as no:
        stand.desk.stop(run.id, ANA)
    assert no.value.code == "E-TOO-LATE"
    run = stand.desk.keep(run.id, ANA)
    assert (run.state, run.ending and run.ending.data) == (State.DONE, {"partly": True})
    with pytest.raises(Refused) as no:
        stand.asks("reapply", run)
    assert no.value.code == "E-NO-SAVED"
    assert stand.goes_back("restore", run).state is State.DONE
    assert (stand.marks(), schema_of(stand)) == (before, schema)
    stand.drop_others()


def test_half_done_goes_on_only_when_a_person_says_so_each_time(server: Server, app: str, tmp_path: Path) -> None:
    index = "CREATE INDEX stripe_events_type_idx ON stripe_events (type);\n"
    files = {
        "012_stripe_events.sql": (sample.MIGRATIONS / "012_stripe_events.sql").read_text() + index,
        "rollback/012_stripe_events.sql": f"DROP INDEX CONCURRENTLY stripe_events_type_idx;\n{SCRIPT_012}",
    }
    stand = EngineStand(server, app, tmp_path, copied(tmp_path, files))
    stand.sql(index)
    run = stand.desk.ask(Request("latest"), stand.target, ANA)
    for _ in range(2):
        stand.dies(run, "core.steps.part_by_part:together", "before")
        assert stand.walk(run).half_done and stand.walk(run).half_done
        stand.desk.resume(run.id, ANA)
    assert stand.walk(run).state is State.DONE and stand.applied()[-1] == "011"
