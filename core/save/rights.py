"""Owners and privileges of what was dropped: a forward script gives what it says, not what was granted by hand since."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from core import postgres, schema
from core.schema import Key, Snapshot
from core.schema_words import ACL_ITEM, LETTERS, table_part

ALIKE = (
    "view", "materialized view", "foreign table", "sequence", "function", "procedure", "type", "domain", "schema", "language",
    "foreign data wrapper", "publication", "statistics", "operator", "operator class", "operator family", "collation",
    "conversion", "event trigger", "text search dictionary", "text search configuration", "aggregate", "table",
)  # fmt: skip
OWNED = {kind: kind.upper() for kind in ALIKE} | {"foreign server": "SERVER"}
GRANTED = {
    kind: kind.upper()
    for kind in ("table", "sequence", "function", "procedure", "type", "domain", "schema", "language", "foreign data wrapper", "foreign server")
} | {"view": "TABLE", "materialized view": "TABLE", "foreign table": "TABLE", "aggregate": "FUNCTION"}  # fmt: skip
RELATIONS = ("table", "view", "materialized view", "foreign table")


@dataclass(frozen=True)
class Grant:
    """One privilege on one object, as SQL writes its parts; an empty `who` is PUBLIC. `by`: who gave it."""

    subject: str
    target: str
    privilege: str
    who: str
    by: str
    option: bool

    @property
    def statement(self) -> sql.SQL:
        more = " WITH GRANT OPTION" if self.option else ""
        return sql.SQL(f"GRANT {self.privilege} ON {self.target} TO {self.who or 'PUBLIC'}{more}")


def kept(before: Snapshot, lost: Iterable[Key]) -> list[list[str]]:
    """Owners and privileges of what is lost, or has others now, as rows (kind, identity, facts) for the save's manifest."""
    gone = {*lost}
    names = {f"{key.kind} {key.identity}" for key in gone}
    return [
        [*key, text]
        for key, text in sorted(before.items())
        if key.kind in ("owner", "privileges") and (key in gone or key.identity in names)
    ]


def give_back(conn: postgres.Connection, rows: Sequence[Sequence[str]], now: Snapshot) -> list[str]:
    """Owner and privileges of each object that is there again, as they were; one note for each that cannot be.

    Raises psycopg.Error where something else is wrong than a right that the role lacks.
    """
    work = _Work(conn, now)
    todo = [
        (Key(kind, identity), json.loads(text)) for kind, identity, text in rows if now.get(Key(kind, identity)) != text
    ]
    for key, facts in todo:
        if key.kind == "owner":
            work.owner(facts["kind"], key.identity[len(facts["kind"]) + 1 :], facts["value"])
    for key, facts in todo:
        if key.kind == "privileges":
            work.privileges(facts["kind"], key.identity[len(facts["kind"]) + 1 :], facts["privileges"])
    return list(dict.fromkeys(work.notes))


class _Work:
    def __init__(self, conn: postgres.Connection, now: Snapshot) -> None:
        self.conn, self.now = conn, now
        self.notes: list[str] = []
        self.owners: dict[str, str] = {}

    def owner(self, kind: str, subject: str, owner: str) -> None:
        facts = json.loads(self.now.get(Key(kind, subject), "null"))
        if (
            facts is None or kind not in OWNED or "owning column" in facts
        ):  # such a sequence belongs to its table's owner
            return
        if self._known(owner, subject):
            name = subject if kind != "operator" or "," in subject else subject.replace("(", "(NONE, ")
            if self._may(sql.SQL(f"ALTER {OWNED[kind]} {name} OWNER TO {owner}")):
                self.owners[f"{kind} {subject}"] = owner
            else:
                self.notes.append(f"`{schema.plain(subject)}` was not given back to `{schema.plain(owner)}`: I may not")

    def privileges(self, kind: str, subject: str, items: Sequence[str]) -> None:
        """What is held now goes, what was held comes: first what the owner gave, then what others gave on."""
        owned, target, column = self._target(kind, subject)
        if not target:
            return
        held = json.loads(self.now.get(Key("privileges", f"{kind} {subject}"), "{}")).get("privileges", [])
        owner = json.loads(self.now.get(Key("owner", owned), "{}")).get("value", "")
        whose = {owner, self.owners.get(owned, owner)} - {""}
        for who in sorted({who for who, _, _ in _items(held)} | whose):
            every = f"ALL{f' ({column})' if column else ''}"
            self._may(sql.SQL(f"REVOKE {every} ON {target} FROM {who or 'PUBLIC'} CASCADE"))
        grants = list(_grants(items, subject, target, column))
        waiting = [one for one in grants if self._known(one.who, subject) and self._known(one.by, subject)]
        while waiting:
            left = [one for one in waiting if not self._given(one, whose)]
            if len(left) == len(waiting):
                break
            waiting = left
        for one in waiting:
            self.notes.append(
                f"{one.privilege} on `{schema.plain(subject)}` for `{schema.plain(one.who or 'PUBLIC')}` was not given back:"
                f" only `{schema.plain(one.by)}` can give it"
            )

    def _given(self, grant: Grant, owners: Iterable[str]) -> bool:
        if grant.by in owners or not {*owners}:
            return self._may(grant.statement)
        return self._may(sql.SQL(f"SET LOCAL ROLE {grant.by}"), grant.statement, sql.SQL("RESET ROLE"))

    def _target(self, kind: str, subject: str) -> tuple[str, str, str]:
        """Whose owner counts, what stands after ON, and the column; nothing where the object is not there."""
        if kind == "column":
            table = table_part(subject)
            there = [one for one in RELATIONS if Key(one, table) in self.now]
            return (f"{there[0]} {table}", f"TABLE {table}", subject[len(table) + 1 :]) if there else ("", "", "")
        found = Key(kind, subject) in self.now and kind in GRANTED
        return (f"{kind} {subject}", f"{GRANTED[kind]} {subject}", "") if found else ("", "", "")

    def _known(self, role: str, subject: str) -> bool:
        """Is the role (as SQL writes it; empty for PUBLIC) still there?"""
        there = not role or postgres.execute(self.conn, "SELECT to_regrole(%s) IS NOT NULL", role)[0][0]
        if not there:
            self.notes.append(
                f"the role `{schema.plain(role)}` is gone: its rights on `{schema.plain(subject)}` were not given back"
            )
        return bool(there)

    def _may(self, *statements: sql.SQL) -> bool:
        """Do it all, where the role may."""
        try:
            with self.conn.transaction():
                for statement in statements:
                    self.conn.execute(statement)
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidGrantOperation):
            return False
        return True


def _items(privileges: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Grantee, letters and grantor of each `grantee=letters/grantor`."""
    for one in privileges:
        if match := ACL_ITEM.match(one):
            yield match[1], match[2], match[3]


def _grants(privileges: Iterable[str], subject: str, target: str, column: str) -> Iterator[Grant]:
    for who, letters, by in _items(privileges):
        for match in re.finditer(r"([A-Za-z])(\*?)", letters):
            if match[1] in LETTERS:
                privilege = f"{LETTERS[match[1]]}{f' ({column})' if column else ''}"
                yield Grant(subject, target, privilege, who, by, bool(match[2]))
