"""A backup of what the rollback destroys: what is in it, what its proof says, and who vouches for the rest."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core.backups import dump, partial_copy, programs
from core.errors import Refused, StepFailed
from core.model import Json, Request, State
from core.redact import SecretStr
from core.runbook import Work
from core.save.archive import reading
from core.settings import Backup, Target
from core.steps import restore
from core.steps.backup import backup
from core.steps.trial_restore import trial_restore
from demo.postgres import Server
from tests.backup_worlds import Trip, program
from tests.bench_fixtures import copied
from tests.execute_stand import LATEST, Stand

NOW = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)


def scoped(folder: Path, body: str = "echo 60") -> Backup:
    return Backup("scoped", verified=(str(program(folder / "verified", body)),))


def taken(stand: Stand, request: Request = LATEST) -> Work:
    work = stand.approved(request)
    return replace(work, run=replace(work.run, evidence={**work.run.evidence, "backup": backup(work)}))


def parts(work: Work) -> dict[str, Json]:
    """What is in the file, by table."""
    with reading(dump.archive_of(work).backup("scoped")) as found:
        return {part["table"]: part for part in found.parts}


def changed(stand: Stand, folder: Path, forward: str, rollback: str) -> Stand:
    """The same target with one more migration, applied."""
    place = copied(folder, {"013_more.sql": forward, "rollback/013_more.sql": rollback})
    stand.sql(forward, "INSERT INTO schema_migrations (version) VALUES ('013')")
    stand.target = replace(stand.target, migrations=place)
    return stand


@pytest.fixture
def stand(server: Server, app: str, tmp_path: Path) -> Stand:
    return Stand(server, app, tmp_path, backup=scoped(tmp_path))


# -- who vouches for everything ----------------------------------------------------------------------------


def asked(folder: Path, body: str, **more: Any) -> datetime:
    target = Target("production", backup=replace(scoped(folder, body), **more))
    return programs.verified_at(target, NOW)


@pytest.mark.parametrize(
    ("printed", "age"),
    [
        ("2026-11-27T14:00:00Z", timedelta(hours=1)),
        ("2026-11-27T15:30:00+01:00", timedelta(minutes=30)),
        ("found it\\n\\n7200.5\\n", timedelta(seconds=7200.5)),
        ("0", timedelta(0)),
        ("2026-11-27T15:04:00Z", timedelta(minutes=-4)),  # a clock that is a little ahead
    ],
)
def test_the_program_says_when_the_last_verified_backup_was_made(tmp_path: Path, printed: str, age: timedelta) -> None:
    assert NOW - asked(tmp_path, f"printf '{printed}'") == age


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("exit 3", "`verified` failed .exit code 3."),
        ("echo 60; echo 'the repository is locked' >&2; exit 1", "the repository is locked"),
        (":", "does not say when"),
        ("echo yesterday", "does not say when"),
        ("echo 2026-11-27T14:00:00", "does not say when"),  # of which zone?
        ("echo -5", "does not say when"),
        ("echo 2026-11-27T16:00:00Z", "in the future"),
        ("echo 90000", "is 25 h old, `max_age` is 1440 min|is 25 h old, `max_age` is 24 hours"),
        ("echo 1764250000", "is 20419 days old"),  # seconds since 1970 are no age
        ("sleep 60", "did not end within"),
    ],
)
def test_without_a_fresh_verified_backup_nothing_starts(
    tmp_path: Path, body: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "ANSWER", 0.3)
    with pytest.raises(Refused, match=told) as caught:
        asked(tmp_path, body)
    assert caught.value.code == "E-BACKUP" and "Nothing was started" in caught.value.text
    assert str(tmp_path) not in caught.value.text


def test_a_program_that_is_not_there_is_refused(tmp_path: Path) -> None:
    target = Target("production", backup=Backup("scoped", verified=("/nowhere/verified",)))
    with pytest.raises(Refused, match="cannot run `verified`: no such file"):
        programs.verified_at(target, NOW)


def test_people_are_not_asked_where_nobody_vouches(server: Server, app: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="26 h old"):
        Stand(server, app, tmp_path, backup=scoped(tmp_path, "echo 93600")).approved()


def test_it_is_asked_again_when_the_backup_is_taken(stand: Stand, tmp_path: Path) -> None:
    work = stand.approved()
    (tmp_path / "verified").unlink()
    program(tmp_path / "verified", "exit 1")
    with pytest.raises(Refused, match="failed"):
        backup(work)
    assert list(stand.settings.backup_dir.iterdir()) == []


# -- what is in it -----------------------------------------------------------------------------------------


def test_tables_that_go_and_values_of_columns_that_go_are_taken_and_tried(stand: Stand) -> None:
    work = taken(stand, Request("from", "011"))
    found = parts(work)
    assert {table: about["kind"] for table, about in found.items()} == {
        "public.stripe_events": "rows", "public.subscriptions": "rows", "public.profiles": "values",
    }  # fmt: skip
    assert found["public.profiles"]["key"] == ["id"] and found["public.profiles"]["lost"] == ["plan"]
    paying = stand.sql("SELECT count(*) FROM profiles WHERE plan IS NOT NULL")[0][0]
    tables = json.loads(dump.archive_of(work).manifest.read_text())["tables"]
    assert int(tables["public.profiles"][0]) == paying > 0
    evidence = work.run.evidence["backup"]
    assert (evidence["tables"], evidence["restores"]) == (3, False) and "verified_at" in evidence
    tested = trial_restore(work)
    assert tested["equal"] == 3 and tested["way_back"]["works"] is True, tested["way_back"]
    assert tested["way_back"]["values"] == paying
    assert "rows of `profiles`, `stripe_events`, `subscriptions` only" in " ".join(tested["notes"])


def test_tables_that_the_scripts_write_to_are_taken_whole(stand: Stand, tmp_path: Path) -> None:
    changed(
        stand, tmp_path,
        "CREATE TABLE parts (id int, at date, n int) PARTITION BY RANGE (at);"
        "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');"
        "CREATE TABLE parts_2 PARTITION OF parts DEFAULT; INSERT INTO parts VALUES (1, '2026-02-02', 7), (2, NULL, 8);"
        "CREATE TABLE kinds (id int PRIMARY KEY, price numeric(8,2), twice numeric GENERATED ALWAYS AS (price * 2) STORED);"
        "INSERT INTO kinds VALUES (1, 1.50), (2, NULL)",
        "UPDATE parts SET n = n + 1; DELETE FROM masks WHERE id % 2 = 0;"
        "ALTER TABLE kinds DROP COLUMN twice; ALTER TABLE kinds ALTER price TYPE int",
    )  # fmt: skip
    work = taken(stand)
    found = parts(work)
    assert {about["kind"] for about in found.values()} == {"rows"}
    cascades = found.keys() - {"public.masks", "public.parts_1", "public.parts_2", "public.kinds"}
    assert len(found) == 4 + len(cascades) and "public.narratives" in cascades, cascades
    tested = trial_restore(work)
    assert tested["equal"] == len(found) and tested["touched"]["public.masks"][2] > 0
    assert any("deletes" in note and "`masks`" in note for note in tested["notes"])


def test_where_nothing_goes_it_is_empty_and_still_proven(stand: Stand, tmp_path: Path) -> None:
    changed(stand, tmp_path, "CREATE VIEW few AS SELECT 1 AS n", "DROP VIEW few")
    work = taken(stand)
    assert parts(work) == {} and work.run.evidence["backup"]["rows"] == 0
    assert trial_restore(work)["equal"] == 0


def test_scripts_that_ask_for_rows_of_others_are_tried_without_rows(stand: Stand, tmp_path: Path) -> None:
    changed(
        stand, tmp_path,
        "CREATE TABLE notes (id int PRIMARY KEY, profile bigint, old text); INSERT INTO notes SELECT id, id, 'x' FROM profiles",
        "DELETE FROM notes WHERE id = 1; ALTER TABLE notes ADD FOREIGN KEY (profile) REFERENCES profiles",
    )  # fmt: skip
    tested = trial_restore(taken(stand))
    assert tested["way_back"]["works"] is None and tested["equal"] == 1
    assert "the scripts ran without rows: they ask for rows of other tables" in " ".join(tested["notes"])


def test_a_script_that_fails_on_its_own_rows_stops_it(stand: Stand, tmp_path: Path) -> None:
    changed(
        stand, tmp_path,
        "CREATE TABLE notes (id int, n text); INSERT INTO notes VALUES (1, 'one')",
        "DELETE FROM notes WHERE id = 5; ALTER TABLE notes ALTER n TYPE int USING n::int",
    )  # fmt: skip
    with pytest.raises(StepFailed, match="22P02"):
        trial_restore(taken(stand))


def test_too_many_rows_are_not_looked_up_one_by_one(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial_copy, "MOST", 10)
    tested = trial_restore(taken(stand))
    assert tested["way_back"] == {"works": None, "why": tested["notes"][-1]} and "too many" in tested["notes"][-1]


def test_without_a_superuser_the_backup_is_proven_and_no_row_is_tried(server: Server, app: str, tmp_path: Path) -> None:
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute("DO $$ BEGIN CREATE ROLE humble LOGIN CREATEDB; EXCEPTION WHEN duplicate_object THEN END $$")
    stand = Stand(server, app, tmp_path, backup=scoped(tmp_path))
    stand.target = replace(stand.target, scratch_url=SecretStr(server.url(user="humble")))
    tested = trial_restore(taken(stand, Request("from", "011")))
    assert tested["equal"] == 3 and tested["way_back"]["works"] is None
    assert "the scripts were tried without rows: my role on the scratch server is no superuser" in " ".join(
        tested["notes"]
    )


# -- and back ----------------------------------------------------------------------------------------------


def test_restore_says_where_the_backup_of_everything_is(stand: Stand) -> None:
    origin = taken(stand)
    work = replace(origin, origin=origin.run)
    with pytest.raises(
        Refused, match=r"holds only what its rollback destroyed\. The last backup of everything"
    ) as caught:
        restore.identify(work)
    assert caught.value.code == "E-NO-BACKUP" and caught.value.options == ("/rollback reapply RB-7K3M",)


def test_a_rollback_with_it_goes_through_and_comes_back(server: Server, app: str, tmp_path: Path) -> None:
    trip = Trip(server, app, tmp_path, backup=scoped(tmp_path))
    try:
        before = trip.rows()
        run = trip.roll_back()
        assert run.state is State.DONE, run.failed
        refused = trip.back("restore", run)
        assert refused.state is State.REFUSED and refused.ending and refused.ending.data["code"] == "E-NO-BACKUP"
        again = trip.back("reapply", run)
        assert again.state is State.DONE and trip.rows() == before, again.failed
    finally:
        trip.ledger.close()
