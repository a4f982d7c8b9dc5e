"""Random migrations with rows: a schema, what a migration did to it and how it is undone, and what people write since.

Each change is a pair: what the migration does, and what its rollback script does about it. A migration is a few of these;
its rollback script undoes them in the opposite order, as people write it.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

BASE = """
    CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad');
    CREATE TABLE p (id integer PRIMARY KEY, a text, b integer DEFAULT 1, m mood);
    CREATE TABLE c (id serial PRIMARY KEY, p integer REFERENCES p {action}, a text UNIQUE, n numeric(10, 4));
    CREATE TABLE k (a text, b integer, c integer);
    CREATE TABLE r (id integer NOT NULL, a text, b integer, PRIMARY KEY (id)) PARTITION BY RANGE (id);
    CREATE TABLE r1 PARTITION OF r FOR VALUES FROM (0) TO (5); CREATE TABLE r2 PARTITION OF r DEFAULT;
    CREATE TABLE s (id integer PRIMARY KEY, up integer REFERENCES s ON DELETE CASCADE, a text);"""
ACTIONS = ("", "ON DELETE CASCADE", "ON DELETE SET NULL", "ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED")
TABLES = {"p": ("a", "b"), "c": ("a", "n"), "k": ("a", "b", "c"), "r": ("a", "b"), "s": ("a",)}
NUMBERS = ("b", "c", "n", "p", "up", "x")


@dataclass(frozen=True)
class Pair:
    """What a migration does, and what its rollback script does about it."""

    forward: str
    back: str


@dataclass(frozen=True)
class Migration:
    """`base`: schema and rows before it. `lived`: writes after it, `since`: writes after its rollback."""

    base: str
    steps: tuple[Pair, ...]
    lived: tuple[str, ...]
    since: tuple[str, ...]


texts = st.sampled_from(["x", "y", "it''s", "", "tab\tä", "\\N", "a1", "a2"])
ids = st.integers(0, 9)


def literal(column: str, value: str, n: int) -> str:
    """A value for a column."""
    if column in NUMBERS:
        return str(n)
    return f"'{value}'" if column != "m" else f"'{('sad', 'ok', 'glad')[n % 3]}'"


@st.composite
def writes(draw: st.DrawFn, tables: dict[str, tuple[str, ...]]) -> str:
    """One statement that changes rows; it may fail, and then changes nothing."""
    table = draw(st.sampled_from(sorted(tables)))
    column = draw(st.sampled_from(tables[table]))
    n, value, other = draw(ids), draw(texts), draw(ids)
    key = "id" if table != "k" else "b"
    match draw(st.sampled_from(["insert", "insert", "update", "update", "delete", "all", "key"])):
        case "insert":
            more = {"c": ("p", str(other)), "s": ("up", str(other)), "r": ("b", str(other))}.get(table)
            columns = [key, column, *([more[0]] if more and more[0] != column else [])]
            values = [str(n), literal(column, value, other), *([more[1]] if more and more[0] != column else [])]
            if table == "k":
                columns, values = ["a", "b", "c"], [f"'{value}'", str(n), str(other)]
            return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(values)})"
        case "update":
            return f"UPDATE {table} SET {column} = {literal(column, value, other)} WHERE {key} = {n}"
        case "delete":
            return f"DELETE FROM {table} WHERE {key} = {n}"
        case "all":
            return f"UPDATE {table} SET {column} = {literal(column, value, other)} WHERE {key} < {n}"
        case _:
            return f"UPDATE {table} SET {key} = {n} WHERE {key} = {other}"


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    """One change and its undoing."""
    table = draw(st.sampled_from(sorted(TABLES)))
    column = draw(st.sampled_from(TABLES[table]))
    key = "id" if table != "k" else "b"
    n, value = draw(ids), draw(texts)
    kind = "integer" if column in NUMBERS else "text"
    into = literal(column, value, n)
    choices = {
        "add column": Pair(f"ALTER TABLE {table} ADD x {kind}", f"ALTER TABLE {table} DROP x"),
        "add with default": Pair(f"ALTER TABLE {table} ADD x {kind} DEFAULT {into}", f"ALTER TABLE {table} DROP x"),
        "add and fill": Pair(f"ALTER TABLE {table} ADD x text; UPDATE {table} SET x = {column}::text", f"ALTER TABLE {table} DROP x"),
        "add link": Pair(f"ALTER TABLE {table} ADD x integer REFERENCES p ON DELETE SET NULL", f"ALTER TABLE {table} DROP x"),
        "add table": Pair("CREATE TABLE q (id serial PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE, x text)", "DROP TABLE q"),
        "add seeded": Pair(
            f"CREATE TABLE q (id integer PRIMARY KEY, x text); INSERT INTO q VALUES (1, 'one'), (2, '{value}')", "DROP TABLE q"
        ),
        "add derived": Pair("CREATE TABLE q (id integer PRIMARY KEY, x text); INSERT INTO q SELECT id, a FROM p", "DROP TABLE q"),
        "add keyless": Pair("CREATE TABLE q (p integer, x text); INSERT INTO q VALUES (1, 'one')", "DROP TABLE q"),
        "rename column": Pair(f"ALTER TABLE {table} RENAME {column} TO x", f"ALTER TABLE {table} RENAME x TO {column}"),
        "widen": Pair("ALTER TABLE c ALTER n TYPE numeric(12, 6)", "ALTER TABLE c ALTER n TYPE numeric(10, 1)"),
        "retype": Pair(f"ALTER TABLE {table} ALTER a TYPE text", f"ALTER TABLE {table} ALTER a TYPE varchar(1) USING left(a, 1)"),
        "narrow text": Pair(f"ALTER TABLE {table} ALTER a TYPE text", f"ALTER TABLE {table} ALTER a TYPE text USING left(a, 1)"),
        "remake": Pair(f"ALTER TABLE {table} DROP {column}, ADD {column} {kind}", f"ALTER TABLE {table} DROP {column}, ADD {column} {kind}"),
        "partition": Pair("CREATE TABLE r3 PARTITION OF r FOR VALUES FROM (100) TO (110)", "DROP TABLE r3"),
        "insert row": Pair(f"INSERT INTO {table} ({key}, a) VALUES (50, '{value}')", f"DELETE FROM {table} WHERE {key} = 50"),
        "delete rows": Pair("SELECT 1", f"DELETE FROM {table} WHERE {key} < {n}"),
        "update rows": Pair("SELECT 1", f"UPDATE {table} SET {column} = {into} WHERE {key} > {n}"),
        "fill": Pair(f"UPDATE {table} SET {column} = {into} WHERE {column} IS NULL", f"UPDATE {table} SET {column} = NULL WHERE {key} > {n}"),
        "empty": Pair("SELECT 1", f"TRUNCATE {table} CASCADE"),
        "move key": Pair(f"UPDATE {table} SET {key} = {key} - 100 WHERE {key} >= 100", f"UPDATE {table} SET {key} = {key} + 100"),
        "empty some": Pair("SELECT 1", f"DO $$ BEGIN DELETE FROM {table} WHERE {key} = {n}; EXCEPTION WHEN OTHERS THEN NULL; END $$"),
        "rewrite": Pair("SELECT 1", f"UPDATE {table} SET {column} = {into}; DELETE FROM {table} WHERE {key} = {n}; UPDATE {table} SET a = 'z'"),
    }  # fmt: skip
    return choices[draw(st.sampled_from(sorted(choices)))]


ROWS = """
    INSERT INTO p SELECT n, 'a' || n, n, 'ok' FROM generate_series(0, 9) n;
    INSERT INTO c (p, a, n) SELECT n % 10, 'c' || n, n + 0.1234 FROM generate_series(1, 9) n;
    INSERT INTO k SELECT 'k' || n % 3, n % 4, n % 2 FROM generate_series(1, 9) n;
    INSERT INTO r SELECT n, 'r' || n, n FROM generate_series(0, 9) n;
    INSERT INTO s SELECT n, nullif(n / 2, n), 's' || n FROM generate_series(0, 9) n"""


@st.composite
def migrations(draw: st.DrawFn) -> Migration:
    """A whole migration, with what people do before and after its rollback."""
    steps = draw(st.lists(pairs(), min_size=1, max_size=4))
    new = {**TABLES, "q": ("x",), "p": ("a", "b", "m")}
    lived = draw(st.lists(writes(new), min_size=2, max_size=10))
    since = draw(st.lists(writes(TABLES), max_size=6))
    base = BASE.format(action=draw(st.sampled_from(ACTIONS))) + ROWS
    return Migration(base, tuple(steps), tuple(lived), tuple(since))
