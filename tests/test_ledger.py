"""The audit trail: append-only, chained, durable, one writer at a time."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from core import chain
from core.errors import Refused
from core.ledger import NEWEST, Ledger, Lost
from core.model import Person, State
from core.tables import TABLES

ROOT = Path(__file__).parent.parent
ANA, BOB = Person("U0ANA", "Ana"), Person("U0BOB", "Bob")
APPROVED = {"digest": "d" * 64, "expires_at": "2026-01-01T00:00:00.000Z"}


def asked(ledger: Ledger, run_id: str = "RB-AAAA", target: str = "production") -> None:
    with ledger.transaction() as t:
        row: dict[str, Any] = {"id": run_id, "target": target, "what": "latest", "migration": None, "only_one": 0}
        row |= {"requester": ANA.id, "requester_name": ANA.name, "reason": "why", "incident": "", "channel": "C1"}
        t.create({**row, "needed": 1}, ANA)


def opened(ledger: Ledger, run_id: str = "RB-AAAA") -> None:
    with ledger.transaction() as t:
        columns: dict[str, Any] = {"plan_digest": APPROVED["digest"], "expires_at": APPROVED["expires_at"]}
        t.move(t.run(run_id), State.WAITING, "opened", APPROVED, **columns)


def story(path: Path) -> Ledger:
    """Two rollbacks, one of them waiting, and events of nobody."""
    ledger = Ledger(path)
    asked(ledger)
    ledger.append("drill_due", {"target": "production"})
    asked(ledger, "RB-BBBB", "staging")
    opened(ledger)
    with ledger.transaction() as t:
        t.append("RB-AAAA", "notme", {}, BOB)
        t.post(t.append("RB-AAAA", "reminded", {"number": 1}).id, "told")
    return ledger


def raw(ledger: Ledger, *statements: str) -> None:
    """As somebody with a SQLite client and no scruples."""
    conn = sqlite3.connect(ledger.path)
    for trigger in ("update", "delete", "replace"):
        conn.execute(f"DROP TRIGGER IF EXISTS events_no_{trigger}")
    for statement in statements:
        conn.execute(statement)
    conn.commit()
    conn.close()


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process with a ledger; prints to a pipe."""
    start = "import sys, time\nfrom pathlib import Path\nfrom core.ledger import Ledger, Lost\nfrom core.model import State\n"
    command = [sys.executable, "-c", start + code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(children: list[subprocess.Popen[str]]) -> list[str]:
    said = []
    for child in children:
        out, err = child.communicate(timeout=60)
        assert child.returncode == 0, err
        said.append(out.strip())
    return said


# -- append-only -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET data = '{}' WHERE id = 1",
        "DELETE FROM events WHERE id = 1",
        "DELETE FROM events",
        "INSERT OR REPLACE INTO events SELECT id, at, run, 'other', state, actor, data, prev, digest FROM events",
        "REPLACE INTO events SELECT id, at, run, 'other', state, actor, data, prev, digest FROM events WHERE id = 1",
        "INSERT INTO events SELECT * FROM events WHERE id = 1 ON CONFLICT (id) DO UPDATE SET data = '{}'",
        "UPDATE OR REPLACE events SET id = 2 WHERE id = 1",
    ],
)
def test_a_plain_sqlite_client_cannot_change_an_event(tmp_path: Path, statement: str) -> None:
    ledger = story(tmp_path / "ledger.db")
    before = ledger.head()
    conn = sqlite3.connect(ledger.path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        conn.execute(statement)
    conn.close()
    assert ledger.head() == before and ledger.verify().unbroken
    ledger.close()


def test_a_ledger_without_its_guards_is_not_used(tmp_path: Path) -> None:
    ledger = story(tmp_path / "ledger.db")
    raw(ledger)
    ledger.close()
    with pytest.raises(Refused, match=r"lost its guards.*E-LEDGER"):
        Ledger(tmp_path / "ledger.db")


COPY = "INSERT INTO events SELECT id + 100, at, run, kind, state, actor, data, prev, digest FROM events WHERE id = 2"


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ('UPDATE events SET data = \'{"reason":"other"}\' WHERE id = 2', "event 2 was changed"),
        ("UPDATE events SET actor = NULL WHERE id = 5", "event 5 was changed"),
        ("UPDATE events SET at = '2020-01-01T00:00:00.000Z' WHERE id = 3", "event 3 was changed"),
        ("DELETE FROM events WHERE id = 3", "event 3 is missing"),
        (COPY, "does not follow"),
        ("DELETE FROM events WHERE id = (SELECT max(id) FROM events)", "newest event of RB-AAAA should be 6"),
        (
            "UPDATE rollbacks SET state = 'approved' WHERE id = 'RB-AAAA'",
            "marked approved, but its events end in waiting",
        ),
        ("DELETE FROM rollbacks WHERE id = 'RB-BBBB'", "RB-BBBB has events but no row"),
        ("UPDATE rollbacks SET needed = 0", "marked with another needed"),
        ("UPDATE rollbacks SET requester = 'U0BOB'", "marked with another requester"),
        ("UPDATE rollbacks SET target = 'other' WHERE id = 'RB-AAAA'", "marked with another target"),
        ("UPDATE rollbacks SET plan_digest = 'e' WHERE id = 'RB-AAAA'", "marked with another plan"),
        ("UPDATE rollbacks SET expires_at = '2099-01-01T00:00:00.000Z'", "marked with another expiry"),
        ("UPDATE rollbacks SET revision = 2 WHERE id = 'RB-AAAA'", "marked with another revision"),
        (
            "UPDATE rollbacks SET created_at = '2020-01-01T00:00:00.000Z' WHERE id = 'RB-AAAA'",
            "marked with another beginning",
        ),
        ("UPDATE rollbacks SET ended_at = '2020-01-01T00:00:00.000Z' WHERE id = 'RB-AAAA'", "marked with another end"),
        ("UPDATE events SET actor = '' WHERE id = 2", "event 2 was changed"),  # the same digest as nothing
        (
            "INSERT INTO posts (event, place, run) VALUES (5, 'thread', 'RB-BBBB')",
            "event 5, which belongs to another run",
        ),
        ("UPDATE events SET data = CAST(x'ff' AS TEXT) WHERE id = 4", "cannot be read"),
        ("UPDATE events SET data = 'no json' WHERE id = 1", "event 1 was changed"),
    ],
)
def test_the_chain_finds_what_somebody_did_to_the_file(tmp_path: Path, statement: str, finding: str) -> None:
    ledger = story(tmp_path / "ledger.db")
    assert ledger.verify().unbroken
    raw(ledger, statement)
    assert any(finding in fault for fault in ledger.verify().faults), ledger.verify().faults
    ledger.close()


