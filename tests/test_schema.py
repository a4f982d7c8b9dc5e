"""Every single drift is found with the right words, and what is equal compares equal; on a real PostgreSQL."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.rows import dict_row

from core import schema, schema_words
from core.schema import Change, Key, difference, fingerprint, snapshot, without
from demo.postgres import Server
from tests.conftest import fresh
from tests.schema_sample import DRIFTS, EXOTIC, ROLES, SAMPLE, Drift

Conn = psycopg.Connection[tuple[Any, ...]]
SQL = Path(schema.__file__).parent / "sql" / "schema"


def run(conn: psycopg.Connection[Any], statements: str) -> None:
    conn.execute(statements.encode())


def connect(url: str) -> Conn:
    return psycopg.connect(url, autocommit=True)


@pytest.fixture(scope="session")
def roles(server: Server) -> None:
    with connect(server.url()) as conn:
        for role in ROLES:
            run(conn, f"CREATE ROLE {role} LOGIN")


@pytest.fixture(scope="module")
def sample_url(server: Server, roles: None) -> Iterator[str]:
    for url in fresh(server, "template0"):
        with connect(url) as conn:
            run(conn, SAMPLE)
        yield url


@pytest.fixture(scope="module")
def before(sample_url: str) -> dict[Key, str]:
    with connect(sample_url) as conn:
        return snapshot(conn)


@pytest.fixture
def sample(sample_url: str) -> Iterator[Conn]:
    """The sample database inside a transaction that is taken back."""
    with connect(sample_url) as conn, conn.transaction(force_rollback=True):
        yield conn


@pytest.fixture
def empty(database: str, roles: None) -> Iterator[Conn]:
    with connect(database) as conn:
        yield conn


def after(conn: Conn, statements: str, before: dict[Key, str]) -> list[Change]:
    run(conn, statements)
    return difference(before, snapshot(conn))


@pytest.mark.parametrize("drift", DRIFTS, ids=lambda drift: drift[0][:60])
def test_a_single_drift_is_found_with_kind_severity_and_sentence(
    sample: Conn, before: dict[Key, str], drift: Drift
) -> None:
    statement, *expected = drift
    found = after(sample, statement, before)
    assert expected in [[c.kind, c.object, c.change, c.severity, c.message] for c in found]


CONTROLS = {
    "a column added and dropped again": "ALTER TABLE profiles ADD x integer DEFAULT 3; ALTER TABLE profiles DROP x",
    "an index dropped and made again": "DROP INDEX profiles_email_idx; CREATE INDEX profiles_email_idx ON profiles (email)",
    "a table renamed and back": "ALTER TABLE profiles RENAME TO p2; ALTER TABLE p2 RENAME TO profiles",
    "statistics gathered": "ANALYZE",
    "rows written": "INSERT INTO profiles (email) VALUES ('a@b'); REFRESH MATERIALIZED VIEW counts",
    "a sequence advanced": "SELECT nextval('app.ticket'), setval('subscriptions_id_seq', 99)",
    "a function replaced by itself": "ALTER FUNCTION touch() COST 5; ALTER FUNCTION touch() COST 100",
    "privileges granted and revoked": "GRANT ALL ON subscriptions TO schema_test_reader; "
    "REVOKE ALL ON subscriptions FROM schema_test_reader",
    "default privileges written out": "GRANT EXECUTE ON FUNCTION touch() TO PUBLIC",
    "privileges of an extension's language revoked and granted": "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC; "
    "GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC",
    "a view replaced by itself": "CREATE OR REPLACE VIEW payers AS "
    "SELECT p.id, p.name FROM profiles p JOIN subscriptions s ON s.user_id = p.id",
    "a temporary table": "CREATE TEMPORARY TABLE scratch (a integer PRIMARY KEY)",
    "our own marker and observer": "CREATE SCHEMA rollback_bot; CREATE TABLE rollback_bot.marker (a integer); "
    "COMMENT ON SCHEMA rollback_bot IS 'x'; COMMENT ON COLUMN rollback_bot.marker.a IS 'x'; "
    "CREATE SCHEMA rollback_rehearsal; CREATE FUNCTION rollback_rehearsal.f() RETURNS event_trigger "
    "LANGUAGE plpgsql AS 'BEGIN END'; "
    "CREATE EVENT TRIGGER rollback_rehearsal_drop ON sql_drop EXECUTE FUNCTION rollback_rehearsal.f()",
}


@pytest.mark.parametrize("control", CONTROLS)
def test_what_leaves_no_trace_compares_equal(sample: Conn, before: dict[Key, str], control: str) -> None:
    assert after(sample, CONTROLS[control], before) == []
    assert fingerprint(snapshot(sample)) == fingerprint(before)


def test_the_order_of_creation_does_not_matter(server: Server, database: str) -> None:
    parts = [
        "CREATE TYPE mood AS ENUM ('a', 'b');",
        "CREATE TABLE one (id integer PRIMARY KEY, b integer);",
        "CREATE SEQUENCE two;",
        "CREATE FUNCTION three() RETURNS integer LANGUAGE sql AS 'SELECT 1';",
    ]
    with connect(database) as conn:
        run(conn, "".join(parts))
        first = snapshot(conn)
    for url in fresh(server, "template0"):
        with connect(url) as conn:
            run(conn, "".join(reversed(parts)))
            assert difference(first, snapshot(conn)) == []


def test_a_dumped_and_restored_database_compares_equal(server: Server, empty: Conn, tmp_path: Any) -> None:
    run(empty, SAMPLE + EXOTIC)
    original, name = snapshot(empty), empty.info.dbname
    where = ["-h", str(server.socket_dir), "-p", str(server.port), "-U", "postgres"]
    dump = tmp_path / "dump"
    subprocess.run([server.bin_dir / "pg_dump", *where, "-Fc", "-f", dump, name], check=True)
    for url in fresh(server, "template0"):
        with connect(url) as conn:
            subprocess.run([server.bin_dir / "pg_restore", *where, "-e", "-d", conn.info.dbname, dump], check=True)
            copy = snapshot(conn)
    assert difference(original, copy) == []
    assert fingerprint(original) == fingerprint(copy)


def test_the_order_of_columns_is_cosmetic(sample: Conn, before: dict[Key, str]) -> None:
    found = after(sample, "ALTER TABLE subscriptions DROP during; ALTER TABLE subscriptions ADD during span", before)
    assert [(c.kind, c.severity, c.message, c.table) for c in found] == [
        ("column order", "cosmetic", "column order of `subscriptions` differs", "public.subscriptions")
    ]


@pytest.mark.parametrize(
    ("body", "severity"),
    [
        ("BEGIN NEW.note := 'it''s  new'; -- why\nRETURN\n\n NEW; END", "cosmetic"),
        ("BEGIN NEW.note := 'it''s new'; -- why\nRETURN NEW; END", "harmful"),
        ("BEGIN NEW.note := 'it''s  new'; -- why RETURN NEW;\n END", "harmful"),
    ],
)
def test_white_space_in_a_body_is_cosmetic_unless_it_means_something(
    sample: Conn, before: dict[Key, str], body: str, severity: str
) -> None:
    change = f"CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $${body}$$"
    assert [(c.object, c.severity) for c in after(sample, change, before)] == [("public.touch()", severity)]


def test_another_generated_name_is_cosmetic_but_a_lost_name_of_a_person_is_not(empty: Conn) -> None:
    run(empty, "CREATE TABLE t (c integer CHECK (c > 0), d integer); CREATE INDEX ON t (d)")
    first = snapshot(empty)
    run(empty, "ALTER TABLE t RENAME CONSTRAINT t_c_check TO t_c_check1; ALTER INDEX t_d_idx RENAME TO t_d_idx3")
    found = difference(first, snapshot(empty))
    assert [(c.severity, c.message) for c in found] == [
        ("cosmetic", "check constraint `t.t_c_check1` has another generated name, was `t_c_check`"),
        ("cosmetic", "index `t_d_idx3` has another generated name, was `t_d_idx`"),
    ]
    run(empty, "ALTER TABLE t RENAME CONSTRAINT t_c_check1 TO positive")
    assert [c.severity for c in difference(first, snapshot(empty)) if c.kind == "constraint"] == ["harmful", "harmful"]


def test_a_missing_table_brings_its_parts_and_each_names_the_table(sample: Conn, before: dict[Key, str]) -> None:
    found = after(sample, "DROP TABLE subscriptions CASCADE", before)
    of_table = [c for c in found if c.table == "public.subscriptions"]
    assert of_table[0].message == "table `subscriptions` is missing"
    assert {c.kind for c in of_table} >= {
        *("column", "constraint", "index", "trigger", "rule", "comment", "statistics", "sequence", "privileges"),
    }
    assert [(c.kind, c.message) for c in found if c.table is None] == [("view", "view `payers` is missing")]
    assert {c.change for c in found} == {"missing"}


def test_a_left_over_object_is_additional(sample: Conn, before: dict[Key, str]) -> None:
    found = after(sample, "CREATE TYPE left_over AS ENUM ('a')", before)
    assert [c.message for c in found] == ["type `left_over` is additional"]


def test_hostile_names_are_quoted_and_stay_on_one_line(empty: Conn) -> None:
    first, name = snapshot(empty), 'dr"op\n`é.\u202e' + "x" * 40
    quoted = '"' + name.replace('"', '""') + '"'
    found = after(empty, f"CREATE TABLE {quoted} ({quoted} integer CHECK ({quoted} > 0))", first)
    assert schema.names(found[0].object) == ("public", name)
    column = next(c for c in found if c.kind == "column")
    assert schema.names(column.object) == ("public", name, name)
    assert column.table == f"public.{quoted}"
    assert found[0].message == 'table `"dr""op\\n\'é.\\u202e' + "x" * 40 + '"` is additional'


def test_an_extension_is_told_by_its_version_alone(empty: Conn) -> None:
    first = snapshot(empty)
    assert [c.message for c in after(empty, "CREATE EXTENSION hstore", first)] == ["extension `hstore` is additional"]


def test_no_password_leaves_the_server(before: dict[Key, str]) -> None:
    assert not any("hunter2" in text for text in before.values())


def test_uncommitted_changes_are_seen_and_settings_and_locks_stay_as_they_were(empty: Conn) -> None:
    run(empty, "CREATE TABLE t (a integer); CREATE VIEW v AS SELECT a FROM t; SET search_path = public; SET jit = on")
    state = "SELECT current_setting('search_path'), current_setting('jit'), current_setting('datestyle')"
    first = snapshot(empty)
    with empty.transaction():
        run(empty, "ALTER TABLE t ADD b integer")
        kept = empty.execute(state.encode()).fetchone()
        locks = "SELECT relation FROM pg_locks WHERE relation = 'v'::regclass"
        assert [c.message for c in difference(first, snapshot(empty))] == ["column `t.b` is additional"]
        assert empty.execute(state.encode()).fetchone() == kept
        assert empty.execute(locks.encode()).fetchall() == []
    assert empty.execute(state.encode()).fetchone() == kept
    assert empty.execute("SELECT name FROM pg_prepared_statements").fetchall() == [("rollback_bot_schema",)]


def test_a_script_that_deallocates_everything_does_not_break_the_snapshot(empty: Conn) -> None:
    first = snapshot(empty)
    with empty.transaction():
        run(empty, "CREATE TABLE t (a integer); DEALLOCATE ALL")
        assert "table `t` is additional" in [c.message for c in difference(first, snapshot(empty))]
    run(empty, "DISCARD ALL")
    assert len(snapshot(empty)) > len(first)


def test_a_seldom_kind_is_seen_also_by_a_connection_that_has_planned_without_it(empty: Conn) -> None:
    first = snapshot(empty)
    run(empty, 'CREATE DOMAIN d AS integer; CREATE COLLATION c FROM "C"')
    changes = [c.message for c in difference(first, snapshot(empty))]
    assert changes == ["collation `c` is additional", "domain `d` is additional"]
    run(empty, "DROP DOMAIN d; DROP COLLATION c")
    assert snapshot(empty) == first


def test_no_seldom_kind_is_overlooked(sample: Conn) -> None:
    settings = {f.stem: re.search(r"(?m)^-- Seldom: (.+)$", f.read_text()) for f in SQL.glob("[!_]*.sql")}
    told = set()
    for name, where in settings.items():
        if where and sample.execute(f"{schema.query('_ours')} UNION ALL {schema.query(name)}".encode()).fetchall():  # type: ignore[arg-type]
            asked = f"{schema.query('_ours')} UNION ALL {schema.seldom(name, where[1])}"  # type: ignore[arg-type]
            assert [row[1] for row in sample.execute(asked.encode())] == [name]
            told.add(name)
    assert len(told) > 20, "the sample has hardly any of them"


def test_tables_that_come_and_go_meanwhile_do_not_break_the_snapshot(empty: Conn) -> None:
    stop = threading.Event()

    def churn() -> None:
        with connect(f"{empty.info.dsn}") as other:
            while not stop.is_set():
                run(other, "CREATE TABLE c (a integer PRIMARY KEY); CREATE VIEW cv AS SELECT a FROM c")
                run(other, "DROP TABLE c CASCADE")
                time.sleep(0.1)

    worker = threading.Thread(target=churn)
    worker.start()
    try:
        for _ in range(20):
            kinds = {key.kind for key in snapshot(empty)} & {"view", "table", "constraint"}
            assert kinds in (set(), {"view", "table", "constraint"})
    finally:
        stop.set()
        worker.join()


def test_the_encoding_of_the_client_does_not_matter(empty: Conn) -> None:
    run(empty, 'CREATE TABLE "日本" (a integer)')
    first = snapshot(empty)
    run(empty, "SET client_encoding = 'LATIN1'")
    assert snapshot(empty) == first
    assert empty.info.encoding == "iso8859-1"


def test_any_kind_of_connection_gives_the_same_and_is_left_idle(sample_url: str, before: dict[Key, str]) -> None:
    with psycopg.connect(sample_url, row_factory=dict_row) as conn:
        assert snapshot(conn) == before
        assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_an_ordinary_role_reads_the_same_apart_from_secrets(
    server: Server, sample_url: str, before: dict[Key, str]
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(sample_url)["dbname"]
    with connect(server.url(str(name), user="schema_test_reader")) as conn:
        found = difference(without(before, ("user mapping",)), without(snapshot(conn), ("user mapping",)))
    assert found == []


def test_owners_privileges_and_settings_can_be_left_out(before: dict[Key, str]) -> None:
    kinds = {key.kind for key in without(before, ("owner", "privileges", "settings"))}
    assert {"owner", "privileges", "default privileges", "settings"} & kinds == set()
    assert {"table", "column", "policy"} <= kinds


def test_a_hundred_tables_are_read_in_a_fraction_of_a_second(empty: Conn) -> None:
    for n in range(100):
        run(
            empty,
            f"CREATE TABLE t{n} (id serial PRIMARY KEY, a text, b integer CHECK (b > 0)); CREATE INDEX ON t{n} (a)",
        )
    times = []
    for _ in range(3):
        started = time.perf_counter()
        assert len(snapshot(empty)) > 1000
        times.append(time.perf_counter() - started)
    assert min(times) < 0.5  # about 0.06 s on an idle machine


@given(st.lists(st.text(min_size=1).filter(lambda name: "\0" not in name), min_size=1, max_size=3))
def test_quoted_names_come_apart_again(parts: list[str]) -> None:
    quoted = ".".join('"' + part.replace('"', '""') + '"' for part in parts)
    assert schema.names(quoted) == tuple(parts)


@given(st.text())
def test_any_text_has_one_canonical_form(text: str) -> None:
    once = schema_words.canonical(f"(ARRAY[{text}")
    assert schema_words.canonical(once) == once
