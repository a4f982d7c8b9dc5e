"""What was written after the rollback stays; saved rows that would be in its way are kept aside, each with its reason."""

from __future__ import annotations

import pytest

from tests.save_bench import Bench, Case, Rows

T = "CREATE TABLE t (id integer PRIMARY KEY, a text, b integer); INSERT INTO t SELECT n, 'a' || n, n FROM generate_series(1, 6) n;"
KEYLESS = T.replace(" PRIMARY KEY", "")
DROP = ("ALTER TABLE t DROP a", "ALTER TABLE t ADD a text")
DELETE, UPDATE, TYPE = (
    "DELETE FROM t WHERE id < 3",
    "UPDATE t SET a = 'x' WHERE id < 3",
    "ALTER TABLE t ALTER a TYPE char(1) USING left(a, 1)",
)
BACK = "ALTER TABLE t ALTER a TYPE text"


def of(rows: Rows, table: str = "t") -> dict[str, str]:
    """The rows of a table by their id, without it: `1` -> `a=a1 b=1`."""
    found = {}
    for row in rows[f"public.{table}"].elements():
        columns = dict(one.split("=", 1) for one in row.split("\t"))
        key = columns.pop("id")
        found[key] = " ".join(f"{name}={value}" for name, value in sorted(columns.items()))
    return found


def changed(case: Case, table: str = "t") -> dict[str, str | None]:
    """Rows that are not what they were before the rollback."""
    before, after = of(case.before, table), of(case.after, table)
    return {key: after.get(key) for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)}


CASES: dict[str, tuple[str, str, str, dict[str, str | None], dict[str, int]]] = {
    # what: rollback, forward, writes since, rows that are not as before, rows aside by reason
    "a dropped column, a row was deleted": (*DROP, "DELETE FROM t WHERE id = 1", {"1": None}, {"row_gone": 1}),
    "a dropped column, a row was added": (*DROP, "INSERT INTO t VALUES (9, 9)", {"9": r"a=\N b=9"}, {}),
    "a dropped column, another column was changed": (*DROP, "UPDATE t SET b = 0 WHERE id = 1", {"1": "a=a1 b=0"}, {}),
    "a dropped column, a key was changed": (*DROP, "UPDATE t SET id = 9 WHERE id = 1", {"1": None, "9": r"a=\N b=1"}, {"row_gone": 1}),
    "deleted rows, one was put in again": (DELETE, "", "INSERT INTO t VALUES (1, 'a1', 1)", {}, {}),
    "deleted rows, another has a key": (DELETE, "", "INSERT INTO t VALUES (1, 'new', 7)", {"1": "a=new b=7"}, {"taken": 1}),
    "deleted rows, others were changed": (DELETE, "", "UPDATE t SET b = 0; DELETE FROM t WHERE id = 6", {
        "3": "a=a3 b=0", "4": "a=a4 b=0", "5": "a=a5 b=0", "6": None}, {}),
    "updated rows, another column was changed": (UPDATE, "", "UPDATE t SET b = 0 WHERE id = 1", {"1": "a=a1 b=0"}, {}),
    "updated rows, the same column was changed": (UPDATE, "", "UPDATE t SET a = 'new' WHERE id = 1", {"1": "a=new b=1"}, {"changed_since": 1}),
    "updated rows, the same column was changed to what it was": (UPDATE, "", "UPDATE t SET a = 'a1' WHERE id = 1", {}, {"changed_since": 1}),
    "updated rows, one was deleted": (UPDATE, "", "DELETE FROM t WHERE id = 1", {"1": None}, {"row_gone": 1}),
    "updated rows, one was deleted and put in again": (UPDATE, "", "DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (1, 'x', 5)", {"1": "a=a1 b=5"}, {}),
    "another type, the value was changed": (TYPE, BACK, "UPDATE t SET a = 'n' WHERE id = 1", {"1": "a=n b=1"}, {"changed_since": 1}),
    "another type, another column was changed": (TYPE, BACK, "UPDATE t SET b = 0 WHERE id = 1", {"1": "a=a1 b=0"}, {}),
    "another type, a row was deleted": (TYPE, BACK, "DELETE FROM t WHERE id = 1", {"1": None}, {"row_gone": 1}),
    "another type, a row was added": (TYPE, BACK, "INSERT INTO t VALUES (9, 'n', 1)", {"9": "a=n b=1"}, {}),
    "an emptied table, others were added": ("TRUNCATE t", "", "INSERT INTO t VALUES (1, 'new', 1), (2, 'a2', 2), (9, 'n', 9)", {
        "1": "a=new b=1", "9": "a=n b=9"}, {"taken": 1}),
    "a refilled table, a row was changed and one deleted": (
        "CREATE TEMP TABLE k AS TABLE t; TRUNCATE t; INSERT INTO t SELECT id, 'x', b FROM k; DROP TABLE k", "",
        "UPDATE t SET a = 'new' WHERE id = 1; DELETE FROM t WHERE id = 2; UPDATE t SET b = 0 WHERE id = 3",
        {"1": "a=new b=1", "2": None, "3": "a=a3 b=0"}, {"changed_since": 1, "row_gone": 1}),
    "a table made again, written to": (
        "DROP TABLE t; CREATE TABLE t (id integer PRIMARY KEY, a text, b integer)", "", "INSERT INTO t VALUES (1, 'new', 1), (9, 'n', 9)",
        {"1": "a=new b=1", "9": "a=n b=9"}, {"taken": 1}),
    "a table exchanged for a copy, written to": (
        "CREATE TABLE t2 AS TABLE t; DROP TABLE t; ALTER TABLE t2 RENAME TO t; ALTER TABLE t ADD PRIMARY KEY (id)", "",
        "UPDATE t SET a = 'new' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (9, 'n', 9)",
        {"1": "a=new b=1", "2": None, "9": "a=n b=9"}, {}),
    "a renamed table, written to": (
        f"{UPDATE}; ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME a TO c", "ALTER TABLE u RENAME c TO a; ALTER TABLE u RENAME TO t",
        "UPDATE u SET c = 'new' WHERE id = 1; INSERT INTO u VALUES (9, 'n', 9)", {"1": "a=new b=1", "9": "a=n b=9"}, {"changed_since": 1}),
    "a column made again, written to": (
        "ALTER TABLE t DROP b, ADD b integer", "", "UPDATE t SET b = 70 WHERE id = 1; INSERT INTO t (id) VALUES (9)",
        {"1": "a=a1 b=70", "9": r"a=\N b=\N"}, {"changed_since": 1}),
    "keys that moved and come back": ("UPDATE t SET id = id + 100", "UPDATE t SET id = id - 100 WHERE id > 100",
        "UPDATE t SET b = 0 WHERE id = 101", {"1": "a=a1 b=0"}, {"key_changed": 1}),
    "keys that moved and stay": ("UPDATE t SET id = 101 WHERE id = 1", "", "", {"1": None, "101": "a=a1 b=1"}, {"key_changed": 1}),
}  # fmt: skip


