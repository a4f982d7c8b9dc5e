"""The layout `paired`: `NNN_name.sql` and `rollback/NNN_name.sql`, and a table `schema_migrations (version, ...)`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from core.errors import Refused, StepFailed
from core.layouts import Applied, Connection, History, Migration, number
from core.model import Json

FILE = re.compile(r"([0-9]{1,18})_[A-Za-z0-9_.-]{1,180}\.sql")
TABLE = "schema_migrations"
TIMES = ("applied_at", "run_on", "executed_at", "installed_on", "migrated_at", "created_at", "inserted_at", "tstamp")
"""Columns that other tools use for the time of a migration; the first that is there counts."""

# pg_attribute, because information_schema shows nothing to a role without rights on the table.
COLUMNS: LiteralString = """
    SELECT n.nspname, a.attname, format_type(a.atttypid, NULL), c.relkind
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
       AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'
     ORDER BY n.nspname, a.attnum"""
HINT = "Nothing was started."


class Paired:
    """Two folders of files with the same names, read afresh at every call."""

    name = "paired"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def migrations(self) -> list[Migration]:
        """All migrations: by number, then by name. A file without its twin has None in its place.

        Raises Refused (E-FILE-MISSING): the folder is missing, or a file lies outside it.
        """
        if not self.folder.is_dir():
            raise Refused(
                "E-FILE-MISSING", "The migrations folder does not exist.", f"The setting `migrations` names it. {HINT}"
            )
        forward, back = self._files(self.folder), self._files(self.folder / "rollback")
        names = sorted(forward.keys() | back.keys(), key=lambda name: (int(name.split("_")[0]), name))
        return [Migration(name.split("_")[0], name, forward.get(name), back.get(name)) for name in names]

    def _files(self, folder: Path) -> dict[str, Path]:
        """Name -> real path of each migration in one folder; other files are nobody's business."""
        root = self.folder.resolve()
        try:
            files = [p for p in folder.iterdir() if FILE.fullmatch(p.name)] if folder.is_dir() else []
        except OSError as error:
            why = (error.strerror or "unreadable").lower()
            raise Refused("E-FILE-MISSING", f"I cannot read the migrations folder: {why}.", HINT) from None
        for path in files:
            if not path.resolve().is_relative_to(root):
                message = f"`{path.name}` is a link to a file outside the migrations folder."
                raise Refused("E-FILE-MISSING", message, f"Put the file itself there. {HINT}")
        return {path.name.removesuffix(".sql"): path.resolve() for path in files if path.is_file()}

    def history(self, conn: Connection) -> History:
        """Which migrations are applied, oldest first: by the time column if every row has a time, else by version.

        Raises Refused (E-HISTORY): no such table, several, an unknown shape, or versions in more than one form.
        """
        schema, columns = _only_table(conn)
        kind = columns.get("version")
        if kind not in ("text", "character varying", "character", "integer", "bigint", "smallint", "numeric"):
            shape = ", ".join(f"{column} {kind}" for column, kind in list(columns.items())[:8])
            raise Refused(
                "E-HISTORY",
                f"`{TABLE}` has an unknown shape ({shape}).",
                f"I know tables with a column `version`, text or a whole number. {HINT}",
            )
        if {"version", "dirty"} == set(columns):
            raise Refused(
                "E-HISTORY",
                f"`{TABLE}` is golang-migrate's (version, dirty): it keeps one row, not one for each migration.",
                f"The layout `paired` cannot read it. {HINT}",
            )
        time = next((c for c in TIMES if columns.get(c, "").startswith("timestamp")), None)
        applied = sorted(_rows(conn, schema, time), key=lambda row: _version_key(row.version))
        if applied and all(row.applied_at for row in applied):
            applied.sort(key=lambda row: row.applied_at or datetime.max)  # stable: ties stay in order of version
        _one_form([row.version for row in applied])
        qualified = sql.Identifier(schema, TABLE).as_string(conn)
        plain = f"{schema}.{TABLE}"
        table = plain if re.fullmatch(r"[a-z_][a-z0-9_]*", schema) else qualified
        return History(table, schema, TABLE, kind, tuple(applied))

    def track(self, conn: Connection, history: History, version: str, row: Json) -> None:
        """The whole row again; one that the forward script has written itself gives way to it."""
        table = sql.Identifier(history.schema, history.name)
        conn.execute(sql.SQL("DELETE FROM {} AS h WHERE h.version::text = %s").format(table), [version])
        query = sql.SQL(
            "INSERT INTO {0} OVERRIDING SYSTEM VALUE SELECT * FROM jsonb_populate_record(NULL::{0}, %s)"
        ).format(table)
        if conn.execute(query, [json.dumps(row)]).rowcount != 1:
            raise StepFailed("E-EXECUTE", f"The row of `{version[:60]}` could not be put back into `{TABLE}`.", UNDONE)

    def lock_keys(self, conn: Connection, history: History) -> tuple[int, ...]:
        """None: there is no tool that takes one."""
        return ()

    def untrack(self, conn: Connection, history: History, version: str) -> Json:
        """Delete the row of one migration, in the caller's transaction; the whole row, as JSON, for re-apply.

        Raises StepFailed (E-EXECUTE) unless exactly one row went; the caller undoes the transaction.
        """
        table = sql.Identifier(history.schema, history.name)
        query = sql.SQL("DELETE FROM {} AS h WHERE h.version::text = %s RETURNING to_jsonb(h)").format(table)
        try:
            rows = conn.execute(query, [version]).fetchall()
        except psycopg.Error as error:
            message = f"The row of `{version[:60]}` could not be removed from `{TABLE}`: SQLSTATE {error.sqlstate}."
            raise StepFailed("E-EXECUTE", message, UNDONE) from None
        if len(rows) != 1:
            message = f"{len(rows)} rows of `{TABLE}` have the version `{version[:60]}`; it must be exactly one."
            raise StepFailed("E-EXECUTE", message, UNDONE)
        row: Json = rows[0][0]
        return row


