"""After a rollback no deploy applies it again by accident: it is warned of, or the history table refuses it."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from core import hold, survey
from core.errors import Refused
from core.model import State
from demo.postgres import Server
from tests.engine_stand import ANA, EngineStand
from tests.layout_projects import PROJECTS, Project

Held = tuple[Project, EngineStand]


@pytest.fixture(params=PROJECTS, ids=lambda project: project.layout)
def held(request: pytest.FixtureRequest, server: Server, database: str, tmp_path: Path) -> Held:
    """A project of each layout, whose target refuses what was rolled back."""
    project: Project = request.param
    with psycopg.connect(database, autocommit=True) as conn:
        project.migrate(conn)
    folder = project.write(tmp_path / "migrations")
    return project, EngineStand(server, database, tmp_path, folder, layout=project.layout, hold="refuse")


def deploys(project: Project, stand: EngineStand, number: int) -> None:
    """The migration tool writes its row again, as it does at the start of a deploy."""
    with psycopg.connect(stand.url) as conn:
        project.write_row(conn, number)


def test_the_history_table_refuses_what_was_rolled_back_and_nothing_else_until_it_is_put_back(held: Held) -> None:
    project, stand = held
    _, second, third = project.names
    rollback = stand.rolled_back(second)
    for number in (1, 2):
        with pytest.raises(psycopg.errors.RaiseException, match=f"was rolled back by {rollback.id} and is held") as no:
            deploys(project, stand, number)
        assert f"rollback release {rollback.id}" in str(no.value.diag.message_hint)
    assert [run.id for run in survey.held(stand.ledger)["production"]] == [rollback.id]
    run = stand.goes_back("reapply", rollback)
    assert run.state is State.DONE, run.failed
    assert [one.name for one in survey.migrations(stand.target) if one.applied][:2] == [third, second]
    assert stand.sql("SELECT count(*) FROM rollback_bot.hold") == [(0,)]
    assert stand.sql("SELECT count(*) FROM pg_trigger WHERE tgname = 'rollback_bot_hold'") == [(0,)]
    assert not survey.held(stand.ledger)


def test_what_is_released_may_be_applied_again(held: Held) -> None:
    project, stand = held
    rollback = stand.rolled_back(project.names[2])
    hold.let_go(stand.target, rollback)
    stand.desk.release(rollback.id, ANA)
    deploys(project, stand, 2)
    assert not survey.held(stand.ledger)
    with pytest.raises(Refused, match="holds nothing"):
        hold.let_go(stand.target, stand.ledger.run(rollback.id))


@pytest.fixture
def stand(server: Server, app: str, tmp_path: Path) -> EngineStand:
    return EngineStand(server, app, tmp_path)


def test_by_default_a_deploy_that_applies_it_again_is_told_once_and_not_hindered(stand: EngineStand) -> None:
    rollback = stand.rolled_back("012")
    assert [run.id for run in survey.held(stand.ledger)["production"]] == [rollback.id]
    hold.watch(stand.ledger, stand.settings)
    assert "applied_again" not in stand.kinds(rollback)
    stand.sql("INSERT INTO schema_migrations VALUES ('012')")
    for _ in range(2):
        hold.watch(stand.ledger, stand.settings)
    assert stand.kinds(rollback).count("applied_again") == 1
    assert not survey.held(stand.ledger)


def test_two_rollbacks_hold_apart_and_the_last_one_takes_the_trigger_along(stand: EngineStand) -> None:
    stand.set(hold="refuse")
    one, other = stand.rolled_back("012"), stand.rolled_back("011")
    hold.let_go(stand.target, one)
    stand.desk.release(one.id, ANA)
    stand.sql("INSERT INTO schema_migrations VALUES ('012')")
    with pytest.raises(psycopg.errors.RaiseException, match=other.id):
        stand.sql("INSERT INTO schema_migrations VALUES ('011')")
    hold.let_go(stand.target, other)
    stand.sql("INSERT INTO schema_migrations VALUES ('011')")


def test_a_hold_goes_with_the_database_that_a_restore_sets_aside(stand: EngineStand) -> None:
    stand.set(hold="refuse")
    rollback = stand.rolled_back("012")
    assert stand.goes_back("restore", rollback).state is State.DONE
    assert stand.sql("SELECT to_regclass('rollback_bot.hold')") == [(None,)] and not survey.held(stand.ledger)
    stand.drop_others()
