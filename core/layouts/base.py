"""What the adapters have in common: one table with a row for each migration, unless an adapter says otherwise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from core import git, layouts
from core.errors import Refused
from core.git_folder import GitFolder
from core.layouts import Applied, Connection, History, Migration, rows, table
from core.layouts.table import Needs, Table
from core.model import Json
from core.schema_words import names

if TYPE_CHECKING:
    from core.applied.stored import Stored


class Adapter(ABC):
    """An adapter of the port `Layout`, which says what each of these does. Files are read afresh at every call."""

    name: ClassVar[str]
    history_table: ClassVar[str]
    """The table's usual name."""
    needs: ClassVar[Needs]
    """The columns that the table must have, each with the types that it may have."""
    column: ClassVar[str] = "version"
    row_each: ClassVar[bool] = True

    def __init__(self, folder: Path | GitFolder, named: str | None = None) -> None:
        """`named`: another history table than the usual one, `name` or `schema.name`."""
        self._folder = folder
        self.table = names(named) if named else (self.history_table,)
        self.stored: Stored | None = None

    @cached_property
    def _read_from(self) -> tuple[Path, str]:
        """Folder and commit, one for the life of the adapter. git is asked where files are read, and not for the table."""
        return git.checkout(self._folder) if isinstance(self._folder, GitFolder) else (self._folder, "")

    @property
    def folder(self) -> Path:
        """Where the files are. Raises Refused."""
        return self._read_from[0]

    @property
    def commit(self) -> str:
        return self._read_from[1]

    @abstractmethod
    def fits(self) -> bool: ...

    @abstractmethod
    def read(self) -> list[Migration]: ...

    @abstractmethod
    def applied(self, conn: Connection, found: Table) -> list[Applied]:
        """The rows of the table in the tool's order, oldest first. Raises Refused (E-HISTORY, E-RIGHTS)."""

    def order(self, one: Migration) -> Any:
        """Its place among the others, as `read` puts them."""
        return int(one.version), one.name

    def migrations(self) -> list[Migration]:
        return self.stored.beside(self._of_the_folder(), self.order) if self.stored else self._of_the_folder()

    def _of_the_folder(self) -> list[Migration]:
        if not self.folder.is_dir():
            if self.stored and not self.commit:  # a folder may be gone; of a commit, another one was meant
                return []
            lacks = (
                f"Commit `{self.commit[:12]}` has no such folder"
                if self.commit
                else "The migrations folder does not exist"
            )
            raise Refused("E-FILE-MISSING", f"{lacks}.", "The setting `migrations` names it. Nothing was started.")
        others = [] if self.fits() else layouts.fitting(self.folder)
        if others:
            theirs = " or ".join(f"`{name}`" for name in others)
            message = f"The files of the migrations folder have the layout {theirs}, not `{self.name}`."
            raise Refused("E-CONFIG", message, f'Set `layout = "{others[0]}"` for this target. Nothing was started.')
        return self.read()

    def history(self, conn: Connection) -> History:
        found = table.only(conn, self.name, self.table, self.needs)
        return table.history(found, self.applied(conn, found))

    def untrack(self, conn: Connection, history: History, version: str) -> Json:
        return rows.exactly_one(rows.take(conn, history, self.column, version), history, version)

    def track(self, conn: Connection, history: History, version: str, row: Json) -> None:
        rows.put(conn, history, self.column, version, [row])

    def lock_keys(self, conn: Connection, history: History) -> tuple[int, ...]:
        return ()
