"""The layout `paired`: two folders of files, and a history table of many shapes, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from core.errors import Refused, StepFailed
from core.layouts import Applied, Layout, find, forward_of, layout_for, nearest, read_bytes

Conn = psycopg.Connection[tuple[Any, ...]]
NAMES = ["001_initial", "002_masks", "010_limits", "011_subscriptions"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "migrations"
    (made / "rollback").mkdir(parents=True)
    for name in NAMES:
        (made / f"{name}.sql").write_text("SELECT 1")
        (made / "rollback" / f"{name}.sql").write_text("SELECT 2")
    return made


@pytest.fixture
def layout(folder: Path) -> Layout:
    return layout_for(folder)


@pytest.fixture
def conn(database: str) -> Iterator[Conn]:
    with psycopg.connect(database, autocommit=True) as open_conn:
        yield open_conn


def refusal(layout: Layout, conn: Conn) -> Refused:
    with pytest.raises(Refused) as caught:
        layout.history(conn)
    assert "Nothing was started." in caught.value.text
    return caught.value


# -- files


def test_files_are_ordered_by_number_and_then_by_name(folder: Path, layout: Layout) -> None:
    for name in ("9_nine", "0100_hundred", "010_again"):
        (folder / f"{name}.sql").write_text("SELECT 1")
    assert [m.name for m in layout.migrations()] == [
        "001_initial", "002_masks", "9_nine", "010_again", "010_limits", "011_subscriptions", "0100_hundred",
    ]  # fmt: skip


def test_a_file_without_its_twin_is_listed_with_a_gap(folder: Path, layout: Layout) -> None:
    (folder / "012_new.sql").write_text("SELECT 1")
    (folder / "001_initial.sql").unlink()
    found = {m.name: m for m in layout.migrations()}
    assert found["012_new"].rollback is None and found["012_new"].forward
    assert found["001_initial"].forward is None and found["001_initial"].rollback
    assert found["001_initial"].version == "001"


def test_other_files_are_nobodys_business(folder: Path, layout: Layout) -> None:
    for name in ("README.md", "seed.sql", "012_bad name.sql", "013_x.sql~", "x_014.sql"):
        (folder / name).write_text("")
    (folder / "015_folder.sql").mkdir()
    assert [m.name for m in layout.migrations()] == NAMES


def test_a_link_that_leaves_the_folder_is_refused(folder: Path, layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "secret.sql").write_text("SELECT 3")
    (folder / "rollback" / "012_link.sql").symlink_to(tmp_path / "secret.sql")
    with pytest.raises(Refused, match=r"`012_link\.sql` is a link to a file outside") as caught:
        layout.migrations()
    assert caught.value.code == "E-FILE-MISSING"
    assert str(tmp_path) not in caught.value.text


def test_a_rollback_folder_that_is_a_link_outside_is_refused(folder: Path, layout: Layout, tmp_path: Path) -> None:
    (folder / "rollback").rename(tmp_path / "elsewhere")
    (folder / "rollback").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="outside the migrations folder"):
        layout.migrations()


def test_a_missing_folder_is_refused_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        layout_for(tmp_path / "gone").migrations()
    assert caught.value.code == "E-FILE-MISSING"
    assert str(tmp_path) not in caught.value.text


def test_a_file_that_is_gone_when_it_is_read_is_refused_by_name(folder: Path, layout: Layout) -> None:
    script = layout.migrations()[0].rollback
    assert script and (script.file, script.data) == ("rollback/001_initial.sql", b"SELECT 2")
    with pytest.raises(Refused, match=r"I cannot read `001_gone\.sql`: no such file"):
        read_bytes(folder / "rollback" / "001_gone.sql")


def test_an_unknown_layout_is_refused(folder: Path) -> None:
    with pytest.raises(Refused, match="I know no layout `flyway`"):
        layout_for(folder, "flyway")


def test_the_sample_application_has_seven_migrations_each_with_a_rollback_script() -> None:
    import demo.app

    found = layout_for(Path(demo.app.__file__).parent / "apps" / "api" / "migrations").migrations()
    assert [m.version for m in found] == ["001", "002", "003", "004", "010", "011", "012"]
    assert all(m.forward and m.rollback for m in found)


def test_rows_are_matched_with_files_in_every_form(layout: Layout) -> None:
    files = layout.migrations()
    for version in ("011", "11", "011_subscriptions", "011_subscriptions.sql"):
        found = find(files, version)
        assert found and found.name == "011_subscriptions"
    assert find(files, "012") is None
    assert [m.name for m in forward_of(layout, ["010", "001"])] == ["010_limits", "001_initial"]
    with pytest.raises(Refused, match="`012` is applied, but the migrations folder holds no file"):
        forward_of(layout, ["001", "012"])


def test_near_names_are_found_in_any_case() -> None:
    assert nearest("011_SUBSCRIPTONS", NAMES) == ["011_subscriptions"]
    assert nearest("zzz", NAMES) == []


# -- the history table


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        ("text", "'{n}'"),
        ("varchar(50)", "'{n}'"),
        ("char(20)", "'{n}'"),
        ("text", "'{name}'"),
        ("text", "'{name}.sql'"),
        ("integer", "{n}"),
        ("bigint", "{n}"),
        ("numeric", "{n}"),
    ],
)
def test_every_form_of_a_version_is_read_and_removed(layout: Layout, conn: Conn, kind: str, stored: str) -> None:
    conn.execute(f"CREATE TABLE schema_migrations (version {kind} PRIMARY KEY, who text DEFAULT 'ci')".encode())
    for name in reversed(NAMES):
        value = stored.format(n=name[:3], name=name)
        conn.execute(f"INSERT INTO schema_migrations VALUES ({value})".encode())
    history = layout.history(conn)
    assert (history.table, history.schema) == ("public.schema_migrations", "public")
    assert [m.name for m in forward_of(layout, [row.version for row in history.applied])] == NAMES
    row = layout.untrack(conn, history, history.applied[-1].version)
    assert row.keys() == {"version", "who"} and row["who"] == "ci"
    assert layout.history(conn).applied == history.applied[:-1]


def test_the_order_is_the_time_of_the_rows_with_ties_by_version(layout: Layout, conn: Conn) -> None:
    conn.execute("CREATE TABLE schema_migrations (version text, applied_at timestamptz)")
    conn.execute("INSERT INTO schema_migrations VALUES ('011', '2026-01-01'), ('010', '2026-01-02')")
    conn.execute("INSERT INTO schema_migrations VALUES ('002', '2026-01-02'), ('001', '2026-01-03')")
    history = layout.history(conn)
    assert [row.version for row in history.applied] == ["011", "002", "010", "001"]
    assert history.applied[0].applied_at and history.applied[0].applied_at.tzinfo


@pytest.mark.parametrize("time", ["NULL", "'infinity'"])
def test_the_order_is_the_version_where_a_row_has_no_time(layout: Layout, conn: Conn, time: str) -> None:
    conn.execute("CREATE TABLE schema_migrations (version text, run_on timestamp)")
    conn.execute(f"INSERT INTO schema_migrations VALUES ('011', '2026-01-01'), ('002', {time}), ('9', now())".encode())
    assert [row.version for row in layout.history(conn).applied] == ["002", "9", "011"]


def test_a_column_that_is_no_time_does_not_order(layout: Layout, conn: Conn) -> None:
    conn.execute("CREATE TABLE schema_migrations (version text, applied_at text)")
    conn.execute("INSERT INTO schema_migrations VALUES ('011', 'a'), ('002', 'b')")
    assert layout.history(conn).applied == (Applied("002"), Applied("011"))


def test_an_empty_history_is_a_history(layout: Layout, conn: Conn) -> None:
    conn.execute("CREATE TABLE schema_migrations (version text, applied_at timestamptz)")
    assert layout.history(conn).applied == ()


def test_a_strange_schema_and_another_search_path_change_nothing(layout: Layout, conn: Conn) -> None:
    conn.execute('CREATE SCHEMA "My ""App"')
    conn.execute('CREATE TABLE "My ""App".schema_migrations (version text)')
    conn.execute("""INSERT INTO "My ""App".schema_migrations VALUES ('011')""")
    history = layout.history(conn)
    assert history.table == '"My ""App".schema_migrations'
    conn.execute("CREATE TEMP TABLE schema_migrations (version text)")
    conn.execute("INSERT INTO schema_migrations VALUES ('011')")
    assert layout.untrack(conn, layout.history(conn), "011") == {"version": "011"}
    assert conn.execute("SELECT count(*) FROM schema_migrations").fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("ddl", "words"),
    [
        ("SELECT 1", "There is no table `schema_migrations`"),
        (
            "CREATE TABLE schema_migrations (version text); CREATE SCHEMA b;"
            "CREATE TABLE b.schema_migrations (version text)",
            "There are 2 history tables: `b.schema_migrations`, `public.schema_migrations`.",
        ),
        ("CREATE TABLE schema_migrations (id int, name text)", "unknown shape (id integer, name text)"),
        ("CREATE TABLE schema_migrations (version jsonb)", "unknown shape (version jsonb)"),
        ("CREATE TABLE schema_migrations (version bigint, dirty boolean)", "golang-migrate"),
        ("CREATE VIEW schema_migrations AS SELECT '011'::text AS version", "is no table but a view"),
        (
            "CREATE TABLE schema_migrations (version text); INSERT INTO schema_migrations VALUES ('011'), ('010_limits')",
            "holds versions in 2 forms: `010_limits`, `011`.",
        ),
        (
            "CREATE TABLE schema_migrations (version text); INSERT INTO schema_migrations VALUES ('011'), ('11')",
            "more than once",
        ),
        (
            "CREATE TABLE schema_migrations (version text); INSERT INTO schema_migrations VALUES (NULL)",
            "has a row without a version",
        ),
    ],
)
def test_a_history_that_is_not_clear_is_refused(layout: Layout, conn: Conn, ddl: str, words: str) -> None:
    conn.execute(ddl.encode())
    no = refusal(layout, conn)
    assert no.code == "E-HISTORY"
    assert words in no.text


def test_a_role_without_rights_is_told_which_right_is_missing(layout: Layout, conn: Conn) -> None:
    conn.execute("CREATE TABLE schema_migrations (version text)")
    with conn.transaction(force_rollback=True):
        conn.execute("CREATE ROLE rb_poor; SET LOCAL ROLE rb_poor")
        no = refusal(layout, conn)
    assert (no.code, no.text) == (
        "E-RIGHTS",
        "My role may not read `public.schema_migrations`. Grant it SELECT. Nothing was started.",
    )


@pytest.mark.parametrize(
    "ddl",
    [
        "SELECT 1",
        "INSERT INTO schema_migrations VALUES ('012'), ('012')",
        "INSERT INTO schema_migrations VALUES ('012'); "
        "CREATE RULE keep AS ON DELETE TO schema_migrations DO INSTEAD NOTHING",
        "INSERT INTO schema_migrations VALUES ('012'); "
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; "
        "CREATE TRIGGER no BEFORE DELETE ON schema_migrations FOR EACH ROW EXECUTE FUNCTION no()",
        "DROP TABLE schema_migrations",
    ],
    ids=["no row", "two rows", "a rule", "a trigger", "no table"],
)
def test_anything_but_exactly_one_row_fails_the_step(layout: Layout, conn: Conn, ddl: str) -> None:
    conn.execute("CREATE TABLE schema_migrations (version text)")
    history = layout.history(conn)
    conn.execute(ddl.encode())
    with pytest.raises(StepFailed) as caught, conn.transaction():
        layout.untrack(conn, history, "012")
    assert caught.value.code == "E-EXECUTE"
    assert caught.value.text.endswith("The transaction was undone; production was not changed.")


def test_the_row_comes_back_with_every_column_for_the_way_back(layout: Layout, conn: Conn) -> None:
    conn.execute("CREATE TABLE schema_migrations (version text, sum bytea, at timestamptz, n numeric, extra jsonb)")
    conn.execute("""INSERT INTO schema_migrations VALUES ('011', '\\x00ff', '2026-01-01Z', 1.50, '{"a": [1]}')""")
    row = layout.untrack(conn, layout.history(conn), "011")
    back = "INSERT INTO schema_migrations SELECT * FROM jsonb_populate_record(NULL::schema_migrations, %s)"
    conn.execute(back, [Jsonb(row)])
    assert conn.execute("SELECT sum, n, extra FROM schema_migrations").fetchall()[0][0] == b"\x00\xff"
