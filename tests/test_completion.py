"""Completion: what fits at the cursor, in real shells, without a trace."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.completion import Names, offers
from core.completion.world import migrations
from core.desk import Desk
from core.layouts import layout_for
from core.ledger import Ledger
from core.model import Person, Request, State
from core.settings import Settings, Target
from core.verbs import VERBS
from demo.app import sample
from demo.bench import ROOT
from tests.layout_projects import PROJECTS, Project
from tests.terminal import Terminal, visible

ANA = Person("U0ANA", "Ana")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with settings that do not even load, and `rollback` on PATH."""
    (tmp_path / "rollback.toml").write_text(
        'ledger = "state/l.db"\n[targets.production]\ndatabase_url = "$NOT_SET"\n'
        f'migrations = "{sample.MIGRATIONS}"\n[targets.staging]\nmigrations = "none"\nlayout = "goose"\n'
    )
    (tmp_path / "bin").mkdir()
    (tmp_path / "state").mkdir()
    command = tmp_path / "bin/rollback"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m core "$@"\n')
    command.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    for name in [*os.environ]:
        if name.startswith("ROLLBACK_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def runs(place: Path) -> tuple[str, str, str]:
    """An audit trail with a run that is open, and two that have ended; their ids, as they should be offered."""
    ledger = Ledger(place / "state/l.db")
    targets = {name: Target(name, approvers=("U0BOB",)) for name in ("production", "staging")}
    desk = Desk(ledger, Settings(ledger=ledger.path, targets=targets))
    found = []
    for target in ("production", "staging", "staging"):
        run = desk.ask(Request("from", "011"), targets[target], ANA)
        found.append(run.id)
        if target == "staging":
            with ledger.transaction() as t:
                t.move(t.run(run.id), State.WITHDRAWN, "withdrawn", {"reason": ""}, ANA)
    ledger.close()
    opened, *ended = found
    return opened, ended[1], ended[0]


def words(*typed: str) -> list[str]:
    """What is offered for the last word."""
    return [word for word, _ in offers(typed)]


# -- what fits ---------------------------------------------------------------------------------------------


def test_the_first_word_is_a_verb_or_a_migration(place: Path) -> None:
    found = words("")
    assert found[:2] == ["plan", "approve"] and set(found) >= VERBS.keys() - {"request"}
    assert found[-9:-6] == ["latest", "to", "012_stripe_events"]
    assert words("ap") == ["approve"]
    assert words("011") == ["011_subscriptions"]
    assert words("L") == ["latest"]
    assert words("zzz") == []


def test_every_verb_offers_what_its_usage_says(place: Path) -> None:
    opened, newer, older = runs(place)
    for verb in ("approve", "deny", "show", "status", "restore", "stop"):
        assert words(verb, "") == [opened, newer, older], verb
    assert words("approve", opened[:6].lower()) == words("approve", opened[:6].replace("-", "").lower()) == [opened]
    assert words("deny", opened, "") == [] and words("deny", opened, "--") == ["--json", "--help"]
    assert words("audit", "") == ["verify", "export", opened, newer, older]
    assert words("totp", "") == ["status", "enroll", "confirm", "remove"] and words("totp", "c") == ["confirm"]
    assert words("completion", "") == ["bash", "zsh", "fish"]
    assert words("help", "a") == ["approve", "audit"]
    assert words("plan", "to", "01") == ["012_stripe_events", "011_subscriptions", "010_rate_limits"]
    assert words("to", "") == words("plan", "to", "") and len(words("to", "")) == 7
    assert words("whoami", "") == ["--json", "--help"]


def test_flags_and_what_follows_them(place: Path) -> None:
    assert words("latest", "--") == ["--on", "--reason", "--incident", "--only", "--json", "--help"]
    assert words("latest", "--only", "--on", "production", "--") == ["--reason", "--incident", "--json", "--help"]
    assert words("latest", "--on", "") == ["production", "staging"]
    assert words("latest", "--on=s") == ["--on=staging"]
    assert words("latest", "--on", "=") == ["production", "staging"] and words("latest", "--on", "=", "s") == [
        "staging"
    ]
    assert words("latest", "--reason", "checkout", "") == [] and "--only" in words(
        "latest", "--reason", "checkout", "-"
    )
    assert words("check", "--layout", "go") == ["golang-migrate", "goose"]
    assert words("check", "--since", "012") == ["012_stripe_events"]
    assert words("history", "--by", "") == []
    assert words("011", "--on", "staging", "") == ["--reason", "--incident", "--only", "--json", "--help"]
    assert (
        words("to", "--on", "staging", "") == [] and words("to", "--on", "production", "01")[0] == "012_stripe_events"
    )
    for path in (("check", ""), ("check", "--junit", ""), ("audit", "verify", "--witness", "")):
        with pytest.raises(Names):
            offers(path)


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.layout)
def test_the_migrations_of_each_layout_are_named_as_it_reads_them(project: Project, tmp_path: Path) -> None:
    folder = project.write(tmp_path)
    (folder / "README.md").write_text("none")
    (folder / "999 notes.sql").write_text("none")
    settings = Settings(targets={"production": Target("production", migrations=folder, layout=project.layout)})
    read = [one.name for one in layout_for(folder, project.layout).read() if " " not in one.name]
    assert migrations(settings, "") == read[::-1]


