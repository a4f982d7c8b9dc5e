"""The layout of dbmate: `<version>_<name>.sql` with `-- migrate:up` and `-- migrate:down` in one file.

Source: https://github.com/amacneil/dbmate (pkg/dbmate/migration.go; db.go: FindMigrations, Rollback;
pkg/driver/postgres). Order is that of the file names as text, in the folder and for what is rolled back first. Each
section runs in a transaction unless `transaction:false` stands on its marker's line. The table has a row for each
migration: the digits as text, zeros kept. dbmate takes no lock.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

from core.layouts import Applied, Connection, Migration, Part, read_bytes, table
from core.layouts.base import Adapter
from core.layouts.files import below, each_once, section
from core.layouts.table import Needs, Table

FILE = re.compile(r"([0-9]+).*\.sql")
MARKER = re.compile(rb"--\s*migrate:(up|down)(\s*|\s+\S.*)")
OUTSIDE = re.compile(rb"\btransaction:false\b")


class Dbmate(Adapter):
    """Both scripts in one file; files and rows in the order of the file names."""

    name = "dbmate"
    history_table = "schema_migrations"
    needs: ClassVar[Needs] = {"version": table.TEXTS}

    def fits(self) -> bool:
        """Is there a file with dbmate's marker?"""
        return any(_markers(read_bytes(path)) for path, _ in self._files())

    def read(self) -> list[Migration]:
        """All migrations, by file name."""
        return each_once([_one(path, version) for path, version in self._files()])

    def order(self, one: Migration) -> Any:
        return f"{one.name}.sql"

    def _files(self) -> list[tuple[Path, str]]:
        found = ((path, FILE.fullmatch(path.name)) for path in below(self.folder))
        return [(path, match[1]) for path, match in found if match and path.is_file()]

    def applied(self, conn: Connection, found: Table) -> list[Applied]:
        """By file name; a row without a file by its version."""
        names = {one.version: self.order(one) for one in self.migrations()}
        told = table.rows(conn, found, [table.text("version"), table.clock(found)])
        rows = [table.applied(version, at) for version, at in told]
        return sorted(rows, key=lambda row: names.get(row.version, row.version))


def _one(path: Path, version: str) -> Migration:
    data = read_bytes(path)
    marks = _markers(data)
    words = [word for _, word, _ in marks]
    if fault := _fault(words):
        return Migration(version, path.stem, refused=f"`{path.name[:80]}` {fault}")
    ends = [line for line, _, _ in marks[1:]] + [None]
    parts = {
        word: Part(path.name, section(data, line + 1, end), "never" if outside else "always")
        for (line, word, outside), end in zip(marks, ends, strict=True)
    }
    return Migration(version, path.stem, parts["up"], parts.get("down"))


def _markers(data: bytes) -> list[tuple[int, str, bool]]:
    """Line (from 0) and word of each marker, and whether it switches the transaction off."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    found = ((n, MARKER.fullmatch(line.rstrip(b"\r"))) for n, line in enumerate(lines))
    return [(n, match[1].decode(), bool(OUTSIDE.search(match[2]))) for n, match in found if match]


def _fault(words: list[str]) -> str:
    """Why the file cannot be tried, as the rest of a sentence."""
    for word in ("up", "down"):
        if words.count(word) > 1:
            return f"has {words.count(word)} `-- migrate:{word}`; dbmate runs such a file wrongly, so it must be one"
    if "up" not in words:
        return "has no `-- migrate:up`"
    return "has `-- migrate:down` before `-- migrate:up`" if words[0] == "down" else ""
