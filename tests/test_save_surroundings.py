"""What stands around saved rows: triggers, rules, row security, publications, views; and what forward scripts do themselves."""

from __future__ import annotations

import psycopg
import pytest

from core.errors import StepFailed
from tests.save_bench import Bench
from tests.test_save_since import changed, of

T = "CREATE TABLE t (id integer PRIMARY KEY, a text, b integer); INSERT INTO t SELECT n, 'a' || n, n FROM generate_series(1, 6) n;"
CHANGE = "DELETE FROM t WHERE id = 1; UPDATE t SET a = 'x' WHERE id = 2; ALTER TABLE t DROP b"
AGAIN = "ALTER TABLE t ADD b integer"
TRIGGERS = """
    CREATE TABLE log (what text);
    CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO log VALUES (TG_NAME || TG_OP); RETURN coalesce(NEW, OLD); END $$;
    CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'fired'; END $$;
    CREATE TRIGGER one BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION noted();
    CREATE TRIGGER two AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION noted();
    CREATE TRIGGER "three 3" AFTER UPDATE ON t REFERENCING NEW TABLE AS n FOR EACH STATEMENT WHEN (true) EXECUTE FUNCTION noted();
    CREATE CONSTRAINT TRIGGER four AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION noted();
    CREATE TRIGGER off BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION broken(); ALTER TABLE t DISABLE TRIGGER off;
    CREATE TRIGGER always BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION noted(); ALTER TABLE t ENABLE ALWAYS TRIGGER always;
    CREATE TRIGGER replica BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION broken(); ALTER TABLE t ENABLE REPLICA TRIGGER replica;"""


@pytest.mark.parametrize("role", ["postgres", "save_bot"])
def test_the_applications_triggers_do_not_fire_and_are_as_before(saves: Bench, role: str) -> None:
    setup = f"SET ROLE save_owner; {T} {TRIGGERS} RESET ROLE"
    case = saves.run(
        setup, f"SET ROLE save_owner; {CHANGE}; RESET ROLE", f"SET ROLE save_owner; {AGAIN}; RESET ROLE", role=role
    )
    log = case.after.pop("public.log") - case.before.pop("public.log")
    assert set(log) <= {"what=twoDELETE", "what=oneUPDATE", "what=twoUPDATE", "what=three 3UPDATE"}, (
        "only the rollback script's own"
    )
    case.same()


def test_triggers_of_partitions_keep_their_own_states(saves: Bench) -> None:
    setup = f"""CREATE TABLE t (id integer PRIMARY KEY, a text, b integer) PARTITION BY RANGE (id);
        CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (3); CREATE TABLE t2 PARTITION OF t DEFAULT;
        INSERT INTO t SELECT n, 'a' || n, n FROM generate_series(1, 6) n; {TRIGGERS.split("CREATE TRIGGER")[0]}
        CREATE TRIGGER one AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION broken(); ALTER TABLE t2 DISABLE TRIGGER one;
        CREATE TRIGGER own BEFORE INSERT OR UPDATE ON t1 FOR EACH ROW EXECUTE FUNCTION broken();
        ALTER TABLE t1 ENABLE ALWAYS TRIGGER own;"""
    saves.run(setup, "DELETE FROM t WHERE id IN (1, 5); ALTER TABLE t DROP b", AGAIN).same()


def test_a_trigger_that_changes_the_same_table_does_not_hide_what_was_there(saves: Bench) -> None:
    setup = f"""{T} CREATE FUNCTION sums() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          UPDATE t SET b = b + 100 WHERE id = OLD.id + 1 AND b < 1000; RETURN NULL; END $$;
        CREATE TRIGGER sums AFTER UPDATE OR DELETE ON t FOR EACH ROW WHEN (pg_trigger_depth() < 2) EXECUTE FUNCTION sums();"""
    saves.run(setup, "UPDATE t SET b = b * 2 WHERE id < 5", "").same()
    saves.run(setup, "DELETE FROM t WHERE id IN (2, 3)", "").same()
    saves.run(
        setup.replace(" PRIMARY KEY", ""), "UPDATE t SET b = b * 2 WHERE id < 5; DELETE FROM t WHERE id = 3", ""
    ).same()


RULES = {
    "instead of inserts": "CREATE RULE r AS ON INSERT TO t DO INSTEAD NOTHING",
    "also on updates": "CREATE TABLE log (a text); CREATE RULE r AS ON UPDATE TO t DO ALSO INSERT INTO log VALUES (NEW.a)",
    "that always acts": "CREATE RULE r AS ON INSERT TO t DO INSTEAD DELETE FROM t; ALTER TABLE t ENABLE ALWAYS RULE r",
    "that is off": "CREATE RULE r AS ON UPDATE TO t DO INSTEAD NOTHING; ALTER TABLE t DISABLE RULE r",
}


