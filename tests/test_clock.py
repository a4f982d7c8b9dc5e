"""Reminders come once, whatever happens to the process, the clock or the time zone."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot.clock import newest_due, remind_of_drills
from core import config
from core.desk import Desk
from core.ledger import Ledger
from core.model import Person, Request, Run, State
from core.redact import SecretStr
from core.settings import Drill, Settings, Target

ANA, BOB = Person("U0ANA", "Ana"), Person("U0BOB", "Bob")
MONDAY = Drill("first monday 10:00", "Europe/Berlin", ("U0BOB", "U0CHEN"))


class Time:
    """A clock that is set by hand."""

    def __init__(self, *start: int) -> None:
        self.now = datetime(*start, tzinfo=UTC)  # type: ignore[misc, arg-type]

    def __call__(self) -> datetime:
        return self.now


def desk_at(path: Path, clock: Callable[[], datetime], drill: Drill | None = MONDAY) -> Desk:
    target = Target("production", SecretStr("postgresql://"), approvers=("U0BOB",), drill=drill)
    return Desk(Ledger(path, clock), Settings(targets={"production": target}, ledger=path))


def drills(desk: Desk) -> list[datetime]:
    """When the reminders were written."""
    return [event.at for event in desk.ledger.events() if event.kind == "drill_due"]


def test_a_year_of_restarts_and_two_bots_reminds_once_each_month(tmp_path: Path) -> None:
    clock, chance = Time(2026, 1, 1), random.Random(5)  # noqa: S311 - a fixed order, no secret
    bots = [desk_at(tmp_path / "l.db", clock) for _ in range(2)]
    while clock.now < datetime(2027, 1, 1, tzinfo=UTC):
        clock.now += timedelta(hours=chance.choice((1, 6, 30)))
        if chance.random() < 0.1:
            at = chance.randrange(2)
            bots[at].ledger.close()
            bots[at] = desk_at(tmp_path / "l.db", clock)
        for bot in chance.sample(bots, 2):
            remind_of_drills(bot)
    berlin = [at.astimezone(ZoneInfo("Europe/Berlin")) for at in drills(bots[0])]
    assert [at.month for at in berlin] == list(range(1, 13))
    periods = [row["period"] for row in bots[0].ledger.reminders("drill production")][1:]
    for period in map(datetime.fromisoformat, periods):
        local = period.astimezone(ZoneInfo("Europe/Berlin"))
        assert (local.weekday(), local.hour, local.minute) == (0, 10, 0) and local.day <= 7
    owners = [e.data["owner"] for e in bots[0].ledger.events() if e.kind == "drill_due"]
    assert set(Counter(owners).values()) == {6}  # in turn
    for bot in bots:
        bot.ledger.close()


def test_after_a_long_downtime_only_the_newest_missed_drill_is_told(tmp_path: Path) -> None:
    clock = Time(2026, 1, 1)
    desk = desk_at(tmp_path / "l.db", clock)
    remind_of_drills(desk)
    assert drills(desk) == []  # a new schedule owes nothing for the time before it
    clock.now = datetime(2026, 6, 20, tzinfo=UTC)
    for _ in range(3):
        remind_of_drills(desk)
    assert [e.data["period"] for e in desk.ledger.events() if e.kind == "drill_due"] == ["Mon 1 Jun 2026 10:00"]
    clock.now = datetime(2026, 5, 1, tzinfo=UTC)  # the machine's clock was set back
    remind_of_drills(desk)
    assert len(drills(desk)) == 1
    desk.ledger.close()


@pytest.mark.parametrize(
    ("schedule", "zone", "first", "last"),
    [
        ("daily 02:30", "Europe/Berlin", date(2026, 3, 27), date(2026, 4, 1)),  # 02:30 does not exist on the 29th
        ("daily 02:30", "Europe/Berlin", date(2026, 10, 23), date(2026, 10, 28)),  # and is twice on the 25th
        ("daily 00:30", "America/Havana", date(2026, 10, 30), date(2026, 11, 4)),
        ("daily 02:00", "Australia/Lord_Howe", date(2026, 4, 3), date(2026, 4, 8)),  # half an hour
        ("daily 10:00", "Pacific/Apia", date(2026, 1, 1), date(2026, 1, 6)),
    ],
)
def test_a_day_with_a_clock_change_has_one_reminder_at_most(
    tmp_path: Path, schedule: str, zone: str, first: date, last: date
) -> None:
    start = datetime(first.year, first.month, first.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    clock = Time(2026, 1, 1)
    clock.now = start
    desk = desk_at(tmp_path / "l.db", clock, Drill(schedule, zone))
    while clock.now.astimezone(ZoneInfo(zone)).date() < last:
        remind_of_drills(desk)
        clock.now += timedelta(minutes=15)
    days = Counter(at.astimezone(ZoneInfo(zone)).date() for at in drills(desk))
    assert set(days.values()) == {1} and len(days) == (last - first).days, days
    desk.ledger.close()


def test_a_drill_every_minute_is_found_at_once_after_a_year() -> None:
    now = datetime(2026, 7, 1, 12, 0, 30, tzinfo=UTC)
    started = datetime.now(UTC)
    assert newest_due(Drill("* * * * *", "UTC"), now - timedelta(days=365), now)[0] == now.replace(second=0)
    assert datetime.now(UTC) - started < timedelta(seconds=2)


@pytest.mark.parametrize(
    ("schedule", "zone"), [("every now and then", "UTC"), ("0 10 * * 1", "UTC"), ("daily 10:00", "Mars/Base")]
)
def test_a_bad_schedule_is_refused_with_the_settings(tmp_path: Path, schedule: str, zone: str) -> None:
    file = tmp_path / "rollback.toml"
    file.write_text(
        '[targets.production]\ndatabase_url = "postgresql://db/app"\napprovers = ["U0BOB"]\nchannel = "#inc"\n'
        f'drill = {{ schedule = "{schedule}", timezone = "{zone}" }}\n'
    )
    with pytest.raises(config.ConfigError, match="drill"):
        config.load(file, {"HOME": str(tmp_path)})


# -- approvals ---------------------------------------------------------------------------------------------


def waiting(desk: Desk) -> Run:
    target = desk.settings.target()
    run = desk.ask(Request("latest"), target, ANA)
    until = desk.ledger.clock() + target.approval_expires
    with desk.ledger.transaction() as t:
        opened = {"digest": "d", "expires_at": until.isoformat()}
        t.move(t.run(run.id), State.WAITING, "opened", opened, plan_digest="d", expires_at=until.isoformat())
    return desk.ledger.run(run.id)


def reminded(desk: Desk) -> list[tuple[int, bool, int]]:
    found = [event.data for event in desk.ledger.events() if event.kind == "reminded"]
    return [(data["number"], data["last"], data["minutes_left"]) for data in found]


def test_approvers_are_reminded_at_their_times_and_once(tmp_path: Path) -> None:
    clock = Time(2026, 1, 1)
    desk = desk_at(tmp_path / "l.db", clock)
    waiting(desk)
    for _ in range(16 * 60):
        clock.now += timedelta(seconds=1)
        desk.remind(lambda run: ["Bob"])
    assert reminded(desk) == [(1, False, 13), (2, False, 10), (3, True, 6)]
    assert desk.ledger.verify().unbroken
    desk.ledger.close()


def test_a_bot_that_was_away_reminds_once_and_not_for_each_time_missed(tmp_path: Path) -> None:
    clock = Time(2026, 1, 1)
    waiting(desk_at(tmp_path / "l.db", clock))
    clock.now += timedelta(minutes=6)
    again = desk_at(tmp_path / "l.db", clock)
    for _ in range(3):
        again.remind(lambda run: ["Bob"])
    assert reminded(again) == [(2, False, 9)]
    again.ledger.close()


def test_who_was_asked_is_found_out_while_others_can_write(tmp_path: Path) -> None:
    clock = Time(2026, 1, 1)
    desk, other = desk_at(tmp_path / "l.db", clock), desk_at(tmp_path / "l.db", clock)
    run = waiting(desk)
    clock.now += timedelta(minutes=2)

    def ask_slack(_: Run) -> list[str]:
        other.approve(run.id, BOB, 1, "d")  # would wait for ten seconds and be refused behind an open transaction
        return ["Bob"]

    desk.remind(ask_slack)
    assert desk.ledger.run(run.id).state is State.APPROVED
    assert reminded(desk) == []  # what is decided meanwhile needs no reminder
    desk.ledger.close()


def test_a_target_that_left_the_settings_keeps_no_reminder_from_others(tmp_path: Path) -> None:
    clock = Time(2026, 1, 1)
    desk = desk_at(tmp_path / "l.db", clock)
    waiting(desk)
    bare = Desk(desk.ledger, Settings(targets={}, ledger=tmp_path / "l.db"))
    clock.now += timedelta(minutes=2)
    bare.remind(lambda run: [])
    assert reminded(bare) == []
    desk.ledger.close()


def test_a_request_expires_by_its_stored_time_also_after_downtime(tmp_path: Path) -> None:
    clock = Time(2026, 1, 1)
    run = waiting(desk_at(tmp_path / "l.db", clock))
    again = desk_at(tmp_path / "l.db", clock)
    clock.now += timedelta(minutes=14, seconds=59)
    assert again.expire() == []
    clock.now += timedelta(seconds=1)
    assert [ended.id for ended in again.expire()] == [run.id]
    assert again.expire() == [] and again.ledger.run(run.id).ended_at == clock.now
    again.ledger.close()
