"""What the scripts really did, told by PostgreSQL itself: event triggers on a scratch database.

An approver must know what CASCADE takes along, and which tables are rewritten; neither stands in the script. Event
triggers need a superuser, so they are used on scratch databases only, and ENABLE ALWAYS keeps a script from
silencing them by session_replication_role. Their schema is left out of snapshots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from core import postgres
from core.errors import StepFailed

INSTALL: tuple[LiteralString, ...] = (
    "CREATE SCHEMA rollback_rehearsal",
    """CREATE TABLE rollback_rehearsal.seen (
         n bigserial, kind text NOT NULL, what text NOT NULL, identity text NOT NULL, named boolean NOT NULL)""",
    """CREATE FUNCTION rollback_rehearsal.on_drop() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
         SET search_path = pg_catalog AS $$ BEGIN
         INSERT INTO rollback_rehearsal.seen (kind, what, identity, named)
         SELECT 'drop', object_type, object_identity, original FROM pg_event_trigger_dropped_objects()
          WHERE NOT is_temporary; END $$""",
    """CREATE FUNCTION rollback_rehearsal.on_rewrite() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
         SET search_path = pg_catalog AS $$ BEGIN
         INSERT INTO rollback_rehearsal.seen (kind, what, identity, named)
         SELECT 'rewrite', 'table', format('%I.%I', n.nspname, c.relname), true
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE c.oid = pg_event_trigger_table_rewrite_oid(); END $$""",
    """CREATE EVENT TRIGGER rollback_rehearsal_drop ON sql_drop
         EXECUTE FUNCTION rollback_rehearsal.on_drop()""",
    """CREATE EVENT TRIGGER rollback_rehearsal_rewrite ON table_rewrite
         EXECUTE FUNCTION rollback_rehearsal.on_rewrite()""",
    "ALTER EVENT TRIGGER rollback_rehearsal_drop ENABLE ALWAYS",
    "ALTER EVENT TRIGGER rollback_rehearsal_rewrite ENABLE ALWAYS",
)
WHOLE = (
    "table",
    "view",
    "materialized view",
    "foreign table",
    "function",
    "procedure",
    "aggregate",
    "domain",
    "schema",
)
"""Dropped objects that stand for themselves."""
PARTS = ("table constraint", "trigger", "policy", "rule")
"""Dropped objects that are told where the table that they stood on stays."""
FILES: LiteralString = """
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), pg_catalog.pg_relation_filenode(c.oid)
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'rollback_rehearsal')
       AND n.nspname !~ '^pg_(toast|temp)'"""


@dataclass(frozen=True)
class Seen:
    """`cascaded`: (kind, identity) that no statement names. `rewritten`, `emptied`: qualified tables.

    `blind`: without superuser nobody tells which of the rewritten ones were emptied, and what CASCADE took.
    """

    cascaded: tuple[tuple[str, str], ...] = ()
    rewritten: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()
    blind: bool = False


class Observer:
    """Watches one connection's transaction. Without superuser it sees no cascades, and `blind` says so."""

    def __init__(self, conn: postgres.Connection) -> None:
        self.conn = conn
        self.blind = not postgres.execute(conn, "SELECT usesuper FROM pg_catalog.pg_user WHERE usename = current_user")[
            0
        ][0]
        if not self.blind:
            for statement in INSTALL:
                conn.execute(statement)
        self.files = dict(postgres.execute(conn, FILES))

    def seen(self, code: str) -> Seen:
        """Everything so far. Raises StepFailed(code) where the script has silenced the observer."""
        now = dict(postgres.execute(self.conn, FILES))
        moved = {name for name, file in self.files.items() if name in now and now[name] != file}
        if self.blind:
            return Seen(rewritten=tuple(sorted(moved)), blind=True)
        awake = postgres.execute(
            self.conn,
            r"""SELECT count(*) FROM pg_catalog.pg_event_trigger
                 WHERE evtname LIKE 'rollback\_rehearsal\_%%' AND evtenabled = 'A'""",
        )
        if awake[0][0] != 2:
            raise StepFailed(
                code, "The script switches event triggers off, so I cannot see what it drops.", "Mend the script."
            )
        rows = postgres.execute(self.conn, "SELECT kind, what, identity, named FROM rollback_rehearsal.seen ORDER BY n")
        rewritten = {identity for kind, _, identity, _ in rows if kind == "rewrite"}
        dropped = [(what, name, named) for kind, what, name, named in rows if kind == "drop"]
        return Seen(tuple(cascaded(dropped)), tuple(sorted(rewritten)), tuple(sorted(moved - rewritten)))


def cascaded(dropped: Sequence[tuple[str, str, bool]]) -> list[tuple[str, str]]:
    """Kind and identity of what went although no statement names it, without what belonged to a dropped table."""
    gone = {name for what, name, _ in dropped if what in WHOLE}
    found = []
    for what, name, named in dropped:
        part = what in PARTS and name.rpartition(" on ")[2] not in gone and "RI_ConstraintTrigger" not in name
        if not named and (what in WHOLE or part):
            found.append((what.removeprefix("table "), name))
    return list(dict.fromkeys(found))