def test_two_events_in_the_other_order_are_found(tmp_path: Path) -> None:
    ledger = story(tmp_path / "ledger.db")
    raw(ledger, "UPDATE events SET id = 99 WHERE id = 2", "UPDATE events SET id = 2 WHERE id = 3")
    raw(ledger, "UPDATE events SET id = 3 WHERE id = 99")
    assert len(ledger.verify().faults) >= 2
    ledger.close()


def test_a_tail_that_was_cut_with_its_state_is_found_by_what_was_posted(tmp_path: Path) -> None:
    ledger = story(tmp_path / "ledger.db")
    raw(ledger, "DELETE FROM events WHERE id = 6", "UPDATE rollbacks SET last_event = 5 WHERE id = 'RB-AAAA'")
    assert any("posted for event 6" in fault for fault in ledger.verify().faults)
    ledger.close()


COLUMNS = ("at", "run", "kind", "state", "actor", "data", "prev", "digest")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_of_one_value_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    ledger = story(tmp_path_factory.mktemp("l") / "ledger.db")
    column, number = data.draw(st.sampled_from(COLUMNS)), data.draw(st.integers(1, 6))
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
    value = data.draw(st.one_of(text, st.integers(-5, 5), st.binary(min_size=1)))
    conn = sqlite3.connect(ledger.path)
    conn.execute("DROP TRIGGER events_no_update")
    old = conn.execute(f"SELECT {column} FROM events WHERE id = ?", [number]).fetchone()[0]
    conn.execute(f"UPDATE events SET {column} = ? WHERE id = ?", [value, number])
    new = conn.execute(f"SELECT {column} FROM events WHERE id = ?", [number]).fetchone()[0]
    conn.commit()
    conn.close()
    assert ledger.verify().unbroken == (old == new)
    ledger.close()


def test_no_two_rows_have_the_same_text_to_hash() -> None:
    one, other = (1, "a", "b", "c", None, None, "{}"), (1, "a", "bc", "", None, None, "{}")
    assert chain.link(chain.GENESIS, one) != chain.link(chain.GENESIS, other)


