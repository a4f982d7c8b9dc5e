"""What every strategy of backups owes, plain and encrypted: it is whole and proven, or it is not there."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from core.backups import dump, strategies
from core.errors import StepFailed
from core.model import Json, Run
from core.pgtools import Cancelled
from core.runbook import Work
from core.steps.backup import backup
from core.steps.trial_restore import trial_restore
from demo.postgres import Server
from tests.backup_worlds import WORLDS, Keys, World, approved, keys
from tests.execute_stand import Stand

ROOT = Path(__file__).parent.parent
CHILD = """
import pickle, sys
from core.runbook import Work
from core.steps.backup import backup
backup(Work(*pickle.load(open(sys.argv[1], "rb"))))
"""


@pytest.fixture(scope="module")
def pair(server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stand, Run]]:
    with approved(server, template, tmp_path_factory.mktemp("backups")) as found:
        yield found


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    with keys(tmp_path_factory.mktemp("keys")) as found:
        yield found


@pytest.fixture(params=WORLDS)
def world(
    request: pytest.FixtureRequest, pair: tuple[Stand, Run], ring: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> World:
    monkeypatch.setenv("PATH", f"{ring.bin}{os.pathsep}{os.environ['PATH']}")
    return World(request.param, pair[1], pair[0], tmp_path, ring)


def after(work: Work, evidence: Json) -> Work:
    return replace(work, run=replace(work.run, evidence={**work.run.evidence, "backup": evidence}))


def every_file(folder: Path) -> list[Path]:
    """Also while others come and go."""
    return [Path(place, name) for place, _, names in os.walk(folder) for name in names]


def scratch(world: World) -> list[str]:
    with psycopg.connect(world.stand.server.url()) as conn:
        rows = conn.execute("SELECT datname FROM pg_database WHERE datname LIKE 'rollback_scratch_rb_7k3m%'").fetchall()
    return [row[0] for row in rows]


def waits(world: World, name: str = "%") -> bool:
    """Somebody waits for the table that `lock` holds."""
    with psycopg.connect(world.stand.url) as conn:
        rows = conn.execute(
            "SELECT 1 FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return bool(rows.fetchall())


def soon(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_is_whole_hashed_for_us_alone_and_proven(world: World) -> None:
    work = world.work()
    evidence = backup(work)
    file = dump.archive_of(work).backup(evidence["format"])
    assert world.files() == sorted(["RB-7K3M.json", file.name]) and evidence["file"] == file.name
    assert (evidence["bytes"], evidence["sha256"]) == (dump.size(file), dump.sha256(file))
    assert {stat.S_IMODE(path.stat().st_mode) for path in every_file(world.backups)} == {0o600}
    tables = json.loads(dump.archive_of(work).manifest.read_text())["tables"]
    assert evidence["tables"] == len(tables) and evidence["rows"] == sum(int(n) for n, _ in tables.values()) > 0
    assert evidence["restores"] is strategies.of(work.target).restores
    assert evidence["encrypted"] == (world.name.partition("+")[2] or None)
    tested = trial_restore(after(work, evidence))
    assert tested["equal"] == tested["tables"] == len(tables) and tested["rows_deleted"] > 0
    assert tested["way_back"]["works"] is True, tested["way_back"]
    assert world.files() == sorted(["RB-7K3M.json", file.name]) and scratch(world) == []


def test_nothing_of_an_encrypted_one_lies_in_plain_not_even_for_a_moment(world: World) -> None:
    seen, ending = set[bytes](), threading.Event()

    def watch() -> None:
        while not ending.is_set():
            for path in every_file(world.backups):
                with suppress(FileNotFoundError), path.open("rb") as file:
                    seen.add(file.read(4))

    world.backups.mkdir()
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work = world.work()
        trial_restore(after(work, backup(work)))
    finally:
        ending.set()
        watcher.join()
    kinds = {
        "plain": {b"PGDM", b"\x28\xb5\x2f\xfd"},  # pg_dump's archive, a frame of zstd
        "age": {b"age-"},
        "gpg": {one for one in seen if one[:1] >= b"\x80"},
    }
    assert {kind for kind, heads in kinds.items() if seen & heads} == {world.name.partition("+")[2] or "plain"}


def test_writes_meanwhile_do_not_disturb_it(world: World) -> None:
    work, ending = world.work(), threading.Event()

    def write() -> None:
        with psycopg.connect(world.stand.url, autocommit=True) as conn:
            while not ending.is_set():
                conn.execute("UPDATE stripe_events SET attempts = attempts + 1")
                conn.execute("UPDATE profiles SET handle = handle WHERE id % 7 = 0")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        evidence = backup(work)
    finally:
        ending.set()
        writer.join()
    tested = trial_restore(after(work, evidence))
    assert tested["equal"] == evidence["tables"]


def test_a_damaged_one_is_found(world: World) -> None:
    work = world.work()
    evidence = backup(work)
    victim = max(every_file(world.backups), key=lambda path: (path.suffix != ".json", path.stat().st_size))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    with pytest.raises(StepFailed, match="not the file that was written") as caught:
        trial_restore(after(work, evidence))
    assert caught.value.code == "E-BACKUP"


def test_what_comes_back_otherwise_is_named(world: World) -> None:
    work = world.work()
    evidence = backup(work)
    archive = dump.archive_of(work)
    manifest = json.loads(archive.manifest.read_text())
    manifest["tables"]["public.stripe_events"][1] = "1"
    evidence["manifest_sha256"] = dump.write_manifest(archive, manifest)
    with pytest.raises(StepFailed, match="table `stripe_events` has other rows"):
        trial_restore(after(work, evidence))
    assert scratch(world) == []


def test_cancelled_in_the_middle_it_leaves_nothing(world: World) -> None:
    work = world.work()
    with world.lock(), pytest.raises(Cancelled):
        backup(replace(work, cancelled=lambda: waits(world)))
    assert [name for name in world.files() if name != "RB-7K3M.json"] == []
    soon(lambda: not reading(world))


def reading(world: World) -> bool:
    """Is a connection of the backup still there?"""
    with psycopg.connect(world.stand.url) as conn:
        query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND (application_name ~ '^rollback-bot' OR application_name = 'pg_dump')"
        return bool(conn.execute(query).fetchall())


def test_killed_in_the_middle_it_is_taken_anew(world: World) -> None:
    work = world.work()
    facts = world.folder / "facts"
    facts.write_bytes(pickle.dumps((work.run, work.target, work.settings)))
    with world.lock() as held:
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(facts)], cwd=ROOT)
        try:
            soon(lambda: waits(world))
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
        assert "RB-7K3M.json" not in world.files()
        held.rollback()
    soon(lambda: not reading(world))  # pg_dump outlives the bot, and ends at its pipe
    evidence = backup(work)
    assert world.files() == sorted(["RB-7K3M.json", evidence["file"]])
    assert trial_restore(after(work, evidence))["equal"] == evidence["tables"]


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = world.work()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6, 10))
    with pytest.raises(StepFailed, match="is free") as caught:
        backup(work)
    assert caught.value.code == "E-DISK" and world.files() == []


def test_a_disk_that_runs_full_is_said_and_nothing_stays(world: World) -> None:
    world.backups.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(world.backups)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        with pytest.raises(StepFailed) as caught:
            backup(world.work())
        assert caught.value.code == "E-DISK", caught.value.text
        assert world.files() == [] and str(world.backups) not in caught.value.text
    finally:
        subprocess.run(["umount", str(world.backups)], check=True)
