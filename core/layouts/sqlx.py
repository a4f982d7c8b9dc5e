"""The layout of sqlx: `<version>_<text>.up.sql` and `.down.sql`; a plain `.sql` declares that there is no way back.

Source: https://github.com/launchbadge/sqlx (sqlx-core/src/migrate; sqlx-postgres/src/migrate.rs). A file runs in a
transaction unless its very first bytes are `-- no-transaction`. The table has a row for each migration, with the
SHA-384 of its forward script; sqlx goes back in the order of the versions, and does not go on while a row says that it
had no success.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import ClassVar

from psycopg.sql import SQL

from core.errors import Refused
from core.layouts import Applied, Connection, History, Migration, Part, table
from core.layouts.base import Adapter
from core.layouts.files import HINT, below, each_once, part
from core.layouts.table import Needs, Table

FILE = re.compile(r"([0-9]+)_(.*?)(\.up|\.down)?\.sql")
OUTSIDE = b"-- no-transaction"
FACTOR = 0x3D32AD9E


class Sqlx(Adapter):
    """Files by number; rows by version."""

    name = "sqlx"
    history_table = "_sqlx_migrations"
    needs: ClassVar[Needs] = {"version": table.NUMBERS, "success": ("boolean",), "checksum": ("bytea",)}

    def fits(self) -> bool:
        """Are there files of such names, at least one of them reversible? Plain `.sql` files could be anybody's."""
        names = ((FILE.fullmatch(path.name), path) for path in below(self.folder))
        return any(match and match[3] and path.is_file() for match, path in names)

    def read(self) -> list[Migration]:
        """All migrations, by number."""
        found: dict[tuple[int, str], dict[str, Path]] = {}
        for path in below(self.folder):
            match = FILE.fullmatch(path.name)
            if match and path.is_file():
                found.setdefault((int(match[1]), f"{match[1]}_{match[2]}"), {})[match[3] or ".plain"] = path
        return each_once([self._one(version, name, files) for (version, name), files in sorted(found.items())])

    def _one(self, version: int, name: str, files: dict[str, Path]) -> Migration:
        forward, rollback = self._part(files.get(".up") or files.get(".plain")), self._part(files.get(".down"))
        plain = ".plain" in files and rollback is None
        why = "a plain `.sql` file has no rollback script in this layout" if plain else ""
        return Migration(str(version), name, forward, rollback, why)

    def _part(self, path: Path | None) -> Part | None:
        one = part(path, self.folder, "always")
        return Part(one.file, one.data, "never") if one and one.data.startswith(OUTSIDE) else one

    def applied(self, conn: Connection, found: Table) -> list[Applied]:
        """By version; each row must say that it was a success."""
        columns = [table.text("version"), table.clock(found), SQL("success")]
        told = table.rows(conn, found, columns, order="version")
        failed = next((version for version, _, success in told if not success), None)
        if failed:
            raise Refused(
                "E-HISTORY",
                f"`{found.plain}` says that `{failed}` had no success: a migration failed halfway.",
                f"Mend the database and that row; sqlx does not go on before that either. {HINT}",
            )
        return [table.applied(version, at) for version, at, _ in told]

    def lock_keys(self, conn: Connection, history: History) -> tuple[int, ...]:
        """One for each database. Source: sqlx-postgres/src/migrate.rs, generate_lock_id."""
        database = conn.execute("SELECT current_database()").fetchall()[0][0]
        return (FACTOR * zlib.crc32(database.encode()),)
