"""A snapshot of everything that a migration can change in a database, and the difference between two.

Read from the catalogs of PostgreSQL 14 to 18 (https://www.postgresql.org/docs/current/catalogs.html) by the queries
in `core/sql/schema`. Never compare snapshots of different majors: they print the same definition in other words.

Left out: what an extension brought (its version stands for it), pg_catalog, information_schema, TOAST and temporary
schemas, our own `rollback_bot` and `rollback_rehearsal`, roles, tablespaces, large objects, and everything that is
data: the values of sequences, whether a materialized view is populated. Passwords never leave the server.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, LiteralString, NamedTuple
from weakref import WeakKeyDictionary

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from core import schema_words as words
from core.schema_words import names, plain

__all__ = ["Change", "Key", "Snapshot", "difference", "fingerprint", "names", "plain", "snapshot", "without"]


class Key(NamedTuple):
    """What a definition belongs to. `identity` is qualified and quoted as in SQL: `public."Odd name".id`."""

    kind: str
    identity: str


Snapshot = Mapping[Key, str]
"""Definition by key. A definition is a JSON object of facts: deterministic, without OIDs, comparable as text."""


@dataclass(frozen=True)
class Change:
    """One difference. `object` is the key's identity, `table` the qualified table that it belongs to, itself if it is one.

    `harmful` changes what statements do; `cosmetic` is told for completeness.
    """

    kind: str
    object: str
    change: Literal["missing", "added", "different"]
    severity: Literal["harmful", "cosmetic"]
    message: str
    table: str | None


TABLES = ("table", "foreign table")
PARTS = ("column", "column order", "constraint", "trigger", "policy", "rule")
"""Kinds whose identity starts with the table's."""
ASPECTS: Mapping[str, tuple[str, ...]] = {
    "privileges": ("privileges", "default privileges"),
    "settings": ("settings", "subscription"),
}
"""What `without` takes by one name: a restored copy has no settings of the database itself, and no live subscription."""
PRINTED = ("constraint", "domain constraint", "index", "trigger", "rule", "view", "materialized view", "statistics")
"""Kinds whose definition a function prints: it prints NULL when the object was dropped meanwhile."""
ATTEMPTS = 6
PLANNED = WeakKeyDictionary[psycopg.Connection[Any], frozenset[str]]()
"""Connections that keep a plan, and the seldom kinds that are in it."""
MARK = "seldom"
PAUSE = 0.03
"""Seconds before the second attempt, twice as much before the third, and so on."""


def snapshot(conn: psycopg.Connection[Any]) -> dict[Key, str]:
    """Everything as one statement sees it: in the open transaction, with its own uncommitted changes, else in one of
    its own (REPEATABLE READ, READ ONLY). All settings and locks end with the call; the plan of its query stays.

    Views and SQL-standard function bodies are printed under ACCESS SHARE on what they read: `lock_timeout` of the
    caller holds. A drop by somebody else during the call is answered by another attempt; in the caller's own
    REPEATABLE READ transaction that cannot help, and psycopg.errors.InternalError_ comes out. Raises psycopg.Error.
    """
    own = conn.info.transaction_status == TransactionStatus.IDLE
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with conn.transaction(force_rollback=True):
                if own:
                    conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                return read(conn)
        except psycopg.errors.InvalidSqlStatementName:
            PLANNED.pop(conn, None)  # a script has deallocated it
        except psycopg.errors.InternalError_:
            # "cache lookup failed": the functions that print definitions see a drop that our statement does not.
            if attempt == ATTEMPTS:
                raise
            time.sleep(PAUSE * attempt)
    raise AssertionError("unreachable")


