"""`rollback doctor`: every fault stands with its next step, in its group."""

from __future__ import annotations

import json
import re
from pathlib import Path

import psycopg
import pytest

from core import config, doctor, drills, printing
from core.doctor import AGAIN, CONNECT, Finding
from core.errors import EXIT, Refused
from core.ledger import Ledger
from core.model import Person
from core.settings import Settings
from demo.app import sample
from tests.test_first_settings import rollback

HEAD = 'ledger = "l.db"\nbackup_dir = "b"\n[targets.production]\n'


def settings(folder: Path, text: str, **env: str) -> Settings:
    file = folder / "rollback.toml"
    file.write_text(HEAD + text)
    return config.load(file, {"HOME": str(folder), **env})


def faults(found: list[Finding]) -> dict[str, tuple[str, str]]:
    return {f.what: (f.text, f.remedy) for f in found if not f.ok}


def test_a_database_that_is_away_is_told_once_with_what_to_do(tmp_path: Path) -> None:
    found = doctor.examine(
        settings(
            tmp_path, 'database_url = "postgresql:///x?host=/nowhere"\napprovers = ["U0BOB"]\nchannel = "#incidents"\n'
        )
    )
    told = faults(found)
    assert told["production: database"] == (told["production: database"][0], CONNECT)
    assert {f.what for f in found} == {
        "audit trail", "backup folder", "Slack", "production: database", "production: application", "production: services",
        "production: people",
    }  # fmt: skip
    assert told["Slack"][1].startswith("Set `SLACK_BOT_TOKEN` and `SLACK_APP_TOKEN` where the bot runs")


def test_what_is_wrong_with_this_machine_has_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("a file")
    made = settings(tmp_path, 'database_url = "postgresql:///x?host=/nowhere"\napprovals = 0\n')
    ledger = Ledger(made.ledger)
    ledger.append("note", {})
    ledger.db.execute("DROP TRIGGER events_no_update")
    ledger.db.execute("UPDATE events SET kind = 'x'")
    ledger.db.execute("CREATE TRIGGER events_no_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'no'); END")
    ledger.close()
    told = faults(doctor.examine(made))
    assert "`backup_dir`" in told["backup folder"][1]
    assert "`rollback audit verify` lists every fault" in told["audit trail"][1]


def test_every_refusal_has_a_next_step_even_one_without_a_hint() -> None:
    def refuse(code: str, hint: str = "") -> str:
        raise Refused(code, "It is so.", hint)

    for code in EXIT:
        (finding,) = doctor.look("x", lambda code=code: refuse(code))  # type: ignore[misc]
        assert not finding.ok and finding.remedy
    assert [f.remedy for f in doctor.look("x", lambda: refuse("E-TOOLS", "Nothing was started. Install it."))] == [
        "Install it."
    ]
    assert [f.remedy for f in doctor.look("x", lambda: refuse("E-DB", "Check the password in `database_url`."))] == [
        "Check the password in `database_url`."
    ]

    def broken() -> str:
        raise psycopg.OperationalError("server closed the connection")

    assert [f.remedy for f in doctor.look("x", broken)] == [AGAIN]


@pytest.mark.parametrize(
    ("text", "env", "remedy"),
    [
        ('database_url = "$DATABASE_URL"', {}, "`export DATABASE_URL=…` where this runs"),
        ("approvals = 0", {}, "`export DATABASE_URL=postgresql://…` where this runs"),
        ("approvals = 9", {}, "Correct it in rollback.toml, line 4; docs/settings.md"),
        ("aprovals = 1", {}, "Correct it in rollback.toml, line 4; docs/settings.md"),
        ("approvals = 0", {"ROLLBACK_APROVALS": "1"}, "`unset ROLLBACK_APROVALS`, or correct its name."),
    ],
)
def test_each_fault_of_the_settings_has_its_correction(
    text: str, env: dict[str, str], remedy: str, tmp_path: Path
) -> None:
    with pytest.raises(config.ConfigError) as faulty:
        settings(tmp_path, text + "\n", **env)
    found = doctor.faulty(faulty.value, {"ROLLBACK_CONFIG": "x"})
    assert any(f.remedy.startswith(remedy) for f in found), found
    assert all(not f.ok and f.remedy for f in found)


