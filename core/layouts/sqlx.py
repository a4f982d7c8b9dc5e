"""The layout of sqlx: `<version>_<text>.up.sql` and `.down.sql`; a plain `.sql` declares that there is no way back.

Source: https://github.com/launchbadge/sqlx (sqlx-core/src/migrate). A file runs in a transaction unless its very first
bytes are `-- no-transaction`.
"""

from __future__ import annotations

import re
from pathlib import Path

from core.layouts.files import Pair, Part, below, each_once, part

FILE = re.compile(r"([0-9]+)_(.*?)(\.up|\.down)?\.sql")
OUTSIDE = b"-- no-transaction"


def fits(folder: Path) -> bool:
    """Are there files of such names, at least one of them reversible? Plain `.sql` files alone could be anybody's."""
    return any((match := FILE.fullmatch(path.name)) and match[3] and path.is_file() for path in below(folder))


def pairs(folder: Path) -> list[Pair]:
    """All migrations, by number. Raises Refused (E-FILE-MISSING)."""
    found: dict[tuple[int, str], dict[str, Path]] = {}
    for path in below(folder):
        match = FILE.fullmatch(path.name)
        if match and path.is_file():
            found.setdefault((int(match[1]), f"{match[1]}_{match[2]}"), {})[match[3] or ".plain"] = path
    return each_once([_pair(version, name, files, folder) for (version, name), files in sorted(found.items())])


def _pair(version: int, name: str, files: dict[str, Path], folder: Path) -> Pair:
    forward, rollback = _part(files.get(".up") or files.get(".plain"), folder), _part(files.get(".down"), folder)
    plain = ".plain" in files and rollback is None
    why = "a plain `.sql` file has no rollback script in this layout" if plain else ""
    return Pair(name, str(version), forward, rollback, why)


def _part(path: Path | None, folder: Path) -> Part | None:
    one = part(path, folder, "always")
    return Part(one.file, one.data, "never") if one and one.data.startswith(OUTSIDE) else one
