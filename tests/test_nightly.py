"""Every night somebody looks at what could be undone, once whatever happens; the channel hears of a change, and of an old backup."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.nightly import Nightly
from bot.ready_metrics import readiness as metrics
from core import board, doctor, turns
from core.backups import kept
from core.errors import Refused, StepFailed
from core.model import Json
from core.redact import SecretStr
from core.settings import Backup, Readiness
from demo.postgres import Server
from tests.bench_fixtures import CHEN, Play, copied
from tests.execute_stand import LATEST
from tests.scenery import SCRIPT_012, UNDO_012, Stage
from tests.test_preparing import said
from tests.test_readiness import Ready

EVERY_NIGHT = Readiness(last=2, schedule="daily 03:00", timezone="Europe/Berlin")


class Nights(Ready):
    """A bot's clock over it."""

    def __init__(self, server: Server, url: str, folder: Path) -> None:
        super().__init__(server, url, folder)
        self.ledger.passing.settled = lambda: True  # type: ignore[method-assign]  # the test's own clock leaps
        self.ending = False
        self.set()

    def set(self, **more: object) -> None:
        self.use(**{"migrations": self.files, "readiness": EVERY_NIGHT, **more})

    def bot(self) -> Nightly:
        """A new one knows nothing but the ledger."""
        self.pool = ThreadPoolExecutor(1)
        return Nightly(self.ledger, self.settings, self.pool, lambda: self.ending)

    def turn(self) -> list[Json]:
        """One minute of a bot's, and the boards that there are then, newest first."""
        self.bot().turn()
        self.pool.shutdown()
        return [event.data for event in self.ledger.apart(["readiness", "readiness_failed"])]

    def passes(self, **span: float) -> None:
        self.clock.now += timedelta(**span)

    def numbers(self) -> dict[str, float]:
        found = metrics(self.ledger, self.settings)
        return {sample.name: sample.value for metric in found for sample in metric.samples}


@pytest.fixture
def nights(server: Server, app: str, tmp_path: Path) -> Iterator[Nights]:
    made = Nights(server, app, tmp_path)
    yield made
    made.ledger.close()


def test_each_night_counts_once_and_a_new_schedule_owes_nothing(nights: Nights) -> None:
    assert nights.turn() == nights.turn() == []
    nights.passes(days=1)
    (first,) = nights.turn()
    assert [one["version"] for one in first["migrations"]] == ["012", "011"] and first["changed"]
    assert len(nights.turn()) == 1
    nights.passes(days=12)  # the bot was away: the newest night only
    assert len(nights.turn()) == len(nights.turn()) == 2
    nights.set(readiness=None)
    nights.passes(days=1)
    assert len(nights.turn()) == 2


def test_a_clock_that_was_set_just_now_begins_no_night(nights: Nights) -> None:
    nights.turn()
    del nights.ledger.passing.settled  # as it is
    nights.ledger.passing.tick()
    nights.passes(days=1)
    nights.ledger.passing.tick()
    assert nights.turn() == []
    nights.ledger.passing.settled = lambda: True  # type: ignore[method-assign]
    assert len(nights.turn()) == 1


def test_a_night_that_gives_way_or_is_cut_short_is_made_up_for(nights: Nights) -> None:
    nights.turn()
    nights.passes(days=1)
    run = nights.desk.ask(LATEST, nights.target, nights.roll_back().requester)
    assert nights.turn() == []
    nights.desk.stop(run.id, run.requester)
    nights.ending = True
    assert nights.turn() == []
    nights.ending = False
    with turns.alone(nights.ledger, "readiness", "production"):
        assert nights.turn() == []  # another process is at it
    assert len(nights.turn()) == 1


def test_a_target_that_cannot_be_reached_leaves_the_board_as_it_is(nights: Nights) -> None:
    nights.turn()
    nights.passes(days=1)
    assert len(nights.turn()) == 1
    nights.set(database_url=SecretStr("postgresql:///nowhere?host=/nowhere"))
    nights.passes(days=1)
    failed, found = nights.turn()
    assert failed["code"] == "E-DB" and len(nights.turn()) == 2
    now = board.board(nights.ledger, "production")
    assert now and now.found == found and "cannot reach" in now.trouble


