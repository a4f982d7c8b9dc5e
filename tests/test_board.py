"""The board as it is kept: what still stands of an older one, what the channel hears, and the alarm of an old backup."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from core import board
from core.model import Json
from core.readiness_words import changed
from core.settings import Backup
from demo.postgres import Server
from tests.scenery import UNDO_012
from tests.test_readiness import Ready


@pytest.fixture
def ready(server: Server, app: str, tmp_path: Path) -> Iterator[Ready]:
    made = Ready(server, app, tmp_path)
    yield made
    made.ledger.close()


def test_of_a_part_the_rest_of_the_board_stands_as_far_as_it_can(ready: Ready) -> None:
    board.keep(ready.ledger, "production", ready.looks())
    names = ["012_stripe_events", "011_subscriptions", "010_rate_limits"]
    (ready.files / UNDO_012).unlink()
    said = board.keep(ready.ledger, "production", ready.looks(["012"]), applied=names)
    assert said and ready.states(said.data) == dict.fromkeys(("012", "011", "010"), "no script")
    assert len(said.data["changed"]) == 3 and "`012_stripe_events` comes after it" in said.data["changed"][2]
    said = board.keep(ready.ledger, "production", ready.looks(["011"]), applied=names[1:])
    assert said and ready.states(said.data) == {"011": "no script", "010": "no script"}


def test_what_was_applied_since_makes_what_is_below_it_no_better_than_itself(ready: Ready) -> None:
    def told(applied: list[str], *lines: Json) -> list[tuple[str, str, str]]:
        event = board.keep(ready.ledger, "production", of(*lines), applied=applied)
        assert event
        return [(one["name"], one["state"], one["why"]) for one in event.data["migrations"]]

    board.keep(
        ready.ledger, "production", of(line("012", "ready"), line("011", "ready"), line("010", "fails", "It does"))
    )
    first = told(["013", "012", "011", "010"], line("013", "ready"))
    since = "`013` was applied since"
    assert first == [("013", "ready", ""), ("012", "not tried", since), ("011", "not tried", since)]
    board.keep(
        ready.ledger, "production", of(line("012", "ready"), line("011", "ready"), line("010", "fails", "It does"))
    )
    assert told(["012", "011", "010"], line("011", "ready"))[0] == ("012", "ready", "")  # known before, and fine
    assert told(["012", "0115", "011", "010"], line("0115", "fails", "No."))[:3] == [
        ("012", "ready", ""),
        ("0115", "fails", "No."),
        ("011", "fails", "`0115` comes after it"),
    ]
    board.keep(
        ready.ledger, "production", of(line("012", "ready"), line("011", "ready"), line("010", "fails", "It does"))
    )
    both = told(["014", "013", "012", "011", "010"], line("014", "ready"), line("013", "differs", "No."))
    assert both == [("014", "ready", ""), ("013", "differs", "No."), ("012", "differs", "`013` comes after it")]


def line(name: str, state: str, why: str = "") -> Json:
    return {"name": name, "version": name, "state": state, "seconds": 9.0, "rows": 25000, "why": why}


def of(*lines: Json, backup: bool = True) -> Json:
    return {"target": "production", "backup": {"id": "BK-7K3M"} if backup else None, "migrations": list(lines)}


def test_the_channel_hears_of_a_change_only() -> None:
    fine, bad = line("011", "ready"), line("011", "fails", "The script fails on an empty copy: 42P01.")
    assert changed(None, of(fine)) == [] and changed(of(bad), of(bad)) == [] and changed(of(fine), of()) == []
    assert changed(None, of(bad)) == changed(of(fine), of(bad)) == ["`011`: script fails on an empty copy: 42P01."]
    assert changed(of(bad), of(fine)) == ["`011` can be undone again: ready, 9 s, loses 25,000 rows."]
    assert (
        changed(of(fine), of(line("011", "not tried"))) == [] and changed(of(line("011", "not tried")), of(fine)) == []
    )
    assert changed(of(bad), of(line("011", "no script"))) == ["`011`: no rollback script."]
    assert changed(of(fine), of(fine, backup=False)) and not changed(of(fine, backup=False), of(fine))
    assert changed(of(fine, backup=False), of(fine, backup=False)) == []


def test_what_could_not_be_tried_meanwhile_is_told_neither_as_mended_nor_twice(ready: Ready) -> None:
    def told(*lines: Json) -> list[str]:
        event = board.keep(ready.ledger, "production", of(*lines))
        assert event
        return list(event.data["changed"])

    fine, bad, untried = (
        line("011", "ready"),
        line("011", "fails", "The script fails: 42P01."),
        line("011", "not tried"),
    )
    assert told(bad) == ["`011`: script fails: 42P01."]
    assert [told(untried), told(untried), told(bad), told(untried)] == [[], [], [], []]
    assert told(line("011", "no script")) == ["`011`: no rollback script."] and told(untried) == []
    assert told(fine) == ["`011` can be undone again: ready, 9 s, loses 25,000 rows."]
    assert told(untried) == [] and told(bad) == ["`011`: script fails: 42P01."]


def test_an_old_backup_is_told_of_once_for_each_newest_one(ready: Ready) -> None:
    def told() -> list[Json]:
        board.alarm(ready.ledger, ready.settings, ready.target)
        return [event.data for event in ready.ledger.apart(["backup_old"])]

    assert told() == []  # no limit is set
    ready.use(migrations=ready.files, backup=Backup(alarm=timedelta(hours=26)))
    none = {"target": "production", "newest": None, "age_seconds": None, "limit_seconds": 93600.0}
    assert told() == told() == [none]
    first = ready.takes()
    aged = board.newest_proven(ready.ledger, ready.settings, ready.target)
    assert told() == [none] and aged and aged.id == first
    ready.ledger.passing.tick()
    ready.clock.now += timedelta(hours=27)
    ready.ledger.passing.tick()
    assert told() == [none]  # the clock was set just now: nobody can say how old anything is
    ready.ledger.passing.settled = lambda: True  # type: ignore[method-assign]  # the test's own clock leaps
    assert [one["newest"] for one in told()] == [first, None] and told()[0]["age_seconds"] > 93600
    second = ready.takes()
    (ready.settings.backup_dir / f"{second}.dump").unlink()
    assert [one["newest"] for one in told()] == [first, first, None]  # the older one again, after a newer one
    (ready.settings.backup_dir / f"{first}.dump").unlink()
    assert [one["newest"] for one in told()] == [None, first, first, None]
    third = ready.roll_back().id
    assert [one["newest"] for one in told()][:2] == [third, None]  # its data is from before the clock leapt
    (ready.settings.backup_dir / f"{third}.dump").unlink()
    assert [one["newest"] for one in told()][:2] == [None, third] and len(told()) == 6
    ready.use(migrations=ready.files, backup=Backup(kind="scoped", verified=("echo", "60"), alarm=timedelta(hours=26)))
    ready.back("reapply", ready.ledger.run(third))
    assert "test restore" in ready.roll_back().evidence and len(told()) == 6  # of a part: it proves nothing of the rest
