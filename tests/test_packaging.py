"""What is shipped: the image, the locks, the notices and the runbook's own command."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from core.config import state_dir

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "scripts/rollback-migration.sh"
LOCKS = ["requirements.lock", "requirements-demo.lock", "requirements-dev.lock", "requirements-docs.lock"]


def pins(lock: str) -> dict[str, str]:
    """Package -> version and marker, as the lock file says."""
    found = re.findall(r"^([a-z0-9-]+)==([^\\\n]+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {name: version.strip() for name, version in found}


def instructions() -> list[list[str]]:
    """The Dockerfile's instructions, one list of words each; continuation lines are joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    return [line.split() for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def copied() -> list[str]:
    """What the Dockerfile takes from the checkout."""
    copies = [words for words in instructions() if words[0] == "COPY" and not words[1].startswith("--from")]
    return [source for words in copies for source in words[1:-1]]


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the checkout, with nothing on standard input."""
    return subprocess.run(
        words,
        cwd=ROOT,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("source", copied())
def test_everything_the_image_copies_exists_and_is_let_in(source: str) -> None:
    assert (ROOT / source).exists()
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert source.removeprefix("./") in let_in


def test_secrets_and_state_stay_out_of_the_image() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] not in ("", "#")]
    assert rules[0] == "*"
    for private in (".env", "rollback.toml", ".rollback", ".git", ".venv", "demo", "tests"):
        assert not any(fnmatch(private, rule[1:]) for rule in rules if rule.startswith("!"))


def test_the_image_does_not_run_as_root() -> None:
    user = [words[1] for words in instructions() if words[0] == "USER"]
    assert user == ["10001:10001"]


def test_the_image_keeps_its_state_in_its_volume() -> None:
    words = [word for line in instructions() if line[0] == "ENV" for word in line[1:]]
    environment = dict(word.split("=", 1) for word in words)
    volume = [words[1] for words in instructions() if words[0] == "VOLUME"]
    assert volume == [str(state_dir(environment))] == [environment["HOME"]]


def test_the_example_service_is_closed_as_far_as_the_bot_allows() -> None:
    compose = yaml.safe_load((ROOT / "compose.example.yaml").read_text())
    bot = compose["services"]["rollback-bot"]
    assert (bot["read_only"], bot["cap_drop"]) == (True, ["ALL"])
    assert "rollback-state:/var/lib/rollback-bot" in bot["volumes"]
    written_out = [value for value in bot["environment"].values() if value and not value.startswith("${")]
    assert written_out == [], "no secret is written into the file"


def test_one_development_environment_serves_the_demo_and_the_bot() -> None:
    bot, demo, dev = (
        # the markers of one package differ with what else asks for it; the version does not
        {name: pin.partition(" ;")[0] for name, pin in pins(f"requirements{kind}.lock").items()}
        for kind in ("", "-demo", "-dev")
    )
    assert bot.items() <= demo.items() <= dev.items()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_of_a_lock_carries_a_hash(lock: str) -> None:
    entries = re.split(r"\n(?=[a-z0-9-]+==)", (ROOT / lock).read_text())[1:]
    assert {entry.partition("==")[0] for entry in entries} == pins(lock).keys() != set()
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_place_to_install_from(lock: str) -> None:
    assert "://" not in (ROOT / lock).read_text()


def test_every_direct_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    listed = project["project"]["dependencies"]
    listed = listed + project["project"]["optional-dependencies"]["demo"] + groups["dev"]
    for lines, lock in ((listed, "requirements-dev.lock"), (groups["docs"], "requirements-docs.lock")):
        names = {re.split(r"[\[<>=~!; ]", line)[0].lower().replace(".", "-") for line in lines}
        assert names - pins(lock).keys() == set()


def test_the_notice_names_the_licence_of_everything_the_image_holds() -> None:
    words = set(re.findall(r"[a-z0-9][a-z0-9-]+", (ROOT / "NOTICE").read_text()))
    assert set(pins("requirements.lock")) - words == set()


@pytest.mark.parametrize("script", ["scripts/rollback-migration.sh", ".ci/run"])
def test_a_script_can_be_run_and_is_sound_shell(script: str) -> None:
    path = ROOT / script
    shell = shlex.split(path.read_text().splitlines()[0].removeprefix("#!"))[-1].rsplit("/", 1)[-1]
    assert os.access(path, os.X_OK)
    assert run(shell, "-n", script).stderr == ""


def test_the_runbook_command_without_a_migration_explains_itself() -> None:
    done = run(str(SCRIPT), DATABASE_URL="postgresql://u:hunter2@db/app")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: scripts/rollback-migration.sh latest")
    assert "Nothing was started." in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("words", [["--help"], ["history", "--limit", "no number"], ["latest", "--no-such-flag"]])
def test_the_runbook_command_answers_exactly_as_rollback_does(words: list[str]) -> None:
    through_script = run(str(SCRIPT), *words)
    direct = run(sys.executable, "-m", "core", *words)
    assert (through_script.returncode, through_script.stdout, through_script.stderr) == (
        direct.returncode,
        direct.stdout,
        direct.stderr,
    )
    assert direct.returncode in (0, 2)


def test_the_runbook_command_does_not_run_another_projects_core_package(tmp_path: Path) -> None:
    copy = tmp_path / "scripts/rollback-migration.sh"
    copy.parent.mkdir()
    copy.write_text(SCRIPT.read_text())
    (tmp_path / "core").mkdir()
    for name in ("__init__.py", "cli.py", "__main__.py"):
        (tmp_path / "core" / name).write_text("print('wrong program')")
    done = run("/bin/sh", str(copy), "latest", PATH="/usr/bin:/bin")
    assert done.returncode == 127
    assert "rollback is not installed" in done.stderr
    assert "wrong program" not in done.stdout


def test_make_help_names_every_command() -> None:
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets
    shown = re.findall(r"^make (\w+)", run("make", "help").stdout, re.MULTILINE)
    assert sorted(shown) == sorted(targets.group(1).split())