def read(conn: psycopg.Connection[Any]) -> dict[Key, str]:
    """The snapshot, inside a transaction or savepoint that the caller takes back.

    By a plan that the connection keeps: making it takes half of the time. Not by psycopg's own prepared statements, which
    it deallocates, together with everybody else's, after each DROP.
    """
    found: dict[Key, str] = {}
    with conn.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(query("_settings"), prepare=False)
        for kind, identity, facts, owner, privileges in rows(conn, cursor):
            if kind in PRINTED and facts is not None and '"definition"' not in facts:
                raise psycopg.errors.InternalError_(f"a {kind} was dropped while it was read")
            if facts is not None:
                found[Key(kind, identity)] = words.canonical(facts)
            if owner is None and not privileges:
                continue
            about = {"kind": kind, "table": table_of(kind, identity, facts)}
            if owner is not None:
                found[Key("owner", f"{kind} {identity}")] = json.dumps({**about, "value": owner})
            if privileges is not None:
                found[Key("privileges", f"{kind} {identity}")] = json.dumps({**about, "privileges": sorted(privileges)})
    return found


def rows(conn: psycopg.Connection[Any], cursor: psycopg.Cursor[Any]) -> list[tuple[Any, ...]]:
    """What the queries give. The kinds that few databases have are left out, which halves the time of planning, but the
    same statement says whether there are any: then it is asked again, with them. So it is one statement that sees it all.
    """
    while True:
        if conn not in PLANNED:
            cursor.execute(f"PREPARE rollback_bot_schema AS {everything()}", prepare=False)
            PLANNED[conn] = frozenset()
        answer = cursor.execute("EXECUTE rollback_bot_schema", prepare=False).fetchall()
        more = {row[1] for row in answer if row[0] == MARK}
        if not more:
            return answer
        kinds = PLANNED.pop(conn) | more
        cursor.execute("DEALLOCATE rollback_bot_schema", prepare=False)
        cursor.execute(f"PREPARE rollback_bot_schema AS {everything(kinds)}", prepare=False)
        PLANNED[conn] = kinds


@cache
def query(name: str) -> LiteralString:
    """The text of one query of ours: nothing from outside goes into it."""
    return (files("core") / "sql" / "schema" / f"{name}.sql").read_text("utf-8")


@cache
def everything(kinds: frozenset[str] = frozenset()) -> LiteralString:
    """The queries as one statement; of the seldom kinds these, and a row (MARK, kind) for each other that there is.

    Files that start with `_` are no queries of a kind.
    """
    folder = files("core") / "sql" / "schema"
    names = sorted(file.name[:-4] for file in folder.iterdir() if file.name.endswith(".sql") and file.name[0] != "_")
    whole = query("_ours")
    for name in names:
        where = None if name in kinds else re.search(r"(?m)^-- Seldom: (.+)$", query(name))
        whole += "\nUNION ALL\n" + (seldom(name, where[1]) if where else query(name))
    return whole


def seldom(name: LiteralString, where: str) -> LiteralString:
    """A row that stands for a kind, where there may be some of it."""
    return f"SELECT '{MARK}', '{name}', NULL, NULL, NULL WHERE EXISTS (SELECT FROM {where})"  # noqa: S608  # all ours


def table_of(kind: str, identity: str, facts: str | None) -> str | None:
    """The qualified table that something belongs to: from its identity where that starts with it, else from its facts."""
    if kind in TABLES:
        return identity
    if kind in PARTS:
        return words.table_part(identity)
    table = json.loads(facts).get("table") if facts and '"table"' in facts else None
    return table if isinstance(table, str) else None


def without(snap: Snapshot, kinds: Collection[str]) -> dict[Key, str]:
    """The snapshot without some kinds, such as `owner`, `privileges` and `settings` (see ASPECTS) where roles lack."""
    aside = {kind for name in kinds for kind in ASPECTS.get(name, (name,))}
    return {key: text for key, text in snap.items() if key.kind not in aside}


def fingerprint(snap: Snapshot) -> str:
    """SHA-256 (64 hex digits) of the whole snapshot, cosmetic parts included."""
    lines = json.dumps([[*key, text] for key, text in sorted(snap.items())])
    return hashlib.sha256(lines.encode()).hexdigest()


