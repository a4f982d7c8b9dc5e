"""The layout of goose: `<version>_<name>.sql` with `-- +goose Up` and `-- +goose Down` in one file.

Source: https://github.com/pressly/goose (internal/sqlparser). Markers are read in any case and start their line.
StatementBegin and StatementEnd only serve goose's own splitter: they are comments, and stay. NO TRANSACTION holds for
the whole file. ENVSUB ON replaces variables in the script: what would run is not what stands there.
"""

from __future__ import annotations

import re
from pathlib import Path

from core.layouts import read_bytes
from core.layouts.files import Pair, Part, Transaction, below, each_once, section

FILE = re.compile(r"([0-9]+)_(.*)\.(sql|go)")
MARKER = re.compile(
    rb"--\s*\+goose\s+(up|down|no transaction|envsub on|envsub off|statementbegin|statementend)\s*", re.I
)


def fits(folder: Path) -> bool:
    """Is there a file with goose's marker?"""
    files = [path for path in below(folder) if FILE.fullmatch(path.name) and path.suffix == ".sql"]
    return any(path.is_file() and _markers(read_bytes(path)) for path in files)


def pairs(folder: Path) -> list[Pair]:
    """All migrations, by number; goose begins with 1. Raises Refused (E-FILE-MISSING)."""
    found = []
    for path in below(folder):
        match = FILE.fullmatch(path.name)
        if match and path.is_file() and int(match[1]) and not path.name.endswith("_test.go"):
            found.append(_pair(path, match[1]))
    return each_once(sorted(found, key=lambda pair: (int(pair.version), pair.name)))


def _pair(path: Path, digits: str) -> Pair:
    name, version = path.stem, str(int(digits))
    if path.suffix == ".go":
        return Pair(
            name, version, None, None, refused=f"`{path.name[:80]}` is a program; only SQL scripts can be tried"
        )
    data = read_bytes(path)
    marks = _markers(data)
    words = [word for _, word in marks]
    if fault := _fault(words):
        return Pair(name, version, None, None, refused=f"`{path.name[:80]}` {fault}")
    up = next(line for line, word in marks if word == "up")
    down = next((line for line, word in marks if word == "down"), None)
    way: Transaction = "never" if "no transaction" in words else "always"
    rollback = None if down is None else Part(path.name, section(data, down + 1), way)
    return Pair(name, version, Part(path.name, section(data, up + 1, down), way), rollback)


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
