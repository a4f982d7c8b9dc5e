"""How a project keeps its migrations: the port that each adapter fills.

An adapter reads migration files and the history table, and takes the row of one migration out of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import psycopg

from core.errors import Refused
from core.model import Json

if TYPE_CHECKING:
    from core.layouts.files import Pair

Connection = psycopg.Connection[tuple[Any, ...]]
LARGEST = 50_000_000  # bytes of one file
CHECKED = ("golang-migrate", "diesel", "goose", "dbmate", "sqlx")
"""Layouts of other tools: `rollback check` reads their files, their history tables are not ours to write."""


@dataclass(frozen=True)
class Migration:
    """One migration as the files know it: version `011`, name `011_subscriptions`. A missing file is None."""

    version: str
    name: str
    forward: Path | None
    rollback: Path | None


@dataclass(frozen=True)
class Applied:
    """One row of the history table. `version` is exactly the stored value, as text; `applied_at` where it is kept."""

    version: str
    applied_at: datetime | None = None


@dataclass(frozen=True)
class History:
    """The history table: its qualified name (quoted where SQL needs it), the version column's type, rows oldest first."""

    table: str
    schema: str
    name: str
    column_type: str
    applied: tuple[Applied, ...]


class Layout(Protocol):
    """What every adapter offers."""

    name: str

    def migrations(self) -> list[Migration]:
        """All migrations, oldest first. Raises Refused (E-FILE-MISSING)."""

    def history(self, conn: Connection) -> History:
        """The history table as it is now. Raises Refused (E-HISTORY)."""

    def untrack(self, conn: Connection, history: History, version: str) -> Json:
        """Take one migration out of the history, in the caller's transaction; the row that went, for re-apply.

        Raises StepFailed (E-EXECUTE) unless exactly one row went.
        """

    def track(self, conn: Connection, history: History, version: str, row: Json) -> None:
        """Put back what `untrack` took, in the caller's transaction. Raises StepFailed unless exactly that came about."""

    def lock_keys(self, conn: Connection, history: History) -> tuple[int, ...]:
        """The advisory locks that the tool itself takes."""


class Checked(Protocol):
    """What the module of another tool's layout offers."""

    def fits(self, folder: Path) -> bool:
        """Do the files of the folder look like this layout's? Raises Refused (E-FILE-MISSING)."""

    def pairs(self, folder: Path) -> list[Pair]:
        """All migrations with both scripts, oldest first. Raises Refused (E-FILE-MISSING)."""


def layout_for(folder: Path, name: str = "paired") -> Layout:
    """The adapter of that name for that folder. Raises Refused (E-CONFIG)."""
    from core.layouts.paired import Paired

    if name in CHECKED:
        message = f"The layout `{name}` works with `rollback check` only: rollbacks of a target need `paired`."
        raise Refused("E-CONFIG", message, "Nothing was started.")
    if name != "paired":
        raise Refused("E-CONFIG", f"I know no layout `{name[:60]}`.", "The layout is `paired`. Nothing was started.")
    return Paired(folder)


def pairs(folder: Path, name: str) -> list[Pair]:
    """All migrations of a folder with both scripts, oldest first. Raises Refused (E-CONFIG, E-FILE-MISSING)."""
    from core.layouts.files import of_migrations

    if name == "paired":
        return of_migrations(layout_for(folder).migrations(), folder)
    return adapter(name).pairs(folder)


def adapter(name: str) -> Checked:
    """The module that reads the files of another tool. Raises Refused (E-CONFIG)."""
    from core.layouts import dbmate, diesel, golang_migrate, goose, sqlx

    modules = (golang_migrate, diesel, goose, dbmate, sqlx)
    found: dict[str, Checked] = dict(zip(CHECKED, modules, strict=True))
    if name not in found:
        known = ", ".join(f"`{layout}`" for layout in ("paired", *CHECKED))
        raise Refused("E-CONFIG", f"I know no layout `{name[:60]}`.", f"I know {known}. Nothing was started.")
    return found[name]


def detect(folder: Path) -> str:
    """The layout that a folder's files have. Raises Refused (E-CONFIG): none fits, or several do."""
    from core.layouts.files import below

    found = [name for name in CHECKED if adapter(name).fits(folder)]
    if (folder / "rollback").is_dir() and any(m.forward for m in layout_for(folder).migrations()):
        found.append("paired")
    if {"golang-migrate", "sqlx"} <= set(found):  # the same names of files: the project's own manifest tells
        here = folder.resolve()
        near = next(
            (p for p in (here, *here.parents) if (p / "go.mod").is_file() != (p / "Cargo.toml").is_file()), None
        )
        if near:
            found.remove("sqlx" if (near / "go.mod").is_file() else "golang-migrate")
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"`{p.name[:60]}`" for p in below(folder)[:5]) or "no files"
    fits = " and ".join(f"`{name}`" for name in found)
    message = f"{fits} fit the files of this folder." if found else f"No layout fits this folder: it holds {names}."
    known = ", ".join(("paired", *CHECKED))
    raise Refused("E-CONFIG", message, f"Say which with `--layout`: {known}. Nothing was started.")


def read_bytes(path: Path) -> bytes:
    """A migration file's bytes, read once. Raises Refused (E-FILE-MISSING): gone, unreadable or too large."""
    hint = "Put the file back and ask again. Nothing was started."
    try:
        if path.stat().st_size > LARGEST:
            raise Refused("E-FILE-MISSING", f"`{path.name}` has more than {LARGEST // 1_000_000} MB.", hint)
        return path.read_bytes()
    except OSError as error:
        why = (error.strerror or "unreadable").lower()
        raise Refused("E-FILE-MISSING", f"I cannot read `{path.name}`: {why}.", hint) from None


def find(migrations: Sequence[Migration], version: str) -> Migration | None:
    """The migration that a row of the history names: `011`, `011_subscriptions`, `011_subscriptions.sql` or 11.

    Raises Refused (E-HISTORY) where two files have that version.
    """
    word = version.removesuffix(".sql")
    for fits in (lambda m: m.name == word, lambda m: m.version == word, lambda m: number(m.version) == number(word)):
        found = [m for m in migrations if fits(m)]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(f"`{m.name}`" for m in found)
            raise Refused(
                "E-HISTORY",
                f"The history table says `{word[:60]}`, and {len(found)} migrations have that version: {names}.",
                "Give each migration a version of its own. Nothing was started.",
            )
    return None


def number(version: str) -> int | None:
    """`011` and `11` are the same version; None for what is no number."""
    return int(version) if version.isascii() and version.isdigit() else None


def forward_of(layout: Layout, applied: Iterable[str]) -> list[Migration]:
    """The migrations behind rows of the history table, in the order given. Raises Refused (E-FILE-MISSING)."""
    migrations, found = layout.migrations(), []
    for version in applied:
        migration = find(migrations, version)
        if migration is None:
            raise file_missing([version])
        found.append(migration)
    return found


def file_missing(names: Sequence[str]) -> Refused:
    """Applied, but in the history table only."""
    listed = ", ".join(f"`{name[:60]}`" for name in names)
    are = "are" if len(names) > 1 else "is"
    return Refused(
        "E-FILE-MISSING",
        f"{listed} {are} applied, but the migrations folder holds no file of that name.",
        "Use the folder of the version that is deployed. Nothing was started.",
    )


def nearest(word: str, names: Iterable[str]) -> list[str]:
    """At most three names that somebody may have meant, best first."""
    plain = {name.lower(): name for name in names}
    return [plain[near] for near in get_close_matches(word.lower(), plain, 3, 0.7)]