@pytest.mark.parametrize("rule", RULES)
def test_rules_do_not_act_and_are_as_before(saves: Bench, rule: str) -> None:
    case = saves.run(f"{T} {RULES[rule]}", CHANGE, AGAIN)
    case.after.pop("public.log", None), case.before.pop("public.log", None)
    case.same()


def test_rows_that_a_rule_deletes_elsewhere_are_saved(saves: Bench) -> None:
    setup = f"{T} CREATE TABLE u AS TABLE t; CREATE RULE r AS ON DELETE TO t DO INSTEAD DELETE FROM u WHERE id = OLD.id"
    saves.run(setup, "DELETE FROM t WHERE id < 4", "").same()


@pytest.mark.parametrize("how", ["", "; ALTER TABLE t FORCE ROW LEVEL SECURITY"])
def test_row_security_hides_nothing(saves: Bench, how: str) -> None:
    setup = f"{T} CREATE POLICY p ON t USING (id > 3); ALTER TABLE t ENABLE ROW LEVEL SECURITY{how}"
    saves.run(setup, CHANGE, AGAIN).same()
    if not how:
        owned = f"SET ROLE save_owner; {setup}; RESET ROLE"
        saves.run(owned, CHANGE, AGAIN, role="save_bot").same()


def test_where_row_security_binds_the_bot_too_nothing_is_destroyed(saves: Bench) -> None:
    setup = f"SET ROLE save_owner; {T} CREATE POLICY p ON t USING (id > 3); ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        saves.run(f"{setup}; RESET ROLE", CHANGE, AGAIN, role="save_bot")
    assert sum(saves.rows()["public.t"].values()) == 6


PUBLISHED = {
    "a publication": "CREATE PUBLICATION p FOR TABLE t",
    "full replica identity": "CREATE PUBLICATION p FOR TABLE t; ALTER TABLE t REPLICA IDENTITY FULL",
    "an index as replica identity": "CREATE UNIQUE INDEX i ON t (id); ALTER TABLE t REPLICA IDENTITY USING INDEX i",
    "a view": "CREATE VIEW v AS SELECT a FROM t",
    "a materialized view": "CREATE MATERIALIZED VIEW v AS SELECT id, a FROM t",
    "statistics": "CREATE STATISTICS s ON id, a FROM t",
}


@pytest.mark.parametrize("what", PUBLISHED)
def test_rows_come_back_beside(saves: Bench, what: str) -> None:
    saves.run(f"{T} {PUBLISHED[what]}", CHANGE, AGAIN).same()


def test_a_materialized_view_that_the_migration_makes_shows_the_saved_rows(saves: Bench) -> None:
    made = "CREATE TABLE t (id integer PRIMARY KEY, a text); CREATE MATERIALIZED VIEW v AS SELECT id, a FROM t; CREATE MATERIALIZED VIEW w AS SELECT id FROM v; CREATE MATERIALIZED VIEW none AS SELECT a FROM t WITH NO DATA"
    made_w = made.replace("VIEW none AS SELECT a FROM t WITH NO DATA", "VIEW x AS SELECT a FROM t")
    setup = f"{made_w}; INSERT INTO t VALUES (1, 'x'); REFRESH MATERIALIZED VIEW v; REFRESH MATERIALIZED VIEW w; REFRESH MATERIALIZED VIEW x"
    saves.run(setup, "DROP TABLE t CASCADE", made_w).same()


def test_a_foreign_table_goes_and_comes_without_its_rows(saves: Bench) -> None:
    made = "CREATE FOREIGN TABLE f (a text) SERVER s OPTIONS (filename '/dev/null')"
    setup = f"{T} CREATE EXTENSION file_fdw; CREATE SERVER s FOREIGN DATA WRAPPER file_fdw; {made}"
    saves.run(setup, f"DROP FOREIGN TABLE f; {CHANGE}", f"{made}; {AGAIN}").same()


def test_an_extension_that_is_dropped_takes_its_columns_along_and_gives_them_back(saves: Bench) -> None:
    setup = f"CREATE EXTENSION hstore; {T} ALTER TABLE t ADD h hstore; UPDATE t SET h = hstore('k', a)"
    saves.run(setup, "DROP EXTENSION hstore CASCADE", "CREATE EXTENSION hstore; ALTER TABLE t ADD h hstore").same()


# -- what escapes is not destroyed ------------------------------------------------------------------------------


def test_a_script_that_hides_its_changes_from_the_triggers_is_undone(saves: Bench) -> None:
    hides = "DO $$ BEGIN EXECUTE 'ALTER TABLE t DIS' || 'ABLE TRIGGER ALL'; DELETE FROM t; EXECUTE 'ALTER TABLE t EN' || 'ABLE TRIGGER ALL'; END $$"
    with pytest.raises(StepFailed, match="switch triggers of mine"):
        saves.run(T, hides, "")
    assert sum(saves.rows()["public.t"].values()) == 6


