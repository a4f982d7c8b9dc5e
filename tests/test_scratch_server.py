"""Where proofs run: a given server or a throw-away one, fit for the target, or a clear answer."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import psycopg
import pytest

from core import doctor, postgres, scratch_extensions, scratch_server, survey, throwaway
from core.errors import Problem, Refused, StepFailed
from core.model import Person, Request, Run
from core.redact import SecretStr
from core.runbook import Work
from core.settings import Settings, Target
from core.steps.backup import backup
from core.steps.trial_restore import trial_restore
from demo.app import sample
from demo.postgres import Server

ROOT = Path(__file__).parents[1]
MAJOR = throwaway.major_of(throwaway.binaries()) or 0
ANA = Person("U0ANA", "Ana")
MISSING_MAJOR = 29
DEBIAN = Path("/usr/lib/postgresql/15/bin")

# A user of a throw-away server, who tells where it is and waits to be killed.
USER = """
import sys, time
from pathlib import Path
from core import scratch_server
with scratch_server.server(None, folder=Path(sys.argv[1])) as scratch:
    print(scratch.url, flush=True)
    time.sleep(60)
"""

EXTENSIONS = {
    # nothing depends on it; it has a view, a grant to others and a table of settings, as pg_stat_statements and pg_cron
    "rb_aside": """
        CREATE FUNCTION rb_aside_numbers() RETURNS SETOF int LANGUAGE sql AS 'SELECT 1';
        CREATE VIEW rb_aside_view AS SELECT * FROM rb_aside_numbers();
        CREATE TABLE rb_aside_jobs (id serial PRIMARY KEY, name text);
        SELECT pg_catalog.pg_extension_config_dump('rb_aside_jobs', '');
        SELECT pg_catalog.pg_extension_config_dump('rb_aside_jobs_id_seq', '');""",
    "rb_needed": "CREATE DOMAIN rb_word AS text CHECK (VALUE <> '');",
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that every account can reach, which pytest's own is not."""
    made = Path(tempfile.mkdtemp(prefix="rb-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module", autouse=True)
def nothing_stays() -> Iterator[None]:
    yield
    scratch_server.stop()


@pytest.fixture(scope="module")
def richer(folder: Path) -> Iterator[Server]:
    """A server with extensions that no scratch server has (PostgreSQL 18: extension_control_path)."""
    place = folder / "more" / "extension"
    place.mkdir(parents=True)
    for name, script in EXTENSIONS.items():
        (place / f"{name}.control").write_text("default_version = '1.0'\nrelocatable = true\n")
        (place / f"{name}--1.0.sql").write_text(script)
    path = {"extension_control_path": f"{folder / 'more'}:$system"}
    with throwaway.start(folder / "richer", settings=path) as server:
        yield server


def do(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        for statement in statements:
            conn.execute(statement.encode())


def ask(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as conn:
        row = conn.execute(query.encode()).fetchone()
        return row[0] if row else None


def soon(what: Callable[[], bool]) -> bool:
    """Whether `what` becomes true within ten seconds."""
    deadline = time.monotonic() + 10
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)
    return what()


def socket_dir(url: str) -> Path:
    return Path(unquote(url.partition("?host=")[2]))


def settings(folder: Path, pg_bin: Path | None = None) -> Settings:
    return Settings(backup_dir=folder / "backups", ledger=folder / "ledger.db", pg_bin=pg_bin or throwaway.binaries())


def target(url: str, scratch: str | None = None) -> Target:
    return Target(
        "production", SecretStr(url), SecretStr(scratch) if scratch else None, sample.MIGRATIONS, approvers=("U0BOB",)
    )


def planned(url: str, folder: Path, scratch: str | None = None) -> Run:
    """Identified and rehearsed, newest migration."""
    return survey.preview(Request("latest"), target(url, scratch), settings(folder), ANA, datetime.now(UTC))


@pytest.fixture
def sampled(richer: Server) -> Iterator[str]:
    """The sample application on the server with more extensions."""
    do(richer.url(), "CREATE DATABASE sampled")
    sample.migrate(richer.url("sampled"))
    sample.fill(richer.url("sampled"), 30)
    yield richer.url("sampled")
    do(richer.url(), "DROP DATABASE sampled WITH (FORCE)")


# -- a throw-away server -----------------------------------------------------------------------------------


def test_a_rehearsal_without_a_scratch_url_runs_on_a_throw_away_server(app: str, folder: Path) -> None:
    rehearsed = planned(app, folder).evidence["rehearse"]
    assert rehearsed["scratch"] == {"source": "embedded wheel", "major": MAJOR}
    assert rehearsed["restores"] == "exact" and rehearsed["notes"] == []


def test_the_test_restore_uses_the_same_throw_away_server_with_the_targets_owners(app: str, folder: Path) -> None:
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("DROP ROLE IF EXISTS rb_clerk")
        conn.execute("CREATE ROLE rb_clerk")
        conn.execute("GRANT SELECT ON stripe_events TO rb_clerk")
    state = folder / "whole"
    run = planned(app, state)
    used = scratch_server.find(None, MAJOR, throwaway.binaries())
    (state / "backups").mkdir(parents=True, exist_ok=True)
    work = Work(replace(run, id="RB-7K3M"), target(app), settings(state))
    run = replace(work.run, evidence={**run.evidence, "backup": backup(work)})
    restored = trial_restore(replace(work, run=run))
    do(app, "DROP OWNED BY rb_clerk", "DROP ROLE rb_clerk")
    assert restored["equal"] == restored["tables"] > 0
    assert restored["notes"] == [], "roles that the scratch server lacked were made there"
    assert scratch_server.find(None, MAJOR, throwaway.binaries()) == used
    left = "SELECT count(*) FROM pg_database WHERE datname LIKE 'rollback_scratch%'"
    assert ask(used.url, left) == 0


def test_many_at_once_share_one_server(folder: Path) -> None:
    scratch_server.stop()

    def use(_: int) -> str:
        with scratch_server.server(None, MAJOR, folder=folder / "shared") as scratch:
            ask(scratch.url, "SELECT 1")
            return scratch.url

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(use, range(16)))) == 1
    assert len(list((folder / "shared").iterdir())) == 1
    scratch_server.stop()
    assert not (folder / "shared").exists()