@pytest.mark.parametrize("what", CASES)
def test_writes_since_stay(saves: Bench, what: str) -> None:
    rollback, forward, since, rows, aside = CASES[what]
    case = saves.run(T, rollback, forward, since)
    assert changed(case) == rows
    assert {why: count for (_, why), count in case.kept_aside().items()} == aside
    assert not case.differences() or "made again" in what or "exchanged" in what


WITHOUT_A_KEY = {
    "deleted rows": (DELETE, "", "INSERT INTO t VALUES (1, 'a1', 1), (9, 'n', 9)", {"a=a1\tb=1\tid=1": 1, "a=n\tb=9\tid=9": 1}, {}),
    "updated rows": (UPDATE, "", "UPDATE t SET b = 0 WHERE id = 1", {"a=x\tb=0\tid=1": 1, "a=a1\tb=1\tid=1": -1}, {"row_gone": 1}),
    "a dropped column": (*DROP, "UPDATE t SET b = 0 WHERE id = 1", {"a=\\N\tb=0\tid=1": 1, "a=a1\tb=1\tid=1": -1}, {"row_gone": 1}),
    "a dropped column and the same row again": (*DROP, "INSERT INTO t VALUES (1, 1)", {"a=\\N\tb=1\tid=1": 1}, {}),
    "another type": (TYPE, BACK, "DELETE FROM t WHERE id = 1", {"a=a1\tb=1\tid=1": -1}, {"row_gone": 1}),
}  # fmt: skip


@pytest.mark.parametrize("what", WITHOUT_A_KEY)
def test_writes_since_stay_in_a_table_without_a_key(saves: Bench, what: str) -> None:
    rollback, forward, since, rows, aside = WITHOUT_A_KEY[what]
    case = saves.run(KEYLESS, rollback, forward, since)
    after = case.after["public.t"].copy()
    after.subtract(case.before["public.t"])
    assert {row: n for row, n in after.items() if n} == rows
    assert {why: count for (_, why), count in case.kept_aside().items()} == aside


