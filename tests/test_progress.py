"""How far a long step is, on the card: from a real bot, whose target is reached by a narrow line."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from core.meter import HowFar
from core.model import Run, State
from core.under_way import told_beside
from demo.bench import Bench
from demo.postgres import Server
from demo.workspace import Message
from tests import forks
from tests.bench_fixtures import QUICK, Play, playing, settings_of
from tests.stand_ins import Narrow


@pytest.fixture
def slow(server: Server, full: str, line: Narrow, tmp_path: Path) -> Iterator[Play]:
    """A bench whose target is reached by the line."""
    with ExitStack() as ending:
        bench = Bench(
            tmp_path / "bench", server, line.url(full), settings_of('statement_timeout = "1 min"\n'), env=QUICK, processes=forks,
        )  # fmt: skip
        yield ending.enter_context(playing(bench))


def begun(play: Play) -> Run:
    """A rollback whose card is there, while the backup is read slowly."""
    run = play.asks("latest")
    play.when(run.id, lambda now: bool(play.ledger.posts("run = ? AND place = 'card'", (now.id,))))
    return run


def card(play: Play, run: Run) -> Message:
    """The card, as it is now."""
    ts = play.ledger.posts("run = ? AND place = 'card'", (run.id,), newest=True)[0]["ts"]
    return next(one for one in play.everything() if one.ts == ts)


def percent(play: Play, run: Run) -> int:
    """How much of the backup is read, as the card says; -1 where it does not say."""
    found = re.search(
        r"3\. Back up\* — running: [\d.]+ \wB of about [\d.]+ MB read, (\d+) %", str(card(play, run).blocks)
    )
    return int(found[1]) if found else -1


def test_the_card_shows_how_much_of_the_backup_is_read_and_is_edited_every_three_seconds_at_most(
    slow: Play, line: Narrow
) -> None:
    line.rate = 1e6
    run = begun(slow)
    edits, percents, beside = set[float](), set[int](), list[HowFar | None]()
    while "backup" not in (now := slow.ledger.run(run.id)).evidence:
        edits.add(float(card(slow, run).edited or 0))
        percents.add(percent(slow, run))
        beside.append(told_beside(now, slow.ledger))
        time.sleep(0.02)
    assert len(percents - {-1}) >= 2 and max(percents) <= 99, percents
    assert all(after - before > 2.9 for before, after in pairwise(sorted(edits))), sorted(edits)
    known = [one.done for one in beside if one and one.what == "read"]
    assert known == sorted(known) and len(set(known)) > 3, "another process may read it too"
    line.rate = 0
    slow.proven(run)
    slow.approves(run)
    slow.until(run.id, State.DONE)
    kinds = {"asked", "step_started", "step_done", "opened", "approved", "executing", "done"}
    assert set(slow.kinds(run)) <= kinds, "nothing of it is in the chain"
    slow.left_clean()


def test_after_a_restart_in_the_middle_the_card_counts_from_the_beginning(slow: Play, line: Narrow) -> None:
    line.rate = 1e6
    run = begun(slow)
    slow.slack.wait_for(lambda: percent(slow, run) >= 30, 30)
    before = slow.ledger.run(run.id)
    assert told_beside(before, slow.ledger)
    slow.bench.kill_bot()
    slow.bench.start_bot()
    again = slow.when(run.id, lambda now: now.since != before.since)
    now = told_beside(again, slow.ledger)
    assert now is None or now.elapsed < 10, "what the dead bot has left does not count"
    slow.slack.wait_for(lambda: 0 <= percent(slow, run) < 30, 30)
    line.rate = 0
    slow.proven(run)
    slow.approves(run)
    slow.until(run.id, State.DONE)
    slow.left_clean()
