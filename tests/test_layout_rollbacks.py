"""A whole rollback in each layout: identified, rehearsed, executed and verified on a database that the tool migrated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from bot import messages
from core import doctor, layouts, survey
from core.errors import Refused, StepFailed
from core.model import Event, Request
from core.steps.identify import identify
from core.steps.part_by_part import execute
from core.steps.verify import verify
from demo.postgres import Server
from tests.execute_stand import RUN, Stand
from tests.layout_projects import PROJECTS, Project


class Kept(Stand):
    """A stand whose target one of the tools has migrated."""

    def __init__(self, project: Project, server: Server, url: str, folder: Path) -> None:
        with psycopg.connect(url, autocommit=True) as conn:
            project.migrate(conn)
        super().__init__(server, url, folder, project.write(folder / "migrations"), layout=project.layout)
        self.project = project

    def names(self) -> list[str]:
        """What is applied, newest first, as both doors list it."""
        return [one.name for one in survey.migrations(self.target) if one.applied]


@pytest.fixture
def project(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def kept(project: str, server: Server, database: str, tmp_path: Path) -> Kept:
    return Kept(next(one for one in PROJECTS if one.layout == project), server, database, tmp_path)


each = pytest.mark.parametrize("project", [one.layout for one in PROJECTS], indirect=True)


def only(layout: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("project", [layout], indirect=True)


@each
def test_a_migration_and_what_came_after_it_are_rolled_back(kept: Kept) -> None:
    first, second, third = kept.project.names
    assert kept.names() == [third, second, first]
    work = kept.approved(Request("from", second))
    found = work.run.evidence["identify"]
    assert (found["layout"], [one["name"] for one in found["undo"]]) == (kept.project.layout, [third, second])
    assert {one["script"]["transaction"] for one in found["undo"]} == {kept.project.transaction}
    rehearsed = work.run.evidence["rehearse"]
    assert (rehearsed["restores"], rehearsed["reapplies"]) == ("exact", True), rehearsed["differences"]
    done = execute(work)
    assert kept.tables() == {"accounts", kept.project.table}
    assert kept.names() == [first] and kept.marked() and len(done["history_rows"]) == 2
    assert [one.applied for one in survey.migrations(kept.target)] == [False, False, True]
    after = replace(work.run, evidence={**work.run.evidence, "execute": done})
    checked = verify(kept.work(after))
    assert (checked["differences"], checked["newest"]) == ([], first)
    kept.sql("CREATE TABLE since (id int)")
    assert "`since`" in str(verify(kept.work(after))["differences"])


@only("golang-migrate")
def test_a_rollback_waits_for_no_migration_that_runs_and_says_so(kept: Kept) -> None:
    work = kept.approved()
    layout = layouts.of(kept.target)
    with psycopg.connect(kept.url) as conn:
        conn.execute("SELECT pg_advisory_xact_lock(%s)", [layout.lock_keys(conn, layout.history(conn))[0]])
        with pytest.raises(StepFailed, match="A migration is running") as caught:
            execute(work)
    assert caught.value.code == "E-BUSY" and not kept.marked()


@each
def test_the_doctor_reads_every_rollback_script(kept: Kept) -> None:
    assert doctor.scripts(kept.target) == (
        f"3 applied, each has a rollback script; newest is `{kept.project.names[-1]}`"
    )


@each
def test_one_migration_is_undone_alone_where_the_table_keeps_a_row_for_each(kept: Kept) -> None:
    first, second, third = kept.project.names
    request = Request("from", second, only=True)
    if kept.project.one_row:
        with pytest.raises(Refused) as caught:
            kept.approved(request)
        assert caught.value.code == "E-ONLY-DEPENDS"
        assert caught.value.message == (
            f"`{second}` cannot be undone alone: golang-migrate keeps one row, the current version, and `{third}` came later."
        )
        assert caught.value.options == (f"/rollback {second}",)
        assert kept.approved(Request("from", third, only=True)).run.evidence["identify"]["kept_after"] == []
        return
    execute(kept.approved(request))
    assert kept.names() == [third, first]
    assert "plans" not in kept.tables()


@each
def test_a_script_that_touches_the_history_table_is_refused(kept: Kept) -> None:
    newest = kept.project.names[-1]
    touching = f"DELETE FROM {kept.project.table};"
    for file in [path for path in kept.target.migrations.rglob("*.sql") if newest in str(path)]:
        file.write_text(
            file.read_text().replace("DROP INDEX accounts_price;", f"DROP INDEX accounts_price;\n{touching}")
        )
    with pytest.raises(Refused, match=rf"`{kept.project.table}` may not stand in a rollback script") as caught:
        kept.approved()
    line = next(
        at
        for path in kept.target.migrations.rglob("*.sql")
        for at, text in enumerate(path.read_text().splitlines(), 1)
        if text == touching
    )
    assert caught.value.code == "E-SCRIPT" and f", line {line}: " in caught.value.message


@only("goose")
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(kept: Kept) -> None:
    file = kept.target.migrations / f"{kept.project.names[-1]}.sql"
    file.write_text("-- +goose ENVSUB ON\n" + file.read_text())
    for look in (kept.approved, lambda: doctor.scripts(kept.target)):
        with pytest.raises(Refused, match=r"has `ENVSUB ON`: what would run depends on the environment\.") as caught:
            look()
        assert caught.value.code == "E-SCRIPT"


@only("sqlx")
def test_a_migration_that_is_declared_irreversible_is_refused_with_the_reason(kept: Kept) -> None:
    newest = kept.target.migrations / kept.project.names[-1]
    newest.with_suffix(".down.sql").unlink()
    newest.with_suffix(".up.sql").rename(newest.with_suffix(".sql"))
    with pytest.raises(Refused, match=r"has no rollback script \(a plain `\.sql` file has no rollback script in this"):
        kept.approved()
    assert "each has a rollback script but 1 that is declared irreversible" in doctor.scripts(kept.target)


@only("sqlx")
def test_a_script_keeps_the_mark_that_its_tool_runs_it_outside_a_transaction(kept: Kept) -> None:
    file = kept.target.migrations / f"{kept.project.names[-1]}.down.sql"
    file.write_text("-- no-transaction\n" + file.read_text())
    undo = identify(kept.approved())["undo"]
    assert [one["script"]["transaction"] for one in undo] == ["never"]


@only("golang-migrate")
def test_a_version_is_named_as_its_file_writes_it(kept: Kept) -> None:
    for word in ("000002", "2", "000002_plans"):
        undo = kept.approved(Request("from", word)).run.evidence["identify"]["undo"]
        assert [one["version"] for one in undo] == ["10", "2"]


@only("golang-migrate")
@pytest.mark.parametrize(("word", "becomes"), [("10", "set to version `2`"), ("1", "emptied")])
def test_people_read_what_becomes_of_a_table_with_one_row(kept: Kept, word: str, becomes: str) -> None:
    work = kept.approved(Request("from", word))
    plan = "\n".join(str(messages.full_plan(work.run, page)) for page in range(1, 4))
    assert f"`public.schema_migrations` is {becomes}, in the same transaction" in plan
    done = execute(work)
    told = Event(1, work.run.created_at, RUN, "step_done", None, {"step": "execute", "evidence": done}, "")
    context = messages.Context("@db-oncall", "@db-oncall", None, 30, True, work.run.created_at)
    line = messages.thread(replace(work.run, evidence={**work.run.evidence, "execute": done}), told, context)
    assert f"`public.schema_migrations` {becomes}, in the same transaction" in str(line)
    rows = kept.sql("SELECT version, dirty FROM schema_migrations")
    assert rows == ([(2, False)] if word == "10" else [])


@each
def test_a_history_table_of_the_projects_own_is_found_and_guarded(kept: Kept) -> None:
    kept.sql('CREATE SCHEMA "Own"', f'ALTER TABLE {kept.project.table} SET SCHEMA "Own"')
    kept.sql(f'ALTER TABLE "Own".{kept.project.table} RENAME TO "Steps"')
    kept.target = replace(kept.target, history_table="Own.Steps")
    execute(kept.approved())
    assert kept.names() == list(kept.project.names[1::-1])
    newest = kept.project.names[1]
    for file in [path for path in kept.target.migrations.rglob("*.sql") if newest in str(path)]:
        file.write_text(file.read_text().replace("DROP TABLE plans;", 'TRUNCATE "Own"."Steps";'))
    with pytest.raises(Refused, match=r"`Steps` may not stand in a rollback script"):
        kept.approved()
