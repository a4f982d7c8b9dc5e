"""How far a long step is: counted where the bytes pass, and never in the way of the step."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import ClassVar

import psycopg
import pytest

from core import engine
from core.backups import dump, sampled
from core.ledger import Ledger
from core.meter import HowFar, Meter, Phase, heard
from core.model import Json, State
from core.settings import Backup
from core.steps.backup import backup
from core.steps.execute import execute
from core.steps.trial_restore import trial_restore
from core.under_way import of_run, told_beside
from demo.postgres import Server
from tests import messages_story as story
from tests.backup_worlds import program
from tests.engine_stand import EngineStand
from tests.execute_stand import Stand
from tests.stand_ins import Narrow, until


class Recorded(Meter):
    """A meter that remembers what it has shown, of all that there were."""

    shown: ClassVar[list[tuple[str, Phase]]] = []

    def show(self, phase: Phase) -> Phase:
        self.shown.append((self.step, phase))
        return super().show(phase)


def watched(meter: Meter, act: Callable[[], Json]) -> tuple[Json, list[HowFar]]:
    """What a step gives, and what its meter has shown meanwhile."""
    found: list[Json] = []
    thread = threading.Thread(target=lambda: found.append(act()))
    thread.start()
    shown = [meter.how_far()]
    while thread.is_alive():
        thread.join(0.02)
        shown.append(meter.how_far())
    assert found, "the step has failed"
    return found[0], shown


def names(shown: list[HowFar]) -> list[str]:
    """What the step was doing, one after the other."""
    return list(dict.fromkeys(one.what for one in shown if one.what))


def grows(shown: list[HowFar], what: str) -> list[int]:
    """How much was done of a phase, whenever that was more; it was never less."""
    done = [one.done for one in shown if one.what == what]
    assert done == sorted(done)
    return list(dict.fromkeys(done))


def test_the_save_under_the_lock_is_counted(server: Server, full: str, line: Narrow, tmp_path: Path) -> None:
    work = Stand(server, full, tmp_path, through=line.url(full)).approved()
    line.rate = 6e6
    evidence, shown = watched(work.meter, lambda: execute(work))
    assert len(grows(shown, "saved")) > 3, shown
    assert 0 < grows(shown, "saved")[-1] <= evidence["saved"]["bytes"]
    told = next(one for one in shown if one.what == "saved")
    assert told.total == work.run.evidence["rehearse"]["save"]["bytes"] and told.about and not told.whole
    assert names(shown)[-1] == "comparing the schema"


def test_each_long_step_of_a_rollback_and_of_both_ways_back_says_what_it_does(
    server: Server, app: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "Meter", Recorded)
    monkeypatch.setattr(Recorded, "shown", [])
    stand = EngineStand(server, app, tmp_path)
    walker = stand.engine
    first = stand.rolled_back()
    for kind in ("reapply", "restore"):
        assert walker.walk(stand.asks(kind, first).id).state is State.DONE
    assert not walker.meters and walker.far(first.id) is None, "of a step that is over there is none"
    steps = groupby(Recorded.shown, lambda one: one[0])
    told = [f"{step}: {', '.join(phase.what for _, phase in phases)}" for step, phases in steps]
    assert told == EVERYTHING.strip().split("\n")
    tables = [phase for _, phase in Recorded.shown if phase.unit == "table"]
    assert all(0 < phase.done == phase.total for phase in tables)
    stand.drop_others()


EVERYTHING = """
rehearse: copying the schema, running the scripts on an empty copy, building the schema from before, looking at the target
backup: read, hashed, hashing the file
test restore: checking the file, unpacked, restored, compared, running the scripts on the copy, \
saved, run, saved, comparing the schema, read back, comparing the saved rows, filled
execute: saved, run, saved, comparing the schema
rehearse: running the scripts on a copy, bringing the rows that the saved ones refer to, \
read back, comparing the saved rows, filled, looking at the target
execute: saved, read back, run, saved, comparing the schema, comparing the saved rows, filled
rehearse: counting what was written since the backup
prepare: checking the file, unpacked, restored, compared, gathering statistics
execute: stopping services, counting what is lost, swapping the names, starting services
"""


@pytest.mark.parametrize(("form", "what"), [("custom", "read"), ("directory", "written"), ("scoped", "written")])
def test_a_backup_is_counted_while_it_is_taken_and_restored(
    form: str, what: str, server: Server, full: str, line: Narrow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampled, "EVERY", 0.05)
    verified = (str(program(tmp_path / "verified", "echo 60")),)
    kind = Backup("scoped", verified=verified) if form == "scoped" else Backup("dump", form)
    monkeypatch.setattr(Recorded, "shown", [])
    work = Stand(server, full, tmp_path, through=line.url(full), backup=kind).approved()
    work = replace(work, meter=Recorded("backup"))
    line.rate = 6e6
    evidence, shown = watched(work.meter, lambda: backup(work))
    line.rate = 0
    assert len(grows(shown, what)) > 4, shown
    told = next(one for one in shown if one.what == what)
    assert told.about and told.whole and told.total > 0 and told.unit == "bytes"
    assert names(shown)[0] == what and set(names(shown)) <= {what, "hashed", "hashing the file"}
    if form == "custom":
        about = json.loads(dump.archive_of(work).manifest.read_text())["about"]
        assert Recorded.shown[0][1].done == about["plain"], "all of it is counted"
    meter = Meter("test restore")
    work = replace(work, run=replace(work.run, evidence={**work.run.evidence, "backup": evidence}), meter=meter)
    tested, shown = watched(meter, lambda: trial_restore(work))
    assert tested["way_back"]["works"] is True
    done = names(shown)
    assert done[0] == "checking the file" and "running the scripts on the copy" in done and "restored" in done, done
    compared = [one for one in shown if one.what == "compared"]
    assert form == "scoped" or compared[-1].total == tested["tables"]


def test_a_database_that_is_filled_is_looked_at_and_nobody_stays_connected(
    server: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampled, "EVERY", 0.02)
    meter = Meter("test restore")
    with psycopg.connect(database, autocommit=True) as conn:
        with sampled.filled(meter, database, {"size": 400_000_000}):
            until(lambda: meter.phase.done > 0)
            before = meter.phase.done
            conn.execute("CREATE TABLE much AS SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
            until(lambda: meter.phase.done > before + 4_000_000)
        others = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        until(lambda: not conn.execute(others).fetchall())


def test_a_look_that_fails_or_hangs_neither_ends_nor_delays_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampled, "EVERY", 0.01)
    looked, free = threading.Event(), threading.Event()
    phase = Phase("restored", "bytes")

    def fails() -> int:
        looked.set()
        raise OSError("gone")

    with sampled.sampled(phase, fails):
        assert looked.wait(10)
    assert phase.done == 0
    hangs = threading.Event()

    def hang() -> int:
        hangs.set()
        free.wait(20)
        return 7

    started = time.monotonic()
    with sampled.sampled(phase, hang):
        assert hangs.wait(10)
    assert time.monotonic() - started < 10
    free.set()


def test_a_note_that_cannot_be_left_hurts_nobody(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    lock = Path(f"{ledger.path}.RB-7K3M.lock")
    ledger.leave("RB-7K3M", {"step": "backup"})
    assert not lock.exists(), "none is made for a run that nobody walks"
    lock.symlink_to("/dev/full")
    ledger.leave("RB-7K3M", {"step": "backup"})
    lock.unlink()
    lock.mkdir()
    ledger.leave("RB-7K3M", {"step": "backup"})
    assert ledger.declared("RB-7K3M") == {}
    ledger.close()


def test_what_is_left_beside_the_ledger_counts_for_the_step_alone_that_it_is_of(tmp_path: Path) -> None:
    ledger, run = Ledger(tmp_path / "ledger.db"), story.run(State.WAITING, running="backup", since=story.NOON)
    began = story.NOON.isoformat()
    with ledger.hold(run.id) or nullcontext():
        assert told_beside(run, ledger) is None
        shown = HowFar("backup", began, 12.5, "read", "bytes", 412, True, True, 254)
        ledger.leave(run.id, shown.told())
        assert told_beside(run, ledger) == shown
        ledger.leave(run.id, replace(shown, done=9).told())
        assert told_beside(run, ledger) == replace(shown, done=9), "a shorter note replaces a longer one"
        assert told_beside(replace(run, running="test restore"), ledger) is None
        assert told_beside(replace(run, running=None), ledger) is None
        ledger.leave(run.id, replace(shown, since="2026-11-10T14:00:00+00:00").told())
        assert told_beside(run, ledger) is None, "of the bot that was killed in it"
    ledger.forget(run.id)
    ledger.close()


def test_a_shell_tells_what_the_bot_has_counted_and_of_its_own_runs_what_it_counts_itself(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db", lambda: story.NOON + timedelta(seconds=44))
    run = story.run(State.WAITING, running="backup", since=story.NOON)
    assert of_run(run, ledger) == "40 s so far"
    assert of_run(replace(run, running=None), ledger) == ""
    shown = HowFar("backup", story.NOON.isoformat(), 44.0, "read", "bytes", 412_000_000, done=254_000_000)
    with ledger.hold(run.id) or nullcontext():
        ledger.leave(run.id, shown.told())
        assert of_run(run, ledger) == "251 MB of 412 MB read, 61 %, 40 s so far"
        assert of_run(run, ledger, replace(shown, done=400_000_000)) == "400 MB of 412 MB read, 97 %, 40 s so far"
    ledger.close()


def test_a_note_that_says_something_else_is_none() -> None:
    good = HowFar("backup", "", 1.0).told()
    assert heard(good) == HowFar("backup", "", 1.0)
    assert heard({**good, "done": "many"}) is heard({**good, "more": 1}) is heard({}) is None


def test_counting_costs_next_to_nothing() -> None:
    phase, blocks = Phase("read", "bytes"), [b"x"] * 100_000
    started = time.thread_time()
    for _ in phase.through(blocks):
        pass
    assert phase.done == 100_000
    assert time.thread_time() - started < 1, "100 GB in blocks of a megabyte"
