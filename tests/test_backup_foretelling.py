"""What a backup and a save will take is told before anybody is asked, and what cannot fit is refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.model import State
from core.settings import Backup
from demo.postgres import Server
from tests.backup_worlds import Trip
from tests.bench_fixtures import copied
from tests.execute_stand import Stand


@pytest.fixture
def trip(server: Server, app: str, tmp_path: Path) -> Iterator[Trip]:
    found = Trip(server, app, tmp_path)
    yield found
    found.ledger.close()


def test_size_room_and_time_are_foretold_by_the_last_backup(trip: Trip) -> None:
    first = trip.roll_back()
    foretold = first.evidence["rehearse"]["foretold"]
    assert foretold["seconds"] is None and foretold["free"] > foretold["bytes"] > 0
    save = first.evidence["rehearse"]["save"]
    assert save["bytes"] > 0 and first.evidence["execute"]["saved"]["bytes"] < save["bytes"] * 10
    trip.stand.sql("CREATE TABLE more AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n")
    second = trip.roll_back()
    foretold, took = second.evidence["rehearse"]["foretold"], second.evidence["backup"]["bytes"]
    assert foretold["seconds"] > 0
    assert (
        abs(foretold["bytes"] - first.evidence["backup"]["bytes"]) < abs(took - first.evidence["backup"]["bytes"]) * 2
    )


def test_where_nothing_goes_no_save_is_foretold(server: Server, app: str, tmp_path: Path) -> None:
    script = {"013_few.sql": "CREATE VIEW few AS SELECT 1 AS n", "rollback/013_few.sql": "DROP VIEW few"}
    stand = Stand(server, app, tmp_path, copied(tmp_path, dict(script)))
    stand.sql(script["013_few.sql"], "INSERT INTO schema_migrations (version) VALUES ('013')")
    assert stand.approved().run.evidence["rehearse"]["save"] is None


def test_a_disk_that_cannot_hold_it_is_told_before_anybody_is_asked(
    trip: Trip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**7, 10**7, 10**6))
    run = trip.roll_back()
    assert run.state is State.REFUSED and run.ending and run.ending.data["code"] == "E-DISK"
    assert "1.0 MB is free. Nothing was started." in run.ending.data["message"]


@pytest.mark.parametrize("more", [{}, {"backup": Backup(format="directory")}])
def test_a_plan_can_be_made_where_no_backup_folder_is_yet(
    server: Server, app: str, tmp_path: Path, more: dict[str, Any]
) -> None:
    stand = Stand(server, app, tmp_path, **more)
    stand.settings.backup_dir.rmdir()
    assert stand.approved().run.evidence["rehearse"]["foretold"]["bytes"] > 0
    assert not stand.settings.backup_dir.exists()
