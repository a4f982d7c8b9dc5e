"""Saved rows into their table, all at once; one by one where the table refuses some of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import LiteralString

import psycopg
from psycopg import sql

from core import postgres
from core.save.fit import DELETED, LIVE
from core.save.stage import PAIRS, UNPAIRED, Live, Stage, every
from core.save.texts import identifiers, listed
from core.save.xids import NOTE

NO_ARBITER: LiteralString = """
    SELECT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE NOT i.indimmediate
                      AND (i.indrelid = %s OR i.indrelid IN (SELECT relid FROM pg_catalog.pg_partition_tree(%s))))
        OR EXISTS (SELECT FROM pg_catalog.pg_rewrite WHERE ev_class = %s AND ev_type IN ('2', '3'))"""
"""ON CONFLICT does not work with a rule of uniqueness that may be checked later, nor where there are rules for INSERT or UPDATE."""
ONE_BY_ONE = """
    DECLARE row_n bigint; put bigint; found_one boolean := true; state text; rule_name text;
    BEGIN
      WHILE found_one LOOP  -- a row may refer to one that comes later
        found_one := false;
        FOR row_n IN SELECT s.n FROM {stage} s WHERE s.why IS NULL AND NOT s.done AND {what} ORDER BY s.n LOOP
          BEGIN
            EXECUTE {statement} USING row_n;
            GET DIAGNOSTICS put = ROW_COUNT;
            {note};
            UPDATE {stage} s SET done = true, why = CASE WHEN put = 0 THEN {none} END WHERE s.n = row_n;
            found_one := true;
          EXCEPTION WHEN integrity_constraint_violation OR data_exception THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, rule_name = CONSTRAINT_NAME;
            IF state <> '23503' THEN
              UPDATE {stage} s SET why = CASE WHEN state IN ('23505', '23P01') THEN 'taken' ELSE 'refused' END, rule = nullif(rule_name, '')
               WHERE s.n = row_n;
            END IF;
          END;
        END LOOP;
      END LOOP;
      UPDATE {stage} s SET why = 'parent_gone' WHERE s.why IS NULL AND NOT s.done AND {what};
    END"""


class _Fewer(Exception):
    """Not every row was taken, and nothing tells which."""


def insert(stage: Stage, live: Live, unchecked: bool = False) -> int:
    """Deleted rows as new ones; how many. What a rule of the table refuses gets its reason.

    `unchecked`: foreign keys need not be checked row by row, since it is known that they hold if all rows go in.
    """
    asked = stage.count(DELETED)
    if not asked:
        return 0
    names = [name for name in stage.item.columns if name in live.own and not live.own[name].generated]
    into = sql.SQL("({})").format(identifiers([live.own[name].name for name in names])) if names else sql.SQL("")
    values = listed(live.own[name].value(stage.old(name)) for name in names)
    query = sql.SQL("INSERT INTO {} {} OVERRIDING SYSTEM VALUE SELECT {} FROM {} s WHERE s.why IS NULL AND {}").format(
        live.name, into, values, stage.table, DELETED
    )
    plain = postgres.scalar(stage.conn, NO_ARBITER, live.oid, live.oid, live.oid)
    skip = sql.SQL("" if plain else " ON CONFLICT DO NOTHING")
    try:
        with stage.conn.transaction():
            unchecked = unchecked and not plain  # such a rule is kept by a trigger, as foreign keys are
            with replica(stage.conn) if unchecked else nullcontext():
                done = stage.conn.execute(query + skip).rowcount
            stage.conn.execute(NOTE)
            if done < asked and (stage.item.weak or unchecked):
                raise _Fewer
    except (psycopg.IntegrityError, psycopg.DataError, _Fewer):
        _one_by_one(stage, query + sql.SQL(" AND s.n = $1") + skip, DELETED, sql.Literal("taken"))
        return stage.count(DELETED)
    if done < asked:
        stage.pair(live, DELETED, stage.item.key)
        stage.mark("taken", every([DELETED, UNPAIRED]))
    return done


@contextmanager
def replica(conn: postgres.Connection) -> Iterator[None]:
    """No trigger acts inside, that of a foreign key neither. Raises psycopg.errors.InsufficientPrivilege."""
    before = postgres.scalar(conn, "SHOW session_replication_role")
    conn.execute("SET LOCAL session_replication_role = replica")
    yield
    conn.execute("SELECT set_config('session_replication_role', %s, true)", [before])


def may_skip(conn: postgres.Connection) -> bool:
    """May this role leave the checks out?"""
    try:
        with conn.transaction(), replica(conn):
            return True
    except psycopg.errors.InsufficientPrivilege:
        return False


def update(stage: Stage, live: Live) -> None:
    """Saved values into rows that are there."""
    if not stage.count(LIVE):
        return
    stage.pair_live(live)
    stage.mark("row_gone", every([LIVE, UNPAIRED]))
    fixed = () if stage.item.weak and stage.item.kind != "values" else stage.item.key
    names = [
        name for name in stage.item.lost if name in live.own and name not in fixed and not live.own[name].generated
    ]
    if not names:
        return
    sets = listed(sql.SQL("{} = {}").format(sql.Identifier(name), stage.written(live, name)) for name in names)
    query = sql.SQL(
        "UPDATE {} t SET {} FROM {} s JOIN {} p ON p.n = s.n WHERE t.tableoid = p.tab AND t.ctid = p.at AND s.why IS NULL AND {}"
        " AND NOT ({})"
    ).format(live.source, sets, stage.table, PAIRS, LIVE, stage.is_old(live, names))
    with _writable(stage, live, names):
        try:
            with stage.conn.transaction():
                stage.conn.execute(query)
                stage.conn.execute(NOTE)
        except (psycopg.IntegrityError, psycopg.DataError):
            _one_by_one(stage, query + sql.SQL(" AND s.n = $1"), LIVE, sql.SQL("NULL"))


@contextmanager
def _writable(stage: Stage, live: Live, names: Sequence[str]) -> Iterator[None]:
    """An identity column takes values of ours only while it is not GENERATED ALWAYS."""
    fixed = [name for name in names if live.own[name].identity]
    alter = "ALTER TABLE {} ALTER COLUMN {} SET GENERATED {}"
    for name in fixed:
        stage.conn.execute(sql.SQL(alter).format(live.name, sql.Identifier(name), sql.SQL("BY DEFAULT")))
    yield
    for name in fixed:
        stage.conn.execute(sql.SQL(alter).format(live.name, sql.Identifier(name), sql.SQL("ALWAYS")))


def _one_by_one(stage: Stage, query: sql.Composed, what: sql.Composable, none: sql.Composable) -> None:
    """`query` with `$1` for the number of a row; `none`: the reason where it finds nothing to do."""
    conn = stage.conn
    conn.execute(
        sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS done boolean NOT NULL DEFAULT false").format(stage.table)
    )
    conn.execute(sql.SQL("CREATE INDEX ON {} (n)").format(stage.table))
    text = sql.SQL(ONE_BY_ONE).format(
        stage=stage.table, what=what, statement=sql.Literal(query.as_string(conn)), none=none, note=sql.SQL(NOTE)
    )
    conn.execute(sql.SQL("DO {}").format(sql.Literal(text.as_string(conn))))
