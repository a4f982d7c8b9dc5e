"""Rows of some tables on a copy of the schema: the proof of a backup that holds no more than that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from core import postgres, schema
from core.backups.affected import value_mark
from core.backups.fingerprints import Marks, mark, tables
from core.errors import Refused, StepFailed
from core.meter import Phase
from core.redact import pg_error
from core.runbook import Work
from core.save import links
from core.save.archive import Damaged, reading
from core.save.bring import bring, may_bring
from core.save.items import item_of
from core.save.put_back import Save
from core.save.stage import Stage
from core.save.texts import identifiers

MOST = 100_000
"""Rows for whose sake others are looked up on the target by key: those that they refer to, or that they belong to."""
NO_SUPERUSER = "my role on the scratch server is no superuser, so the rows could not be put where they belong"


@dataclass(frozen=True)
class Lies:
    """What came back. `lacks`: why it does not lie in its tables."""

    tables: Marks
    lacks: str = ""


def load(conn: postgres.Connection, file: Path, phase: Phase | None = None) -> Lies:
    """Into its tables, without foreign keys and triggers, which the rows of others would have to satisfy.

    Only a superuser may do that: else into temporary tables, which proves the backup, but no script can be tried with it.
    `phase`: how far in the file we are.
    Raises psycopg.Error, StepFailed(E-BACKUP).
    """
    real, found, known = may_bring(conn), Marks(), dict(tables(conn))
    try:
        with conn.transaction(), reading(file, phase) as saved, postgres.printing(conn):
            if real:
                conn.execute("SET LOCAL session_replication_role = replica")
            encoding = postgres.scalar(conn, "SHOW server_encoding")
            for n, part in enumerate(saved.parts):
                item = item_of(part)
                if item.kind == "values":
                    stage = Stage(conn, n, part, item, saved.rows(part))
                    found[item.table] = value_mark(conn, item, stage.table)
                    continue
                place = item.name if real else twin(conn, item.name, n)
                listed = sql.SQL("({})").format(identifiers(item.columns)) if item.columns else sql.SQL("")
                into = sql.SQL("COPY {} {} FROM STDIN (ENCODING {})").format(place, listed, encoding)
                with conn.cursor().copy(into) as copy:
                    for block in saved.rows(part):
                        copy.write(block)
                found[item.table] = mark(conn, place.as_string(conn), known[item.table])
    except (Damaged, Refused) as error:
        why = error.message if isinstance(error, Refused) else str(error)
        raise StepFailed("E-BACKUP", f"The backup cannot be read: {why}.", "Production was not changed.") from None
    return Lies(found, "" if real else NO_SUPERUSER)


def twin(conn: postgres.Connection, name: sql.Identifier, n: int) -> sql.Identifier:
    """An empty temporary table like another one."""
    made = sql.Identifier("pg_temp", f"rollback_twin_{n}")
    conn.execute(
        sql.SQL("CREATE TEMP TABLE {} (LIKE {} INCLUDING GENERATED) ON COMMIT DROP").format(
            sql.Identifier(f"rollback_twin_{n}"), name
        )
    )
    return made


def complete(work: Work, conn: postgres.Connection, file: Path, held: Mapping[str, list[str]]) -> str:
    """Bring the rows of the target that these refer to or belong to; why not, where that was not done."""
    count = sum(int(rows) for rows, _ in held.values())
    if count > MOST:
        return f"the rows that {count:,} others refer to or belong to were not looked up: too many"
    keys = links.foreign_keys(conn)
    url = work.target.database_url.get_secret_value()
    try:
        with postgres.target(url, work.run.id, work.target.name) as target:
            bring(target, conn, Save(file), keys)
    except psycopg.Error as error:
        return f"the rows that these refer to could not be looked up: {pg_error(error)}"
    return ""


def notes(lies: Lies, lacks: str) -> list[str]:
    """What a proof on so few rows does not say, one sentence each."""
    names = ", ".join(f"`{schema.plain(name)}`" for name in sorted(lies.tables)[:8]) or "no table"
    more = f" and {len(lies.tables) - 8} more" if len(lies.tables) > 8 else ""
    only = f"the copy had rows of {names}{more} only: what the scripts do with others' rows was not tried"
    return [f"the scripts were tried without rows: {lacks}"] if lies.lacks else [only, *([lacks] if lacks else [])]


def empty(url: str) -> None:
    """Take all rows away again."""
    with postgres.connect(url, "rollback-bot", "the scratch server") as conn:
        there = [name for name, _ in tables(conn)]
        listed = sql.SQL(", ").join(sql.Identifier(*schema.names(name)) for name in there)
        conn.execute(sql.SQL("TRUNCATE {}").format(listed))
