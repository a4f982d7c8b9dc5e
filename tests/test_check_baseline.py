"""`rollback check` for a team that starts today: the baseline of old findings, the pre-commit hook, the plain git hook."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
import yaml
from docs_reading import ROOT, blocks

from demo.postgres import Server

FILE = "rollback-baseline.json"
MADE = "CREATE TABLE {0} (id int)"


def write(folder: Path, stem: str, up: str, down: str | None) -> None:
    (folder / "rollback").mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.sql").write_text(up)
    script = folder / "rollback" / f"{stem}.sql"
    script.unlink(missing_ok=True)
    if down is not None:
        script.write_text(down)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with three old findings: one that differs and does not apply again, one without a script, one that fails."""
    folder = tmp_path / "project" / "db" / "migrations"
    write(folder, "001_a", MADE.format("a"), "DROP TABLE a")
    write(folder, "002_b", MADE.format("b"), "SELECT 1")
    write(folder, "003_c", MADE.format("c"), None)
    write(folder, "004_d", MADE.format("d"), "DROP TABLE nothing")
    return tmp_path / "project"


def check(server: Server, project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(project), "TEST_DATABASE_URL": server.url(), "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "core", "check", *words]
    return subprocess.run(line, capture_output=True, text=True, env=env, cwd=project, timeout=60, check=False)


def known(server: Server, project: Path) -> Path:
    """Everything that is found now, written down."""
    done = check(server, project, "db/migrations", "--write-baseline", FILE)
    assert done.returncode == 0, done.stdout + done.stderr
    return project / FILE


def as_data(server: Server, project: Path, *words: str) -> tuple[int, dict[str, Any]]:
    done = check(server, project, "db/migrations", "--json", *words)
    return done.returncode, json.loads(done.stdout)


def test_old_findings_are_told_in_one_line_and_do_not_fail(server: Server, project: Path) -> None:
    done = check(server, project, "db/migrations", "--write-baseline", FILE)
    assert done.stdout.splitlines()[-2:] == [
        "3 findings",
        "4 findings written to `rollback-baseline.json`: `--baseline` knows them from now on",
    ]
    done = check(server, project, "db/migrations", "--baseline", FILE)
    assert done.returncode == 0, done.stderr
    assert [row.rstrip() for row in done.stdout.splitlines()[:4]] == [
        "001_a  exact",
        "002_b  differs       known",
        "003_c  missing       known",
        "004_d  fails         known",
    ]
    assert done.stdout.splitlines()[-1] == "no new findings, 3 known"


def test_the_file_names_each_finding_by_migration_kind_and_scripts(server: Server, project: Path) -> None:
    held = json.loads(known(server, project).read_text())
    assert (held["form"], held["folder"], held["layout"]) == (1, "db/migrations", "paired")
    kinds = [(one["migration"], one["kind"]) for one in held["findings"]]
    assert kinds == [("002_b", "differs"), ("002_b", "reapplies"), ("003_c", "missing"), ("004_d", "fails")]
    second, third = held["findings"][0], held["findings"][2]
    assert second["rollback"] == hashlib.sha256(b"SELECT 1").hexdigest() and third["rollback"] is None
    assert third["forward"] == hashlib.sha256(MADE.format("c").encode()).hexdigest()


def test_a_new_finding_fails_beside_the_known_ones(server: Server, project: Path) -> None:
    known(server, project)
    write(project / "db/migrations", "005_e", MADE.format("e"), None)
    done = check(server, project, "db/migrations", "--baseline", FILE, "--junit", "out.xml")
    assert done.returncode == 3
    assert "005_e  missing       it has no rollback script" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 new finding, 3 known"
    suite = Xml.parse(project / "out.xml").getroot()  # noqa: S314  (our own file)
    assert (suite.attrib["failures"], suite.attrib["skipped"]) == ("1", "3")
    code, found = as_data(server, project, "--baseline", FILE)
    assert (code, found["ok"], found["findings"], found["known"], found["new"]) == (3, False, 4, 3, 1)
    assert [one["id"] for one in found["migrations"] if one["known"]] == ["002_b", "003_c", "004_d"]


@pytest.mark.parametrize("side", ["", "rollback"])
def test_an_edited_script_is_judged_anew(server: Server, project: Path, side: str) -> None:
    known(server, project)
    script = project / "db/migrations" / side / "002_b.sql"
    script.write_text(f"{script.read_text()} -- mended?")
    code, found = as_data(server, project, "--baseline", FILE)
    assert (code, found["new"], found["known"]) == (3, 1, 2)
    assert found["gone"] == [{"migration": "002_b", "kind": "differs"}, {"migration": "002_b", "kind": "reapplies"}]


def test_a_known_migration_that_got_one_finding_more_is_new(server: Server, project: Path) -> None:
    file = known(server, project)
    held = json.loads(file.read_text())
    held["findings"] = [one for one in held["findings"] if one["kind"] != "reapplies"]
    file.write_text(json.dumps(held))
    code, found = as_data(server, project, "--baseline", FILE)
    assert (code, found["new"], found["known"]) == (3, 1, 2)


def test_findings_that_are_gone_are_said_and_the_file_shrinks(server: Server, project: Path) -> None:
    file = known(server, project)
    folder = project / "db/migrations"
    write(folder, "003_c", MADE.format("c"), "DROP TABLE c")
    (folder / "004_d.sql").unlink()
    (folder / "rollback/004_d.sql").unlink()
    done = check(server, project, "db/migrations", "--baseline", FILE)
    assert done.returncode == 0
    told = "gone, write the baseline anew with `--write-baseline`:\n  003_c  missing\n  004_d  fails\n"
    assert told in done.stdout
    before = len(json.loads(file.read_text())["findings"])
    known(server, project)
    assert len(json.loads(file.read_text())["findings"]) == before - 2
    assert "gone" not in check(server, project, "db/migrations", "--baseline", FILE).stdout


def test_what_was_not_looked_at_is_not_gone(server: Server, project: Path) -> None:
    known(server, project)
    code, found = as_data(server, project, "--baseline", FILE, "--since", "004_d")
    assert (code, found["known"], found["gone"]) == (0, 1, [])


def test_the_baseline_holds_in_another_clone_and_beside_the_migrations(server: Server, project: Path) -> None:
    known(server, project)
    moved = project.rename(project.with_name("clone"))
    assert check(server, moved, str(moved / "db/migrations"), "--baseline", FILE).returncode == 0
    assert check(server, moved / "db", "migrations", "--baseline", f"../{FILE}").returncode == 0


BROKEN = "`rollback-baseline.json` is no baseline of `rollback check`. Name another file"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"folder": "db/other"},
            "belongs to the folder `db/other`, seen from the file, not to this one. Write it anew",
        ),
        ({"layout": "goose"}, "The baseline was made with the layout goose, not paired. Write it anew"),
        ({"form": 2}, "is of a newer form than I know. Install a newer Rollback Bot."),
        ({"form": "x"}, "has no form that I know. Write it anew"),
        ({"what": "something else"}, BROKEN),
        ({"findings": [{"migration": 1}]}, BROKEN),
        ({"findings": None}, BROKEN),
    ],
)
def test_a_baseline_that_does_not_fit_is_refused_with_the_next_step(
    server: Server, project: Path, change: dict[str, Any], says: str
) -> None:
    file = known(server, project)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    done = check(server, project, "db/migrations", "--baseline", FILE)
    assert (done.returncode, done.stdout) == (2, "") and says in " ".join(done.stderr.split())


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 200_000])
def test_an_unreadable_baseline_is_refused_and_never_written_over(server: Server, project: Path, text: bytes) -> None:
    (project / FILE).write_bytes(text)
    for flag in ("--baseline", "--write-baseline"):
        done = check(server, project, "db/migrations", flag, FILE)
        assert done.returncode == 2 and BROKEN in " ".join(done.stderr.split())
    assert (project / FILE).read_bytes() == text


