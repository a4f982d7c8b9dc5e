"""No change that pg_dump sees is missed by the snapshot, and it calls nothing harmful that pg_dump does not see.

`PROPERTY_EXAMPLES=1000` makes a long run of a test that is short in the daily one.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.schema import difference, snapshot
from demo.postgres import Server
from tests.migration_grammar import BASE, GRAMMAR, PART, ROLES, statements

EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "8"))
STEPS = 8
"""Statements of one migration, checked one by one."""
ENTRY = re.compile(r"^--\n-- Name: ", re.MULTILINE)
NOISE = re.compile(
    r"^(\\(un)?restrict .*|--.*|SET default_table_access_method.*|SET default_tablespace.*|)\n", re.MULTILINE
)


class Oracle:
    """A database that migrations run in, and what pg_dump says of it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        where = ["-h", str(server.socket_dir), "-p", str(server.port), "-U", "postgres"]
        self.command = [str(server.bin_dir / "pg_dump"), *where, "-s", "prop_work"]

    def fresh(self) -> str:
        """The URL of a new copy of BASE."""
        with psycopg.connect(self.server.url(), autocommit=True) as conn:
            conn.execute("DROP DATABASE IF EXISTS prop_work WITH (FORCE)")
            conn.execute("CREATE DATABASE prop_work TEMPLATE prop_base")
        return self.server.url("prop_work")

    def dump(self) -> list[str]:
        """The entries of `pg_dump -s`, sorted: their order, and that of grants, is no difference."""
        text = subprocess.run(self.command, check=True, capture_output=True, text=True).stdout
        return sorted(entry(part) for part in ENTRY.split(text))


def entry(part: str) -> str:
    """One entry without comments; the lines of one about privileges are sorted."""
    head, _, body = part.partition("\n")
    lines = NOISE.sub("", body)
    return "".join(sorted(lines.splitlines(True))) if " ACL; " in head else lines


@pytest.fixture(scope="module")
def oracle(server: Server) -> Iterator[Oracle]:
    with psycopg.connect(server.url(), autocommit=True) as conn:
        for role in ROLES:
            conn.execute(f"CREATE ROLE {role}".encode())
        conn.execute("CREATE DATABASE prop_base TEMPLATE template0")
    with psycopg.connect(server.url("prop_base"), autocommit=True) as base:
        base.execute(BASE.encode())
    yield Oracle(server)
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute("DROP DATABASE IF EXISTS prop_work WITH (FORCE)")
        conn.execute("DROP DATABASE prop_base WITH (FORCE)")
        for role in ROLES:
            conn.execute(f"DROP ROLE {role}".encode())


def test_every_rule_of_the_grammar_is_there_and_used() -> None:
    used = {name for rule in GRAMMAR.values() for text in rule for name in PART.findall(text)}
    assert used | {"statement"} == set(GRAMMAR)


def test_no_change_of_a_migration_is_missed_and_none_is_made_up(oracle: Oracle) -> None:
    applied = 0

    @settings(
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.lists(statements(), min_size=STEPS, max_size=STEPS))
    def walk(migration: list[str]) -> None:
        nonlocal applied
        applied += walked(oracle, migration)

    walk()
    assert applied > EXAMPLES * STEPS / 2, "most statements of the grammar fail: they prove nothing"


def test_what_a_long_run_found_stays_found(oracle: Oracle) -> None:
    walked(oracle, ["ALTER TABLE parts SET ACCESS METHOD heap"])  # from 17 on the default of its new partitions


def walked(oracle: Oracle, migration: list[str]) -> int:
    """Run a migration from BASE and hold each statement against pg_dump; how many of them applied."""
    applied = 0
    with psycopg.connect(oracle.fresh(), autocommit=True) as conn:
        before, dumped = snapshot(conn), oracle.dump()
        for statement in migration:
            if not applies(conn, statement):
                continue
            applied += 1
            after, now = snapshot(conn), oracle.dump()
            found = difference(before, after)
            if now != dumped:
                assert found, f"missed: {statement}: {sorted(set(now) ^ set(dumped))}"
            else:
                made_up = [change.message for change in found if change.severity == "harmful"]
                assert not made_up, f"pg_dump sees nothing in: {statement}: {made_up}"
            before, dumped = after, now
    return applied


def applies(conn: psycopg.Connection[tuple[object, ...]], statement: str) -> bool:
    """Run one statement and commit it; False where it fails on the present schema."""
    try:
        conn.execute(statement.encode())
    except psycopg.Error:
        return False
    return True
