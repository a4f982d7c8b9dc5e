"""Owners and privileges of what was dropped: a forward script gives what it says, not what was granted by hand since."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from psycopg import sql

from core import postgres, schema
from core.model import Json
from core.schema import Key, Snapshot
from core.schema_words import ACL_ITEM, LETTERS

GRANTED = {
    "table": "TABLE", "foreign table": "TABLE", "view": "TABLE", "materialized view": "TABLE", "sequence": "SEQUENCE",
    "function": "FUNCTION", "procedure": "PROCEDURE", "aggregate": "FUNCTION", "type": "TYPE", "domain": "DOMAIN",
    "schema": "SCHEMA",
}  # fmt: skip
OWNED = {
    **GRANTED,
    "view": "VIEW",
    "materialized view": "MATERIALIZED VIEW",
    "foreign table": "FOREIGN TABLE",
    "aggregate": "AGGREGATE",
}


def kept(before: Snapshot, lost: Iterable[Key]) -> list[list[str]]:
    """Owners and privileges of what is lost, as rows (kind, identity, facts) for the save's manifest."""
    names = {f"{key.kind} {key.identity}" for key in lost}
    return [
        [*key, text]
        for key, text in sorted(before.items())
        if key.kind in ("owner", "privileges") and key.identity in names
    ]


def give_back(conn: postgres.Connection, rows: Sequence[Sequence[str]], now: Snapshot) -> list[str]:
    """Owner and privileges of each object that is there again, as they were; one note for each that cannot be.

    Raises psycopg.Error where the role lacks the right to.
    """
    notes = []
    for kind, identity, text in rows:
        key, facts = Key(kind, identity), json.loads(text)
        if now.get(key) == text or not _there(now, facts["kind"], identity):
            continue
        subject = identity[len(facts["kind"]) + 1 :]
        for statement, role in _statements(conn, kind, facts, subject, json.loads(now.get(key, "{}"))):
            if role and not postgres.execute(conn, "SELECT to_regrole(%s) IS NOT NULL", role)[0][0]:
                notes.append(
                    f"the role `{schema.plain(role)}` is gone: its rights on `{schema.plain(subject)}` were not given back"
                )
            else:
                conn.execute(statement)
    return notes


def _there(now: Snapshot, kind: str, identity: str) -> bool:
    subject = identity[len(kind) + 1 :]
    return Key(kind, subject) in now or Key("column", subject) in now


def _statements(
    conn: postgres.Connection, kind: str, facts: Json, subject: str, now: Mapping[str, object]
) -> Iterator[tuple[sql.SQL, str]]:
    """What brings the rights about, and the role that it names (as SQL writes it; empty for PUBLIC)."""
    of = facts["kind"]
    if kind == "owner":
        if of in OWNED:
            owner = facts["value"]
            yield sql.SQL(f"ALTER {OWNED[of]} {subject} OWNER TO {owner}"), owner
        return
    column = ""
    if of == "column":
        *table, name = schema.names(subject)
        column, target = f" ({sql.Identifier(name).as_string(conn)})", f"TABLE {sql.Identifier(*table).as_string(conn)}"
    elif of in GRANTED:
        target = f"{GRANTED[of]} {subject}"
    else:
        return
    held: object = now.get("privileges", [])
    for who, letters in _items(held if isinstance(held, list) else []):
        for privilege, _ in _each(letters):
            yield sql.SQL(f"REVOKE {privilege}{column} ON {target} FROM {who or 'PUBLIC'}"), who
    for who, letters in _items(facts["privileges"]):
        for privilege, option in _each(letters):
            more = " WITH GRANT OPTION" if option else ""
            yield sql.SQL(f"GRANT {privilege}{column} ON {target} TO {who or 'PUBLIC'}{more}"), who


def _items(privileges: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Grantee and letters of each `grantee=letters/grantor`."""
    for one in privileges:
        if match := ACL_ITEM.match(one):
            yield match[1], match[2]


def _each(letters: str) -> Iterator[tuple[str, bool]]:
    """Privileges, and whether they may be passed on."""
    for match in re.finditer(r"([A-Za-z])(\*?)", letters):
        if match[1] in LETTERS:
            yield LETTERS[match[1]], bool(match[2])
