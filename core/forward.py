"""The forward scripts of the migrations that a rollback undoes: what re-apply runs, and what its rehearsal needs to know."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from core import layouts
from core.errors import Refused
from core.layouts import Layout
from core.model import Json
from core.script import Script, Statement, parsed, read

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
    def derived(self) -> list[str]:
        """Tables (names without schema) that they may fill from rows that are there, and `*` where that cannot be told.

        Plain INSERT … VALUES puts in the same rows whatever there is.
        """
        found: set[str] = set()
        for _, script in self.scripts:
            for statement, node in parsed(script.name, script.text.encode()):
                found |= _filled(statement, node, found)
        return sorted(found)


def _filled(statement: Statement, node: Any, before: Collection[str]) -> set[str]:
    """The tables that one statement fills from rows; `before`: those that were filled before it."""
    name = (node.WhichOneof("node") or "") if node is not None else ""
    tree: Any = getattr(node, name) if name else None
    if name == "create_table_as_stmt":
        return {str(tree.into.rel.relname)}
    if name == "rename_stmt" and str(tree.relation.relname) in before:
        return {str(tree.newname)}
    if DEFINES.match(statement.kind) or name == "delete_stmt":
        return set()
    if name not in ("insert_stmt", "update_stmt", "merge_stmt") or tree.HasField("with_clause"):
        return {"*"}
    if name == "insert_stmt" and not SELECTS.search(statement.sql):
        rows = tree.select_stmt.select_stmt.values_lists if tree.HasField("select_stmt") else ["DEFAULT VALUES"]
        return set() if rows else {str(tree.relation.relname)}  # INSERT … TABLE reads rows without that word
    return {str(tree.relation.relname)}


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
