"""What a scratch server lacks of a target: its extensions and roles, and what that means for a proof."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql

from core import postgres
from core.pgtools import Tools
from core.postgres import Connection
from core.schema import Change

DEPENDENTS: LiteralString = """
    WITH RECURSIVE wanted AS (
        SELECT oid, extname FROM pg_extension WHERE extname = ANY(%s)
    ), own AS (
        SELECT classid, objid, extname FROM pg_depend d JOIN wanted w ON d.refobjid = w.oid
         WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
        UNION
        SELECT d.classid, d.objid, o.extname FROM pg_depend d
          JOIN own o ON d.refclassid = o.classid AND d.refobjid = o.objid
         WHERE d.deptype IN ('a', 'i', 'P', 'S')
    ), itself AS (
        SELECT classid, objid, extname FROM own UNION ALL SELECT 'pg_extension'::regclass, oid, extname FROM wanted
    )
    SELECT DISTINCT i.extname FROM pg_depend d
      JOIN itself i ON d.refclassid = i.classid AND d.refobjid = i.objid
     WHERE NOT EXISTS (SELECT FROM itself o WHERE o.classid = d.classid AND o.objid = d.objid)"""
"""Extensions on which something of somebody else's depends. What an object of theirs brought along (its array type,
its index, a view's rule) is theirs too: pg_depend's `a` and `i`, see PostgreSQL's documentation of that catalog."""

MEMBERS: LiteralString = """
    SELECT n.nspname, coalesce(c.relname, p.proname), p.oid IS NOT NULL FROM pg_depend d
      JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
      LEFT JOIN pg_class c ON c.oid = d.objid AND d.classid = 'pg_class'::regclass
      LEFT JOIN pg_proc p ON p.oid = d.objid AND d.classid = 'pg_proc'::regclass
      JOIN pg_namespace n ON n.oid = coalesce(c.relnamespace, p.pronamespace)
     WHERE e.extname = ANY(%s)"""
"""Tables, views, sequences and routines of an extension: pg_dump takes rows that are settings, and later grants."""


@dataclass(frozen=True)
class Lacking:
    """Extensions of the target that the scratch server has not got, or only in another version.

    `needed`: the schema or a script uses them. `left_out`: nothing does, so the copy goes without them.
    `other`: name -> (version of the target, version of the scratch server). `members`: schema, name and
    whether it is a routine, of what those left out brought.
    """

    needed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    other: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    members: tuple[tuple[str, str, bool], ...] = ()

    def notes(self) -> tuple[str, ...]:
        """One sentence each, for the evidence."""
        return (
            *(
                f"the extension {name} is not in the copy: the scratch server lacks it, and no object of the schema "
                "needs it (what a function's body calls cannot be told)"
                for name in self.left_out
            ),
            *(
                f"the extension {name} is {version} on the scratch server, {own} on the target"
                for name, (own, version) in sorted(self.other.items())
            ),
        )

    def explains(self, change: Change) -> bool:
        """Is this difference between the target and its copy the one that the notes tell?"""
        whose = change.object if change.kind == "extension" else change.object.removeprefix("extension ")
        told = change.kind == "extension" or (change.kind == "comment" and whose != change.object)
        return told and whose.strip('"') in {*self.left_out, *self.other}

    def without(self, listing: str) -> str:
        """pg_restore's table of contents, without the entries of what is left out.

        An entry is `id; catalog oid TYPE schema name owner` (PostgreSQL's pg_backup_archiver.c, PrintTOCSummary).
        """
        if not self.left_out:
            return listing
        names = "|".join(map(re.escape, self.left_out))
        kinds = [rf"(?:EXTENSION|COMMENT) - (?:EXTENSION )?(?:{names}) "]
        for schema, name, routine in self.members:
            inside, end = re.escape(schema), rf"{re.escape(name)}{'[(]' if routine else ' '}"
            kinds.append(rf"ACL {inside} [A-Z]+ {end}" if routine else rf"ACL {inside} (?:TABLE|SEQUENCE) {end}")
            kinds += [] if routine else [rf"(?:TABLE DATA|SEQUENCE SET) {inside} {end}"]
        entry = re.compile(rf"^\d+; \d+ \d+ (?:{'|'.join(kinds)})")
        return "".join(line for line in listing.splitlines(keepends=True) if not entry.match(line))


def only(tools: Tools, archive: Path, lacking: Lacking, folder: Path) -> list[str]:
    """Options of pg_restore that leave out what the scratch server lacks; a list goes to `folder`."""
    command = [str(tools.folder / "pg_restore"), "-l", str(archive)]
    return listed(
        lambda: subprocess.run(command, capture_output=True, check=True, env={"LC_ALL": "C"}).stdout, lacking, folder
    )


def listed(listing: Callable[[], bytes], lacking: Lacking, folder: Path) -> list[str]:
    """The same, from an archive's table of contents, which is asked for where it is needed."""
    if not lacking.left_out:
        return []
    file = folder / "list"
    file.write_bytes(entries(listing(), lacking))
    return ["-L", str(file)]


def entries(listing: bytes, lacking: Lacking) -> bytes:
    """The lines of a table of contents, as `pg_restore -l` prints it, without what belongs to what is lacking."""
    return lacking.without(listing.decode(errors="surrogateescape")).encode(errors="surrogateescape")


def present(conn: Connection) -> dict[str, str]:
    """Extensions of a database, with their versions; plpgsql, which every server has, is left out."""
    return dict(postgres.execute(conn, "SELECT extname, extversion FROM pg_extension WHERE extname <> 'plpgsql'"))


def available(conn: Connection) -> dict[str, str]:
    """Extensions that a database of this server could have, with the version that it would get."""
    return dict(postgres.execute(conn, "SELECT name, default_version FROM pg_available_extensions"))


def unknown(url: str, names: Collection[str]) -> set[str]:
    """Those of the extensions that a scratch server has not got. Raises StepFailed(E-SCRATCH)."""
    with postgres.trouble("look at the scratch server"), postgres.connect(url, "rollback-bot") as conn:
        return set(names) - available(conn).keys()


def lacking(target: Connection, scratch: Connection, scripts: Sequence[str]) -> Lacking:
    """Compare the two. An extension that a script names counts as needed."""
    there, here = present(target), available(scratch)
    missing = sorted(there.keys() - here.keys())
    used = {row[0] for row in postgres.execute(target, DEPENDENTS, missing)} if missing else set()
    used |= {name for name in missing if any(names(text, name) for text in scripts)}
    left_out = tuple(name for name in missing if name not in used)
    members = postgres.execute(target, MEMBERS, list(left_out)) if left_out else []
    other = {name: (there[name], here[name]) for name in there.keys() & here.keys() if there[name] != here[name]}
    return Lacking(tuple(sorted(used)), left_out, other, tuple((row[0], row[1], row[2]) for row in members))


def names(text: str, extension: str) -> bool:
    """Does a script hold the extension's name as a word of its own?"""
    return bool(re.search(rf"(?<![\w-]){re.escape(extension)}(?![\w-])", text, re.IGNORECASE))


def introduce_roles(target: Connection, scratch: Connection) -> None:
    """Give a throw-away server the target's roles, without any right, so that owners and privileges can be restored."""
    query: LiteralString = "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_'"
    known = {row[0] for row in postgres.execute(scratch, query)}
    for (name,) in postgres.execute(target, query):
        if name not in known:
            try:
                scratch.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name)))
            except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
                continue  # another proof was faster
