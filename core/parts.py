"""What a rollback is cut into: one transaction, unless a statement cannot run in one.

A statement that runs by itself cannot commit with a marker. So the catalogs are asked how far it is: before it, after it,
and whenever somebody wants to know later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, LiteralString

from core import postgres
from core.model import Json

Progress = Literal["left", "begun", "done"]
Statements = Sequence[tuple[str, Json]]
"""File and statement, in the order in which they run."""
PROBES: Mapping[str, LiteralString] = {
    "drop index": """
        SELECT indisvalid, indrelid, indexrelid FROM pg_catalog.pg_index WHERE indexrelid = to_regclass(%(name)s)""",
    "create index": """
        SELECT i.indisvalid, i.indrelid, i.indexrelid
          FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
         WHERE i.indrelid = to_regclass(%(table)s) AND c.relname = %(name)s""",
    "detach partition": """
        SELECT NOT inhdetachpending, inhparent, inhrelid FROM pg_catalog.pg_inherits
         WHERE inhrelid = to_regclass(%(name)s) AND inhparent = to_regclass(%(table)s)""",
}
"""Is it whole, its table, and itself; no row where it is not there."""
QUALIFIED: LiteralString = """
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %s"""


@dataclass(frozen=True)
class Part:
    """Statements that take effect together, or one that runs by itself (`alone`). `number`: from 1; `of`: how many there are.

    `versions`: the migrations whose last statement this is, newest first; they leave the history table with it.
    """

    number: int
    of: int
    statements: Statements
    versions: tuple[str, ...] = ()
    alone: Json | None = None

    @property
    def mark(self) -> str:
        """What its marker is called besides the run; the only part of a rollback has no name of its own."""
        return f"+{self.number}" if self.of > 1 else ""

    def __str__(self) -> str:
        """For people: `DROP INDEX "i"`, "the transaction of 3 statements and the history row `012`"."""
        if self.alone:
            return f"`{' '.join(self.statements[0][1]['sql'].split())[:100]}`"
        ran = f"{len(self.statements)} statement{'s' if len(self.statements) != 1 else ''}"
        rows = ", ".join(f"`{version}`" for version in self.versions)
        history = f"history row{'s' if len(self.versions) != 1 else ''} {rows}" if rows else ""
        return f"a transaction: {' and '.join(word for word in (ran if self.statements else '', history) if word)}"


def cut(undo: Sequence[Json]) -> list[Part]:
    """What `identify` found, newest first, as parts in the order in which they run."""
    parts: list[tuple[list[tuple[str, Json]], list[str], Json | None]] = []
    for item in undo:
        for statement in item["script"]["statements"]:
            alone = statement.get("alone")
            if alone or not parts or parts[-1][2]:
                parts.append(([], [], alone))
            parts[-1][0].append((item["script"]["file"], statement))
        if not parts or parts[-1][2]:
            parts.append(([], [], None))
        parts[-1][1].append(item["version"])
    return [
        Part(number, len(parts), tuple(statements), tuple(versions), alone)
        for number, (statements, versions, alone) in enumerate(parts, 1)
    ]


def probe(conn: postgres.Connection, alone: Json) -> tuple[Progress, str, str]:
    """How far a statement is that runs by itself; its table and its index or partition, qualified, where they are there."""
    found = conn.execute(PROBES[alone["kind"]], alone).fetchone()
    makes = alone["kind"] == "create index"
    if found is None:
        return ("left" if makes else "done"), alone["table"], ""
    table, own = (postgres.execute(conn, QUALIFIED, oid)[0][0] for oid in found[1:])
    return ("begun" if not found[0] else "done" if makes else "left"), table, own


def to_run(alone: Json, sql: str, so_far: Progress, own: str) -> list[str]:
    """The statements that do it, or end it where it was begun, as PostgreSQL's documentation has it for each kind."""
    if so_far == "begun" and alone["kind"] == "create index":
        return [f"DROP INDEX CONCURRENTLY {own}", sql]
    if so_far == "begun" and alone["kind"] == "detach partition":
        return [f"ALTER TABLE {alone['table']} DETACH PARTITION {own} FINALIZE"]
    return [sql]


def inside(statement: Json) -> bytes:
    """A statement as it runs in a transaction."""
    return str(statement["alone"]["inside"] if statement.get("alone") else statement["sql"]).encode()
