"""Owners, privileges and sequences: what a forward script does not say is as it was."""

from __future__ import annotations

import pytest

from tests.save_bench import Bench

MADE = "CREATE TABLE t (id serial PRIMARY KEY, a text); CREATE VIEW v AS SELECT a FROM t; CREATE FUNCTION f(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1';"
GONE = "DROP FUNCTION f; DROP VIEW v; DROP TABLE t"
GRANTS = {
    "on tables": "GRANT SELECT, INSERT ON t TO save_reader; GRANT ALL ON t TO save_writer; GRANT SELECT ON v TO PUBLIC",
    "on columns": "GRANT SELECT (a), UPDATE (id, a) ON t TO save_reader; GRANT SELECT ON t TO save_writer",
    "with grant option": "GRANT SELECT ON t TO save_reader WITH GRANT OPTION; GRANT SELECT (a) ON t TO save_writer WITH GRANT OPTION",
    "by somebody who was given the right to": """GRANT SELECT ON t TO save_reader WITH GRANT OPTION; SET ROLE save_reader;
        GRANT SELECT ON t TO save_writer; GRANT SELECT ON t TO PUBLIC; RESET ROLE""",
    "on a column by somebody who was given the right to": """GRANT SELECT (a) ON t TO save_reader WITH GRANT OPTION; GRANT SELECT (a) ON v TO save_reader;
        SET ROLE save_reader; GRANT SELECT (a) ON t TO save_writer; RESET ROLE""",
    "on sequences and functions": "GRANT USAGE ON SEQUENCE t_id_seq TO save_reader; REVOKE EXECUTE ON FUNCTION f FROM PUBLIC; GRANT EXECUTE ON FUNCTION f TO save_writer",
    "taken from the owner": "REVOKE ALL ON t FROM CURRENT_USER; REVOKE INSERT ON v FROM CURRENT_USER",
    "to an owner of its own": "ALTER TABLE t OWNER TO save_owner; GRANT SELECT ON t TO save_reader; ALTER VIEW v OWNER TO save_writer; ALTER FUNCTION f OWNER TO save_owner",
}


@pytest.mark.parametrize("what", GRANTS)
def test_privileges_come_back(saves: Bench, what: str) -> None:
    saves.run(f"{MADE} {GRANTS[what]}", GONE, MADE).same()


def test_the_bot_that_is_no_superuser_gives_back_what_the_owner_gave(saves: Bench) -> None:
    setup = f"SET ROLE save_owner; {MADE} GRANT SELECT, UPDATE (a) ON t TO save_reader WITH GRANT OPTION; GRANT USAGE ON SEQUENCE t_id_seq TO save_writer; RESET ROLE"
    saves.run(setup, GONE, MADE, role="save_bot").same()


def test_what_the_bot_may_not_give_back_is_noted(saves: Bench) -> None:
    setup = f"SET ROLE save_owner; {MADE} GRANT SELECT ON t TO save_reader WITH GRANT OPTION; SET ROLE save_reader; GRANT SELECT ON t TO save_writer; RESET ROLE"
    case = saves.run(setup, GONE, MADE, role="save_bot")
    assert case.back.notes == ["SELECT on `t` for `save_writer` was not given back: only `save_reader` can give it"]
    assert case.after == case.before


def test_a_role_that_is_gone_is_noted(saves: Bench) -> None:
    saves.admin.execute("CREATE ROLE save_gone")
    setup = f"{MADE} GRANT SELECT, UPDATE ON t TO save_gone; GRANT SELECT ON t TO save_reader; ALTER VIEW v OWNER TO save_gone"
    case = saves.run(setup, GONE, MADE, "DROP ROLE save_gone")
    assert case.back.notes == [
        "the role `save_gone` is gone: its rights on `v` were not given back",
        "the role `save_gone` is gone: its rights on `t` were not given back",
    ]
    assert [one for one in case.differences() if "save_reader" in one] == []


def test_default_privileges_do_not_add_to_what_was_granted(saves: Bench) -> None:
    setup = f"{MADE} GRANT SELECT ON t TO save_reader; ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO save_writer; ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO save_writer"
    saves.run(setup, GONE, MADE).same()


