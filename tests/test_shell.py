"""The shell door: exit codes, `--json`, the runbook's own command, and what it does without a bot."""

from __future__ import annotations

import json
import os
import pwd
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from core.grammar import SYMBOLS
from core.model import State
from core.verbs import VERBS
from demo.bench import ROOT, Bench
from demo.postgres import Server
from tests import forks
from tests.bench_fixtures import QUICK, Play, compare, copied, playing, settings_of, stable
from tests.conftest import fresh
from tests.scenery import Stage, holding, waits_for_lock

ACCOUNT = pwd.getpwuid(os.getuid()).pw_name
Done = subprocess.CompletedProcess[str]
THROWAWAY = (
    '[targets.throwaway]\ndatabase_url = "{url}"\nscratch_url = "{scratch}"\nmigrations = "{files}"\napprovals = 0\n'
)


@pytest.fixture(scope="module")
def world(server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """A bench with a second target that needs no approval."""
    folder = tmp_path_factory.mktemp("shell")
    made = [fresh(server, template), fresh(server, template)]
    app, throwaway = (next(one) for one in made)
    files = copied(folder)
    more = THROWAWAY.format(url=throwaway, scratch=server.url(), files=files)
    bench = Bench(folder / "bench", server, app, settings_of(more), migrations=files, env=dict(QUICK), processes=forks)
    with ExitStack() as stack:
        yield stack.enter_context(playing(bench))
    for one in made:
        next(one, None)


def script(play: Play, *words: str, stdin: str = "") -> Done:
    """`scripts/rollback-migration.sh …`, as the runbook says it."""
    command = [str(ROOT / "scripts" / "rollback-migration.sh"), *words]
    env = play.bench.environment
    return subprocess.run(command, cwd=ROOT, env=env, input=stdin, capture_output=True, text=True, timeout=60)


def the_name(play: Play) -> str:
    """What must be typed: the throw-away database's name."""
    lines = play.bench.file.read_text().split("[targets.throwaway]")[1]
    return lines.split("@/")[1].split("?")[0]


def versions(play: Play) -> list[str]:
    """Applied on the throw-away target, as the shell says."""
    found = json.loads(play.bench.shell("migrations", "--on", "throwaway", "--json").stdout)
    return sorted(row["version"] for row in found["migrations"] if row["applied"])


def test_the_runbooks_own_command_asks_for_the_name_and_undoes_what_it_says(world: Play) -> None:
    wrong = script(world, "latest", "--on", "throwaway", stdin="production\n")
    assert (wrong.returncode, wrong.stdout) == (4, "")
    assert versions(world) == ["001", "002", "003", "004", "010", "011", "012"]
    latest = script(world, "latest", "--on", "throwaway", stdin=f"{the_name(world)}\n")
    assert latest.returncode == 0, latest.stderr
    assert versions(world) == ["001", "002", "003", "004", "010", "011"]
    named = script(world, "011_subscriptions", "--on", "throwaway", stdin=f"{the_name(world)}\n")
    assert named.returncode == 0, named.stderr
    assert versions(world) == ["001", "002", "003", "004", "010"]
    told = "".join(
        f"$ rollback-migration.sh {w}\n{d.stderr}\n"
        for w, d in (("latest", wrong), ("latest", latest), ("011_subscriptions", named))
    )
    compare("in_the_shell", stable(told).replace(ACCOUNT, "ACCOUNT"))
    assert [run.state for run in world.ledger.runs()] == [State.DONE, State.DONE, State.WITHDRAWN]
    world.left_clean()


def test_both_ways_back_in_the_shell(stage: Stage, server: Server, template: str, tmp_path: Path) -> None:
    """On a target of its own."""
    made = fresh(server, template)
    more = THROWAWAY.format(url=next(made), scratch=server.url(), files=copied(tmp_path))
    play = stage(more)
    name, told = the_name(play), ""
    assert script(play, "latest", "--on", "throwaway", stdin=f"{name}\n").returncode == 0
    undone = play.newest()
    for words, stdin, code, newest in (
        (("reapply", undone.id), "production\n", 4, "011"),
        (("reapply", undone.id), f"{name}\n", 0, "012"),
        (("reapply", undone.id), "", 3, "012"),
        (("restore", undone.id), f"{name}\n", 0, "012"),
        (("release", undone.id), "", 3, "012"),
        (("resume", undone.id), "", 3, "012"),
    ):
        done = play.bench.shell(*words, stdin=stdin)
        assert (done.returncode, versions(play)[-1]) == (code, newest), done.stderr
        told += f"$ rollback {' '.join(words)}    -> {code}\n{done.stderr}\n"
    assert play.ledger.run(undone.id).state is State.RESTORED
    restored = play.newest()
    old = restored.evidence["identify"]["kept"]
    done = play.bench.shell("restore", restored.id, "--drop-old", stdin=f"{old}\n")
    told += f"$ rollback restore {restored.id} --drop-old\n{done.stderr}\n{done.stdout}"
    compare("back_in_the_shell", stable(told).replace(ACCOUNT, "ACCOUNT"))
    play.left_clean()
    next(made, None)


def test_a_shell_that_was_killed_in_execute_is_resumed_in_another(
    stage: Stage, server: Server, template: str, tmp_path: Path
) -> None:
    made = fresh(server, template)
    url = next(made)
    more = THROWAWAY.format(url=url, scratch=server.url(), files=copied(tmp_path))
    play = stage(more + 'lock_wait = "30 s"\n')
    name = the_name(play)
    command = [str(ROOT / "scripts" / "rollback-migration.sh"), "latest", "--on", "throwaway"]
    with holding(url, "SELECT count(*) FROM stripe_events"):
        shell = subprocess.Popen(
            command, cwd=ROOT, env=play.bench.environment, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert shell.stdin
        shell.stdin.write(f"{name}\n")
        shell.stdin.flush()
        waits_for_lock(play)
        shell.kill()
        shell.wait()
        shell.stdin.close()
        run = play.until(play.newest().id, State.INTERRUPTED)  # the bot asks the database
    done = play.bench.shell("resume", run.id)
    assert done.returncode == 0, done.stderr
    assert "committed" in done.stderr and done.stdout == f"{run.id} is done.\n"
    assert versions(play)[-1] == "011"
    play.left_clean()
    next(made, None)


def test_every_verb_answers_with_one_object(world: Play) -> None:
    run = world.newest() if world.ledger.runs() else world.until(world.asks("latest").id, State.WAITING)
    asked = {
        "plan": ("latest",), "show": (run.id,), "audit": (), "status": (), "history": (), "stats": (), "migrations": (),
        "doctor": (), "whoami": (), "help": (), "approve": (run.id,), "deny": (run.id, "no need"),
        "withdraw": (run.id,), "stop": (run.id,), "report": (run.id,), "check": (), "reapply": (run.id,),
        "restore": (run.id,), "drill": (), "release": (run.id,), "resume": (run.id,), "verify": (run.id,), "keep": (run.id,),
        "break-glass": (run.id,), "totp": (), "init": (), "completion": ("bash",), "backup": (), "readiness": (), "guard": (),
    }  # fmt: skip
    for verb in sorted(VERBS.keys() - {"request"}):
        done = world.bench.shell(verb, *asked[verb], "--json")
        data = json.loads(done.stdout)
        assert data["schema_version"] == 1, verb
        assert data["ok"] == (done.returncode == 0), (verb, done)
    refused = world.bench.shell("011_subscribtions", "--on", "throwaway", "--json")
    data = json.loads(refused.stdout)
    assert (refused.returncode, data["exit"], data["ok"]) == (2, 2, False)


def test_what_the_shell_cannot_do_has_a_sentence_a_code_and_an_exit_code(world: Play) -> None:
    ends = {run.id[-2:] for run in world.ledger.runs()}  # a run whose id ends alike would be suggested
    nobodys = next(f"RB-22{end}" for one in SYMBOLS for end in [f"{one}2"] if end not in ends)
    cases = (
        (("latest", "--force"), 2),
        (("latest", "--on", "prod"), 2),
        (("show", nobodys), 2),
        (("013_plans", "--on", "throwaway"), 2),
        (("to", "012_stripe_events"), 3),
        (("approve", nobodys), 3),
    )
    told = ""
    for words, code in cases:
        done = world.bench.shell(*words)
        assert (done.returncode, done.stdout) == (code, ""), done
        told += f"$ rollback {' '.join(words)}    -> {code}\n{done.stderr}\n"
    nobody = world.bench.folder / "nobody.toml"
    nobody.write_text(re.sub(r"(?s)\[people\].*?(?=\n\[)", "", world.bench.file.read_text()))
    stranger = world.bench.shell("latest", env={"ROLLBACK_CONFIG": str(nobody)})
    assert stranger.returncode == 3
    told += "$ rollback latest    (as somebody else)\n" + stranger.stderr.replace(ACCOUNT, "ACCOUNT")
    compare("refused_in_the_shell", stable(told))
    world.left_clean()


def test_without_a_bot_nobody_could_approve_so_nothing_starts(stage: object) -> None:
    play: Play = stage()  # type: ignore[operator]
    waiting = play.asks("latest")
    busy = play.bench.shell("011_subscriptions")
    assert (busy.returncode, waiting.id in busy.stderr) == (5, True)
    assert play.bench.shell("stop", waiting.id).returncode == 0
    play.told()
    play.bench.stop_bot()
    done = play.bench.shell("latest")
    assert (done.returncode, "E-NO-BOT" in done.stderr) == (69, True)
    assert not play.ledger.open_runs()
    assert play.bench.shell("status").returncode == 0
    assert "bot" in play.bench.shell("doctor").stdout
    tampered_with(play)


def tampered_with(play: Play) -> None:
    """Whoever can write the file can change it, but not unseen."""
    assert play.bench.shell("audit", "verify").returncode == 0
    path: Path = play.ledger.path
    play.ledger.close()
    with sqlite3.connect(path) as db:
        db.execute("DROP TRIGGER events_no_update")
        db.execute('UPDATE events SET data = \'{"note":"fine"}\' WHERE id = 2')
    db.close()
    done = play.bench.shell("audit", "verify", "--json")
    data = json.loads(done.stdout)
    assert (done.returncode != 0, data["schema_version"], data["ok"]) == (True, 1, False)


def test_changed_events_are_found_although_the_guards_are_back(world: Play) -> None:
    if not world.ledger.runs():
        script(world, "latest", "--on", "throwaway", stdin="no\n")
    source, copy = world.ledger.path, world.bench.folder / "evidence" / "ledger.db"
    copy.parent.mkdir(exist_ok=True)
    with sqlite3.connect(source) as one, sqlite3.connect(copy) as other:
        one.backup(other)
        guard = other.execute("SELECT sql FROM sqlite_master WHERE name = 'events_no_update'").fetchone()[0]
        other.execute("DROP TRIGGER events_no_update")
        other.execute("UPDATE events SET at = '2020-01-01T00:00:00.000Z' WHERE id = 2")
        other.execute(guard)
    one.close()
    other.close()
    done = world.bench.shell("audit", "verify", env={"ROLLBACK_LEDGER": str(copy)})
    assert done.returncode == 3
    assert "2" in done.stdout


def test_a_settings_file_of_ones_own_is_no_way_around_the_running_bot(stage: Stage, tmp_path: Path) -> None:
    play = stage()
    own = tmp_path / "own.toml"
    text = play.bench.file.read_text().replace('approvers = ["@db-oncall"]', "approvals = 0")
    assert "approvals = 0" in text
    own.write_text(text)
    tried = play.bench.shell("latest", stdin="app\n", env={"ROLLBACK_CONFIG": str(own)})
    assert tried.returncode == 2 and "other settings than this shell" in tried.stderr
    assert play.ledger.runs() == [] and play.applied()[-1] == "012"
