"""Where sequences stand: what was handed out before a rollback is not handed out again after a re-apply."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import LiteralString

from psycopg import sql

from core import postgres, schema
from core.model import Json
from core.save.items import Item

STEERS = re.compile(r"\b(restart|setval)\b", re.IGNORECASE)
CHOSEN: LiteralString = """
    SELECT c.oid::bigint, quote_ident(n.nspname) || '.' || quote_ident(c.relname), q.seqincrement,
           (SELECT quote_ident(tn.nspname) || '.' || quote_ident(t.relname) FROM pg_catalog.pg_class t
              JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace WHERE t.oid = d.refobjid),
           (SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = d.refobjid AND a.attnum = d.refobjsubid)
      FROM pg_catalog.pg_sequence q JOIN pg_catalog.pg_class c ON c.oid = q.seqrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
            AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
     WHERE c.relpersistence <> 't'
       AND (%s OR d.refobjid = ANY (%s) OR quote_ident(n.nspname) || '.' || quote_ident(c.relname) = ANY (%s))"""
OWNED: LiteralString = """
    SELECT d.objid::bigint FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attribute a
        ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
      JOIN pg_catalog.pg_sequence q ON q.seqrelid = d.objid
     WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
       AND d.refobjid = to_regclass(%s) AND a.attname::text = %s ORDER BY 1"""
NAMED: LiteralString = "SELECT oid::bigint FROM pg_catalog.pg_class WHERE oid = to_regclass(%s) AND relkind = 'S'"
LIMITS: LiteralString = """
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), q.seqincrement, q.seqmin, q.seqmax
      FROM pg_catalog.pg_sequence q JOIN pg_catalog.pg_class c ON c.oid = q.seqrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %s"""


def standing(
    conn: postgres.Connection, items: Iterable[Item], gone: Sequence[str], scripts: Iterable[str]
) -> list[Json]:
    """The sequences that the scripts may drop or set back, as they stand now: those of saved tables, and of `gone`.

    {"oid", "name", "table", "column", "increment", "last", "called"}; `called`: `last` was handed out.
    """
    every = any(STEERS.search(one) for one in scripts)
    rows = postgres.execute(conn, CHOSEN, every, sorted({item.oid for item in items}), list(gone))
    found = [dict(zip(("oid", "name", "increment", "table", "column"), row, strict=True)) for row in rows]
    return [one | _at(conn, one["name"]) for one in found]


def set_back(conn: postgres.Connection, before: Iterable[Json]) -> list[Json]:
    """Those of `before` that are gone now, or stand further back."""
    found = []
    for one in before:
        rows = postgres.execute(conn, LIMITS, one["oid"])
        if not rows or _behind(_at(conn, rows[0][0]), one, one["increment"]):
            found.append(one)
    return found


def forward(conn: postgres.Connection, told: Iterable[Json]) -> None:
    """Let no sequence stand further back than it did; it may belong to the same column under another name."""
    for one in told:
        found = postgres.execute(conn, OWNED, one["table"], one["column"]) if one["column"] else []
        for (oid,) in found or postgres.execute(conn, NAMED, one["name"]):
            name, increment, least, most = postgres.execute(conn, LIMITS, oid)[0]
            if _behind(_at(conn, name), one, increment):
                last = min(max(one["last"], least), most)
                postgres.execute(conn, "SELECT setval(%s::regclass, %s, %s)", name, last, one["called"])


def by_hand(told: Iterable[Json]) -> str:
    """The same as statements of SQL, for whoever uses the file without the bot."""
    rows = [(sql.Literal(one["name"]).as_string(), one["last"], str(one["called"]).lower()) for one in told]
    return "".join(f"SELECT pg_catalog.setval({name}, {last}, {called});\n" for name, last, called in rows)


def _at(conn: postgres.Connection, name: str) -> Json:
    query = sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(*schema.names(name)))
    last, called = conn.execute(query).fetchone() or (0, False)
    return {"last": last, "called": called}


def _behind(now: Json, before: Json, increment: int) -> bool:
    """Would it hand out something again?"""
    later = 1 if increment > 0 else -1
    return (now["last"] * later, now["called"]) < (before["last"] * later, before["called"])
