"""The layout of diesel: a folder `<version>_<name>` for each migration, with up.sql, down.sql and metadata.toml.

Source: https://github.com/diesel-rs/diesel (diesel_migrations: migration_harness.rs, migrations_internals). The version
is the folder's name up to the first `_`, without dashes, and the order is that of this text. A metadata.toml without
`run_in_transaction` means false. The table has a row for each migration; diesel takes no lock.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, ClassVar

from core.layouts import Applied, Connection, Migration, Transaction, read_bytes, table
from core.layouts.base import Adapter
from core.layouts.files import below, each_once, inside, part
from core.layouts.table import Needs, Table


class Diesel(Adapter):
    """A folder for each migration; files and rows by the text of the version."""

    name = "diesel"
    history_table = "__diesel_schema_migrations"
    needs: ClassVar[Needs] = {"version": table.TEXTS, "run_on": table.CLOCKS}

    def fits(self) -> bool:
        """Is there at least one folder with an up.sql in it?"""
        return any("_" in path.name and (path / "up.sql").is_file() for path in below(self.folder))

    def read(self) -> list[Migration]:
        """All migrations, by version."""
        found = [self._one(path) for path in below(self.folder) if path.is_dir() and _has_script(path)]
        return each_once(sorted(found, key=lambda one: (one.version, one.name)))

    def order(self, one: Migration) -> Any:
        return one.version, one.name

    def _one(self, path: Path) -> Migration:
        way, fault = _transaction(path)
        files = ((file if (file := inside(path / n, self.folder)).is_file() else None) for n in ("up.sql", "down.sql"))
        forward, rollback = (part(file, self.folder, way) for file in files)
        # `diesel migration generate --no-down` makes a migration that cannot be reverted, by leaving the file out.
        why = "it has no down.sql, which is how this layout declares it" if forward and not rollback else ""
        return Migration(path.name.split("_")[0].replace("-", ""), path.name, forward, rollback, why, fault)

    def applied(self, conn: Connection, found: Table) -> list[Applied]:
        """By version, as text: diesel reverts the greatest first."""
        told = table.rows(conn, found, [table.text("version"), table.clock(found)])
        return sorted((table.applied(version, at) for version, at in told), key=lambda row: row.version)


def _has_script(path: Path) -> bool:
    return (path / "up.sql").exists() or (path / "down.sql").exists()


def _transaction(path: Path) -> tuple[Transaction, str]:
    """How both scripts run, and what is wrong with metadata.toml."""
    file = path / "metadata.toml"
    if not file.is_file():
        return "always", ""
    try:
        told = tomllib.loads(read_bytes(inside(file, path)).decode()).get("run_in_transaction", False)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        told = None
    if not isinstance(told, bool):
        return "always", f"`{path.name[:80]}/metadata.toml` is no TOML file with `run_in_transaction`, true or false"
    return ("always" if told else "never"), ""
