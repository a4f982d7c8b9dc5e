"""What the adapters share where they read files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from core.errors import Refused
from core.layouts import Migration, Part, Transaction, read_bytes

HINT = "Nothing was started."


def below(folder: Path) -> list[Path]:
    """The entries of a migrations folder, by name. Raises Refused (E-FILE-MISSING): no folder, or a link out of it."""
    if not folder.is_dir():
        raise Refused("E-FILE-MISSING", "The migrations folder does not exist.", HINT)
    root = folder.resolve()
    try:
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        why = (error.strerror or "unreadable").lower()
        raise Refused("E-FILE-MISSING", f"I cannot read the migrations folder: {why}.", HINT) from None
    return [inside(path, root) for path in entries]


def inside(path: Path, root: Path) -> Path:
    """The path itself. Raises Refused (E-FILE-MISSING) where it is a link out of the folder."""
    if not path.resolve().is_relative_to(root.resolve()):
        message = f"`{path.name}` is a link to a file outside the migrations folder."
        raise Refused("E-FILE-MISSING", message, f"Put the file itself there. {HINT}")
    return path


def part(path: Path | None, folder: Path, transaction: Transaction = "free") -> Part | None:
    """A whole file as one script. Raises Refused (E-FILE-MISSING)."""
    return None if path is None else Part(str(path.relative_to(folder)), read_bytes(path), transaction)


def section(data: bytes, first: int, end: int | None = None) -> bytes:
    """The lines from `first` (0 is the file's first) up to `end`, moved to where they stand in the file."""
    lines = data.split(b"\n")[:end]
    return b"\n" * first + b"\n".join(lines[first:])


def each_once(migrations: list[Migration]) -> list[Migration]:
    """The same, but a migration whose version another one has already is refused: the tools keep one row for both."""
    first: dict[str, str] = {}
    found = []
    for one in migrations:
        other = first.setdefault(one.version, one.name)
        twice = f"`{one.name[:80]}` and `{other[:80]}` have the same version `{one.version[:40]}`"
        found.append(one if other == one.name else replace(one, refused=one.refused or twice))
    return found