# -- without a trace ---------------------------------------------------------------------------------------


def everything(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*") if "__pycache__" not in path.parts}


def test_nothing_is_made_and_nothing_is_said(place: Path) -> None:
    before = everything(place)
    for typed in ((""), ("approve", ""), ("011", "--on", ""), ("nonsense", "--x", ""), ("--on",)):
        done = ask(*typed) if typed else ask("")
        assert (done.returncode, done.stderr) == (0, ""), typed
    assert everything(place) == before
    opened, *_ = runs(place)
    assert everything(place) - before == {"state/l.db", "state/l.db.making.lock"}
    assert ask("approve", "").stdout.split("\t")[0] == opened
    assert everything(place) - before == {"state/l.db", "state/l.db.making.lock"}
    live = Ledger(place / "state/l.db")  # as beside a bot: what it has just written is seen
    live.append("note", {})
    assert ask("approve", "").stdout.split("\t")[0] == opened
    live.close()


@pytest.mark.parametrize("spoilt", ["settings", "ledger", "another program's", "folder"])
def test_whatever_is_spoilt_the_prompt_stays_clean(spoilt: str, place: Path) -> None:
    if spoilt == "settings":
        (place / "rollback.toml").write_bytes(b"\xff = [")
    elif spoilt == "ledger":
        (place / "state/l.db").write_bytes(b"no database" * 500)
    elif spoilt == "another program's":
        (place / "state/l.db").write_bytes(b"")
    else:
        os.environ["ROLLBACK_CONFIG"] = str(place / "nowhere.toml")
    done = ask("approve", "")
    assert (done.stdout, done.stderr) == ("", "")
    assert ask("ap").stdout.startswith("approve\t")


def ask(*typed: str) -> subprocess.CompletedProcess[str]:
    """As a script does it."""
    line = ["rollback", "__complete", *typed]
    return subprocess.run(line, capture_output=True, text=True, timeout=30, env=dict(os.environ))


# -- real shells -------------------------------------------------------------------------------------------


def shell(name: str, *options: str) -> list[str]:
    """Its command line; skips where it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return [path, *options]


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_a_script_is_sound(name: str, place: Path) -> None:
    done = subprocess.run(
        ["rollback", "completion", name], capture_output=True, text=True, timeout=30, env=dict(os.environ)
    )
    assert (done.returncode, done.stderr) == (0, "") and len(done.stdout.splitlines()) < 35
    checked = subprocess.run(
        shell(name, "-n"), input=done.stdout, capture_output=True, text=True, timeout=30, env=dict(os.environ)
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_another_shell_is_refused_by_name(place: Path) -> None:
    done = subprocess.run(
        ["rollback", "completion", "tcsh"], capture_output=True, text=True, timeout=30, env=dict(os.environ)
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("I know completion for bash, zsh, fish.")


BASH = """
source <(rollback completion bash)
complete -p rollback
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _rollback rollback "${COMP_WORDS[COMP_CWORD]}"; (IFS=,; echo "${COMPREPLY[*]}"); }
try rollback ap
try rollback 01
try rollback approve ''
try rollback latest --on = ''
try rollback latest --on pr
try rollback deny RB-2222 ''
"""


def test_bash_is_told_what_fits(place: Path) -> None:
    opened, newer, older = runs(place)
    line = shell("bash", "--norc", "--noprofile", "-c", BASH)
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, env=dict(os.environ))
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "complete -o nosort -F _rollback rollback",
        "approve",
        "012_stripe_events,011_subscriptions,010_rate_limits",
        f"{opened},{newer},{older}",
        "production,staging",
        "production",
        "",
    ]


def typed_in(place: Path, command: list[str], start: str, keys: str, **env: str) -> list[str]:
    """What the screen of an interactive shell shows after these keys; they print `DONE` in the end."""
    with Terminal(
        None, env={**os.environ, "TERM": "xterm", "PS1": "$ ", **env}, command=command, folder=place, columns=100
    ) as terminal:
        os.write(terminal.ours, f"{start}; echo rea''dy\n".encode())
        terminal.says("ready\n")
        for part in re.split("(?<=\t)", keys):
            os.write(terminal.ours, part.encode())
            if part.endswith("\t"):
                terminal.quiet()
        os.write(terminal.ours, b"\n")
        terminal.says("DONE")
        os.write(terminal.ours, b"exit\n")
        terminal.ends()
    return visible(re.sub(r"\x1b\[\?\d+[hl]", "", terminal.text))


def test_bash_completes_at_the_prompt_and_names_of_files_where_they_fit(place: Path) -> None:
    opened, *_ = runs(place)
    (place / "db_migrations").mkdir()
    start = "source <(rollback completion bash); bind 'set bell-style none'"
    keys = f"rollback sho\t{opened[:6]}\t--he\t; echo DO''NE"
    rows = typed_in(place, shell("bash", "--norc", "--noprofile", "-i"), start, keys)
    assert any(f"rollback show {opened} --help" in row for row in rows), rows
    rows = typed_in(
        place, shell("bash", "--norc", "--noprofile", "-i"), start, "rollback check db_\t --help; echo DO''NE"
    )
    assert any("rollback check db_migrations/" in row for row in rows), rows


def test_zsh_completes_at_the_prompt(place: Path) -> None:
    opened, *_ = runs(place)
    start = "autoload -U compinit; compinit -u -D; source <(rollback completion zsh)"
    keys = f"rollback sho\t{opened[:6]}\t--he\t; echo DO''NE"
    rows = typed_in(place, shell("zsh", "-f", "-i"), start, keys, PROMPT="$ ")
    assert any(f"rollback show {opened} --help" in row for row in rows), rows


def test_zsh_finds_the_script_in_its_folder_of_functions(place: Path) -> None:
    (place / "zfunc").mkdir()
    done = subprocess.run(
        ["rollback", "completion", "zsh"], capture_output=True, text=True, timeout=30, env=dict(os.environ)
    )
    (place / "zfunc/_rollback").write_text(done.stdout)
    start = f"fpath=({place}/zfunc $fpath); autoload -U compinit; compinit -u -D"
    rows = typed_in(place, shell("zsh", "-f", "-i"), start, "rollback whoa\t--he\t; echo DO''NE", PROMPT="$ ")
    assert any("rollback whoami --help" in row for row in rows), rows


FISH = """
source (rollback completion fish | psub)
for line in 'rollback app' 'rollback show ' 'rollback latest --on=p' 'rollback latest --on p' 'rollback check db_'
    complete -C $line
    echo ==
