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
from core import config, drills
from core.desk import Desk
from core.drills import Drills
from core.ledger import Ledger
from core.model import Event, Person, Request, Run, State
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


def moments(desk: Desk) -> list[datetime]:
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
    berlin = [at.astimezone(ZoneInfo("Europe/Berlin")) for at in moments(bots[0])]
    assert [at.month for at in berlin] == list(range(1, 13))
    periods = [row["period"] for row in bots[0].ledger.reminders("drill production")]
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
    assert moments(desk) == []  # a new schedule owes nothing for the time before it
    clock.now = datetime(2026, 6, 20, tzinfo=UTC)
    for _ in range(3):
        remind_of_drills(desk)
    assert [e.data["period"] for e in desk.ledger.events() if e.kind == "drill_due"] == ["Mon 1 Jun 2026 10:00"]
    clock.now = datetime(2026, 5, 1, tzinfo=UTC)  # the machine's clock was set back
    remind_of_drills(desk)
    assert len(moments(desk)) == 1
    desk.ledger.close()


def test_a_year_of_a_targets_life_reminds_of_each_drill_once_and_knows_how_it_went(tmp_path: Path) -> None:
    """Twelve drills with restarts in between, one put off, one skipped, two that nobody did since the bot was down."""
    clock = Time(2026, 1, 1)
    desk = desk_at(tmp_path / "l.db", clock)
    down = [
        (datetime(2026, 4, 2, tzinfo=UTC), datetime(2026, 5, 20, tzinfo=UTC)),
        (datetime(2026, 9, 5, tzinfo=UTC), datetime(2026, 10, 6, tzinfo=UTC)),
    ]
    done: set[int] = set()
    while clock.now < datetime(2027, 1, 1, tzinfo=UTC):
        clock.now += timedelta(hours=1)
        if clock.now.hour == 3 and clock.now.day % 5 == 0:  # a restart
            desk.ledger.close()
            desk = desk_at(tmp_path / "l.db", clock)
        if any(since <= clock.now < until for since, until in down):
            continue
        remind_of_drills(desk)
        now = drills.standing(desk.ledger, "production")
        if not now.due or now.snoozed or now.due.id in done or clock.now - now.due.at < timedelta(hours=5):
            continue
        done.add(now.due.id)
        drilling = Drills(desk.ledger, desk.same)
        match now.due.at.month:
            case 3 if now.told == now.due:
                drilling.snooze("production", BOB, 3)
                done.discard(now.due.id)
            case 7:
                drilling.skip("production", BOB, "release week")
            case 5 | 10:
                pass  # nobody does it: reminded late, and missed
            case _:
                start = drilling.start("production", BOB)
                data = {"target": "production", "drill": start.id, "due": start.data["due"], "seconds": 200.0}
                desk.ledger.append("drill_passed", data)
    told = [event for event in desk.ledger.events() if event.kind == "drill_due"]
    first = [event for event in told if not event.data["again"]]
    periods = [datetime.fromisoformat(event.data["due"]).astimezone(ZoneInfo("Europe/Berlin")) for event in first]
    missed = [name for event in first for name in event.data["missed"]]
    claimed = [row["period"] for row in desk.ledger.reminders("drill production")]
    assert len(claimed) == 12 == len(set(claimed)), "each period once"
    assert [at.month for at in periods] == [1, 2, 3, 5, 6, 7, 8, 10, 11, 12]
    assert missed == ["Mon 6 Apr 2026 10:00", "Mon 7 Sep 2026 10:00"], (
        "what went by as a whole is named with the next one"
    )
    late = {
        at.month: (event.at - at).days
        for at, event in zip(periods, first, strict=True)
        if event.at - at > timedelta(hours=1)
    }
    assert late == {5: 15, 10: 0}, "told when the bot is back"
    assert [event.data["again"] for event in told].count(True) == 1, "what was put off came back once"
    assert Counter(event.data["owner"] for event in first) == {"U0BOB": 5, "U0CHEN": 5}
    desk.ledger.close()


def test_what_was_put_off_comes_again_once_with_two_bots_and_restarts(tmp_path: Path) -> None:
    clock = Time(2026, 12, 1)
    bots = [desk_at(tmp_path / "l.db", clock) for _ in range(2)]

    def look() -> int:
        for bot in bots:
            remind_of_drills(bot)
        return len(drills_told(bots[0]))

    assert look() == 0
    clock.now = datetime(2026, 12, 7, 12, tzinfo=UTC)
    assert look() == 1
    drilling = Drills(bots[0].ledger, bots[0].same)
    drilling.snooze("production", BOB, 3)
    clock.now += timedelta(days=2, hours=23)
    assert look() == 1
    clock.now += timedelta(hours=2)
    assert (look(), look()) == (2, 2)
    again = bots[0].ledger.apart(["drill_due"])[0]
    assert again.data["again"] and again.data["due"] == "2026-12-07T09:00:00.000Z"
    drilling.snooze("production", BOB, 1)
    drilling.start("production", BOB)
    clock.now += timedelta(days=2)
    assert look() == 2, "while it is under way nobody is asked to start it"
    for bot in bots:
        bot.ledger.close()


def test_a_clock_that_ran_ahead_takes_no_reminder_from_the_periods_before(tmp_path: Path) -> None:
    clock = Time(2026, 12, 1)
    desk = desk_at(tmp_path / "l.db", clock)
    remind_of_drills(desk)
    clock.now = datetime(2031, 3, 1, tzinfo=UTC)
    remind_of_drills(desk)  # believed for too long
    assert len(drills_told(desk)) == 1
    clock.now = datetime(2026, 12, 7, 12, tzinfo=UTC)
    remind_of_drills(desk)
    assert drills_told(desk)[0].data["period"] == "Mon 7 Dec 2026 10:00"
    remind_of_drills(desk)
    clock.now = datetime(2027, 1, 4, 12, tzinfo=UTC)
    remind_of_drills(desk)
    assert len(drills_told(desk)) == 3
    desk.ledger.close()


def test_a_new_schedule_owes_nothing_for_the_time_before_it(tmp_path: Path) -> None:
    clock = Time(2026, 11, 1)
    desk = desk_at(tmp_path / "l.db", clock)
    remind_of_drills(desk)
    clock.now = datetime(2026, 11, 2, 12, tzinfo=UTC)
    remind_of_drills(desk)
    desk.ledger.close()
    desk = desk_at(tmp_path / "l.db", clock, Drill("daily 10:00", "Europe/Berlin"))
    clock.now = datetime(2026, 11, 25, 12, tzinfo=UTC)
    remind_of_drills(desk)
    assert len(drills_told(desk)) == 1
    clock.now += timedelta(days=1)
    remind_of_drills(desk)
    assert [event.data["missed"] for event in drills_told(desk)] == [[], []]
    desk.ledger.close()


def test_while_the_clock_is_not_to_be_believed_nobody_is_reminded(tmp_path: Path) -> None:
    clock = Time(2026, 12, 1)
    desk = desk_at(tmp_path / "l.db", clock)
    desk.ledger.passing.tick()
    remind_of_drills(desk)
    clock.now = datetime(2027, 3, 2, tzinfo=UTC)
    desk.ledger.passing.tick()  # it leapt
    remind_of_drills(desk)
    assert drills_told(desk) == []
    desk.ledger.close()


def drills_told(desk: Desk) -> list[Event]:
    return desk.ledger.apart(["drill_due"], "production")


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
    days = Counter(at.astimezone(ZoneInfo(zone)).date() for at in moments(desk))
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
