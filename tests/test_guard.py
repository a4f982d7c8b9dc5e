"""`rollback guard`: no command without a proven backup, nothing of the command but its end, and a clear word on what it has applied."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core import guarding
from core.errors import Problem
from demo.bench import ROOT
from demo.postgres import Server
from tests.bench_fixtures import Play, copied
from tests.execute_stand import Stand
from tests.scenery import Stage
from tests.test_preparing import newest, said

SECRET = "hunter2-of-the-deploy"
APPLY = """
import sys
import psycopg
folder, url, name = sys.argv[1:4]
with psycopg.connect(url) as conn:
    conn.execute(open(f"{folder}/{name}.sql").read())
    conn.execute("INSERT INTO schema_migrations (version) VALUES (%s)", [name[:3]])
print("applied", sys.stdin.read(), flush=True)
"""


@pytest.fixture
def play(stage: Stage, tmp_path: Path) -> Play:
    files = copied(tmp_path)
    for name, forward, undo in (
        ("013_plans", "CREATE TABLE plans (name text);\n", "DROP TABLE plans;\n"),
        ("014_prices", "CREATE TABLE prices (cents int);\n", "DROP TABLE no_such_table;\n"),
    ):
        (files / f"{name}.sql").write_text(forward)
        (files / "rollback" / f"{name}.sql").write_text(undo)
    (tmp_path / "apply.py").write_text(APPLY)
    return stage(migrations=files)


def deploys(play: Play, name: str, *flags: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    folder = play.bench.folder.parent
    command = [sys.executable, str(folder / "apply.py"), str(folder / "migrations"), play.bench.database, name, SECRET]
    return play.bench.shell("guard", *flags, "--", *command, stdin=stdin)


def trail(play: Play) -> str:
    return str([(event.kind, event.data) for event in play.ledger.events()])


def test_a_deploy_is_guarded_from_the_backup_before_to_the_way_back_of_what_it_applied(play: Play) -> None:
    assert play.bench.shell("readiness", "now").returncode == 0
    done = deploys(play, "013_plans", "--json", stdin="its own input")
    assert done.returncode == 0, done.stderr
    head, _, rest = done.stdout.partition("\n")
    told = json.loads(rest)
    assert head == "applied its own input" and told["applied"] == ["013_plans"] and told["command_code"] == 0
    (one,) = told["migrations"]
    assert (one["name"], one["state"]) == ("013_plans", "ready") and told["backup"]["id"] in done.stderr
    backup, board = newest(play, "backup_proven"), newest(play, "readiness")
    assert backup and board and backup.id < board.id and board.data["migrations"][0] == one
    below = [(line["name"], line["state"]) for line in board.data["migrations"][1:]]
    assert below == [("012_stripe_events", "not tried"), ("011_subscriptions", "not tried")]
    again = play.bench.shell("guard", "--", "true")
    assert again.returncode == 0 and "No migration was applied on production" in again.stderr and again.stdout == ""
    assert len(play.ledger.apart(["readiness"])) == 2 and len(play.ledger.apart(["backup_proven"])) == 2
    assert SECRET not in trail(play) + done.stderr + done.stdout + play.bench.log.read_text()


def test_what_has_no_working_way_back_ends_with_3_and_the_channel_hears_of_it(play: Play) -> None:
    done = deploys(play, "014_prices")
    assert (done.returncode, done.stdout) == (3, "applied \n")
    assert "The command has succeeded" in done.stderr and "No working way back: 014_prices" in done.stderr
    assert "014_prices.sql" in done.stderr and "42P01" in done.stderr
    assert "014_prices" in said(play, "What could be undone on production has changed")


def test_without_a_proven_backup_the_command_is_not_run(play: Play, tmp_path: Path) -> None:
    mark = tmp_path / "it ran"
    run = play.asks("latest")
    done = play.bench.shell("guard", "--json", "--", "touch", str(mark))
    told = json.loads(done.stdout)
    assert done.returncode == 1 and "The command was not run" in done.stderr and run.id in done.stderr
    assert (told["ok"], told["ran"], told["problem"]["code"], told["exit"]) == (False, False, "E-BUSY", 1)
    play.types(f"stop {run.id}")
    off = play.bench.shell("guard", "--", "touch", str(mark), env={"ROLLBACK_TARGETS__PRODUCTION__BACKUP__KIND": "scoped",
                           "ROLLBACK_TARGETS__PRODUCTION__BACKUP__VERIFIED": '["true"]'})  # fmt: skip
    assert (off.returncode, "without a plan there is nothing to take" in off.stderr) == (1, True), off.stderr
    assert not mark.exists()


def test_the_end_of_the_command_is_ours(play: Play, tmp_path: Path) -> None:
    plain = tmp_path / "plain.txt"
    plain.write_text("no program\n")
    for words, code, why in (
        (("sh", "-c", "exit 42"), 42, "ended with 42"),
        (("sh", "-c", "kill -KILL $$"), 137, "ended with 137"),
        ((f"/nowhere/{SECRET}",), 127, "could not be started: no such file"),
        ((str(plain), SECRET), 126, "could not be started: permission denied"),
    ):
        done = play.bench.shell("guard", "--", *words)
        assert (done.returncode, why in done.stderr) == (code, True), done.stderr
        assert SECRET not in done.stderr + trail(play)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 7), (signal.SIGINT, 7), (signal.SIGUSR1, 0)])
def test_a_signal_is_passed_on_and_its_end_is_ours(play: Play, number: signal.Signals, code: int) -> None:
    stubborn = f"trap 'echo got it; exit {code}' {number.value}; echo ready; while :; do read -r line || exit 9; done"
    words = [sys.executable, "-m", "core", "guard", "--", "bash", "-c", stubborn]
    shell = subprocess.Popen(
        words, cwd=ROOT, env=play.bench.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    assert shell.stdout and shell.stdin
    assert shell.stdout.readline() == "ready\n"
    os.kill(shell.pid, number)
    out = shell.stdout.read()  # its input stays open meanwhile
    _, err = shell.communicate(timeout=60)
    assert (shell.returncode, out) == (code, "got it\n") and "signal was passed on" in err


def test_a_signal_that_is_ignored_is_ignored_by_the_command_too(play: Play) -> None:
    """As `nohup rollback guard -- make migrate` in a session that ends."""
    deploy = "import signal; print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    guard = [sys.executable, "-m", "core", "guard", "--", sys.executable, "-c", deploy]
    words = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *guard]
    done = subprocess.run(words, cwd=ROOT, env=play.bench.environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_the_code_of_the_command_stays_where_nobody_reads_what_we_say(play: Play) -> None:
    words = [sys.executable, "-m", "core", "guard", "--", "sh", "-c", "echo ready; read -r line; exit 42"]
    for when in ("before", "meanwhile"):
        reader, writer = os.pipe()
        if when == "before":
            os.close(reader)
        shell = subprocess.Popen(
            words, cwd=ROOT, env=play.bench.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=writer, text=True
        )  # fmt: skip
        os.close(writer)
        assert shell.stdout and shell.stdout.readline() == "ready\n"
        if when == "meanwhile":
            os.close(reader)
        shell.communicate("go on\n", timeout=60)
        assert shell.returncode == 42


def test_keys_of_a_terminal_reach_the_command_once(play: Play) -> None:
    """The terminal signals every process of its group: passed on, the second Ctrl-C would be one too many."""
    leader, terminal = os.openpty()
    ask = "from core.guarding import at_the_terminal; print(at_the_terminal())"
    login = f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); {ask}"
    try:
        for stdin, code in ((terminal, login), (subprocess.DEVNULL, ask)):
            done = subprocess.run(
                [sys.executable, "-c", code], cwd=ROOT, env=play.bench.environment, start_new_session=True,
                stdin=stdin, capture_output=True, text=True, check=True,
            )  # fmt: skip
            assert done.stdout == f"{stdin == terminal}\n"
    finally:
        os.close(leader)
        os.close(terminal)


def test_a_database_without_a_history_has_nothing_applied(server: Server, app: str, tmp_path: Path) -> None:
    stand = Stand(server, app, tmp_path)
    assert [row.version for row in guarding.applied(stand.target)][:1] == ["012"]
    stand.sql("ALTER TABLE schema_migrations RENAME version TO other")
    with pytest.raises(Problem, match="E-HISTORY"):
        guarding.applied(stand.target)
    stand.sql("DROP TABLE schema_migrations")
    assert guarding.applied(stand.target) == []


def test_a_forgotten_dash_says_what_to_type_and_repeats_no_word(play: Play) -> None:
    on = ("--on", "production")
    for words in (
        ("guard",),
        ("guard", "--"),
        ("guard", "--on", SECRET, "psql", SECRET),
        ("guard", "psql", "--json"),
        (*on, "guard", SECRET),
        ("--on=production", "--json", "Guard", "psql", SECRET),
        ("—on", "production", "guard", SECRET),
    ):
        done = play.bench.shell(*words)
        assert (done.returncode, SECRET in done.stderr + done.stdout) == (2, False), done
        assert "after `--`" in done.stderr + done.stdout
    for words in ((*on, "--html", "guard", "--", SECRET), ("--reson", "x", "guard", "--", f"--help={SECRET}")):
        done = play.bench.shell(*words)
        assert (done.returncode, SECRET in done.stderr + done.stdout) == (2, False), done
    assert play.bench.shell("--on", "guard", "latest").returncode == 2  # a target's name, and no such target
    assert play.bench.shell("guard", "--help").stdout.startswith("rollback guard: run a command")
    assert play.bench.shell("guard", "--on", "prod", "--", "true").returncode == 2
    assert "in the shell only" in str(play.types("guard")) and not play.ledger.apart(["backup_taken"])
    done = play.bench.shell(*on, "guard", "--", "echo", SECRET)
    assert (done.returncode, done.stdout) == (0, f"{SECRET}\n"), done.stderr