def test_a_missing_baseline_and_a_folder_that_cannot_be_written_are_refused(server: Server, project: Path) -> None:
    done = check(server, project, "db/migrations", "--baseline", FILE)
    assert done.returncode == 2 and "There is no baseline `rollback-baseline.json`. Write it first" in done.stderr
    done = check(server, project, "db/migrations", "--write-baseline", "nowhere/b.json")
    assert done.returncode == 2 and "The folder for the baseline does not exist." in done.stderr
    done = check(server, project, "db/migrations", "--baseline", "db")
    assert done.returncode == 2 and "I cannot read `db`: is a directory." in done.stderr
    for other in ("--since=002", f"--baseline={FILE}"):
        done = check(server, project, "db/migrations", "--write-baseline", FILE, other)
        assert done.returncode == 2 and "`--write-baseline` does not go with" in done.stderr


# -- hooks


def git(project: Path, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    who = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(project)}
    who |= {f"GIT_{side}_{what}": "a@example.com" for side in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    env = {"PATH": os.environ["PATH"], **who, **(env or {})}
    return subprocess.run(
        ["git", *words], cwd=project, env=env, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def repository(server: Server, project: Path) -> Path:
    """The project under git, with its old findings known."""
    known(server, project)
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "start")):
        assert git(project, *words).returncode == 0
    return project