def test_a_script_that_deletes_where_it_did_not_in_the_proofs_is_undone(saves: Bench) -> None:
    setup = f"{T} CREATE TABLE u AS TABLE t; CREATE TABLE switch (yes boolean)"
    script = "DO $$ BEGIN IF EXISTS (SELECT FROM switch) THEN DELETE FROM u; END IF; END $$"
    with pytest.raises(StepFailed, match="change rows of `u`, which they did not in the proofs"):
        saves.run(setup, script, "", unseen="INSERT INTO switch VALUES (true)")
    assert sum(saves.rows()["public.u"].values()) == 6


@pytest.mark.parametrize(
    "more", ["DROP TABLE u", "ALTER TABLE u DROP a", "ALTER TABLE u ALTER b TYPE text USING 7", "TRUNCATE u"]
)
def test_a_script_that_destroys_more_than_in_the_proofs_is_undone(saves: Bench, more: str) -> None:
    setup = f"{T} CREATE TABLE u AS TABLE t; CREATE TABLE switch (yes boolean)"
    script = f"DO $$ BEGIN IF EXISTS (SELECT FROM switch) THEN {more}; END IF; END $$"
    with pytest.raises(StepFailed, match="more was gone than was saved"):
        saves.run(setup, script, "", unseen="INSERT INTO switch VALUES (true)")
    assert sum(saves.rows()["public.u"].values()) == 6


# -- what the forward scripts do themselves ---------------------------------------------------------------------

PLANS = "CREATE TABLE plans (id serial PRIMARY KEY, code text UNIQUE, price integer, at timestamptz DEFAULT now());"
SEEDS = "INSERT INTO plans (code, price) VALUES ('free', 0), ('pro', 9), ('team', 99);"
USERS = "CREATE TABLE users (id integer PRIMARY KEY, name text, seen integer DEFAULT 0); INSERT INTO users SELECT n, 'u' || n FROM generate_series(1, 6) n;"
LINK = "ALTER TABLE users ADD plan integer REFERENCES plans ON DELETE CASCADE; UPDATE users SET plan = 1; ALTER TABLE users ALTER plan SET NOT NULL;"


def test_seeds_of_the_migration_give_way_to_what_became_of_them(saves: Bench) -> None:
    lived = "UPDATE plans SET price = 10 WHERE code = 'pro'; DELETE FROM plans WHERE code = 'team'; INSERT INTO plans (code) VALUES ('x')"
    case = saves.run(f"{PLANS} {SEEDS} {lived}", "DROP TABLE plans", PLANS + SEEDS)
    assert case.back.notes == ["1 rows that the migration puts into `plans` were removed, as before"]
    case.back.notes.clear()
    case.same()


def test_a_whole_migration_with_seeds_links_and_a_backfill_comes_back(saves: Bench) -> None:
    lived = "UPDATE plans SET price = 10 WHERE code = 'pro'; UPDATE users SET plan = 2 WHERE id < 4; INSERT INTO plans (code) VALUES ('x'); UPDATE users SET plan = 4 WHERE id = 4"
    undo = "ALTER TABLE users DROP plan; DROP TABLE plans"
    since = "UPDATE users SET seen = 1; INSERT INTO users VALUES (9, 'new')"
    for role in ("postgres", "save_bot"):
        setup = f"SET ROLE save_owner; {USERS} {PLANS} {SEEDS} {LINK} {lived}; RESET ROLE"
        forward, rollback = (
            f"SET ROLE save_owner; {PLANS} {SEEDS} {LINK} RESET ROLE",
            f"SET ROLE save_owner; {undo}; RESET ROLE",
        )
        saves.run(setup, rollback, forward, role=role).same()
        case = saves.run(setup, rollback, forward, since, role=role)
        assert not case.aside and not case.differences() and case.after["public.plans"] == case.before["public.plans"]
        assert changed(case, "users") == {"9": "name=new plan=1 seen=0"} | {
            key: row.replace("seen=0", "seen=1") for key, row in of(case.before, "users").items()
        }


MOVES = (
    "CREATE TABLE old (id integer PRIMARY KEY, a text, b integer); INSERT INTO old TABLE t; DROP TABLE t",
    "CREATE TABLE t (id integer PRIMARY KEY, a text, b integer); INSERT INTO t TABLE old; DROP TABLE old",
)


def test_rows_that_the_migration_moves_are_there_already(saves: Bench) -> None:
    case = saves.run(T, *MOVES)
    case.same()
    assert case.back.exact == ["public.t"] and case.back.rows == 0


