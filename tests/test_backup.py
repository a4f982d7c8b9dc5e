"""The backup is on disk for good, or it is not there; what came back from it is the original, or it is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from docs_reading import blocks
from psycopg.conninfo import conninfo_to_dict

from core import keeping, pgtools
from core.backups import dump
from core.backups.fingerprints import fingerprints
from core.backups.proof import same_rows, unharmed
from core.desk import Desk
from core.engine import Engine
from core.errors import Refused, StepFailed
from core.ledger import Ledger, now
from core.model import Person, Request, Run, State
from core.pgtools import Cancelled
from core.redact import SecretStr
from core.roll_back import RUNBOOKS
from core.runbook import Work
from core.settings import Backup, Settings, Target
from core.steps.backup import backup
from core.steps.trial_restore import trial_restore
from demo.postgres import Server
from tests.execute_stand import Stand

ANA = Person("U0ANA", "Ana")


@pytest.fixture
def stand(server: Server, app: str, tmp_path: Path) -> Stand:
    return Stand(server, app, tmp_path)


def files(stand: Stand) -> list[str]:
    return sorted(path.name for path in stand.settings.backup_dir.iterdir())


def proven(stand: Stand) -> tuple[Work, dict[str, Any]]:
    work = stand.approved()
    evidence = backup(work)
    run = replace(work.run, evidence={**work.run.evidence, "backup": evidence})
    return replace(work, run=run), evidence


def scratch(stand: Stand) -> list[str]:
    with psycopg.connect(stand.server.url()) as conn:
        rows = conn.execute("SELECT datname FROM pg_database WHERE datname LIKE 'rollback_scratch_rb_7k3m%'").fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize("name", ["RB-7K3M.dump", "RB-7K3M.json"])
@pytest.mark.parametrize("damage", ["one bit", "cut", "gone"])
def test_a_file_that_is_not_the_one_that_was_written_is_found(tmp_path: Path, name: str, damage: str) -> None:
    archive = dump.Archive(tmp_path, "RB-7K3M")
    archive.backup("custom").write_bytes(os.urandom(5000))
    marked = dump.write_manifest(archive, {"tables": {}})
    evidence = {"format": "custom", "sha256": dump.sha256(archive.backup("custom")), "manifest_sha256": marked}
    assert unharmed(archive, evidence) == {"tables": {}}
    path = tmp_path / name
    data = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(data[:-1] if damage == "cut" else bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(StepFailed, match="not the file that was written"):
        unharmed(archive, evidence)


def test_a_restore_that_is_not_equal_is_found(stand: Stand) -> None:
    work, evidence = proven(stand)
    archive = dump.Archive(stand.settings.backup_dir, "RB-7K3M")
    manifest = json.loads(archive.manifest.read_text())
    manifest["tables"]["public.masks"][1] = "1"
    evidence["manifest_sha256"] = dump.write_manifest(archive, manifest)
    with pytest.raises(StepFailed, match="table `masks` has other rows") as caught:
        trial_restore(work)
    assert caught.value.code == "E-BACKUP" and scratch(stand) == []
    manifest["schema"].append(["table", "public.more", "{}"])
    manifest["tables"]["public.masks"] = fingerprints(stand.url, "x")["public.masks"]
    evidence["manifest_sha256"] = dump.write_manifest(archive, manifest)
    with pytest.raises(StepFailed, match="restored schema is not the original"):
        trial_restore(work)


@pytest.mark.parametrize(
    ("other", "told"), [(None, "is missing"), (["4", "9"], "has 4 rows, was 5"), (["5", "8"], "other rows")]
)
def test_what_is_not_equal_is_named(other: list[str] | None, told: str) -> None:
    with pytest.raises(StepFailed, match=told):
        same_rows({"public.a": ["5", "9"]}, {"public.a": other} if other else {})


def test_a_folder_that_cannot_be_written_is_refused(stand: Stand) -> None:
    work = stand.approved()
    stand.settings.backup_dir.rmdir()
    stand.settings.backup_dir.write_text("a file")
    with pytest.raises(StepFailed, match="cannot write to the backup folder") as caught:
        backup(work)
    assert str(stand.settings.backup_dir) not in caught.value.text


def test_a_full_disk_while_writing_is_said_and_nothing_stays(tmp_path: Path) -> None:
    with pytest.raises(StepFailed) as caught, dump.disk():
        Path("/dev/full").write_text("x")
    assert caught.value.code == "E-DISK"
    (tmp_path / "RB-7K3M.json").mkdir()  # the rename fails
    with pytest.raises(OSError):
        dump.write(tmp_path / "RB-7K3M.json", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["RB-7K3M.json"]


def test_a_cancelled_test_restore_leaves_no_scratch_database(stand: Stand) -> None:
    stand.sql("CREATE TABLE slow (n int)", "INSERT INTO slow VALUES (1)",
              "CREATE FUNCTION wait(int) RETURNS boolean LANGUAGE sql AS 'SELECT pg_sleep(1) IS NOT NULL'",
              "ALTER TABLE slow ADD CHECK (wait(n))")  # fmt: skip
    work, _ = proven(stand)
    with pytest.raises(Cancelled):
        trial_restore(replace(work, cancelled=lambda: True))
    assert scratch(stand) == []


ODD = """
CREATE SCHEMA "Od""d"; CREATE TABLE "Od""d"."sel%ect; --" ("t" int, "a b" text); INSERT INTO "Od""d"."sel%ect; --" VALUES (1, 'x');
CREATE TABLE t (t int, more text); INSERT INTO t VALUES (1, 'secret');
CREATE TABLE nothing (); CREATE TABLE "Ünï✓" (id int);
CREATE TABLE parts (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE parts_2 PARTITION OF parts DEFAULT; INSERT INTO parts VALUES (1, '2026-02-02'), (2, NULL);
CREATE TABLE up (id int); CREATE TABLE down (more int) INHERITS (up); INSERT INTO down VALUES (1, 2);
CREATE TABLE made (a int, b int GENERATED ALWAYS AS (a * 2) STORED, c int GENERATED ALWAYS AS IDENTITY); INSERT INTO made VALUES (3);
CREATE TABLE kinds (r regclass, f regproc, m money, d float8, i interval, at timestamptz, b bytea, j jsonb);
INSERT INTO kinds VALUES ('t', 'now', 1.5, 0.1, '1 month 2 days', now(), '\\x00ff', '{"a": [1]}');
CREATE UNLOGGED TABLE fast (id int); INSERT INTO fast VALUES (1);
"""


def test_odd_names_partitions_and_kinds_come_back_equal(stand: Stand) -> None:
    name = conninfo_to_dict(stand.url)["dbname"]
    stand.sql(ODD)
    stand.sql(f"ALTER DATABASE {name} SET search_path = public", f"ALTER DATABASE {name} SET datestyle = 'German'")
    stand.sql("SELECT lo_from_bytea(0, 'large')")
    work, evidence = proven(stand)
    assert evidence["notes"] == ["1 large objects are in the backup; the test restore does not compare them"]
    tables = json.loads(dump.Archive(stand.settings.backup_dir, "RB-7K3M").manifest.read_text())["tables"]
    assert tables["public.parts_1"][0] == "1" and tables["public.up"][0] == "0" and tables["public.nothing"][0] == "0"
    assert trial_restore(work)["equal"] == len(tables)


def test_a_change_beside_a_column_called_t_is_seen(stand: Stand) -> None:
    stand.sql("CREATE TABLE t (t int, more text)", "INSERT INTO t VALUES (1, 'one')")
    before = fingerprints(stand.url, "x")["public.t"]
    stand.sql("UPDATE t SET more = 'two'")
    assert fingerprints(stand.url, "x")["public.t"] != before


NEAR = {
    "integer": ("1", "2"), "bigint": ("NULL", "3"), "smallint": ("0", "NULL"), "boolean": ("true", "NULL"),
    "text": ("''", "NULL"), "varchar(9)": ("'a '", "'a'"), "name": ("'a'", "'b'"), "numeric": ("1.0", "1.00"),
    "double precision": ("'-0'", "'0'"), "jsonb": ("'1.0'", "'1'"), "json": ("'{\"a\":1}'", "'{\"a\": 1}'"),
    "timestamptz": ("'2026-01-01 00:00:00+00'", "'2026-01-01 00:00:00.000001+00'"), "date": ("'infinity'", "'2026-01-01'"),
    "timestamp": ("'infinity'", "'-infinity'"), "interval": ("'1 day'", "'24 hours'"), "bytea": ("'\\x00'", "'\\x0000'"),
    "uuid": ("NULL", "'00000000-0000-0000-0000-000000000001'"), "int[]": ("'{1,NULL}'", "'{1}'"),
    "inet": ("'10.0.0.1/32'", "'10.0.0.1/8'"), "bit(3)": ("B'101'", "B'100'"),
    "mood": ("'fine'", "'sad'"), "pair": ("'(1,)'", "'(1,\"\")'"), "secretive": ("'(1,2)'", "'(1,3)'"),
    "folded": ("'A'", "'a'"),
}  # fmt: skip


def test_every_change_of_a_value_is_seen_whatever_its_type_takes_for_equal(stand: Stand) -> None:
    stand.sql("CREATE TYPE mood AS ENUM ('fine', 'sad')", "CREATE TYPE pair AS (a int, b text)",
              "CREATE TYPE secretive AS (a int, b int)",
              "CREATE FUNCTION hide(secretive) RETURNS text LANGUAGE sql AS $$ SELECT 'hidden' $$",
              "CREATE CAST (secretive AS text) WITH FUNCTION hide(secretive)",
              "CREATE COLLATION folding (provider = 'builtin', locale = 'C')", "CREATE DOMAIN folded AS text COLLATE folding")  # fmt: skip
    stand.sql(*(f'CREATE TABLE near_{n} (same int DEFAULT 7, "it" {kind}, also int)' for n, kind in enumerate(NEAR)))
    marks = []
    for place in (0, 1):
        stand.sql(*(f"TRUNCATE near_{n}" for n in range(len(NEAR))))
        stand.sql(*(f'INSERT INTO near_{n} ("it") VALUES ({pair[place]})' for n, pair in enumerate(NEAR.values())))
        marks.append(fingerprints(stand.url, "x"))
    same = [name for name, mark in marks[0].items() if mark == marks[1][name] and "near_" in name]
    assert len(marks[0]) > len(NEAR) and same == []


def test_values_that_changed_places_are_told_apart_and_rows_that_did_are_not(stand: Stand) -> None:
    stand.sql("CREATE TABLE one (a int, b int)", "INSERT INTO one VALUES (1, 2), (NULL, 1)")
    stand.sql("CREATE TABLE two (a int, b int)", "INSERT INTO two VALUES (2, 1), (1, NULL)")
    stand.sql("CREATE TABLE three (a int, gone int, b int)", "INSERT INTO three VALUES (NULL, 5, 1), (1, 5, 2)",
              "ALTER TABLE three DROP gone")  # fmt: skip
    marks = fingerprints(stand.url, "x")
    assert marks["public.one"] != marks["public.two"] and marks["public.one"] == marks["public.three"]


def test_what_the_documentation_says_puts_a_backup_back_without_the_bot(stand: Stand, database: str) -> None:
    if not all(shutil.which(program) for program in ("zstd", "sha256sum")):
        pytest.skip("zstd or sha256sum is not installed")
    work, evidence = proven(stand)
    chosen = replace(work.target, backup=Backup(format="directory"))
    other = backup(replace(work, target=chosen, settings=replace(work.settings, backup_dir=stand.settings.backup_dir)))
    env = {"PATH": f"{stand.settings.pg_bin}{os.pathsep}{os.environ['PATH']}", "HOME": "/"}
    (text,) = [part for part in blocks("docs/backups.md", "sh") if "sha256sum" in part]
    told = []
    for line in text.splitlines():
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        line = line.partition("#")[0].replace("-d app_restored", f"-d '{database}'")
        done = subprocess.run(
            ["bash", "-ec", line], cwd=stand.settings.backup_dir, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        told.append(done.stdout.split(" ")[0])
        if "pg_restore" in line:
            assert fingerprints(database, "x") == fingerprints(stand.url, "x")
    assert (told[0], told[2]) == (evidence["sha256"], other["sha256"])


def test_time_limits_of_the_database_do_not_end_a_backup(stand: Stand) -> None:
    work = stand.approved()
    name = conninfo_to_dict(stand.url)["dbname"]
    stand.sql(f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '20ms'")
    assert backup(work)["tables"] > 5


def test_tools_reach_what_only_a_service_or_variable_names(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = conninfo_to_dict(stand.url)
    service = tmp_path / "pg_service.conf"
    service.write_text(f"[app]\nhost={parts['host']}\nuser=postgres\ndbname={parts['dbname']}\n")
    monkeypatch.setenv("PGSERVICEFILE", str(service))
    for url, env in (
        ("service=app", {}),
        ("", {"PGHOST": str(parts["host"]), "PGUSER": "postgres", "PGDATABASE": str(parts["dbname"])}),
    ):
        with monkeypatch.context() as patch:
            for key, value in env.items():
                patch.setenv(key, value)
            file = tmp_path / "schema.dump"
            pgtools.find(18, stand.settings.pg_bin).run("pg_dump", ["-Fc", "-s", "-f", str(file)], url)
            assert file.stat().st_size > 1000
            file.unlink()


# -- keeping -----------------------------------------------------------------------------------------------


def test_only_our_files_of_outlived_runs_are_removed(tmp_path: Path) -> None:
    ours = ["RB-7K3M.dump", "RB-7K3M.json", "RB-7K3M.after.json", "RB-7K3M.saved.partial"]
    others = [
        "RB-8888.dump",
        "notes.txt",
        "RB-7K3M.dump.bak",
        "RB-7K3M",
        "rb-7k3m.dump",
        "RB-10OI.dump",
        "xRB-7K3M.json",
    ]
    for name in (*ours, *others):
        (tmp_path / name).write_text("x")
    assert dump.clean(tmp_path, lambda run: run == "RB-7K3M") == [(name, "RB-7K3M") for name in sorted(ours)]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)


class Nobody:
    def may_ask(self, person: Person, target: Any) -> None: ...
    def may_approve(self, person: Person, run: Run, target: Any) -> None: ...


def test_backups_older_than_the_target_keeps_go_with_the_next_one(stand: Stand) -> None:
    settings = replace(
        stand.settings, targets={"production": replace(stand.target, approvals=1)}, default_target="production"
    )
    at = {"now": now()}
    ledger = Ledger(settings.ledger, lambda: at["now"])
    desk, engine = Desk(ledger, settings), Engine(RUNBOOKS, ledger, settings, Nobody())

    def run() -> Run:
        asked = desk.ask(Request("latest"), settings.target(), ANA, channel="C1")
        return engine.walk(asked.id)

    first = run()
    assert first.state is State.WAITING and first.evidence["backup"]["removed"] == []
    assert not keeping.outlived(ledger, settings, first.id)  # still open
    desk.stop(first.id, ANA)
    (settings.backup_dir / "RB-2222.dump").write_text("of a run that this ledger does not know")
    at["now"] += timedelta(days=29)
    assert not keeping.outlived(ledger, settings, first.id)
    at["now"] += timedelta(days=2)
    second = run()
    assert second.evidence["backup"]["removed"] == [f"{first.id}.dump", f"{first.id}.json"]
    assert (settings.backup_dir / "RB-2222.dump").exists() and (settings.backup_dir / f"{second.id}.dump").exists()
    assert ledger.run(first.id).cleaned and not ledger.run(second.id).cleaned
    ledger.close()


def test_files_go_by_the_clock_when_no_way_back_needs_them(tmp_path: Path) -> None:
    target = Target("production", SecretStr("postgresql://"), approvers=("U0BOB",), keep=timedelta(days=30))
    settings = Settings(targets={"production": target}, ledger=tmp_path / "l.db", backup_dir=tmp_path)
    at = {"now": now()}
    ledger = Ledger(settings.ledger, lambda: at["now"])
    desk = Desk(ledger, settings)
    old = desk.ask(Request("latest"), target, ANA, channel="C1")
    done = {"backup": {"file": f"{old.id}.dump", "restores": True}, "execute": {"saved": {"file": f"{old.id}.saved"}}}
    with ledger.transaction() as t:
        for step, evidence in done.items():
            t.append(old.id, "step_done", {"step": step, "evidence": evidence})
        for state in (State.WAITING, State.APPROVED, State.EXECUTING, State.VERIFYING, State.DONE):
            t.move(ledger.run(old.id), state, state.value, {})
    names = [f"{old.id}.dump", f"{old.id}.json", f"{old.id}.saved"]
    for name in (*names, f"{old.id}.dir.partial"):
        (tmp_path / name).write_text("x")

    def there() -> list[str]:
        return [path.name for path in sorted(tmp_path.glob("RB-*"))]

    assert keeping.clean(ledger, settings) == [] and there() == names  # what was never finished goes at once
    back = desk.way_back("reapply", old.id, target, ANA)
    at["now"] += timedelta(days=31)
    assert keeping.clean(ledger, settings) == [] and there() == names
    desk.stop(back.id, ANA)
    assert keeping.clean(ledger, settings) == names and there() == []
    assert [event.data for event in ledger.events(old.id)][-1] == {"files": names}
    for kind, code in (("reapply", "E-NO-SAVED"), ("restore", "E-NO-BACKUP")):
        with pytest.raises(Refused) as no:
            desk.way_back(kind, old.id, target, ANA)  # type: ignore[arg-type]
        assert no.value.code == code and "no longer kept" in no.value.message
    ledger.close()