UNDONE = "The transaction was undone; production was not changed."


def _only_table(conn: Connection) -> tuple[str, dict[str, str]]:
    """Schema and columns (name -> type) of the one history table in this database."""
    found: dict[str, dict[str, str]] = {}
    kinds = {}
    for schema, column, kind, relkind in conn.execute(COLUMNS, [TABLE]).fetchall():
        found.setdefault(schema, {})[column] = kind
        kinds[schema] = relkind
    if not found:
        raise Refused(
            "E-HISTORY",
            f"There is no table `{TABLE}` in this database.",
            f"Is it the right database? The layout `paired` needs that table. {HINT}",
        )
    if len(found) > 1:
        listed = ", ".join(f"`{schema}.{TABLE}`" for schema in found)
        raise Refused("E-HISTORY", f"There are {len(found)} history tables: {listed}.", f"Keep one of them. {HINT}")
    schema = next(iter(found))
    if kinds[schema] not in ("r", "p"):
        raise Refused("E-HISTORY", f"`{schema}.{TABLE}` is no table but a view or a foreign table.", HINT)
    return schema, found[schema]


def _rows(conn: Connection, schema: str, time: str | None) -> Iterator[Applied]:
    """The rows as stored. Trailing blanks of `character(n)` go; the same comparison holds in `untrack`."""
    moment: sql.Composable = sql.SQL("NULL::timestamptz")
    if time:  # Python has no infinite times
        moment = sql.SQL("CASE WHEN isfinite({0}) THEN {0} END").format(sql.Identifier(time))
    query = sql.SQL("SELECT version::text, {} FROM {}").format(moment, sql.Identifier(schema, TABLE))
    try:
        rows: list[tuple[str | None, Any]] = conn.execute(query).fetchall()
    except psycopg.errors.InsufficientPrivilege:
        raise Refused("E-RIGHTS", f"My role may not read `{schema}.{TABLE}`.", f"Grant it SELECT. {HINT}") from None
    except psycopg.Error as error:
        message = f"`{schema}.{TABLE}` could not be read: SQLSTATE {error.sqlstate}."
        raise Refused("E-HISTORY", message, HINT) from None
    for version, at in rows:
        if version is None or not version.strip():
            raise Refused("E-HISTORY", f"`{schema}.{TABLE}` has a row without a version.", f"Mend it first. {HINT}")
        yield Applied(version, at.replace(tzinfo=at.tzinfo or UTC) if isinstance(at, datetime) else None)


def _version_key(version: str) -> tuple[int, str]:
    """Versions compare as the files do: the number, then the name. What has no number comes first."""
    digits = re.match(r"[0-9]+", version)
    return (int(digits[0]) if digits else -1, version)


def _one_form(versions: list[str]) -> None:
    """All rows must say `011`, or all `011_subscriptions`, or all `011_subscriptions.sql`."""
    forms: dict[str, str] = {}
    for version in versions:
        form = "number" if number(version) is not None else "file" if version.endswith(".sql") else "name"
        forms.setdefault(form, version)
    if len(forms) > 1:
        listed = ", ".join(f"`{version[:60]}`" for version in forms.values())
        raise Refused("E-HISTORY", f"`{TABLE}` holds versions in {len(forms)} forms: {listed}.", f"Use one. {HINT}")
    seen = [number(version) or version for version in versions]
    if len(set(seen)) < len(seen):
        twice = next(v for v in versions if seen.count(number(v) or v) > 1)
        raise Refused("E-HISTORY", f"`{TABLE}` holds the version `{twice[:60]}` more than once.", f"Mend it. {HINT}")
