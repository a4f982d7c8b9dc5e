"""Rows that rollback scripts delete, update or insert in tables that stay."""

from __future__ import annotations

import pytest

from tests.save_bench import Bench

T = "CREATE TABLE t (id integer PRIMARY KEY, a text, b integer); INSERT INTO t SELECT n, 'a' || n, n FROM generate_series(1, 20) n;"
KEYLESS = "CREATE TABLE t (id integer, a text, b integer); INSERT INTO t SELECT n / 2, 'a' || n / 3, n / 3 FROM generate_series(1, 20) n;"
SCRIPTS = {
    "deleted": "DELETE FROM t WHERE b > 3",
    "updated": "UPDATE t SET a = 'x' WHERE b > 3",
    "updated twice": "UPDATE t SET a = 'x' WHERE b > 3; UPDATE t SET a = 'y', b = -b WHERE b > 4",
    "updated to and fro": "UPDATE t SET b = -b; UPDATE t SET b = -b; UPDATE t SET b = -b WHERE id > 3",
    "updated in a circle": "UPDATE t SET a = 'q' WHERE b = 1; UPDATE t SET a = 'z' WHERE b = 1; UPDATE t SET a = 'a1' WHERE b = 1",
    "updated without a change": "UPDATE t SET a = a",
    "deleted after an update": "UPDATE t SET a = 'x' WHERE id < 6; DELETE FROM t WHERE a = 'x'",
    "deleted by a key that moved": "UPDATE t SET id = id + 100; DELETE FROM t WHERE id > 103",
    "inserted, updated and deleted again": (
        "INSERT INTO t VALUES (50, 'new', 1); UPDATE t SET a = 'newer' WHERE id = 50; UPDATE t SET id = 51 WHERE id = 50;"
        "DELETE FROM t WHERE id = 51"
    ),
    "deleted and inserted again alike": "CREATE TEMP TABLE k AS SELECT * FROM t; DELETE FROM t; INSERT INTO t SELECT * FROM k; DROP TABLE k",
    "emptied": "TRUNCATE t",
    "emptied after a change": "UPDATE t SET a = 'x'; DELETE FROM t WHERE id = 2; TRUNCATE t",
    "merged": """MERGE INTO t USING (VALUES (1), (2), (3)) AS v (n) ON t.b = v.n
                  WHEN MATCHED AND v.n = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET a = 'm'""",
    "changed by data-modifying WITH": "WITH g AS (DELETE FROM t WHERE b < 3 RETURNING id) UPDATE t SET a = 'w' WHERE id IN (SELECT id + 5 FROM g)",
    "changed in a block that fails in part": """DO $$ BEGIN DELETE FROM t WHERE b = 1;
          BEGIN DELETE FROM t WHERE b = 2; UPDATE t SET a = 'no'; PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN NULL; END;
          UPDATE t SET a = 'yes' WHERE b = 3; END $$""",
    "changed while triggers do not fire": "SET session_replication_role = replica; DELETE FROM t WHERE b = 1; UPDATE t SET a = 'r' WHERE b = 2",
    "changed while a trigger is off": "ALTER TABLE t DISABLE TRIGGER USER; DELETE FROM t WHERE b = 1; UPDATE t SET a = 'r' WHERE b = 2; ALTER TABLE t ENABLE TRIGGER USER",
    "changed under another name": "ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME a TO c; DELETE FROM u WHERE b = 1; UPDATE u SET c = 'r' WHERE b = 2",
    "changed in another schema": "CREATE SCHEMA s; ALTER TABLE t SET SCHEMA s; DELETE FROM s.t WHERE b = 1; UPDATE s.t SET a = 'r' WHERE b = 2",
    "changed beside a dropped column": "UPDATE t SET a = 'x' WHERE b = 1; ALTER TABLE t DROP b; UPDATE t SET a = 'y' WHERE id < 3; DELETE FROM t WHERE id = 3",
    "changed and written anew": "ALTER TABLE t ALTER b TYPE bigint; DELETE FROM t WHERE b = 1; UPDATE t SET a = 'r' WHERE b = 2",
}  # fmt: skip
FORWARDS = {
    "changed under another name": "ALTER TABLE u RENAME c TO a; ALTER TABLE u RENAME TO t",
    "changed in another schema": "ALTER TABLE s.t SET SCHEMA public; DROP SCHEMA s",
    "changed beside a dropped column": "ALTER TABLE t ADD b integer",
    "changed and written anew": "ALTER TABLE t ALTER b TYPE integer",
    "deleted by a key that moved": "UPDATE t SET id = id - 100",
}


BOTH = pytest.mark.parametrize("setup", [T, KEYLESS], ids=["with a key", "without a key"])


@BOTH
@pytest.mark.parametrize("script", SCRIPTS)
def test_rows_come_back_after_they_were(saves: Bench, setup: str, script: str) -> None:
    saves.run(setup, SCRIPTS[script], FORWARDS.get(script, "")).same()


@BOTH
@pytest.mark.parametrize(
    "script",
    [
        "DELETE FROM t WHERE id < 4; INSERT INTO t VALUES (1, 'other', 0), (2, 'a2', 2)",
        "CREATE TEMP TABLE k AS TABLE t; TRUNCATE t; INSERT INTO t SELECT id, a, 0 FROM k WHERE b > 4; DROP TABLE k",
        """DO $$ BEGIN ALTER TABLE t DISABLE TRIGGER ALL; DELETE FROM t WHERE b = 1; UPDATE t SET a = 'r' WHERE b = 2;
           ALTER TABLE t ENABLE TRIGGER ALL; END $$""",
    ],
    ids=["put in their place", "put in after the table was emptied", "changed where no trigger can tell"],
)
def test_rows_that_a_script_made_in_their_place_give_way_where_a_key_tells_which(
    saves: Bench, setup: str, script: str
) -> None:
    case = saves.run(setup, script, "")
    if setup == T:
        case.same()
    else:  # without a key they are rows that the migration itself has to remove
        assert not case.aside and case.before["public.t"] < case.after["public.t"]
