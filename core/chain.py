"""The hash chain of the audit trail: each event carries the digest of the one before.

The digest is SHA-256 over the stored text, so that checking needs no re-encoding: the columns below, joined by
newlines. None of them can contain one (`data` and `actor` are JSON, which escapes it; the others are checked when
they are written), so no two different rows give the same text.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from core.model import OPEN

GENESIS = "0" * 64
COLUMNS = ("id", "at", "run", "kind", "state", "actor", "data")


class Rows(Protocol):
    """What the check needs from a SQLite connection."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Any: ...


def link(previous: str, row: Sequence[Any]) -> str:
    """The digest (64 hex digits) of a row (`COLUMNS`, in order) after `previous`."""
    text = "\n".join(["" if value is None else str(value) for value in row])
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()


@dataclass(frozen=True)
class Verdict:
    """What walking the chain found. `faults` and `remarks` hold one sentence each, at most 20."""

    events: int
    head: str
    faults: tuple[str, ...]
    remarks: tuple[str, ...] = ()  # what a reader of the trail should know, and is no fault

    @property
    def unbroken(self) -> bool:
        return not self.faults


def verify(conn: Rows, scripts: bool = True) -> Verdict:
    """Walk the whole chain in constant memory; find edited, removed, inserted and reordered rows.

    `scripts`: are the bytes of all scripts there too? No approval rests on them: they are held against their event when used.

    A tail that was cut off shows where `rollbacks` or `posts` still refer to it. A chain rebuilt as a whole shows
    only against the digests that were posted in the channel.
    """
    faults: list[str] = []
    remarks: list[str] = []
    head, count, expected = GENESIS, 0, 1
    try:
        for row in conn.execute(f"SELECT {', '.join(COLUMNS)}, prev, digest FROM events ORDER BY id"):  # noqa: S608
            count += 1
            number, prev, digest = row[0], row[-2], row[-1]
            if number != expected:
                faults.append(f"event {expected} is missing: the next one is {number}")
            if prev != head:
                faults.append(f"event {number} does not follow the one before it")
            if link(prev, row[:-2]) != digest or "" in row:  # nothing and an empty text give the same digest
                faults.append(f"event {number} was changed after it was written")
            del faults[20:]
            head, expected = digest, number + 1
        faults += _outside(conn, expected - 1)
        faults += _scripts(conn) if scripts else ()
        remarks += _broken_open(conn)
    except (sqlite3.DatabaseError, TypeError) as error:
        faults.append(f"after event {expected - 1} the file cannot be read: {error}")
    return Verdict(count, head, tuple(faults[:20]), tuple(remarks[:20]))


def _broken_open(conn: Rows) -> Iterator[str]:
    """Which runs were executed by break-glass, newest first; not a fault, and never hidden."""
    for run, by, reviewer, given, needed in conn.execute(WITHOUT_SECOND):
        ended = f"reviewed by {reviewer}" if reviewer else "not reviewed"
        yield f"{run} was executed by break-glass of {by}, with {given} of {needed} approvals; {ended}"


def _outside(conn: Rows, newest: int) -> Iterator[str]:
    """Do the present states follow from the events?"""
    for run, state, last, told, last_told in conn.execute(STATES):
        if last != last_told:
            yield f"the newest event of {run} should be {last}, but is {last_told}"
        elif state != told:
            yield f"{run} is marked {state}, but its events end in {told}"
    for run, *rest in conn.execute(FACTS):
        for name, marked, told in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
            if marked != told:
                yield f"{run} is marked with another {name} than its events tell"
    for run, given, needed in conn.execute(UNAPPROVED):
        yield f"{run} was executed with {given} of {needed} approvals"
    for (run,) in conn.execute(
        "SELECT DISTINCT run FROM events WHERE run IS NOT NULL AND run NOT IN (SELECT id FROM rollbacks) LIMIT 5"
    ):
        yield f"{run} has events but no row in rollbacks"
    for (post,) in conn.execute(STRAY):
        yield f"a message is noted for event {post}, which belongs to another run"
    for (post,) in conn.execute("SELECT max(event) FROM posts"):
        if post is not None and post > newest:
            yield f"a message was posted for event {post}, which is missing"


def _scripts(conn: Rows) -> Iterator[str]:
    """Are the bytes of every script there that an event names, and are they these?"""
    if not conn.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'scripts'").fetchone():
        return  # a copy of before there were any
    for file, digest, data in conn.execute(NAMED):
        if data is None:
            yield f"the bytes of `{file}` that an event names are missing"
        elif hashlib.sha256(data).hexdigest() != digest:
            yield f"the bytes that are kept of `{file}` are not those that its event names"


NAMED = """
    SELECT json_extract(n.script, '$.file'), json_extract(n.script, '$.sha256') AS digest, CAST(s.bytes AS BLOB)
      FROM (SELECT json_extract(data, '$.forward') AS script FROM events WHERE run IS NULL AND kind = 'applied'
            UNION SELECT json_extract(data, '$.rollback') FROM events WHERE run IS NULL AND kind = 'applied') n
      LEFT JOIN scripts s ON s.sha256 = json_extract(n.script, '$.sha256')
     WHERE n.script IS NOT NULL GROUP BY digest ORDER BY digest"""
