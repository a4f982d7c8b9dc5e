"""Which backup of everything is the newest, and that it can be put back without its run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from core import postgres
from core.backups import dump, kept, strategies
from core.backups.fingerprints import fingerprints
from core.errors import Refused
from core.ledger import stamp
from core.model import Json
from core.settings import Backup
from core.steps.backup import backup
from demo.postgres import Server
from tests.backup_worlds import Trip


@pytest.fixture
def trip(server: Server, app: str, tmp_path: Path) -> Iterator[Trip]:
    made = Trip(server, app, tmp_path)
    yield made
    made.ledger.close()


def newest(trip: Trip, **more: bool) -> kept.Kept | None:
    return kept.newest(trip.ledger, trip.settings, trip.target, **more)


def taken(trip: Trip, name: str, target: str = "production") -> Json:
    """A backup by itself, as `rollback backup` writes it down; not proven."""
    work = trip.stand.approved()
    made = replace(work, run=replace(work.run, id=name))
    evidence = backup(made)
    data = {
        "target": target,
        "backup": name,
        "evidence": evidence,
        "database": work.run.evidence["identify"]["database"],
    }
    trip.ledger.append("backup_taken", {**data, "seconds": 1.0})
    return evidence


def test_the_backup_of_a_rollback_is_put_back_without_its_run(trip: Trip) -> None:
    assert newest(trip) is None
    before = fingerprints(trip.stand.url, "x")
    run = trip.roll_back()
    found = newest(trip)
    assert found and (found.id, found.target, found.evidence) == (run.id, "production", run.evidence["backup"])
    proofs = [e.at for e in trip.ledger.events(run.id) if e.kind == "step_done" and e.data["step"] == "test restore"]
    assert [found.proven_at] == proofs and newest(trip, proven=True) == found
    work = kept.work_of(found, trip.target, trip.settings, "RB-DR2L")
    with strategies.named(found.evidence["format"]).proven(work, dump.archive_of(work, found.id)) as copy:
        assert "rollback_scratch_rb_dr2l_restored" in copy.url and fingerprints(copy.url, "x") == before
    assert trip.ledger.runs("id = 'RB-DR2L'") == []


def test_the_newest_is_told_by_its_data_and_whether_it_was_proven(trip: Trip) -> None:
    old = trip.roll_back()
    taken(trip, "BK-7K3M")
    found = newest(trip)
    assert found and (found.id, found.proven_at) == ("BK-7K3M", None)
    proven = newest(trip, proven=True)
    assert proven and proven.id == old.id
    trip.ledger.append("backup_proven", {"target": "production", "backup": "BK-7K3M", "tables": 9, "seconds": 1.0})
    proven = newest(trip, proven=True)
    assert (
        proven and proven.id == "BK-7K3M" and proven.proven_at and stamp(proven.taken_at) == proven.evidence["taken_at"]
    )
    (trip.settings.backup_dir / "BK-7K3M.dump").unlink()
    found = newest(trip)
    assert found and found.id == old.id  # what is no longer there does not count


def test_only_backups_of_everything_of_this_target_count(trip: Trip, tmp_path: Path) -> None:
    taken(trip, "BK-2222", target="staging")
    (trip.settings.backup_dir / "BK-3333.json").write_text("{}")  # of another ledger
    (trip.settings.backup_dir / "BK-3333.dump").write_text("x")
    assert newest(trip) is None
    verified = tmp_path / "verified"
    verified.write_text("#!/bin/sh\necho 60\n")
    verified.chmod(0o755)
    trip.use(backup=Backup(kind="scoped", verified=(str(verified),)))
    run = trip.roll_back()
    assert "backup" in run.evidence and newest(trip) is None


def test_a_backup_of_another_database_is_refused(trip: Trip, database: str) -> None:
    trip.roll_back()
    found = newest(trip)
    assert found
    with postgres.connect(trip.stand.url, "x") as conn:
        kept.fits(found, postgres.identity(conn))
    with postgres.connect(database, "x") as conn, pytest.raises(Refused, match="another database now") as caught:
        kept.fits(found, postgres.identity(conn))
    assert caught.value.code == "E-NO-BACKUP" and found.id in caught.value.message
    assert trip.ledger.clock() - found.taken_at < timedelta(minutes=5)
