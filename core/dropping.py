"""Drops the database that a restore has set aside: the last copy of what was written after the backup."""

from __future__ import annotations

import psycopg

from core import databases
from core.desk import Desk
from core.errors import Refused
from core.model import Person, Run
from core.redact import pg_error
from core.settings import Target

NOTHING = "Nothing was dropped."


def name_of(run: Run) -> str:
    """The database that this restore has set aside. Raises Refused(E-CLOSED) where there is none (any more)."""
    executed = run.evidence.get("execute", {})
    if run.kind != "restore" or "kept" not in executed:
        raise Refused("E-CLOSED", f"*{run.id}* has set no database aside.", NOTHING)
    if run.dropped_old:
        raise Refused("E-CLOSED", f"The old database of *{run.id}* is dropped already.", NOTHING)
    return str(executed["kept"])


def drop_old(desk: Desk, target: Target, run: Run, who: Person) -> None:
    """Drop it, then write it down. Raises Refused(E-BUSY, E-DB, E-RIGHTS)."""
    name = name_of(run)
    if run.is_open:
        raise Refused("E-BUSY", f"*{run.id}* is still open.", NOTHING)
    try:
        with databases.admin(target, run.id) as conn:
            databases.drop(conn, name)
    except psycopg.Error as error:
        raise Refused("E-DB", f"`{name}` could not be dropped: {pg_error(error)}.", NOTHING) from None
    desk.dropped_old(run.id, who, name)
