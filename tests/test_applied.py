"""What is applied behind the bot's back is noticed, its scripts are kept, and whether it could be undone is tried."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core import survey
from core.applied import seen
from core.applied.look import look
from core.applied.try_back import try_back
from core.ledger import now
from core.model import Event, Request, State
from demo.postgres import Server
from tests.bench_fixtures import copied
from tests.engine_stand import ANA, EngineStand
from tests.layout_projects import PROJECTS, Project, files

SEVEN = ["001", "002", "003", "004", "010", "011", "012"]
PLANS = "CREATE TABLE plans (id int PRIMARY KEY);\n"


class Watched(EngineStand):
    """A target whose history table is looked at, and a deploy that changes it."""

    def looks(self) -> list[Event]:
        """One look, and what it has noted."""
        before = self.ledger.head()[0]
        look(self.ledger, self.settings, "production")
        return self.ledger.events(after=before)

    def tries(self, later: float = 0) -> list[tuple[str, Any]]:
        """What the next trial tells, so many seconds later: kind and version, or kind, version and code."""
        self.ledger.clock = lambda: now() + timedelta(seconds=later)
        before = self.ledger.head()[0]
        try_back(self.ledger, self.settings, "production")
        found = self.ledger.events(after=before)
        return [(e.kind, (e.data["version"], e.data["code"]) if "code" in e.data else e.data["version"]) for e in found]

    def writes(self, name: str, up: str, down: str | None) -> None:
        """Files of a migration."""
        (self.target.migrations / f"{name}.sql").write_text(up)
        if down is not None:
            (self.target.migrations / f"rollback/{name}.sql").write_text(down)

    def deploys(self, name: str, up: str, down: str | None) -> None:
        """Files, schema and row, as a deploy brings them."""
        self.writes(name, up, down)
        self.sql(up, f"INSERT INTO schema_migrations VALUES ('{name.split('_')[0]}', now())")

    def why(self) -> str:
        return str(self.ledger.apart(["no_way_back"], "production")[0].data["why"])


@pytest.fixture
def watched(server: Server, app: str, tmp_path: Path) -> Watched:
    return Watched(server, app, tmp_path / "state", copied(tmp_path))


def kinds(events: Sequence[Event]) -> list[str]:
    return [event.kind for event in events]


def test_the_first_look_takes_down_all_that_is_applied_and_keeps_its_scripts(watched: Watched) -> None:
    first, *noted = watched.looks()
    assert (first.kind, first.data) == ("history_seen", {"target": "production", "versions": SEVEN})
    assert kinds(noted) == ["applied"] * 7 and [event.data["version"] for event in noted] == SEVEN
    assert {event.run for event in (first, *noted)} == {None} and len({event.at for event in noted}) == 1
    for event in noted:
        for side, folder in (("forward", ""), ("rollback", "rollback/")):
            told = event.data[side]
            data = (watched.target.migrations / f"{folder}{event.data['name']}.sql").read_bytes()
            assert told["sha256"] == hashlib.sha256(data).hexdigest() and told["bytes"] == len(data)
            assert watched.ledger.script(told["sha256"]) == data and told["transaction"] == "free"
        assert (event.data["irreversible"], event.data["out_of_order"]) == ("", False)
    assert watched.looks() == [] and watched.tries() == []  # nothing is said of what was there before
    assert watched.ledger.verify().unbroken


def test_what_a_deploy_applies_is_noted_once_kept_and_tried_and_nothing_is_said_where_it_works(
    watched: Watched,
) -> None:
    watched.looks()
    watched.deploys("013_plans", PLANS, "DROP TABLE plans;\n")
    (event,) = watched.looks()
    assert (event.kind, event.data["version"], event.data["name"]) == ("applied", "013", "013_plans")
    assert event.data["applied_at"] and not event.data["out_of_order"]
    assert watched.ledger.script(event.data["forward"]["sha256"]) == PLANS.encode()
    assert watched.looks() == []
    assert watched.tries() == [("way_back_works", "013")]
    assert watched.tries() == [] and "plans" in watched.tables()


def test_what_has_no_way_back_is_told_with_the_reason(watched: Watched) -> None:
    watched.looks()
    watched.deploys("013_plans", PLANS, "DROP TABLE plan;\n")
    watched.looks()
    assert watched.tries() == [("no_way_back", ("013", "E-REHEARSAL"))]
    assert "plan" in watched.why() and "does not exist" in watched.why()
    watched.deploys("014_more", "CREATE TABLE more (id int); CREATE TABLE most (id int);\n", "DROP TABLE most;\n")
    watched.looks()
    assert watched.tries() == [("no_way_back", ("014", "E-DIFFERS"))]
    assert "`more`" in watched.why() and watched.tries() == []


def test_a_file_that_comes_a_little_later_than_its_row_is_waited_for(watched: Watched) -> None:
    watched.looks()
    watched.sql(PLANS, "INSERT INTO schema_migrations VALUES ('013', now())")
    (event,) = watched.looks()
    assert (event.data["name"], event.data["forward"], event.data["rollback"]) == (None, None, None)
    assert watched.tries(30) == []
    watched.writes("013_plans", PLANS, "DROP TABLE plans;\n")
    (again,) = watched.looks()
    assert again.kind == "applied" and again.data["rollback"]["file"] == "rollback/013_plans.sql"
    assert watched.tries() == [("way_back_works", "013")] and watched.looks() == []


def test_while_a_file_is_waited_for_no_older_migration_is_condemned_for_it(watched: Watched) -> None:
    watched.looks()
    watched.deploys("013_plans", PLANS, "DROP TABLE plans;\n")
    more = ("014_more", "CREATE TABLE more (id int);\n", "DROP TABLE more;\n")
    watched.sql(more[1], "INSERT INTO schema_migrations VALUES ('014', now())")
    watched.looks()
    assert watched.tries(30) == []
    watched.writes(*more)
    watched.looks()
    assert watched.tries(30) == [("way_back_works", "014"), ("way_back_works", "013")]


def test_what_was_applied_by_hand_and_what_has_no_script_is_said_after_a_minute(watched: Watched) -> None:
    watched.looks()
    watched.deploys("013_plans", PLANS, None)
    watched.sql("INSERT INTO schema_migrations VALUES ('014', now())")
    assert kinds(watched.looks()) == ["applied"] * 2
    assert watched.tries(30) == []
    assert watched.tries(61) == [("no_way_back", ("014", "E-FILE-MISSING")), ("no_way_back", ("013", "E-FILE-MISSING"))]
    assert "`014`, which was applied after it, has no way back" in watched.why()
    watched.sql("DELETE FROM schema_migrations WHERE version = '014'")
    watched.writes("013_plans", PLANS, "DROP TABLE plans;\n")
    assert [(e.kind, e.data.get("by")) for e in watched.looks()] == [("unapplied", None), ("applied", None)]
    assert watched.tries() == [("way_back_works", "013")]


def test_a_lock_that_stops_the_trial_is_not_laid_to_the_script(watched: Watched) -> None:
    watched.set(statement_timeout=timedelta(seconds=1))
    watched.looks()
    watched.deploys("013_plans", PLANS, "DROP TABLE plans;\n")
    watched.looks()
    with psycopg.connect(watched.url) as migrating:
        migrating.execute("LOCK profiles IN ACCESS EXCLUSIVE MODE")
        assert watched.tries() == []
    assert watched.tries() == [("way_back_works", "013")]


def test_a_script_that_is_still_missing_is_told_by_its_name(watched: Watched) -> None:
    watched.looks()
    watched.deploys("013_plans", PLANS, None)
    watched.looks()
    assert watched.tries(61) == [("no_way_back", ("013", "E-NO-SCRIPT"))]
    assert watched.why() == "`013_plans` has no rollback script. I do not guess one."


def test_many_at_once_are_tried_together_and_one_by_one_only_where_that_fails(watched: Watched) -> None:
    watched.looks()
    for number in range(20, 50):
        watched.deploys(f"0{number}_t", f"CREATE TABLE t{number} (id int);\n", f"DROP TABLE t{number};\n")
    assert kinds(watched.looks()) == ["applied"] * 30
    told = watched.tries()
    assert [kind for kind, _ in told] == ["way_back_works"] * 30
    assert len({event.at for event in watched.ledger.apart(["way_back_works"], "production")}) == 1
    watched.deploys("050_a", "CREATE TABLE a (id int);\n", "DROP TABLE b;\n")
    watched.deploys("051_b", "CREATE TABLE b (id int);\n", "DROP TABLE b;\n")
    watched.looks()
    assert watched.tries() == [("way_back_works", "051"), ("no_way_back", ("050", "E-REHEARSAL"))]


def test_an_older_migration_that_is_applied_after_newer_ones_is_out_of_order(watched: Watched) -> None:
    watched.looks()
    watched.deploys("005_late", PLANS, "DROP TABLE plans;\n")
    watched.deploys("013_next", "CREATE TABLE next (id int);\n", "DROP TABLE next;\n")
    assert [(e.data["version"], e.data["out_of_order"]) for e in watched.looks()] == [("005", True), ("013", False)]


def test_what_a_re_apply_brings_back_below_newer_ones_is_not_told_as_out_of_order_and_what_a_deploy_does_is(
    watched: Watched,
) -> None:
    watched.looks()
    rollback = watched.rolled_back("012")
    watched.deploys("013_plans", PLANS, "DROP TABLE plans;\n")
    watched.looks()
    assert watched.goes_back("reapply", rollback).state is State.DONE
    assert [(e.data["version"], e.data["out_of_order"]) for e in watched.looks()] == [("012", False)]
    watched.rolled_back("012", only=True)
    watched.looks()
    watched.sql("INSERT INTO schema_migrations VALUES ('012', now())")
    assert [(e.data["version"], e.data["out_of_order"]) for e in watched.looks()] == [("012", True)]


def test_what_a_run_of_ours_took_out_is_laid_to_it_and_what_it_put_back_is_tried_anew(watched: Watched) -> None:
    watched.looks()
    rollback = watched.rolled_back("011")
    (event,) = watched.looks()
    assert event.kind == "unapplied"
    assert event.data == {"target": "production", "versions": ["011", "012"], "by": rollback.id}
    watched.goes_back("reapply", rollback)
    assert kinds(watched.looks()) == ["applied"] * 2
    assert watched.tries() == [("way_back_works", "012"), ("way_back_works", "011")]
    watched.sql("DELETE FROM schema_migrations WHERE version = '012'")
    (event,) = watched.looks()
    assert (event.kind, event.data["versions"], event.data["by"]) == ("unapplied", ["012"], None)


def test_what_a_restore_brings_back_is_laid_to_it(watched: Watched) -> None:
    rollback = watched.rolled_back("012")
    watched.looks()
    watched.deploys("013_plans", PLANS, "DROP TABLE plans;\n")
    watched.looks()
    restore = watched.goes_back("restore", rollback)
    assert restore.state is State.DONE
    gone, back = watched.looks()
    assert (gone.data["versions"], gone.data["by"]) == (["013"], restore.id)
    assert back.data["version"] == "012"
    watched.sql("DELETE FROM schema_migrations WHERE version IN ('003', '012')")
    (by_hand,) = watched.looks()
    assert (by_hand.data["versions"], by_hand.data["by"]) == (["003", "012"], None)
    watched.drop_others()


def test_an_emptied_table_is_told_once_and_nothing_is_forgotten(watched: Watched) -> None:
    watched.looks()
    rows = watched.sql("SELECT version, applied_at::text FROM schema_migrations")
    watched.sql("TRUNCATE schema_migrations")
    (event,) = watched.looks()
    assert (event.kind, event.data["versions"]) == ("history_emptied", SEVEN)
    assert watched.looks() == [] and watched.tries() == []
    kept = seen.of(watched.ledger, "production").kept
    assert list(kept) == SEVEN and all(watched.ledger.script(e.data["rollback"]["sha256"]) for e in kept.values())
    for version, at in rows:
        watched.sql(f"INSERT INTO schema_migrations VALUES ('{version}', '{at}')")
    assert [event.data["version"] for event in watched.looks()] == SEVEN


def test_a_table_that_is_gone_is_told_once_like_an_emptied_one(watched: Watched) -> None:
    from core.errors import Refused

    watched.looks()
    watched.sql("ALTER TABLE schema_migrations RENAME TO was")
    (event,) = watched.looks()
    assert (event.kind, event.data["versions"], event.data["no_table"]) == ("history_emptied", SEVEN, True)
    with pytest.raises(Refused, match="There is no table `schema_migrations`"):
        watched.looks()
    watched.sql("ALTER TABLE was RENAME TO schema_migrations")
    assert [event.data["version"] for event in watched.looks()] == SEVEN


def test_while_a_run_changes_the_target_nothing_is_taken_for_somebody_elses_work(watched: Watched) -> None:
    watched.looks()
    run = watched.desk.ask(Request("latest"), watched.target, ANA)
    watched.dies(run, "core.engine:Engine._committed", "before")
    assert watched.ledger.run(run.id).state is State.EXECUTING and watched.applied() == SEVEN[:-1]
    assert watched.looks() == []
    watched.walk(run)
    assert [(e.kind, e.data["by"]) for e in watched.looks()] == [("unapplied", run.id)]


def test_a_real_rollback_comes_before_a_trial(watched: Watched) -> None:
    watched.looks()
    watched.deploys("013_plans", PLANS, "DROP TABLE plans;\n")
    watched.looks()
    run = watched.desk.ask(Request("latest"), watched.target, ANA)
    assert watched.tries() == []
    watched.desk.stop(run.id, ANA)
    assert watched.tries() == [("way_back_works", "013")]


def test_a_database_that_does_not_answer_is_found_at_the_next_turn(watched: Watched) -> None:
    from core.errors import Refused

    watched.looks()
    watched.deploys("013_plans", PLANS, "DROP TABLE plans;\n")
    with psycopg.connect(watched.url) as migrating:
        migrating.execute("LOCK schema_migrations IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Refused) as caught:
            watched.looks()
        assert caught.value.code == "E-HISTORY"  # the table is locked: after five seconds it is left for later
    assert kinds(watched.looks()) == ["applied"]


def test_a_script_that_was_edited_since_is_noted_once_for_each_new_one_and_the_plan_says_so(watched: Watched) -> None:
    watched.looks()
    file = watched.target.migrations / "rollback/012_stripe_events.sql"
    was = file.read_text()
    file.write_text(was + "-- mended\n")
    (event,) = watched.looks()
    assert event.kind == "script_edited" and event.data["name"] == "rollback/012_stripe_events.sql"
    assert event.data["was"] == hashlib.sha256(was.encode()).hexdigest() != event.data["is"]
    assert watched.looks() == []
    run = watched.planned(watched.desk.ask(Request("latest"), watched.target, ANA))
    (undone,) = run.going
    assert undone["script"]["sha256"] == event.data["is"] and "stored" not in undone["script"]
    assert "`012_stripe_events.sql`: this rollback script was edited after it was applied" in undone["warnings"][0]


# -- from the stored scripts -------------------------------------------------------------------------------


@pytest.fixture(params=PROJECTS, ids=lambda project: project.layout)
def every(request: pytest.FixtureRequest, server: Server, database: str, tmp_path: Path) -> tuple[Project, Watched]:
    """A project of each layout, whose history was looked at."""
    project: Project = request.param
    with psycopg.connect(database, autocommit=True) as conn:
        project.migrate(conn)
    stand = Watched(server, database, tmp_path / "state", project.write(tmp_path / "m"), layout=project.layout)
    stand.looks()
    return project, stand


def test_where_the_table_names_the_newest_alone_an_older_file_that_is_added_is_not_taken_for_applied(
    server: Server, database: str, tmp_path: Path
) -> None:
    (project,) = [one for one in PROJECTS if one.one_row]
    with psycopg.connect(database, autocommit=True) as conn:
        project.migrate(conn)
    folder, added = project.write(tmp_path / "m"), files(project.layout, project.names[1], "SELECT 1;", "SELECT 1;")
    for file in added:
        (folder / file).unlink()
    stand = Watched(server, database, tmp_path / "state", folder, layout=project.layout)
    first, *noted = stand.looks()
    assert first.data["versions"] == [event.data["version"] for event in noted] == ["1", "10"]
    for file, text in added.items():
        (folder / file).write_text(text)
    assert stand.looks() == [] and stand.tries() == []


def test_each_layout_rolls_back_and_re_applies_from_the_audit_trail_where_the_folder_was_emptied(
    every: tuple[Project, Watched],
) -> None:
    project, stand = every
    shutil.rmtree(stand.target.migrations)
    stand.target.migrations.mkdir()
    assert stand.looks() == []
    rollback = stand.rolled_back(project.names[1])
    assert [one["name"] for one in rollback.going] == [project.names[2], project.names[1]]
    assert [one["script"]["transaction"] for one in rollback.going] == [project.transaction] * 2
    assert all(one["script"]["stored"] for one in rollback.going)
    rehearsed = rollback.evidence["rehearse"]
    assert (rehearsed["restores"], rehearsed["reapplies"]) == ("exact", True), rehearsed
    assert [event.data["by"] for event in stand.looks()] == [rollback.id]
    back = stand.goes_back("reapply", rollback)
    assert back.state is State.DONE, back.failed
    told = " ".join(word for one in back.going for word in one["warnings"])
    assert told.count("the folder no longer has this forward script; it is from the audit trail") == 2
    assert [one.name for one in survey.migrations(stand.target, stand.ledger)] == list(project.names[::-1])


def test_each_layout_rolls_back_where_the_folder_is_gone_or_has_lost_one_script(every: tuple[Project, Watched]) -> None:
    project, stand = every
    for path in stand.target.migrations.rglob("*"):
        if project.names[2] in str(path) and path.is_file():
            path.unlink()
    assert stand.rolled_back(project.names[2]).going[0]["script"]["stored"]
    stand.looks()
    shutil.rmtree(stand.target.migrations)
    assert stand.rolled_back(project.names[1]).going[0]["script"]["stored"]
    assert [one.name for one in survey.migrations(stand.target, stand.ledger) if one.applied] == [project.names[0]]


def test_what_was_rolled_back_is_not_taken_for_pending_where_only_the_audit_trail_has_it(
    every: tuple[Project, Watched],
) -> None:
    project, stand = every
    shutil.rmtree(stand.target.migrations)
    stand.rolled_back(project.names[2])
    stand.looks()
    assert [one.name for one in survey.migrations(stand.target, stand.ledger)] == list(project.names[1::-1])


def test_bytes_that_are_not_those_of_the_event_are_not_used_and_the_audit_says_so(watched: Watched) -> None:
    watched.looks()
    (watched.target.migrations / "rollback/012_stripe_events.sql").unlink()
    told = seen.of(watched.ledger, "production").applied["012"].data["rollback"]
    watched.ledger.db.execute("DROP TRIGGER IF EXISTS scripts_no_update")
    for change, says in (
        ("UPDATE scripts SET bytes = 'DROP TABLE profiles;' WHERE sha256 = ?", "are not those that its event names"),
        ("DELETE FROM scripts WHERE sha256 = ?", "are missing"),
    ):
        watched.ledger.db.execute("DROP TRIGGER IF EXISTS scripts_no_delete")
        watched.ledger.db.execute(change, [told["sha256"]])
        run = watched.walk(watched.desk.ask(Request("latest"), watched.target, ANA))
        assert run.state is State.REFUSED and run.ending
        assert run.ending.data["code"] == "E-LEDGER" and says in run.ending.data["message"]
        assert "Put the file back" in run.ending.data["hint"]
        (fault,) = watched.ledger.verify().faults
        assert "rollback/012_stripe_events.sql" in fault and "audit" not in fault
    assert watched.applied() == SEVEN


@pytest.mark.parametrize(
    "change", ["DELETE FROM scripts WHERE sha256 = ?", "UPDATE scripts SET bytes = 'x' WHERE sha256 = ?"]
)
def test_lost_bytes_stop_no_rollback_that_does_without_them_and_are_kept_anew_from_the_folder(
    watched: Watched, change: str
) -> None:
    watched.looks()
    told = seen.of(watched.ledger, "production").applied["001"].data["forward"]
    watched.ledger.db.execute(change, [told["sha256"]])
    file = watched.target.migrations / told["file"]
    data = file.read_bytes()
    file.unlink()
    run = watched.walk(watched.desk.ask(Request("from", "012"), watched.target, ANA))
    assert run.state is State.REFUSED
    file.write_bytes(data)
    assert watched.rolled_back("012").state is State.DONE
    assert any(f"`{told['file']}`" in fault for fault in watched.ledger.verify().faults)
    assert kinds(watched.looks()) == ["unapplied"]
    assert watched.ledger.verify().unbroken and watched.ledger.script(told["sha256"]) == data


def test_a_script_with_a_password_of_ours_is_not_kept(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.redact import Redactor, SecretStr, install

    watched.looks()
    monkeypatch.setattr("core.redact._funnel", Redactor())
    install(
        Redactor.of(
            replace(
                watched.settings,
                targets={"p": replace(watched.target, database_url=SecretStr("postgresql://u:s3cr3t-word@h/d"))},
            ),
            {},
        )
    )
    watched.deploys("013_plans", PLANS + "COMMENT ON TABLE plans IS 's3cr3t-word';\n", "DROP TABLE plans;\n")
    (event,) = watched.looks()
    assert event.data["forward"] is None and event.data["rollback"]
    assert watched.looks() == []