def program(folder: Path) -> Path:
    """A folder with `rollback` for PATH."""
    folder.mkdir()
    (folder / "rollback").write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m core "$@"\n')
    (folder / "rollback").chmod(0o755)
    return folder


def test_the_plain_git_hook_of_the_documentation_stops_what_cannot_be_undone(
    server: Server, repository: Path, tmp_path: Path
) -> None:
    (hook,) = [part for part in blocks("docs/check.md", "sh") if part.startswith("#!/bin/sh")]
    file = repository / ".git/hooks/pre-commit"
    file.parent.mkdir(exist_ok=True)
    file.write_text(hook)
    file.chmod(0o755)
    path = f"{program(tmp_path / 'bin')}:{os.environ['PATH']}"
    env = {"PATH": path, "TEST_DATABASE_URL": server.url()}
    folder = repository / "db/migrations"

    write(folder, "005_e", MADE.format("e"), "DROP TABLE e")
    git(repository, "add", ".")
    (folder / "rollback/005_e.sql").unlink()  # what is staged counts, not what lies there
    done = git(repository, "commit", "-qm", "fine", env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no new findings, 3 known" in done.stdout + done.stderr

    git(repository, "rm", "-q", "--cached", "db/migrations/rollback/005_e.sql")
    done = git(repository, "commit", "-qm", "loses its script", env=env)
    assert done.returncode != 0 and "005_e  missing" in done.stdout + done.stderr
    git(repository, "reset", "-q", "--hard")

    (repository / "notes.txt").write_text("nothing to do with it")
    git(repository, "add", ".")
    done = git(repository, "commit", "-qm", "notes", env={**env, "TEST_DATABASE_URL": "postgresql:///x?host=/nowhere"})
    assert done.returncode == 0, done.stderr
    assert "006" not in done.stdout and not list(tmp_path.glob("tmp.*"))


def hooks() -> dict[str, Any]:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    return dict(hook)


def test_the_pre_commit_hook_runs_what_it_names_on_a_whole_repository(
    server: Server, repository: Path, tmp_path: Path
) -> None:
    """pre-commit itself is not among our packages: it starts `entry` and the `args` of the configuration in the repository."""
    (config,) = [yaml.safe_load(part) for part in blocks("docs/check.md", "yaml") if part.startswith("repos:")]
    (repo,) = config["repos"]
    (used,) = repo["hooks"]
    hook = hooks()
    assert used["id"] == hook["id"] and hook["language"] == "python" and hook["pass_filenames"] is False
    line = [*shlex.split(hook["entry"]), *used["args"]]
    path = f"{program(tmp_path / 'bin')}:{os.environ['PATH']}"
    env = {"PATH": path, "HOME": str(tmp_path), "TEST_DATABASE_URL": server.url()}
    done = subprocess.run(line, cwd=repository, env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "no new findings, 3 known"), done.stderr


def test_the_hook_brings_the_scratch_server_that_the_project_pins() -> None:
    (pinned,) = [row.split('"')[1] for row in (ROOT / "pyproject.toml").read_text().splitlines() if "embedded-p" in row]
    assert hooks()["additional_dependencies"] == [pinned]


def test_the_files_for_ci_check_with_the_baseline_and_name_a_server() -> None:
    files = [yaml.safe_load(part) for part in blocks("docs/check.md", "yaml") if not part.startswith("repos:")]
    github, gitlab = (next(one for one in files if key in one) for key in ("jobs", "rollbacks"))
    steps = github["jobs"]["check"]["steps"]
    (step,) = [one for one in steps if str(one.get("run", "")).startswith("rollback check")]
    (script,) = gitlab["rollbacks"]["script"]
    assert step["run"] == script and "--baseline rollback-baseline.json --junit rollbacks.xml" in script
    assert "TEST_DATABASE_URL" in step["env"] and "TEST_DATABASE_URL" in gitlab["rollbacks"]["variables"]
    assert gitlab["rollbacks"]["artifacts"]["reports"]["junit"] == "rollbacks.xml"
