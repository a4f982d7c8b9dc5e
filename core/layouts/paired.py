"""The layout `paired`: `NNN_name.sql` and `rollback/NNN_name.sql`, and a table `schema_migrations (version, ...)`."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from core.errors import Refused
from core.layouts import Applied, Connection, Migration, Part, number, read_bytes, table
from core.layouts.base import Adapter
from core.layouts.files import HINT
from core.layouts.table import Needs, Table

FILE = re.compile(r"([0-9]{1,18})_[A-Za-z0-9_.-]{1,180}\.sql")


class Paired(Adapter):
    """Two folders of files with the same names."""

    name = "paired"
    history_table = "schema_migrations"
    needs: ClassVar[Needs] = {"version": (*table.TEXTS, *table.NUMBERS)}

    def fits(self) -> bool:
        """Is there a folder `rollback`, and a migration beside it?"""
        return (self.folder / "rollback").is_dir() and bool(self._paths(""))

    def read(self) -> list[Migration]:
        """All migrations: by number, then by name. A file without its twin has None in its place."""
        forward, back = self._files(""), self._files("rollback/")
        names = sorted(forward.keys() | back.keys(), key=lambda name: (int(name.split("_")[0]), name))
        return [Migration(name.split("_")[0], name, forward.get(name), back.get(name)) for name in names]

    def _files(self, below: str) -> dict[str, Part]:
        """Name -> script of each migration in one folder."""
        return {p.name.removesuffix(".sql"): Part(below + p.name, read_bytes(p)) for p in self._paths(below)}

    def _paths(self, below: str) -> list[Path]:
        """The files of migrations in one folder; other files are nobody's business. Raises Refused (E-FILE-MISSING)."""
        root, folder = self.folder.resolve(), self.folder / below
        try:
            files = [p for p in folder.iterdir() if FILE.fullmatch(p.name)] if folder.is_dir() else []
        except OSError as error:
            why = (error.strerror or "unreadable").lower()
            raise Refused("E-FILE-MISSING", f"I cannot read the migrations folder: {why}.", HINT) from None
        for path in files:
            if not path.resolve().is_relative_to(root):
                message = f"`{path.name}` is a link to a file outside the migrations folder."
                raise Refused("E-FILE-MISSING", message, f"Put the file itself there. {HINT}")
        return [path for path in files if path.is_file()]

    def applied(self, conn: Connection, found: Table) -> list[Applied]:
        """By the time column if every row has a time, else by version. All versions must have one form."""
        told = table.rows(conn, found, [table.text("version"), table.clock(found)])
        rows = sorted((table.applied(version, at) for version, at in told), key=lambda row: _version_key(row.version))
        if rows and all(row.applied_at for row in rows):
            rows.sort(key=lambda row: row.applied_at or datetime.max)  # stable: ties stay in order of version
        _one_form(found.name, [row.version for row in rows])
        return rows


def _version_key(version: str) -> tuple[int, str]:
    """Versions compare as the files do: the number, then the name. What has no number comes first."""
    digits = re.match(r"[0-9]+", version)
    return (int(digits[0]) if digits else -1, version)


def _one_form(name: str, versions: list[str]) -> None:
    """All rows must say `011`, or all `011_subscriptions`, or all `011_subscriptions.sql`."""
    forms: dict[str, str] = {}
    for version in versions:
        form = "number" if number(version) is not None else "file" if version.endswith(".sql") else "name"
        forms.setdefault(form, version)
    if len(forms) > 1:
        listed = ", ".join(f"`{version[:60]}`" for version in forms.values())
        raise Refused("E-HISTORY", f"`{name}` holds versions in {len(forms)} forms: {listed}.", f"Use one. {HINT}")
    seen = [number(version) or version for version in versions]
    if len(set(seen)) < len(seen):
        twice = next(v for v in versions if seen.count(number(v) or v) > 1)
        raise Refused("E-HISTORY", f"`{name}` holds the version `{twice[:60]}` more than once.", f"Mend it. {HINT}")
