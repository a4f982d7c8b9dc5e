"""`rollback init`: what it finds, what it writes, what it asks, and that no secret is ever in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core import config
from core.surroundings import services
from demo.app import sample
from demo.bench import ROOT
from tests.layout_projects import PROJECTS, Project
from tests.terminal import Terminal, visible

PASSWORD = "wrong-horse-9-staple"
SET = {
    "DATABASE_URL": f"postgresql://u:{PASSWORD}@db.example/app",
    "TEST_DATABASE_URL": f"postgresql://u:{PASSWORD}@scratch.example/postgres",
    "API_BASE_URL": f"https://u:{PASSWORD}@api.example",
    "SLACK_BOT_TOKEN": f"xoxb-{PASSWORD}",
    "SLACK_APP_TOKEN": f"xapp-{PASSWORD}",
}
COMPOSE = """
# acme
services:
  # the application
  api:
    build: .
    environment:
      DATABASE_URL: postgres://u:wrong-horse-9-staple@db/app
  "worker":
    image: acme/worker:1
  db:
    image: "postgres:17"
  cache:
    image: docker.io/library/redis:7
  proxy:
    image: nginx
volumes:
  data: {}
"""


def rollback(place: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`rollback …` in a folder, with nothing but these variables set."""
    base = {"PATH": os.environ["PATH"], "HOME": str(place), "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "core", *words]
    return subprocess.run(line, cwd=place, env={**base, **env}, capture_output=True, text=True, timeout=60)


def loaded(place: Path, **env: str) -> config.Settings:
    return config.load(place / "rollback.toml", {"HOME": str(place), **env})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with migrations, a compose file, a repository and a `.env`."""
    folder = tmp_path / "acme"
    PROJECTS[0].write(folder / "db/migrations")
    (folder / ".git").mkdir()
    (folder / "compose.yaml").write_text(COMPOSE)
    (folder / ".env").write_text(f"export DATABASE_URL=postgres://u:{PASSWORD}@h/d\nOTHER=1\n")
    return folder


def test_what_is_found_is_written_with_comments_and_loads_as_it_is(project: Path) -> None:
    done = rollback(project, "init", **SET)
    assert (done.returncode, done.stderr) == (0, "")
    text = (project / "rollback.toml").read_text()
    settings = loaded(project, **SET)
    target = settings.target()
    assert (target.name, target.layout) == ("production", "paired")
    assert target.migrations == project / "db/migrations" and 'migrations   = "db/migrations"' in text
    assert target.database_url.get_secret_value() == SET["DATABASE_URL"]
    assert target.scratch_url and target.scratch_url.get_secret_value() == SET["TEST_DATABASE_URL"]
    assert target.health_url == f"{SET['API_BASE_URL']}/health"
    assert (target.services.kind, target.services.names) == ("compose", ("api", "worker"))
    assert (target.approvals, target.approvers, target.channel) == (1, ("@fill-in",), "#fill-in")
    assert text.count("FILL IN") >= 3 and all(len(row) < 160 for row in text.splitlines())
    for part in (
        "Wrote rollback.toml",
        "db/migrations, 3 migrations, paired",
        "compose.yaml: api, worker",
        "rollback doctor",
    ):
        assert part in done.stdout, part


def test_no_secret_is_in_the_file_nor_on_the_screen(project: Path) -> None:
    for env in (SET, {}):
        done = rollback(project, "init", **env)
        written = (project / "rollback.toml").read_text()
        assert PASSWORD not in written + done.stdout + done.stderr
        assert "example" not in written
        (project / "rollback.toml").unlink()


def test_what_is_missing_is_named_with_the_next_step_here_and_by_the_doctor(project: Path) -> None:
    done = rollback(project, "init")
    assert done.returncode == 0
    rows = (project / "rollback.toml").read_text().splitlines()
    numbers = [n for n, row in enumerate(rows, 1) if "# FILL IN" in row]
    assert all(f"  line {n} " in done.stdout for n in numbers) and len(numbers) >= 3
    assert "`export DATABASE_URL=…`" in done.stdout and "set -a; . ./.env; set +a" in done.stdout
    doctor = rollback(project, "doctor")
    assert doctor.returncode == 2
    assert (
        "needs the variable `DATABASE_URL`" in doctor.stdout
        and "next             `export DATABASE_URL=…`" in doctor.stdout
    )
    doctor = rollback(project, "doctor", DATABASE_URL="postgresql:///nowhere?host=/nowhere")
    assert doctor.returncode == 3
    for part in (
        "`approvers` or `channel` still hold",
        "in place of `fill-in`",
        "`SLACK_BOT_TOKEN` and `SLACK_APP_TOKEN`",
    ):
        assert part in doctor.stdout, part


@pytest.mark.parametrize("kept", PROJECTS, ids=lambda kept: kept.layout)
def test_each_layout_is_found_by_its_files(kept: Project, tmp_path: Path) -> None:
    kept.write(tmp_path / "services/api/migrations")
    if kept.layout in ("golang-migrate", "sqlx"):  # the same names of files: the manifest tells
        (tmp_path / ("go.mod" if kept.layout == "golang-migrate" else "Cargo.toml")).touch()
    done = rollback(tmp_path, "init", DATABASE_URL="postgresql:///app")
    target = loaded(tmp_path, DATABASE_URL="postgresql:///app").target()
    assert (target.layout, target.migrations) == (kept.layout, tmp_path / "services/api/migrations"), done.stdout


def test_where_two_layouts_would_fit_it_says_so_and_where_nothing_is_found_it_says_that(tmp_path: Path) -> None:
    rollback(tmp_path, "init", DATABASE_URL="postgresql:///app")
    assert "FILL IN: the folder was not found" in (tmp_path / "rollback.toml").read_text()
    assert loaded(tmp_path, DATABASE_URL="postgresql:///app").target().layout == "paired"
    (tmp_path / "rollback.toml").unlink()
    PROJECTS[1].write(tmp_path / "migrations")
    rollback(tmp_path, "init")
    assert "FILL IN: golang-migrate or sqlx would fit" in (tmp_path / "rollback.toml").read_text()


def test_libpqs_own_variables_stand_for_an_address(tmp_path: Path) -> None:
    PROJECTS[0].write(tmp_path / "migrations")
    rollback(tmp_path, "init", PGHOST="db.example", PGDATABASE="app")
    assert '# database_url = "$DATABASE_URL"' in (tmp_path / "rollback.toml").read_text()
    assert loaded(tmp_path, PGHOST="db.example").target().approvers == ("@fill-in",)


def test_a_file_that_is_there_is_never_overwritten(project: Path) -> None:
    for make in (lambda file: file.write_text("mine"), lambda file: file.symlink_to("nowhere")):
        file = project / "rollback.toml"
        make(file)
        done = rollback(project, "init", **SET)
        assert (done.returncode, done.stdout) == (2, "")
        assert "I never overwrite it" in done.stderr and "mv rollback.toml rollback.toml.old" in done.stderr
        assert file.is_symlink() or file.read_text() == "mine"
        file.unlink()
    named = project / "own.toml"
    assert rollback(project, "init", ROLLBACK_CONFIG=str(named)).returncode == 0
    assert named.is_file() and not (project / "rollback.toml").exists()
    assert rollback(project, "init", ROLLBACK_CONFIG=str(named)).returncode == 2


def test_a_folder_can_be_named_and_what_is_none_is_refused(tmp_path: Path) -> None:
    assert rollback(tmp_path, "init", "nowhere").returncode == 3
    (tmp_path / "empty").mkdir()
    assert rollback(tmp_path, "init", "empty").returncode == 2
    assert not (tmp_path / "rollback.toml").exists()
    done = rollback(tmp_path, "init", str(sample.MIGRATIONS), "--json")
    told = json.loads(done.stdout)
    assert told["ok"] and told["file"] == "rollback.toml" and told["next"][0] == "rollback doctor"
    assert {"what": "migrations", "text": f"{sample.MIGRATIONS}, 7 migrations, paired", "ok": True} in told["found"]
    assert loaded(tmp_path, DATABASE_URL="postgresql:///app").target().migrations == sample.MIGRATIONS


def test_names_that_need_quotes_survive(tmp_path: Path) -> None:
    folder = tmp_path / 'a "b" $HOME \\ 漢字/migrations'
    PROJECTS[0].write(folder)
    rollback(tmp_path, "init")
    assert loaded(tmp_path, DATABASE_URL="postgresql:///app").target().migrations == folder


def test_below_the_top_of_a_repository_the_migrations_are_looked_for_from_there(project: Path) -> None:
    (project / "deploy").mkdir()
    done = rollback(project / "deploy", "init", **SET)
    assert "compose.yaml: api, worker" in done.stdout
    assert loaded(project / "deploy", **SET).target().migrations == project / "db/migrations"


def test_a_folder_that_cannot_be_written_is_said(project: Path) -> None:
    done = rollback(project, "init", ROLLBACK_CONFIG=str(project / "nowhere/own.toml"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "I cannot write `own.toml`: no such file or directory. Nothing was written." in done.stderr


def test_at_a_terminal_it_asks_what_it_cannot_find(project: Path) -> None:
    PROJECTS[3].write(project / "other")
    env = {"PATH": os.environ["PATH"], "HOME": str(project), "PYTHONPATH": str(ROOT), "TERM": "xterm", **SET}
    with Terminal(None, "init", env=env, folder=project, columns=110) as terminal:
        terminal.asked("Number [1]: ", "3\n")
        terminal.asked("It must be a number from 1 to 2: ", "2\n")
        terminal.asked("such as #incidents [later]: ", "incidents\n")
        terminal.asked("It must be a channel", "#incidents\n")
        terminal.asked("@db-oncall, U0BOB [later]: ", "@db-oncall, U0BOB\n")
        terminal.asked("to ask from this shell [later]: ", "U0ANA\n")
        assert terminal.ends() == 0, terminal.text
    target = loaded(project, **SET).target()
    assert (target.channel, target.approvers, target.layout) == ("#incidents", ("@db-oncall", "U0BOB"), "paired")
    assert "U0ANA" in loaded(project, **SET).people.values()
    assert "To fill in" not in "\n".join(visible(terminal.text))


def test_enter_leaves_a_question_for_later_and_ctrl_c_writes_nothing(project: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(project), "PYTHONPATH": str(ROOT), **SET}
    with Terminal(None, "init", env=env, folder=project, columns=110) as terminal:
        terminal.says("such as #incidents [later]: ")
        os.write(terminal.ours, b"\x03")
        assert terminal.ends() == 130
    assert not (project / "rollback.toml").exists()
    with Terminal(None, "init", env=env, folder=project, columns=110) as terminal:
        for question in ("such as #incidents", "U0BOB [later]", "from this shell"):
            terminal.asked(question, "\n")
        assert terminal.ends() == 0
    assert loaded(project, **SET).target().approvers == ("@fill-in",)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (COMPOSE, ["api", "worker"]),
        ("services:\n    web:\n        image: acme/web\n", ["web"]),
        ("version: '3'\nservices:   # all\n\n  a_b.c:\n    build: x\nnetworks:\n  n: {}\n", ["a_b.c"]),
        ("services: {api: {build: .}}\n", []),
        ("services:\n", []),
        ("\x00 nothing", []),
        ("", []),
    ],
)
def test_the_services_of_a_compose_file_are_those_that_may_write(text: str, names: list[str]) -> None:
    assert list(services(text)) == names