def test_rows_that_the_migration_moves_are_as_they_were_written_since(saves: Bench) -> None:
    since = "UPDATE old SET a = 'new' WHERE id = 1; DELETE FROM old WHERE id = 2; INSERT INTO old VALUES (9, 'n', 9)"
    case = saves.run(T, *MOVES, since, seen=True)
    assert changed(case) == {"1": "a=new b=1", "2": None, "9": "a=n b=9"}
    assert case.kept_aside() == {("public.t", "made"): 2}


def test_without_a_key_rows_that_the_migration_moves_are_not_doubled(saves: Bench) -> None:
    undo, redo = (script.replace(" PRIMARY KEY", "") for script in MOVES)
    saves.run(T.replace(" PRIMARY KEY", "") + "INSERT INTO t TABLE t", undo, redo).same()


def test_what_the_migration_makes_from_rows_gives_way_to_what_became_of_it(saves: Bench) -> None:
    made = "CREATE TABLE accounts (owner integer PRIMARY KEY REFERENCES users, money integer DEFAULT 0, at timestamptz DEFAULT now()); INSERT INTO accounts (owner) SELECT id FROM users;"
    since = "INSERT INTO users VALUES (9, 'new'); DELETE FROM users WHERE id = 1; UPDATE users SET seen = 2"
    for seen in (False, True):
        case = saves.run(
            f"{USERS} {made} UPDATE accounts SET money = owner * 10", "DROP TABLE accounts", made, since, seen=seen
        )
        assert case.kept_aside() == {("public.accounts", "parent_gone"): 1}
        money = {row.split("\t")[2]: row.split("\t")[1] for row in case.after["public.accounts"]}
        assert money == {"owner=9": "money=0"} | {f"owner={n}": f"money={n}0" for n in range(2, 7)}


def test_a_column_that_the_migration_computes_follows_rows_that_were_changed_since(saves: Bench) -> None:
    made = "ALTER TABLE users ADD loud text; UPDATE users SET loud = upper(name);"
    case = saves.run(
        USERS + made, "ALTER TABLE users DROP loud", made, "UPDATE users SET name = 'ann' WHERE id = 1", seen=True
    )
    assert of(case.after, "users")["1"] == "loud=ANN name=ann seen=0"
    assert case.kept_aside() == {("public.users", "made"): 1}
    saves.run(USERS + made, "ALTER TABLE users DROP loud", made, seen=True).same()


def test_a_column_that_the_application_filled_is_not_taken_for_a_computed_one(saves: Bench) -> None:
    made = "ALTER TABLE users ADD loud text; UPDATE users SET loud = upper(name);"
    case = saves.run(
        f"{USERS} {made} UPDATE users SET loud = 'own' WHERE id = 2",
        "ALTER TABLE users DROP loud",
        made,
        "UPDATE users SET seen = 5",
        seen=True,
    )
    assert {row.split()[0] for row in of(case.after, "users").values()} == {
        "loud=own",
        *(f"loud=U{n}" for n in (1, 3, 4, 5, 6)),
    }
    assert not case.aside


def test_a_column_that_moves_to_another_keeps_what_was_written_there_since(saves: Bench) -> None:
    made = "ALTER TABLE users ADD full_name text; UPDATE users SET full_name = name; ALTER TABLE users DROP name"
    undo = "ALTER TABLE users ADD name text; UPDATE users SET name = full_name; ALTER TABLE users DROP full_name"
    setup = f"{USERS} {made}"
    saves.run(setup, undo, made).same()
    for seen in (False, True):
        case = saves.run(setup, undo, made, "UPDATE users SET name = 'new' WHERE id = 1", seen=seen)
        assert changed(case, "users") == {"1": "full_name=new seen=0"}
        assert case.kept_aside() == {("public.users", "made"): 1}


def test_rows_that_the_migration_replaces_in_a_table_that_stays_come_back(saves: Bench) -> None:
    reload = "DELETE FROM t; INSERT INTO t VALUES (1, 'first', 0), (2, 'second', 0)"
    case = saves.run(T, "UPDATE t SET a = 'x'; DELETE FROM t WHERE id = 6", reload)
    case.same()
    assert case.back.rows == 6


def test_a_migration_that_writes_its_own_history_row_does_so_again(saves: Bench) -> None:
    setup = f"{T} CREATE TABLE schema_migrations (version text PRIMARY KEY, at timestamptz DEFAULT now()); INSERT INTO schema_migrations VALUES ('1', '2026-01-01')"
    case = saves.run(setup, CHANGE, f"{AGAIN}; INSERT INTO schema_migrations VALUES ('2')")
    assert len(case.after["public.schema_migrations"]) == 2 and case.after["public.t"] == case.before["public.t"]
