"""Saved rows and the rows that they refer to: order, circles, actions, and parents that are gone since."""

from __future__ import annotations

import pytest

from tests.save_bench import Bench

TREE = """
    CREATE TABLE t (id integer PRIMARY KEY, up integer REFERENCES t {action}, n integer DEFAULT 0);
    INSERT INTO t VALUES (1, NULL), (2, 1), (3, 2), (4, 3), (5, 1), (6, 6);"""
SHOP = """
    CREATE TABLE users (id integer PRIMARY KEY, name text UNIQUE);
    CREATE TABLE plans (code text PRIMARY KEY, price integer);
    CREATE TABLE subs (id serial PRIMARY KEY, who integer NOT NULL REFERENCES users {who}, plan text REFERENCES plans {plan});
    CREATE TABLE bills (id serial PRIMARY KEY, sub integer REFERENCES subs {sub}, plan text DEFAULT 'free' REFERENCES plans {plan});
    INSERT INTO users SELECT n, 'u' || n FROM generate_series(1, 6) n;
    INSERT INTO plans VALUES ('free', 0), ('pro', 9), ('team', 99);
    INSERT INTO subs (who, plan) SELECT n, (ARRAY['free', 'pro', 'team'])[1 + n % 3] FROM generate_series(1, 6) n;
    INSERT INTO bills (sub, plan) SELECT s.id, s.plan FROM subs s, generate_series(1, 2);"""
CIRCLE = """
    CREATE TABLE teams (id integer PRIMARY KEY, head integer);
    CREATE TABLE people (id integer PRIMARY KEY, team integer NOT NULL REFERENCES teams {ways});
    INSERT INTO teams SELECT n, n * 10 FROM generate_series(1, 4) n;
    INSERT INTO people SELECT n * 10, n FROM generate_series(1, 4) n;
    ALTER TABLE teams ADD FOREIGN KEY (head) REFERENCES people {ways};"""
DOWN, CLEAR, MOVE = "ON DELETE CASCADE", "ON DELETE SET NULL", "ON UPDATE CASCADE"


def tree(action: str = "") -> str:
    return TREE.format(action=action)


def shop(who: str = "", plan: str = "", sub: str = "") -> str:
    return SHOP.format(who=who, plan=plan, sub=sub)


def circle(ways: str = "") -> str:
    return CIRCLE.format(ways=ways)


SCRIPTS = {
    "a tree that goes by cascade": (tree(DOWN), "DELETE FROM t WHERE id = 1"),
    "a tree whose links are cleared": (tree(CLEAR), "DELETE FROM t WHERE id IN (1, 3)"),
    "a tree that goes as a whole": (tree(), "DELETE FROM t"),
    "a tree whose keys move": (tree(MOVE), "UPDATE t SET n = 1; UPDATE t SET n = id WHERE up IS NULL"),
    "rows that go by cascade": (shop(DOWN, DOWN, DOWN), "DELETE FROM users WHERE id < 4"),
    "rows that go by two cascades": (shop(DOWN, DOWN, DOWN), "DELETE FROM users WHERE id = 1; DELETE FROM plans WHERE code = 'pro'"),
    "links that are cleared": (shop(DOWN, CLEAR, CLEAR), "DELETE FROM plans WHERE code <> 'free'; DELETE FROM users WHERE id = 2"),
    "links that get their default": (
        shop(DOWN, "ON DELETE SET DEFAULT", DOWN), "ALTER TABLE subs ALTER plan SET DEFAULT 'free'; DELETE FROM plans WHERE code = 'pro'"
    ),
    "tables that are emptied together": (shop(), "TRUNCATE plans CASCADE"),
    "a part of the tables": (shop(), "DELETE FROM bills; DELETE FROM subs WHERE id > 2; DELETE FROM users WHERE id > 2"),
    "rows that go where a deferred constraint waits": (
        shop(*["DEFERRABLE INITIALLY DEFERRED"] * 3),
        "DELETE FROM users; DELETE FROM subs; DELETE FROM bills; UPDATE plans SET price = 1",
    ),
    "a circle": (circle("DEFERRABLE INITIALLY DEFERRED"), "DELETE FROM teams WHERE id < 3; DELETE FROM people WHERE team < 3"),
    "a circle without deferral": (circle(DOWN), "DELETE FROM teams WHERE id < 3"),
    "a circle of updated rows": (circle(), "UPDATE teams SET head = NULL; UPDATE people SET team = 1"),
}  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS)
def test_rows_come_back_with_their_links(saves: Bench, script: str) -> None:
    setup, rollback = SCRIPTS[script]
    forward = "ALTER TABLE subs ALTER plan DROP DEFAULT" if "SET DEFAULT 'free'" in rollback else ""
    saves.run(setup, rollback, forward).same()


