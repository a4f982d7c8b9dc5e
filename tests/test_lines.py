"""Lines for a terminal: their width, where they break, and what their words mean."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.lines import FAILED, OK, WARNING, Line, cut, fold, laid, line, padded, table, width
from core.screen import COLOURS, Screen

STEP = line("  3 back up        ", ("done", OK), "      38 s, 412 MB, sha256 0123456789ab")
ROWS = [("011_subscriptions", "applied", "2026-11-27 14:02", "has a rollback script"), ("漢字", "pending", "-", ("NONE", FAILED))]  # fmt: skip


class Stream(io.StringIO):
    """A stream that is a terminal, or none."""

    def __init__(self, terminal: bool = True) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def test_wide_characters_take_two_columns_and_what_joins_others_none() -> None:
    assert [width(text) for text in ("abc", "漢字", "ｆｗ", "e\u0301", "한국", "\t", "…", "é")] == [
        3,
        4,
        4,
        1,
        4,
        8,
        1,
        1,
    ]
    assert padded("漢字", 6) == "漢字  " and padded("abcdefg", 3) == "abcdefg"
    assert cut(Line("漢字漢字"), 5) == "漢字…" and cut(Line("abc"), 3) == "abc"


def test_what_does_not_fit_goes_on_below_its_value() -> None:
    assert laid([STEP], 60) == [
        "  3 back up        done      38 s, 412 MB, sha256",
        "                             0123456789ab",
    ]


def test_on_a_narrow_screen_the_columns_are_given_up() -> None:
    assert laid([STEP], 40) == ["  3 back up  done  38 s, 412 MB, sha256", "      0123456789ab"]
    assert laid(["a" * 50], 40) == ["a" * 40, "    " + "a" * 10]


def test_sql_is_never_taken_for_a_line_of_ours_where_it_is_too_long() -> None:
    sql = "   | SELECT 1; " + "  3 back up        done      " * 3
    parts = laid([sql], 40)
    assert parts[0] == sql[:40] and all(part.startswith("   : ") and len(part) <= 40 for part in parts[1:])
    assert sql == parts[0] + "".join(part.removeprefix("   : ") for part in parts[1:])


def test_a_table_that_does_not_fit_becomes_lines() -> None:
    assert laid(table(ROWS), 80) == [
        "011_subscriptions  applied  2026-11-27 14:02  has a rollback script",
        "漢字               pending  -                 NONE",
    ]
    assert laid([*table(ROWS), "end"], 40) == [
        "011_subscriptions",
        "  applied, 2026-11-27 14:02, has a",
        "      rollback script",
        "漢字",
        "  pending, -, NONE",
        "end",
    ]


TEXTS = st.text(st.sampled_from("ab ,漢é\u0301;|") | st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]))


@given(TEXTS, st.integers(20, 120))
def test_no_line_is_wider_than_the_screen_and_nothing_but_blanks_is_lost(text: str, columns: int) -> None:
    parts = laid([text], columns)
    assert all(width(part) <= columns for part in parts)
    assert all(len(part.tones) == len(part) for part in parts)
    assert re.sub(r" |^ {3}[|:] ", "", text) == re.sub(r" |^ {3}[|:] ", "", "".join(parts))


@given(TEXTS, st.integers(20, 60))
def test_a_meaning_stays_with_its_word_wherever_the_line_breaks(text: str, columns: int) -> None:
    parts = fold(line(text, ("FAULT", FAILED), text), columns)
    told = "".join(c for part in parts for c, tone in zip(part, part.tones, strict=True) if tone)
    assert told == "FAULT"


def test_a_colour_repeats_a_word_and_never_stands_alone() -> None:
    screen = Screen(Stream(), {"TERM": "xterm"})
    painted = screen.painted(STEP)
    assert painted == f"  3 back up        \x1b[{COLOURS[OK]}mdone\x1b[0m      38 s, 412 MB, sha256 0123456789ab"
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == STEP
    assert len({*COLOURS.values()}) == len(COLOURS)


@pytest.mark.parametrize(
    ("terminal", "env", "colours", "moves"),
    [
        (True, {"TERM": "xterm"}, True, True),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False, True),
        (True, {"TERM": "xterm", "NO_COLOR": "0"}, False, True),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, True, True),
        (True, {"TERM": "dumb"}, False, False),
        (True, {}, False, False),
        (False, {"TERM": "xterm"}, False, False),
        (False, {"FORCE_COLOR": "1"}, True, False),
        (False, {"CLICOLOR_FORCE": "1"}, True, False),
        (False, {"FORCE_COLOR": "0", "CLICOLOR_FORCE": ""}, False, False),
        (True, {"TERM": "dumb", "FORCE_COLOR": "1"}, True, False),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
    ],
)
def test_colours_and_updates_are_only_where_they_are_wanted(
    terminal: bool, env: dict[str, str], colours: bool, moves: bool
) -> None:
    screen = Screen(Stream(terminal), env)
    assert (screen.colours, screen.moves) == (colours, moves)


def test_the_width_is_that_of_columns_else_of_the_terminal_and_off_a_terminal_nothing_is_broken() -> None:
    assert Screen(Stream(), {"COLUMNS": "44"}).columns == 44
    assert [Screen(Stream(), {"COLUMNS": odd}).columns for odd in ("", "0", "wide", "-3", "99999")] == [80] * 5
    file = Stream(False)
    Screen(file, {"COLUMNS": "20"}).put(STEP, *table(ROWS))
    assert file.getvalue() == "".join(f"{one}\n" for one in (STEP, *table(ROWS)))


def test_the_last_line_is_replaced_and_fits_and_what_stays_takes_its_place() -> None:
    stream = Stream()
    screen = Screen(stream, {"TERM": "xterm", "COLUMNS": "30", "NO_COLOR": "1"})
    screen.update(Line("  3 back up        running   1 s, and more"))
    screen.update(Line("  3 back up        running   1 s, and more"))
    screen.put("done")
    screen.update(None)
    wipe = "\r\x1b[K"
    assert stream.getvalue() == f"{wipe}  3 back up        running  …\r{wipe}done\n"


def test_a_secret_is_taken_out_before_the_line_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    from core import redact

    monkeypatch.setattr(redact, "_funnel", redact.Redactor(["correct horse battery"]))
    stream = Stream()
    Screen(stream, {"TERM": "xterm", "COLUMNS": "30"}).tell(
        line("it says correct horse battery: ", ("failed", WARNING))
    )
    assert stream.getvalue() == "it says •••: failed\n"
