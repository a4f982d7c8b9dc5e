"""The layout of goose: `<version>_<name>.sql` with `-- +goose Up` and `-- +goose Down` in one file.

Source: https://github.com/pressly/goose (internal/sqlparser; database/dialect/postgres.go; provider.go; lock). Markers
are read in any case and start their line. StatementBegin and StatementEnd only serve goose's own splitter: they are
comments, and stay. NO TRANSACTION holds for the whole file. ENVSUB ON replaces variables in the script: what would run
is not what stands there.

The table has a row for each migration and one for version 0. goose goes back in the order in which the rows were
written, newest `id` first, and deletes all rows of the version. Versions of goose before 2 appended a row with
`is_applied = false` instead.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar, LiteralString

from psycopg.sql import SQL

from core.errors import Refused, StepFailed
from core.layouts import Applied, Connection, History, Migration, Part, Transaction, read_bytes, rows, table
from core.layouts.base import Adapter
from core.layouts.files import HINT, below, each_once, section
from core.layouts.table import Needs, Table
from core.model import Json

FILE = re.compile(r"([0-9]+)_(.*)\.(sql|go)")
MARKER = re.compile(
    rb"--\s*\+goose\s+(up|down|no transaction|envsub on|envsub off|statementbegin|statementend)\s*", re.I
)
LOCKS = (4097083626, 5887940537704921958)
"""lock.DefaultLockID: CRC-32 (IEEE) of "goose"; CRC-64 (ECMA) of it in older releases, 3.22 among them. Only programs that use the
library with a session locker take it; the command line takes none."""
LEASES: LiteralString = """
    SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'lease_expires_at'
     WHERE c.relname = 'goose_lock' AND c.relkind = 'r'"""


class Goose(Adapter):
    """Both scripts in one file, by number, from 1."""

    name = "goose"
    history_table = "goose_db_version"
    needs: ClassVar[Needs] = {
        "id": table.NUMBERS,
        "version_id": table.NUMBERS,
        "is_applied": ("boolean",),
        "tstamp": table.CLOCKS,
    }
    column = "version_id"

    def fits(self) -> bool:
        """Is there a file with goose's marker?"""
        files = [path for path in below(self.folder) if FILE.fullmatch(path.name) and path.suffix == ".sql"]
        return any(path.is_file() and _markers(read_bytes(path)) for path in files)

    def read(self) -> list[Migration]:
        """All migrations, by number."""
        found = []
        for path in below(self.folder):
            match = FILE.fullmatch(path.name)
            if match and path.is_file() and int(match[1]) and not path.name.endswith("_test.go"):
                found.append(_one(path, match[1]))
        return each_once(sorted(found, key=lambda one: (int(one.version), one.name)))

    def applied(self, conn: Connection, found: Table) -> list[Applied]:
        """In the order of the newest row of each version; version 0 is goose's own."""
        columns = [table.text("version_id"), table.clock(found), SQL("is_applied")]
        newest: dict[str, tuple[Any, bool]] = {}
        for version, at, is_applied in table.rows(conn, found, columns, order="id"):
            newest.pop(version, None)
            newest[version] = (at, is_applied)
        undone = next((version for version, (_, is_applied) in newest.items() if not is_applied), None)
        if undone:
            raise Refused(
                "E-HISTORY",
                f"`{found.plain}` says that `{undone}` is not applied: goose's command line and its library read "
                "such a row differently.",
                f"Delete the rows of that version if it is not applied. {HINT}",
            )
        return [table.applied(version, at) for version, (at, _) in newest.items() if version != "0"]

    def untrack(self, conn: Connection, history: History, version: str) -> Json:
        """All rows of the version: `{"rows": [...]}`, in no order."""
        taken = [] if version == "0" else rows.take(conn, history, self.column, version)
        if not taken:
            rows.exactly_one(taken, history, version)
        return {"rows": taken}

    def track(self, conn: Connection, history: History, version: str, row: Json) -> None:
        """As many rows as there were, with their numbers."""
        rows.put(conn, history, self.column, version, row["rows"])

    def lock_keys(self, conn: Connection, history: History) -> tuple[int, ...]:
        """Both numbers. Raises StepFailed (E-BUSY) where a lease in a table `goose_lock` (since 3.26) is held now."""
        for (schema,) in conn.execute(LEASES).fetchall():
            lease = table.Table(schema, "goose_lock", "", "r", {})
            held = [SQL("lock_id"), SQL("locked AND lease_expires_at > now()")]
            if any(now for _, now in table.rows(conn, lease, held)):
                message = f"A migration is running: goose holds its lease in `{lease.plain}`."
                raise StepFailed("E-BUSY", message, "Wait for its end and ask again. Production was not changed.")
        return LOCKS


def _one(path: Path, digits: str) -> Migration:
    name, version = path.stem, str(int(digits))
    if path.suffix == ".go":
        return Migration(version, name, refused=f"`{path.name[:80]}` is a program; only SQL scripts can be tried")
    data = read_bytes(path)
    marks = _markers(data)
    words = [word for _, word in marks]
    if fault := _fault(words):
        return Migration(version, name, refused=f"`{path.name[:80]}` {fault}")
    up = next(line for line, word in marks if word == "up")
    down = next((line for line, word in marks if word == "down"), None)
    way: Transaction = "never" if "no transaction" in words else "always"
    rollback = None if down is None else Part(path.name, section(data, down + 1), way)
    return Migration(version, name, Part(path.name, section(data, up + 1, down), way), rollback)


def _markers(data: bytes) -> list[tuple[int, str]]:
    """Line (from 0) and lower-case word of each marker."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return [
        (n, " ".join(m[1].decode().lower().split())) for n, line in enumerate(lines) if (m := MARKER.fullmatch(line))
    ]


def _fault(words: list[str]) -> str:
    """Why the file cannot be tried, as the rest of a sentence."""
    if "envsub on" in words:
        return "has `ENVSUB ON`: what would run depends on the environment"
    if words.count("up") != 1:
        return f"has {words.count('up') or 'no'} `-- +goose Up`; it must be one"
    if words.count("down") > 1:
        return f"has {words.count('down')} `-- +goose Down`; it must be one"
    if "down" in words and words.index("down") < words.index("up"):
        return "has `-- +goose Down` before `-- +goose Up`"
    return ""
