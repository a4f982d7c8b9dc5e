"""Scripts and servers that a rehearsal must not trust: each gets a plan that says so, or one answer in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core import config, survey
from core.errors import Problem, Refused, StepFailed
from core.ledger import now
from core.model import Json, Person, Request, Run
from core.postgres import SCRATCH
from demo.postgres import Server
from tests.bench_fixtures import copied

ANA = Person("U0ANA", "Ana Diaz")
PLANS = "CREATE TABLE plans (id int PRIMARY KEY);\n"
Rehearse = Callable[..., Run]


@pytest.fixture
def rehearse(server: Server, app: str, tmp_path: Path) -> Iterator[Rehearse]:
    """`rehearse(rollback, forward=..., **variables)`: 013 is applied to the sample application, its plan is made.

    Afterwards no scratch database is left, whatever came of it.
    """

    def plan(rollback: str | bytes, forward: str = PLANS, **variables: str) -> Run:
        folder = copied(tmp_path / "migrations", {"013_more.sql": forward})
        script = rollback if isinstance(rollback, bytes) else rollback.encode()
        (folder / "rollback" / "013_more.sql").write_bytes(script)
        with psycopg.connect(app, autocommit=True) as conn:
            conn.execute(forward.encode())
            conn.execute("INSERT INTO schema_migrations (version) VALUES ('013')")
        env = {
            "DATABASE_URL": app,
            "TEST_DATABASE_URL": server.url(),
            "ROLLBACK_MIGRATIONS": str(folder),
            "ROLLBACK_APPROVALS": "0",
            "ROLLBACK_PG_BIN": str(server.bin_dir),
            "HOME": str(tmp_path),
        }
        settings = config.load(env=env | variables)
        return survey.preview(Request("from", "013"), settings.target(), settings, ANA, now())

    yield plan
    with psycopg.connect(server.url()) as conn:
        left = [row[0] for row in conn.execute("SELECT datname FROM pg_database") if SCRATCH.match(row[0])]
    assert left == []


def found(run: Run) -> Json:
    evidence: Json = run.evidence["rehearse"]
    return evidence


def lost(run: Run) -> set[tuple[str, str]]:
    return {(one["kind"], one["name"]) for one in found(run)["losses"]}


def refusal(rehearse: Rehearse, code: str, script: str | bytes, **more: Any) -> Problem:
    with pytest.raises(Problem) as raised:
        rehearse(script, **more)
    assert raised.value.code == code
    assert "/" not in raised.value.text.replace("/rollback", "")
    return raised.value


# -- scripts that are rehearsed ----------------------------------------------------------------------------


def test_dynamic_sql_that_drops_is_among_the_losses(rehearse: Rehearse) -> None:
    script = "DO $$ BEGIN EXECUTE 'DROP TABLE ' || 'pl' || 'ans'; END $$;\nDROP TABLE stripe_events;\n"
    run = rehearse(script)
    assert {("table", "plans"), ("table", "stripe_events")} <= lost(run)
    assert "`DO` runs code that is built while it runs" in "".join(run.evidence["identify"]["undo"][0]["warnings"])


@pytest.mark.parametrize("setting", ["SET SESSION AUTHORIZATION", "SET search_path TO nowhere; SET ROLE"])
def test_a_role_that_the_script_takes_does_not_steer_our_own_statements(
    rehearse: Rehearse, server: Server, setting: str
) -> None:
    with role(server, "steering") as name:
        run = rehearse(f"DROP TABLE plans;\n{setting} {name};\n")
    assert ("table", "plans") in lost(run)
    assert found(run)["restores"] == "exact"
    assert found(run)["reapplies"] is True


def test_ten_megabytes_are_rehearsed(rehearse: Rehearse) -> None:
    line = f"COMMENT ON TABLE plans IS '{'x' * 500_000}';\n"
    run = rehearse(line * 20 + "DROP TABLE plans;\n")
    assert run.evidence["identify"]["undo"][0]["script"]["bytes"] > 10_000_000
    assert found(run)["statements"] == 21
    assert lost(run) == {("table", "plans")}


def test_a_missing_last_semicolon_is_no_fault(rehearse: Rehearse) -> None:
    run = rehearse("DROP VIEW IF EXISTS nothing;\nDROP TABLE plans -- the last word")
    assert found(run)["statements"] == 2
    assert lost(run) == {("table", "plans")}


def test_a_commit_in_the_body_of_a_procedure_is_legal(rehearse: Rehearse) -> None:
    body = "CREATE OR REPLACE PROCEDURE tidy() LANGUAGE plpgsql AS $$ BEGIN COMMIT; ROLLBACK; END $$;\n"
    run = rehearse(body + "DROP TABLE plans;\n")
    assert found(run)["restores"] == "differs"
    assert [one["message"] for one in found(run)["differences"]] == ["procedure `tidy()` is additional"]


@pytest.mark.parametrize(
    "call",
    ["CALL tidy();", "DO $$ BEGIN EXECUTE 'COM' || 'MIT'; END $$;"],
)
def test_a_commit_that_really_runs_is_stopped_in_the_rehearsal(rehearse: Rehearse, call: str) -> None:
    tidy = PLANS + "CREATE PROCEDURE tidy() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;\n"
    no = refusal(rehearse, "E-REHEARSAL", f"DROP TABLE plans;\n{call}\n", forward=tidy)
    assert "`013_more.sql`, line 2" in no.message
    assert "Production was not changed" in no.hint


# -- scripts that are refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "code", "remedy"),
    [
        ("COPY plans FROM PROGRAM 'cat x'", "E-SCRIPT", "It runs a program on the server"),
        ("COPY plans FROM STDIN", "E-SCRIPT", "Use `INSERT`"),
        ("ALTER SYSTEM SET work_mem = '1MB'", "E-NO-TX", "Do it apart from the rollback"),
        ("VACUUM plans", "E-NO-TX", "Do it apart from the rollback"),
        ("REINDEX INDEX CONCURRENTLY plans_pkey", "E-NO-TX", "Use `REINDEX INDEX`"),
        ("CREATE INDEX CONCURRENTLY ON plans (id)", "E-NO-TX", "Give the index a name"),
        ("COMMIT", "E-SCRIPT", ""),
        ("ROLLBACK", "E-SCRIPT", ""),
        ("\\i other.sql", "E-SCRIPT", "does not run psql scripts"),
    ],
)
def test_what_may_not_stand_there_is_refused_with_line_and_remedy(
    rehearse: Rehearse, statement: str, code: str, remedy: str
) -> None:
    no = refusal(rehearse, code, f"-- undo\nDROP VIEW IF EXISTS v;\n{statement};\n")
    assert "`013_more.sql`, line 3" in no.message
    assert remedy in no.text
    assert "Nothing was started" in no.text
    assert isinstance(no, Refused)


def test_another_encoding_is_refused_with_its_line(rehearse: Rehearse) -> None:
    no = refusal(rehearse, "E-SCRIPT", "DROP TABLE plans;\n-- l\u00f6schen\n".encode("latin-1"))
    assert "line 2: this is not UTF-8" in no.message
    assert "Save the file as UTF-8" in no.hint


@pytest.mark.parametrize("script", ["", "-- nothing to undo\n/* really */\n", ";;\n", "\ufeff"])
def test_a_script_of_comments_only_is_no_script(rehearse: Rehearse, script: str) -> None:
    assert "I do not guess one" in refusal(rehearse, "E-NO-SCRIPT", script).text


# -- servers ----------------------------------------------------------------------------------------------


def test_a_rehearsal_that_hangs_ends_in_words(rehearse: Rehearse) -> None:
    script = "DROP TABLE plans;\nSELECT pg_sleep(60);\n"
    no = refusal(rehearse, "E-REHEARSAL", script, ROLLBACK_STATEMENT_TIMEOUT="300 ms")
    assert "`013_more.sql`, line 2: 57014 canceling statement due to statement timeout" in no.message
    assert isinstance(no, StepFailed)


def test_a_forward_migration_that_hangs_leaves_the_question_open_in_words(rehearse: Rehearse) -> None:
    slow = PLANS + "SELECT pg_sleep(0.8);\n"
    run = rehearse("DROP TABLE plans;\n", forward=slow, ROLLBACK_STATEMENT_TIMEOUT="600 ms")
    assert found(run)["restores"] == "unknown"
    assert "57014" in found(run)["why_unknown"]


def test_a_role_that_may_not_create_databases_is_said(rehearse: Rehearse, server: Server) -> None:
    with role(server, "without_createdb") as name:
        url = server.url(user=name)
        no = refusal(rehearse, "E-SCRATCH", "DROP TABLE plans;\n", TEST_DATABASE_URL=url)
    assert "permission denied to create database" in no.message
    assert "CREATEDB" in no.hint


@pytest.mark.parametrize("patience", ["1 s", "300 ms"])
def test_a_table_that_somebody_has_locked_gets_an_answer_in_words(rehearse: Rehearse, app: str, patience: str) -> None:
    with psycopg.connect(app, application_name="nightly-vacuum") as other:
        other.execute("SET idle_in_transaction_session_timeout = '10 s'")  # a rehearsal that waits for ever fails here
        other.execute("LOCK TABLE subscriptions IN ACCESS EXCLUSIVE MODE")
        no = refusal(rehearse, "E-REHEARSAL", "DROP TABLE plans;\n", ROLLBACK_STATEMENT_TIMEOUT=patience)
        other.rollback()
    assert "timeout" in no.message or "lock" in no.message
    assert "not changed" in no.hint


@contextmanager
def role(server: Server, name: str) -> Iterator[str]:
    """A role without any right, on target and scratch server."""
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {name} LOGIN".encode())
        try:
            yield name
        finally:
            conn.execute(f"DROP ROLE {name}".encode())