def test_a_line_break_never_gets_into_an_event(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    with pytest.raises(ValueError, match="line break"):
        ledger.append("two\nlines")
    event = ledger.append("said", {"text": "two\nlines ✓"}, Person("U1", "Ana\nBob"))
    assert event.data == {"text": "two\nlines ✓"} and ledger.verify().unbroken
    ledger.close()


# -- many at once ------------------------------------------------------------------------------------------


def test_four_processes_keep_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"  # none has made it yet: they meet there too
    code = (
        "ledger = Ledger(Path(sys.argv[1]))\nfor n in range(200): ledger.append('beat', {'who': sys.argv[2], 'n': n})"
    )
    ended([python(code, path, who) for who in range(4)])
    ledger = Ledger(path)
    verdict = ledger.verify()
    assert verdict.unbroken and verdict.events == 800
    for who in "0123":  # and each one's events are in its own order
        assert [e.data["n"] for e in ledger.events() if e.data["who"] == who] == list(range(200))
    ledger.close()


def test_one_of_eight_processes_moves_a_rollback(tmp_path: Path) -> None:
    ledger = story(tmp_path / "ledger.db")
    code = """
ledger = Ledger(Path(sys.argv[1]))
run = ledger.run("RB-AAAA")
print("ready", flush=True)
while not Path(sys.argv[2]).exists(): pass
try:
    with ledger.transaction() as t: t.move(run, State.APPROVED, "approved", {})
    print("won")
except Lost as lost: print("lost to", lost.run.state)
"""
    go = tmp_path / "go"
    children = [python(code, ledger.path, go) for _ in range(8)]
    for child in children:
        assert child.stdout and child.stdout.readline() == "ready\n"
    go.touch()
    assert sorted(ended(children)) == ["lost to approved"] * 7 + ["won"]
    ledger.close()


def test_a_target_has_one_open_rollback(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    asked(ledger)
    before = ledger.head()
    with pytest.raises(sqlite3.IntegrityError):
        asked(ledger, "RB-CCCC")
    assert ledger.head() == before  # not even the event
    with ledger.transaction() as t:
        t.move(t.run("RB-AAAA"), State.STOPPED, "stopped", {})
    asked(ledger, "RB-CCCC")
    assert [run.id for run in ledger.open_runs()] == ["RB-CCCC"]
    ledger.close()


def test_a_move_that_the_table_does_not_know_is_lost(tmp_path: Path) -> None:
    ledger = story(tmp_path / "ledger.db")
    with pytest.raises(Lost), ledger.transaction() as t:
        t.move(t.run("RB-AAAA"), State.DONE, "done", {})
    assert ledger.run("RB-AAAA").state is State.WAITING
    ledger.close()


def test_what_an_undone_transaction_had_read_is_not_remembered(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    asked(ledger)
    run = ledger.run("RB-AAAA")
    with pytest.raises(KeyError), ledger.transaction() as t:
        t.append(run.id, "notme", {}, ANA)
        assert t.run(run.id).last.kind == ledger.run(run.id).last.kind == "notme"  # type: ignore[union-attr]
        raise KeyError
    assert ledger.run(run.id) == run
    with ledger.transaction() as t:
        t.append(run.id, "held_up", {"by": [{"pid": 7}]})
        assert [event.kind for event in ledger.events(run.id)] == ["asked", "held_up"]
    after = ledger.run(run.id)
    assert after.held_up == ({"pid": 7},) and run.held_up == () and ledger.runs() == [after]
    ledger.close()


def test_waiting_ends_when_another_process_writes(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    assert not ledger.wait(0, 0.05)
    child = python("Ledger(Path(sys.argv[1])).append('beat')", ledger.path)
    assert ledger.wait(0, 20)
    ended([child])
    ledger.close()


def test_threads_that_have_ended_leave_no_open_file(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    for _ in range(50):  # as a server does, one thread for each request
        thread = threading.Thread(target=lambda: ledger.append("beat"))
        thread.start()
        thread.join()
    here = [link.resolve() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert here.count(ledger.path.resolve()) <= 4
    ledger.close()


# -- where it cannot be written ----------------------------------------------------------------------------


def as_nobody(code: Callable[[], None]) -> int:
    """Run in a child without root's rights; its exit code."""
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            code()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - a child of a test may not come back
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def refused(path: Path) -> None:
    try:
        Ledger(path).append("beat")
    except Refused as no:
        assert no.code == "E-LEDGER" and str(path) not in str(no) and "permission" in no.message, no
    else:
        raise AssertionError("written")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_folder_that_cannot_be_written_is_refused_with_a_sentence() -> None:
    place = Path(f"/tmp/rollback-unwritable-{os.getpid()}")
    place.mkdir(mode=0o555)
    try:
        assert as_nobody(lambda: refused(place / "ledger.db")) == 0
        assert as_nobody(lambda: refused(place / "below" / "ledger.db")) == 0
    finally:
        place.rmdir()


def test_a_full_disk_is_refused_and_nothing_of_the_change_stays(tmp_path: Path) -> None:
    ledger = story(tmp_path / "ledger.db")
    before = ledger.head()
    pages = ledger.db.execute("PRAGMA page_count").fetchone()[0]
    ledger.db.execute(f"PRAGMA max_page_count = {pages}")  # SQLITE_FULL, the same code as ENOSPC
    with pytest.raises(Refused, match="disk is full") as caught:
        for _ in range(100):
            with ledger.transaction() as t:
                t.append(None, "beat", {})
                t.append(None, "filler", {"x": "x" * 10_000})
    assert caught.value.code == "E-LEDGER" and caught.value.exit == 1
    assert [event.kind for event in ledger.events(after=before[0])][-1:] in ([], ["filler"])
    assert ledger.verify().unbroken
    ledger.db.execute("PRAGMA max_page_count = 1073741823")
    ledger.append("beat")  # and it goes on when there is room
    ledger.close()


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    text, other = tmp_path / "text.db", tmp_path / "other.db"
    text.write_text("no database at all, but long enough to look at " * 20)
    conn = sqlite3.connect(other)
    conn.execute("CREATE TABLE events (id integer)")
    conn.close()
    for path, why in ((text, "not a database"), (other, "belongs to another program")):
        with pytest.raises(Refused, match=why):
            Ledger(path)
    assert [row[0] for row in sqlite3.connect(other).execute("SELECT name FROM sqlite_master")] == ["events"]


def test_a_ledger_that_broke_later_is_refused_when_it_is_read(tmp_path: Path) -> None:
    ledger = story(tmp_path / "ledger.db")
    ledger.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with ledger.path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(ledger.path.stat().st_size - 4096))
    ledger.close()
    for look in (lambda: Ledger(ledger.path).runs(), lambda: Ledger(ledger.path).run("RB-AAAA")):
        with pytest.raises(Refused, match="E-LEDGER"):
            look()


def test_what_breaks_inside_a_transaction_is_not_blamed_on_the_ledger(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    with pytest.raises(ConnectionResetError), ledger.transaction() as t:
        t.append(None, "beat")
        raise ConnectionResetError
    assert ledger.head()[0] == 0
    ledger.close()


# -- the file ----------------------------------------------------------------------------------------------


def test_nobody_else_can_read_the_files(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        ledger = story(tmp_path / "state" / "ledger.db")
        hold = ledger.hold("bot")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
    assert set(modes.values()) == {0o600}, modes
    assert hold
    hold.close()
    ledger.close()


def test_sqlite_utils_reads_the_file_as_it_is(tmp_path: Path) -> None:
    story(tmp_path / "ledger.db").close()
    command = [sys.executable, "-m", "sqlite_utils", "rows", str(tmp_path / "ledger.db"), "events"]
    rows = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert [row["kind"] for row in rows] == ["asked", "drill_due", "asked", "opened", "notme", "reminded"]
    assert datetime.fromisoformat(rows[0]["at"]).tzinfo == UTC


# -- holding -----------------------------------------------------------------------------------------------


def test_a_lock_ends_with_its_process_whatever_ends_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    assert not ledger.held("bot") and ledger.beaten("bot") == float("inf")
    code = "lock = Ledger(Path(sys.argv[1])).hold('bot')\nprint('held', flush=True)\ntime.sleep(60)"
    child = python(code, ledger.path)
    assert child.stdout and child.stdout.readline() == "held\n"
    assert ledger.held("bot") and ledger.hold("bot") is None
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert not ledger.held("bot")
    taken = ledger.hold("bot")
    assert taken and ledger.hold("bot") is None
    taken.close()
    ledger.close()


def test_looking_whether_it_is_held_never_keeps_the_holder_out(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            ledger.held("bot")

    lookers = [threading.Thread(target=look) for _ in range(2)]
    ledger.hold("bot").close()  # type: ignore[union-attr]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(200):
            taken = ledger.hold("bot")
            assert taken is not None
            taken.close()
    finally:
        stop.set()
        for looker in lookers:
            looker.join()
    ledger.close()


def test_looking_is_no_sign_of_life(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.hold("bot").close()  # type: ignore[union-attr]
    os.utime(tmp_path / "ledger.db.bot.lock", (0, 0))
    assert not ledger.held("bot") and ledger.beaten("bot") > 1_000
    ledger.close()


# -- a power cut -------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_kill_in_the_middle_of_writing_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(11)  # noqa: S311 - fixed times, no secret
    path = tmp_path / "ledger.db"
    Ledger(path).close()
    acknowledged = 0
    for trial in range(20):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                ledger = Ledger(path)
                for n in range(1_000_000):
                    ledger.append("beat", {"trial": trial, "n": n})
                    os.write(writer, f"{n}\n".encode())
            finally:
                os._exit(1)
        os.close(writer)
        assert select.select([reader], [], [], 30)[0], "the child writes nothing"
        time.sleep(chance.uniform(0.0, 0.04))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(reader) as said:
            whole = [line for line in said if line.endswith("\n")]
        ledger = Ledger(path)
        kept = [event.data["n"] for event in ledger.events() if event.data["trial"] == trial]
        assert kept == list(range(len(kept))) and len(kept) in (len(whole), len(whole) + 1)
        assert ledger.verify().unbroken
        acknowledged += len(whole)
        ledger.close()
    assert acknowledged >= 20


def test_what_is_committed_is_synced_by_every_thread(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.db")
    with ThreadPoolExecutor(1) as pool:
        found = [ledger.look("PRAGMA synchronous"), pool.submit(ledger.look, "PRAGMA synchronous").result()]
    assert found == [[(2,)], [(2,)]], "FULL: a commit has reached the disk"  # sqlite.org/pragma.html#pragma_synchronous
    ledger.close()


def test_a_ledger_whose_file_was_removed_or_replaced_takes_nothing_more(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.append("drill_due", {"period": "1"})
    (tmp_path / "ledger.db").rename(tmp_path / "away.db")
    for _ in ("removed", "replaced"):
        with pytest.raises(Refused, match="removed or replaced"):
            ledger.append("drill_due", {"period": "2"})
        (tmp_path / "ledger.db").touch()
    (tmp_path / "away.db").replace(tmp_path / "ledger.db")
    ledger.append("drill_due", {"period": "2"})
    assert ledger.head()[0] == 2
    ledger.close()


def test_there_is_one_place_for_a_bot_also_where_its_lock_file_was_removed(tmp_path: Path) -> None:
    ledger, other = Ledger(tmp_path / "ledger.db"), Ledger(tmp_path / "ledger.db")
    place = ledger.sole()
    assert place and other.sole() is None and place.lost() == ""
    lock = tmp_path / "ledger.db.bot.lock"
    lock.unlink()
    assert other.sole() is None, "the ledger itself is held too"
    assert place.lost() == "the lock file was replaced"
    lock.unlink()
    assert place.lost() == "the lock file is gone"
    place.close()
    again = other.sole()
    assert again and again.lost() == ""
    (tmp_path / "ledger.db").rename(tmp_path / "away.db")
    assert again.lost() == "the audit trail is gone"
    again.close()
    for each in (ledger, other):
        each.close()


def test_the_ledger_looks_for_the_newest_migration_of_its_tables() -> None:
    assert [one.name for one in TABLES.pending(Database(memory=True))][-1] == NEWEST


def test_events_of_no_run_are_found_by_kind_and_target_without_reading_the_others(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.db")
    for number, target in enumerate(("production", "staging", "production"), 1):
        ledger.append("drill_due", {"target": target, "period": str(number)})
    ledger.append("drill_passed", {"target": "production"})
    assert [event.id for event in ledger.apart(["drill_due"])] == [3, 2, 1]
    assert [event.id for event in ledger.apart(["drill_due", "drill_passed"], "production")] == [4, 3, 1]
    assert ledger.apart(["drill_failed"], "production") == []
    query = "EXPLAIN QUERY PLAN SELECT * FROM events WHERE run IS NULL AND kind IN ('drill_due') ORDER BY id DESC"
    assert "events_apart" in str(ledger.look(query))
    ledger.close()