def test_privileges_on_a_dropped_column_come_back(saves: Bench) -> None:
    setup = f"{MADE} DROP VIEW v; GRANT SELECT (a) ON t TO save_reader"
    saves.run(setup, "ALTER TABLE t DROP a", "ALTER TABLE t ADD a text").same()


def test_privileges_come_back_where_a_table_was_made_again_alike(saves: Bench) -> None:
    setup = "CREATE TABLE t (id integer, a text); GRANT SELECT ON t TO save_reader; ALTER TABLE t OWNER TO save_owner; INSERT INTO t VALUES (1, 'x')"
    again = "DROP TABLE t; CREATE TABLE t (id integer, a text)"
    saves.run(setup, again, again).same()


OTHERS = {
    "a type": "CREATE TYPE o AS ENUM ('a'); REVOKE USAGE ON TYPE o FROM PUBLIC; GRANT USAGE ON TYPE o TO save_reader",
    "a domain": "CREATE DOMAIN o AS text; GRANT USAGE ON DOMAIN o TO save_reader WITH GRANT OPTION",
    "a schema": "CREATE SCHEMA o; GRANT USAGE ON SCHEMA o TO save_reader; ALTER SCHEMA o OWNER TO save_owner",
    "a sequence": "CREATE SEQUENCE o; GRANT USAGE ON SEQUENCE o TO save_reader; ALTER SEQUENCE o OWNER TO save_owner",
    "a procedure": "CREATE PROCEDURE o() LANGUAGE sql AS ''; GRANT EXECUTE ON PROCEDURE o TO save_reader; ALTER PROCEDURE o OWNER TO save_owner",
    "an aggregate": "CREATE AGGREGATE o(integer) (SFUNC = int4pl, STYPE = integer); ALTER AGGREGATE o(integer) OWNER TO save_owner",
    "a materialized view": "CREATE MATERIALIZED VIEW o AS SELECT 1 AS x; GRANT SELECT ON o TO save_reader; ALTER MATERIALIZED VIEW o OWNER TO save_owner",
    "a foreign table": "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE o (x integer) SERVER s; GRANT SELECT ON o TO save_reader",
    "a server": "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER o FOREIGN DATA WRAPPER w; GRANT USAGE ON FOREIGN SERVER o TO save_reader; ALTER SERVER o OWNER TO save_owner",
    "a wrapper": "CREATE FOREIGN DATA WRAPPER o; GRANT USAGE ON FOREIGN DATA WRAPPER o TO save_reader",
    "a publication": "CREATE PUBLICATION o; ALTER PUBLICATION o OWNER TO save_owner",
    "statistics": "CREATE TABLE t (a integer, b integer); CREATE STATISTICS o ON a, b FROM t; ALTER TABLE t OWNER TO save_owner; ALTER STATISTICS o OWNER TO save_owner",
    "an operator": "CREATE OPERATOR === (LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4eq); ALTER OPERATOR === (integer, integer) OWNER TO save_owner",
    "a collation": 'CREATE COLLATION o FROM "C"; ALTER COLLATION o OWNER TO save_owner',
    "a dictionary": "CREATE TEXT SEARCH DICTIONARY o (TEMPLATE = simple); ALTER TEXT SEARCH DICTIONARY o OWNER TO save_owner",
}
KINDS = {
    "a wrapper": "FOREIGN DATA WRAPPER",
    "an operator": "OPERATOR",
    "a server": "SERVER",
    "statistics": "STATISTICS",
    "a dictionary": "TEXT SEARCH DICTIONARY",
}


@pytest.mark.parametrize("what", OTHERS)
def test_owner_and_privileges_come_back_of(saves: Bench, what: str) -> None:
    words = OTHERS[what].split("; ")
    made = [one for one in words if one.startswith("CREATE")]
    kind = KINDS.get(what, what.split(" ", 1)[-1].upper())
    name = "=== (integer, integer)" if what == "an operator" else "o(integer)" if what == "an aggregate" else "o"
    setup = (
        "; ".join(words)
        + "; GRANT CREATE ON SCHEMA public TO save_owner; GRANT CREATE ON DATABASE save_bench TO save_owner"
    )
    saves.run(setup, f"DROP {kind} {name}", made[-1]).same()


