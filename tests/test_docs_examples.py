"""The examples of the documentation run: settings, commands, scripts, and the looks at a real audit trail."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from docs_reading import OWN, ROOT, TEXT, blocks, rows

from core import config, ledger, script
from core.cli import parted
from core.errors import Refused
from core.grammar import parse_words
from core.model import STEPS, Run, State
from core.script import rules
from core.shell import account_name
from demo.app import sample
from demo.postgres import Server
from tests.bench_fixtures import copied


def test_the_example_settings_load(tmp_path: Path) -> None:
    (text,) = blocks("docs/install.md", "toml")
    file = tmp_path / "rollback.toml"
    file.write_text(text)
    environment = next(part for part in blocks("docs/install.md", "sh") if part.startswith("DATABASE_URL="))
    env = dict(line.split("=", 1) for line in environment.splitlines())
    settings = config.load(file, env)
    assert settings.target().approvers == ("@db-oncall", "U0BOB")
    assert settings.people == {"ana": "U0ANA"}


def test_the_shell_that_is_set_up_finds_the_bots_settings(tmp_path: Path) -> None:
    (program,) = [part for part in blocks("docs/install.md", "sh") if part.startswith("#!/bin/sh")]
    (environment,) = [part for part in blocks("docs/install.md", "sh") if part.startswith("DATABASE_URL=")]
    (settings,) = blocks("docs/install.md", "toml")
    (tmp_path / "rollback-bot.env").write_text(environment)
    mine = settings.replace("/var/lib/rollback-bot", str(tmp_path)).replace("\nana =", f"\n{account_name()} =")
    (tmp_path / "rollback-bot.toml").write_text(mine)
    installed = tmp_path / "rollback"
    installed.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m core "$@"\n')
    shell = tmp_path / "rollback-as-bot"
    shell.write_text(
        program.replace("/opt/rollback-bot/.venv/bin/rollback", str(installed)).replace("/etc/", f"{tmp_path}/")
    )
    for file in (installed, shell):
        file.chmod(0o755)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run([shell, "whoami"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"{account_name()} is U0ANA.\n"), done.stderr


def test_every_typed_command_is_understood() -> None:
    typed = re.findall(r"`/?rollback ([^`…]+)`", "\n".join(TEXT[name] for name in OWN))
    assert len(typed) > 8
    for line in typed:
        line = line.removesuffix(" --man")  # help has a reader of its own
        words = line.replace('"checkout 500s"', "checkout").replace("RUN", "RB-7K3M").split()
        parse_words(parted(words)[0])


def test_what_may_not_stand_in_a_script_is_refused_with_the_code_that_is_told() -> None:
    for sql, code in (
        ("COMMIT", "E-SCRIPT"), ("SET TRANSACTION READ ONLY", "E-SCRIPT"), ("\\i other.sql", "E-SCRIPT"),
        ("COPY t FROM STDIN", "E-SCRIPT"), ("DELETE FROM schema_migrations", "E-SCRIPT"),
        ("DROP TABLE rollback_bot.marker", "E-SCRIPT"), ("SET standard_conforming_strings = off", "E-SCRIPT"),
        ("CREATE INDEX CONCURRENTLY ON t (a)", "E-NO-TX"), ("REINDEX TABLE CONCURRENTLY t", "E-NO-TX"), ("VACUUM", "E-NO-TX"),
        ("DROP DATABASE d", "E-NO-TX"),
        ("ALTER SYSTEM SET work_mem = '1MB'", "E-NO-TX"), ("DROP SUBSCRIPTION s", "E-NO-TX"), ("-- nothing", "E-NO-SCRIPT"),
    ):  # fmt: skip
        with pytest.raises(Refused) as refused:
            script.read("011_a.sql", sql.encode())
        assert refused.value.code == code, sql
    (example,) = blocks("docs/writing-rollback-scripts.md", "sql")
    assert script.read("011_a.sql", example.encode()).statements
    assert rules.OWN_SCHEMA in TEXT["docs/writing-rollback-scripts.md"]


CHECKED = {
    "001_plans.sql": "CREATE TABLE plans (id int PRIMARY KEY, owner text, price int); CREATE INDEX plans_owner ON plans (owner)",
    "002_prices.sql": "DROP INDEX plans_owner; ALTER TABLE plans ALTER price TYPE numeric(10,2)",
    "003_paying.sql": "CREATE VIEW paying AS SELECT id FROM plans WHERE price > 0",
    "rollback/001_plans.sql": "DROP TABLE plans",
    "rollback/002_prices.sql": "ALTER TABLE plans ALTER price TYPE integer",
    "rollback/003_paying.sql": "DROP VIEW paying",
}
PLANNED = (
    "CREATE TABLE plans (id integer PRIMARY KEY, name text);\n"
    "ALTER TABLE subscriptions ADD COLUMN plan_id integer REFERENCES plans;\n"
    "CREATE VIEW paying AS SELECT id, name FROM plans;\n"
)


def shell(env: dict[str, str], *words: str) -> str:
    """What `rollback` prints, without figures of time, versions and digests."""
    command = [sys.executable, "-m", "core", *words]
    done = subprocess.run(
        command, cwd=ROOT, env={"PATH": os.environ["PATH"], **env}, capture_output=True, text=True, timeout=100
    )
    return steady(done.stdout)


def steady(text: str) -> str:
    """A printed text without what differs from run to run."""
    return re.sub(r"\b[\d.]+ s\b|PostgreSQL [\d.]+|\bPlan [0-9a-f]{12}\b", "…", text)


def printed_by(command: str) -> list[str]:
    """The lines that the README shows below a command, up to each mark of an omission."""
    (block,) = [part for part in blocks("README.md", "") if part.startswith(f"$ rollback {command}")]
    return [steady(line).removesuffix("…") for line in block.splitlines()[1:] if line.strip() not in ("", "…")]


def test_the_check_in_the_readme_prints_what_it_shows(server: Server, tmp_path: Path) -> None:
    (tmp_path / "rollback").mkdir()
    for name, text in CHECKED.items():
        (tmp_path / name).write_text(text)
    printed = shell({"HOME": str(tmp_path), "TEST_DATABASE_URL": server.url()}, "check", str(tmp_path))
    assert [line for line in printed_by("check") if line not in printed] == []


def test_each_example_of_a_good_script_brings_the_schema_back(server: Server, tmp_path: Path) -> None:
    (tmp_path / "rollback").mkdir()
    base = "CREATE TABLE users (id int PRIMARY KEY, email text, name text DEFAULT '', age int); CREATE TYPE mood AS ENUM ('good');"
    base += "CREATE INDEX users_name ON users (name); CREATE VIEW members AS SELECT id, email FROM users"
    examples = [(base, "DROP VIEW members; DROP TYPE mood; DROP TABLE users")]
    for cells in rows("docs/writing-rollback-scripts.md", "## What a good one looks like"):
        forward, back = (re.findall(r"`([^`]+)`", cell)[0] for cell in cells)
        examples.append((forward, back))
    for number, (forward, back) in enumerate(examples):
        (tmp_path / f"{number:03}_example.sql").write_text(forward)
        (tmp_path / f"rollback/{number:03}_example.sql").write_text(back)
    printed = shell({"HOME": str(tmp_path), "TEST_DATABASE_URL": server.url()}, "check", str(tmp_path))
    verdicts = [line.split()[1] for line in printed.splitlines() if "_example" in line]
    assert verdicts == ["exact"] * (len(examples) - 1) + ["irreversible"], printed


def test_the_plan_in_the_readme_prints_what_it_shows(server: Server, app: str, tmp_path: Path) -> None:
    script = "DROP TABLE plans CASCADE;\n"
    assert script.strip() in TEXT["README.md"]
    folder = copied(tmp_path, {"013_plans.sql": PLANNED, "rollback/013_plans.sql": script})
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute(PLANNED.encode())
        conn.execute("INSERT INTO plans SELECT g, 'a' FROM generate_series(1, 25) g")
        conn.execute("INSERT INTO schema_migrations (version) VALUES ('013')")
    env = {"HOME": str(tmp_path), "DATABASE_URL": app, "TEST_DATABASE_URL": server.url(), "ROLLBACK_APPROVALS": "0"}
    env |= {"ROLLBACK_MIGRATIONS": str(folder), "ROLLBACK_PG_BIN": str(server.bin_dir)}
    with psycopg.connect(app, application_name="nightly-report") as reader:
        reader.execute("SELECT count(*) FROM subscriptions")
        printed = shell(env, "plan", "013")
    assert [line for line in printed_by("plan") if line not in printed] == []


@pytest.fixture(scope="module")
def trail(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Run]]:
    """The audit trail of a rollback and its two ways back, walked by the shell on a throw-away target; the rollback."""
    folder = tmp_path_factory.mktemp("docs")
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute("CREATE DATABASE docs TEMPLATE template0")
    url = server.url("docs")
    sample.migrate(url)
    file = folder / "rollback.toml"
    file.write_text(
        f'ledger = "ledger.db"\nbackup_dir = "backups"\npg_bin = "{server.bin_dir}"\n'
        f'[targets.production]\nmigrations = "{sample.MIGRATIONS}"\napprovals = 0\n'
    )
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "ROLLBACK_CONFIG": str(file)}
    env |= {"DATABASE_URL": url, "TEST_DATABASE_URL": server.url()}
    book = ledger.Ledger(folder / "ledger.db")
    for words in ("011_subscriptions", "reapply", "restore"):
        named = [words, book.runs("origin IS NULL")[0].id] if words.startswith("re") else [words]
        command = [sys.executable, "-m", "core", *named, "--reason", "for the documentation"]
        done = subprocess.run(command, cwd=ROOT, env=env, input="docs\n", capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
    yield book.path, book.runs("origin IS NULL")[0]
    kept = book.runs("what = 'restore'")[0].evidence["execute"]["kept"]
    book.close()
    with psycopg.connect(server.url(), autocommit=True) as conn:
        for name in ("docs", kept):
            conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_the_snippet_for_the_chain_agrees_with_a_real_ledger_and_finds_a_change(
    trail: tuple[Path, Run], tmp_path: Path
) -> None:
    file, run = trail
    (code,) = blocks("docs/ledger.md", "python")
    snippet = tmp_path / "verify.py"
    snippet.write_text(code)
    copy = tmp_path / "copy.db"
    book = ledger.Ledger(file)
    book.db.execute("VACUUM INTO ?", [str(copy)])
    head = book.head()[1]
    book.close()
    good = subprocess.run([sys.executable, snippet, copy], capture_output=True, text=True, timeout=60)
    assert good.stdout.strip() == head
    assert run.state is State.RESTORED
    changed = ledger.Ledger(copy)
    changed.db.execute("DROP TRIGGER events_no_update")
    with changed.db.conn:
        changed.db.execute("UPDATE events SET kind = 'denied' WHERE id = 3")
    changed.close()
    bad = subprocess.run([sys.executable, snippet, copy], capture_output=True, text=True, timeout=60)
    assert (bad.returncode, bad.stderr.strip()) == (1, "broken at event 3")


def test_the_evidence_of_each_step_is_described_key_by_key(trail: tuple[Path, Run]) -> None:
    file, _ = trail
    book = ledger.Ledger(file)
    runs = {run.kind: run for run in book.runs()}
    book.close()
    rollback: dict[str, set[str]] = {}
    for kind, heading in (("rollback", "### Rollback"), ("reapply", "### Re-apply"), ("restore", "### Restore")):
        told = {row[0].strip("`"): row[1] for row in rows("docs/ledger.md", heading)}
        assert tuple(told) == STEPS[kind]  # type: ignore[index]
        for step, text in told.items():
            outer = re.sub(r"; and `parts`.*", "", re.sub(r"\([^)]*\)", "", text)).partition(": `works`")[0]
            keys = set(re.findall(r"`(\w+)`", outer)) | {"seconds"}
            if text.startswith("as of a rollback"):
                less = set(re.findall(r"`(\w+)`", text.partition(" without ")[2].partition(";")[0]))
                keys = rollback[step] - {"parts"} | keys
                keys -= less
            rollback.setdefault(step, keys)
            assert keys == set(runs[kind].evidence[step]), (kind, step)  # type: ignore[index]


def test_the_data_of_each_event_is_described_key_by_key(trail: tuple[Path, Run]) -> None:
    file, _ = trail
    told = {
        row[0].strip("`"): set(re.findall(r"`(\w+)`", row[2])) for row in rows("docs/ledger.md", "## Kinds of events")
    }
    book = ledger.Ledger(file)
    events = [event for one in book.runs() for event in book.events(one.id)]
    book.close()
    assert len({event.kind for event in events}) > 5
    for event in events:
        assert set(event.data) == told[event.kind], event.kind


def test_the_commands_for_looking_at_the_ledger_work(trail: tuple[Path, Run]) -> None:
    file, run = trail
    lines = [line for part in blocks("docs/ledger.md", "sh") for line in part.splitlines() if "sqlite-utils" in line]
    assert len(lines) == 4
    tool = Path(sys.executable).parent / "sqlite-utils"
    for line in lines:
        line = line.replace("sqlite-utils", str(tool)).replace("ledger.db", str(file)).replace("RB-7K3M", run.id)
        done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=60)  # noqa: S602
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) > 2, line
