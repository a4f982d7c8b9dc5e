"""The layout of diesel: a folder `<version>_<name>` for each migration, with up.sql, down.sql and metadata.toml.

Source: https://github.com/diesel-rs/diesel (diesel_migrations). The version is the folder's name up to the first `_`,
without dashes, and the order is that of this text. A metadata.toml without `run_in_transaction` means false.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from core.layouts import read_bytes
from core.layouts.files import Pair, Transaction, below, each_once, inside, part


def fits(folder: Path) -> bool:
    """Is there at least one folder with an up.sql in it?"""
    return any("_" in path.name and (path / "up.sql").is_file() for path in below(folder))


def pairs(folder: Path) -> list[Pair]:
    """All migrations, by version. Raises Refused (E-FILE-MISSING)."""
    found = [_pair(path, folder) for path in below(folder) if path.is_dir() and _has_script(path)]
    return each_once(sorted(found, key=lambda pair: (pair.version, pair.name)))


def _has_script(path: Path) -> bool:
    return (path / "up.sql").exists() or (path / "down.sql").exists()


def _pair(path: Path, folder: Path) -> Pair:
    way, fault = _transaction(path)
    up, down = ((file if (file := inside(path / name, folder)).is_file() else None) for name in ("up.sql", "down.sql"))
    forward, rollback = part(up, folder, way), part(down, folder, way)
    # `diesel migration generate --no-down` makes a migration that cannot be reverted, by leaving the file out.
    why = "it has no down.sql, which is how this layout declares it" if forward and not rollback else ""
    return Pair(path.name, path.name.split("_")[0].replace("-", ""), forward, rollback, why, fault)


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
