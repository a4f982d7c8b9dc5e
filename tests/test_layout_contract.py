"""What every adapter of the port `Layout` keeps, on projects of our own and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psycopg
import pytest

from core.errors import Refused, StepFailed
from core.layouts import LAYOUTS, Layout, find, golang_migrate, layout_for
from tests.layout_projects import DOWN, PROJECTS, UP, Conn, Project, locks


@dataclass
class Bench:
    """A project, its files, its adapter, and a database that its tool has migrated: made when somebody asks for it."""

    project: Project
    folder: Path
    layout: Layout
    database: Callable[[], Conn]

    @cached_property
    def conn(self) -> Conn:
        return self.database()

    def versions(self) -> list[str]:
        return [row.version for row in self.layout.history(self.conn).applied]

    def rows(self) -> list[str]:
        return self.project.rows(self.conn)


@pytest.fixture(params=PROJECTS, ids=lambda project: project.layout)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    project: Project = request.param
    folder = project.write(tmp_path / "migrations")
    with ExitStack() as ending:

        def database() -> Conn:
            conn = ending.enter_context(psycopg.connect(request.getfixturevalue("database"), autocommit=True))
            project.migrate(conn)
            return conn

        yield Bench(project, folder, layout_for(folder, project.layout), database)


def test_there_is_a_project_for_every_layout() -> None:
    assert sorted(project.layout for project in PROJECTS) == sorted(LAYOUTS)


def test_files_are_read_oldest_first_with_both_scripts(bench: Bench) -> None:
    found = bench.layout.migrations()
    assert [(m.version, m.name) for m in found] == list(zip(bench.project.versions, bench.project.names, strict=True))
    for migration, up, down in zip(found, UP, DOWN, strict=True):
        assert migration.forward and migration.rollback and not migration.refused
        assert migration.rollback.transaction == bench.project.transaction
        assert (bench.folder / migration.rollback.file).is_file()
        for script, text in ((migration.forward, up), (migration.rollback, down)):
            statements = [line for line in script.data.decode().splitlines() if line and not line.startswith("--")]
            assert statements == text.splitlines()
            whole = (bench.folder / script.file).read_text().splitlines()
            assert all(whole[n] == line for n, line in enumerate(script.data.decode().splitlines()) if line)


def test_the_history_has_every_migration_oldest_first(bench: Bench) -> None:
    history = bench.layout.history(bench.conn)
    assert (history.schema, history.name) == ("public", bench.project.table)
    assert [row.version for row in history.applied] == list(bench.project.versions)
    migrations = bench.layout.migrations()
    found = [find(migrations, row.version) for row in history.applied]
    assert [one.name for one in found if one] == list(bench.project.names)
    days = [row.applied_at.day for row in history.applied if row.applied_at]
    assert days in ([1, 2, 3], [])


def test_what_is_taken_out_comes_back_byte_for_byte(bench: Bench) -> None:
    before, history = bench.rows(), bench.layout.history(bench.conn)
    taken = {}
    with bench.conn.transaction():
        for version in reversed(bench.project.versions[1:]):
            taken[version] = bench.layout.untrack(bench.conn, history, version)
    assert bench.versions() == [bench.project.versions[0]]
    with bench.conn.transaction():
        now = bench.layout.history(bench.conn)
        for version in bench.project.versions[1:]:
            bench.layout.track(bench.conn, now, version, taken[version])
    assert bench.rows() == before
    assert bench.versions() == list(bench.project.versions)


def test_the_first_migration_can_go_and_come_back_too(bench: Bench) -> None:
    before, history = bench.rows(), bench.layout.history(bench.conn)
    taken = [(version, bench.layout.untrack(bench.conn, history, version)) for version in bench.project.versions[::-1]]
    assert bench.layout.history(bench.conn).applied == ()
    for version, row in taken[::-1]:
        bench.layout.track(bench.conn, history, version, row)
    assert bench.rows() == before


def test_columns_of_the_projects_own_come_back_exactly(bench: Bench) -> None:
    bench.conn.execute(
        f"""ALTER TABLE {bench.project.table} ADD COLUMN who text DEFAULT 'ci "x" \\ y',
            ADD COLUMN took numeric DEFAULT 12345678901234567890.1230, ADD COLUMN ratio float8 DEFAULT 0.1,
            ADD COLUMN at timestamptz DEFAULT 'infinity', ADD COLUMN tags text[] DEFAULT ARRAY['a b', NULL],
            ADD COLUMN more jsonb DEFAULT '{{"a": [1]}}', ADD COLUMN raw bytea DEFAULT '\\x00ff',
            ADD COLUMN seen int GENERATED ALWAYS AS IDENTITY, ADD COLUMN long int GENERATED ALWAYS AS (length(who)) STORED
        """.encode()
    )
    before, history = bench.rows(), bench.layout.history(bench.conn)
    newest = bench.project.versions[-1]
    row = bench.layout.untrack(bench.conn, history, newest)
    bench.layout.track(bench.conn, bench.layout.history(bench.conn), newest, row)
    assert bench.rows() == before


def test_a_row_that_the_forward_script_wrote_again_becomes_the_old_one(bench: Bench) -> None:
    before, history = bench.rows(), bench.layout.history(bench.conn)
    newest = bench.project.versions[-1]
    row = bench.layout.untrack(bench.conn, history, newest)
    bench.project.write_row(bench.conn, 2)
    bench.layout.track(bench.conn, history, newest, row)
    if bench.project.layout == "goose":  # the number that the second row got is spent
        assert [line.split(",")[:3] for line in bench.rows()] == [line.split(",")[:3] for line in before]
    else:
        assert bench.rows() == before


def test_columns_that_appeared_since_keep_what_is_there(bench: Bench) -> None:
    history, newest = bench.layout.history(bench.conn), bench.project.versions[-1]
    row = bench.layout.untrack(bench.conn, history, newest)
    bench.conn.execute(f"ALTER TABLE {bench.project.table} ADD COLUMN since text NOT NULL DEFAULT 'new'".encode())
    bench.layout.track(bench.conn, history, newest, row)
    assert bench.versions()[-1] == newest and all(line.endswith(",new)") for line in bench.rows())
    row = bench.layout.untrack(bench.conn, history, newest)
    bench.project.write_row(bench.conn, 2)
    bench.conn.execute(f"UPDATE {bench.project.table} SET since = 'written'".encode())
    row.pop("since", None)
    for one in row.get("rows", []):
        one.pop("since")
    bench.layout.track(bench.conn, history, newest, row)
    assert all(line.endswith(",written)") for line in bench.rows())


@pytest.mark.parametrize(
    ("meddling", "says"),
    [
        ("ALTER TABLE {0} DROP COLUMN who", "it has no column `who` any more"),
        (
            "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.who = 'me'; RETURN NEW; END $$;"
            "CREATE TRIGGER meddle BEFORE INSERT ON {0} FOR EACH ROW EXECUTE FUNCTION meddle()",
            "something in the database changed it",
        ),
        (
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            "CREATE TRIGGER no BEFORE INSERT ON {0} FOR EACH ROW EXECUTE FUNCTION no()",
            "something in the database changed it",
        ),
        (
            "ALTER TABLE {0} DROP CONSTRAINT {0}_pkey;"
            "CREATE FUNCTION twice() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF pg_trigger_depth() = 1 THEN "
            "INSERT INTO {0} OVERRIDING SYSTEM VALUE SELECT NEW.*; END IF; RETURN NEW; END $$;"
            "CREATE TRIGGER twice AFTER INSERT ON {0} FOR EACH ROW EXECUTE FUNCTION twice()",
            "something in the database changed it",
        ),
        ("DROP TABLE {0}", "SQLSTATE 42P01"),
    ],
    ids=["a column is gone", "a trigger changes it", "a trigger refuses it", "a trigger doubles it", "no table"],
)
def test_anything_but_the_old_row_fails_the_step(bench: Bench, meddling: str, says: str) -> None:
    table, newest = bench.project.table, bench.project.versions[-1]
    bench.conn.execute(f"ALTER TABLE {table} ADD COLUMN who text DEFAULT 'ci'".encode())
    history = bench.layout.history(bench.conn)
    row = bench.layout.untrack(bench.conn, history, newest)
    bench.conn.execute(meddling.format(table).encode())
    with pytest.raises(StepFailed, match=says) as caught, bench.conn.transaction():
        bench.layout.track(bench.conn, history, newest, row)
    assert caught.value.code == "E-EXECUTE"
    assert caught.value.text.endswith("The transaction was undone; production was not changed.")


def test_a_row_that_is_not_there_fails_the_step(bench: Bench) -> None:
    history, newest = bench.layout.history(bench.conn), bench.project.versions[-1]
    bench.conn.execute(f"TRUNCATE {bench.project.table}".encode())
    with pytest.raises(StepFailed, match=f"0 rows of `{bench.project.table}` have the version `{newest}`"):
        bench.layout.untrack(bench.conn, history, newest)


def test_the_locks_of_the_tool_keep_us_out_while_it_migrates(bench: Bench, database: str) -> None:
    history = bench.layout.history(bench.conn)
    name = bench.conn.execute("SELECT current_database()").fetchall()[0][0]
    keys = bench.layout.lock_keys(bench.conn, history)
    assert list(keys) == locks(bench.project.layout, name)
    taking = "SELECT pg_try_advisory_xact_lock(%s)"
    for key in locks(bench.project.layout, name):
        with psycopg.connect(database, autocommit=True) as tool, bench.conn.transaction():
            tool.execute("SELECT pg_advisory_lock(%s)", [key])
            free = [bench.conn.execute(taking, [ours]).fetchall()[0][0] for ours in keys]
            assert free.count(False) == 1
            tool.execute("SELECT pg_advisory_unlock(%s)", [key])
    with bench.conn.transaction():
        assert all(bench.conn.execute(taking, [key]).fetchall()[0][0] for key in keys)


def test_the_lock_of_golang_migrate_is_the_one_that_it_was_seen_to_take() -> None:
    assert golang_migrate.lock_key("public", "schema_migrations", "/app") == 1726534663
    assert golang_migrate.lock_key("public", "schema_migrations", "app") == 1787120056


# -- a wrong layout


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_of_another_layout_are_refused_with_what_to_set(bench: Bench, layout: str) -> None:
    alike = {"golang-migrate", "sqlx"}
    if layout == bench.project.layout or {layout, bench.project.layout} == alike:
        return
    with pytest.raises(Refused) as caught:
        layout_for(bench.folder, layout).migrations()
    assert caught.value.code == "E-CONFIG"
    assert f"not `{layout}`" in caught.value.message and f"`{bench.project.layout}`" in caught.value.message
    assert 'Set `layout = "' in caught.value.hint


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_table_of_another_tool_is_refused_with_what_to_set(bench: Bench, layout: str) -> None:
    if layout == bench.project.layout or {layout, bench.project.layout} == {"paired", "dbmate"}:
        return  # the tables of these two are alike: their files tell
    with pytest.raises(Refused) as caught:
        layout_for(bench.folder, layout).history(bench.conn)
    assert caught.value.code == "E-HISTORY"
    if bench.project.layout not in ("paired", "dbmate"):
        assert f"is {bench.project.layout}'s" in caught.value.message
        assert f'set `layout = "{bench.project.layout}"`' in caught.value.hint


def test_a_tool_without_a_layout_is_named(tmp_path: Path, database: str) -> None:
    folder = PROJECTS[0].write(tmp_path)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA s; CREATE TABLE s.alembic_version (version_num varchar(32) PRIMARY KEY)")
        with pytest.raises(Refused, match=r"There is `s\.alembic_version`, which is Alembic's\. I have no layout"):
            layout_for(folder).history(conn)


def test_two_tables_are_no_trouble_where_only_one_is_the_tools(bench: Bench) -> None:
    bench.conn.execute(f"CREATE SCHEMA other; CREATE TABLE other.{bench.project.table} (name text)".encode())
    assert bench.versions() == list(bench.project.versions)
    bench.conn.execute(
        f"CREATE SCHEMA more; CREATE TABLE more.{bench.project.table} (LIKE {bench.project.table})".encode()
    )
    with pytest.raises(Refused, match=rf"There are 2 history tables: `more\.{bench.project.table}`") as caught:
        bench.layout.history(bench.conn)
    assert "`history_table`" in caught.value.hint
    named = layout_for(bench.folder, bench.project.layout, f"public.{bench.project.table}")
    assert [row.version for row in named.history(bench.conn).applied] == list(bench.project.versions)


def test_a_table_of_another_name_is_found_where_the_settings_name_it(bench: Bench) -> None:
    bench.conn.execute(f'CREATE SCHEMA "Own"; ALTER TABLE {bench.project.table} SET SCHEMA "Own"'.encode())
    bench.conn.execute(f'ALTER TABLE "Own".{bench.project.table} RENAME TO "Steps"'.encode())
    with pytest.raises(Refused, match=f"There is no table `{bench.project.table}`"):
        bench.layout.history(bench.conn)
    for name in ("Steps", "Own.Steps", '"Own"."Steps"'):
        layout, newest = layout_for(bench.folder, bench.project.layout, name), bench.project.versions[-1]
        history = layout.history(bench.conn)
        assert (history.table, history.name) == ('"Own"."Steps"', "Steps")
        assert [row.version for row in history.applied] == list(bench.project.versions)
        layout.track(bench.conn, history, newest, layout.untrack(bench.conn, history, newest))
    with pytest.raises(Refused, match=r"There is no table `public\.Steps`"):
        layout_for(bench.folder, bench.project.layout, "public.Steps").history(bench.conn)
