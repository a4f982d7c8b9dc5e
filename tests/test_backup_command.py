"""The team's own backup: what its programs are told, what is kept of what they say, and what their faults do."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from core import throwaway
from core.backups.command import no_point
from core.errors import Refused, StepFailed
from core.model import Json
from core.pgtools import Cancelled
from core.runbook import Work
from core.settings import Backup
from core.steps import restore
from core.steps.backup import backup
from core.steps.trial_restore import trial_restore
from demo.app import sample
from demo.postgres import Server
from tests.backup_worlds import program
from tests.execute_stand import Stand


def own(folder: Path, take: str, verify: str = "true", **more: object) -> Backup:
    words = {name: (str(program(folder / name, body)), "full") for name, body in (("take", take), ("verify", verify))}
    return Backup("command", **words, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def plain(server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Work]:
    """An approved plan of a target that these tests only read."""
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE own_backups TEMPLATE {template}".encode())
    yield Stand(server, server.url("own_backups"), tmp_path_factory.mktemp("own")).approved()
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute("DROP DATABASE own_backups WITH (FORCE)")


@pytest.fixture
def work(plain: Work, tmp_path: Path) -> Work:
    return replace(plain, settings=replace(plain.settings, backup_dir=tmp_path / "backups"))


def using(work: Work, chosen: Backup) -> Work:
    return replace(work, target=replace(work.target, backup=chosen))


def after(work: Work, evidence: Json) -> Work:
    return replace(work, run=replace(work.run, evidence={**work.run.evidence, "backup": evidence}))


def test_the_programs_are_told_run_target_and_name_and_no_secret(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://bot:hunter22@db/app")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1-2-3")
    seen = tmp_path / "seen"
    chosen = own(tmp_path, f'(echo "$@"; env) > {seen}.take; echo nightly-7', f"env > {seen}.verify; echo fine")
    evidence = backup(using(work, chosen))
    trial_restore(after(using(work, chosen), evidence))
    assert (evidence["name"], evidence["format"], evidence["restores"]) == ("nightly-7", "command", False)
    told = Path(f"{seen}.take").read_text().splitlines()
    assert told[0] == "full" and {"RB_RUN=RB-7K3M", "RB_TARGET=production"} <= set(told)
    assert "RB_BACKUP=nightly-7" in Path(f"{seen}.verify").read_text().splitlines()
    everything = "".join(Path(f"{seen}.{name}").read_text() for name in ("take", "verify"))
    assert (
        "hunter22" not in everything
        and "xoxb" not in everything
        and work.target.database_url.get_secret_value() not in everything
    )


def test_its_name_is_kept_clean_and_short(work: Work, tmp_path: Path) -> None:
    chosen = own(tmp_path, "printf 'log\\n\\033[31mfull-%s\\n\\n' \"$(printf 'x%.0s' $(seq 300))\"")
    name = backup(using(work, chosen))["name"]
    assert len(name) == 200 and name.startswith("\\u001b[31mfull-xxx")
    chosen = own(tmp_path, "echo s3://key:secret99@bucket/full")
    assert backup(using(work, chosen))["name"] == "s3://•••@bucket/full"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            "echo 'ERROR: [050]: unable to acquire lock' >&2; exit 50",
            "failed .exit code 50.: ERROR: .050.: unable to acquire lock",
        ),
        ("kill -9 $$", "failed"),
        ("sleep 60 & sleep 60", "did not end within 1 s"),
    ],
)
def test_a_program_that_fails_or_hangs_ends_the_step_and_nothing_stays(
    work: Work, tmp_path: Path, body: str, told: str
) -> None:
    started = time.monotonic()
    with pytest.raises(StepFailed, match=told) as caught:
        backup(using(work, own(tmp_path, body, timeout=timedelta(seconds=0.5))))
    assert caught.value.code == "E-BACKUP" and "Production was not changed" in caught.value.text
    assert list(work.settings.backup_dir.iterdir()) == [] and time.monotonic() - started < 5


def test_a_program_that_is_missing_is_known_before_anybody_is_asked(server: Server, app: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot run `nothing`") as caught:
        Stand(server, app, tmp_path, backup=Backup("command", take=("/nowhere/nothing",))).approved()
    assert caught.value.code == "E-BACKUP" and "/nowhere" not in caught.value.text


def test_a_program_that_runs_is_ended_with_the_rollback(work: Work, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    chosen = own(tmp_path, f"echo $$ > {pid}; sleep 60")
    with pytest.raises(Cancelled):
        backup(replace(using(work, chosen), cancelled=pid.exists))
    assert subprocess.run(["ps", "-p", pid.read_text().strip()], capture_output=True).returncode == 1


def test_a_backup_that_is_not_verified_is_none(work: Work, tmp_path: Path) -> None:
    chosen = own(tmp_path, "echo full-7", "echo 'checksum mismatch' >&2; exit 2")
    evidence = backup(using(work, chosen))
    with pytest.raises(StepFailed, match=r"`verify` failed \(exit code 2\): checksum mismatch"):
        trial_restore(after(using(work, chosen), evidence))


def test_what_the_rollback_destroys_is_taken_and_proven_beside_it(work: Work, tmp_path: Path) -> None:
    chosen = own(tmp_path, "echo full-7")
    evidence = backup(using(work, chosen))
    assert evidence["tables"] == 1 and evidence["rows"] > 0 and evidence["restore_point"] is None
    assert "no restore point was named: the server does not archive its log" in evidence["notes"][0]
    assert trial_restore(after(using(work, chosen), evidence))["way_back"]["works"] is True


def test_restore_names_the_teams_own_backup(work: Work, tmp_path: Path) -> None:
    evidence = {
        **backup(using(work, own(tmp_path, "echo full-7"))),
        "restore_point": {"name": "RB-7K3M", "lsn": "0/3000090"},
    }
    done = after(work, evidence)
    with pytest.raises(
        Refused, match=r"in your own backup `full-7`.*up to the restore point RB-7K3M \(0/3000090\)"
    ) as caught:
        restore.identify(replace(done, origin=done.run))
    assert caught.value.code == "E-NO-BACKUP"


# -- the restore point -------------------------------------------------------------------------------------


@contextmanager
def archiving(folder: Path) -> Iterator[Server]:
    """A server that archives its log."""
    more = {"archive_mode": "on", "archive_command": "true", "wal_level": "replica"}
    with throwaway.start(folder, settings=more) as server:
        yield server


def test_a_restore_point_is_named_where_the_log_is_archived(tmp_path: Path) -> None:
    with archiving(tmp_path / "pg") as server:
        with psycopg.connect(server.url(), autocommit=True) as conn:
            conn.execute("CREATE DATABASE app")
        sample.migrate(server.url("app"))
        stand = Stand(server, server.url("app"), tmp_path, backup=own(tmp_path, "echo full-7"))
        work = stand.approved()
        evidence = backup(work)
        assert evidence["restore_point"]["name"] == "RB-7K3M" and evidence["notes"] == []
        again = backup(replace(work, run=replace(work.run, revision=2)))
        assert again["restore_point"]["name"] == "RB-7K3M.2"
        stand.sql("CREATE ROLE humble LOGIN", "GRANT pg_read_all_data TO humble")
        with psycopg.connect(server.url("app", user="humble")) as conn:
            assert no_point(conn) == "my role may not call pg_create_restore_point"
        logged = sorted(server.folder.glob("pg-*/pg_wal/0*"))
        told = "".join(
            subprocess.run([server.bin_dir / "pg_waldump", "--rmgr=XLOG", file], capture_output=True, text=True).stdout
            for file in logged
        )
    assert "RESTORE_POINT RB-7K3M\n" in told and "RESTORE_POINT RB-7K3M.2\n" in told
    assert evidence["restore_point"]["lsn"] < again["restore_point"]["lsn"]


def test_the_settings_can_do_without_a_restore_point(work: Work, tmp_path: Path) -> None:
    evidence = backup(using(work, own(tmp_path, "echo full-7", restore_point=False)))
    assert evidence["restore_point"] is None and evidence["notes"] == [
        "no restore point was named: the settings want none"
    ]
