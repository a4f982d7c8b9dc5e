"""Databases of the target's own server: made beside it, made alike, and given its name in one transaction.

ALTER DATABASE … RENAME needs that nobody is connected, so connections are forbidden first; that stops superusers too, and
outlives us. Whoever recovers allows them again. Tried on PostgreSQL 15 and 18: two renames commit together or not at all.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from core import postgres
from core.errors import Refused, StepFailed
from core.model import Json
from core.redact import pg_error
from core.settings import Target

OURS = re.compile(r".{1,40}_(restore|before)_rb_[2-9a-z]{4}(_\d{8})?")
"""The names that we give: no other database is ever dropped."""
LONGEST = 63  # bytes of a name (NAMEDATALEN - 1)
LIKE: LiteralString = """
    SELECT jsonb_build_object('encoding', pg_encoding_to_char(encoding), 'owner', pg_get_userbyid(datdba),
             'LC_COLLATE', datcollate, 'LC_CTYPE', datctype, 'CONNECTION LIMIT', datconnlimit,
             'tablespace', (SELECT spcname FROM pg_catalog.pg_tablespace t WHERE t.oid = dattablespace),
             'provider', to_jsonb(d) ->> 'datlocprovider',
             'locale', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'),
             'rules', to_jsonb(d) ->> 'daticurules',
             'comment', shobj_description(d.oid, 'pg_database'),
             'acl', (SELECT jsonb_agg(jsonb_build_array(CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
                       a.privilege_type, a.is_grantable)) FROM aclexplode(d.datacl) a),
             'settings', (SELECT jsonb_agg(jsonb_build_array(CASE WHEN s.setrole <> 0 THEN quote_ident(pg_get_userbyid(s.setrole)) END, c))
                            FROM pg_catalog.pg_db_role_setting s, unnest(s.setconfig) c WHERE s.setdatabase = d.oid))
      FROM pg_catalog.pg_database d WHERE d.datname = %s"""
"""Columns of later majors are read through JSON, so that the query is understood by earlier ones."""
SESSIONS: LiteralString = """
    SELECT a.pid, coalesce(nullif(a.application_name, ''), a.backend_type) FROM pg_catalog.pg_stat_activity a
     WHERE a.datname = %s AND a.pid <> pg_backend_pid() AND a.backend_type <> 'autovacuum worker'"""
"""Autovacuum gives way by itself, and is nobody's to end but a superuser's."""


@contextmanager
def admin(target: Target, run: str) -> Iterator[postgres.Connection]:
    """The target's server, in another database than the target's. Raises Refused(E-DB, E-RIGHTS)."""
    url = (target.admin_url or target.database_url).get_secret_value()
    own = conninfo_to_dict(target.database_url.get_secret_value()).get("dbname")
    named = conninfo_to_dict(url).get("dbname")
    place = url if target.admin_url and named and named != own else postgres.with_database(url, "postgres")
    with postgres.connect(place, f"rollback-bot {run}", target.name) as conn, postgres.lost(conn, target.name):
        yield conn


def names_of(name: str, run: str, day: str) -> tuple[str, str]:
    """What the new database is called until the swap, and the old one after it: `app_before_rb_w8ze_20261127`."""
    base = name.encode()[:36].decode(errors="ignore")
    mark = run.lower().replace("-", "_")
    return f"{base}_restore_{mark}", f"{base}_before_{mark}_{day}"


def oid(conn: postgres.Connection, name: str) -> int | None:
    """A database's number; None where there is none of that name."""
    rows = postgres.execute(conn, "SELECT oid::bigint FROM pg_catalog.pg_database WHERE datname = %s", name)
    return int(rows[0][0]) if rows else None


def may_swap(conn: postgres.Connection, target: Target, name: str) -> None:
    """Raises Refused(E-RIGHTS, E-NO-BACKUP) where the swap could not be done, before anybody is asked."""
    able, owns, ends = postgres.execute(
        conn,
        """SELECT r.rolsuper OR r.rolcreatedb, r.rolsuper OR pg_has_role(d.datdba, 'MEMBER'),
                  r.rolsuper OR pg_has_role('pg_signal_backend', 'MEMBER')
             FROM pg_catalog.pg_roles r, pg_catalog.pg_database d WHERE r.rolname = current_user AND d.datname = %s""",
        name,
    )[0]
    lacking = [
        words
        for has, words in ((able, "CREATEDB"), (owns, "the database's owner as a role"), (ends, "pg_signal_backend"))
        if not has
    ]
    if lacking:
        raise Refused(
            "E-RIGHTS",
            f"To put a backup back my role on *{target.name}* lacks {', '.join(lacking)}. Nothing was started.",
            "Grant it, or name a role that has it in `admin_url`.",
        )
    prepared = postgres.scalar(conn, "SELECT count(*) FROM pg_catalog.pg_prepared_xacts WHERE database = %s", name)
    if prepared:
        raise Refused(
            "E-NO-BACKUP",
            f"{prepared} prepared transactions use the database of *{target.name}*: it cannot be renamed. Nothing was started.",
            "End them (COMMIT PREPARED, ROLLBACK PREPARED), then ask again.",
        )