def test_values_of_rows_that_look_the_same_are_shared_out_while_none_is_missing(saves: Bench) -> None:
    setup = (
        "CREATE TABLE t (a text, b integer); INSERT INTO t VALUES ('x', 1), ('x', 2), ('x', NULL), ('y', 3), ('y', 3)"
    )
    saves.run(setup, "ALTER TABLE t DROP b", "ALTER TABLE t ADD b integer").same()
    one_less = "DELETE FROM t WHERE ctid IN (SELECT min(ctid) FROM t GROUP BY a)"
    case = saves.run(setup, "ALTER TABLE t DROP b", "ALTER TABLE t ADD b integer", one_less)
    assert case.kept_aside() == {("public.t", "ambiguous"): 3, ("public.t", "row_gone"): 1}
    assert case.after["public.t"] == {"a=x\tb=\\N": 2, "a=y\tb=3": 1}


def test_nothing_is_lost_that_was_written_after_the_proofs(saves: Bench) -> None:
    setup = f"{T} CREATE TABLE u (id integer PRIMARY KEY, t integer REFERENCES t ON DELETE CASCADE)"
    late = "INSERT INTO t VALUES (1000, 'late', 1000); UPDATE t SET a = 'late' WHERE id = 2; INSERT INTO u VALUES (1, 2), (2, 1000)"
    saves.run(setup, "DELETE FROM t WHERE id = 2 OR id > 5", "", unseen=late).same()
    saves.run(
        setup,
        "ALTER TABLE t DROP a; DROP TABLE u",
        "ALTER TABLE t ADD a text; CREATE TABLE u (id integer PRIMARY KEY, t integer REFERENCES t ON DELETE CASCADE)",
        unseen=late,
    ).same()


PARENTS = """CREATE TABLE p (id integer PRIMARY KEY, code text UNIQUE); INSERT INTO p SELECT n, 'c' || n FROM generate_series(1, 4) n;
    CREATE TABLE c (id integer PRIMARY KEY, p integer REFERENCES p); INSERT INTO c SELECT n, n FROM generate_series(1, 4) n;
    CREATE TABLE g (id integer PRIMARY KEY, c integer REFERENCES c); INSERT INTO g SELECT n, n FROM generate_series(1, 4) n;"""
MAKE_C = "CREATE TABLE c (id integer PRIMARY KEY, p integer REFERENCES p)"
MAKE_G = "CREATE TABLE g (id integer PRIMARY KEY, c integer REFERENCES c)"
ORPHANS = {
    "tables": ("DROP TABLE g; DROP TABLE c", f"{MAKE_C}; {MAKE_G}", {("public.c", "parent_gone"): 1, ("public.g", "parent_gone"): 1}),
    "rows": ("DELETE FROM g; DELETE FROM c", "", {("public.c", "parent_gone"): 1, ("public.g", "parent_gone"): 1}),
    "a column": ("ALTER TABLE c DROP p", "ALTER TABLE c ADD p integer REFERENCES p", {("public.c", "parent_gone"): 1}),
    "updated rows": ("UPDATE c SET p = NULL", "", {("public.c", "parent_gone"): 1}),
    "a table and a column": ("ALTER TABLE g DROP c; DROP TABLE c", f"{MAKE_C}; ALTER TABLE g ADD c integer REFERENCES c", {
        ("public.c", "parent_gone"): 1, ("public.g", "parent_gone"): 1}),
}  # fmt: skip


@pytest.mark.parametrize("role", ["postgres", "save_bot"])
@pytest.mark.parametrize("what", ORPHANS)
def test_rows_whose_parent_is_gone_are_kept_aside_and_so_are_those_that_refer_to_them(
    saves: Bench, what: str, role: str
) -> None:
    rollback, forward, aside = ORPHANS[what]
    setup = PARENTS
    if role != "postgres":
        setup = f"SET ROLE save_owner; {setup}; RESET ROLE"
        rollback, forward = (f"SET ROLE save_owner; {script}; RESET ROLE" for script in (rollback, forward))
    case = saves.run(setup, rollback, forward, "DELETE FROM p WHERE id = 2", role=role)
    assert case.kept_aside() == aside
    assert not case.differences()
    assert sum(sum(rows.values()) for rows in case.after.values()) == 11 - len(aside) + (
        what in ("a column", "updated rows", "a table and a column")
    )


