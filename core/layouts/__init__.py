"""How a project keeps its migrations: the port that each adapter fills.

An adapter reads migration files and the history table, takes the row of one migration out of it, and puts it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import psycopg

from core.errors import Refused
from core.git_folder import GitFolder
from core.model import Json
from core.settings import LAYOUTS

if TYPE_CHECKING:
    from core.layouts.base import Adapter
    from core.settings import Target

Connection = psycopg.Connection[tuple[Any, ...]]
LARGEST = 50_000_000  # bytes of one file
Transaction = Literal["always", "never", "whole file", "free"]
"""How the project's own tool runs a script: in a transaction of the tool's; statement by statement outside of one; the
whole file as one message, which PostgreSQL treats as one transaction unless it is a single statement; not known."""


@dataclass(frozen=True)
class Part:
    """One direction of a migration. `file`: its name below the folder; `data`: its bytes, other sections blanked out.

    `stored`: the audit trail has it, and the folder no longer. `was`: the SHA-256 that it had when it was applied, where it
    was edited since.
    """

    file: str
    data: bytes
    transaction: Transaction = "free"
    stored: bool = False
    was: str = ""

    @property
    def shown(self) -> str:
        """Its name for people: every rollback script of `paired` is in the folder `rollback`."""
        return self.file.removeprefix("rollback/")


@dataclass(frozen=True)
class Migration:
    """One migration as the files know it: version `011`, name `011_subscriptions`, both scripts. A missing one is None.

    `irreversible`: why there is no rollback script, where the layout has a way to declare that. `refused`: why its files
    cannot be read as the tool would read them, as a sentence without its full stop.
    """

    version: str
    name: str
    forward: Part | None = None
    rollback: Part | None = None
    irreversible: str = ""
    refused: str = ""


@dataclass(frozen=True)
class Applied:
    """One row of the history table. `version` is exactly the stored value, as text; `applied_at` where it is kept."""

    version: str
    applied_at: datetime | None = None


@dataclass(frozen=True)
class History:
    """The history table: its qualified name (quoted where SQL needs it), its schema and name, rows oldest first."""

    table: str
    schema: str
    name: str
    applied: tuple[Applied, ...]


class Layout(Protocol):
    """What every adapter offers."""

    @property
    def name(self) -> str:
        """One of LAYOUTS."""

    @property
    def column(self) -> str:
        """The column of the history table that holds a version."""

    @property
    def folder(self) -> Path:
        """Where the files are. Raises Refused, of a git repository."""

    @property
    def commit(self) -> str:
        """The commit that the folder is read from, where it is one of a git repository; else empty. Raises Refused."""

    @property
    def row_each(self) -> bool:
        """Does the table keep a row for each migration? Else it keeps the current version, and only the newest can go."""

    def fits(self) -> bool:
        """Do the files of the folder look like this layout's? Raises Refused (E-FILE-MISSING)."""

    def read(self) -> list[Migration]:
        """All migrations, oldest first, whatever the layout of the folder is. Raises Refused (E-FILE-MISSING)."""

    def migrations(self) -> list[Migration]:
        """The same, with the scripts that only the audit trail has.

        Raises Refused: E-FILE-MISSING, E-CONFIG (the files are those of another layout), E-LEDGER.
        """

    def history(self, conn: Connection) -> History:
        """The history table as it is now, in the order in which the tool itself would undo. Raises Refused:

        E-HISTORY: no table, several, another tool's, an unknown shape, or a state that the tool would not go on from;
        E-RIGHTS: it may not be read; of golang-migrate also as `migrations`.
        """

    def untrack(self, conn: Connection, history: History, version: str) -> Json:
        """Take one migration out of the history, in the caller's transaction; all that `track` needs to put it back.

        Raises StepFailed (E-EXECUTE) unless exactly that happened; the caller undoes the transaction.
        """

    def track(self, conn: Connection, history: History, version: str, row: Json) -> None:
        """Put back what `untrack` took, in the caller's transaction, after the forward script: it may have written the
        row again. Columns that have appeared since keep what the script wrote, or their default.

        Raises StepFailed (E-EXECUTE) unless exactly that is there afterwards; the caller undoes the transaction. Of
        golang-migrate, which looks up the version before, also as `migrations`.
        """

    def lock_keys(self, conn: Connection, history: History) -> tuple[int, ...]:
        """The advisory locks that the tool holds while it migrates, as signed 64-bit numbers.

        Raises StepFailed (E-BUSY) where the tool keeps its lock in another way and holds it now.
        """


def of(target: Target) -> Layout:
    """The adapter of a target, with what the audit trail keeps of it. Raises Refused (E-CONFIG)."""
    found = adapter(target.layout)(target.migrations, target.history_table)
    found.stored = target.stored
    return found


def layout_for(folder: Path | GitFolder, name: str = "paired", table: str | None = None) -> Layout:
    """The adapter of that name for that folder. `table`: the history table, where it is not the tool's usual one.

    Raises Refused (E-CONFIG).
    """
    return adapter(name)(folder, table)


def adapter(name: str) -> type[Adapter]:
    """The class of that name. Raises Refused (E-CONFIG)."""
    from core.layouts import dbmate, diesel, golang_migrate, goose, paired, sqlx

    classes = (
        paired.Paired,
        golang_migrate.GolangMigrate,
        diesel.Diesel,
        goose.Goose,
        dbmate.Dbmate,
        sqlx.Sqlx,
    )
    found: dict[str, type[Adapter]] = {one.name: one for one in classes}
    if name not in found:
        known = ", ".join(f"`{layout}`" for layout in LAYOUTS)
        raise Refused("E-CONFIG", f"I know no layout `{name[:60]}`.", f"I know {known}. Nothing was started.")
    return found[name]


def fitting(folder: Path) -> list[str]:
    """The layouts that a folder's files may have. Raises Refused (E-FILE-MISSING)."""
    return [name for name in LAYOUTS if layout_for(folder, name).fits()]


def detect(folder: Path) -> str:
    """The layout that a folder's files have. Raises Refused (E-CONFIG): none fits, or several do."""
    from core.layouts.files import below

    found = fitting(folder)
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
    known = ", ".join(LAYOUTS)
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
