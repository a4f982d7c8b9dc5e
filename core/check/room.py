"""The scratch database of a check: scripts run in it, it can be looked at, and it can be put aside as a copy."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator
from types import TracebackType

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from core import postgres, schema
from core.check.reading import Reading
from core.redact import pg_error
from core.schema import Snapshot

LEAVE = ("25001", "55P04")
"""active_sql_transaction (cannot run inside a transaction block), unsafe_new_enum_value_usage: PostgreSQL's appendix A."""
NO_ROLE = re.compile(r'role "(.+)" does not exist', re.DOTALL)
MOST_ROLES = 50
TIDY = b"SET CONSTRAINTS ALL IMMEDIATE; RESET SESSION AUTHORIZATION; RESET ALL; DISCARD TEMP"
"""What a COMMIT and a new connection of the tool would do: deferred constraints are checked, settings end."""
COPIES_HAVE_NO = ("settings",)
"""CREATE DATABASE copies no ALTER DATABASE SET, no privileges and no comment of the database itself."""


class Failed(Exception):
    """A script failed. `leave`: only because it ran in a transaction; `role`: only because that role does not exist."""

    def __init__(self, sentence: str, leave: bool = False, role: str = "") -> None:
        super().__init__(sentence)
        self.leave, self.role = leave, role


class Room:
    """One scratch database at a time, on a server where we may create databases; all are dropped at the end."""

    def __init__(self, url: str, timeout: float) -> None:
        """`url`: any database of the scratch server; `timeout`: seconds that one statement may take."""
        options = f"{conninfo_to_dict(url).get('options') or ''} -c statement_timeout={int(timeout * 1000)}"
        self.server, self.timeout = url, timeout
        self.url = make_conninfo(
            url, options=f"{options} -c synchronous_commit=off -c client_min_messages=error".strip()
        )
        self.made: list[str] = []
        self.roles: set[str] = set()
        self.name, self.copied = "", False

    def __enter__(self) -> Room:
        self.enter(self.create("template0"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.conn.close()
        for name in list(self.made):
            self.remove(name)
        self.drop_roles()

    # -- databases -----------------------------------------------------------------------------------------

    def create(self, template: str) -> str:
        """A new database. The template may have no connection. Raises StepFailed (E-SCRATCH)."""
        name = f"rollback_scratch_check_{secrets.token_hex(6)}"
        with postgres.trouble("make a scratch database"), self.connected(self.server) as conn:
            self.made.append(name)
            postgres.create(conn, name, template)
        return name

    def remove(self, name: str) -> None:
        """Drop one of our databases."""
        postgres.drop(self.server, name)
        self.made.remove(name)

    def enter(self, name: str) -> None:
        """Work in that database from now on."""
        self.name = name
        self.conn = self.connected(postgres.with_database(self.url, name))

    def connected(self, url: str) -> postgres.Connection:
        return postgres.connect(url, "rollback-bot check", "the scratch server")

    def copy(self) -> str:
        """A copy of the present database, which stays as it is; we go on in the present one."""
        self.conn.close()
        copy = self.create(self.name)
        self.enter(self.name)
        return copy

    # -- scripts -------------------------------------------------------------------------------------------

    def apply(self, reading: Reading) -> list[str]:
        """Run a script for good; the roles that had to be made for it, which a project has but a scratch server not.

        Raises Failed, and then the database is as before.
        """
        made: list[str] = []
        while True:
            try:
                self.once(reading)
                return made
            except Failed as failed:
                again = failed.role in made or len(made) >= MOST_ROLES
                if not failed.role or again or not self.make_role(failed.role):
                    raise
                made.append(failed.role)

    def make_role(self, role: str) -> bool:
        """Make a role without any right, until the end; False where our own may not."""
        try:
            self.conn.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        except psycopg.errors.DuplicateObject:  # somebody else was faster
            return True
        except psycopg.Error:
            return False
        self.roles.add(role)
        return True

    def once(self, reading: Reading) -> None:
        """Run a script for good. Raises Failed, and then the database is as before."""
        if not reading.outside:
            try:
                with self.transaction():
                    self.play(reading)
                return
            except Failed as failed:
                if not (failed.leave and reading.may_leave):
                    raise
        spare = self.copy()
        try:
            self.play(reading)
        except Failed:
            polluted = self.name
            self.conn.close()
            self.enter(spare)
            self.remove(polluted)
            raise
        self.remove(spare)

    @contextlib.contextmanager
    def aside(self, as_copy: bool) -> Iterator[None]:
        """Whatever runs in here is forgotten: a transaction that is undone, or a copy that is dropped."""
        if not as_copy:
            with self.transaction(undo=True):
                yield
            return
        original, copy = self.name, self.copy()
        self.conn.close()
        self.enter(copy)
        try:
            yield
        finally:
            self.conn.close()
            self.enter(original)
            self.remove(copy)

    @contextlib.contextmanager
    def transaction(self, undo: bool = False) -> Iterator[None]:
        """One transaction; a connection that a script broke is replaced. Raises Failed where the commit fails."""
        self.conn.execute("BEGIN")
        try:
            yield
            if not undo:
                self.conn.execute("COMMIT")
        except psycopg.Error as error:
            raise Failed(f"at the end of the transaction: {pg_error(error)}") from None
        finally:
            with contextlib.suppress(psycopg.Error):
                if self.conn.info.transaction_status != TransactionStatus.IDLE:
                    self.conn.execute("ROLLBACK")
            if self.conn.closed:
                self.enter(self.name)

    def play(self, reading: Reading) -> None:
        """Every statement of a script, then what a tool's own COMMIT would do. Raises Failed."""
        for statement in reading.statements:
            try:
                self.conn.execute(statement.sql.encode(), binary=True)
            except psycopg.Error as error:
                where = f"`{reading.file}`, line {statement.line}"
                no_role = error.sqlstate == "42704" and NO_ROLE.fullmatch(error.diag.message_primary or "")
                role = no_role[1] if no_role else ""
                raise Failed(f"{where}: {self.said(error)}.", error.sqlstate in LEAVE, role) from None
            if statement.kind == "SET" and "timeout" in statement.sql.lower():
                self.conn.execute("RESET statement_timeout")  # ours holds whatever the script wants
        try:
            self.conn.execute(TIDY)
        except psycopg.Error as error:
            raise Failed(f"`{reading.file}`, at its end: {self.said(error)}.") from None

    def said(self, error: psycopg.Error) -> str:
        """What PostgreSQL said, without row content."""
        if error.sqlstate == "57014":
            return f"it did not end within {self.timeout:g} s"
        return pg_error(error) if error.sqlstate else "the connection was lost"

    # -- looking -------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The schema as it is now. Raises Failed where the script left it unreadable."""
        try:
            return schema.snapshot(self.conn)
        except psycopg.Error as error:
            raise Failed(f"the schema cannot be read afterwards: {pg_error(error)}.") from None

    def drop_roles(self) -> None:
        """Remove the roles that scripts made: roles belong to the whole server."""
        if not self.roles:
            return
        with self.connected(self.server) as conn:
            for role in sorted(self.roles):
                with contextlib.suppress(psycopg.Error):  # somebody else uses it by now
                    conn.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
