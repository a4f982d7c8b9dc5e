"""The layout of dbmate: `<version>_<name>.sql` with `-- migrate:up` and `-- migrate:down` in one file.

Source: https://github.com/amacneil/dbmate (pkg/dbmate/migration.go). Order is that of the file names as text. Each
section runs in a transaction unless `transaction:false` stands on its marker's line.
"""

from __future__ import annotations

import re
from pathlib import Path

from core.layouts import read_bytes
from core.layouts.files import Pair, Part, below, each_once, section

FILE = re.compile(r"([0-9]+).*\.sql")
MARKER = re.compile(rb"--\s*migrate:(up|down)(\s*|\s+\S.*)")
OUTSIDE = re.compile(rb"\btransaction:false\b")


def fits(folder: Path) -> bool:
    """Is there a file with dbmate's marker?"""
    files = [path for path in below(folder) if FILE.fullmatch(path.name)]
    return any(path.is_file() and _markers(read_bytes(path)) for path in files)


def pairs(folder: Path) -> list[Pair]:
    """All migrations, by file name. Raises Refused (E-FILE-MISSING)."""
    files = [(path, match) for path in below(folder) if (match := FILE.fullmatch(path.name)) and path.is_file()]
    return each_once([_pair(path, match[1]) for path, match in files])


def _pair(path: Path, version: str) -> Pair:
    data = read_bytes(path)
    marks = _markers(data)
    words = [word for _, word, _ in marks]
    if fault := _fault(words):
        return Pair(path.stem, version, None, None, refused=f"`{path.name[:80]}` {fault}")
    ends = [line for line, _, _ in marks[1:]] + [None]
    parts = {
        word: Part(path.name, section(data, line + 1, end), "never" if outside else "always")
        for (line, word, outside), end in zip(marks, ends, strict=True)
    }
    return Pair(path.stem, version, parts["up"], parts.get("down"))


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
