"""Migrations of a commit: read by the git command, whole or not at all, and nothing of the repository is run."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from core import config, git, git_folder, layouts
from core.applied.look import look
from core.check import command
from core.errors import Refused
from core.git_folder import GitFolder
from core.model import Request, State
from demo.app import sample
from demo.postgres import Server
from tests.engine_stand import ANA, EngineStand
from tests.layout_projects import PROJECTS, Project
from tests.test_ledger import as_nobody

WHO = ("-c", "user.name=Dee", "-c", "user.email=dee@example.org", "-c", "commit.gpgsign=false")
FOLDER = "apps/api/migrations"


class Repository:
    """A repository with the sample's migrations in it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()
        self.git("init", "-q", "-b", "main")
        shutil.copytree(sample.MIGRATIONS, place / FOLDER)
        self.commits("first")

    def git(self, *words: str) -> str:
        env = {"PATH": os.environ["PATH"], "HOME": str(self.place), "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(
            ["git", *WHO, *words], cwd=self.place, env=env, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commits(self, message: str) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def writes(self, file: str, text: str) -> Path:
        path = self.place / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "app")


@pytest.fixture
def at(repository: Repository, tmp_path: Path) -> Callable[..., GitFolder]:
    """A folder of the repository at some place in its history."""

    def make(ref: str = "main", folder: str = FOLDER, place: Path = repository.place) -> GitFolder:
        return GitFolder(place, ref, folder, tmp_path / "state" / "git")

    return make


def refused(wanted: GitFolder) -> Refused:
    with pytest.raises(Refused) as caught:
        git.checkout(wanted)
    assert "/" not in caught.value.message.replace(FOLDER, ""), "no path of this machine in a message"
    assert "Nothing was started" in caught.value.hint
    return caught.value


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_branch_a_tag_and_a_commit_are_read_as_they_are_at_that_moment(
    repository: Repository, at: Callable[..., GitFolder]
) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.git("tag", "-m", "the first", "v1")
    folder, commit = git.checkout(at())
    assert commit == first and contents(folder) == contents(sample.MIGRATIONS)
    repository.writes(f"{FOLDER}/013_plans.sql", "CREATE TABLE plans (id int);\n")
    second = repository.commits("second")
    moved, now = git.checkout(at())
    assert now == second and moved != folder and (moved / "013_plans.sql").exists()
    for ref in ("v1", first, first[:12], "refs/tags/v1"):
        assert git.checkout(at(ref)) == (folder, first)
    assert (git.checkout(at(folder="."))[0] / FOLDER / "013_plans.sql").exists()
    repository.git("worktree", "add", "-q", "-b", "other", str(repository.place.parent / "other"))
    assert git.checkout(at("other", place=repository.place.parent / "other"))[1] == second


def test_what_is_not_committed_does_not_count(repository: Repository, at: Callable[..., GitFolder]) -> None:
    repository.writes(f"{FOLDER}/013_plans.sql", "CREATE TABLE plans (id int);\n")
    repository.git("add", "-A")
    assert not (git.checkout(at())[0] / "013_plans.sql").exists()