SEQUENCES = {
    "that is owned": ("CREATE TABLE t (id serial, a text); INSERT INTO t (a) SELECT 'x' FROM generate_series(1, 9)", "DROP TABLE t", "CREATE TABLE t (id serial, a text)"),
    "of an identity column": ("CREATE TABLE t (id integer GENERATED ALWAYS AS IDENTITY, a text); INSERT INTO t (a) SELECT 'x' FROM generate_series(1, 9)", "ALTER TABLE t DROP id", "ALTER TABLE t ADD id integer GENERATED ALWAYS AS IDENTITY"),
    "that is free": ("CREATE SEQUENCE s; SELECT setval('s', 77)", "DROP SEQUENCE s", "CREATE SEQUENCE s"),
    "that was never used": ("CREATE SEQUENCE s START 5", "DROP SEQUENCE s", "CREATE SEQUENCE s START 5"),
    "that was set and not used": ("CREATE SEQUENCE s; SELECT setval('s', 77, false)", "DROP SEQUENCE s", "CREATE SEQUENCE s"),
    "that goes down": ("CREATE SEQUENCE s INCREMENT -2; SELECT setval('s', -77)", "DROP SEQUENCE s", "CREATE SEQUENCE s INCREMENT -2"),
    "that goes round": ("CREATE SEQUENCE s MAXVALUE 100 CYCLE; SELECT setval('s', 99)", "DROP SEQUENCE s", "CREATE SEQUENCE s MAXVALUE 100 CYCLE"),
    "of a table that is emptied with it": ("CREATE TABLE t (id serial PRIMARY KEY, a text); INSERT INTO t (a) SELECT 'x' FROM generate_series(1, 9)", "TRUNCATE t RESTART IDENTITY", ""),
    "that is set back": ("CREATE SEQUENCE s; SELECT setval('s', 77)", "SELECT setval('s', 5)", ""),
    "that is restarted": ("CREATE SEQUENCE s; SELECT setval('s', 77)", "ALTER SEQUENCE s RESTART", ""),
    "with another name afterwards": ("CREATE TABLE t (id integer PRIMARY KEY); CREATE SEQUENCE q OWNED BY t.id; ALTER TABLE t ALTER id SET DEFAULT nextval('q'); SELECT setval('q', 50)", "DROP TABLE t", "CREATE TABLE t (id serial PRIMARY KEY)"),
    "with an odd name": ('CREATE SEQUENCE "S; \'q\'"; SELECT setval(\'"S; \'\'q\'\'"\', 7)', 'DROP SEQUENCE "S; \'q\'"', 'CREATE SEQUENCE "S; \'q\'"'),
    "with a smaller limit afterwards": ("CREATE SEQUENCE s; SELECT setval('s', 5000000000)", "DROP SEQUENCE s", "CREATE SEQUENCE s AS integer"),
}  # fmt: skip


@pytest.mark.parametrize("what", SEQUENCES)
def test_a_sequence_hands_nothing_out_again(saves: Bench, what: str) -> None:
    case = saves.run(*SEQUENCES[what])
    if what == "with another name afterwards":
        assert case.sequences[1] == {"public.t_id_seq": (50, True)}
    elif what == "with a smaller limit afterwards":
        assert case.sequences[1] == {"public.s": (2147483647, True)}
    else:
        assert case.sequences[0] == case.sequences[1] and not case.aside and case.after == case.before


def test_a_sequence_that_went_on_since_is_not_set_back(saves: Bench) -> None:
    case = saves.run(
        "CREATE SEQUENCE s; SELECT setval('s', 10)", "ALTER SEQUENCE s RESTART", "", "SELECT setval('s', 500)"
    )
    assert case.sequences[1] == {"public.s": (500, True)}
