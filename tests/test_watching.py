"""The shell at a real terminal: the step under way, waiting for people, narrow screens, and a program that reads along."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.lines import width
from core.meter import HowFar
from core.model import State
from core.transcript import how_far, last_line
from demo.postgres import Server
from tests import messages_catalogue as catalogue
from tests.bench_fixtures import Play, copied
from tests.conftest import fresh
from tests.scenery import Stage, holding
from tests.terminal import COLOUR, Terminal, updates, visible
from tests.test_shell import THROWAWAY, the_name

XTERM = {"TERM": "xterm-256color"}


@pytest.fixture
def alone(stage: Stage, server: Server, template: str, tmp_path: Path) -> Iterator[tuple[Play, str]]:
    """A bench with a target that needs no approval, and that target's address."""
    made = fresh(server, template)
    url = next(made)
    yield stage(THROWAWAY.format(url=url, scratch=server.url(), files=copied(tmp_path)) + 'lock_wait = "30 s"\n'), url
    next(made, None)


def test_the_step_under_way_is_one_line_with_its_time_until_it_is_done(alone: tuple[Play, str]) -> None:
    play, url = alone
    with Terminal(play.bench, "latest", "--on", "throwaway", env=XTERM, columns=100) as terminal:
        with holding(url, "SELECT count(*) FROM stripe_events"):
            terminal.asked("go on (", f"{the_name(play)}\n")
            terminal.says("waits for a lock, held by")
            terminal.says("2 s, waits for a lock")
        assert terminal.ends() == 0, terminal.text
    stays = visible(terminal.text)
    assert "running" not in "\n".join(stays) and "starts" not in "\n".join(stays)
    told = [match[1] for row in stays if (match := re.match(r"  (\d [\w ]+?)  +(?:done|committed)", row))]
    assert told == ["1 identify", "2 rehearse", "3 back up", "4 test restore", "5 execute", "6 verify"]
    assert re.fullmatch(r"RB-\w{4} done in [\d.]+ s\.  Audit #\d+ [0-9a-f]{16}", stays[-3]), stays
    said = updates(terminal.text)
    assert any(re.match(r"  5 execute        running   2 s, waits for a lock, held by ", one) for one in said)
    assert all(width(one) < 100 for one in said)
    assert COLOUR.search(terminal.text)


def test_the_last_line_says_how_much_of_a_long_step_is_done() -> None:
    far = HowFar("backup", "", 40.0, "read", "bytes", 412_000_000, about=True, whole=True, done=254_000_000)
    assert how_far(far, None, 40.0) == "251 MB of about 412 MB read, 61 %, about 25 s left"
    assert how_far(far, None, 2.0) == how_far(None, None, 40.0) == ""
    assert how_far(None, 60.0, 40.0) == "about 20 s left"
    run = replace(catalogue.WAITING, running="backup", held_up=(), part=None)
    assert last_line(run, 40.9, 500.0, how_far(far, None, 40.9)) == (
        "  3 back up        running   40 s, 251 MB of about 412 MB read, 61 %, about 30 s left"
    )
    assert last_line(replace(run, running=None), 5.0, 561.0) == (
        "  waiting for 1 approval, 9 min 21 s left      (Ctrl-C stops watching)"
    )
    assert last_line(replace(run, running=None, state=State.DONE), 5.0, 5.0) is None


def test_off_a_terminal_each_event_is_a_plain_line(alone: tuple[Play, str]) -> None:
    play, _ = alone
    done = play.bench.shell("latest", "--on", "throwaway", stdin=f"{the_name(play)}\n", env=XTERM)
    assert done.returncode == 0
    assert "\x1b" not in done.stderr and "\r" not in done.stderr
    rows = done.stderr.splitlines()
    assert next(row for row in rows if "4 test restore" in row) == "  4 test restore   running"
    coloured = play.bench.shell("history", env={"FORCE_COLOR": "1"}).stdout
    assert "\x1b[32mdone\x1b[0m" in coloured
    assert "\x1b" not in play.bench.shell("history", "--json", env={"FORCE_COLOR": "1"}).stdout


def test_who_waits_for_an_approval_sees_the_time_left_and_may_stop_watching(stage: Stage) -> None:
    play = stage()
    with Terminal(play.bench, "latest", env=XTERM, columns=100) as terminal:
        terminal.says("left      (Ctrl-C stops watching)")
        os.write(terminal.ours, b"\x03")
        assert terminal.ends() == 130
    run = play.newest()
    stays = visible(terminal.text)
    assert stays[-2:] == [f"Stopped watching. {run.id} goes on: `rollback status {run.id}`.", ""]
    said = r"  waiting for 1 approval, \d+ min \d+ s left      \(Ctrl-C stops watching\)"
    assert any(re.match(said, one) for one in updates(terminal.text))
    assert play.ledger.run(run.id).state is State.WAITING
    assert play.bench.shell("stop", run.id).returncode == 0


def test_ctrl_c_in_a_run_that_is_walked_here_ends_it_before_anything_is_changed(alone: tuple[Play, str]) -> None:
    play, _ = alone
    with Terminal(play.bench, "latest", "--on", "throwaway", env=XTERM, columns=100) as terminal:
        terminal.says("go on (")
        os.write(terminal.ours, b"\x03")
        assert terminal.ends() == 130
    run = play.newest()
    assert run.state is State.STOPPED
    assert f"{run.id} stopped, nothing was changed" in "\n".join(visible(terminal.text))


WORDS = (
    "status", "history", "show {run}", "migrations", "plan latest", "audit", "doctor", "whoami", "totp", "check", "",
    "--help", "help check", "latest --force", "to 012_stripe_events", "013_plans", "help delet",
)  # fmt: skip


def test_nothing_is_wider_than_forty_columns(alone: tuple[Play, str]) -> None:
    play, _ = alone
    assert play.bench.shell("latest", "--on", "throwaway", stdin="no\n").returncode == 4
    for words in WORDS:
        with Terminal(play.bench, *words.format(run=play.newest().id).split(), env=XTERM, columns=40) as terminal:
            terminal.ends()
        shown = visible(terminal.text)
        assert len(shown) > 1, words
        assert [row for row in shown if width(row) > 40] == [], words
