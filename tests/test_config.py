"""Settings are read once and checked whole; every fault has its place, and no fault tells a secret."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core import settings_page
from core.config import ConfigError, Settings, load, source
from core.errors import Refused
from core.layers import leaves
from core.redact import Redactor
from core.settings import Target

ROOT = Path(__file__).parents[1]
CANARY = "c4n4ry-S3kret"
ALONE = {"HOME": "/home/ana", "DATABASE_URL": f"postgresql://app:{CANARY}@db/app", "ROLLBACK_APPROVERS": "U0BOB"}


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "rollback.toml"
    file.write_text(text, encoding="utf-8")
    return file


def production(tmp_path: Path, *lines: str) -> Path:
    """A file with one good target and some more lines in it."""
    head = ["[targets.production]", f"database_url = 'postgresql://app:{CANARY}@db/app'"]
    names = {line.split("=")[0].strip() for line in lines}
    head += ["approvers = ['U0BOB']"] if "approvers" not in names else []
    return write(tmp_path, "\n".join([*head, *lines]))


def faults(file: Path | None, env: dict[str, str] | None = None, **more: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(file, {"HOME": "/home/ana", **(env or {})}, **more)
    assert caught.value.code == "E-CONFIG"
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(caught.value)
    return [str(fault) for fault in caught.value.faults]


def test_the_environment_alone_describes_one_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    env = ALONE | {"API_BASE_URL": "https://api.example.com/", "TEST_DB": "app_test", "ROLLBACK_LOCK_TIMEOUT": "200 ms"}
    settings = load(env=env | {"ROLLBACK_TARGET": "shop", "ROLLBACK_APPROVALS": "1"})
    target = settings.target()
    assert (target.name, target.approvals, target.approvers) == ("shop", 1, ("U0BOB",))
    assert target.database_url.get_secret_value() == ALONE["DATABASE_URL"]
    assert target.scratch_url is not None and target.scratch_url.get_secret_value() == "dbname=app_test"
    assert target.health_url == "https://api.example.com/health"
    assert target.lock_timeout == timedelta(milliseconds=200)
    assert settings.ledger == Path("/home/ana/.local/state/rollback-bot/ledger.db")


def test_libpq_variables_are_enough_for_one_target_but_not_for_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    env = {"HOME": "/home/ana", "PGHOST": "db", "PGDATABASE": "app", "ROLLBACK_APPROVERS": "U0BOB"}
    assert load(env=env).target().database_url.get_secret_value() == ""
    two = write(tmp_path, "[targets.production]\n[targets.staging]\napprovals = 0\n")
    assert [fault for fault in faults(two, env) if "database_url" in fault] == [
        "rollback.toml, line 1: `targets.production.database_url` is missing; "
        "set it, or DATABASE_URL, or libpq's PGHOST for a single target",
        "rollback.toml, line 2: `targets.staging.database_url` is missing; "
        "set it, or DATABASE_URL, or libpq's PGHOST for a single target",
    ]


def test_the_example_file_is_valid_and_uses_only_well_known_variables() -> None:
    env = ALONE | {"TEST_DATABASE_URL": "postgresql://scratch/rollback", "API_BASE_URL": "https://api.example.com"}
    env |= {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}
    env.pop("ROLLBACK_APPROVERS")
    target = load(ROOT / "rollback.example.toml", env).target()
    assert target.approvers == ("@db-oncall",)
    assert target.drill is not None and target.drill.timezone == "Europe/Berlin"
    assert target.services.names == ("api", "orchestrator")


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    file = production(tmp_path, "drift_rows_percent = 4", "health_tries = 4", "keep = '4 days'")
    settings = load(file, {"ROLLBACK_DRIFT_ROWS_PERCENT": "5", "ROLLBACK_HEALTH_TRIES": "5"}, {"drift_rows_percent": 6})
    rows = {key: (value, where) for key, value, where in source(settings)}
    assert rows["targets.production.drift_rows_percent"] == ("6", "flag")
    assert rows["targets.production.health_tries"] == ("5", "ROLLBACK_HEALTH_TRIES")
    assert rows["targets.production.keep"] == ("4 days", "rollback.toml:6")
    assert rows["targets.production.steps"] == ("thread", "default")
    assert rows["targets.production.database_url"] == ("set", "rollback.toml:2")


def test_each_target_has_its_own_variables(tmp_path: Path) -> None:
    text = "[targets.a]\ndatabase_url='postgresql:///a'\napprovals=0\n[targets.b-2]\ndatabase_url='postgresql:///b'\n"
    file = write(tmp_path, "default_target='a'\n" + text + "approvals=0\n")
    settings = load(file, {"ROLLBACK_TARGETS__B_2__KEEP": "1 day", "ROLLBACK_KEEP": "2 days"})
    assert {name: target.keep.days for name, target in settings.targets.items()} == {"a": 2, "b-2": 1}


def test_database_url_replaces_neither_a_named_variable_nor_one_of_several_targets(tmp_path: Path) -> None:
    foreign = {"DATABASE_URL": "postgresql://elsewhere/dev", "PROD_URL": "postgresql://db/app"}
    one = write(tmp_path, "[targets.production]\ndatabase_url='$PROD_URL'\napprovals=0\n")
    assert load(one, foreign).target().database_url.get_secret_value() == "postgresql://db/app"
    literal = write(tmp_path, "[targets.production]\ndatabase_url='postgresql://db/app'\napprovals=0\n")
    assert load(literal, foreign).target().database_url.get_secret_value() == "postgresql://elsewhere/dev"
    more = "[targets.staging]\ndatabase_url='postgresql://db/staging'\napprovals=0\n"
    two = write(tmp_path, literal.read_text(encoding="utf-8") + more)
    assert load(two, foreign).target().database_url.get_secret_value() == "postgresql://db/app"


def test_secrets_can_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://db/app\n", encoding="utf-8")
    (tmp_path / "token").write_text("xoxb-1\n", encoding="utf-8")
    env = {"DATABASE_URL_FILE": str(tmp_path / "url"), "SLACK_BOT_TOKEN_FILE": str(tmp_path / "token")}
    settings = load(write(tmp_path, "[targets.p]\ndatabase_url='${DATABASE_URL}'\napprovals=0"), env)
    assert settings.target().database_url.get_secret_value() == "postgresql://db/app"
    assert settings.slack.bot_token is not None and settings.slack.bot_token.get_secret_value() == "xoxb-1"
    assert faults(None, ALONE | {"SLACK_BOT_TOKEN_FILE": str(tmp_path / "gone")}) == [
        "environment: `SLACK_BOT_TOKEN_FILE` names a file that I cannot read"
    ]


def test_all_faults_come_at_once_with_their_lines_and_the_nearest_key(tmp_path: Path) -> None:
    file = production(
        tmp_path,
        "approvalls = 1",
        "approvals = 4",
        "health_tries = 'three'",
        "migrations = '$NOT_THERE/migrations'",
        "remind_after = [  # in order",
        "  '2 min', 'soon' ]",
        "drill = { schedule = '0 10 * * 1', timezone = 'Europe/Berln' }",
        "services = 'compose'",
        "[slack]",
        "api_url = 'http://slack.example.com/api/'",
    )
    found = faults(file, {"ROLLBACK_LOKC_TIMEOUT": "2s"}, overrides={"aprovals": 1})
    key = "`targets.production."
    assert found == [
        "environment: unknown variable `ROLLBACK_LOKC_TIMEOUT`, did you mean `ROLLBACK_LOCK_TIMEOUT`?",
        "flag: unknown setting `aprovals`, did you mean `approvals`?",
        "rollback.toml, line 4: unknown key `approvalls` in [targets.production], did you mean `approvals`?",
        f"rollback.toml, line 5: {key}approvals` must be a whole number from 0 to 3",
        f"rollback.toml, line 6: {key}health_tries` must be a whole number from 1 to 100",
        f"rollback.toml, line 7: {key}migrations` needs the variable `NOT_THERE`, which is not set",
        f"rollback.toml, line 8: {key}remind_after` must be a duration, such as 2s, 15 min, 12 hours or 30 days",
        f"rollback.toml, line 10: {key}drill.schedule` counts weekdays in numbers, which cron and APScheduler read "
        "differently; write names, as in `0 10 * * mon`",
        f"rollback.toml, line 10: {key}drill.timezone` must be a time zone, such as Europe/Berlin or UTC",
        f"rollback.toml, line 11: {key}services` must be a table",
        "rollback.toml, line 13: `slack.api_url` must be https, since tokens are sent there; "
        "http is for this machine only",
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('escalation = ["U0X"]\napproval_expires = "5 min"', "escalation` would never be asked: set the last of"),
        ('escalation = ["U0X"]\nremind_after = []', "escalation` would never be asked"),
        ('quiet_approvers = ["@db-oncall"]', "quiet_approvers` holds a group; name people by their ids"),
        ("approvers = []", "approvers` names nobody; say who may approve, or set `approvals` to 0"),
        ("approvals = 2", "approvers` names 1 person, but `approvals` asks for 2"),
        ("approvers = ['bob']", "approvers` must be Slack user ids (U…), group ids (S…) or a group's @handle"),
        ("approvers = 'U0BOB'", "approvers` must be a list"),
        ("approvals = true", "approvals` must be a whole number"),
        ("channel = 'incidents'", "channel` must be a channel, such as #incidents"),
        ("health_url = 'api/health'", "health_url` must be an http or https address"),
        ("reason = 'maybe'", 'reason` must be "optional" or "required"'),
        ("lock_timeout = 0", "lock_timeout` must be more than 0"),
        ("lock_timeout = '99 days'", "lock_timeout` must be more than 0 and at most 24 days"),
        ("keep = inf", "keep` must be a duration"),
        ("keep = nan", "keep` must be a duration"),
        ("drill = { timezone = 'UTC' }", "drill.schedule` is missing"),
        ("services = { kind = 'compose' }", "services.names` is missing"),
        ("break_glass = { people = ['U0ANA'], countdown = '9 s' }", "break_glass.countdown` must be at least 10 s"),
        ("break_glass = { countdown = '2 min' }", "break_glass.people` is missing; without it break-glass is off"),
        ("break_glass = { people = ['U0ANA'], wait = '14 min' }", "or it expires first"),
        ("break_glass = { people = ['ana'] }", "break_glass.people` must be Slack user ids"),
        ("migrations = ''", "migrations` must be a text"),
        ('migrations = "a\\u0000b"', "migrations` must be a text on one line"),
        (
            'history_table = "a.b.c"',
            "history_table` must be a table as the database writes it, `name` or `schema.name`",
        ),
        ('layout = "flyway"', 'layout` must be "paired" or "golang-migrate" or'),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_with_a_sentence(tmp_path: Path, line: str, sentence: str) -> None:
    found = faults(production(tmp_path, line))
    assert len(found) == 1 and sentence in found[0]


@pytest.mark.parametrize(
    ("database", "scratch"),
    [
        ("postgresql://a:x@db/app", "postgresql://other:y@DB:5432/app?sslmode=require"),
        ("postgresql://localhost/app", "host=127.0.0.1 dbname=app"),
        ("postgresql:///app?host=/run/pg&port=5433", "host=/run/pg port=5433 dbname=app"),
        ("postgresql://db1,db2/app", "postgresql://db2/app"),
        ("postgresql://app@db", "postgresql://db/app"),
        ("postgresql:///app?service=prod", "service=prod dbname=app"),
    ],
)
def test_rehearsals_on_the_target_itself_are_refused(tmp_path: Path, database: str, scratch: str) -> None:
    text = f"[targets.p]\napprovals=0\ndatabase_url='{database}'\nscratch_url='{scratch}'\n"
    assert "names the same database as `database_url`" in faults(write(tmp_path, text))[0]
    other = f"[targets.q]\napprovals=0\ndatabase_url='{database}2'\nscratch_url='{scratch}'\n"
    cross = write(tmp_path, "default_target='q'\n" + text.rsplit("scratch", 1)[0] + other)
    assert "names the same database as `targets.p.database_url`" in faults(cross)[0]


def test_another_database_or_server_is_a_fit_place_for_rehearsals(tmp_path: Path) -> None:
    for scratch in ("postgresql://db/other", "postgresql://db:5433/app", "postgresql:///app?host=/tmp/x"):
        text = f"[targets.p]\napprovals=0\ndatabase_url='postgresql://db/app'\nscratch_url='{scratch}'\n"
        assert load(write(tmp_path, text), {}).target().scratch_url


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://app:{CANARY}%zz@db/app",
        f"postgresql://app:x@{CANARY}@db/app",
        f"postgresql://app:x/{CANARY}@db/app",
        f"postgresql:/app:{CANARY}@db/app",
        f"postgresql://app:{CANARY} x@db/app",
        f"postgresql://app:{CANARY}%80@db/app",
        f"host=db password={CANARY} {CANARY}",
        f"postgresql+psycopg2://app:{CANARY}@db/app",
        f"postgresql://app:{CANARY}@db/app?schema={CANARY}",
        f"mysql://app:{CANARY}@db/app",
        f"postgresql://app:{CANARY}@db:99999/app",
        CANARY,
    ],
)
def test_a_malformed_url_is_named_by_its_key_and_never_shown(tmp_path: Path, url: str) -> None:
    found = faults(write(tmp_path, f"[targets.p]\napprovals=0\ndatabase_url='{url}'"))
    assert len(found) == 1 and found[0].startswith("rollback.toml, line 3: `targets.p.database_url` ")
    assert "codec" not in found[0]


@pytest.mark.parametrize("text", ["a = ", "a = 'x", "[targets", "a = 1\na = 2", f"x = {CANARY}", "[a]\n[a]", "\0"])
def test_a_broken_file_is_refused_with_its_line_alone(tmp_path: Path, text: str) -> None:
    found = faults(write(tmp_path, f"# comment\n{text}\n"), {"ROLLBACK_X": "1"})
    assert len(found) == 1 and ", line " in found[0] and "this is not TOML: " in found[0]


def test_a_file_that_cannot_be_read_is_refused_without_its_path(tmp_path: Path) -> None:
    assert faults(None, {"ROLLBACK_CONFIG": str(tmp_path / "gone.toml")}) == [
        "gone.toml: I cannot read it: no such file or directory"
    ]
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9")
    assert faults(tmp_path / "latin.toml") == ["latin.toml: this is not UTF-8 text"]
    assert "cannot read it" in faults(tmp_path)[0]


def test_slack_tokens_in_each_others_place_and_http_without_a_proof_are_refused() -> None:
    env = ALONE | {"SLACK_BOT_TOKEN": f"xapp-{CANARY}", "SLACK_APP_TOKEN": f"xoxb-{CANARY}", "SLACK_MODE": "http"}
    assert [fault.split("`")[1] for fault in faults(None, env)] == [
        "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "slack.signing_secret",
    ]  # fmt: skip


def test_another_slack_is_https_or_on_this_machine() -> None:
    for url in ("http://localhost:8080/api/", "http://127.0.0.1/api", "http://[::1]:1/api/", "https://proxy/api"):
        assert load(env=ALONE | {"SLACK_API_URL": url}).slack.api_url.endswith("/api/")
    for url in ("http://localhost.example.com/api/", "http://127.0.0.1@evil.example/api/", "http://127.0.0.1.evil/"):
        assert "must be https" in faults(None, ALONE | {"SLACK_API_URL": url})[0]


def test_an_unknown_target_is_told_with_the_nearest(tmp_path: Path) -> None:
    assert "did you mean `production`?" in faults(production(tmp_path), {"ROLLBACK_TARGET": "prodution"})[0]
    with pytest.raises(Refused, match=r"I know no target `prod`. Targets: production \(default\)"):
        load(production(tmp_path), {}).target("prod")


def test_missing_folders_are_faults_only_when_asked_for(tmp_path: Path) -> None:
    file = production(tmp_path, "migrations = 'migrations'")
    assert load(file, {}).target().migrations == tmp_path / "migrations"
    assert "names a folder that does not exist" in faults(file, check_paths=True)[0]


def test_aliases_of_one_person_count_once(tmp_path: Path) -> None:
    file = production(tmp_path, "approvals = 2", "approvers = ['U1', 'U2']")
    text = file.read_text(encoding="utf-8")
    assert load(file, {}).one_person("U2") == "U2"
    assert "names 1 person" in faults(write(tmp_path, "aliases = [['U1', 'U2']]\n" + text))[0]


def test_no_view_of_the_settings_shows_a_secret(tmp_path: Path) -> None:
    file = production(tmp_path, f"health_url = 'https://probe:{CANARY}@api/health'")
    settings = load(file, {"SLACK_BOT_TOKEN": f"xoxb-{CANARY}"})
    assert CANARY not in repr(source(settings))
    redacted = Target("p", database_url=settings.target().database_url)
    assert CANARY not in repr(redacted) and CANARY not in str(settings.slack)
    assert Redactor.of(settings, {}).redact(f"... {CANARY} ...") == "... ••• ..."


def test_the_page_of_settings_matches_the_code() -> None:
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_page.page()
    printed = subprocess.run([sys.executable, "-m", "core.config"], cwd=ROOT, capture_output=True, check=True)
    assert printed.stdout.decode() == settings_page.page()


def test_reading_the_settings_loads_no_heavy_library(tmp_path: Path) -> None:
    heavy = "{'pydantic', 'psycopg', 'sqlite_utils', 'slack_sdk', 'apscheduler', 'rich'}"
    code = f"import sys, core.config as c; c.source(c.load()); print({heavy} & set(sys.modules))"
    env = {"PATH": os.environ["PATH"], **ALONE, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_every_setting_is_documented() -> None:
    for _, item in [*leaves(Settings), *leaves(Target)]:
        assert item.metadata["text"] and item.metadata["kind"].say