DROPS = {
    "a tree": (tree(), "DROP TABLE t", "CREATE TABLE t (id integer PRIMARY KEY, up integer REFERENCES t, n integer DEFAULT 0)"),
    "two tables, the child first by name": (
        """CREATE TABLE z (id integer PRIMARY KEY); CREATE TABLE a (id integer PRIMARY KEY, z integer NOT NULL REFERENCES z);
           INSERT INTO z VALUES (1), (2); INSERT INTO a VALUES (1, 1), (2, 2), (3, 2)""",
        "DROP TABLE a, z",
        "CREATE TABLE z (id integer PRIMARY KEY); CREATE TABLE a (id integer PRIMARY KEY, z integer NOT NULL REFERENCES z)",
    ),
    "a circle": (
        circle(), "DROP TABLE teams, people CASCADE",
        """CREATE TABLE teams (id integer PRIMARY KEY, head integer);
           CREATE TABLE people (id integer PRIMARY KEY, team integer NOT NULL REFERENCES teams);
           ALTER TABLE teams ADD FOREIGN KEY (head) REFERENCES people""",
    ),
    "a link of a table that stays": (
        """CREATE TABLE p (id integer PRIMARY KEY); CREATE TABLE c (id integer PRIMARY KEY, p integer REFERENCES p);
           INSERT INTO p VALUES (1), (2); INSERT INTO c VALUES (1, 1), (2, NULL), (3, 2)""",
        "ALTER TABLE c DROP p; DROP TABLE p",
        "CREATE TABLE p (id integer PRIMARY KEY); ALTER TABLE c ADD p integer REFERENCES p",
    ),
    "a link by two columns of which one stays": (
        """CREATE TABLE p (a integer, b integer, PRIMARY KEY (a, b)); CREATE TABLE c (id integer PRIMARY KEY, a integer, b integer,
             FOREIGN KEY (a, b) REFERENCES p); INSERT INTO p VALUES (1, 1), (1, 2); INSERT INTO c VALUES (1, 1, 2), (2, 1, NULL), (3, 7, NULL)""",
        "ALTER TABLE c DROP b; DROP TABLE p",
        """CREATE TABLE p (a integer, b integer, PRIMARY KEY (a, b)); ALTER TABLE c ADD b integer;
           ALTER TABLE c ADD FOREIGN KEY (a, b) REFERENCES p""",
    ),
    "MATCH FULL": (
        """CREATE TABLE p (a integer, b text, PRIMARY KEY (a, b)); CREATE TABLE c (id integer PRIMARY KEY, a integer, b text,
             FOREIGN KEY (a, b) REFERENCES p MATCH FULL); INSERT INTO p VALUES (1, 'x'); INSERT INTO c VALUES (1, 1, 'x'), (2, NULL, NULL)""",
        "DROP TABLE c",
        "CREATE TABLE c (id integer PRIMARY KEY, a integer, b text, FOREIGN KEY (a, b) REFERENCES p MATCH FULL)",
    ),
    "a link with a comment, not valid and deferrable": (
        """CREATE TABLE p (id integer PRIMARY KEY); CREATE TABLE c (id integer PRIMARY KEY, p integer); INSERT INTO p VALUES (1);
           INSERT INTO c VALUES (1, 1); ALTER TABLE c ADD CONSTRAINT k FOREIGN KEY (p) REFERENCES p ON DELETE CASCADE DEFERRABLE NOT VALID;
           COMMENT ON CONSTRAINT k ON c IS 'why'""",
        "DROP TABLE c",
        """CREATE TABLE c (id integer PRIMARY KEY, p integer);
           ALTER TABLE c ADD CONSTRAINT k FOREIGN KEY (p) REFERENCES p ON DELETE CASCADE DEFERRABLE NOT VALID;
           COMMENT ON CONSTRAINT k ON c IS 'why'""",
    ),
    "partitions on both sides": (
        """CREATE TABLE p (id integer PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
           CREATE TABLE p2 PARTITION OF p DEFAULT; INSERT INTO p VALUES (1), (20);
           CREATE TABLE c (id integer, p integer REFERENCES p, PRIMARY KEY (id)) PARTITION BY HASH (id);
           CREATE TABLE c1 PARTITION OF c FOR VALUES WITH (MODULUS 2, REMAINDER 0);
           CREATE TABLE c2 PARTITION OF c FOR VALUES WITH (MODULUS 2, REMAINDER 1); INSERT INTO c SELECT n, 1 + n % 2 * 19 FROM generate_series(1, 9) n""",
        "DROP TABLE c, p",
        """CREATE TABLE p (id integer PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
           CREATE TABLE p2 PARTITION OF p DEFAULT; CREATE TABLE c (id integer, p integer REFERENCES p, PRIMARY KEY (id)) PARTITION BY HASH (id);
           CREATE TABLE c1 PARTITION OF c FOR VALUES WITH (MODULUS 2, REMAINDER 0);
           CREATE TABLE c2 PARTITION OF c FOR VALUES WITH (MODULUS 2, REMAINDER 1)""",
    ),
}  # fmt: skip


@pytest.mark.parametrize("role", ["postgres", "save_bot"])
@pytest.mark.parametrize("tables", DROPS)
def test_dropped_tables_come_back_with_their_links(saves: Bench, tables: str, role: str) -> None:
    setup, rollback, forward = DROPS[tables]
    if role != "postgres":
        setup = f"SET ROLE save_owner; {setup}; RESET ROLE"
        rollback, forward = (f"SET ROLE save_owner; {script}; RESET ROLE" for script in (rollback, forward))
    saves.run(setup, rollback, forward, role=role).same()
