"""The forward scripts of the migrations that a rollback undoes: what re-apply runs, and what its rehearsal needs to know."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from core import layouts
from core.errors import Refused
from core.layouts import Layout
from core.model import Json
from core.script import Script, read

DEFINES = re.compile(r"(CREATE|ALTER|DROP|COMMENT|GRANT|REVOKE|SET|RESET|SECURITY|REINDEX|ANALYZE)\b")
"""Statements that fill in nothing that depends on rows."""
SELECTS = re.compile(r"\bselect\b", re.IGNORECASE)


@dataclass(frozen=True)
class Forward:
    """The scripts, oldest migration first, with the version of each."""

    scripts: tuple[tuple[str, Script], ...]

    @property
    def statements(self) -> list[tuple[str, Json]]:
        """File and statement, in the order in which they run."""
        return [(script.name, s.told()) for _, script in self.scripts for s in script.statements]

    @property
    def derived(self) -> bool:
        """May something that they fill in stem from rows that are there? Plain INSERT … VALUES does not."""
        return any(
            not DEFINES.match(one["kind"]) and (one["kind"] != "INSERT" or SELECTS.search(one["sql"]))
            for _, one in self.statements
        )


def forward(layout: Layout, undo: Sequence[Json]) -> Forward:
    """Of what a rollback undoes (`identify`'s list, newest first). Raises Refused: missing, or not fit to run in a transaction."""
    found = []
    for item, migration in zip(
        reversed(undo), layouts.forward_of(layout, [one["version"] for one in reversed(undo)]), strict=True
    ):
        if migration.forward is None:
            raise Refused(
                "E-FILE-MISSING",
                f"The forward migration of `{migration.name}` is missing.",
                "Put the file back and ask again.",
            )
        # no history table is named: a forward script may write its own row, a rollback script may not
        found.append((item["version"], read(migration.forward.shown, migration.forward.data, history_table="")))
    return Forward(tuple(found))