def difference(before: Snapshot, after: Snapshot) -> list[Change]:
    """What `after` lacks, has besides, or has in another form; sorted by table, kind and name.

    The owner of what is missing or additional itself is not listed, its privileges and comment only with a table, which groups them.
    """
    lost = {key for key in before if key not in after and key.kind != "column order"}
    new = {key for key in after if key not in before and key.kind != "column order"}
    changes = list(renamed(before, after, lost, new))
    changes += [gone for key in lost if (gone := whole(key, before, "missing", lost))]
    changes += [more for key in new if (more := whole(key, after, "added", new))]
    for key, old in before.items():
        text = after.get(key)
        if text is not None and text != old and (change := different(key, json.loads(old), json.loads(text))):
            changes.append(change)
    return sorted(
        changes, key=lambda c: (c.table or "", c.table is None or c.kind not in TABLES, c.kind, c.object, c.change)
    )


def whole(key: Key, snap: Snapshot, change: Literal["missing", "added"], others: Collection[Key]) -> Change | None:
    """The change for a key that is on one side only."""
    facts = json.loads(snap[key])
    table = table_of(key.kind, key.identity, snap[key])
    if key.kind in ("owner", "privileges", "comment"):
        subject = Key(facts["kind"], key.identity[len(facts["kind"]) + 1 :])
        if subject in others and (table is None or key.kind == "owner"):
            return None
        if key.kind == "privileges" and subject not in snap and subject.kind != "column":
            state = "the default again" if change == "missing" else "no longer the default"
            return Change(*key, change, "harmful", f"{words.noun(*key, facts)} are {state}", table)
    verb = "are" if key.kind.endswith("privileges") else "is"
    what = f"{words.noun(key.kind, key.identity, facts)} {verb} {'missing' if change == 'missing' else 'additional'}"
    if key.kind == "privileges":
        what = words.privileges(what.rsplit(" ", 2)[0], *sides(facts, change))
    return Change(key.kind, key.identity, change, "harmful", what, table)


def sides(facts: dict[str, Any], change: str) -> tuple[list[str], list[str]]:
    """Privileges before and after, where one side has none."""
    return (facts["privileges"], []) if change == "missing" else ([], facts["privileges"])


def different(key: Key, old: dict[str, Any], new: dict[str, Any]) -> Change | None:
    """The change for a key whose facts differ; None where that is told with another key."""
    name = words.noun(key.kind, key.identity, new)
    severity: Literal["harmful", "cosmetic"] = "cosmetic"
    if key.kind == "column order":
        ranks = [[c for c in one["order"] if c in other["order"]] for one, other in ((old, new), (new, old))]
        message = f"{name} differs"
        if ranks[0] == ranks[1]:
            return None
    else:
        phrases, harmful = words.phrases(key.kind, key.identity, old, new)
        severity = "harmful" if harmful else "cosmetic"
        if not phrases:
            return None
        message = f"{name} {'; '.join(phrases)}"
        if "privileges" in old:
            message = words.privileges(name, old["privileges"], new["privileges"])
    table = table_of(key.kind, key.identity, json.dumps(new)) or table_of(key.kind, key.identity, json.dumps(old))
    return Change(key.kind, key.identity, "different", severity, message, table)


def renamed(before: Snapshot, after: Snapshot, lost: set[Key], new: set[Key]) -> Iterable[Change]:
    """Pairs of equal definitions under two names of PostgreSQL's own choice, such as `t_c_check` and `t_c_check1`.

    Takes them out of `lost` and `new`, with the comments on them.
    """
    spare: dict[tuple[str, str, str | None, str], list[Key]] = {}
    for key in sorted(new):
        if label := words.generated(key.kind, key.identity, table_of(key.kind, key.identity, after[key])):
            spare.setdefault((key.kind, after[key], table_of(key.kind, key.identity, after[key]), label), []).append(
                key
            )
    for key in sorted(lost):
        table = table_of(key.kind, key.identity, before[key])
        label = words.generated(key.kind, key.identity, table)
        if label and (found := spare.get((key.kind, before[key], table, label))):
            other = found.pop(0)
            lost.discard(key)
            new.discard(other)
            name = words.noun(key.kind, other.identity, json.loads(after[other]))
            message = f"{name} has another generated name, was `{words.shown(names(key.identity)[-1])}`"
            yield Change(key.kind, other.identity, "different", "cosmetic", message, table)
