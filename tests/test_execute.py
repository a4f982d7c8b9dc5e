"""The one step that changes the target: all of it or nothing, and never a guess."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from core import postgres
from core.errors import NeedsAPerson, PlanChanged, Refused, StepFailed
from core.model import Request
from core.redact import SecretStr
from core.steps.part_by_part import execute, found
from demo.app import sample
from demo.postgres import Server
from tests.bench_fixtures import copied
from tests.execute_stand import RUN, Stand, Wire, shut


@pytest.fixture
def stand(server: Server, app: str, tmp_path: Path) -> Stand:
    return Stand(server, app, tmp_path)


@pytest.fixture
def wired(server: Server, app: str, tmp_path: Path) -> Iterator[Callable[..., tuple[Wire, Stand]]]:
    """`wired(part of a query, what to do then)`: a stand behind a wire; armed by hand."""
    wires: list[Wire] = []

    def make(at: bytes, act: Callable[..., None]) -> tuple[Wire, Stand]:
        wires.append(Wire(server, at, act))
        return wires[-1], Stand(server, app, tmp_path, through=wires[-1].url(app))

    yield make
    for wire in wires:
        wire.close()


def kill(server: Server) -> Callable[..., None]:
    """The backend dies just before the query reaches it."""

    def act(one: socket.socket, other: socket.socket, data: bytes) -> None:
        with psycopg.connect(server.url(), autocommit=True) as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s",
                [f"rollback-bot {RUN}"],
            )
        shut(one)
        shut(other)

    return act


# -- one transaction ---------------------------------------------------------------------------------------


def test_scripts_history_row_and_marker_commit_together(stand: Stand) -> None:
    work = stand.approved()
    stand.unchanged()
    evidence = execute(work)
    stand.gone()
    assert evidence["versions"] == ["012"] and evidence["history_rows"] and evidence["lock_tries"] == 1
    assert found(work) == evidence


QUERIES = (
    b"pg_control_system", b"pg_advisory_xact_lock", b"LOCK TABLE", b"DROP TABLE stripe", b"DELETE FROM",
    b"INSERT INTO rollback_bot", b"COMMIT",
)  # fmt: skip


@pytest.mark.parametrize("query", QUERIES, ids=bytes.decode)
def test_a_backend_that_dies_leaves_nothing_changed(
    server: Server, wired: Callable[..., tuple[Wire, Stand]], query: bytes
) -> None:
    wire, stand = wired(query, kill(server))
    work = stand.approved()
    wire.armed = True
    with pytest.raises(StepFailed) as caught:
        execute(work)
    assert wire.acted and caught.value.code in ("E-EXECUTE", "E-DB")
    assert "roduction was not changed" in caught.value.text or "Nothing was started" in caught.value.text
    stand.unchanged()
    assert found(work) is None


def test_a_commit_that_never_arrived_is_known_as_undone(wired: Callable[..., tuple[Wire, Stand]]) -> None:
    def cut(one: socket.socket, other: socket.socket, data: bytes) -> None:
        shut(one)
        shut(other)

    wire, stand = wired(b"COMMIT", cut)
    work = stand.approved()
    wire.armed = True
    with pytest.raises(StepFailed, match="undid the transaction at COMMIT"):
        execute(work)
    assert wire.acted
    stand.unchanged()


def test_a_commit_whose_answer_was_lost_is_known_as_done(wired: Callable[..., tuple[Wire, Stand]]) -> None:
    def lose(one: socket.socket, other: socket.socket, data: bytes) -> None:
        shut(one)  # first, so that no answer gets through
        other.sendall(data)

    wire, stand = wired(b"COMMIT", lose)
    work = stand.approved()
    wire.armed = True
    evidence = execute(work)
    assert wire.acted and evidence["versions"] == ["012"] and evidence["committed_at"]
    stand.gone()


@pytest.mark.parametrize("arrives", [True, False])
def test_an_orphan_that_may_still_commit_is_waited_for(wired: Callable[..., tuple[Wire, Stand]], arrives: bool) -> None:
    """The client is cut off, the backend lives on with the fence; the COMMIT is on its way, or is lost."""

    def late(one: socket.socket, other: socket.socket, data: bytes) -> None:
        shut(one)
        time.sleep(0.8)
        if arrives:
            other.sendall(data)
            time.sleep(0.1)
        shut(other)

    wire, stand = wired(b"COMMIT", late)
    work = stand.approved()
    wire.armed = True
    started = time.monotonic()
    if arrives:
        assert execute(work)["versions"] == ["012"]
        stand.gone()
    else:
        with pytest.raises(StepFailed, match="undid"):
            execute(work)
        stand.unchanged()
    assert time.monotonic() - started > 0.8


def test_no_database_means_unknown_and_says_what_to_do(stand: Stand) -> None:
    work = stand.approved()
    away = stand.work(work.run, database_url=SecretStr(stand.url.replace("/t_", "/gone_")))
    with pytest.raises(NeedsAPerson, match="I do not know whether it took effect") as caught:
        found(away)
    assert caught.value.lists["you"]


def test_a_marker_in_another_database_proves_nothing(server: Server, stand: Stand) -> None:
    work = stand.approved()
    with pytest.raises(NeedsAPerson) as caught:
        found(stand.work(work.run, database_url=SecretStr(server.url())))
    assert "the address now leads to another database" in caught.value.lists["known"]


# -- drift -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("ALTER TABLE stripe_events ADD COLUMN more text", "were altered"),
        ("ALTER TABLE stripe_events ALTER COLUMN attempts TYPE bigint", "were altered"),
        ("CREATE OR REPLACE FUNCTION claim_stripe_event(p_event_id text, p_type text, p_payload jsonb) RETURNS boolean "
         "LANGUAGE sql AS 'SELECT true'", "were altered"),
        ("INSERT INTO schema_migrations VALUES ('013')", "013"),
        ("DELETE FROM schema_migrations WHERE version = '001'", "`001` is no longer applied"),
        ("DROP TABLE stripe_events CASCADE", "were altered|is gone"),
    ],
)  # fmt: skip
def test_a_target_that_drifted_voids_the_approval(stand: Stand, statement: str, told: str) -> None:
    work = stand.approved()
    stand.sql(statement)
    tables, applied = stand.tables(), stand.applied()
    with pytest.raises(PlanChanged, match=told):
        execute(work)
    assert (stand.tables(), stand.applied(), stand.marked()) == (tables, applied, False)


def test_an_edited_script_voids_the_approval(server: Server, app: str, tmp_path: Path) -> None:
    stand = Stand(server, app, tmp_path, copied(tmp_path))
    work = stand.approved()
    with (tmp_path / "migrations" / "rollback" / "012_stripe_events.sql").open("a") as file:
        file.write("-- only a comment\n")
    with pytest.raises(PlanChanged, match="rollback script of `012_stripe_events` was edited"):
        execute(work)
    stand.unchanged()


def test_another_database_behind_the_same_address_voids_the_approval(
    server: Server, stand: Stand, template: str
) -> None:
    work = stand.approved()
    name = conninfo_to_dict(stand.url)["dbname"]
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)")
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    with pytest.raises(PlanChanged, match="the database changed"):
        execute(work)
    stand.unchanged()


@pytest.mark.parametrize(
    ("approvers", "run", "told"),
    [(("U0EVE",), {}, "the policy changed"), (("U0BOB",), {"digest": "f" * 64}, "not the one in the audit trail")],
)
def test_another_policy_or_digest_voids_the_approval(
    stand: Stand, approvers: tuple[str, ...], run: dict[str, Any], told: str
) -> None:
    work = stand.approved()
    with pytest.raises(PlanChanged, match=told):
        execute(stand.work(replace(work.run, **run), approvers=approvers))
    stand.unchanged()


def events(count: int) -> str:
    return f"INSERT INTO stripe_events SELECT 'evt_x' || n, 't', NULL, '{{}}' FROM generate_series(1, {count}) n"


def test_many_more_rows_than_shown_void_the_approval(stand: Stand) -> None:
    work = stand.approved()
    before = stand.sql("SELECT count(*) FROM stripe_events")[0][0]
    stand.sql(events(1000))
    with pytest.raises(PlanChanged) as caught:
        execute(work)
    assert caught.value.what == [f"rows in `stripe_events`: {before:,} → {before + 1000:,}"]
    stand.unchanged()


def test_many_fewer_rows_than_shown_void_the_approval(stand: Stand) -> None:
    work = stand.approved()
    stand.sql("DELETE FROM stripe_events")
    with pytest.raises(PlanChanged, match="→ 0"):
        execute(work)
    stand.unchanged()


def test_values_of_a_dropped_column_are_counted_too(stand: Stand) -> None:
    work = stand.approved(Request("from", "011_subscriptions"))
    stand.sql("UPDATE profiles SET plan = 'pro'")
    with pytest.raises(PlanChanged, match=r"values in `profiles.plan`: "):
        execute(work)
    stand.unchanged()


@pytest.mark.parametrize(("setting", "value"), [("drift_rows_percent", 100), ("count_budget", timedelta(0))])
def test_a_few_rows_more_or_estimates_void_nothing(
    server: Server, app: str, tmp_path: Path, setting: str, value: Any
) -> None:
    stand = Stand(server, app, tmp_path, **{setting: value})
    work = stand.approved()
    stand.sql(events(20))
    execute(work)
    stand.gone()


@pytest.mark.parametrize(
    "trap",
    [
        "CREATE EVENT TRIGGER trap ON sql_drop EXECUTE FUNCTION trap()",
        "CREATE TRIGGER trap AFTER DELETE ON schema_migrations FOR EACH STATEMENT EXECUTE FUNCTION trapped()",
    ],
)
def test_what_a_trigger_does_besides_is_undone_before_commit(stand: Stand, trap: str) -> None:
    make = "BEGIN CREATE TABLE IF NOT EXISTS surprise (id int); "
    work = stand.approved()
    stand.sql(
        f"CREATE FUNCTION trap() RETURNS event_trigger LANGUAGE plpgsql AS $$ {make} END $$",
        f"CREATE FUNCTION trapped() RETURNS trigger LANGUAGE plpgsql AS $$ {make} RETURN NULL; END $$",
        trap,
    )
    with pytest.raises(StepFailed, match="surprise") as caught:
        execute(work)
    assert caught.value.code == "E-DIFFERS"
    stand.unchanged()
    assert "surprise" not in stand.tables()


# -- locks -------------------------------------------------------------------------------------------------


def test_a_table_in_use_is_said_with_who_uses_it(stand: Stand) -> None:
    work = stand.approved()
    with psycopg.connect(stand.url, application_name="reports") as conn:
        conn.execute("SELECT count(*) FROM stripe_events")
        with pytest.raises(
            StepFailed, match=r"`stripe_events` was not free within 1 s(, \d tr\w+)? \(held by reports \(idle in tr"
        ) as caught:
            execute(work)
    assert caught.value.code == "E-LOCK"
    stand.unchanged()
    execute(work)
    stand.gone()


def test_a_second_rollback_of_the_database_is_kept_out(stand: Stand) -> None:
    work = stand.approved()
    with psycopg.connect(stand.url) as conn:
        conn.execute("SELECT pg_advisory_xact_lock(%s)", [postgres.TARGET_KEY])
        with pytest.raises(StepFailed, match="Another rollback is running") as caught:
            execute(work)
    assert caught.value.code == "E-BUSY"
    stand.unchanged()


def test_told_to_end_it_begins_no_transaction(stand: Stand) -> None:
    work = replace(stand.approved(), cut=lambda: True)
    with pytest.raises(StepFailed, match="I was told to end") as caught:
        execute(work)
    assert caught.value.code == "E-STOPPED"
    stand.unchanged()


def test_a_script_may_drop_a_materialized_view(server: Server, app: str, tmp_path: Path) -> None:
    with psycopg.connect(app) as conn:
        conn.execute("CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM stripe_events")
    script = (sample.MIGRATIONS / "rollback" / "012_stripe_events.sql").read_text()
    changes: dict[str, str | None] = {"rollback/012_stripe_events.sql": f"DROP MATERIALIZED VIEW totals;\n{script}"}
    stand = Stand(server, app, tmp_path, copied(tmp_path, changes))
    execute(stand.approved())
    stand.gone()
    assert "totals" not in stand.tables()


def test_what_a_script_has_set_does_not_steer_what_follows(server: Server, app: str, tmp_path: Path) -> None:
    script = (sample.MIGRATIONS / "rollback" / "012_stripe_events.sql").read_text()
    sets = (
        "SET ROLE pg_read_all_data;\nSET search_path = pg_temp;\nSET lock_timeout = 1;\n"  # nor may it stay afterwards
    )
    stand = Stand(server, app, tmp_path, copied(tmp_path, {"rollback/012_stripe_events.sql": script + sets}))
    execute(stand.approved())
    stand.gone()


# -- hostile scripts ---------------------------------------------------------------------------------------

HOSTILE = {
    "another role": "SET SESSION AUTHORIZATION DEFAULT; SET ROLE pg_read_all_data; RESET ROLE; SET LOCAL ROLE postgres",
    "settings of all kinds": "SET session_replication_role = replica; SET lock_timeout = 0; SET statement_timeout = 0; "
    "SET default_transaction_read_only = on; SET client_encoding = 'LATIN1'; SELECT pg_advisory_unlock_all(); "
    "DECLARE c CURSOR FOR SELECT 1; FETCH c; DEALLOCATE ALL; "
    "DO $$ BEGIN PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN NULL; END $$",
    "dynamic commit": "DO $$ BEGIN EXECUTE 'com' || 'mit'; END $$",
    "commit in a procedure": "DO $$ BEGIN COMMIT; END $$",
    "another search path": "CREATE SCHEMA trap; CREATE TABLE trap.stripe_events (id int); SET search_path = trap, public",
    "search path last": "SET search_path = trap, public, pg_catalog; "
    "CREATE FUNCTION public.pg_current_xact_id() RETURNS xid8 LANGUAGE sql AS 'SELECT ''1''::xid8'",
    "no patience": "SET statement_timeout = 1",
    "temporary history": "DO $$ BEGIN EXECUTE 'CREATE TEMP TABLE schema' || '_migrations (version text, applied_at timestamptz)'; END $$",
    "temporary history with rows": "DO $$ BEGIN EXECUTE 'CREATE TEMP TABLE schema' || '_migrations AS SELECT * FROM public.schema' || '_migrations'; END $$",
    "rule on the history": "DO $$ BEGIN EXECUTE 'CREATE RULE never AS ON DELETE TO public.schema' || '_migrations DO INSTEAD NOTHING'; END $$",
    "trigger on the history": "CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; "
    "DO $$ BEGIN EXECUTE 'CREATE TRIGGER stay BEFORE DELETE ON public.schema' || '_migrations FOR EACH ROW EXECUTE FUNCTION stay()'; END $$",
    "history row gone": "DO $$ BEGIN EXECUTE 'DELETE FROM public.schema' || '_migrations'; END $$",
    "history table gone": "DO $$ BEGIN EXECUTE 'DROP TABLE public.schema' || '_migrations'; END $$",
    "marker that forgets": "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; DO $$ BEGIN "
    "EXECUTE 'CREATE SCHEMA rollback' || '_bot'; EXECUTE 'CREATE TABLE rollback' || '_bot.marker (run text, digest text, "
    "at timestamptz DEFAULT now(), evidence jsonb)'; EXECUTE 'CREATE TRIGGER forget BEFORE INSERT ON rollback' || "
    "'_bot.marker FOR EACH ROW EXECUTE FUNCTION forget()'; END $$",
    "temporary objects gone": "CREATE TEMP TABLE mine (id int); DISCARD TEMP; DISCARD PLANS; DISCARD SEQUENCES",
    "prepared statements gone unseen": "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$",
    "death by its own hand": "DO $$ BEGIN IF current_database() NOT LIKE 'rollback_scratch%' THEN "
    "PERFORM pg_terminate_backend(pg_backend_pid()); END IF; END $$",
    "another deed in production": "DO $$ BEGIN IF current_database() NOT LIKE 'rollback_scratch%' THEN "
    "EXECUTE 'DROP TABLE public.masks CASCADE'; END IF; END $$",
    "constraint at the end": "CREATE TABLE late (id int PRIMARY KEY, up int REFERENCES late DEFERRABLE INITIALLY DEFERRED); "
    "INSERT INTO late VALUES (1, 2)",
}  # fmt: skip


@pytest.mark.parametrize("statements", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_script_ends_committed_whole_or_not_at_all(
    server: Server, app: str, tmp_path: Path, statements: str
) -> None:
    script = (sample.MIGRATIONS / "rollback" / "012_stripe_events.sql").read_text()
    changes: dict[str, str | None] = {"rollback/012_stripe_events.sql": f"{statements};\n{script}"}
    stand = Stand(server, app, tmp_path, copied(tmp_path, changes), count_budget=timedelta(0))
    before = stand.sql("SELECT to_regclass('masks')::text")
    try:
        work = stand.approved()
    except StepFailed:  # the rehearsal has found it
        stand.unchanged()
        return
    try:
        execute(work)
    except (StepFailed, PlanChanged, Refused):
        stand.unchanged()
        assert found(work) is None
    else:
        assert stand.marked() and len(stand.applied()) == 6 and stand.applied()[-1] == "011"
        kept = any(change["object"] == "public.stripe_events" for change in work.run.evidence["rehearse"]["changes"])
        assert ("stripe_events" in stand.tables()) != kept  # as it was rehearsed, whatever that was
    assert stand.sql("SELECT to_regclass('masks')::text") == before


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("SET ROLE pg_monitor; SELECT * FROM profiles", "E-RIGHTS"),
        ("SELECT pg_terminate_backend(pg_backend_pid())", "E-DB"),
    ],
)
def test_a_target_that_is_lost_or_forbids_is_said_in_words(app: str, statement: str, code: str) -> None:
    with pytest.raises(Refused, match="production") as caught, postgres.target(app, "x", "production") as conn:
        conn.execute(statement.encode())
    assert caught.value.code == code


def test_times_and_names_are_read_whatever_the_database_prints(stand: Stand) -> None:
    name = conninfo_to_dict(stand.url)["dbname"]
    stand.sql(
        f"ALTER DATABASE {name} SET datestyle = 'German'", f"ALTER DATABASE {name} SET quote_all_identifiers = on"
    )
    execute(stand.approved())
    stand.gone()
