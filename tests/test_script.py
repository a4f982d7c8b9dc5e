"""What a rollback script is made of, and what may not stand in it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Refused
from core.script import LONGEST_EXPRESSION, Script, read, warnings

FILE = "011_subscriptions.sql"


def script(text: str) -> Script:
    return read(FILE, text.encode())


def refusal(data: str | bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        read(FILE, data.encode() if isinstance(data, str) else data)
    return caught.value


def test_a_script_is_read_into_statements_with_their_lines() -> None:
    text = "-- Undoes 011. Größe — ü.\n\nDROP VIEW a; -- tail\n/* two\nlines */ DROP\n  TABLE b;\n;;DELETE FROM c WHERE x = 'é;'"
    found = script(text)
    assert [(s.line, s.kind, s.sql) for s in found.statements] == [
        (3, "DROP VIEW", "DROP VIEW a"),
        (5, "DROP TABLE", "DROP\n  TABLE b"),
        (7, "DELETE", "DELETE FROM c WHERE x = 'é;'"),
    ]
    assert found.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert (found.name, found.size, found.text) == (FILE, len(text.encode()), text)


def test_one_byte_order_mark_is_forgiven_and_counted_in_the_digest() -> None:
    data = b"\xef\xbb\xbfDROP TABLE a"
    found = read(FILE, data)
    assert (found.statements[0].sql, found.size) == ("DROP TABLE a", len(data))
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert refusal(b"\xef\xbb\xbf" + data).code == "E-SCRIPT"


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END", "CREATE FUNCTION"),
        ("create unique /* x */ index i on t (a)", "CREATE INDEX"),
        ("create materialized view v as select 1", "CREATE MATERIALIZED VIEW"),
        ("with x as (select 1) delete from t where a in (table x)", "DELETE"),
        ("(select 1)", "SELECT"),
        ("values (1)", "SELECT"),
        ("ALTER TABLE t DROP COLUMN c", "ALTER TABLE"),
        ("DO $$ BEGIN NULL; END $$", "DO"),
        ("COMMENT ON VIEW v IS 'x'", "COMMENT"),
    ],
)
def test_a_statement_is_named_by_its_words(sql: str, kind: str) -> None:
    assert [s.kind for s in script(sql).statements] == [kind]


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("COMMIT", "COMMIT"),
        ("commit and chain", "COMMIT"),
        ("END", "COMMIT"),
        ("BEGIN", "BEGIN"),
        ("START TRANSACTION", "START TRANSACTION"),
        ("ROLLBACK", "ROLLBACK"),
        ("ABORT", "ROLLBACK"),
        ("PREPARE TRANSACTION 'x'", "PREPARE TRANSACTION"),
        ("COMMIT PREPARED 'x'", "COMMIT PREPARED"),
        ("ROLLBACK PREPARED 'x'", "ROLLBACK PREPARED"),
        ("SAVEPOINT a", "SAVEPOINT"),
        ("RELEASE a", "RELEASE"),
        ("ROLLBACK TO a", "ROLLBACK TO SAVEPOINT"),
        ("SET TRANSACTION READ ONLY", "SET TRANSACTION"),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET SESSION CHARACTERISTICS"),
        ("SET transaction_read_only = on", "SET transaction_read_only"),
        ("SET LOCAL standard_conforming_strings = off", "SET standard_conforming_strings"),
        ("SELECT set_config('standard_conforming_strings', 'off', false)", "set_config"),
        ("COPY a FROM STDIN", "COPY FROM STDIN"),
        ("COPY a TO STDOUT", "COPY TO STDOUT"),
        ("COPY a TO PROGRAM 'sh'", "COPY PROGRAM"),
        ("COPY a FROM '/etc/passwd'", "COPY"),
        ("DELETE FROM schema_migrations WHERE version = '011'", "schema_migrations"),
        ('UPDATE public."schema_migrations" SET version = 1', "schema_migrations"),
        ('DROP TABLE U&"schema\\005fmigrations"', "schema_migrations"),
        ("DO $$ BEGIN DELETE FROM SCHEMA_MIGRATIONS; END $$", "schema_migrations"),
        ("DROP SCHEMA rollback_bot", "rollback_bot"),
    ],
)
def test_what_may_not_stand_in_a_script_is_refused_with_its_line(sql: str, what: str) -> None:
    no = refusal(f"DROP TABLE a;\n\n{sql};\nDROP TABLE b;")
    assert no.code == "E-SCRIPT"
    assert no.message.startswith(f"`{FILE}`, line 3: `{what}` ")
    assert "may not stand in a rollback script." in no.message
    assert no.text.endswith("Nothing was started.")


NO_TX = [
    ("CREATE INDEX CONCURRENTLY ON t (a)", "CREATE INDEX CONCURRENTLY", "Give the index a name"),
    ("REINDEX TABLE CONCURRENTLY t", "REINDEX CONCURRENTLY", "Use `REINDEX TABLE`."),
    ("REINDEX (CONCURRENTLY, VERBOSE) INDEX i", "REINDEX CONCURRENTLY", "Use `REINDEX INDEX`."),
    ("REINDEX SCHEMA public", "REINDEX SCHEMA", "Name one table."),
    ("REINDEX DATABASE", "REINDEX DATABASE", "Name one table."),
    ("REINDEX SYSTEM", "REINDEX SYSTEM", "Name one table."),
    ("VACUUM t", "VACUUM", "apart from the rollback"),
    ("CLUSTER", "CLUSTER", "Name one table."),
    ("CREATE DATABASE d", "CREATE DATABASE", "apart"),
    ("DROP DATABASE d", "DROP DATABASE", "apart"),
    ("ALTER DATABASE postgres SET TABLESPACE pg_default", "ALTER DATABASE SET TABLESPACE", "apart"),
    ("CREATE TABLESPACE s LOCATION '/tmp/s'", "CREATE TABLESPACE", "apart"),
    ("DROP TABLESPACE s", "DROP TABLESPACE", "apart"),
    ("ALTER SYSTEM SET work_mem = '4MB'", "ALTER SYSTEM", "apart"),
    ("DISCARD ALL", "DISCARD ALL", "Leave it out."),
    ("CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p", "CREATE SUBSCRIPTION", "apart"),
    ("DROP SUBSCRIPTION s", "DROP SUBSCRIPTION", "apart"),
    ("ALTER SUBSCRIPTION s REFRESH PUBLICATION", "ALTER SUBSCRIPTION REFRESH", "apart"),
]


@pytest.mark.parametrize(("sql", "what", "remedy"), NO_TX)
def test_what_cannot_run_in_a_transaction_is_refused_with_a_remedy(sql: str, what: str, remedy: str) -> None:
    no = refusal(f"DROP TABLE a;\n{sql}")
    assert no.code == "E-NO-TX"
    assert no.message.startswith(f"`{FILE}`, line 2: `{what}` cannot run in a transaction.")
    assert remedy in no.message


STANDS_ALONE = [
    ('DROP INDEX CONCURRENTLY IF EXISTS "A".b', ("drop index", "", '"A"."b"', 'DROP INDEX IF EXISTS "A".b')),
    (
        "CREATE UNIQUE INDEX /* x */ concurrently i ON a.t (b)",
        ("create index", '"a"."t"', "i", "CREATE UNIQUE INDEX /* x */ i ON a.t (b)"),
    ),
    (
        "ALTER TABLE t DETACH PARTITION p CONCURRENTLY",
        ("detach partition", '"t"', '"p"', "ALTER TABLE t DETACH PARTITION p "),
    ),
]


@pytest.mark.parametrize(("sql", "alone"), STANDS_ALONE)
def test_what_the_catalogs_can_tell_of_stands_alone(sql: str, alone: tuple[str, ...]) -> None:
    first, second = read(FILE, f"DROP TABLE a;\n{sql}".encode()).statements
    assert first.alone is None and "alone" not in first.told()
    assert second.alone and tuple(second.told()["alone"].values()) == alone
    (doubt,) = warnings(read(FILE, sql.encode()))
    assert doubt.endswith("a person must decide.")


# The server looks these up before it looks at the transaction, and there is nothing of that name.
NEEDS_A_REAL_ONE = ("SUBSCRIPTION s REFRESH", "DROP SUBSCRIPTION", "REINDEX TABLE", "REINDEX (")


@pytest.mark.parametrize("sql", [sql for sql, _, _ in NO_TX if not any(part in sql for part in NEEDS_A_REAL_ONE)])
def test_the_server_refuses_the_same_statements_in_a_transaction(sql: str, database: str) -> None:
    with psycopg.connect(database) as conn, pytest.raises(psycopg.errors.ActiveSqlTransaction):
        conn.execute(sql.encode())


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END",
        "SELECT 'COMMIT; -- schema_migrations'",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
        "CLUSTER t USING i",
        "ANALYZE",
        "DISCARD TEMP",
        "ALTER TABLE t DETACH PARTITION p",
        "ALTER TYPE mood ADD VALUE 'd'",
        "SET LOCAL lock_timeout = '2s'",
        "NOTIFY changed",
        "/* nested /* comment */ */ SELECT E'\\'', U&'d\\0061t', $q$ ; $$ ; $q$, a[1:2] FROM t",
        "-- psql would run: \\! rm\nSELECT '\\c other'",
    ],
)
def test_what_is_legal_is_not_refused(sql: str) -> None:
    assert len(script(sql).statements) == 1


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("DROP TABLE a;\n\\c other", 2, "`\\c` is a psql command; the bot does not run psql scripts."),
        ("SELECT 1; \\gexec", 1, "`\\gexec` is a psql command"),
        ("\\restrict abc\nSELECT 1;", 1, "`\\restrict` is a psql command"),
        ("SELECT 1;\nDROP TABLE :name;", 2, "`:name;` is a psql variable"),
        ("INSERT INTO a VALUES (\n:'token')", 2, "is a psql variable"),
        ("COPY a FROM stdin;\n1\tx\n\\.\n", 2, "rows of `COPY FROM STDIN` may not stand"),
        ("DROP TABLE a;\n\nDORP TABLE b;", 3, 'syntax error at or near "DORP"'),
        ("SELECT 'é';\nSELECT 'open\nDROP TABLE a;", 2, "unterminated quoted string"),
        ("SELECT $$ open", 1, "unterminated dollar-quoted string"),
        ("SELECT 1 /* open", 1, "unterminated /* comment"),
    ],
)
def test_what_is_no_sql_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    no = refusal(text)
    assert no.code == "E-SCRIPT"
    assert no.message.startswith(f"`{FILE}`, line {line}: ")
    assert words in no.message
    assert len(no.message) < 250


def test_bytes_that_the_parser_would_not_see_are_refused() -> None:
    assert "line 2: a NUL byte" in refusal(b"SELECT 1;\nSELECT 2;\0 COMMIT;").message
    assert "line 2: this is not UTF-8." in refusal(b"SELECT 1;\nSELECT '\xfc'").message


@pytest.mark.parametrize("text", ["", " \n", "-- nothing yet\n", "/* later */;;"])
def test_a_script_without_a_statement_is_no_script(text: str) -> None:
    no = refusal(text)
    assert (no.code, no.message) == ("E-NO-SCRIPT", f"`{FILE}` holds no statement.")


def test_another_history_table_is_guarded_by_its_own_name() -> None:
    assert script("DELETE FROM migrations WHERE version = 11").statements
    with pytest.raises(Refused, match="`migrations` may not stand"):
        read(FILE, b"DELETE FROM migrations WHERE version = 11", history_table="migrations")


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("DROP TABLE a CASCADE", "`DROP TABLE` with CASCADE"),
        ("ALTER TABLE a DROP COLUMN b CASCADE", "`ALTER TABLE` with CASCADE"),
        ("TRUNCATE a", "`TRUNCATE` deletes all rows"),
        ("DELETE FROM a", "`DELETE` without WHERE"),
        ("WITH x AS (DELETE FROM a RETURNING *) SELECT * FROM x", "`DELETE` without WHERE"),
        ("UPDATE a SET b = 1", "`UPDATE` without WHERE"),
        ("DROP EXTENSION pg_trgm", "`DROP EXTENSION` removes"),
        ("GRANT SELECT ON a TO b", "`GRANT` changes roles or rights."),
        ("REVOKE a FROM b", "`REVOKE` changes roles or rights."),
        ("DROP ROLE b", "`DROP ROLE` changes roles or rights."),
        ("ALTER TABLE a OWNER TO b", "`ALTER TABLE` changes roles or rights."),
        ("DO $$ BEGIN EXECUTE 'x'; END $$", "`DO` runs code"),
        ("CALL p()", "`CALL` runs a procedure"),
        ("SET ROLE b", "`SET role` changes how the rest"),
        ("SET search_path = x", "`SET search_path` changes how the rest"),
        ("RESET ALL", "`RESET ALL` changes how the rest"),
        ("SELECT dblink_exec('x', 'y')", "`dblink` acts outside"),
        ("SELECT '\u202eevil'", "invisible or change the direction"),
        ("SELECT 1" + "+1" * 60, "too deep for all checks"),
    ],
)
def test_the_approver_is_told_what_to_look_at(sql: str, words: str) -> None:
    (told,) = warnings(script(f"DROP TABLE z;\n{sql}"))
    assert words in told
    assert told.startswith(f"`{FILE}`")


def test_an_ordinary_script_has_no_warnings() -> None:
    assert warnings(script("DROP VIEW a; DELETE FROM b WHERE c; UPDATE d SET e = 1 WHERE f; DROP TABLE g;")) == []


def test_one_warning_names_all_its_lines() -> None:
    (told,) = warnings(script(";\n".join(["TRUNCATE a"] * 7)))
    assert told == f"`{FILE}`, lines 1, 2, 3, 4, 5 and 2 more: `TRUNCATE` deletes all rows of a table."


def test_a_statement_too_deep_for_the_tree_is_judged_by_its_words() -> None:
    deep = "1" + "+1" * 200
    assert [s.line for s in script(f"SELECT {deep};\nSELECT {deep};\nDROP TABLE a").statements] == [1, 2, 3]
    assert refusal(f"SELECT {deep};\nCOMMIT").message.startswith(f"`{FILE}`, line 2: `COMMIT`")
    assert refusal(f"CREATE INDEX CONCURRENTLY ON t (({deep}))").code == "E-NO-TX"
    assert refusal(f"COPY (SELECT {deep}) TO STDOUT").code == "E-SCRIPT"
    assert refusal(f"DELETE FROM schema_migrations WHERE a = {deep}").code == "E-SCRIPT"


@pytest.mark.parametrize("made", ["1" + "+1" * 300_000, "(" * 50_000 + "1" + ")" * 50_000, "1" + "+f(1, 2)" * 100_000])
def test_an_expression_that_would_crash_the_parser_is_refused(made: str) -> None:
    assert refusal(f"SELECT {made}").code == "E-SCRIPT"


def test_the_longest_expression_is_parsed_also_in_a_thread() -> None:
    found: list[Script] = []
    text = "SELECT 1" + "+1" * (LONGEST_EXPRESSION // 2 - 5)
    thread = threading.Thread(target=lambda: found.append(script(text)))
    thread.start()
    thread.join()
    assert len(found[0].statements) == 1


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"INSERT INTO t (a, b) VALUES ({i}, 'row number {i} é');\n" for i in range(60_000)),
        "INSERT INTO t VALUES " + ",".join(f"({i}, 'row number {i} of many')" for i in range(100_000)),
    ],
    ids=["many statements", "one statement"],
)
def test_megabytes_are_read_in_seconds(text: str) -> None:
    started = time.process_time()
    found = script(text)
    assert warnings(found) == []
    assert time.process_time() - started < 20
    assert found.size > 3_000_000


def test_without_the_parser_the_script_is_refused_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "postgast.py").write_text("raise ImportError('no wheel')")
    code = "from core.errors import Refused\nfrom core import script\n"
    code += "try: script.read('a.sql', b'DROP TABLE a')\nexcept Refused as no: print(no)"
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{Path.cwd()}"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert "Install postgast" in done.stdout and "(E-TOOLS)" in done.stdout


SQL = st.sampled_from(
    ["DROP TABLE a", "SELECT 'x;é'", "SELECT $$ ; $$", 'DROP VIEW "b;"', "SELECT 1 -- c;\n", "SELECT 1/*;*/"]
)
GAPS = st.sampled_from(["", " ", "\n", "-- DROP x;\n", "/* ; /* é */ */", "\r\n", ";", "\t"])


@given(st.lists(st.tuples(GAPS, SQL, GAPS), min_size=1, max_size=6), GAPS)
def test_every_statement_comes_back_whatever_stands_between(parts: list[tuple[str, str, str]], end: str) -> None:
    text = ";".join(before + sql + after for before, sql, after in parts) + end
    found = script(text).statements
    assert len(found) == len(parts)
    for statement, (_, sql, _) in zip(found, parts, strict=True):
        assert statement.sql.startswith(sql.strip())
        assert text.splitlines()[statement.line - 1].find(sql.split("\n")[0]) >= 0


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        assert read(FILE, data).statements
    except Refused as no:
        assert no.code in ("E-SCRIPT", "E-NO-TX", "E-NO-SCRIPT")
