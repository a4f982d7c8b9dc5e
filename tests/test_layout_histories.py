"""The history table of each tool: its order, its traps, and the states that the tool itself would not go on from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from core.errors import Refused, StepFailed
from core.layouts import detect, layout_for
from tests.layout_projects import PROJECTS, Conn, files


def history_of(layout: str, folder: Path, conn: Conn, *statements: str) -> list[str]:
    """The versions after some statements on the table."""
    for statement in statements:
        conn.execute(statement.encode())
    return [row.version for row in layout_for(folder, layout).history(conn).applied]


@pytest.fixture
def conn(database: str) -> Iterator[Conn]:
    with psycopg.connect(database, autocommit=True) as open_conn:
        yield open_conn


def project(name: str, folder: Path, conn: Conn) -> Path:
    """A migrated project of that layout."""
    one = next(project for project in PROJECTS if project.layout == name)
    one.migrate(conn)
    return one.write(folder)


@pytest.mark.parametrize(
    ("layout", "statement", "says"),
    [
        ("golang-migrate", "UPDATE schema_migrations SET dirty = true", "is dirty at version `10`: a migration failed halfway"),
        ("golang-migrate", "INSERT INTO schema_migrations VALUES (-1, true)", "has 2 rows; it must be one"),
        ("golang-migrate", "UPDATE schema_migrations SET version = -1, dirty = true", "is dirty at version `-1`"),
        ("sqlx", "UPDATE _sqlx_migrations SET success = false WHERE version = 20260302", "`20260302` had no success"),
        ("goose", "INSERT INTO goose_db_version (version_id, is_applied) VALUES (2, false)", "`2` is not applied"),
        ("diesel", "ALTER TABLE __diesel_schema_migrations ALTER run_on TYPE text", "unknown shape"),
        ("dbmate", "ALTER TABLE schema_migrations ALTER version TYPE bigint USING version::bigint", "unknown shape"),
    ],
)  # fmt: skip
def test_a_state_that_the_tool_would_not_go_on_from_is_refused(
    layout: str, statement: str, says: str, conn: Conn, tmp_path: Path
) -> None:
    folder = project(layout, tmp_path, conn)
    with pytest.raises(Refused, match=says) as caught:
        history_of(layout, folder, conn, statement)
    assert caught.value.code == "E-HISTORY" and caught.value.text.endswith("Nothing was started.")


def test_golang_migrate_goes_back_from_the_top_only(conn: Conn, tmp_path: Path) -> None:
    folder = project("golang-migrate", tmp_path, conn)
    layout = layout_for(folder, "golang-migrate")
    history = layout.history(conn)
    with pytest.raises(StepFailed, match="0 rows of `schema_migrations` have the version `2`"):
        layout.untrack(conn, history, "2")
    row = layout.untrack(conn, history, "10")
    assert conn.execute("SELECT version, dirty FROM schema_migrations").fetchall() == [(2, False)]
    layout.untrack(conn, history, "2")
    with pytest.raises(
        StepFailed, match="says the version `1`; before `10` can be put back it must say the version `2`"
    ):
        layout.track(conn, history, "10", row)
    layout.untrack(conn, history, "1")
    with pytest.raises(StepFailed, match="says that nothing is applied; before `10`"):
        layout.track(conn, history, "10", row)


def test_golang_migrate_that_became_dirty_meanwhile_fails_the_step(conn: Conn, tmp_path: Path) -> None:
    layout = layout_for(project("golang-migrate", tmp_path, conn), "golang-migrate")
    history = layout.history(conn)
    conn.execute("UPDATE schema_migrations SET dirty = true")
    with pytest.raises(StepFailed, match="became dirty at version `10`"):
        layout.untrack(conn, history, "10")


def test_golang_migrate_counts_a_version_without_a_file_as_the_newest(conn: Conn, tmp_path: Path) -> None:
    folder = project("golang-migrate", tmp_path, conn)
    assert history_of("golang-migrate", folder, conn, "UPDATE schema_migrations SET version = 11") == [
        "1",
        "2",
        "10",
        "11",
    ]
    assert history_of("golang-migrate", folder, conn, "TRUNCATE schema_migrations") == []


def test_goose_goes_back_in_the_order_in_which_it_went_forward(conn: Conn, tmp_path: Path) -> None:
    folder = project("goose", tmp_path, conn)
    again = "DELETE FROM goose_db_version WHERE version_id = 1"
    add = "INSERT INTO goose_db_version (version_id, is_applied) VALUES (1, true)"
    assert history_of("goose", folder, conn, again, add) == ["2", "10", "1"]


def test_goose_takes_all_rows_of_a_version_and_puts_them_back(conn: Conn, tmp_path: Path) -> None:
    folder = project("goose", tmp_path, conn)
    old = "INSERT INTO goose_db_version (version_id, is_applied) VALUES (2, false), (2, true)"
    assert history_of("goose", folder, conn, old) == ["1", "10", "2"]
    layout = layout_for(folder, "goose")
    rows = "SELECT h::text FROM goose_db_version h ORDER BY id"
    before, history = conn.execute(rows).fetchall(), layout.history(conn)
    taken = layout.untrack(conn, history, "2")
    assert len(taken["rows"]) == 3 and history_of("goose", folder, conn) == ["1", "10"]
    layout.track(conn, history, "2", taken)
    assert conn.execute(rows).fetchall() == before


def test_the_row_of_goose_for_version_0_never_goes(conn: Conn, tmp_path: Path) -> None:
    layout = layout_for(project("goose", tmp_path, conn), "goose")
    with pytest.raises(StepFailed, match="0 rows"):
        layout.untrack(conn, layout.history(conn), "0")


def test_a_lease_of_goose_is_a_migration_that_runs(conn: Conn, tmp_path: Path) -> None:
    layout = layout_for(project("goose", tmp_path, conn), "goose")
    history = layout.history(conn)
    conn.execute(
        "CREATE TABLE goose_lock (lock_id bigint PRIMARY KEY, locked boolean NOT NULL, lease_expires_at timestamptz)"
    )
    conn.execute("INSERT INTO goose_lock VALUES (4097083626, true, now() - interval '1 s'), (2, false, NULL)")
    assert layout.lock_keys(conn, history) == (4097083626, 5887940537704921958)
    conn.execute("UPDATE goose_lock SET lease_expires_at = now() + interval '30 s' WHERE locked")
    with pytest.raises(
        StepFailed, match=r"A migration is running: goose holds its lease in `public\.goose_lock`"
    ) as no:
        layout.lock_keys(conn, history)
    assert no.value.code == "E-BUSY"


def test_dbmate_goes_back_in_the_order_of_file_names(conn: Conn, tmp_path: Path) -> None:
    for name in ("10_b", "9_a", "1_c"):
        for file, text in files("dbmate", name, "SELECT 1;", "SELECT 1;").items():
            (tmp_path / file).write_text(text)
    rows = "INSERT INTO schema_migrations VALUES ('1'), ('10'), ('9'), ('0500')"
    table = "CREATE TABLE schema_migrations (version varchar PRIMARY KEY)"
    assert history_of("dbmate", tmp_path, conn, table, rows) == ["0500", "10", "1", "9"]


def test_sqlx_goes_back_by_number(conn: Conn, tmp_path: Path) -> None:
    folder = project("sqlx", tmp_path, conn)
    add = "INSERT INTO _sqlx_migrations VALUES (9, 'x', now(), true, '', 0)"
    assert history_of("sqlx", folder, conn, add)[:2] == ["9", "20260301"]


def test_the_files_of_golang_migrate_and_sqlx_are_told_apart_by_the_table(conn: Conn, tmp_path: Path) -> None:
    folder = project("sqlx", tmp_path, conn)
    with pytest.raises(Refused, match="`golang-migrate` and `sqlx` fit"):
        detect(folder)
    with pytest.raises(Refused, match=r"There is `public\._sqlx_migrations`, which is sqlx's\.") as no:
        history_of("golang-migrate", folder, conn)
    assert 'set `layout = "sqlx"`' in no.value.hint