def test_it_listens_in_a_closed_folder_only(folder: Path) -> None:
    scratch = scratch_server.find(None, MAJOR, folder=folder)
    assert socket_dir(scratch.url).stat().st_mode & 0o777 == 0o700
    assert ask(scratch.url, "SHOW listen_addresses") == ""
    data = Path(str(ask(scratch.url, "SHOW data_directory")))
    assert data.stat().st_mode & 0o777 == 0o700
    assert ask(scratch.url, "SHOW fsync") == "off"


def test_a_server_that_died_is_replaced(folder: Path) -> None:
    before = scratch_server.find(None, MAJOR, folder=folder)
    pid = int((socket_dir(before.url) / ".s.PGSQL.5432.lock").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    assert soon(lambda: scratch_server.find(None, MAJOR, folder=folder).url != before.url)
    assert ask(scratch_server.find(None, MAJOR, folder=folder).url, "SELECT 1") == 1
    assert not socket_dir(before.url).exists()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_however_its_user_ends(folder: Path, how: signal.Signals) -> None:
    command = [sys.executable, "-c", USER, str(folder / "user")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as user:
        assert user.stdout is not None
        url = user.stdout.readline().strip()
        data, sockets = Path(str(ask(url, "SHOW data_directory"))), socket_dir(url)
        assert data.is_relative_to(folder / "user")
        pid = int((sockets / ".s.PGSQL.5432.lock").read_text().splitlines()[0])
        user.send_signal(how)
    assert soon(lambda: not any(path.exists() for path in (data, sockets, folder / "user", Path(f"/proc/{pid}"))))


def test_a_major_that_is_nowhere_gets_a_clear_answer(folder: Path) -> None:
    with pytest.raises(Refused) as refused:
        scratch_server.find(None, MISSING_MAJOR, throwaway.binaries(), folder)
    assert refused.value.code == "E-SCRATCH"
    assert f"no scratch server of PostgreSQL {MISSING_MAJOR}" in refused.value.message
    assert f"{MAJOR} only here. Nothing was started." in refused.value.message
    assert f"postgresql-{MISSING_MAJOR}" in refused.value.hint and "scratch_url" in refused.value.hint


def test_a_server_that_cannot_start_gets_a_clear_answer_without_paths(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch_server.stop()
    monkeypatch.setattr(scratch_server, "SETTINGS", {"shared_buffers": "a lot"})
    with pytest.raises(Refused, match="does not start") as refused:
        scratch_server.find(None, MAJOR, folder=folder)
    assert refused.value.code == "E-SCRATCH" and "shared_buffers" in refused.value.hint
    assert "/tmp" not in refused.value.text


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_folder_on_path_that_is_closed_to_us_is_passed_over(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    look = "from core import scratch_server as s; print([one.source for one in s.installed()])"
    packages = str(throwaway.binaries().parents[2])
    done = subprocess.run(
        ["/usr/bin/env", "python3", "-c", look], capture_output=True, text=True, cwd=ROOT, check=False,
        env={"PATH": f"{closed}:/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{packages}", "PYTHONDONTWRITEBYTECODE": "1"},
        user=65534, group=65534, extra_groups=[],
    )  # fmt: skip
    if "ModuleNotFoundError" in done.stderr or "ImportError" in done.stderr or done.returncode == 127:
        pytest.skip("no Python with our packages that an ordinary user may run")
    assert "embedded wheel" in done.stdout, done.stderr


@pytest.mark.skipif(not (DEBIAN / "initdb").exists(), reason="no PostgreSQL 15 on this machine")
def test_programs_of_this_machine_serve_their_own_major(folder: Path) -> None:
    with scratch_server.server(None, 15, folder=folder) as scratch:
        assert scratch.source == "local binaries"
        assert str(ask(scratch.url, "SHOW server_version")).startswith("15.")


# -- scratch_url -------------------------------------------------------------------------------------------


def test_another_database_of_the_targets_own_server_is_allowed(app: str, server: Server, folder: Path) -> None:
    rehearsed = planned(app, folder, server.url()).evidence["rehearse"]
    assert rehearsed["scratch"] == {"source": "scratch_url", "major": MAJOR}


def test_the_targets_own_database_under_another_address_is_refused(app: str, folder: Path) -> None:
    same = app.replace("postgresql://postgres@/", "postgres://postgres@:5432/")
    with pytest.raises(Refused, match="leads to the database of \\*production\\* itself") as refused:
        planned(app, folder, same)
    assert refused.value.code == "E-SCRATCH"


def test_a_scratch_url_that_does_not_answer_is_said_without_its_address() -> None:
    with pytest.raises(StepFailed) as failed:
        scratch_server.find("postgresql://u:hunter2@127.0.0.1:1/scratch", MAJOR)
    assert failed.value.code == "E-SCRATCH" and "hunter2" not in failed.value.text


def test_a_scratch_url_of_another_major_is_refused(server: Server) -> None:
    with pytest.raises(Refused, match=f"is PostgreSQL {MAJOR}, the target is {MAJOR - 1}") as refused:
        scratch_server.find(server.url(), MAJOR - 1)
    assert refused.value.code == "E-SCRATCH"
    assert scratch_server.find(server.url()).major == MAJOR


# -- extensions --------------------------------------------------------------------------------------------


def test_an_extension_that_the_schema_needs_is_named(sampled: str, folder: Path) -> None:
    do(sampled, "CREATE EXTENSION rb_needed", "ALTER TABLE stripe_events ADD word rb_word")
    with pytest.raises(Refused, match=r"needs the extension `rb_needed`, and a throw-away one") as refused:
        planned(sampled, folder)
    assert refused.value.code == "E-SCRATCH" and "that has it" in refused.value.hint


def test_an_extension_that_nothing_needs_is_left_out_of_both_proofs_and_named(sampled: str, folder: Path) -> None:
    do(
        sampled, "CREATE EXTENSION rb_aside", "INSERT INTO rb_aside_jobs (name) VALUES ('nightly')",
        "GRANT SELECT ON rb_aside_view TO PUBLIC", "REVOKE ALL ON FUNCTION rb_aside_numbers() FROM PUBLIC",
    )  # fmt: skip
    state = folder / "aside"
    run = planned(sampled, state)
    said = "the extension rb_aside is not in the copy: the scratch server lacks it"
    assert run.evidence["rehearse"]["notes"][0].startswith(said)
    (state / "backups").mkdir(parents=True, exist_ok=True)
    work = Work(replace(run, id="RB-7K3M"), target(sampled), settings(state))
    run = replace(work.run, evidence={**run.evidence, "backup": backup(work)})
    restored = trial_restore(replace(work, run=run))
    assert restored["notes"][-1].startswith(said) and restored["equal"] == restored["tables"]


def test_an_extension_that_a_script_names_is_needed(sampled: str, folder: Path) -> None:
    do(sampled, "CREATE EXTENSION rb_aside")
    with psycopg.connect(sampled, autocommit=True) as conn:
        database = postgres.identity(conn)
    script = "DROP EXTENSION IF EXISTS rb_aside;"
    with pytest.raises(Refused, match="`rb_aside`"):
        scratch_server.fit(target(sampled), settings(folder), database, [script])
    fit = scratch_server.fit(target(sampled), settings(folder), database, ["SELECT 'rb_aside_not'"])
    assert fit.lacking.left_out == ("rb_aside",)


def test_another_version_of_an_extension_is_noted(sampled: str, folder: Path) -> None:
    do(sampled, "CREATE EXTENSION citext VERSION '1.4'")
    (note,) = planned(sampled, folder).evidence["rehearse"]["notes"]
    assert note.startswith("the extension citext is 1.") and note.endswith("on the scratch server, 1.4 on the target")


@pytest.mark.parametrize(
    ("statements", "needed"),
    [
        (["CREATE TABLE u (a citext)"], True),
        (["CREATE FUNCTION u(citext) RETURNS int LANGUAGE sql AS 'SELECT 1'"], True),
        (["CREATE TABLE u (a text)", "CREATE INDEX ON u ((a::citext))"], True),
        (["CREATE TABLE u (a text)"], False),
    ],
)
def test_what_depends_on_an_extension_is_found(database: str, statements: list[str], needed: bool) -> None:
    do(database, "CREATE EXTENSION citext", *statements)
    with psycopg.connect(database, autocommit=True) as conn:
        assert bool(postgres.execute(conn, scratch_extensions.DEPENDENTS, ["citext"])) is needed


# -- rollback doctor ---------------------------------------------------------------------------------------


def test_the_doctor_tries_the_throw_away_server(app: str, folder: Path) -> None:
    told = doctor.scratch(target(app), settings(folder))
    assert "a throw-away one (embedded wheel), a scratch database was made and removed" in told


def test_the_doctor_names_an_extension_that_is_lacking(sampled: str, folder: Path) -> None:
    do(sampled, "CREATE EXTENSION rb_needed", "CREATE TABLE words (word rb_word)")
    with pytest.raises(Problem, match="`rb_needed`"):
        doctor.scratch(target(sampled), settings(folder))
