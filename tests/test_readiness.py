"""Could the newest migrations be undone now? Tried on a restored backup of a real database, and told when that changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core import board, keeping, readiness, turns
from core.backups import taking
from core.errors import Problem, Refused, StepFailed
from core.model import Json
from core.redact import SecretStr
from core.scratch_copy import at_fault, own_name
from core.settings import Readiness
from demo.app import sample
from demo.postgres import Server
from tests.backup_worlds import Trip
from tests.bench_fixtures import copied
from tests.execute_stand import ANA, LATEST
from tests.scenery import SCRIPT_012, UNDO_012

UNDO_011 = "rollback/011_subscriptions.sql"


class Ready(Trip):
    """A target whose migrations can be changed."""

    def __init__(self, server: Server, url: str, folder: Path) -> None:
        super().__init__(server, url, folder)
        self.files = copied(folder)
        self.use(migrations=self.files)

    def takes(self) -> str:
        return taking.take(self.ledger, self.settings, self.target, ANA).kept.id

    def looks(self, only: list[str] | None = None, **more: Any) -> Json:
        return readiness.look(self.ledger, self.settings, self.target, only, **more)

    def states(self, found: Json) -> dict[str, str]:
        return {one["version"]: one["state"] for one in found["migrations"]}

    def scratch(self) -> list[str]:
        with psycopg.connect(self.stand.server.url()) as conn:
            rows = conn.execute(
                "SELECT datname FROM pg_database WHERE datname LIKE 'rollback_scratch_ready%'"
            ).fetchall()
        return [row[0] for row in rows]


@pytest.fixture
def ready(server: Server, app: str, tmp_path: Path) -> Iterator[Ready]:
    made = Ready(server, app, tmp_path)
    yield made
    made.ledger.close()


def test_the_newest_migrations_are_tried_on_one_restored_copy(ready: Ready) -> None:
    backup = ready.takes()
    (ready.files / UNDO_011).write_text("ALTER TABLE nowhere DROP COLUMN plan;\n")
    found = ready.looks()
    assert ready.states(found) == {"012": "ready", "011": "fails", "010": "fails"}
    assert found["backup"] == {"id": backup, "taken_at": found["backup"]["taken_at"]} and found["seconds"] > 0
    first, second, third = found["migrations"]
    assert first["seconds"] is not None and first["rows"] > 0 and first["why"] == ""
    assert "011_subscriptions.sql" in second["why"] and "42P01" in second["why"] and "011_subscriptions" in third["why"]
    assert ready.scratch() == [] and ready.stand.applied()[-1] == "012" and not ready.ledger.events()[3:]
    assert ready.states(ready.looks(["012"])) == {"012": "ready"}
    assert ready.states(ready.looks(["010_rate_limits"])) == {"010": "fails"}
    ready.use(migrations=ready.files, readiness=Readiness(last=20))
    assert len(ready.looks()["migrations"]) == 7  # no more than are applied


def test_a_script_that_fails_with_the_rows_alone_is_found_on_the_copy(ready: Ready) -> None:
    ready.takes()
    stumbles = "DO $$ BEGIN IF EXISTS (SELECT FROM profiles) THEN RAISE EXCEPTION 'there are rows'; END IF; END $$;\n"
    (ready.files / UNDO_012).write_text(stumbles + SCRIPT_012)
    (one,) = ready.looks(["012"])["migrations"]
    assert one["state"] == "fails" and one["why"].startswith("The script fails on the restored copy")
    (ready.files / UNDO_012).write_text("DROP TABLE stripe_events CASCADE;\n")
    (one,) = ready.looks(["012"])["migrations"]
    assert one["state"] == "differs" and "claim_stripe_event" in one["why"]
    (ready.files / UNDO_012).unlink()
    states = ready.states(ready.looks())
    assert states == {"012": "no script", "011": "no script", "010": "no script"}


def test_without_a_backup_the_scripts_are_only_rehearsed_and_that_is_said_once(ready: Ready) -> None:
    found = ready.looks()
    assert set(ready.states(found).values()) == {"not tried"} and found["backup"] is None
    assert {one["why"] for one in found["migrations"]} == {"there is no backup of everything"}
    assert found["migrations"][0]["rows"] > 0 and found["migrations"][0]["seconds"] is None
    said = board.keep(ready.ledger, "production", found)
    assert said and said.data["changed"] == [
        "There is no backup of everything of *production*, so the scripts were only rehearsed."
    ]
    again = board.keep(ready.ledger, "production", ready.looks())
    assert again and again.data["changed"] == []


def test_a_backup_of_another_database_and_a_damaged_one_are_no_ground_to_try_on(ready: Ready, database: str) -> None:
    name = ready.takes()
    sample.migrate(database)
    ready.use(migrations=ready.files, database_url=SecretStr(database))
    (one,) = ready.looks(["012"])["migrations"]
    assert one["state"] == "not tried" and "another database now" in one["why"] and name in one["why"]
    ready.use(migrations=ready.files)
    with (ready.settings.backup_dir / f"{name}.dump").open("r+b") as file:
        file.write(b"x")
    found = ready.looks(["012"])
    assert (
        ready.states(found) == {"012": "not tried"} and "not the file that was written" in found["migrations"][0]["why"]
    )
    said = board.keep(ready.ledger, "production", found)
    assert said and len(said.data["changed"]) == 1 and "cannot be used" in said.data["changed"][0]


def test_what_is_newer_than_the_backup_is_tried_after_its_forward_script_has_run_on_the_copy(ready: Ready) -> None:
    (ready.files / "013_plans.sql").write_text("CREATE TABLE plans (name text);\nINSERT INTO plans VALUES ('gold');\n")
    (ready.files / "rollback" / "013_plans.sql").write_text("DROP TABLE plans;\n")
    ready.takes()
    ready.stand.sql("CREATE TABLE plans (name text)", "INSERT INTO schema_migrations (version) VALUES ('013')")
    found = ready.looks()
    assert ready.states(found) == {"013": "ready", "012": "ready", "011": "ready"}
    assert "from before `013_plans`" in found["migrations"][0]["why"]
    (ready.files / "013_plans.sql").write_text(
        "CREATE TABLE plans (name text);\n"
        "DO $$ BEGIN IF EXISTS (SELECT FROM profiles) THEN RAISE EXCEPTION 'there are rows'; END IF; END $$;\n"
    )
    found = ready.looks()
    assert (
        set(ready.states(found).values()) == {"not tried"}
        and "does not apply to the restored copy" in found["migrations"][0]["why"]
    )
    said = board.keep(ready.ledger, "production", found)
    assert said and said.data["changed"] == []  # that it could not be tried is no noise


def test_the_clean_up_leaves_alone_what_a_look_has_unpacked_of_a_runs_backup(ready: Ready) -> None:
    ready.back("reapply", ready.roll_back())
    folder, seen = ready.settings.backup_dir, set[str]()
    killed = folder / own_name("READY", ready.settings, ready.target).lower()
    (killed / "RB-2222.abcdefgh.partial").mkdir(parents=True)

    def ending() -> bool:
        if not (killed / "RB-2222.abcdefgh.partial").exists():
            seen.update(path.name for path in folder.glob("*/*.partial"))
        keeping.clean(ready.ledger, ready.settings)
        return False

    assert ready.states(ready.looks(["012"], ending=ending)) == {"012": "ready"}
    assert len(seen) == 1 and not killed.exists()


def test_on_a_copy_that_was_brought_up_to_date_a_surprise_is_not_held_against_the_script(ready: Ready) -> None:
    more = "DO $$ BEGIN IF EXISTS (SELECT FROM profiles) THEN CREATE TABLE surprise (n int); END IF; END $$;\n"
    (ready.files / "013_plans.sql").write_text("CREATE TABLE plans (name text);\n")
    (ready.files / "rollback" / "013_plans.sql").write_text(f"{more}DROP TABLE plans;\n")
    ready.takes()
    ready.stand.sql("CREATE TABLE plans (name text)", "INSERT INTO schema_migrations (version) VALUES ('013')")
    (one,) = ready.looks(["013"])["migrations"]
    assert one["state"] == "not tried" and "from before `013_plans`" in one["why"]
    ready.takes()
    (one,) = ready.looks(["013"])["migrations"]
    assert one["state"] == "fails" and "something else than in the rehearsal" in one["why"]


def test_whoever_has_patience_waits_for_another_look(ready: Ready) -> None:
    held, over = threading.Event(), threading.Event()

    def another() -> None:
        with turns.alone(ready.ledger, "readiness", "production"):
            held.set()
            over.wait(30)

    other = threading.Thread(target=another)
    other.start()
    held.wait(30)
    threading.Timer(0.7, over.set).start()
    assert ready.looks(["012"], patience=30)["migrations"]
    other.join()


def test_after_a_rollback_the_backup_of_before_is_no_ground_to_try_on(ready: Ready) -> None:
    ready.roll_back()
    found = ready.looks(["011"])
    assert ready.states(found) == {"011": "not tried"} and "was rolled back" in found["migrations"][0]["why"]
    ready.takes()
    assert ready.states(ready.looks(["011"])) == {"011": "ready"}


def test_an_empty_history_is_an_empty_board(ready: Ready) -> None:
    ready.stand.sql("DELETE FROM schema_migrations")
    found = ready.looks()
    said = board.keep(ready.ledger, "production", found)
    assert found["migrations"] == [] and said and said.data["changed"] == []


def test_where_it_cannot_be_looked_at_the_old_board_stays_and_says_so(ready: Ready) -> None:
    board.keep(ready.ledger, "production", ready.looks(["012"]))
    before = board.board(ready.ledger, "production")
    assert before and before.trouble == ""
    ready.use(migrations=ready.files, database_url=SecretStr("postgresql:///nowhere?host=/nowhere"))
    with pytest.raises(Problem, match="cannot reach") as caught:
        ready.looks()
    board.failed(ready.ledger, "production", caught.value)
    now = board.board(ready.ledger, "production")
    assert now and now.found == before.found and now.at == before.at and "cannot reach" in now.trouble
    assert board.board(ready.ledger, "staging") is None


def test_a_full_scratch_server_is_nobodys_fault_among_the_migrations(ready: Ready) -> None:
    ready.takes()
    fills = (
        "DO $$ BEGIN IF EXISTS (SELECT FROM profiles) THEN "
        "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END IF; END $$;\n"
    )
    (ready.files / UNDO_012).write_text(fills + SCRIPT_012)
    with pytest.raises(Problem, match="disk of the scratch server is full") as caught:
        ready.looks(["012"])
    assert caught.value.code == "E-SCRATCH" and ready.scratch() == []


@pytest.mark.parametrize("state", ["08006", "53200", "57P03"])
def test_what_a_server_says_of_itself_is_no_scripts_fault(state: str) -> None:
    said = StepFailed("E-TRIAL-RUN", f"The script fails on the restored copy: line 1: {state} it is so.")
    found = at_fault(said)
    assert found and found.code == "E-SCRATCH" and state in found.message
    assert (
        at_fault(StepFailed("E-TRIAL-RUN", "The script fails on the restored copy: line 1: 42P01 no such table."))
        is None
    )


def test_a_scratch_server_that_breaks_off_is_nobodys_fault_among_the_migrations(ready: Ready) -> None:
    state, breaks = "57P01", "PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(10);"
    on_the_copy = f"DO $$ BEGIN IF EXISTS (SELECT FROM profiles) THEN {breaks} END IF; END $$;\n"
    ready.takes()
    (ready.files / UNDO_012).write_text(on_the_copy + SCRIPT_012)
    with pytest.raises(Problem, match=f"The scratch server broke off: .*{state}") as caught:
        ready.looks(["012"])
    assert caught.value.code == "E-SCRATCH" and ready.scratch() == []
    (ready.files / UNDO_012).write_text(f"DO $$ BEGIN {breaks} END $$;\n{SCRIPT_012}")
    with pytest.raises(Problem, match=f"The scratch server broke off: .*empty copy.*{state}"):
        ready.looks(["012"])
    (ready.files / UNDO_012).write_text(SCRIPT_012)
    (ready.files / "013_plans.sql").write_text(f"CREATE TABLE plans (name text);\n{on_the_copy}")
    (ready.files / "rollback" / "013_plans.sql").write_text("DROP TABLE plans;\n")
    ready.stand.sql("CREATE TABLE plans (name text)", "INSERT INTO schema_migrations (version) VALUES ('013')")
    with pytest.raises(Problem, match=f"The scratch server broke off: .*013_plans.*{state}"):
        ready.looks()


def test_a_script_that_takes_too_long_fails_as_it_would_for_real(ready: Ready) -> None:
    ready.use(migrations=ready.files, statement_timeout=timedelta(seconds=1))
    ready.takes()
    slow = "DO $$ BEGIN IF EXISTS (SELECT FROM profiles) THEN PERFORM pg_sleep(30); END IF; END $$;\n"
    (ready.files / UNDO_012).write_text(slow + SCRIPT_012)
    (one,) = ready.looks(["012"])["migrations"]
    assert one["state"] == "fails" and "57014" in one["why"] and "would stop a real run" in one["why"]


def test_a_rollback_comes_first_and_one_looks_at_a_time(ready: Ready) -> None:
    run = ready.desk.ask(LATEST, ready.target, ANA)
    with pytest.raises(Refused, match=run.id) as caught:
        ready.looks()
    assert caught.value.code == "E-BUSY"
    ready.desk.stop(run.id, ANA)
    begun: list[str] = []

    def ending() -> bool:
        if not begun:
            begun.append(ready.desk.ask(LATEST, ready.target, ANA).id)
        return False

    with pytest.raises(Refused, match="a rollback has begun there"):
        ready.looks(ending=ending)
    assert ready.scratch() == []
    ready.desk.stop(begun[0], ANA)
    with turns.alone(ready.ledger, "readiness", "production"), pytest.raises(Refused, match="under way"):
        ready.looks()


@pytest.mark.parametrize("where", [UNDO_012, "013_plans.sql"])
def test_a_look_gives_way_while_a_script_runs(ready: Ready, where: str) -> None:
    (ready.files / "013_plans.sql").write_text("CREATE TABLE plans (name text);\n")
    (ready.files / "rollback" / "013_plans.sql").write_text("DROP TABLE plans;\n")
    ready.takes()
    ready.stand.sql("CREATE TABLE plans (name text)", "INSERT INTO schema_migrations (version) VALUES ('013')")
    sleeps = "DO $$ BEGIN IF EXISTS (SELECT FROM profiles) THEN PERFORM pg_sleep(25); END IF; END $$;\n"
    (ready.files / where).write_text(sleeps + (ready.files / where).read_text())
    begun: list[float] = []

    def ending() -> bool:
        with psycopg.connect(ready.stand.server.url()) as conn:
            query = "SELECT 1 FROM pg_stat_activity WHERE datname LIKE '%ready%' AND wait_event = 'PgSleep'"
            if not begun and conn.execute(query).fetchone():
                ready.desk.ask(LATEST, ready.target, ANA)
                begun.append(time.monotonic())
        return False

    with pytest.raises(Refused, match="a rollback has begun there"):
        ready.looks(ending=ending)
    assert time.monotonic() - begun[0] < 15 and ready.scratch() == []
