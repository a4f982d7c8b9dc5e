"""The sample application: its migrations go up and down exactly, its rows look real, its /health tells the truth."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from core.errors import Refused
from demo import postgres
from demo.app import health, sample

ROOT = Path(__file__).parents[1]
VERSIONS = tuple(sample.versions())
SCRIPTS = sorted(sample.MIGRATIONS.rglob("*.sql"))
postgast = importlib.import_module("postgast")  # not `import`: mypy cannot read its stubs


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Server]:
    with postgres.start(tmp_path_factory.mktemp("pg")) as running:
        yield running


@pytest.fixture
def empty(server: postgres.Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database."""
    yield from new_database(server, f"d{abs(hash(request.node.name))}", "template0")


@pytest.fixture(scope="module")
def filled(server: postgres.Server) -> str:
    """The name of a database with every migration and 500 people; a template, never to be changed."""
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute("CREATE DATABASE filled")
    sample.migrate(server.url("filled"))
    sample.fill(server.url("filled"), profiles=500)
    return "filled"


@pytest.fixture
def app(server: postgres.Server, filled: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a copy of the filled database."""
    yield from new_database(server, f"d{abs(hash(request.node.name))}", filled)


def new_database(server: postgres.Server, name: str, template: str) -> Iterator[str]:
    names = {"name": sql.Identifier(name), "template": sql.Identifier(template)}
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {name} TEMPLATE {template}").format(**names))
    yield server.url(name)
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE {name} WITH (FORCE)").format(**names))


def row(url: str, query: str) -> tuple[Any, ...]:
    with psycopg.connect(url, autocommit=True) as conn:
        found = conn.execute(query.encode()).fetchone()
        assert found is not None
        return found


def undo(url: str, version: str) -> None:
    """Run one rollback script and forget the version, in one transaction, as the bot does."""
    script = sample.MIGRATIONS / "rollback" / sample.versions()[version].name
    with psycopg.connect(url) as conn:
        conn.execute(script.read_bytes())
        assert conn.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        assert conn.execute("DELETE FROM schema_migrations WHERE version = %s", (version,)).rowcount == 1


def schema(server: postgres.Server, url: str) -> str:
    """What pg_dump says about the schema, the same text for the same schema."""
    command = [str(server.bin_dir / "pg_dump"), "--schema-only", "--restrict-key=x", "--dbname", url]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_a_rollback_restores_exactly_the_schema_from_before(server: postgres.Server, empty: str, version: str) -> None:
    earlier = [v for v in VERSIONS if v < version]
    if earlier:
        sample.migrate(empty, earlier[-1])
        sample.fill(empty, profiles=60)
    else:
        sample.migrate(empty, version)
        undo(empty, version)
    before = schema(server, empty)
    sample.migrate(empty, version)
    applied = schema(server, empty)
    assert applied != before
    undo(empty, version)
    assert schema(server, empty) == before
    sample.migrate(empty, version)
    assert schema(server, empty) == applied


def test_everything_goes_down_with_its_rows_and_up_again(server: postgres.Server, app: str) -> None:
    full = schema(server, app)
    for version in reversed(VERSIONS):
        undo(app, version)
    assert row(app, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == (2,)
    sample.migrate(app)
    assert schema(server, app) == full


@pytest.mark.parametrize("path", SCRIPTS, ids=[f"{p.parent.name}-{p.stem}" for p in SCRIPTS])
def test_a_script_is_plain_sql_without_transaction_control(path: Path) -> None:
    statements = postgast.parse(path.read_text()).stmts
    kinds = {item.stmt.WhichOneof("node") for item in statements}
    assert kinds
    assert "transaction_stmt" not in kinds
    assert "CASCADE" not in path.read_text() or path.parent.name != "rollback"


def test_each_migration_has_its_rollback_script() -> None:
    forward = [path.name for path in sample.versions().values()]
    assert forward == sorted(path.name for path in (sample.MIGRATIONS / "rollback").glob("*.sql"))
    assert VERSIONS == ("001", "002", "003", "004", "010", "011", "012")


def test_migrating_twice_changes_nothing_and_an_unknown_name_is_refused(app: str) -> None:
    before = row(app, "SELECT array_agg(applied_at ORDER BY version) FROM schema_migrations")
    sample.migrate(app)
    assert row(app, "SELECT array_agg(applied_at ORDER BY version) FROM schema_migrations") == before
    with pytest.raises(Refused, match="no such migration"):
        sample.migrate(app, "011_subs")


def test_the_history_says_that_only_the_last_two_came_today(app: str) -> None:
    query = "SELECT string_agg(version, ' ' ORDER BY version) FROM schema_migrations WHERE applied_at"
    assert row(app, f"{query} < now() - interval '3 months'") == ("001 002 003 004 010",)
    assert row(app, f"{query} > now() - interval '1 hour'") == ("011 012",)


def test_ten_thousand_people_have_the_figures_of_the_story(empty: str) -> None:
    sample.migrate(empty)
    sample.fill(empty)
    assert row(empty, "SELECT count(*), count(plan) FROM profiles") == (10_000, 1_204)
    assert row(empty, "SELECT count(*) FROM subscriptions") == (5_418,)
    assert row(empty, "SELECT count(*), count(processed_at) < 9120 FROM stripe_events") == (9_120, True)
    applied = "(SELECT applied_at FROM schema_migrations WHERE version = '011')"
    assert row(empty, f"SELECT count(*) FROM subscriptions WHERE created_at > {applied}") == (37,)
    assert row(empty, "SELECT max(created_at) <= now() FROM subscriptions") == (True,)
    # The next person gets the next number, not one that is taken.
    new = "INSERT INTO profiles (handle, display_name, email) VALUES ('new', 'New', 'new@example.com')"
    assert row(empty, f"{new} RETURNING id") == (10_001,)


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(server: postgres.Server, filled: str) -> None:
    def fingerprint(name: str) -> tuple[Any, ...]:
        return row(
            server.url(name),
            "SELECT (SELECT md5(string_agg(concat(id, handle, plan, status), ',' ORDER BY id)) FROM profiles),"
            " (SELECT md5(string_agg(stripe_subscription_id, ',' ORDER BY id)) FROM subscriptions),"
            " (SELECT md5(string_agg(event_id, ',' ORDER BY event_id)) FROM stripe_events),"
            " (SELECT md5(string_agg(body, ',' ORDER BY id)) FROM narratives)",
        )

    seen = {filled: fingerprint(filled)}
    for name, seed in (("same", 7), ("other", 8)):
        for url in new_database(server, name, "template0"):
            sample.migrate(url)
            sample.fill(url, profiles=500, seed=seed)
            seen[name] = fingerprint(name)
    assert seen["same"] == seen[filled]
    assert not set(seen["other"]) & set(seen[filled])


def test_one_person_is_enough_and_nobody_is_no_error(empty: str) -> None:
    sample.migrate(empty)
    sample.fill(empty, profiles=0)
    sample.fill(empty, profiles=1)
    assert row(empty, "SELECT count(*) FROM profiles") == (1,)


def test_a_quota_is_used_up_and_a_webhook_counts_once(app: str) -> None:
    take = "SELECT consume_quota(1, 'verification.request', {})"
    assert [row(app, take.format(n)) for n in (6, 4, 2, 1, 1)] == [(False,), (True,), (False,), (True,), (False,)]
    claim = "SELECT claim_stripe_event('evt_again', 'invoice.paid', '{}')"
    assert [row(app, claim), row(app, claim)] == [(True,), (False,)]


def test_a_canceled_subscription_takes_the_plan_away(app: str) -> None:
    query = "SELECT profile_id FROM active_subscriptions ORDER BY id LIMIT 1"
    (profile,) = row(app, query)
    cancel = f"UPDATE subscriptions SET status = 'canceled', canceled_at = now() WHERE profile_id = {profile}"
    row(app, f"{cancel} AND status <> 'canceled' RETURNING 1")
    assert row(app, f"SELECT plan FROM profiles WHERE id = {profile}") == (None,)


def get(url: str) -> tuple[int, dict[str, str]]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # our own server
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, json.load(answer)


OK = (200, {"status": "ok"})
DOWN = (503, {"status": "unavailable"})


def test_health_is_ok_with_the_subscriptions_and_without_them(app: str) -> None:
    with health.serve(app) as running:
        assert get(f"{running.url}/health") == OK
        undo(app, "012")
        undo(app, "011")
        assert get(f"{running.url}/health") == OK
        assert get(f"{running.url}/other")[0] == 404
        undo(app, "010")
        undo(app, "004")
        undo(app, "003")
        undo(app, "002")
        undo(app, "001")
        assert get(f"{running.url}/health") == DOWN


def test_health_can_be_told_to_fail_and_to_recover(app: str) -> None:
    with health.serve(app) as running:
        running.fail(True)
        assert get(f"{running.url}/health") == DOWN
        running.fail(False)
        assert get(f"{running.url}/health") == OK


def test_health_says_unavailable_while_the_database_is_down(tmp_path: Path) -> None:
    with postgres.start(tmp_path) as own:
        sample.migrate(own.url(), "001")
        with health.serve(own.url()) as running:
            own.crash()
            assert get(f"{running.url}/health") == DOWN
            own.start_again()
            assert get(f"{running.url}/health") == OK


def test_health_does_not_wait_for_ever_behind_a_lock(app: str) -> None:
    with health.serve(app) as running, psycopg.connect(app) as conn:
        conn.execute("LOCK TABLE profiles")
        assert get(f"{running.url}/health") == DOWN


def test_as_a_program_it_serves_until_it_is_told_to_stop(app: str) -> None:
    program = subprocess.Popen(
        [sys.executable, "-m", "demo.app"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": app, "PORT": "0"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with program:
        assert program.stdout is not None
        assert get(program.stdout.readline().strip()) == OK
        program.send_signal(signal.SIGTERM)
        assert program.wait(10) == 0


def test_as_a_program_without_a_database_it_says_what_to_set() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    command = [sys.executable, "-m", "demo.app"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Set DATABASE_URL" in done.stderr
