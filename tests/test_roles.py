"""With the rights that docs/install.md asks for, and no more: no superuser on the target, none on the scratch server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from core.model import Request, State
from core.redact import SecretStr
from demo.app import sample
from demo.postgres import Server
from tests.conftest import fresh
from tests.engine_stand import ANA, EngineStand


@dataclass(frozen=True)
class Roles:
    """The names of docs/install.md; `url` leads to the application's database as its owner."""

    url: str
    server: Server


@pytest.fixture
def roles(server: Server) -> Iterator[Roles]:
    made = fresh(server, "template0")
    url = next(made)
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with psycopg.connect(server.url(), autocommit=True) as conn:
        for statement in (
            "CREATE ROLE app_owner LOGIN",
            "CREATE ROLE rollback_bot LOGIN",
            "CREATE ROLE rollback_scratch LOGIN CREATEDB",
            f"ALTER DATABASE {name} OWNER TO app_owner",
            "GRANT app_owner TO rollback_bot",
            f"GRANT CONNECT, CREATE ON DATABASE {name} TO rollback_bot",
        ):
            conn.execute(statement.encode())
        yield Roles(make_conninfo(url, user="app_owner"), server)
        next(made, None)
        for role in ("rollback_bot", "rollback_scratch", "app_owner"):
            conn.execute(f"DROP ROLE {role}".encode())


@pytest.fixture
def stand(roles: Roles, tmp_path: Path) -> EngineStand:
    sample.migrate(roles.url)
    sample.fill(roles.url, 60)
    stand = EngineStand(roles.server, roles.url, tmp_path)
    stand.set(
        database_url=SecretStr(make_conninfo(roles.url, user="rollback_bot")),
        scratch_url=SecretStr(make_conninfo(roles.server.url("postgres"), user="rollback_scratch")),
        hold="refuse",
    )
    return stand


def owners(stand: EngineStand) -> list[tuple[object, ...]]:
    return stand.sql(
        "SELECT relname, relowner::regrole::text FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
    )


def test_a_rollback_and_its_re_apply_need_no_superuser(stand: EngineStand) -> None:
    before, owned = stand.marks(), owners(stand)
    rollback = stand.rolled_back("011")
    run = stand.goes_back("reapply", rollback)
    assert run.state is State.DONE, run.failed
    assert (stand.marks(), owners(stand)) == (before, owned)


def test_a_role_that_is_called_like_our_schema_does_not_work_in_it(stand: EngineStand) -> None:
    for _ in range(2):  # the second finds the schema there
        assert stand.goes_back("reapply", stand.rolled_back("012")).state is State.DONE
    rows = stand.sql("SELECT relname FROM pg_class WHERE relnamespace = 'rollback_bot'::regnamespace AND relkind = 'r'")
    assert {row[0] for row in rows} == {"marker", "hold"}


def test_a_restore_needs_the_rights_that_are_told(stand: EngineStand, roles: Roles) -> None:
    before = stand.marks()
    rollback = stand.rolled_back("012")
    run = stand.goes_back("restore", rollback)
    assert (
        run.state is State.REFUSED and run.ending and "lacks CREATEDB, pg_signal_backend" in run.ending.data["message"]
    )
    with psycopg.connect(roles.server.url(), autocommit=True) as conn:
        conn.execute("ALTER ROLE rollback_bot CREATEDB")
        conn.execute("GRANT pg_signal_backend TO rollback_bot")
    run = stand.goes_back("restore", rollback)
    assert run.state is State.DONE, run.failed and run.failed["message"]
    assert stand.marks() == before
    stand.drop_others()


def test_without_temporary_tables_nothing_starts(stand: EngineStand) -> None:
    stand.sql(f"REVOKE TEMPORARY ON DATABASE {stand.name} FROM PUBLIC, app_owner")
    run = stand.walk(stand.desk.ask(Request("latest"), stand.target, ANA))
    assert run.state is State.REFUSED and run.ending
    assert run.ending.data["code"] == "E-RIGHTS" and "may not make temporary tables" in run.ending.data["message"]
