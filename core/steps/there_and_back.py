"""Is there a way back, before there is a way forth? On the restored copy: save, run the scripts, re-apply, compare.

With the code that does it on the target. What comes of it never stops a rollback; the card says it before anybody agrees.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import LiteralString

import psycopg
from psycopg import sql

from core import postgres, schema, trial
from core.backups import dump
from core.errors import NeedsAPerson, StepFailed
from core.forward import Forward
from core.meter import Meter
from core.model import Json
from core.parts import inside
from core.redact import pg_error
from core.runbook import Work
from core.save import archive, rights
from core.save.archive import Writer
from core.save.inventory import inventory
from core.save.items import Item
from core.save.put_back import Back, Save, putting_back
from core.save.texts import columns, oid_of
from core.save.wanted import to_save
from core.steps.execute import begin, run_all, saving
from core.steps.rehearse import forward_scripts

COLUMNS: LiteralString = """
    SELECT attname FROM pg_catalog.pg_attribute
     WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attname"""


def there_and_back(work: Work, url: str, done: trial.Done) -> Json:
    """How a save and a re-apply would go, tried on `url`, which is changed by it.

    {"works": True, False or None where it cannot be tried, "why", "bytes", "save_seconds", "seconds", "rows", "values", "aside",
    "filled"}. Raises nothing that the database says.
    """
    files = dump.archive_of(work)
    with dump.disk(), files.room() as room:
        try:
            return _tried(work, url, done, replace(files, folder=room))
        except psycopg.Error as error:
            return {"works": False, "why": pg_error(error)}
        except (StepFailed, NeedsAPerson, archive.Damaged) as problem:
            return {"works": False, "why": getattr(problem, "message", str(problem))}


def _tried(work: Work, url: str, done: trial.Done, files: dump.Archive) -> Json:
    evidence = {
        **work.run.evidence,
        "test restore": {"touched": done.touched, "destroyed": done.destroyed.told(), "emptied": done.seen.emptied},
    }
    with postgres.connect(url, f"rollback-bot {work.run.id}", "the scratch server") as conn:
        started = time.monotonic()
        with files.writing(files.saved) as out, conn.transaction():
            postgres.make_room(conn)
            held = inventory(conn)
            found = to_save(conn, evidence, held)
            before, marks = schema.snapshot(conn), _marks(conn, sorted({item.table for item in found}))
            taking = begin(conn, evidence, held, Writer(out, saving(work)))
            run_all(conn, work, trial.statements(evidence["identify"]["undo"]), taking)
            told = taking.finish(work.run.id, before, schema.snapshot(conn))
        foretold = {"bytes": told["bytes"], "save_seconds": round(time.monotonic() - started, 3)}
        scripts = forward_scripts(work)
        if not isinstance(scripts, Forward):
            return {"works": None, "why": scripts, **foretold}
        started = time.monotonic()
        kept = Save(files.saved, evidence["rehearse"]["seeds"], scripts.derived, since=tuple(told["since"]))
        with conn.transaction():
            back, filled = put_back(conn, kept, scripts, found, files, work.meter)
            again, now = schema.snapshot(conn), _marks(conn, sorted(marks))
        seconds = round(time.monotonic() - started, 3)
    differ = [
        f"the rows of `{schema.plain(name)}` are not the same afterwards" for name in marks if now[name] != marks[name]
    ]
    differ += [c.message for c in schema.difference(before, again) if c.severity == "harmful"]
    return {
        "works": not differ and not back.aside,
        "why": "; ".join(differ[:3]),
        "seconds": seconds,
        "filled": filled,
        **foretold,
        **back.told(),
    }


def put_back(
    conn: postgres.Connection, kept: Save, scripts: Forward, found: list[Item], files: dump.Archive, meter: Meter
) -> tuple[Back, Json]:
    """Forward scripts and saved rows, in the open transaction; and which columns the scripts filled by themselves."""
    with files.where_needed(files.aside) as opened:
        with putting_back(conn, kept, lambda: Writer(opened()), meter) as back:
            for _, statement in scripts.statements:
                conn.execute(inside(statement), binary=True)
            filled = {item.table: _filled(conn, item) for item in found if item.kind == "values"}
        back.notes += rights.give_back(conn, back.manifest["rights"], schema.snapshot(conn))
    return back, filled


def _filled(conn: postgres.Connection, item: Item) -> list[str]:
    """The columns in which there is a value although nothing was put back yet."""
    own = columns(conn, oid_of(conn, item.table) or 0)
    there = [column for column in item.lost if column in own]
    if not there:
        return []
    some = sql.SQL(", ").join(
        sql.SQL("bool_or({} IS DISTINCT FROM NULL)").format(sql.Identifier(column)) for column in there
    )
    row = conn.execute(sql.SQL("SELECT {} FROM {}").format(some, item.source)).fetchone() or ()
    return [column for column, filled in zip(there, row, strict=True) if filled]


def _marks(conn: postgres.Connection, tables: list[str]) -> dict[str, tuple[int, str]]:
    """Rows and hash of some tables, whatever the order of their columns: a dropped one comes back at the end."""
    marks = {}
    with postgres.printing(conn):
        for table in tables:
            name = sql.Identifier(*schema.names(table))
            columns = [row[0] for row in postgres.execute(conn, COLUMNS, name.as_string(conn))]
            whole = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(column)) for column in columns)
            query = sql.SQL(
                "SELECT count(*), coalesce(sum(hashtextextended(ROW({})::text, 0)::numeric), 0)::text FROM ONLY {} t"
            )
            count, mark = conn.execute(query.format(whole, name)).fetchone() or (0, "")
            marks[table] = (count, mark)
    return marks
