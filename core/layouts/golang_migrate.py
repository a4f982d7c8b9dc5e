"""The layout of golang-migrate: `<version>_<title>.up.sql` and `.down.sql`; version: an unsigned 64-bit number.

Source: https://github.com/golang-migrate/migrate (source/parse.go; database/postgres/postgres.go and database/pgx:
SetVersion, Version, Lock, Run; database/util.go: GenerateAdvisoryLockId). The table has one row: the current version,
and whether it is dirty. The tool empties the table and writes that row; an empty table means that nothing is applied.
A whole file is sent as one message.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import ClassVar

from psycopg.sql import SQL

from core.errors import Refused, StepFailed
from core.layouts import Applied, Connection, History, Migration, rows, table
from core.layouts.base import Adapter
from core.layouts.files import HINT, below, each_once, part
from core.layouts.table import Needs, Table
from core.model import Json

FILE = re.compile(r"([0-9]+)_(.*)\.(down|up)\.sql")
SALT = 1486364155


class GolangMigrate(Adapter):
    """One row that says how far the migrations are: every file up to that version counts as applied, as for the tool."""

    name = "golang-migrate"
    history_table = "schema_migrations"
    needs: ClassVar[Needs] = {"version": table.NUMBERS, "dirty": ("boolean",)}
    row_each = False

    def fits(self) -> bool:
        """Are there files of such names?"""
        return any(FILE.fullmatch(path.name) and path.is_file() for path in below(self.folder))

    def read(self) -> list[Migration]:
        """All migrations, by number. Up and down belong together by version alone."""
        found: dict[tuple[int, str], dict[str, Path]] = {}
        titles: dict[int, list[str]] = {}
        for path in below(self.folder):
            match = FILE.fullmatch(path.name)
            if match and path.is_file():
                version, name = int(match[1]), f"{match[1]}_{match[2]}"
                others = titles.setdefault(version, [])
                lone = [other for other in others if match[3] not in found[version, other]]
                name = name if name in others or not lone else lone[0]
                if name not in others:
                    others.append(name)
                found.setdefault((version, name), {})[match[3]] = path
        return each_once([self._one(version, name, files) for (version, name), files in sorted(found.items())])

    def _one(self, version: int, name: str, files: dict[str, Path]) -> Migration:
        up, down = (part(files.get(way), self.folder, "whole file") for way in ("up", "down"))
        return Migration(str(version), name, up, down)

    def applied(self, conn: Connection, found: Table) -> list[Applied]:
        """All files up to the version of the row. A dirty row is a migration that failed halfway."""
        told = table.rows(conn, found, [table.text("version"), SQL("dirty")])
        if len(told) > 1:
            raise Refused("E-HISTORY", f"`{found.plain}` has {len(told)} rows; it must be one.", f"Mend it. {HINT}")
        if not told:
            return []
        current, dirty = told[0]
        if dirty:
            raise Refused(
                "E-HISTORY",
                f"`{found.plain}` is dirty at version `{current}`: a migration failed halfway.",
                f"Mend the database, then say so with golang-migrate's own `force`. {HINT}",
            )
        before = {int(one.version) for one in self.migrations() if int(one.version) < int(current)}
        return [Applied(str(version)) for version in [*sorted(before), int(current)]]

    def untrack(self, conn: Connection, history: History, version: str) -> Json:
        """The row says the version before, or goes where there is none: from the top only, one after the other."""
        row = rows.exactly_one(rows.take(conn, history, self.column, version), history, version)
        if row["dirty"]:
            raise StepFailed("E-EXECUTE", f"`{history.name}` became dirty at version `{version}`.", rows.UNDONE)
        versions = [one.version for one in history.applied]
        at = versions.index(version)
        if at:
            before = versions[at - 1]
            rows.put(conn, history, self.column, before, [{**row, "version": int(before)}])
        return row

    def track(self, conn: Connection, history: History, version: str, row: Json) -> None:
        """The row must say the version before, or `version` already, where the forward script wrote it."""
        older = [int(one.version) for one in self.migrations() if int(one.version) < int(version)]
        before = str(older[-1]) if older else None
        there = rows.everything(conn, history)
        says = str(there[0]["version"]) if there else None
        if len(there) > 1 or says not in (before, version):
            now, then = (f"the version `{one}`" if one else "that nothing is applied" for one in (says, before))
            message = f"`{history.name}` says {now}; before `{version}` can be put back it must say {then}."
            raise StepFailed("E-EXECUTE", message, rows.UNDONE)
        if says == before and before is not None:
            rows.take(conn, history, self.column, before)
        rows.put(conn, history, self.column, version, [{**(there[0] if there else {}), **row}])

    def lock_keys(self, conn: Connection, history: History) -> tuple[int, ...]:
        """Both numbers: with the path of a URL as the database's name, which has a slash, and with the plain name."""
        database = conn.execute("SELECT current_database()").fetchall()[0][0]
        return tuple(lock_key(history.schema, history.name, name) for name in (f"/{database}", database))


def lock_key(schema: str, name: str, database: str) -> int:
    """The number that golang-migrate locks. Source: database/util.go; the other names stand before the database's."""
    return zlib.crc32("\0".join((schema, name, database)).encode()) * SALT % 2**32
