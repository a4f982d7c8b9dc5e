"""Whatever a rollback script does: it ends whole with its marker, or nothing has changed. Never in between.

Each payload comes in eight disguises. The rules that refuse most of them before anybody is asked are passed by here: this
is about what still holds where one of them got through.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import psycopg
import pytest

from core import script
from core.commit import found, once, reset, xid
from core.errors import NeedsAPerson, Problem, Refused
from core.grammar import SYMBOLS
from core.model import Json, Person, Request, Run, State
from core.postgres import identity
from core.redact import SecretStr
from core.runbook import Work
from core.settings import Settings, Target
from core.steps.execute import one_inside

PAYLOADS = {
    "commit": "COMMIT",
    "commit and chain": "COMMIT AND CHAIN",
    "end": "END WORK",
    "rollback": "ROLLBACK",
    "rollback and chain": "ROLLBACK AND CHAIN",
    "abort": "ABORT",
    "begin": "BEGIN",
    "start": "START TRANSACTION READ ONLY",
    "savepoint": "SAVEPOINT s",
    "rollback to": "ROLLBACK TO SAVEPOINT s",
    "prepare transaction": "PREPARE TRANSACTION 'x'",
    "set transaction": "SET TRANSACTION READ ONLY",
    "two statements": "SELECT 1; COMMIT; SELECT 2",
    "discard all": "DISCARD ALL",
    "discard temp": "DISCARD TEMP",
    "deallocate": "DEALLOCATE ALL",
    "reset all": "RESET ALL",
    "timeouts": "SET statement_timeout = 1",
    "read only": "SET default_transaction_read_only = on",
    "read only now": "SET transaction_read_only = on",
    "role": "SET ROLE hostile_nobody",
    "session": "SET SESSION AUTHORIZATION hostile_nobody",
    "replica": "SET session_replication_role = replica",
    "path": "SET search_path = hidden, pg_catalog",
    "strings": "SET standard_conforming_strings = off",
    "encoding": "SET client_encoding = 'latin1'",
    "seal setting": "SET rollback_bot.seal = 'guessed'",
    "constraints": "SET CONSTRAINTS ALL IMMEDIATE",
    "unlock": "SELECT pg_advisory_unlock_all()",
    "drop the seal": "DROP TABLE pg_temp.rollback_seal",
    "empty the seal": "TRUNCATE pg_temp.rollback_seal",
    "disable the seal": "ALTER TABLE pg_temp.rollback_seal DISABLE TRIGGER ALL",
    "drop the seal's function": "DROP FUNCTION pg_temp.rollback_seal() CASCADE",
    "shadow the history": "CREATE TEMP TABLE schema_migrations (version text) ON COMMIT DROP",
    "shadow the marker": "CREATE TEMP TABLE marker (run text)",
    "forge a marker": "INSERT INTO rollback_bot.marker SELECT 'RB-9999', 'x', now(), '{}'",
    "drop the marker": "DROP SCHEMA IF EXISTS rollback_bot CASCADE",
    "no markers": "CREATE RULE nothing AS ON INSERT TO rollback_bot.marker DO INSTEAD NOTHING",
    "copy out": "COPY canary TO STDOUT",
    "copy in": "COPY canary FROM STDIN",
    "kill": "SELECT pg_terminate_backend(pg_backend_pid())",
    "cancel": "SELECT pg_cancel_backend(pg_backend_pid())",
    "held cursor": "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "listen": "LISTEN anything",
    "late error": "INSERT INTO child VALUES (404)",
    "error": "SELECT 1 / 0",
    "parameter": "SELECT $1::text",
    "vacuum": "VACUUM",
    "event trigger": "CREATE EVENT TRIGGER hostile_event ON ddl_command_end EXECUTE FUNCTION hidden.refuse()",
}
"""What a script tries. `child` has a foreign key that is checked at COMMIT only."""
SET_UP = """
    CREATE TABLE canary (n int PRIMARY KEY, whole boolean NOT NULL);
    CREATE TABLE parent (id int PRIMARY KEY);
    CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
    CREATE SCHEMA hidden;
    CREATE FUNCTION hidden.pg_current_xact_id() RETURNS text LANGUAGE sql AS $$ SELECT 'always the same' $$;
    CREATE FUNCTION hidden.to_regclass(text) RETURNS regclass LANGUAGE sql AS $$ SELECT NULL::regclass $$;
    CREATE FUNCTION hidden.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
    CREATE TABLE schema_migrations (version text PRIMARY KEY);
    DO $$ BEGIN CREATE ROLE hostile_nobody; EXCEPTION WHEN duplicate_object THEN NULL; END $$"""


def disguises(payload: str) -> list[list[str]]:
    """The statements that bring a payload along, in eight ways; each script is a list of statements."""
    text = payload.replace("'", "''")
    half = len(payload) // 2
    pieces = " || ".join(f"'{part}'" for part in (payload[:half].replace("'", "''"), payload[half:].replace("'", "''")))
    odd = "".join(c.upper() if n % 2 else c.lower() for n, c in enumerate(payload)) if "'" not in payload else payload
    body = f"BEGIN {payload}; END"
    return [
        [payload],
        [f"/* not a comment */ {odd} -- and no more"],
        [f"DO $x$ {body} $x$"],
        [f"DO $x$ BEGIN EXECUTE '{text}'; END $x$"],
        [f"DO $x$ BEGIN EXECUTE {pieces}; EXCEPTION WHEN OTHERS THEN NULL; END $x$"],
        [f"CREATE PROCEDURE pg_temp.p() LANGUAGE plpgsql AS $x$ {body} $x$", "CALL pg_temp.p()"],
        [
            f"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE plpgsql AS $x$ BEGIN EXECUTE '{text}'; RETURN 1; END $x$",
            "SELECT pg_temp.f()",
        ],
        ["PREPARE trick AS SELECT 1", "EXECUTE trick", payload],
    ]


RUNS = count()


def work(url: str, folder: Path) -> Work:
    """An approved run of its own, of which only the id, the digest and the database matter here."""
    number, symbols = next(RUNS), ""
    for _ in range(3):
        number, digit = divmod(number, len(SYMBOLS))
        symbols += SYMBOLS[digit]
    target = Target("production", SecretStr(url), SecretStr(url), folder, statement_timeout=timedelta(seconds=10))
    with psycopg.connect(url) as conn:
        database = identity(conn)
    run = Run(
        f"RB-2{symbols}", 1, State.EXECUTING, "production", Request("latest"), Person("U0ANA", "Ana"), datetime.now(UTC), digest="d",
        evidence={"identify": {"database": database}},
    )  # fmt: skip
    return Work(run, target, Settings(backup_dir=folder, ledger=folder / "ledger.db"))


def end(work: Work, number: int, statements: list[str]) -> str:
    """Run a script between two writes; how it ended: `whole`, `undone` or `unknown`."""
    todo = [
        f"INSERT INTO canary VALUES ({number}, false)",
        *statements,
        f"UPDATE canary SET whole = true WHERE n = {number}",
    ]

    def body(conn: psycopg.Connection[tuple[object, ...]]) -> Json:
        transaction = xid(conn)
        for line, sql in enumerate(todo, 1):
            one_inside(conn, "011_hostile.sql", {"sql": sql, "line": line, "kind": "SELECT"}, transaction)
        reset(conn, work)
        return {}

    try:
        once(work, {}, lambda conn: None, body)
    except NeedsAPerson:
        return "unknown"
    except Problem:
        return "undone"
    return "whole"


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_script_ends_whole_with_its_marker_or_nothing_has_changed(
    database: str, tmp_path: Path, payload: str
) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SET_UP.encode())
        for number, statements in enumerate(disguises(payload)):
            run = work(database, tmp_path)
            ended = end(run, number, statements)
            rows = conn.execute("SELECT whole FROM canary WHERE n = %s", [number]).fetchall()
            assert rows == ([(True,)] if ended == "whole" else []), (ended, statements)
            assert (found(run) is not None) == (ended == "whole"), statements
        for _ in range(100):  # a backend needs a moment to notice that its client is gone
            left = conn.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone()
            if left == (0,):
                break
            time.sleep(0.05)
        assert left == (0,)
        assert conn.execute("SELECT count(*) FROM pg_prepared_xacts").fetchone() == (0,)


def test_there_are_more_than_300_of_them_and_the_rules_refuse_what_names_itself() -> None:
    scripts = [statements for payload in PAYLOADS.values() for statements in disguises(payload)]
    assert len(scripts) > 300
    refused = 0
    for statements in scripts:
        try:
            script.read("011_hostile.sql", ";\n".join(statements).encode())
        except Refused:
            refused += 1
    assert refused > 80
