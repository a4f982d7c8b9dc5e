"""Connections to the target and to scratch databases, and the guards around them.

Facts that shape this: a pooler hands out other people's backends; a standby cannot be changed; a backend whose
client died holds its locks until it notices; psycopg's and libpq's messages can hold parts of a malformed URL.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from core.errors import Problem, Refused, StepFailed
from core.model import Json
from core.redact import pg_error

Connection = psycopg.Connection[tuple[Any, ...]]

CONNECT_TIMEOUT = 5  # seconds
OWN_SCHEMA = "rollback_bot"
SCRATCH = re.compile(r"^rollback_scratch_[a-z0-9_]+$")


def connect(url: str, name: str, what: str = "the database") -> Connection:
    """An autocommit connection that dies with us: the server looks for its client twice a second.

    Raises Refused(E-DB) with a reason that holds no part of the URL.
    """
    try:
        conn = psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT, application_name=name)
        if conn.info.user == OWN_SCHEMA:
            conn = past_our_own_schema(conn, url, name)
    except psycopg.OperationalError as error:
        raise Refused("E-DB", f"I cannot reach *{what}*: {reason(error)}.", unreachable_hint(error)) from None
    except psycopg.ProgrammingError:
        raise Refused(
            "E-DB", f"The address of *{what}* is malformed.", "`rollback doctor` names the setting."
        ) from None
    conn.prepare_threshold = None  # psycopg forgets what it prepared at every DROP, and our own plans go with it
    ours(conn)
    return conn


def past_our_own_schema(conn: Connection, url: str, name: str) -> Connection:
    """A role that is called like our schema would find, and make, unqualified names there: `"$user"` leaves its path.

    As an option of the connection, so that it also holds after RESET ALL.
    """
    path = [part.strip() for part in execute(conn, "SHOW search_path")[0][0].split(",")]
    conn.close()
    value = re.sub(r"([\\ ])", r"\\\1", ",".join(part for part in path if part != '"$user"') or '""')
    options = f"{conninfo_to_dict(url).get('options') or ''} -c search_path={value}".strip()
    return psycopg.connect(
        make_conninfo(url, options=options), autocommit=True, connect_timeout=CONNECT_TIMEOUT, application_name=name
    )


def ours(conn: Connection) -> None:
    """The settings that all statements of ours rely on; set again after a script, which may have left others."""
    execute(conn, "SET client_connection_check_interval = 500")
    execute(conn, "SET lock_timeout = '5s'")  # whatever we look at: never queue for long in front of the application
    execute(conn, "SET datestyle = 'ISO'")  # how times are printed, for psycopg; the order of day and month stays
    execute(conn, "SET quote_all_identifiers = off")  # names of types are compared as they are written


def make_room(conn: Connection) -> None:
    """The session's schema for temporary tables. Made after a plan is kept, it has the plan made anew: it stands first in
    the search path."""
    conn.execute("CREATE TEMPORARY TABLE rollback_room ()")
    conn.execute("DROP TABLE pg_temp.rollback_room")


PRINTED: Mapping[str, str] = {
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmloption": "content",
    "lc_monetary": "C",
    "search_path": "",  # names of tables and functions are printed in full
    "row_security": "off",  # an error instead of a part of the rows
}
"""Settings under which every server prints the same value the same way, and reads it back as it was."""


@contextmanager
def printing(conn: Connection) -> Iterator[None]:
    """PRINTED, in the open transaction; afterwards the settings are what they were."""
    ask = sql.SQL(", ").join(sql.SQL("current_setting({})").format(name) for name in PRINTED)
    before = dict(zip(PRINTED, conn.execute(sql.SQL("SELECT {}").format(ask)).fetchone() or (), strict=True))
    settle(conn, PRINTED)
    yield
    settle(conn, before)


def settle(conn: Connection, values: Mapping[str, str]) -> None:
    """SET LOCAL, several at once."""
    each = sql.SQL(", ").join(sql.SQL("set_config({}, {}, true)").format(name, value) for name, value in values.items())
    conn.execute(sql.SQL("SELECT {}").format(each))


def execute(conn: Connection, query: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
    """One statement of ours; its rows, or an empty list."""
    cursor = conn.execute(query, values or None)
    return cursor.fetchall() if cursor.description else []


def scalar(conn: Connection, query: LiteralString | sql.SQL | sql.Composed, *values: Any) -> Any:
    """The one value of a query that gives one row."""
    row = conn.execute(query, values or None).fetchone()
    if row is None:
        raise AssertionError("the query gives one row")
    return row[0]


def reason(error: psycopg.Error) -> str:
    """Why a connection failed, in words of our own: libpq's own text can hold host names and parts of passwords."""
    text = str(error)
    for sign, words in (
        ("password authentication failed", "the password was not accepted"),
        ("no password supplied", "it asks for a password and none is set"),
        ("Connection refused", "connection refused"),
        ("No such file or directory", "its socket does not exist"),
        ("could not translate host name", "its host name is unknown"),
        ("failed to resolve host", "its host name is unknown"),
        ("timeout expired", "no answer within 5 s"),
        ("does not exist", "the database or role does not exist"),
        ("too many connections", "it has no free connection"),
        ("remaining connection slots", "it has no free connection"),
        ("starting up", "it is starting up"),
        ("shutting down", "it is shutting down"),
        ("not currently accepting connections", "it does not accept connections now"),
        ("no pg_hba.conf entry", "it does not allow this host, user or encryption"),
        ("SSL", "the encrypted connection failed"),
    ):
        if sign in text:
            return words
    return f"SQLSTATE {error.sqlstate}" if error.sqlstate else "the connection failed"


