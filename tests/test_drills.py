"""What people may decide about drills, and what the trail makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core import drills
from core.drills import Drills, standing, told_last
from core.errors import Refused
from core.ledger import Ledger, stamp
from core.model import Event, Person
from core.refusals import Duplicate

ANA, BOB = Person("U0ANA", "Ana Diaz"), Person("U0BOB", "Bob Lee")
WEEK = timedelta(days=7)


class Time:
    now = datetime(2026, 12, 7, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class Trail:
    def __init__(self, folder: Path) -> None:
        self.clock = Time()
        self.ledger = Ledger(folder / "l.db", self.clock)
        self.drills = Drills(self.ledger, lambda one, other: one.id == other.id)

    def due(self, **more: object) -> Event:
        at = self.clock.now
        streak = 0 if self.now.due else self.now.streak
        data = {
            "target": "production",
            "due": stamp(at),
            "next": stamp(at + 4 * WEEK),
            "again": False,
            "streak": streak,
        }
        return self.ledger.append("drill_due", {**data, **more})

    def ends(self, kind: str) -> Event:
        start = self.now.running or self.drills.start("production", ANA)
        return self.ledger.append(
            kind, {"target": "production", "drill": start.id, "due": start.data["due"], "seconds": 220.0}
        )

    @property
    def now(self) -> drills.Standing:
        return standing(self.ledger, "production")


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[Trail]:
    made = Trail(tmp_path)
    yield made
    made.ledger.close()


def code(no: pytest.ExceptionInfo[Refused]) -> str:
    return no.value.code


def test_a_second_drill_waits_for_the_end_of_the_first_and_another_target_does_not(trail: Trail) -> None:
    trail.drills.start("production", ANA)
    with pytest.raises(Refused, match="started by Ana Diaz") as no:
        trail.drills.start("production", BOB)
    assert code(no) == "E-BUSY"
    for decide in (
        lambda: trail.drills.skip("production", BOB, "release week"),
        lambda: trail.drills.snooze("production", BOB, 1),
    ):
        with pytest.raises(Refused) as no:
            decide()
        assert code(no) == "E-BUSY"
    trail.drills.start("staging", BOB)
    trail.ends("drill_failed")
    trail.drills.start("production", BOB)


def test_a_period_is_put_off_but_never_past_the_next_one(trail: Trail) -> None:
    with pytest.raises(Refused) as no:
        trail.drills.snooze("production", BOB, 1)
    assert code(no) == "E-CLOSED"
    trail.due()
    with pytest.raises(Refused, match="2027-01-04") as no:
        trail.drills.snooze("production", BOB, 28)
    assert code(no) == "E-TOO-LATE" and trail.now.snoozed is None
    trail.drills.snooze("production", BOB, 27)
    assert trail.now.snoozed == trail.clock.now + timedelta(days=27)
    trail.due(again=True)
    assert trail.now.snoozed is None and trail.now.due and trail.now.told and trail.now.due.id != trail.now.told.id


def test_a_skip_says_why_and_ends_the_row(trail: Trail) -> None:
    for _ in range(2):
        trail.due()
        trail.ends("drill_passed")
        trail.clock.now += 4 * WEEK
    assert trail.now.streak == 2
    trail.due()
    with pytest.raises(Refused) as no:
        trail.drills.skip("production", BOB, "  no  ")
    assert code(no) == "E-REASON" and trail.now.due
    trail.drills.skip("production", BOB, "release week")
    assert (trail.now.streak, trail.now.due) == (0, None)
    assert trail.now.skipped and trail.now.skipped.data["reason"] == "release week"
    with pytest.raises(Refused) as no:
        trail.drills.skip("production", BOB, "and once more")
    assert code(no) == "E-CLOSED"


def test_a_row_counts_periods_and_ends_with_one_that_went_by_or_failed(trail: Trail) -> None:
    trail.ends("drill_passed")
    assert trail.now.streak == 1, "before the first reminder each drill counts"
    trail.due()
    trail.ends("drill_passed")
    trail.ends("drill_passed")
    assert trail.now.streak == 2, "a second one in the same period does not"
    trail.due()
    trail.due()
    assert trail.now.streak == 0, "nobody answered for one"
    trail.ends("drill_passed")
    assert trail.now.streak == 1
    trail.due()
    trail.ends("drill_failed")
    assert trail.now.streak == 0 and trail.now.due, "what failed is still owed"
    trail.ends("drill_passed")
    start = trail.drills.start("production", ANA)
    data = {"target": "production", "drill": start.id, "due": None, "seconds": 1.0, "code": "E-STOPPED"}
    trail.ledger.append("drill_failed", data)
    assert trail.now.streak == 1, "a process that ended in the middle says nothing about the way back"


def test_a_day_without_an_answer_is_too_late(trail: Trail) -> None:
    trail.due()
    at = trail.clock.now
    assert [trail.now.overdue(at + timedelta(hours=hours)) for hours in (1, 24, 25)] == [False, False, True]
    trail.ends("drill_passed")
    assert not trail.now.overdue(at + WEEK)


def test_only_somebody_else_agrees_and_only_while_it_is_asked(trail: Trail) -> None:
    with pytest.raises(Refused) as no:
        trail.drills.agree("production", BOB)
    assert code(no) == "E-CLOSED"
    start = trail.drills.start("production", ANA)
    asks = trail.ledger.append("drill_asks", {"target": "production", "drill": start.id, "digest": "3f9a"})
    with pytest.raises(Refused) as no:
        trail.drills.agree("production", ANA)
    assert code(no) == "E-SELF"
    with pytest.raises(Refused) as no:
        trail.drills.agree("production", BOB, question=asks.id - 1)
    assert code(no) == "E-CLOSED", "the button of an earlier question"
    assert trail.drills.agree("production", BOB, question=asks.id).data["digest"] == "3f9a"
    with pytest.raises(Refused) as no:
        trail.drills.agree("production", BOB)
    assert code(no) == "E-CLOSED"


def test_what_slack_delivers_twice_counts_once(trail: Trail) -> None:
    trail.drills.start("production", ANA, "click 1")
    with pytest.raises(Duplicate):
        trail.drills.start("production", ANA, "click 1")
    trail.due()
    with pytest.raises(Refused):
        trail.drills.snooze("production", ANA, 1, "click 2")
    trail.ends("drill_failed")
    trail.drills.snooze("production", ANA, 1, "click 2")  # what was refused was not used up


def test_the_last_drill_is_told_in_words(trail: Trail) -> None:
    at = trail.clock.now
    assert told_last(trail.now, at) == "never"
    trail.ends("drill_passed")
    said = [told_last(trail.now, at + timedelta(days=days)) for days in (0, 1, 35)]
    assert said == ["today, 3 min 40 s, passed", "yesterday, 3 min 40 s, passed", "35 days ago, 3 min 40 s, passed"]


def test_a_long_history_is_not_read_again_for_each_question(trail: Trail) -> None:
    for _ in range(60):
        trail.due()
        trail.ends("drill_passed")
        trail.clock.now += 4 * WEEK
    assert trail.now.streak == 60
    trail.due(missed=["Mon 1 Nov 2031"])
    assert trail.now.streak == 0, "one that the bot was not there for ends the row"
