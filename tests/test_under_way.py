"""What people are told of the step under way: always true, never above 99 %, and the same for a while."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from core.meter import HowFar
from core.model import State
from core.under_way import phrase, rough, words
from tests import messages_story as story

READ = HowFar("backup", "", 25.0, "read", "bytes", 412_000_000, about=True, whole=True, done=254_000_000)
BEGAN = story.NOON
RUN = story.run(State.WAITING, running="backup", since=BEGAN)


def said(far: HowFar | None, estimate: float | None, elapsed: float) -> str:
    return words(far, estimate, elapsed)


def test_bytes_are_told_with_their_part_and_the_time_that_the_last_run_still_took() -> None:
    assert said(READ, 62, 38) == "251 MB of about 412 MB read, 61 %, about 25 s left"


def test_without_an_earlier_run_the_pace_tells_how_long_it_takes_still() -> None:
    assert said(READ, None, 50) == "251 MB of about 412 MB read, 61 %, about 35 s left"
    early = replace(READ, done=4_000_000)
    assert said(early, None, 50) == "0 bytes of about 412 MB read, 0 %, 50 s so far", "too early to tell"


def test_a_pace_that_is_slower_than_the_last_time_counts() -> None:
    assert said(READ, 40, 38).endswith("61 %, about 25 s left")
    assert said(READ, 20, 38).endswith("61 %, about 25 s left"), "beyond the last time it alone tells"


def test_the_pace_of_one_part_of_a_step_tells_nothing_of_the_step() -> None:
    part = replace(READ, what="restored", whole=False)
    assert said(part, None, 50) == "251 MB of about 412 MB restored, 61 %, 50 s so far"
    assert said(part, 62, 50) == "251 MB of about 412 MB restored, 61 %, about 15 s left"


def test_beyond_the_last_time_it_says_so() -> None:
    assert said(None, 62, 100) == "1 min 30 s so far, longer than the last time (1 min 2 s)"
    assert said(None, 0.3, 5) == "5 s so far, longer than the last time (0.3 s)"
    compared = HowFar("test restore", "", 100, "compared", "table", 9, done=7)
    assert said(compared, 62, 100) == "7 of 9 tables compared, 1 min 30 s so far, longer than the last time (1 min 2 s)"


def test_what_cannot_be_counted_is_named() -> None:
    assert said(HowFar("backup", "", 44, "hashing the file"), None, 44) == "hashing the file, 40 s so far"
    assert said(HowFar("backup", "", 44), None, 44) == "40 s so far"


def test_with_an_earlier_run_alone_time_tells_how_far_it_is() -> None:
    assert said(None, 62, 38) == "61 %, about 25 s left"
    assert said(HowFar("verify", "", 38), 62, 38) == "61 %, about 25 s left"


def test_where_more_comes_than_was_expected_no_total_is_told() -> None:
    more = replace(READ, done=430_000_000)
    assert said(more, None, 50) == "430 MB read, 50 s so far"
    assert said(replace(READ, total=0), None, 50) == "254 MB read, 50 s so far"


def test_one_is_told_in_the_singular() -> None:
    assert said(HowFar("execute", "", 4, "run", "statement", 1), None, 4) == "0 of 1 statement run, 4 s so far"
    assert said(HowFar("execute", "", 4, "run", "statement", 0, done=3), None, 4) == "3 statements run, 4 s so far"


def test_a_step_that_has_just_begun_says_nothing_yet() -> None:
    assert said(READ, 62, 2.9) == "" and said(None, None, 0) == ""


def test_the_longer_it_takes_the_coarser_it_is_told() -> None:
    assert [rough(value, up=True) for value in (0.2, 7.1, 11, 58, 61, 299, 301, 3541, 7000)] == [
        "1 s", "8 s", "15 s", "1 min", "1 min 15 s", "5 min", "6 min", "1 h", "1 h 57 min",
    ]  # fmt: skip
    assert [rough(value) for value in (0.2, 7.9, 14, 74, 74.9, 299, 301, 3659)] == [
        "0 s", "7 s", "10 s", "1 min", "1 min", "4 min 45 s", "5 min", "1 h",
    ]  # fmt: skip


@given(
    st.builds(
        HowFar, st.just("backup"), st.just(""), st.just(0.0), st.sampled_from(("", "read")),
        st.sampled_from(("", "bytes", "table")), st.integers(0, 10**15), st.booleans(), st.booleans(), st.integers(0, 10**15),
    ) | st.none(),
    st.floats(0, 1e6) | st.none(),
    st.floats(-1e5, 1e7),
)  # fmt: skip
def test_whatever_is_counted_no_part_is_above_99_percent_and_no_time_is_negative(
    far: HowFar | None, estimate: float | None, elapsed: float
) -> None:
    text = said(far, estimate, elapsed)
    assert all(int(part) <= 99 for part in re.findall(r"(\d+) %", text))
    assert "-" not in text and "about 0 s" not in text and not text.startswith(",")
    assert bool(text) == (elapsed >= 3)


@given(st.integers(0, 411_999_999), st.integers(0, 411_999_999))
def test_within_one_percent_the_same_is_told(one: int, other: int) -> None:
    part = replace(READ, what="restored", whole=False)
    same = one * 100 // part.total == other * 100 // part.total
    assert (said(replace(part, done=one), None, 50) == said(replace(part, done=other), None, 50)) or not same


def test_only_the_step_under_way_is_told_of() -> None:
    later = BEGAN + timedelta(seconds=38)
    assert phrase(RUN, "backup", READ, 62, later).startswith("251 MB")
    assert phrase(RUN, "test restore", READ, 62, later) == ""
    assert phrase(RUN, "backup", replace(READ, step="rehearse"), 62, later) == "61 %, about 25 s left"
    assert phrase(replace(RUN, running=None), "backup", None, 62, later) == ""


def test_without_a_meter_the_time_counts_from_the_event_and_a_clock_that_was_set_back_tells_nothing() -> None:
    assert phrase(RUN, "backup", None, None, BEGAN + timedelta(seconds=44)) == "40 s so far"
    assert phrase(RUN, "backup", None, None, BEGAN - timedelta(hours=1)) == ""
