"""The layout of golang-migrate: `<version>_<title>.up.sql` and `.down.sql`; version: an unsigned 64-bit number.

Source: https://github.com/golang-migrate/migrate (source/parse.go; database/postgres sends a whole file as one message).
"""

from __future__ import annotations

import re
from pathlib import Path

from core.layouts.files import Pair, below, each_once, part

FILE = re.compile(r"([0-9]+)_(.*)\.(down|up)\.sql")


def fits(folder: Path) -> bool:
    """Are there files of such names?"""
    return any(FILE.fullmatch(path.name) and path.is_file() for path in below(folder))


def pairs(folder: Path) -> list[Pair]:
    """All migrations, by number. Up and down belong together by version alone. Raises Refused (E-FILE-MISSING)."""
    found: dict[tuple[int, str], dict[str, Path]] = {}
    titles: dict[int, list[str]] = {}
    for path in below(folder):
        match = FILE.fullmatch(path.name)
        if match and path.is_file():
            version, name = int(match[1]), f"{match[1]}_{match[2]}"
            others = titles.setdefault(version, [])
            lone = [other for other in others if match[3] not in found[version, other]]
            name = name if name in others or not lone else lone[0]
            if name not in others:
                others.append(name)
            found.setdefault((version, name), {})[match[3]] = path
    return each_once([
        Pair(name, str(version), part(files.get("up"), folder, "whole file"), part(files.get("down"), folder, "whole file"))
        for (version, name), files in sorted(found.items())
    ])  # fmt: skip
