"""Restore, the second way back: what is lost is said before, the services come back whatever happens, nothing is thrown away."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from bot import messages
from core import databases, dropping
from core.errors import Refused, StepFailed
from core.model import Request, Run, State
from core.redact import SecretStr
from core.settings import Services
from core.steps import swap
from demo.postgres import Server
from tests.engine_stand import ANA, EngineStand
from tests.execute_stand import Wire, shut
from tests.service_worlds import CommandWorld

APPLICATION = Services(
    kind="command", stop=("application", "stop"), start=("application", "start"), status=("application", "status")
)


@pytest.fixture
def stand(server: Server, app: str, tmp_path: Path) -> Iterator[EngineStand]:
    made = EngineStand(server, app, tmp_path)
    yield made
    made.drop_others()


@pytest.fixture
def served(stand: EngineStand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[EngineStand, CommandWorld]:
    """With an application that runs, and can be stopped."""
    folder = tmp_path / "world"
    folder.mkdir()
    world = CommandWorld(folder)
    monkeypatch.setenv("PATH", str(world.bin), prepend=":")
    stand.set(services=APPLICATION)
    return stand, world


LATER = (
    "INSERT INTO profiles (handle, display_name, email) VALUES ('later', 'Later', 'later@example.com')",
    "UPDATE profiles SET display_name = 'changed' WHERE id <= 3",
    "DELETE FROM verifications WHERE id = (SELECT min(id) FROM verifications)",
)
"""Written after the rollback, by the application."""


def test_the_backup_comes_back_and_the_database_of_now_is_kept_with_all_that_was_written(stand: EngineStand) -> None:
    before = stand.marks()
    rollback = stand.rolled_back("011")
    stand.sql(*LATER)
    now = stand.marks()
    run = stand.goes_back("restore", rollback)
    assert run.state is State.DONE, run.ending
    assert stand.marks() == before and stand.applied()[-1] == "012"
    assert stand.ledger.run(rollback.id).state is State.RESTORED
    ((kept, allowed),) = stand.others()
    assert (kept, allowed) == (run.evidence["identify"]["kept"], True)
    assert stand.marks(kept) == now
    assert run.evidence["execute"]["down"] < 30  # seconds; measured, not aimed at


def test_the_card_says_before_what_will_be_lost_by_table(stand: EngineStand) -> None:
    rollback = stand.rolled_back("012")
    stand.sql(*LATER)
    seen = stand.planned(stand.asks("restore", rollback))
    found = {one["table"]: (one["new"], one["gone"]) for one in seen.evidence["rehearse"]["losses"]}
    assert found == {"public.profiles": (4, 3), "public.verifications": (0, 1)}
    context = messages.Context("@db-oncall", "@db-oncall", None, 30, True, seen.created_at)
    told = str(messages.card(replace(seen, state=State.WAITING), context))
    assert "profiles" in told and "verifications" in told


def test_rows_that_only_the_save_holds_are_counted_too(stand: EngineStand) -> None:
    run = stand.desk.ask(Request("latest"), stand.target, ANA)
    while "backup" not in stand.ledger.run(run.id).evidence:
        stand.dies(run, "core.engine:Engine._take", "after")  # one step further
    stand.sql("INSERT INTO stripe_events (event_id, type, payload) VALUES ('evt_late', 'x', '{}')")
    rollback = stand.walk(run)
    seen = stand.planned(stand.asks("restore", rollback))
    (one,) = seen.evidence["rehearse"]["losses"]
    assert (one["table"], one["new"], one["saved"]) == ("public.stripe_events", 1, True)


def test_a_restore_of_a_database_that_nobody_has_written_to_loses_nothing(stand: EngineStand) -> None:
    rollback = stand.rolled_back("011")
    run = stand.goes_back("restore", rollback)
    assert run.evidence["rehearse"]["losses"] == [] and run.state is State.DONE


def test_settings_rights_and_locale_of_the_database_are_those_of_before(stand: EngineStand) -> None:
    name = stand.name
    stand.sql(
        f"ALTER DATABASE {name} SET work_mem = '7MB'",
        f"ALTER DATABASE {name} SET search_path = 'public', \"$user\"",
        f"ALTER ROLE CURRENT_USER IN DATABASE {name} SET lock_timeout = '7s'",
        f"REVOKE ALL ON DATABASE {name} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {name} TO pg_monitor WITH GRANT OPTION",
        f"COMMENT ON DATABASE {name} IS 'the ''real'' one'",
        f"ALTER DATABASE {name} CONNECTION LIMIT 77",
    )
    with psycopg.connect(stand.server.url()) as conn:
        before = conn.execute(databases.LIKE.encode(), [name]).fetchone()
        assert stand.goes_back("restore", stand.rolled_back("012")).state is State.DONE
        assert conn.execute(databases.LIKE.encode(), [name]).fetchone() == before
    assert stand.sql("SHOW work_mem") == [("7MB",)] and stand.sql("SHOW lock_timeout") == [("7s",)]


# -- services ----------------------------------------------------------------------------------------------


def test_services_are_stopped_for_the_swap_only_and_run_again_afterwards(
    served: tuple[EngineStand, CommandWorld],
) -> None:
    stand, world = served
    run = stand.goes_back("restore", stand.rolled_back("012"))
    assert run.state is State.DONE and run.evidence["execute"]["services"] == {"application": 1}
    events = stand.ledger.events(run.id)
    stopping = next(event.id for event in events if event.kind == "services_stopping")
    prepared = next(event.id for event in events if event.kind == "step_done" and event.data["step"] == "prepare")
    assert prepared < stopping
    assert [call[0] for call in world.state()["calls"] if call[0] != "status"] == ["stop", "start"]
    assert world.running() == {"application": 1}


def test_a_service_that_does_not_stop_keeps_the_names_and_runs_on(served: tuple[EngineStand, CommandWorld]) -> None:
    stand, world = served
    rollback = stand.rolled_back("012")
    world.fault("stop", "the engine does not answer", 1)
    run = stand.goes_back("restore", rollback)
    assert (run.state, run.failed and run.failed["code"]) == (State.STOPPED, "E-SERVICES")
    assert stand.applied()[-1] == "011" and world.running() == {"application": 1}
    assert stand.others() == []  # the new database is gone
    assert stand.ledger.run(rollback.id).state is State.DONE


def test_a_service_that_does_not_start_after_the_swap_is_told_and_does_not_undo_it(
    served: tuple[EngineStand, CommandWorld],
) -> None:
    stand, world = served
    rollback = stand.rolled_back("012")
    world.fault("start", "no such image", 1)
    run = stand.goes_back("restore", rollback)
    assert run.state is State.DECIDE and "did not start" in str(run.evidence["verify"]["differences"])
    assert stand.applied()[-1] == "012"


def test_a_service_that_something_starts_again_before_the_swap_keeps_the_names(
    served: tuple[EngineStand, CommandWorld],
) -> None:
    stand, world = served
    rollback = stand.rolled_back("012")
    world.change(revived=True)
    run = stand.goes_back("restore", rollback)
    assert run.state is State.STOPPED and run.failed
    assert run.failed["code"] == "E-SERVICES" and "something brings it back" in run.failed["message"]
    assert stand.applied()[-1] == "011"
    well(stand, world)


def test_a_swap_whose_answer_was_lost_is_looked_up(stand: EngineStand) -> None:
    def lose(one: socket.socket, other: socket.socket, data: bytes) -> None:
        """From the renaming on: until COMMIT, whose answer does not come back."""
        while b"COMMIT" not in data:
            other.sendall(data)
            data = one.recv(65536)
        shut(one)
        other.sendall(data)

    rollback = stand.rolled_back("012")
    wire = Wire(stand.server, b"RENAME TO", lose)
    stand.set(database_url=SecretStr(wire.url(stand.url)))
    wire.armed = True
    run = stand.goes_back("restore", rollback)
    wire.close()
    stand.set(database_url=SecretStr(stand.url))
    assert wire.acted and run.state is State.DONE, run.ending
    assert stand.applied()[-1] == "012" and len(stand.others()) == 1


BEFORE_THE_SWAP = (
    ("core.steps.swap:same_plan", "before"),
    ("core.services.command:Command.stop", "before"),
    ("core.services.command:Command.stop", "after"),
    ("core.databases:allow", "before"),
    ("core.databases:allow", "after"),
    ("core.databases:empty", "after"),
    ("core.databases:swap", "before"),
)
AFTER_THE_SWAP = (
    ("core.databases:swap", "after"),
    ("core.services.command:Command.start", "before"),
    ("core.services.command:Command.start", "after"),
)


def well(stand: EngineStand, world: CommandWorld) -> None:
    """People may connect, and the application runs."""
    assert all(allowed for _, allowed in stand.others()) and stand.applied()
    assert world.running() == {"application": 1}


def test_killed_anywhere_before_the_swap_services_run_again_and_nothing_has_changed(
    served: tuple[EngineStand, CommandWorld],
) -> None:
    stand, world = served
    rollback = stand.rolled_back("012")
    for where, when in BEFORE_THE_SWAP:
        run = stand.asks("restore", rollback)
        stand.dies(run, where, when)
        run = stand.walk(run)
        assert run.state is State.INTERRUPTED, (where, when, run.ending)
        well(stand, world)
        assert stand.applied()[-1] == "011"
        stand.desk.stop(run.id, ANA)
        stand.engine.tidy(stand.ledger.run(run.id))
        assert stand.others() == []
    run = stand.asks("restore", rollback)
    stand.dies(run, *BEFORE_THE_SWAP[-1])
    stand.desk.resume(stand.walk(run).id, ANA)
    assert stand.walk(run).state is State.DONE
    assert stand.applied()[-1] == "012"
    well(stand, world)


def test_no_service_is_stopped_where_it_cannot_be_written_down_which_ran(
    served: tuple[EngineStand, CommandWorld],
) -> None:
    stand, world = served
    run = stand.asks("restore", stand.rolled_back("012"))
    stand.dies(run, "core.steps.swap:same_plan", "before")
    work = replace(stand.engine._work(stand.ledger.run(run.id), stand.target), say=lambda kind, data: False)
    with pytest.raises(StepFailed) as no:
        swap.swap(work)
    assert no.value.code == "E-LEDGER"
    well(stand, world)


@pytest.mark.parametrize(("where", "when"), AFTER_THE_SWAP)
def test_killed_after_the_swap_services_run_again_and_it_is_not_done_twice(
    served: tuple[EngineStand, CommandWorld], where: str, when: str
) -> None:
    stand, world = served
    run = stand.asks("restore", stand.rolled_back("012"))
    stand.dies(run, where, when)
    assert stand.walk(run).state is State.DONE
    well(stand, world)
    assert stand.applied()[-1] == "012" and stand.kinds(run).count("found_committed") == 1
    assert len(stand.others()) == 1


def test_killed_while_the_backup_is_put_in_it_goes_on(stand: EngineStand) -> None:
    run = stand.asks("restore", stand.rolled_back("012"))
    stand.dies(run, "core.databases:make_like", "after")
    assert stand.walk(run).state is State.DONE and len(stand.others()) == 1


# -- what is refused ---------------------------------------------------------------------------------------


def refused(stand: EngineStand, rollback: Run) -> tuple[str, str]:
    """Code and message, after a restore that was refused before anybody was asked."""
    run = stand.goes_back("restore", rollback)
    assert run.state is State.REFUSED and run.ending and stand.others() == []
    return run.ending.data["code"], run.ending.data["message"]


def test_a_backup_that_is_gone_or_not_the_one_that_was_written_is_refused(stand: EngineStand) -> None:
    rollback = stand.rolled_back("012")
    file = stand.settings.backup_dir / rollback.evidence["backup"]["file"]
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"x")
    assert refused(stand, rollback) == ("E-NO-BACKUP", "The backup is not the file that was written.")
    file.unlink()
    code, message = refused(stand, rollback)
    assert code == "E-NO-BACKUP" and "no longer kept" in message


def test_a_role_that_may_not_swap_is_refused_before_anybody_is_asked_and_admin_url_helps(stand: EngineStand) -> None:
    name, role = stand.name, f"plain_{stand.name}"
    rollback = stand.rolled_back("012")
    stand.sql(f"CREATE ROLE {role} LOGIN", f"GRANT pg_read_all_data TO {role}")
    try:
        plain = make_conninfo(stand.url, user=role)
        stand.set(database_url=SecretStr(plain))
        code, message = refused(stand, rollback)
        assert code == "E-RIGHTS" and "lacks CREATEDB, the database's owner as a role, pg_signal_backend" in message
        stand.set(admin_url=SecretStr(stand.server.url()))
        stand.sql(f"GRANT ALL ON DATABASE {name} TO {role}")
        run = stand.goes_back("restore", rollback)
        assert run.state is State.DONE, run.evidence["verify"]
    finally:
        stand.sql(f"REASSIGN OWNED BY {role} TO CURRENT_USER", f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_another_database_of_that_name_is_refused(stand: EngineStand) -> None:
    rollback = stand.rolled_back("012")
    with psycopg.connect(stand.server.url(), autocommit=True) as conn:
        name = stand.name
        conn.execute(f"ALTER DATABASE {name} RENAME TO {name}_aside".encode())
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {name}_aside".encode())
        conn.execute(f"DROP DATABASE {name}_aside".encode())
    code, message = refused(stand, rollback)
    assert code == "E-NO-BACKUP" and "another database now" in message


def test_sessions_of_the_application_are_ended_and_find_the_restored_database(stand: EngineStand) -> None:
    rollback = stand.rolled_back("012")
    with psycopg.connect(stand.url, application_name="pool") as session:
        session.execute("SELECT 1")
        assert stand.goes_back("restore", rollback).state is State.DONE
        with pytest.raises(psycopg.errors.AdminShutdown):
            session.execute("SELECT 1")
    assert stand.applied()[-1] == "012"


def test_what_changed_after_the_approval_makes_a_new_plan(stand: EngineStand) -> None:
    run = stand.asks("restore", stand.rolled_back("012"))
    stand.dies(run, "core.steps.swap:same_plan", "before")
    new = stand.ledger.run(run.id).evidence["identify"]["new"]
    stand.sql("INSERT INTO schema_migrations VALUES ('099')", f"DROP DATABASE {new}", f"CREATE DATABASE {new}")
    run = stand.ledger.run(run.id)
    assert run.state is State.EXECUTING
    run = stand.walk(run)
    stand.desk.resume(run.id, ANA)
    run = stand.walk(run)
    assert run.revision == 2
    assert run.changed == ("the applied changed", "the new database is not the one that was compared")


def test_the_old_database_stays_until_its_name_is_typed(stand: EngineStand) -> None:
    run = stand.goes_back("restore", stand.rolled_back("012"))
    ((kept, _),) = stand.others()
    assert dropping.name_of(run) == kept
    dropping.drop_old(stand.desk, stand.target, run, ANA)
    assert stand.others() == [] and stand.ledger.run(run.id).dropped_old
    with pytest.raises(Refused, match="dropped already"):
        dropping.drop_old(stand.desk, stand.target, stand.ledger.run(run.id), ANA)