def unreachable_hint(error: psycopg.Error) -> str:
    """The next step after a failed connection."""
    if "password" in str(error):
        return "Nothing was started. Check the password in the target's `database_url`."
    return "Nothing was started. Is the server up, and the target's `database_url` right? `rollback doctor` tries it."


@contextmanager
def target(url: str, run: str, what: str) -> Iterator[Connection]:
    """The primary itself, directly.

    Raises Refused: E-DIRECT through a pooler or on a standby, E-DB unreachable or lost, E-RIGHTS.
    """
    conn = connect(url, f"rollback-bot {run}", what)
    with conn, lost(conn, what):
        behind = conn.info.backend_pid != execute(conn, "SELECT pg_backend_pid()")[0][0]
        if behind:
            raise Refused(
                "E-DIRECT",
                f"I reach *{what}* through a pooler. I need the primary itself. Nothing was started.",
                "Give the target's `database_url` the server's own host and port.",
            )
        if conn.info.parameter_status("in_hot_standby") == "on":
            raise Refused(
                "E-DIRECT",
                f"I reach a standby of *{what}*. I need the primary itself. Nothing was started.",
                "Point the target's `database_url` at the primary.",
            )
        yield conn


@contextmanager
def lost(conn: Connection, what: str) -> Iterator[None]:
    """What may happen at any statement, in words; other errors of the database stay what they are."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise Refused(
            "E-RIGHTS", f"My role on *{what}* lacks a right: {pg_error(error)}.", "Grant it, then ask again."
        ) from None
    except psycopg.Error as error:
        if not conn.closed:
            raise
        raise Refused("E-DB", f"I lost *{what}*: {pg_error(error)}.", unreachable_hint(error)) from None


def identity(conn: Connection) -> Json:
    """What this database is: the approval is bound to it."""
    name, oid, system, version = execute(
        conn,
        """SELECT current_database(), d.oid::bigint, s.system_identifier::text, current_setting('server_version')
             FROM pg_database d, pg_control_system() s WHERE d.datname = current_database()""",
    )[0]
    host = conn.info.host
    return {
        "name": name,
        "oid": oid,
        "system_identifier": system,
        "server_version": version.split()[0],
        "host": "local socket" if host.startswith("/") else host,
        "port": conn.info.port,
    }


def may_mark(conn: Connection, what: str) -> None:
    """Raises Refused(E-RIGHTS) where the marker of a rollback could not be written, or what is saved not be kept."""
    query = """SELECT has_database_privilege(current_database(), 'CREATE')
                   OR coalesce(has_schema_privilege(to_regnamespace('rollback_bot')::oid, 'CREATE'), false),
                      has_database_privilege(current_database(), 'TEMPORARY')"""
    marker, temporary = execute(conn, query)[0]
    if not temporary:
        raise Refused(
            "E-RIGHTS",
            f"My role on *{what}* may not make temporary tables, and without them nothing is saved. Nothing was started.",
            "Grant it: GRANT TEMPORARY ON DATABASE … TO the role of `database_url`.",
        )
    if not marker:
        raise Refused(
            "E-RIGHTS",
            f"My role on *{what}* may not create the schema `rollback_bot`, so I could not prove a commit. "
            "Nothing was started.",
            "Grant it: GRANT CREATE ON DATABASE … TO the role of `database_url`.",
        )


def fence_key(run: str) -> int:
    """The advisory lock of a run: its id read as a number, in a key space of ours ("rollback" in 4 bytes)."""
    return int.from_bytes(b"roll", "big") << 32 | int.from_bytes(run[-4:].encode(), "big")


TARGET_KEY = int.from_bytes(b"rollback", "big")
"""The advisory lock that every rollback of a database takes: one at a time, also between two bots."""


# -- scratch databases -------------------------------------------------------------------------------------


def with_database(url: str, name: str) -> str:
    """The same server, another database."""
    return make_conninfo(url, dbname=name)


@contextmanager
def scratch(url: str, run: str, purpose: str, template: str = "template0") -> Iterator[str]:
    """A database of our own on the scratch server, empty unless it has another template; dropped at the end, whatever the end.

    Yields its conninfo. Raises StepFailed(E-SCRATCH).
    """
    name = f"rollback_scratch_{run.lower().replace('-', '_')}_{purpose}_{secrets.token_hex(3)}"
    with trouble("make a scratch database"), connect(url, f"rollback-bot {run} scratch", "the scratch server") as conn:
        create(conn, name, template)
    try:
        yield with_database(url, name)
    finally:
        drop(url, name)


def create(conn: Connection, name: str, template: str) -> None:
    """A database. On a throw-away server its files are copied, six times as fast: that needs a checkpoint, which costs
    nothing there, and much on a busy server. Source: PostgreSQL documentation, "CREATE DATABASE"."""
    throwaway = conn.info.server_version >= 150000 and scalar(conn, "SHOW fsync") == "off"
    query = sql.SQL("CREATE DATABASE {} TEMPLATE {}" + (" STRATEGY FILE_COPY" if throwaway else ""))
    conn.execute(query.format(sql.Identifier(name), sql.Identifier(template)))


def drop(url: str, name: str) -> None:
    """Drop one of our scratch databases, with whoever is still connected."""
    if not SCRATCH.match(name):
        raise AssertionError("not a scratch database of ours")
    with trouble("remove a scratch database"), connect(url, "rollback-bot cleaning", "the scratch server") as conn:
        conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def leftovers(url: str, run: str) -> list[str]:
    """Scratch databases that an interrupted walk of this run left behind."""
    with connect(url, f"rollback-bot {run} scratch", "the scratch server") as conn:
        pattern = f"rollback_scratch_{run.lower().replace('-', '_')}_%".replace("_", r"\_")
        return [row[0] for row in execute(conn, "SELECT datname FROM pg_database WHERE datname LIKE %s", pattern)]


@contextmanager
def trouble(doing: str) -> Iterator[None]:
    """Turn the scratch server's refusals into one sentence."""
    try:
        yield
    except Problem as error:
        if error.code != "E-DB":
            raise
        raise StepFailed(
            "E-SCRATCH", error.message.replace("*", ""), "Nothing was changed. Check `scratch_url`."
        ) from None
    except psycopg.Error as error:
        raise StepFailed(
            "E-SCRATCH",
            f"I could not {doing}: {pg_error(error)}.",
            "Production was not changed. The role of `scratch_url` needs CREATEDB and room on its disk.",
        ) from None
