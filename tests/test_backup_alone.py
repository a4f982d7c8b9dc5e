"""`rollback backup`: taken and proven without a rollback, written down, kept, and refused where it would be worth nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core import keeping, turns
from core.backups import kept, taking
from core.errors import Refused, StepFailed
from core.model import Json
from core.redact import SecretStr
from core.settings import Backup
from core.watched import Nobody, Step
from demo.postgres import Server
from tests.backup_worlds import Trip, program
from tests.execute_stand import ANA, LATEST


@pytest.fixture
def trip(server: Server, app: str, tmp_path: Path) -> Iterator[Trip]:
    made = Trip(server, app, tmp_path)
    yield made
    made.ledger.close()


def take(trip: Trip, **more: Any) -> taking.Proven:
    return taking.take(trip.ledger, trip.settings, trip.target, ANA, **more)


def told(trip: Trip) -> list[tuple[str, Json]]:
    return [(event.kind, event.data) for event in trip.ledger.events() if event.kind.startswith("backup_")]


def files(trip: Trip) -> list[str]:
    folder = trip.settings.backup_dir
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def scratch(trip: Trip) -> list[str]:
    with psycopg.connect(trip.stand.server.url()) as conn:
        query = "SELECT datname FROM pg_database WHERE datname LIKE 'rollback_scratch%'"
        return [row[0] for row in conn.execute(query).fetchall() if "proof" in row[0]]


@pytest.mark.parametrize("form", ["custom", "directory"])
def test_a_backup_is_taken_proven_and_written_down(trip: Trip, form: str) -> None:
    trip.use(backup=Backup(format=form))  # type: ignore[arg-type]
    made = take(trip)
    name, ending = made.kept.id, {"custom": "dump", "directory": "dir"}[form]
    assert name.startswith("BK-") and files(trip) == [f"{name}.{ending}", f"{name}.json"]
    (begun, about), (first, taken), (second, proof) = told(trip)
    assert (begun, first, second) == ("backup_begun", "backup_taken", "backup_proven")
    assert about == {"target": "production", "backup": name}
    assert set(taken) == {"target", "backup", "evidence", "database", "seconds"} and taken["backup"] == name
    assert proof == {"target": "production", "backup": name, "tables": made.tables, "seconds": proof["seconds"]}
    assert made.tables == taken["evidence"]["tables"] > 5 and scratch(trip) == []
    assert (
        kept.last_proven(trip.ledger, trip.settings, trip.target)
        == made.kept
        == kept.newest(trip.ledger, trip.settings, trip.target, proven=True)
    )
    assert made.told()["bytes"] == taken["evidence"]["bytes"] and not trip.ledger.runs()


def test_a_backup_by_programs_of_ones_own_is_verified_by_them(trip: Trip, tmp_path: Path) -> None:
    verify = program(tmp_path / "verify", 'test "$RB_BACKUP" = "nightly-7 $RB_RUN"')
    trip.use(
        backup=Backup(
            kind="command",
            take=(str(program(tmp_path / "take", 'echo "nightly-7 $RB_RUN"')),),
            verify=(str(verify),),
        )
    )
    made = take(trip)
    assert (made.tables, made.kept.evidence["name"]) == (0, f"nightly-7 {made.kept.id}") and files(trip) == []
    assert kept.last_proven(trip.ledger, trip.settings, trip.target) == made.kept
    assert kept.newest(trip.ledger, trip.settings, trip.target) is None  # nothing that we could put back
    verify.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(StepFailed, match="verify"):
        take(trip)
    assert [kind for kind, _ in told(trip)][-2:] == ["backup_taken", "backup_failed"]
    last = kept.last_proven(trip.ledger, trip.settings, trip.target)
    assert last and last.id == made.kept.id


def test_what_a_rollback_had_taken_elsewhere_and_nothing_verified_is_not_proven(trip: Trip, tmp_path: Path) -> None:
    own = Backup(kind="command", take=(str(program(tmp_path / "take", 'echo "nightly-7 $RB_RUN"')),))
    trip.use(backup=own)
    run = trip.roll_back()
    assert run.evidence["test restore"]["verified"] is False
    assert kept.last_proven(trip.ledger, trip.settings, trip.target) is None
    trip.back("reapply", run)
    trip.use(backup=replace(own, verify=("true",)))
    run = trip.roll_back()
    last = kept.last_proven(trip.ledger, trip.settings, trip.target)
    assert run.evidence["test restore"]["verified"] is True and last and last.id == run.id and last.proven_at


def test_what_could_not_be_proven_is_refused_before_anything_is_taken(trip: Trip, tmp_path: Path) -> None:
    for backup, code, words in (
        (Backup(kind="scoped", verified=("true",)), "E-NO-BACKUP", "without a plan there is nothing to take"),
        (Backup(kind="command", take=("true",)), "E-BACKUP", "Nothing verifies the backups"),
    ):
        trip.use(backup=backup)
        with pytest.raises(Refused, match=words) as caught:
            take(trip)
        assert caught.value.code == code and "Nothing was started" in caught.value.text and caught.value.hint
    trip.use(database_url=SecretStr("postgresql:///nowhere?host=/nowhere"))
    with pytest.raises(Refused, match="cannot reach") as caught:
        take(trip)
    assert caught.value.code == "E-DB" and told(trip) == [] and files(trip) == []


def test_a_backup_that_is_not_the_original_when_put_back_is_not_proven(trip: Trip) -> None:
    trip.stand.sql(
        "CREATE TABLE odd (name text)",
        "INSERT INTO odd VALUES ('as it was')",
        "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.name := 'not as it was'; RETURN NEW; END $$",
        "CREATE TRIGGER other BEFORE INSERT ON odd FOR EACH ROW EXECUTE FUNCTION other()",
    )
    take(trip)  # triggers do not fire where a backup is put back
    trip.stand.sql(
        "CREATE FUNCTION here() RETURNS boolean LANGUAGE sql AS $$ SELECT current_database() NOT LIKE 'rollback_scratch%' $$",
        "ALTER TABLE odd ADD CHECK (here())",
    )
    with pytest.raises(StepFailed, match="could not be restored") as caught:
        take(trip)
    (_, taken), (kind, failed) = told(trip)[-2:]
    assert kind == "backup_failed" and failed["code"] == caught.value.code == "E-BACKUP" and scratch(trip) == []
    assert failed["backup"] == taken["backup"] and f"{taken['backup']} is there, and not proven." in failed["message"]
    assert "as it was" not in str(told(trip)) and f"{taken['backup']}.dump" in files(trip)
    newest = kept.newest(trip.ledger, trip.settings, trip.target)
    assert newest and (newest.id, newest.proven_at) == (taken["backup"], None)


def test_a_full_scratch_server_is_said_with_the_next_step_and_leaves_nothing(trip: Trip) -> None:
    trip.stand.sql(
        "CREATE TABLE big (n int)",
        "INSERT INTO big VALUES (1)",
        "CREATE FUNCTION fits(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN "
        "IF current_database() LIKE 'rollback_scratch%' THEN "
        "RAISE EXCEPTION 'could not extend file \"base/1/2\": No space left on device' USING ERRCODE = '53100'; END IF; "
        "RETURN true; END $$",
        "ALTER TABLE big ADD CHECK (fits(n))",
    )
    with pytest.raises(StepFailed, match="disk of the scratch server is full") as caught:
        take(trip)
    assert caught.value.code == "E-SCRATCH" and "scratch_url" in caught.value.hint and scratch(trip) == []


def test_what_a_killed_proof_has_left_on_the_scratch_server_goes_with_the_next(trip: Trip) -> None:
    from core.scratch_copy import own_name

    name = f"rollback_scratch_{own_name('PROOF', trip.settings, trip.target).lower().replace('-', '_')}_restored_abcdef"
    with psycopg.connect(trip.stand.server.url(), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}".encode())
    assert scratch(trip) == [name]
    take(trip)
    assert scratch(trip) == []


def test_a_rollback_comes_first(trip: Trip) -> None:
    run = trip.desk.ask(LATEST, trip.target, ANA)
    with pytest.raises(Refused, match=run.id) as caught:
        take(trip)
    assert caught.value.code == "E-BUSY" and caught.value.hint and told(trip) == []
    trip.desk.stop(run.id, ANA)
    take(trip)
    asked: list[str] = []

    def ending() -> bool:
        if not asked:
            asked.append(trip.desk.ask(LATEST, trip.target, ANA).id)  # while the backup is being taken
        return False

    with pytest.raises(StepFailed, match="a rollback has begun there") as caught_too:
        take(trip, ending=ending)
    kind, failed = told(trip)[-1]
    assert caught_too.value.code == "E-STOPPED" and kind == "backup_failed" and scratch(trip) == []
    assert failed["backup"] is None and "is there" not in failed["message"]
    trip.desk.stop(asked[0], ANA)
    with pytest.raises(StepFailed, match=r"a rollback has begun there.* is there, and not proven") as caught_too:
        take(trip, ending=lambda: told(trip)[-1][0] == "backup_taken")
    name = told(trip)[-2][1]["backup"]
    assert told(trip)[-1][1]["backup"] == name and f"{name}.dump" in files(trip) and name in caught_too.value.message


def test_one_backup_of_a_target_at_a_time(trip: Trip) -> None:
    with turns.alone(trip.ledger, "backup", "production"), pytest.raises(Refused, match="under way") as caught:
        take(trip)
    assert caught.value.code == "E-BUSY"
    with turns.alone(trip.ledger, "backup", "staging"):
        take(trip)


def test_they_are_kept_as_long_as_the_target_says_and_the_newest_proven_one_for_ever(trip: Trip) -> None:
    first, second = take(trip).kept.id, take(trip).kept.id
    folder = trip.settings.backup_dir
    (folder / "BK-2222.dump").write_text("of another ledger")
    (folder / "BK-2223.dump.partial").write_text("of another ledger, which takes it just now")
    (folder / f"{first}.dir.partial").write_text("never finished")
    trip.clock.now += timedelta(days=29)
    with turns.alone(trip.ledger, "backup", "staging"):
        assert keeping.clean(trip.ledger, trip.settings) == [] and f"{first}.dir.partial" in files(trip)
    assert keeping.clean(trip.ledger, trip.settings) == [] and f"{first}.dir.partial" not in files(trip)
    trip.clock.now += timedelta(days=2)
    gone = [f"{first}.dump", f"{first}.json"]
    assert keeping.clean(trip.ledger, trip.settings) == gone
    assert told(trip)[-1] == ("backup_removed", {"target": "production", "backup": first, "files": gone})
    assert files(trip) == sorted(["BK-2222.dump", "BK-2223.dump.partial", f"{second}.dump", f"{second}.json"])
    trip.clock.now += timedelta(days=400)
    assert keeping.clean(trip.ledger, trip.settings) == []
    other = replace(trip.settings, targets={})
    assert keeping.clean(trip.ledger, other) == []  # its target has left the settings: in doubt it is kept


class Interrupted(Step):
    """Somebody presses Ctrl-C when the backup is on disk, and nowhere written down."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "found" and value:
            raise KeyboardInterrupt
        super().__setattr__(name, value)


class Interrupting(Nobody):
    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        yield Interrupted()


def test_a_backup_that_was_never_written_down_is_not_kept_for_ever(trip: Trip) -> None:
    with pytest.raises(KeyboardInterrupt):
        take(trip, watch=Interrupting())
    ((kind, begun),) = told(trip)
    gone = [f"{begun['backup']}.dump", f"{begun['backup']}.json"]
    assert kind == "backup_begun" and files(trip) == gone
    trip.clock.now += timedelta(days=29)
    assert keeping.clean(trip.ledger, trip.settings) == []
    trip.clock.now += timedelta(days=2)
    assert keeping.clean(trip.ledger, trip.settings) == gone and files(trip) == []
    assert told(trip)[-1] == ("backup_removed", {**begun, "files": gone})


def test_where_it_cannot_be_written_down_no_files_stay(trip: Trip) -> None:
    trip.ledger.conn.execute(
        "CREATE TRIGGER full BEFORE INSERT ON events WHEN NEW.kind = 'backup_taken' "
        "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
    )
    with pytest.raises((Refused, sqlite3.Error)):
        take(trip)
    assert files(trip) == []