def test_nothing_of_the_repository_is_run_and_no_attribute_counts(
    repository: Repository, at: Callable[..., GitFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap, sprung = tmp_path / "trap", tmp_path / "sprung"
    trap.write_text(f"#!/bin/sh\ntouch {sprung}\ncat\n")
    trap.chmod(0o755)
    for hook in ("post-checkout", "reference-transaction", "post-index-change", "fsmonitor-watchman"):
        shutil.copy(trap, repository.place / ".git/hooks" / hook)
    for key in ("core.fsmonitor", "filter.evil.smudge", "core.sshCommand", "core.pager", "diff.evil.textconv"):
        repository.git("config", key, str(trap))
    repository.writes(".gitattributes", "*.sql filter=evil export-ignore export-subst text eol=crlf diff=evil\n")
    repository.writes(f"{FOLDER}/014_odd.sql", "-- $Format:%H$\n")
    sprung.unlink(missing_ok=True)
    repository.git("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "add", ".gitattributes")
    blob = repository.git(
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "core.fsmonitor=false",
        "hash-object",
        "-w",
        "--no-filters",
        f"{FOLDER}/014_odd.sql",
    )
    repository.git(
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "core.fsmonitor=false",
        "update-index",
        "--add",
        "--cacheinfo",
        f"100755,{blob},{FOLDER}/014_odd.sql",
    )
    repository.git("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "commit", "-q", "-m", "trap")
    sprung.unlink(missing_ok=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(trap))
    folder, _ = git.checkout(at())
    assert not sprung.exists()
    assert contents(folder) == {**contents(sample.MIGRATIONS), "014_odd.sql": b"-- $Format:%H$\n"}
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}
    assert modes == {0o600} and stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_link_is_not_followed(repository: Repository, at: Callable[..., GitFolder]) -> None:
    (repository.place / FOLDER / "notes").symlink_to("/etc")
    repository.commits("a link beside")
    assert not (git.checkout(at())[0] / "notes").exists()
    (repository.place / FOLDER / "015_link.sql").symlink_to("/etc/passwd")
    repository.commits("a link for a script")
    no = refused(at())
    assert no.code == "E-FILE-MISSING" and "`015_link.sql` is a link" in no.message


def test_each_thing_that_can_be_wrong_is_said_with_the_next_step(
    repository: Repository, at: Callable[..., GitFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no = refused(at("f" * 40))
    assert no.code == "E-FILE-MISSING" and "knows no commit" in no.message and "git fetch" in no.hint
    assert "knows no commit `nowhere`" in refused(at("nowhere")).message
    assert "names no git repository" in refused(at(place=tmp_path / "nothing")).message
    assert "names no git repository" in refused(at(place=repository.place / "apps")).message  # its parents do not count
    monkeypatch.setitem(git.ENVIRONMENT, "GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    other = refused(at())
    assert "owned by another account" in other.message and "safe.directory" in other.hint
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = refused(at())
    assert missing.code == "E-TOOLS" and "there is no `git` here" in missing.message


def test_a_commit_without_the_folder_is_told_where_the_files_are_read(at: Callable[..., GitFolder]) -> None:
    with pytest.raises(Refused) as caught:
        layouts.layout_for(at(folder="db/nothing")).migrations()
    assert caught.value.code == "E-FILE-MISSING" and "has no such folder" in caught.value.message


def test_a_wrong_folder_of_a_commit_is_refused_also_where_the_audit_trail_has_all_scripts(
    at: Callable[..., GitFolder], server: Server, app: str, tmp_path: Path
) -> None:
    stand = EngineStand(server, app, tmp_path / "stand")
    look(stand.ledger, stand.settings, "production")
    stand.set(migrations=at(folder="db/nothing"))
    run = stand.walk(stand.desk.ask(Request("latest"), stand.target, ANA))
    assert run.state is State.REFUSED and run.ending and run.ending.data["code"] == "E-FILE-MISSING"
    assert "has no such folder" in run.ending.data["message"]


def test_it_is_read_whole_or_not_at_all(
    repository: Repository, at: Callable[..., GitFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = at()
    blob = repository.git("rev-parse", f"main:{FOLDER}/rollback/012_stripe_events.sql")
    lost = repository.place / ".git/objects" / blob[:2] / blob[2:]
    data = lost.read_bytes()
    lost.unlink()
    assert "lacks `012_stripe_events.sql`" in refused(wanted).message and not wanted.state.exists()
    lost.write_bytes(data)
    monkeypatch.setattr(git, "LARGEST", 1000)
    assert "more than" in refused(wanted).message and not wanted.state.exists()
    monkeypatch.undo()
    assert len(contents(git.checkout(wanted)[0])) == len(contents(sample.MIGRATIONS))


def test_old_commits_are_removed_and_those_in_use_stay(repository: Repository, at: Callable[..., GitFolder]) -> None:
    made = []
    for number in range(8):
        repository.writes("README", f"{number}")
        repository.commits(f"commit {number}")
        made.append(git.checkout(at())[0])
        os.utime(made[-1], (time.time() - 7200 + number,) * 2)
    assert all(place.exists() for place in made[3:]) and not any(place.exists() for place in made[:2])
    git.checkout(at(made[3].name.partition("-")[2]))  # used again
    repository.writes("README", "newest")
    repository.commits("newest")
    newest = git.checkout(at())[0]
    assert newest.exists() and made[3].exists() and made[7].exists() and not made[4].exists()


def test_a_process_that_dies_while_it_removes_an_old_commit_leaves_none_that_is_not_whole(
    repository: Repository, at: Callable[..., GitFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dies(BaseException):
        pass

    def dies(place: Path, **how: object) -> None:
        for one in Path(place).rglob("*.sql"):
            one.unlink()
            raise Dies

    old = git.checkout(at())[0]
    os.utime(old, (time.time() - 7200,) * 2)
    for number in range(git.KEPT - 1):
        repository.writes("README", f"{number}")
        repository.commits(f"commit {number}")
        git.checkout(at())
    with monkeypatch.context() as here:
        here.setattr(shutil, "rmtree", dies)
        with pytest.raises(Dies):
            git.checkout(at(folder="."))
    assert contents(git.checkout(at("main~4"))[0]) == contents(sample.MIGRATIONS)
    git.checkout(at("main~1", folder="."))
    assert not [one for one in old.parent.iterdir() if one.name.startswith(git.GONE)]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_folder_that_another_account_has_made_is_told_with_what_to_do() -> None:
    state = Path(f"/tmp/rollback-git-{os.getpid()}")
    state.mkdir(mode=0o700 if os.geteuid() == 0 else 0o000)  # as `sudo rollback doctor` leaves it

    def as_the_bot() -> None:
        no = refused(GitFolder(Path("/srv/app"), "main", FOLDER, state, held=["f" * 40]))
        assert no.code == "E-DISK" and "permission denied" in no.message and "`git` beside the ledger" in no.hint

    try:
        assert as_nobody(as_the_bot) == 0
    finally:
        state.rmdir()


def test_settings_name_a_repository_a_commit_and_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "rollback.toml"

    def load(value: str, **env: str) -> git_folder.GitFolder | Path:
        file.write_text(
            f'[targets.production]\ndatabase_url = "postgresql://db/app"\napprovals = 0\nmigrations = "{value}"\n'
        )
        return (
            config.load(file, {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "s"), **env}).target().migrations
        )

    state = tmp_path / "s/rollback-bot/git"
    assert load("git:/srv/app@main:apps/api/migrations") == GitFolder(Path("/srv/app"), "main", FOLDER, state)
    assert load("git:../app@$COMMIT:m", COMMIT="a" * 40) == GitFolder(tmp_path / "../app", "a" * 40, "m", state)
    assert str(load("git:/srv/a@b@release/1.2:./m/")) == "git:/srv/a@b@release/1.2:m"
    assert load("apps") == tmp_path / "apps"
    for wrong in ("git:/srv/app", "git:/srv/app:m", "git:@main:m", "git:/srv/app@main:"):
        with pytest.raises(config.ConfigError, match="git:PATH@REF:folder"):
            load(wrong)
    for wrong in ("git:/srv/app@-x:m", "git:/srv/app@--upload-pack=x:m", "git:/srv/app@a..b:m", "git:/srv/app@a b:m"):
        with pytest.raises(config.ConfigError, match="may not begin with"):
            load(wrong)
    for wrong in ("git:/srv/app@main:/etc", "git:/srv/app@main:../x"):
        with pytest.raises(config.ConfigError, match="inside the repository"):
            load(wrong)
    with pytest.raises(config.ConfigError, match="needs the variable `COMMIT`"):
        load("git:../app@$COMMIT:m")


def test_a_rollback_from_a_commit_says_which_and_a_moved_branch_makes_a_new_plan(
    repository: Repository, at: Callable[..., GitFolder], server: Server, app: str, tmp_path: Path
) -> None:
    stand = EngineStand(server, app, tmp_path / "stand")
    stand.set(migrations=at())
    run = stand.planned(stand.desk.ask(Request("latest"), stand.target, ANA))
    first = repository.git("rev-parse", "HEAD")
    assert run.evidence["identify"]["commit"] == first
    script = repository.place / FOLDER / "rollback/012_stripe_events.sql"
    script.write_text(script.read_text() + "-- mended\n")
    second = repository.commits("mended")
    stand.desk.stop(run.id, ANA) if stand.ledger.run(run.id).is_open else None
    done = stand.rolled_back("012")
    assert done.evidence["identify"]["commit"] == second
    back = stand.goes_back("reapply", done)
    assert back.state is State.DONE and back.evidence["identify"]["commit"] == second


WATCHED_GIT = """#!{python}
import os, sys, psycopg
with psycopg.connect({url!r}) as conn:
    here = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    held = f"SELECT count(*) FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock' AND {{here}}"
    locks = conn.execute(held).fetchone()[0]
with open({log!r}, "a") as out:
    print(locks, *[word for word in sys.argv if word in ("rev-parse", "ls-tree", "cat-file")], file=out)
os.execv({git!r}, sys.argv)
"""


@pytest.mark.parametrize("project", [one for one in PROJECTS if one.layout in ("golang-migrate", "dbmate")])
def test_git_is_asked_once_in_each_step_and_never_while_tables_of_the_target_are_locked(
    project: Project,
    repository: Repository,
    at: Callable[..., GitFolder],
    server: Server,
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        project.migrate(conn)
    project.write(repository.place / "db")
    repository.commits("its migrations")
    stand = EngineStand(server, database, tmp_path / "stand", layout=project.layout)
    stand.set(migrations=at(folder="db"))
    log, shim = tmp_path / "asked", tmp_path / "bin/git"
    shim.parent.mkdir()
    told = {"python": sys.executable, "url": database, "log": str(log), "git": shutil.which("git")}
    shim.write_text(WATCHED_GIT.format(**told))
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    done = stand.rolled_back(project.names[2])
    assert stand.goes_back("reapply", done).state is State.DONE
    asked = log.read_text().splitlines()
    steps = [event.data["step"] for event in stand.ledger.events() if event.kind == "step_started"]
    assert {line.split()[0] for line in asked} == {"0"}
    assert 0 < sum("rev-parse" in line for line in asked) <= len(steps)


def test_check_reads_the_commit_that_the_settings_name(repository: Repository, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "rollback.toml"
    file.write_text(
        f'[targets.production]\ndatabase_url = "postgresql://db/app"\napprovals = 0\n'
        f'migrations = "git:{repository.place}@main:{FOLDER}"\n'
    )
    env = {"ROLLBACK_CONFIG": str(file), "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "s")}
    report = command.run(command.parse(["--scratch", server.url()]), env).report
    assert [one.id for one in report.migrations][-1] == "012_stripe_events" and not report.harmful