def slots(conn: postgres.Connection, name: str) -> list[str]:
    """Logical replication slots of a database: they stay with it when its name goes."""
    query = "SELECT slot_name::text FROM pg_catalog.pg_replication_slots WHERE database = %s ORDER BY 1"
    return [row[0] for row in postgres.execute(conn, query, name)]


# -- making ----------------------------------------------------------------------------------------------------


def make_like(conn: postgres.Connection, name: str, other: str) -> None:
    """An empty database with the encoding, locale, owner, settings, rights and comment of another one."""
    facts: Json = postgres.scalar(conn, LIKE, other)
    options = [
        sql.SQL("TEMPLATE template0 ENCODING {}").format(facts["encoding"]),
        sql.SQL("OWNER {}").format(sql.Identifier(facts["owner"])),
        sql.SQL("LC_COLLATE {} LC_CTYPE {}").format(facts["LC_COLLATE"], facts["LC_CTYPE"]),
        sql.SQL("CONNECTION LIMIT {}").format(int(facts["CONNECTION LIMIT"])),
    ]
    if facts["tablespace"] != "pg_default":  # naming that one needs a right which leaving it out does not
        options.append(sql.SQL("TABLESPACE {}").format(sql.Identifier(facts["tablespace"])))
    if facts["provider"] == "i":
        options.append(sql.SQL("LOCALE_PROVIDER icu ICU_LOCALE {}").format(facts["locale"]))
        options += [sql.SQL("ICU_RULES {}").format(facts["rules"])] if facts["rules"] else []
    elif facts["provider"] == "b":
        options.append(sql.SQL("LOCALE_PROVIDER builtin BUILTIN_LOCALE {}").format(facts["locale"]))
    conn.execute(sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), sql.SQL(" ").join(options)))
    for statement in _likeness(sql.Identifier(name), facts):
        conn.execute(statement)


def _likeness(name: sql.Identifier, facts: Json) -> Iterator[sql.Composed]:
    if facts["comment"]:
        yield sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, facts["comment"])
    if facts["acl"] is not None:
        yield sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name)
    for who, privilege, option in facts["acl"] or ():
        more = sql.SQL(" WITH GRANT OPTION" if option else "")
        yield sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(sql.SQL(privilege), name, sql.SQL(who), more)
    for role, setting in facts["settings"] or ():
        key, _, value = setting.partition("=")
        # lists such as search_path are stored as they were written: given as one text they would become one name
        given: sql.Composable = sql.SQL(value) if key in LISTS else sql.Literal(value)
        whose = (
            sql.SQL("ALTER ROLE {} IN DATABASE {}").format(sql.SQL(role), name)
            if role
            else sql.SQL("ALTER DATABASE {}").format(name)
        )
        yield sql.SQL("{} SET {} TO {}").format(whose, sql.SQL(key), given)


LISTS = frozenset({"search_path", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries"})
"""Settings whose values are lists of names. Source: GUC_LIST_QUOTE in PostgreSQL's guc_tables.c, as pg_dump treats them."""


def drop(conn: postgres.Connection, name: str) -> None:
    """Drop a database that we have made or set aside, with whoever is connected. Raises AssertionError for any other."""
    if not OURS.fullmatch(name):
        raise AssertionError("not a database of ours")
    conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


# -- the swap --------------------------------------------------------------------------------------------------


def allow(conn: postgres.Connection, name: str, yes: bool) -> None:
    """May anybody connect?"""
    word = sql.SQL("true" if yes else "false")
    conn.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(name), word))


def empty(conn: postgres.Connection, name: str, seconds: float = 10.0) -> None:
    """End every session of a database that takes no new ones. Raises StepFailed(E-LOCK) naming who stays."""
    until = time.monotonic() + seconds
    while rows := postgres.execute(conn, SESSIONS, name):
        for pid, _ in rows:
            try:
                conn.execute("SELECT pg_terminate_backend(%s)", [pid])
            except psycopg.Error as error:
                raise StepFailed(
                    "E-RIGHTS", f"A session could not be ended: {pg_error(error)}.", "Nothing was swapped."
                ) from None
        if time.monotonic() > until:
            who = ", ".join(sorted({name for _, name in rows})[:3])
            raise StepFailed(
                "E-LOCK",
                f"Sessions of the old database do not end ({who}).",
                "Nothing was swapped. End them, then ask again.",
            )
        time.sleep(0.02)


def swap(conn: postgres.Connection, name: str, new: str, kept: str) -> bool:
    """Old aside, new in its place: one transaction. False where the answer to COMMIT was lost."""
    conn.execute("BEGIN")
    for before, after in ((name, kept), (new, name)):
        conn.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(before), sql.Identifier(after)))
    try:
        return conn.execute("COMMIT").statusmessage == "COMMIT"
    except psycopg.Error:
        return False


def allowed(conn: postgres.Connection) -> dict[str, Any]:
    """Name -> (oid, may anybody connect) of every database."""
    rows = postgres.execute(conn, "SELECT datname, oid::bigint, datallowconn FROM pg_catalog.pg_database")
    return {name: (number, yes) for name, number, yes in rows}
