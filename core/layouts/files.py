"""What `rollback check` needs of a layout: the two scripts of every migration. No history table, no database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from core.errors import Refused
from core.layouts import Migration, read_bytes

Transaction = Literal["always", "never", "whole file", "free"]
"""How the project's own tool runs a script: in a transaction of the tool's; statement by statement outside of one; the
whole file as one message, which PostgreSQL treats as one transaction unless it is a single statement; not known."""
HINT = "Nothing was started."


@dataclass(frozen=True)
class Part:
    """One direction of a migration. `file`: its name below the folder; `data`: its bytes, other sections blanked out."""

    file: str
    data: bytes
    transaction: Transaction = "free"


@dataclass(frozen=True)
class Pair:
    """A migration with the contents of its files.

    `irreversible`: why there is no rollback script, where the layout has a way to declare that. `refused`: why the files
    cannot be tried at all.
    """

    name: str
    version: str
    forward: Part | None
    rollback: Part | None
    irreversible: str = ""
    refused: str = ""


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


def of_migrations(migrations: Iterable[Migration], folder: Path) -> list[Pair]:
    """The pairs of a layout with one file for each direction. Raises Refused (E-FILE-MISSING)."""
    root = folder.resolve()
    return [Pair(m.name, m.version, part(m.forward, root), part(m.rollback, root)) for m in migrations]


def each_once(pairs: list[Pair]) -> list[Pair]:
    """The same, but a migration whose version another one has already is refused: the tools keep one row for both."""
    first: dict[str, str] = {}
    found = []
    for pair in pairs:
        other = first.setdefault(pair.version, pair.name)
        twice = f"`{pair.name[:80]}` and `{other[:80]}` have the same version `{pair.version[:40]}`"
        found.append(pair if other == pair.name else replace(pair, refused=pair.refused or twice))
    return found
