"""What the rehearsal tells an approver that no statement says, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bot import messages
from core import config, printed_plan, survey
from core.errors import Refused, StepFailed
from core.ledger import now
from core.model import Json, Person, Request, Run
from demo.postgres import Server
from tests.bench_fixtures import copied
from tests.scenery import SCRIPT_012

ANA = Person("U0ANA", "Ana Diaz")
Rehearse = Callable[..., Run]


@pytest.fixture
def rehearse(server: Server, app: str, tmp_path: Path) -> Iterator[Rehearse]:
    """`rehearse(forward, rollback)`: a migration 013 is applied to the sample application, then its plan is made."""

    def plan(forward: str = "", rollback: str = "", what: str = "013", only: bool = False, **undo: str) -> Run:
        changes = {"013_more.sql": forward, "rollback/013_more.sql": rollback} if forward else {}
        changes |= {f"rollback/{name}.sql": text for name, text in undo.items()}
        folder = copied(tmp_path / "migrations", dict(changes))
        if forward:
            with psycopg.connect(app, autocommit=True) as conn:
                conn.execute(forward.encode())
                conn.execute("INSERT INTO schema_migrations (version) VALUES ('013')")
        env = {
            "DATABASE_URL": app,
            "TEST_DATABASE_URL": server.url(),
            "ROLLBACK_MIGRATIONS": str(folder),
            "ROLLBACK_APPROVALS": "0",
            "ROLLBACK_PG_BIN": str(server.bin_dir),
            "HOME": str(tmp_path),
        }
        settings = config.load(env=env)
        return survey.preview(Request("from", what, only), settings.target(), settings, ANA, now())

    yield plan


def found(run: Run) -> Json:
    evidence: Json = run.evidence["rehearse"]
    return evidence


def card(run: Run) -> str:
    context = messages.Context("@db-oncall", "@db-oncall", None, 30, True, run.created_at)
    return str(messages.plan_private(run, context)["blocks"])


PLANS = "CREATE TABLE plans (id int PRIMARY KEY);\n"


def test_what_cascade_takes_along_is_named_before_anyone_approves(rehearse: Rehearse) -> None:
    forward = PLANS + (
        "CREATE VIEW paying AS SELECT id FROM plans;\n"
        "ALTER TABLE profiles ADD COLUMN plan_id int CONSTRAINT profiles_plan_fk REFERENCES plans;\n"
    )
    run = rehearse(forward, "DROP TABLE plans CASCADE;\nALTER TABLE profiles DROP COLUMN plan_id;\n")
    taken = {(one["kind"], one["name"]) for one in found(run)["cascaded"]}
    assert ("view", "paying") in taken
    assert ("constraint", "profiles_plan_fk on profiles") in taken
    assert "Taken along by CASCADE" in card(run)
    assert "profiles_plan_fk on profiles" in str(messages.full_plan(run)["blocks"])
    assert "profiles_plan_fk" in "\n".join(printed_plan.head(run))


def test_nothing_is_called_a_cascade_when_each_object_is_named(rehearse: Rehearse) -> None:
    run = rehearse(what="011")
    assert found(run)["cascaded"] == []
    assert found(run)["reapplies"] is True


def test_the_rows_of_a_truncated_table_count_as_lost(rehearse: Rehearse) -> None:
    forward = PLANS + "INSERT INTO plans SELECT generate_series(1, 25);\n"
    run = rehearse(forward, "TRUNCATE plans;\nDROP TABLE IF EXISTS nothing;\nTRUNCATE masks CASCADE;\n")
    rows = {one["name"]: one["rows"] for one in found(run)["losses"] if one["kind"] == "rows"}
    assert rows["plans"] == 25
    assert rows["masks"] > 0
    assert "all rows of `plans`: *25* rows" in card(run)


def test_a_rewritten_table_is_said(rehearse: Rehearse) -> None:
    forward = PLANS + "ALTER TABLE plans ADD COLUMN price int;\n"
    run = rehearse(forward, "ALTER TABLE plans ALTER COLUMN price TYPE bigint;\nDROP VIEW IF EXISTS nothing;\n")
    assert found(run)["rewritten"] == ["plans"]
    assert "Rewrites whole tables" in card(run)


def test_a_migration_that_does_not_apply_again_is_said(rehearse: Rehearse) -> None:
    run = rehearse(PLANS + "CREATE TYPE tier AS ENUM ('a');\n", "DROP TABLE plans;\n")
    assert found(run)["reapplies"] is False
    assert "tier" in found(run)["why_not_reapplies"]
    assert "does not apply again" in card(run)


def test_rows_written_since_the_migration_are_counted_where_a_time_tells(rehearse: Rehearse, app: str) -> None:
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("UPDATE schema_migrations SET applied_at = now() - interval '1 hour' WHERE version >= '011'")
        conn.execute(
            "UPDATE subscriptions SET created_at = now() - interval '1 day', updated_at = now() - interval '1 day'"
        )
        conn.execute(
            "UPDATE subscriptions SET updated_at = now() WHERE id IN (SELECT id FROM subscriptions ORDER BY id LIMIT 7)"
        )
    lost: dict[str, Any] = {one["name"]: one for one in found(rehearse(what="011"))["losses"]}
    assert lost["subscriptions"]["since"] >= 7
    assert lost["subscriptions"]["since"] <= lost["subscriptions"]["rows"]


def test_where_no_column_tells_what_is_new_that_is_said(rehearse: Rehearse) -> None:
    run = rehearse(PLANS, "DROP TABLE plans;\n")
    assert found(run)["losses"][0]["since"] is None
    assert "no column tells how many are new" in card(run)


def test_who_holds_a_lock_and_who_writes_now_is_named(rehearse: Rehearse, app: str) -> None:
    with psycopg.connect(app, application_name="nightly-report") as reader:
        reader.execute("SELECT count(*) FROM subscriptions")
        run = rehearse(what="011")
        reader.rollback()
    used = {one["table"]: one for one in found(run)["usage"]}
    assert [one["who"] for one in used["public.subscriptions"]["holders"]] == ["nightly-report"]
    assert used["public.subscriptions"]["holders"][0]["state"] == "idle in transaction"
    assert "nightly-report" in card(run)


def test_a_script_that_blinds_the_observer_gets_no_plan(rehearse: Rehearse) -> None:
    blind = "DROP TABLE plans;\nALTER EVENT TRIGGER rollback_rehearsal_drop DISABLE;\n"
    with pytest.raises(StepFailed, match="cannot see what it drops"):
        rehearse(PLANS, blind)


def test_hostile_names_go_through_the_whole_rehearsal(rehearse: Rehearse) -> None:
    name = '"Plans; ""x"" \u202e' + "é" * 10 + '"'
    run = rehearse(f"CREATE TABLE {name} (id int);\n", f"DROP TABLE {name};\n")
    assert [one["kind"] for one in found(run)["losses"]] == ["table"]
    assert "\u202e" not in card(run)


# -- only one, out of order --------------------------------------------------------------------------------


def test_only_is_refused_where_a_later_migration_does_not_apply_without_it(rehearse: Rehearse) -> None:
    later = "INSERT INTO stripe_events SELECT * FROM stripe_events WHERE false;\n"
    with pytest.raises(Refused, match="`013_more` does not apply to an empty database") as no:
        rehearse(later, "SELECT 1;", what="012_stripe_events", only=True)
    assert (no.value.code, no.value.options) == ("E-ONLY-DEPENDS", ("/rollback 012_stripe_events",))


def test_only_is_refused_where_something_of_a_later_migration_would_go_along(rehearse: Rehearse) -> None:
    script = {"012_stripe_events": f"{SCRIPT_012}DROP TABLE notes;\n"}
    with pytest.raises(Refused, match="would take along what must stay: table `notes` is missing") as no:
        rehearse("CREATE TABLE notes (id int);\n", "DROP TABLE notes;", "012_stripe_events", True, **script)
    assert no.value.code == "E-ONLY-DEPENDS"


def test_only_is_planned_where_nothing_later_depends_on_it(rehearse: Rehearse) -> None:
    assert rehearse("CREATE TABLE other (id int);\n", "DROP TABLE other;", "012_stripe_events", True).evidence[
        "rehearse"
    ]


def test_code_that_stays_and_names_what_goes_is_shown(rehearse: Rehearse) -> None:
    later = (
        "CREATE TABLE plans (id int);\nCREATE FUNCTION costs() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN"
        " (SELECT count(*) FROM plans); END $$;\nCREATE FUNCTION other() RETURNS int LANGUAGE sql AS 'SELECT 1';\n"
    )
    notes = found(rehearse(later, "DROP TABLE plans;\n"))["notes"]
    assert notes == ["`costs()` stays and names `plans` in its text: it may fail afterwards"]
