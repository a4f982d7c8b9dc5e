"""On which line of a TOML file a key stands: `tomllib` does not say.

Works on text that `tomllib` has accepted, so it need not find errors. It knows just enough of the grammar
(https://toml.io/en/v1.0.0) not to take the inside of a string or an array for a key.
"""

from __future__ import annotations

import re

Path = tuple[str, ...]

PIECE = re.compile(
    r'''"""(?:\\.|[^\\])*?"{3,5}|\'{3}.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|\#[^\n]*|[\[\]{}=.\n]|[\w-]+|.''', re.S
)
OPENING, CLOSING = "[{", "]}"


def lines(text: str) -> dict[Path, int]:
    """Path of each key and table header -> its line, counted from 1. Keys of inline tables are left out."""
    found: dict[Path, int] = {}
    table: Path = ()
    statement: list[str] = []
    number = start = 1
    depth = 0
    for piece in PIECE.findall(text.replace("\r\n", "\n") + "\n"):
        if piece == "\n" and depth <= 0:
            table = _note(statement, table, start, found)
            statement, depth = [], 0
        elif piece[0] not in "# \t\n":
            start = start if statement else number
            statement.append(piece)
            depth += (piece in OPENING) - (piece in CLOSING)
        number += piece.count("\n")
    return found


def _note(statement: list[str], table: Path, line: int, found: dict[Path, int]) -> Path:
    """Remember the keys of one statement; returns the table that is open after it."""
    if not statement:
        return table
    header = statement[0] == "["
    if header:
        path = tuple(_name(piece) for piece in statement if piece not in "[].")
    else:
        path = table + tuple(_name(piece) for piece in statement[: statement.index("=")] if piece != ".")
    for length in range(1, len(path) + 1):
        found.setdefault(path[:length], line)
    return path if header else table


def _name(piece: str) -> str:
    """A key without its quotes. Escapes in a quoted key stay as they are written."""
    return piece[1:-1] if piece[0] in "\"'" else piece


def line_of(found: dict[Path, int], path: Path) -> int | None:
    """The line of a key, or of the nearest table or inline table that holds it."""
    for length in range(len(path), 0, -1):
        if path[:length] in found:
            return found[path[:length]]
    return None