def test_a_circle_whose_outer_parent_is_gone_is_kept_aside_whole(saves: Bench) -> None:
    setup = """CREATE TABLE p (id integer PRIMARY KEY); INSERT INTO p VALUES (1), (2);
        CREATE TABLE a (id integer PRIMARY KEY, b integer); CREATE TABLE b (id integer PRIMARY KEY, a integer REFERENCES a, p integer REFERENCES p);
        INSERT INTO a VALUES (1, 1), (2, 2); INSERT INTO b VALUES (1, 1, 1), (2, 2, 2); ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b"""
    forward = """CREATE TABLE a (id integer PRIMARY KEY, b integer); CREATE TABLE b (id integer PRIMARY KEY, a integer REFERENCES a, p integer REFERENCES p);
        ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b"""
    case = saves.run(setup, "DROP TABLE a, b", forward, "DELETE FROM p WHERE id = 2")
    assert case.kept_aside() == {("public.a", "parent_gone"): 1, ("public.b", "parent_gone"): 1}
    assert case.after["public.a"] == {"b=1\tid=1": 1}


def test_a_parent_whose_unique_value_was_taken_leaves_its_children_aside_too(saves: Bench) -> None:
    rollback = "DELETE FROM g; DELETE FROM c WHERE id < 3; DELETE FROM p WHERE id < 3"
    case = saves.run(
        PARENTS.replace("INSERT INTO c SELECT n, n", "INSERT INTO c SELECT n, n"),
        f"DELETE FROM g; DELETE FROM c; {rollback}",
        "",
        "INSERT INTO p VALUES (9, 'c1')",
    )
    assert case.kept_aside() == {
        ("public.p", "taken"): 1,
        ("public.c", "parent_gone"): 1,
        ("public.g", "parent_gone"): 1,
    }


RULES = {
    "a check": ("ALTER TABLE t ADD CHECK (b <> 2)", "refused"),
    "a column that must be filled": ("ALTER TABLE t ADD z integer; UPDATE t SET z = 1; ALTER TABLE t ALTER z SET NOT NULL", "refused"),
    "a unique value": ("CREATE UNIQUE INDEX ON t (b); INSERT INTO t VALUES (20, 'n', 2)", "taken"),
    "an exclusion": ("ALTER TABLE t ADD EXCLUDE USING gist (int4range(b, b + 1) WITH &&); INSERT INTO t VALUES (20, 'n', 2)", "taken"),
    "a deferred unique value": ("ALTER TABLE t ADD UNIQUE (a) DEFERRABLE INITIALLY DEFERRED; INSERT INTO t VALUES (20, 'a2', 0)", "taken"),
    "a smaller type": ("ALTER TABLE t ALTER b TYPE varchar(1); UPDATE t SET b = '3'", "there is room"),
    "a domain": ("CREATE DOMAIN d AS integer CHECK (VALUE <> 2); ALTER TABLE t ALTER b TYPE d", "refused"),
    "an enum": ("CREATE TYPE e AS ENUM ('a1', 'a3', 'a4', 'a5', 'a6'); ALTER TABLE t ALTER a TYPE e USING a::e", "refused"),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_rows_that_a_new_rule_refuses_are_kept_aside_and_the_others_go_back(saves: Bench, rule: str) -> None:
    since, why = RULES[rule]
    case = saves.run(T, "DELETE FROM t WHERE id < 4", "", since)
    if why == "there is room":
        assert not case.aside
        return
    aside = case.kept_aside()
    assert {key[1] for key in aside} == {why}, aside
    back = {key for key, row in of(case.after).items() if key in "123"}
    assert len(back) + sum(aside.values()) == 3 and (back or rule == "a column that must be filled")


def test_updates_that_a_new_rule_refuses_are_kept_aside_and_the_others_go_back(saves: Bench) -> None:
    case = saves.run(T, "UPDATE t SET b = 0", "", "ALTER TABLE t ADD CONSTRAINT small CHECK (b < 5)")
    assert case.kept_aside() == {("public.t", "refused"): 2}
    assert case.back.aside[0]["reason"] == "a rule of their table refuses them (`small`)"
    assert changed(case) == {"5": "a=a5 b=0", "6": "a=a6 b=0"}


def test_rows_whose_table_or_column_does_not_come_back_are_kept_aside(saves: Bench) -> None:
    setup = f"{T} CREATE TABLE u (id integer PRIMARY KEY); INSERT INTO u VALUES (1), (2)"
    case = saves.run(setup, "DROP TABLE u; ALTER TABLE t DROP a, DROP b", "ALTER TABLE t ADD b integer")
    assert case.kept_aside() == {("public.t", "no_place"): 6, ("public.u", "no_place"): 2}
    assert {row.split()[0] for row in of(case.after).values()} == {f"b={n}" for n in range(1, 7)}
