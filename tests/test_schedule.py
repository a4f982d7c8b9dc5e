"""A drill's schedule says the same to people and to APScheduler."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given
from hypothesis import strategies as st

from core.schedule import parse

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 3, 1, 12, 0, tzinfo=BERLIN)  # a Sunday


def next_time(text: str) -> str:
    trigger = CronTrigger(timezone=BERLIN, **parse(text).fields)
    return f"{trigger.get_next_fire_time(None, START):%a %d %b %H:%M}"


@pytest.mark.parametrize(
    ("text", "due", "words"),
    [
        ("first monday 10:00", "Mon 02 Mar 10:00", "on the first Monday of each month at 10:00"),
        ("Last Friday 15:30", "Fri 27 Mar 15:30", "on the last Friday of each month at 15:30"),
        ("2nd tue 9:05", "Tue 10 Mar 09:05", "on the second Tuesday of each month at 09:05"),
        ("monday 10:00", "Mon 02 Mar 10:00", "every Monday at 10:00"),
        ("thurs 10:00", "Thu 05 Mar 10:00", "every Thursday at 10:00"),
        ("daily 10:00", "Mon 02 Mar 10:00", "every day at 10:00"),
        ("0 10 * * mon", "Mon 02 Mar 10:00", "every Monday at 10:00"),
        ("0 10 * * sun", "Sun 08 Mar 10:00", "every Sunday at 10:00"),
        ("*/15 9-17 * * Mon-Fri", "Mon 02 Mar 09:00", "at the times of the cron line `*/15 9-17 * * mon-fri`"),
        ("0 10 1,15 jan-jun *", "Sun 15 Mar 10:00", "at the times of the cron line `0 10 1,15 jan-jun *`"),
    ],
)
def test_a_schedule_fires_when_it_says(text: str, due: str, words: str) -> None:
    assert next_time(text) == due
    assert parse(text).describe() == words


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0 10 * * 1", "write names, as in `0 10 \\* \\* mon`"),
        ("0 10 1-7 * mon", "write `first monday 10:00`"),
        ("monday", "is not a schedule"),
        ("", "is not a schedule"),
        ("first mondy 10:00", "did you mean `monday`"),
        ("sixth monday 10:00", "first, second, third"),
        ("monday 24:00", "needs a time of day"),
        ("monday ١٠:٠٠", "not ASCII"),
        ("0 10 30 feb *", "a day that the month does not have"),
        ("60 10 * * *", "minute outside 0 to 59"),
        ("*/90 10 * * *", "wider than its range"),
        ("0 17-9 * * *", "hour outside"),
        ("0 10 * * fri-mon", "run from mon to sun"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_an_example(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse(text)


part = st.sampled_from(
    ["*", "*/2", "0", "5", "1-7", "1-7/3", "3,9", "29", "31", "feb", "jan-mar", "mon", "tue-fri", "x", "7/2"]
)


@given(st.lists(part, min_size=5, max_size=5))
def test_apscheduler_accepts_every_line_that_is_accepted_here(parts: list[str]) -> None:
    try:
        schedule = parse(" ".join(parts))
    except ValueError:
        return
    CronTrigger(timezone=BERLIN, **schedule.fields)
    assert schedule.describe()
