"""Rows that the scripts delete or update in tables that stay: caught by triggers of ours, in the same transaction.

Nothing else tells which rows a statement will change. The triggers fire whatever `session_replication_role` says; a
script that switches them off shows, since PostgreSQL's own counters then say another number than was caught. They are
gone again before the schema is compared. Rows lie in temporary tables, as text: a temporary column of an enum's type
would keep the script from dropping the type.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import LiteralString

from psycopg import sql

from core import postgres, schema
from core.errors import StepFailed
from core.save.items import Item

FUNCTION: LiteralString = """
    CREATE FUNCTION pg_temp.rollback_watch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
       SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, MDY' SET row_security = off
       SET intervalstyle = 'postgres' SET extra_float_digits = 1 SET bytea_output = 'hex' SET xmloption = 'content'
    AS $$
    DECLARE old_names text; old_values text; new_names text; new_values text; key_names text; key_values text;
    BEGIN
      SELECT string_agg('o' || k.i, ', '), string_agg(format('x.%I::text', k.c), ', '),
             string_agg('n' || k.i, ', '), string_agg(format('y.%I::text', k.c), ', '),
             string_agg('n' || k.i, ', ') FILTER (WHERE TG_ARGV[2]::jsonb ? k.c),
             string_agg(format('y.%I::text', k.c), ', ') FILTER (WHERE TG_ARGV[2]::jsonb ? k.c)
        INTO old_names, old_values, new_names, new_values, key_names, key_values
        FROM jsonb_array_elements_text(TG_ARGV[1]::jsonb) WITH ORDINALITY AS k (c, i)
        JOIN pg_attribute a ON a.attrelid = TG_RELID AND a.attname = k.c AND NOT a.attisdropped;
      IF TG_OP = 'DELETE' THEN
        EXECUTE format('INSERT INTO pg_temp.%I (op, %s) SELECT ''D'', %s FROM gone x', TG_ARGV[0], old_names, old_values);
      ELSIF TG_OP = 'UPDATE' THEN
        -- both transition tables hold the rows in the order in which they were changed
        EXECUTE format('INSERT INTO pg_temp.%I (op, %s, %s) SELECT ''U'', %s, %s
                          FROM (SELECT row_number() OVER () AS rollback_n, * FROM gone) x
                          JOIN (SELECT row_number() OVER () AS rollback_n, * FROM come) y USING (rollback_n)',
                       TG_ARGV[0], old_names, new_names, old_values, new_values);
      ELSIF TG_OP = 'TRUNCATE' THEN
        EXECUTE format('INSERT INTO pg_temp.%I (op, %s) SELECT ''T'', %s FROM %I.%I x',
                       TG_ARGV[0], old_names, old_values, TG_TABLE_SCHEMA, TG_TABLE_NAME);
      ELSIF key_names IS NOT NULL THEN
        EXECUTE format('INSERT INTO pg_temp.%I (op, %s) SELECT ''I'', %s FROM come y', TG_ARGV[0], key_names, key_values);
      END IF;
      RETURN NULL;
    END $$"""
WHEN = {
    "delete": "AFTER DELETE ON {} REFERENCING OLD TABLE AS gone FOR EACH STATEMENT",
    "update": "AFTER UPDATE ON {} REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT",
    "insert": "AFTER INSERT ON {} REFERENCING NEW TABLE AS come FOR EACH STATEMENT",
    "truncate": "BEFORE TRUNCATE ON {} FOR EACH STATEMENT",
}
COUNTED: LiteralString = """
    SELECT coalesce(sum(s.n_tup_upd + s.n_tup_del), 0)::bigint FROM pg_catalog.pg_stat_xact_user_tables s
     WHERE s.relid = ANY (%s) OR pg_catalog.pg_partition_root(s.relid) = ANY (%s)"""
CHANGED: LiteralString = """
    SELECT quote_ident(schemaname) || '.' || quote_ident(relname), relid::bigint,
           coalesce(pg_catalog.pg_partition_root(relid), relid)::bigint, n_tup_upd + n_tup_del
      FROM pg_catalog.pg_stat_xact_user_tables
     WHERE schemaname NOT IN ('rollback_bot', 'rollback_rehearsal') AND schemaname !~ '^pg_temp'"""
NAMES: LiteralString = """
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY (%s)"""


class Watch:
    """The watched tables of one transaction; `items` are those of the kind `touched`."""

    def __init__(self, conn: postgres.Connection, items: Sequence[Item]) -> None:
        self.conn, self.items = conn, items
        self.tables = {item.table: self._oid(item) for item in items}
        if items:
            conn.execute(FUNCTION)
            for n, item in enumerate(items):
                self._put(n, item)
        self.before = self._counted()
        self.earlier = {relid: changes for _, relid, _, changes in postgres.execute(conn, CHANGED)}

    def _oid(self, item: Item) -> int:
        return int(
            postgres.execute(self.conn, "SELECT %s::regclass::oid::bigint", item.name.as_string(self.conn))[0][0]
        )

    def _put(self, n: int, item: Item) -> None:
        """The triggers of one table, and the temporary one that they write to."""
        sides = sql.SQL(", ").join(
            sql.SQL("{} text").format(sql.Identifier(f"{side}{i}"))
            for side in "on"
            for i in range(1, len(item.columns) + 1)
        )
        self.conn.execute(
            sql.SQL("CREATE TEMP TABLE {} (seq bigserial, op text NOT NULL, {}) ON COMMIT DROP").format(kept(n), sides)
        )
        arguments = sql.SQL(", ").join([
            sql.Literal(f"rollback_kept_{n}"), sql.Literal(json.dumps(item.columns)), sql.Literal(json.dumps(item.key))
        ])  # fmt: skip
        for what, when in WHEN.items():
            if what == "truncate" and item.whole:
                continue  # a partitioned table is emptied partition by partition, and each of these says so
            name = sql.Identifier(f"rollback_watch_{what}")
            self.conn.execute(
                sql.SQL("CREATE TRIGGER {} {} EXECUTE FUNCTION pg_temp.rollback_watch({})").format(
                    name,
                    sql.SQL(when).format(item.name),
                    arguments,
                )
            )
            self.conn.execute(sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(item.name, name))

    def _counted(self) -> int:
        oids = list(self.tables.values())
        return int(postgres.scalar(self.conn, COUNTED, oids, oids))

    def end(self, harmless: Sequence[str] = ()) -> None:
        """Take the triggers away, and see that nothing escaped them.

        `harmless`: tables that are gone, or saved whole. Raises StepFailed(E-DIFFERS) where rows were changed in a
        table that nobody watched, or where PostgreSQL counted more changes than were caught.
        """
        self._all_watched(harmless)
        count = sql.SQL("SELECT count(*) FROM {} WHERE op IN ('D', 'U')")
        caught = sum(postgres.scalar(self.conn, count.format(kept(n))) for n in range(len(self.items)))
        if self._counted() - self.before > caught:
            raise escaped("the scripts switch triggers off while they change rows, so these could not be saved")
        for table in [row[0] for row in postgres.execute(self.conn, NAMES, list(self.tables.values()))]:
            for what in WHEN:  # by the name that the table has now
                trigger = sql.Identifier(f"rollback_watch_{what}")
                drop = sql.SQL("DROP TRIGGER IF EXISTS {} ON {}")
                self.conn.execute(drop.format(trigger, sql.Identifier(*schema.names(table))))

    def _all_watched(self, harmless: Sequence[str]) -> None:
        for name, relid, root, changes in postgres.execute(self.conn, CHANGED):
            if (
                changes > self.earlier.get(relid, 0)
                and not {relid, root} & set(self.tables.values())
                and name not in harmless
            ):
                raise escaped(f"the scripts change rows of `{schema.plain(name)}`, which they did not in the proofs")


def kept(n: int) -> sql.Composed:
    """The temporary table with what item `n` of the watch lost."""
    return sql.SQL("pg_temp.{}").format(sql.Identifier(f"rollback_kept_{n}"))


def escaped(why: str) -> StepFailed:
    """What could not be saved is not destroyed."""
    return StepFailed(
        "E-DIFFERS",
        f"{why[:1].upper()}{why[1:]}. The transaction was undone; production was not changed.",
        "Ask again: the new plan shows it.",
    )
