"""Rows that the scripts delete or update in tables that stay: caught by triggers of ours, in the same transaction.

Nothing else tells which rows a statement will change. The triggers fire whatever `session_replication_role` says, and
they are gone again before the schema is compared. A script that switches them shows, since PostgreSQL then writes their
catalog rows anew. What they catch lies in temporary tables, as text: a temporary column of an enum's type would keep the
script from dropping the type. Columns are told by their numbers, since a script may rename them on its way.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import LiteralString

from psycopg import sql

from core import postgres, schema
from core.errors import StepFailed
from core.save import links
from core.save.inventory import Inventory
from core.save.items import ALTER, DEAF, Item
from core.save.texts import listed

FUNCTION: LiteralString = """
    CREATE FUNCTION pg_temp.rollback_watch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
       SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, MDY' SET row_security = off
       SET intervalstyle = 'postgres' SET extra_float_digits = 1 SET bytea_output = 'hex' SET xmloption = 'content'
       SET lc_monetary = 'C'
    AS $$
    DECLARE was text; came text;
    BEGIN
      SELECT format('ARRAY[%s]::text[]', string_agg(coalesce(format(f.form, 'x', a.attname), 'NULL'), ', ' ORDER BY k.i)),
             format('ARRAY[%s]::text[]', string_agg(coalesce(format(f.form, 'y', a.attname), 'NULL'), ', ' ORDER BY k.i))
        INTO was, came
        FROM jsonb_array_elements_text(TG_ARGV[1]::jsonb) WITH ORDINALITY AS k (number, i)
        LEFT JOIN pg_attribute a ON a.attrelid = TG_RELID AND a.attnum = k.number::int AND NOT a.attisdropped
        LEFT JOIN LATERAL (SELECT CASE
             WHEN t.typtype = 'd' OR EXISTS (SELECT FROM pg_cast c WHERE c.castsource = t.oid AND c.casttarget = 'text'::regtype
                                                AND c.castmethod = 'f')
             THEN 'CASE WHEN %1$s.%2$I IS DISTINCT FROM NULL THEN format(''%%s'', %1$s.%2$I) END'
             ELSE '%1$s.%2$I::text' END FROM pg_type t WHERE t.oid = a.atttypid) f (form) ON true;
      IF TG_OP = 'TRUNCATE' THEN
        EXECUTE format('INSERT INTO pg_temp.%I (op, o) SELECT ''D'', %s FROM ONLY %I.%I x',
                       TG_ARGV[0], was, TG_TABLE_SCHEMA, TG_TABLE_NAME);
      ELSIF TG_OP = 'UPDATE' AND TG_LEVEL = 'STATEMENT' THEN
        -- both transition tables hold the rows in the order in which they were changed
        EXECUTE format('INSERT INTO pg_temp.%I (op, o, n) SELECT ''U'', %s, %s
                          FROM (SELECT row_number() OVER () AS rollback_n, * FROM gone) x
                          JOIN (SELECT row_number() OVER () AS rollback_n, * FROM come) y USING (rollback_n)', TG_ARGV[0], was, came);
      ELSIF TG_OP = 'UPDATE' THEN
        EXECUTE format('INSERT INTO pg_temp.%I (op, o, n) SELECT ''U'', %s, %s FROM (SELECT ($1).*) x, (SELECT ($2).*) y',
                       TG_ARGV[0], was, came) USING OLD, NEW;
      ELSIF TG_OP = 'DELETE' THEN
        EXECUTE format('INSERT INTO pg_temp.%I (op, o) SELECT ''D'', %s FROM %s x', TG_ARGV[0], was,
                       CASE TG_LEVEL WHEN 'ROW' THEN '(SELECT ($1).*)' ELSE 'gone' END) USING OLD;
      ELSE
        EXECUTE format('INSERT INTO pg_temp.%I (op, n) SELECT ''I'', %s FROM %s y', TG_ARGV[0], came,
                       CASE TG_LEVEL WHEN 'ROW' THEN '(SELECT ($1).*)' ELSE 'come' END) USING NEW;
      END IF;
      RETURN NULL;
    END $$"""
BY_STATEMENT = {
    "delete": "AFTER DELETE ON {} REFERENCING OLD TABLE AS gone FOR EACH STATEMENT",
    "update": "AFTER UPDATE ON {} REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT",
    "insert": "AFTER INSERT ON {} REFERENCING NEW TABLE AS come FOR EACH STATEMENT",
    "truncate": "BEFORE TRUNCATE ON {} FOR EACH STATEMENT",
}
BY_ROW = {  # a statement on a table changes rows of those that inherit from it too, which have columns of their own
    "delete": "AFTER DELETE ON {} FOR EACH ROW",
    "update": "AFTER UPDATE ON {} FOR EACH ROW",
    "insert": "AFTER INSERT ON {} FOR EACH ROW",
    "truncate": "BEFORE TRUNCATE ON {} FOR EACH STATEMENT",
}
STATES: LiteralString = """
    SELECT tgrelid::bigint, oid::bigint, ctid::text FROM pg_catalog.pg_trigger
     WHERE tgname LIKE 'rollback\\_watch\\_%%' AND tgenabled = 'A' AND tgrelid = ANY (%s)"""
THERE: LiteralString = "SELECT oid::bigint FROM pg_catalog.pg_class WHERE oid = ANY (%s)"
STANDING: LiteralString = """
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), t.tgname::text
      FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE t.tgname LIKE 'rollback\\_watch\\_%%' AND t.tgrelid = ANY (%s)"""
CHANGED: LiteralString = """
    SELECT quote_ident(schemaname) || '.' || quote_ident(relname), relid::bigint, n_tup_upd + n_tup_del
      FROM pg_catalog.pg_stat_xact_user_tables WHERE relid = ANY (%s)"""


class Watch:
    """The watched tables of one transaction; `items` are those of the kind `touched`.

    `known`: what needs no watching, since all of its rows are saved.
    """

    def __init__(
        self, conn: postgres.Connection, items: Sequence[Item], held: Inventory, known: Iterable[Item]
    ) -> None:
        if postgres.scalar(conn, "SHOW track_counts") == "off":
            raise escaped("PostgreSQL counts no changes here (`track_counts`), so I could not see that all are saved")
        self.conn, self.items = conn, items
        self.watched = [oid for item in items for oid in _tree(item, held)]
        self.others = sorted(held.keys() - {*self.watched, *(oid for item in known for oid in _tree(item, held))})
        if items:
            conn.execute(FUNCTION)
        for n, item in enumerate(items):
            query = "CREATE TEMP TABLE {} (seq bigserial, op text NOT NULL, o text[], n text[]) ON COMMIT DROP"
            conn.execute(sql.SQL(query).format(kept(n)))
            for oid, numbers in _tree(item, held).items():
                self._put(n, oid, numbers, held, apart=item.apart)
        self.states = self._states()
        self.earlier = {relid: changes for _, relid, changes in postgres.execute(conn, CHANGED, self.others)}

    def _put(self, n: int, oid: int, numbers: Sequence[int], held: Inventory, apart: bool) -> None:
        """The triggers of one table."""
        table = sql.Identifier(*schema.names(held[oid].name))
        arguments = listed([sql.Literal(f"rollback_kept_{n}"), sql.Literal(json.dumps(numbers))])
        for what, when in (BY_ROW if apart else BY_STATEMENT).items():
            if what == "truncate" and held[oid].kind == "p":
                continue  # it is emptied partition by partition, and each of these says so
            name = sql.Identifier(f"rollback_watch_{what}")
            query = "CREATE TRIGGER {} {} EXECUTE FUNCTION pg_temp.rollback_watch({})"
            self.conn.execute(sql.SQL(query).format(name, sql.SQL(when).format(table), arguments))
            self.conn.execute(sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(table, name))

    def _states(self) -> set[tuple[int, int, str]]:
        """Table, number and place of each trigger of ours that fires."""
        return {(table, oid, place) for table, oid, place in postgres.execute(self.conn, STATES, self.watched)}

    def again(self, statement: str) -> None:
        """After a statement: where it is one that switches triggers, let ours fire again."""
        if ALTER.match(statement) and DEAF.search(statement):
            for table, trigger in postgres.execute(self.conn, STANDING, self.watched):
                query = sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}")
                self.conn.execute(query.format(sql.Identifier(*schema.names(table)), sql.Identifier(trigger)))
            self.states = self._states()

    def end(self) -> None:
        """Take the triggers away, and see that nothing escaped them.

        Raises StepFailed(E-DIFFERS) where rows were changed in a table that nobody watched, or where a trigger of ours
        was switched; psycopg.Error where a deferred constraint does not hold.
        """
        there = {oid for (oid,) in postgres.execute(self.conn, THERE, self.watched)}
        if self._states() != {state for state in self.states if state[0] in there}:
            raise escaped("the scripts switch triggers of mine, so what they change could not be saved")
        for name, relid, changes in postgres.execute(self.conn, CHANGED, self.others):
            if changes > self.earlier.get(relid, 0):
                raise escaped(f"the scripts change rows of `{schema.plain(name)}`, which they did not in the proofs")
        links.settle(self.conn)  # a trigger cannot be dropped while deferred checks of its table are pending
        for table, trigger in postgres.execute(self.conn, STANDING, self.watched):
            query = sql.SQL("DROP TRIGGER {} ON {}")
            self.conn.execute(query.format(sql.Identifier(trigger), sql.Identifier(*schema.names(table))))
        if self.items:
            self.conn.execute("DROP FUNCTION pg_temp.rollback_watch()")


def _tree(item: Item, held: Inventory) -> Mapping[int, Sequence[int]]:
    """The tables whose rows are an item's, each with the numbers of the item's columns in it."""
    if not item.whole:
        return {item.oid: item.numbers}
    found = {}
    for oid, table in held.items():
        if item.oid in (oid, table.root):
            numbers = {column.name: number for number, column in table.columns.items()}
            found[oid] = [numbers[name] for name in item.columns]
    return found


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
