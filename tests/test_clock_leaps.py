"""The machine's clock is set, by hand, by NTP, or because the machine was asleep: nothing ends or lives on wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from core.desk import Desk
from core.driving import Nobody
from core.engine import Engine
from core.errors import Refused
from core.ledger import Ledger
from core.model import Person, Run, State
from core.roll_back import RUNBOOKS
from core.settings import Target
from tests.test_clock import BOB, Time, desk_at, waiting

MINUTE = timedelta(minutes=1)


class Machine:
    """A machine with a clock that can be set, and one that cannot; a bot on it looks each second while time passes."""

    def __init__(self, path: Path) -> None:
        self.path, self.wall, self.passed = path, Time(2026, 11, 27, 14), 0.0
        self.start()
        self.run: Run = waiting(self.desk)  # for 15 minutes
        self.pass_(1)

    def start(self) -> None:
        """A new process."""
        self.desk: Desk = desk_at(self.path, self.wall)
        self.ledger: Ledger = self.desk.ledger
        self.ledger.passing.steady = lambda: self.passed
        target: Target = replace(self.desk.settings.target(), approval_valid=60 * MINUTE)
        self.engine = Engine(
            RUNBOOKS, self.ledger, replace(self.desk.settings, targets={"production": target}), Willing()
        )

    def pass_(self, seconds: int) -> None:
        step = 1 if seconds < 120 else 4
        for _ in range(seconds // step):
            self.wall.now += timedelta(seconds=step)
            self.passed += step
            self.desk.expire()
            self.desk.remind(lambda run: [])

    def set_clock(self, by: timedelta) -> None:
        self.wall.now += by

    @property
    def state(self) -> State:
        return self.ledger.run(self.run.id).state

    def still_right(self) -> bool:
        run = self.ledger.run(self.run.id)
        return self.engine._still_right(run, self.engine.settings.target())


class Willing(Nobody):
    """Whoever approved may still approve: only the age counts here."""

    def may_approve(self, person: Person, run: Run, target: Target) -> None:
        """Yes."""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "l.db")
    yield machine
    assert machine.ledger.verify().unbroken
    machine.ledger.close()


def test_a_clock_that_leaps_ahead_and_is_mended_expires_and_reminds_nothing(machine: Machine) -> None:
    machine.set_clock(timedelta(hours=3))
    machine.pass_(50)
    assert machine.state is State.WAITING and machine.ledger.passing.leaps == 1
    with pytest.raises(Refused, match="expired"):
        machine.desk.approve(machine.run.id, BOB, 1, "d")  # a wrong time lets nothing through either
    machine.set_clock(timedelta(hours=-3))
    machine.pass_(61)
    assert machine.ledger.passing.leaps == 2
    assert [event.kind for event in machine.ledger.events()] == ["asked", "opened"]
    machine.desk.approve(machine.run.id, BOB, 1, "d")
    assert machine.state is State.APPROVED


def test_a_machine_that_slept_for_hours_expires_what_was_waiting_a_minute_later(machine: Machine) -> None:
    machine.set_clock(timedelta(hours=3))
    machine.pass_(61)
    assert machine.state is State.EXPIRED


def test_setting_the_clock_back_lets_nobody_wait_longer_nor_revives_what_has_expired(machine: Machine) -> None:
    machine.pass_(100)
    machine.set_clock(timedelta(hours=-2))
    machine.pass_(796)
    assert machine.state is State.WAITING
    machine.pass_(4)
    assert machine.state is State.EXPIRED
    machine.set_clock(timedelta(hours=-2))
    machine.start()
    machine.pass_(61)
    assert machine.state is State.EXPIRED
    with pytest.raises(Refused):
        machine.desk.approve(machine.run.id, BOB, 1, "d")


@pytest.mark.parametrize("restarted", [False, True])
def test_setting_the_clock_back_makes_no_approval_younger(machine: Machine, restarted: bool) -> None:
    machine.desk.approve(machine.run.id, BOB, 1, "d")
    machine.pass_(40 * 60)
    machine.ledger.append("drill_due", {"target": "production", "period": "now", "owner": "", "last": "never"})
    machine.set_clock(timedelta(hours=-5))
    if restarted:
        machine.start()  # the audit trail tells how far the clock had come
    machine.pass_(19 * 60)
    assert machine.still_right()
    machine.pass_(2 * 60)
    assert not machine.still_right() and machine.state is State.WAITING
    assert machine.ledger.run(machine.run.id).approvals == ()


def test_a_clock_that_is_slewed_or_a_bot_that_was_held_up_is_no_leap(machine: Machine) -> None:
    for _ in range(20):
        machine.set_clock(timedelta(seconds=4))
        machine.pass_(1)
    machine.wall.now += timedelta(seconds=300)  # stopped for five minutes: both clocks went on
    machine.passed += 300
    machine.pass_(1)
    assert machine.ledger.passing.leaps == 0 and machine.ledger.passing.settled()