BROKEN_OPEN = """
    SELECT 1 FROM events b
      JOIN events o ON o.run = b.run AND o.kind = 'countdown_over' AND o.id > b.id AND o.id < x.id
     WHERE b.run = r.id AND b.kind = 'glass_broken' AND json_extract(o.data, '$.broken') = b.id
       AND json_extract(o.actor, '$.id') = json_extract(b.actor, '$.id') AND o.at >= json_extract(b.data, '$.starts_at')
       AND EXISTS (SELECT 1 FROM events p WHERE p.id =
                   (SELECT max(id) FROM events WHERE run = r.id AND kind = 'opened' AND id < x.id)
                   AND json_extract(b.data, '$.digest') = json_extract(p.data, '$.digest')
                   AND (json_extract(b.data, '$.totp') IS NOT NULL OR json_extract(p.data, '$.coded') IS NOT 1))
       AND NOT EXISTS (SELECT 1 FROM events v WHERE v.run = r.id AND v.id > o.id AND v.id < x.id
                       AND v.state IN ('waiting', 'planning'))"""
"""Was the execution `x` of the run `r` let through by a break-glass of its plan, whose countdown had passed?"""
WITHOUT_SECOND = f"""
    SELECT r.id, json_extract(c.actor, '$.name'),
           (SELECT json_extract(v.actor, '$.name') FROM events v WHERE v.run = r.id AND v.kind = 'reviewed'),
           (SELECT count(DISTINCT json_extract(a.actor, '$.id')) FROM events a
             WHERE a.run = r.id AND a.kind = 'approved' AND a.id < x.id),
           (SELECT json_extract(q.data, '$.needed') FROM events q WHERE q.run = r.id AND q.kind = 'asked')
      FROM rollbacks r
      JOIN events x ON x.id = (SELECT max(id) FROM events WHERE run = r.id AND kind = 'executing')
      JOIN events c ON c.id = (SELECT max(id) FROM events WHERE run = r.id AND kind = 'countdown_over' AND id < x.id)
     WHERE EXISTS ({BROKEN_OPEN}) ORDER BY c.id DESC"""  # noqa: S608 - a query of ours
UNAPPROVED = f"""
    SELECT r.id, count(DISTINCT json_extract(a.actor, '$.id')) AS given, json_extract(q.data, '$.needed') AS needed
      FROM rollbacks r
      JOIN events q ON q.run = r.id AND q.kind = 'asked'
      JOIN events x ON x.id = (SELECT max(id) FROM events WHERE run = r.id AND kind = 'executing')
      LEFT JOIN events o ON o.id = (SELECT max(id) FROM events WHERE run = r.id AND kind = 'opened' AND id < x.id)
      LEFT JOIN events a ON a.run = r.id AND a.kind = 'approved' AND a.id < x.id
       AND (json_extract(a.data, '$.totp') IS NOT NULL OR json_extract(o.data, '$.coded') IS NOT 1)
     WHERE NOT EXISTS ({BROKEN_OPEN})
     GROUP BY r.id HAVING given < needed"""  # noqa: S608 - a query of ours
STRAY = """
    SELECT p.event FROM posts p JOIN events e ON e.id = p.event
     WHERE p.place <> 'told' AND p.run IS NOT e.run ORDER BY p.event LIMIT 5"""
STATES = """
    SELECT r.id, r.state, r.last_event,
           (SELECT e.state FROM events e WHERE e.run = r.id AND e.state IS NOT NULL ORDER BY e.id DESC LIMIT 1),
           (SELECT max(e.id) FROM events e WHERE e.run = r.id)
      FROM rollbacks r ORDER BY r.id"""
ASKED = (
    "target", "what", "migration", "only_one", "requester", "requester_name", "reason", "incident", "channel", "needed",
    "origin",
)  # fmt: skip
FACTS = f"""
    SELECT r.id, {", ".join(f"'{name}', r.{name}, json_extract(a.data, '$.{name}')" for name in ASKED)},
           'plan', r.plan_digest, json_extract(o.data, '$.digest'), 'expiry', r.expires_at, json_extract(o.data, '$.expires_at'),
           'revision', r.revision, 1 + (SELECT count(*) FROM events c WHERE c.run = r.id AND c.kind = 'plan_changed'),
           'beginning', r.created_at, a.at,
           'end', r.ended_at, CASE WHEN r.state NOT IN ({", ".join(f"'{state}'" for state in sorted(OPEN))}) THEN
               (SELECT e.at FROM events e WHERE e.run = r.id AND e.state IS NOT NULL ORDER BY e.id DESC LIMIT 1) END
      FROM rollbacks r
      JOIN events a ON a.run = r.id AND a.kind = 'asked'
      LEFT JOIN events o ON o.id = (SELECT max(id) FROM events WHERE run = r.id AND kind = 'opened')
     ORDER BY r.id"""  # noqa: S608 - names of ours
"""Of each rollback: name, value in its row, value in its events, for everything that its row holds besides its state."""