end
"""


def test_fish_is_told_what_fits_with_its_meaning(place: Path) -> None:
    opened, newer, older = runs(place)
    (place / "db_migrations").mkdir()
    done = subprocess.run(
        shell("fish", "--no-config", "-c", FISH), capture_output=True, text=True, timeout=60, env=dict(os.environ)
    )
    assert done.stderr == ""
    parts = [part.strip().splitlines() for part in done.stdout.split("==\n")]
    assert parts[0] == ["approve\tagree to a plan; a second person does"]
    assert [row.split("\t")[0] for row in parts[1]] == [opened, newer, older]
    assert parts[1][0].split("\t")[1] == "planning, production: 011"
    assert parts[2] == ["--on=production\tdefault target"] and parts[3] == ["production\tdefault target"]
    assert parts[4] == ["db_migrations/"]


# -- quick -------------------------------------------------------------------------------------------------


def cpu(*line: str) -> float:
    """CPU seconds of a program, the least of seven."""
    found = []
    for _ in range(7):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=dict(os.environ)
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


@pytest.mark.parametrize(
    ("typed", "most"),
    [
        (("--help",), 6),
        (("help", "reapply"), 6),
        (("completion", "bash"), 6),
        (("history",), 12),
        (("__complete", ""), 12),
        (("__complete", "approve", ""), 12),
    ],
    ids=str,
)
def test_what_people_wait_for_costs_few_starts_of_the_interpreter(
    typed: tuple[str, ...], most: int, place: Path
) -> None:
    runs(place)
    (place / "rollback.toml").write_text(
        f'ledger = "state/l.db"\n[targets.production]\ndatabase_url = "postgresql:///x"\nmigrations = "{sample.MIGRATIONS}"\n'
        'approvers = ["U0BOB"]\n'
    )
    os.environ["PYTHONPATH"] = str(ROOT)
    bare = cpu(sys.executable, "-c", "pass")
    assert cpu(sys.executable, "-m", "core", *typed) <= most * bare


HEAVY = ("psycopg", "slack_sdk", "slack_bolt", "apscheduler", "postgast", "sqlite_utils", "structlog", "bot")


@pytest.mark.parametrize("typed", ["--help", "history", "__complete", "completion"])
def test_what_people_wait_for_imports_nothing_big(typed: str, place: Path) -> None:
    runs(place)
    (place / "rollback.toml").write_text(
        'ledger = "state/l.db"\n[targets.a]\ndatabase_url = "postgresql:///x"\napprovals = 0\n'
    )
    code = f"import sys; from core.cli import main; main({[typed, 'bash'][: 1 + (typed == 'completion')]!r}); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0
    assert not {name.split(".")[0] for name in done.stderr.split()} & {*HEAVY}