def test_without_any_settings_the_doctor_names_init(tmp_path: Path) -> None:
    done = rollback(tmp_path, "doctor")
    assert (done.returncode, done.stderr) == (2, "")
    first = done.stdout.splitlines()
    assert first[0] == "this machine" and "There is no rollback.toml here" in first[1]
    assert first[2] == "         next             `rollback init` writes a first one."
    told = json.loads(rollback(tmp_path, "doctor", "--json").stdout)
    assert (told["ok"], told["settings"]) == (False, []) and all(f["remedy"] for f in told["findings"])


def test_the_findings_are_grouped_and_counted_and_only_settings_that_are_set_are_listed(
    app: str, tmp_path: Path
) -> None:
    (tmp_path / "rollback.toml").write_text(
        f'{HEAD}database_url = "{app}"\nmigrations = "{sample.MIGRATIONS}"\napprovals = 0\n'
    )
    done = rollback(tmp_path, "doctor")
    text = done.stdout
    assert re.findall(r"^(settings|this machine|target \w+)$", text, re.M) == [
        "settings",
        "this machine",
        "target production",
    ]
    assert re.search(r"^  targets\.production\.approvals +0 +rollback\.toml:6$", text, re.M)
    assert "lock_wait" not in text and "more settings at the default: `rollback doctor --json` lists all" in text
    assert re.search(r"^  ok     database         `t_\w+`, PostgreSQL", text, re.M)
    bad = text.count("  FAULT  ")
    assert text.count("         next             ") == bad and done.returncode == (3 if bad else 0)
    assert re.search(rf"^{bad or 'no'} faults?, \d+ in place$", text, re.M)
    assert len(json.loads(rollback(tmp_path, "doctor", "--json").stdout)["settings"]) > 50


def test_a_finding_from_outside_begins_no_line() -> None:
    found = [Finding("production: database", False, "a\nok  x", "b\n\x1b[2J")]
    assert all("\n" not in row and "\x1b" not in row for row in printing.doctor(found, []))


def test_the_bots_tokens_are_not_asked_for_where_a_bot_runs(tmp_path: Path) -> None:
    made = settings(tmp_path, 'database_url = "postgresql:///x"\napprovers = ["U0BOB"]\n')
    with pytest.raises(Refused, match="none can start"):
        doctor.slack(made)
    http = settings(tmp_path, 'database_url = "postgresql:///x"\napprovers = ["U0BOB"]\n[slack]\nmode = "http"\n')
    with pytest.raises(Refused, match="SLACK_SIGNING_SECRET"):
        doctor.slack(http)
    ledger = Ledger(made.ledger)
    place = ledger.hold("bot")
    assert place and doctor.slack(made) == "a bot is running, so it has its tokens"
    place.close()
    ledger.close()
    tokens = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}
    text = 'database_url = "postgresql:///x"\napprovers = ["U0BOB"]\n'
    assert "the tokens are set" in doctor.slack(settings(tmp_path, text, **tokens))


def test_a_drill_that_nobody_did_is_a_fault_until_somebody_answers_for_it(tmp_path: Path) -> None:
    drill = 'drill = { schedule = "first monday 10:00" }\n'
    made = settings(tmp_path, f'database_url = "postgresql:///x?host=/nowhere"\napprovals = 0\n{drill}')

    def said() -> Finding:
        return next(one for one in doctor.examine(made) if one.what == "production: drill")

    assert (said().ok, said().text) == (True, "last drill: never")
    ledger = Ledger(made.ledger)
    ledger.append("drill_due", {"target": "production", "due": "2026-11-02T10:00:00.000Z", "again": False})
    late = said()
    assert not late.ok and "2026-11-02 is overdue" in late.text and "rollback drill start" in late.remedy
    drills.Drills(ledger, lambda one, other: False).skip("production", Person("U0BOB", "Bob"), "release week")
    ledger.close()
    assert said().ok
