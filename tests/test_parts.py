"""Scripts that cannot run in one transaction: part by part, each asked after, and never a guess in between."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from core import parts, postgres, script
from core.engine import problem_data
from core.errors import NeedsAPerson, PlanChanged, Refused, StepFailed
from core.model import Json
from core.runbook import Work
from core.steps.backup import backup
from core.steps.part_by_part import execute, found
from core.steps.trial_restore import trial_restore
from core.steps.verify import verify
from demo.app import sample
from demo.postgres import Server
from tests.bench_fixtures import copied
from tests.execute_stand import Stand
from tests.scenery import holding

INDEX = "CREATE INDEX stripe_events_slow_idx ON stripe_events (type)"
CONCURRENTLY = """DROP INDEX CONCURRENTLY stripe_events_slow_idx;
DROP FUNCTION claim_stripe_event(text, text, jsonb);
DROP TABLE stripe_events;
"""


def stand_with(server: Server, app: str, folder: Path, rollback: str, also: str = INDEX) -> Stand:
    """The sample application, with another rollback script of 012."""
    forward = (sample.MIGRATIONS / "012_stripe_events.sql").read_text()
    changes = {"012_stripe_events.sql": f"{forward}\n{also};\n", "rollback/012_stripe_events.sql": rollback}
    stand = Stand(server, app, folder, copied(folder, changes))
    stand.sql(*[one for one in also.split(";") if one.strip()])
    return stand


@pytest.fixture
def stand(server: Server, app: str, tmp_path: Path) -> Stand:
    return stand_with(server, app, tmp_path, CONCURRENTLY)


def proven(stand: Stand) -> Work:
    """With backup and trial run, as the engine would have it."""
    work = stand.approved()
    for name, step in (("backup", backup), ("test restore", trial_restore)):
        work = stand.work(replace(work.run, evidence={**work.run.evidence, name: step(work)}))
    return work


# -- cutting and asking ------------------------------------------------------------------------------------


def undo(*scripts: str) -> list[Json]:
    return [
        {
            "version": f"{number:03d}",
            "script": {
                "file": "x.sql",
                "statements": [s.told() for s in script.read("x.sql", text.encode()).statements],
            },
        }
        for number, text in zip(range(len(scripts), 0, -1), scripts, strict=True)
    ]


def test_a_rollback_is_one_part_unless_a_statement_stands_alone() -> None:
    (whole,) = parts.cut(undo("DROP TABLE a; DROP TABLE b", "DROP TABLE c"))
    assert (whole.mark, len(whole.statements), whole.versions) == ("", 3, ("002", "001"))


def test_history_rows_leave_with_the_part_that_ends_their_migration() -> None:
    cut = parts.cut(undo("DROP TABLE a; DROP INDEX CONCURRENTLY i", "DROP TABLE b", "DROP INDEX CONCURRENTLY j"))
    assert [str(one) for one in cut] == [
        "a transaction: 1 statement",
        "`DROP INDEX CONCURRENTLY i`",
        "a transaction: 1 statement and history rows `003`, `002`",
        "`DROP INDEX CONCURRENTLY j`",
        "a transaction: history row `001`",
    ]
    assert [one.mark for one in cut] == ["+1", "+2", "+3", "+4", "+5"]


BEGUN = {
    'DROP INDEX CONCURRENTLY "odd"."I x"': (
        'UPDATE pg_index SET indisvalid = false WHERE indexrelid = \'"odd"."I x"\'::regclass'
    ),
    'CREATE INDEX CONCURRENTLY "n x" ON odd.t (a)': 'CREATE UNIQUE INDEX CONCURRENTLY "n x" ON odd.t (a)',
    "ALTER TABLE odd.p DETACH PARTITION odd.p1 CONCURRENTLY": (
        "UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = 'odd.p1'::regclass"
    ),
}
"""What leaves each of them as an interruption does."""


@pytest.mark.parametrize("sql", BEGUN, ids=["drop", "create", "detach"])
def test_the_catalogs_tell_how_far_a_statement_is_that_stands_alone(database: str, sql: str) -> None:
    told = undo(sql)[0]["script"]["statements"][0]["alone"]
    with postgres.connect(database, "test") as conn:
        for statement in (
            "CREATE SCHEMA odd",
            "CREATE TABLE odd.t (a int)",
            "INSERT INTO odd.t VALUES (1), (1)",
            'CREATE INDEX "I x" ON odd.t (a)',
            "CREATE TABLE odd.p (a int) PARTITION BY RANGE (a)",
            "CREATE TABLE odd.p1 PARTITION OF odd.p FOR VALUES FROM (0) TO (9)",
        ):
            conn.execute(statement.encode())
        assert parts.probe(conn, told)[0] == "left"
        with suppress(psycopg.errors.UniqueViolation):
            conn.execute(BEGUN[sql].encode())
        progress, table, own = parts.probe(conn, told)
        assert (progress, table) == ("begun", "odd.p" if told["kind"] == "detach partition" else "odd.t")
        for one in parts.to_run(told, sql, progress, own):
            conn.execute(one.encode())
        assert parts.probe(conn, told)[0] == "done"


# -- running -----------------------------------------------------------------------------------------------


def index(stand: Stand) -> bool | None:
    """Is the index there, and is it valid?"""
    rows = stand.sql("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('stripe_events_slow_idx')")
    return rows[0][0] if rows else None


def test_the_plan_says_what_stands_alone_and_what_each_part_does(stand: Stand) -> None:
    run = stand.approved().run
    (migration,) = run.evidence["identify"]["undo"]
    assert migration["warnings"][0].endswith("outside the transaction: cut short there, a person must decide.")
    first, second = run.evidence["rehearse"]["parts"]
    assert first["about"] == "`DROP INDEX CONCURRENTLY stripe_events_slow_idx`"
    assert (first["saves"], first["locks"], second["saves"]) == (False, [], True)
    assert {lock["table"] for lock in second["locks"]} == {"public.stripe_events", "public.subscriptions"}
    assert run.evidence["rehearse"]["restores"] == "exact"


def test_all_parts_run_and_the_outcome_is_told_as_one(stand: Stand) -> None:
    work = proven(stand)
    assert work.run.evidence["test restore"]["way_back"]["works"]
    evidence = execute(work)
    assert index(stand) is None and stand.applied()[-1] == "011" and "stripe_events" not in stand.tables()
    assert (evidence["statements"], evidence["parts"], evidence["versions"]) == (3, 2, ["012"])
    assert evidence["saved"]["rows"] == 273
    assert found(work) == evidence
    done = stand.work(replace(work.run, evidence={**work.run.evidence, "execute": evidence}))
    assert verify(done)["differences"] == []


def test_nothing_runs_where_the_plan_is_no_longer_the_approved_one(stand: Stand) -> None:
    work = proven(stand)
    stand.sql("ALTER TABLE stripe_events ADD COLUMN note text")
    with pytest.raises(PlanChanged):
        execute(work)
    assert index(stand) is True and found(work) is None


def test_a_table_in_use_is_not_touched_before_the_first_part(stand: Stand) -> None:
    work = proven(stand)
    with holding(stand.url, "SELECT * FROM stripe_events LIMIT 1"):
        time.sleep(0.4)  # longer than we would stand in a queue
        with pytest.raises(StepFailed) as problem:
            execute(work)
    assert problem.value.code == "E-LOCK" and "nightly-report" in problem.value.message
    assert index(stand) is True and found(work) is None


def test_a_part_that_fails_says_what_is_done_and_what_is_left_and_the_rest_can_follow(stand: Stand) -> None:
    work = proven(stand)
    said: list[tuple[str, Json]] = []
    with (
        holding(stand.url, "LOCK schema_migrations IN SHARE MODE"),  # only the second part needs it
        pytest.raises(NeedsAPerson) as problem,
    ):
        execute(replace(work, say=lambda kind, data: said.append((kind, data))))
    told = problem.value
    assert told.code == "E-PARTLY" and "nightly-report" in told.message and "not changed" not in told.message
    assert told.lists == {
        "done": ["`DROP INDEX CONCURRENTLY stripe_events_slow_idx`"],
        "left": ["a transaction: 2 statements and history row `012`"],
    }
    assert [(kind, data["part"]) for kind, data in said if kind != "held_up"] == [
        ("part_started", 1), ("part_done", 1), ("part_started", 2),
    ]  # fmt: skip
    assert index(stand) is None and stand.applied()[-1] == "012"
    with pytest.raises(NeedsAPerson) as again:
        found(work)
    assert again.value.lists == told.lists
    evidence = execute(stand.work(replace(work.run, partly=problem_data(told))))
    assert evidence["saved"]["rows"] == 273 and stand.applied()[-1] == "011"


def test_what_was_begun_is_ended_when_somebody_says_so(stand: Stand) -> None:
    work = proven(stand)
    stand.sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'stripe_events_slow_idx'::regclass")
    with pytest.raises(NeedsAPerson) as problem:
        found(work)
    assert problem.value.lists == {
        "done": [],
        "left": [
            "`DROP INDEX CONCURRENTLY stripe_events_slow_idx`, which was begun (it is no longer used)",
            "a transaction: 2 statements and history row `012`",
        ],
    }
    execute(stand.work(replace(work.run, partly=problem_data(problem.value))))
    assert index(stand) is None and stand.applied()[-1] == "011"


def test_what_was_put_back_by_hand_means_that_nothing_is_done(stand: Stand) -> None:
    work = proven(stand)
    stand.sql("DROP INDEX stripe_events_slow_idx")
    with pytest.raises(NeedsAPerson):
        found(work)
    stand.sql(INDEX)
    assert found(work) is None


def test_it_goes_on_with_the_approved_scripts_only(stand: Stand) -> None:
    work = proven(stand)
    stand.sql("DROP INDEX stripe_events_slow_idx")
    with pytest.raises(NeedsAPerson) as problem:
        found(work)
    partly = stand.work(replace(work.run, partly=problem_data(problem.value)))
    script_file = stand.target.migrations / "rollback" / "012_stripe_events.sql"
    script_file.write_text(CONCURRENTLY + "DROP TABLE profiles CASCADE;\n")
    with pytest.raises(NeedsAPerson, match="a rollback script was edited since"):
        execute(partly)
    script_file.unlink()
    with pytest.raises(NeedsAPerson, match="no rollback script"):
        execute(partly)
    script_file.write_text(CONCURRENTLY)
    ledger_edited = {
        **partly.run.evidence["rehearse"],
        "facts": {**partly.run.evidence["rehearse"]["facts"], "scripts": []},
    }
    with pytest.raises(NeedsAPerson, match="not the one in the audit trail"):
        execute(stand.work(replace(partly.run, evidence={**partly.run.evidence, "rehearse": ledger_edited})))
    assert stand.applied()[-1] == "012" and "profiles" in stand.tables()


def test_rows_that_would_go_in_two_transactions_are_refused(server: Server, app: str, tmp_path: Path) -> None:
    script = (
        "DROP FUNCTION claim_stripe_event(text, text, jsonb);\nDROP TABLE stripe_events;\n"
        "DROP INDEX CONCURRENTLY odd_idx;\nDELETE FROM profiles;\n"
    )
    stand = stand_with(server, app, tmp_path, script, "CREATE INDEX odd_idx ON profiles (created_at)")
    with pytest.raises(Refused, match="in several transactions") as no:
        stand.approved()
    assert no.value.code == "E-NO-TX"
    assert stand.applied()[-1] == "012" and "stripe_events" in stand.tables()


def test_settings_do_not_reach_beyond_a_part_and_that_is_found_in_the_rehearsal(
    server: Server, app: str, tmp_path: Path
) -> None:
    script = "SET search_path = hidden;\nDROP INDEX CONCURRENTLY there;\n"
    also = "CREATE SCHEMA hidden; CREATE TABLE hidden.t (a int); CREATE INDEX there ON hidden.t (a)"
    stand = stand_with(server, app, tmp_path, script, also)
    with pytest.raises(StepFailed, match='index "there" does not exist'):
        stand.approved()


def test_a_partition_is_detached_and_comes_back_by_re_apply(server: Server, app: str, tmp_path: Path) -> None:
    also = (
        "CREATE TABLE logs (at int NOT NULL) PARTITION BY RANGE (at);"
        " CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM (0) TO (9)"
    )
    stand = stand_with(server, app, tmp_path, "ALTER TABLE logs DETACH PARTITION logs_1 CONCURRENTLY;", also)
    stand.sql("INSERT INTO logs VALUES (1), (2)")
    work = proven(stand)
    changes = [change["message"] for change in work.run.evidence["rehearse"]["changes"]]
    assert any("logs_1" in message for message in changes), changes
    evidence = execute(work)
    assert stand.sql("SELECT count(*) FROM logs_1") == [(2,)] and stand.sql("SELECT count(*) FROM logs") == [(0,)]
    done = stand.work(replace(work.run, evidence={**work.run.evidence, "execute": evidence}))
    assert verify(done)["differences"] == []


def test_create_index_that_finds_duplicates_is_caught_on_the_restored_copy(
    server: Server, app: str, tmp_path: Path
) -> None:
    unique = "CREATE UNIQUE INDEX CONCURRENTLY profiles_same_idx ON profiles ((true));\n"
    stand = stand_with(server, app, tmp_path, unique, "SELECT 1")
    with pytest.raises(StepFailed, match="could not create unique index") as problem:
        proven(stand)
    assert problem.value.code == "E-TRIAL-RUN"