def test_the_numbers_are_by_target_and_name_no_migration(nights: Nights) -> None:
    assert nights.numbers() == {}
    nights.takes()
    board.keep(nights.ledger, "production", nights.looks())
    nights.passes(hours=2)
    found = nights.numbers()
    assert found["rollback_ready"] == found["rollback_readiness_of"] == 2
    assert 7100 < found["rollback_readiness_age_seconds"] < 7300 and 7100 < found["rollback_backup_age_seconds"] < 7300
    labels = [sample.labels for metric in metrics(nights.ledger, nights.settings) for sample in metric.samples]
    assert labels == [{"target": "production"}] * 4


def test_doctor_says_what_was_last_found_and_what_to_do(nights: Nights) -> None:
    def says() -> str:
        return doctor.ready(nights.target, nights.settings)

    assert says() == "nobody has looked yet; there is no proven backup"
    nights.takes()
    board.keep(nights.ledger, "production", nights.looks())
    assert says() == "2 of the last 2 migrations ready; the newest proven backup is less than a minute old"
    (nights.files / UNDO_012).unlink()
    board.keep(nights.ledger, "production", nights.looks())
    with pytest.raises(Refused, match="No working way back: `012_stripe_events` and `011_subscriptions`"):
        says()
    nights.set(backup=Backup(alarm=timedelta(milliseconds=1)))
    with pytest.raises(Refused, match="The newest proven backup is less than a minute old") as caught:
        says()
    assert caught.value.code == "E-NO-BACKUP" and "rollback backup" in caught.value.hint


def test_a_backup_folder_that_cannot_be_read_is_said_and_stops_nothing_else(nights: Nights) -> None:
    nights.takes()
    board.keep(nights.ledger, "production", nights.looks())
    nights.set(backup=Backup(alarm=timedelta(hours=1)))
    nights.settings = replace(nights.settings, backup_dir=Path("/", "x" * 300))  # no system has such a name
    for look in (
        lambda: doctor.ready(nights.target, nights.settings),
        lambda: kept.newest(nights.ledger, nights.settings, nights.target),
    ):
        with pytest.raises(StepFailed, match="The backup folder refuses: file name too long") as caught:
            look()
        assert caught.value.code == "E-BACKUP" and "backup_dir" in caught.value.hint
    with pytest.raises(Refused, match="I cannot write to the backup folder"):
        nights.looks()
    assert "rollback_backup_age_seconds" not in nights.numbers() and nights.numbers()["rollback_ready"] == 2
    nights.turn()
    nights.passes(days=1)
    assert nights.turn()[0]["code"] == "E-BACKUP"


def test_the_channel_hears_of_a_change_and_whoever_asks_sees_the_board(stage: Stage, tmp_path: Path) -> None:
    files = copied(tmp_path)
    play: Play = stage('backup = { alarm = "26 h" }\n', migrations=files)
    assert "There is no proven backup" in said(play, "no proven backup")  # at the first turn of the clock
    assert "nobody has looked yet" in str(play.types("readiness"))
    assert play.bench.shell("backup").returncode == 0
    play.types("readiness now")
    assert "3 of the last 3 migrations ready" in said(play, "3 of the last 3")
    play.told()
    assert not [m for m in play.everything() if "could be undone" in m.text and m.ephemeral_for is None]
    (files / UNDO_012).write_text(SCRIPT_012.replace("stripe_events", "no_such_table"))
    done = play.bench.shell("readiness", "now")
    assert done.returncode == 3 and "script fails" in done.stdout and "rehearse 012_stripe_events" in done.stderr
    assert "012_stripe_events" in said(play, "What could be undone on production has changed")
    shown = play.bench.shell("readiness")
    assert shown.returncode == 3 and shown.stdout == done.stdout
    assert "no working way back: `012_stripe_events`" in str(play.slack.home(CHEN).blocks)
