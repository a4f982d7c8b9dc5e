"""What a careful forger does after a change: the chain is made anew, and every other table says what follows from it."""

from __future__ import annotations

import random
import sqlite3

from core import chain
from core.model import OPEN

Db, Chance = sqlite3.Connection, random.Random
ASKED = (
    "target",
    "what",
    "migration",
    "only_one",
    "requester",
    "requester_name",
    "reason",
    "incident",
    "channel",
    "needed",
    "origin",
)
STATE = "SELECT {} FROM events e WHERE e.run = rollbacks.id AND e.state IS NOT NULL ORDER BY e.id DESC LIMIT 1"
OPENED = "SELECT json_extract(e.data, '$.{}') FROM events e WHERE e.run = rollbacks.id AND e.kind = 'opened' ORDER BY e.id DESC LIMIT 1"
FIRST = "SELECT {} FROM events e WHERE e.run = rollbacks.id AND e.kind = 'asked'"


def relinked(db: Db, first: int, last: int) -> None:
    """New digests for these events, each following from the one before; what comes after `last` stays."""
    row = db.execute("SELECT digest FROM events WHERE id = ?", [first - 1]).fetchone()
    head = row[0] if row else chain.GENESIS
    names = ", ".join(chain.COLUMNS)
    new = []
    for event in db.execute(
        f"SELECT {names} FROM events WHERE id BETWEEN ? AND ? ORDER BY id", [first, last]
    ).fetchall():
        digest = chain.link(head, event)
        new.append((head, digest, event[0]))
        head = digest
    db.executemany("UPDATE events SET prev = ?, digest = ? WHERE id = ?", new)


def derived(db: Db) -> None:
    """`rollbacks` and `posts` as they follow from the events."""
    closed = ", ".join(f"'{state}'" for state in sorted(OPEN))
    values = {name: f"({FIRST.format(f'json_extract(e.data, {chr(39)}$.{name}{chr(39)})')})" for name in ASKED}
    values |= {"created_at": f"({FIRST.format('e.at')})", "state": f"({STATE.format('e.state')})"}
    values |= {"plan_digest": f"({OPENED.format('digest')})", "expires_at": f"({OPENED.format('expires_at')})"}
    values["last_event"] = "(SELECT max(id) FROM events e WHERE e.run = rollbacks.id)"
    values["revision"] = "1 + (SELECT count(*) FROM events e WHERE e.run = rollbacks.id AND e.kind = 'plan_changed')"
    db.execute("DELETE FROM rollbacks WHERE id NOT IN (SELECT run FROM events WHERE run IS NOT NULL)")
    db.execute("UPDATE rollbacks SET " + ", ".join(f"{name} = {value}" for name, value in values.items()))
    ended = f"CASE WHEN state IN ({closed}) THEN NULL ELSE ({STATE.format('e.at')}) END"
    db.execute(f"UPDATE rollbacks SET ended_at = {ended}")
    db.execute("DELETE FROM posts WHERE event > (SELECT coalesce(max(id), 0) FROM events)")
    db.execute("UPDATE posts SET run = (SELECT run FROM events e WHERE e.id = posts.event) WHERE place <> 'told'")


def at_end(db: Db, last: int) -> None:
    """As the file was after event `last`."""
    db.execute("DELETE FROM events WHERE id > ?", [last])
    derived(db)


def events(db: Db) -> int:
    """How many there are."""
    return int(db.execute("SELECT count(*) FROM events").fetchone()[0])


def runs(db: Db) -> list[str]:
    """Their names."""
    return [str(row[0]) for row in db.execute("SELECT id FROM rollbacks ORDER BY id")]


def shift(db: Db, first: int, by: int) -> None:
    """Renumber everything from `first` on."""
    db.execute("UPDATE events SET id = -id WHERE id >= ?", [first])
    db.execute("UPDATE events SET id = -id + ? WHERE id < 0", [by])


def moved(db: Db, first: int, by: int) -> None:
    """Events from `first` on, and what was posted of them, have other numbers."""
    shift(db, first, by)
    db.execute("UPDATE posts SET event = -event WHERE event >= ?", [first])
    db.execute("UPDATE posts SET event = -event + ? WHERE event < 0", [by])


def cut_clean(db: Db, chance: Chance) -> None:
    """The same, and every other table says what it said then."""
    at_end(db, chance.randint(0, events(db) - 1))


def rebuild(db: Db, chance: Chance) -> None:
    """One event becomes another, and the whole chain from there on, with all that follows from it, is made anew."""
    number = chance.randint(1, events(db))
    chance.choice((forged_words, forged_time, forged_person, forged_gap, forged_extra, forged_order))(
        db, chance, number
    )
    relinked(db, 1, events(db))
    derived(db)


def forged_words(db: Db, chance: Chance, number: int) -> None:
    db.execute("UPDATE events SET data = json_set(data, '$.reason', ?) WHERE id = ?", [f"{chance.random()}", number])


def forged_time(db: Db, chance: Chance, number: int) -> None:
    db.execute("UPDATE events SET at = ? WHERE id = ?", [f"2026-11-0{chance.randint(1, 9)}T08:00:00.000Z", number])


def forged_person(db: Db, chance: Chance, number: int) -> None:
    db.execute("UPDATE events SET actor = ? WHERE id = ?", [f'{{"id":"U0EVE","name":"Eve {chance.random()}"}}', number])


def forged_gap(db: Db, chance: Chance, number: int) -> None:
    found = db.execute("SELECT id FROM events WHERE state IS NULL AND kind <> 'approved' ORDER BY id").fetchall()
    number = chance.choice(found)[0]
    db.execute("DELETE FROM events WHERE id = ?", [number])
    db.execute("DELETE FROM posts WHERE event = ? AND place <> 'told'", [number])
    moved(db, number + 1, -1)


def forged_extra(db: Db, chance: Chance, number: int) -> None:
    row = (
        "2026-11-10T09:00:00.000Z",
        chance.choice(runs(db)),
        "notme",
        None,
        '{"id":"U0EVE","name":"Eve"}',
        "{}",
        "",
        "",
    )
    first = db.execute("SELECT min(id) FROM events WHERE run = ?", [row[1]]).fetchone()[0]
    number = max(number, first + 1)
    moved(db, number, 1)
    db.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", [number, *row])


def forged_order(db: Db, chance: Chance, number: int) -> None:
    found = db.execute(
        "SELECT a.id FROM events a JOIN events b ON b.id = a.id + 1 WHERE a.state IS NULL AND b.state IS NULL"
    ).fetchall()
    number = chance.choice(found)[0]
    for old, new in ((number, 0), (number + 1, number), (0, number + 1)):
        db.execute("UPDATE events SET id = ? WHERE id = ?", [new, old])


def continued(db: Db, chance: Chance) -> None:
    """The tail is cut clean, and a longer one grows: as if the bot had worked on with the forged file."""
    count = events(db)
    keep = chance.randint(0, count - 1)
    at_end(db, keep)
    for number in range(keep + 1, count + chance.randint(1, 20)):
        row = (
            "2026-11-10T10:00:00.000Z",
            None,
            "drill_due",
            None,
            None,
            f'{{"target":"production","n":{number}}}',
            "",
            "",
        )
        db.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", [number, *row])
    relinked(db, keep + 1, events(db))
