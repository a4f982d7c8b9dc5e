"""Random tamperings with the audit trail: is each found by `audit verify`, or at least held against the channel?

`python -m tests.tampering --trials 10000 --seed 1 --json FILE` plays them on copies in memory of one realistic ledger and
prints, for each kind, how many the file alone betrays and how many only the witness does. The exit code is 1 where one is
found by neither. A trial that happens to change nothing is drawn again.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from core import chain, witness
from tests.tampering_forging import Chance, Db, continued, cut_clean, events, rebuild, relinked, runs, shift
from tests.tampering_ledger import World, made

COLUMNS = ("at", "run", "kind", "state", "actor", "data", "prev", "digest")
ROLLBACK = (
    "state", "revision", "target", "what", "migration", "only_one", "requester", "requester_name", "reason", "incident",
    "channel", "needed", "plan_digest", "created_at", "expires_at", "ended_at", "last_event", "origin",
)  # fmt: skip
CHANNEL_POSTS = "channel LIKE 'C%' AND ts IS NOT NULL AND place NOT IN ('card', 'due') AND place NOT LIKE 'edit %'"
"""Cards and reminders are edited: which event a row of one names is not told by the channel."""


def other(db: Db, chance: Chance, table: str, column: str, value: Any) -> Any:
    """Another value for a column: one bit, one letter, an empty text, another row's, another type …"""
    text = "" if value is None else str(value)
    at = chance.randrange(len(text)) if text else 0
    bit = chr(ord(text[at]) ^ 1 << chance.randrange(7)) if text else "x"
    bit = bit if bit != "\0" else "x"
    row = chance.choice(db.execute(f"SELECT {column} FROM {table}").fetchall())
    return chance.choice([
        text[:at] + bit + text[at + 1 :], text[:at] + text[at + 1 :], text + " ", text.swapcase(), "", "{}", row[0],
        chance.randrange(10**6), text.encode(), text.replace("1", "2"), text[::-1], "ü" + text, None,
    ])  # fmt: skip


def edit(db: Db, chance: Chance, column: str = "") -> None:
    """Any value of any event."""
    number, column = chance.randint(1, events(db)), column or chance.choice(COLUMNS)
    old = db.execute(f"SELECT {column} FROM events WHERE id = ?", [number]).fetchone()[0]
    db.execute(
        f"UPDATE OR IGNORE events SET {column} = ? WHERE id = ?", [other(db, chance, "events", column, old), number]
    )


def flip(db: Db, chance: Chance) -> None:
    """One bit of what an event says."""
    number = chance.randint(1, events(db))
    raw = bytearray(db.execute("SELECT data FROM events WHERE id = ?", [number]).fetchone()[0].encode())
    raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(7)
    db.execute("UPDATE events SET data = CAST(? AS TEXT) WHERE id = ?", [bytes(raw), number])


def actor(db: Db, chance: Chance) -> None:
    """Somebody else did it, or to another run; the event's own digest is made to fit."""
    number, column = chance.randint(1, events(db)), chance.choice(("actor", "run"))
    value = chance.choice(['{"id":"U0EVE","name":"Eve"}', None]) if column == "actor" else chance.choice(runs(db))
    db.execute(f"UPDATE events SET {column} = ? WHERE id = ?", [value, number])
    relinked(db, number, number)


def delete(db: Db, chance: Chance) -> None:
    """One to three events, anywhere."""
    for number in chance.sample(range(1, events(db) + 1), chance.randint(1, 3)):
        db.execute("DELETE FROM events WHERE id = ?", [number])


def insert(db: Db, chance: Chance) -> None:
    """A copy of an event, at the end or between others, which move on."""
    count = events(db)
    at, source = chance.randint(1, count + 1), chance.randint(1, count)
    row = db.execute("SELECT * FROM events WHERE id = ?", [source]).fetchone()
    shift(db, at, 1)
    db.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", [at, *row[1:]])


def renumber(db: Db, chance: Chance) -> None:
    """From somewhere on, other numbers."""
    shift(db, chance.randint(1, events(db)), chance.randint(1, 5))


def reorder(db: Db, chance: Chance) -> None:
    """Two events, or a stretch of them, in another order."""
    count = events(db)
    first = chance.randint(1, count - 1)
    last = min(count, first + chance.choice((1, 1, 2, 5, 20)))
    numbers = list(range(first, last + 1))
    db.execute("UPDATE events SET id = -id WHERE id BETWEEN ? AND ?", [first, last])
    for old, new in zip(numbers, chance.sample(numbers, len(numbers)), strict=True):
        db.execute("UPDATE events SET id = ? WHERE id = ?", [new, -old])


def cut(db: Db, chance: Chance) -> None:
    """The newest events are gone."""
    db.execute("DELETE FROM events WHERE id > ?", [chance.randint(0, events(db) - 1)])


def rollbacks_row(db: Db, chance: Chance) -> None:
    """Any value of a run's row; or the row goes, or a second one comes."""
    run, column = chance.choice(runs(db)), chance.choice(ROLLBACK)
    match chance.randrange(10):
        case 0:
            db.execute("DELETE FROM rollbacks WHERE id = ?", [run])
        case 1:
            copy = ", ".join("'done'" if name == "state" else name for name in ROLLBACK)
            db.execute(
                f"INSERT INTO rollbacks (id, {', '.join(ROLLBACK)}) SELECT 'RB-E7E7', {copy} FROM rollbacks WHERE id = ?",
                [run],
            )
        case _:
            old = db.execute(f"SELECT {column} FROM rollbacks WHERE id = ?", [run]).fetchone()[0]
            new = other(db, chance, "rollbacks", column, old)
            db.execute(f"UPDATE OR IGNORE rollbacks SET {column} = ? WHERE id = ?", [new, run])


def posts_row(db: Db, chance: Chance) -> None:
    """Of what was posted in the channel: another event, run, place or time; or the row goes, or one comes."""
    event, place = chance.choice(db.execute(f"SELECT event, place FROM posts WHERE {CHANNEL_POSTS}").fetchall())
    columns = ["channel", "ts", "run", "delete", "insert", *(["event"] if " " not in place else [])]
    column = chance.choice(columns)  # `thread 12` shows event 12; whose card it came with, the channel does not tell
    where = f"event = {event} AND place = '{place}'"
    if column == "delete":
        db.execute(f"DELETE FROM posts WHERE {where}")
    elif column == "insert":
        # for a moment before the first message that stands nothing contradicts it, and it hides nothing: tests/test_witness.py
        first = "(SELECT min(ts) FROM posts WHERE channel LIKE 'C%') + 0.02"
        later = f"SELECT event, place FROM posts WHERE {CHANNEL_POSTS} AND ts > {first}"
        event, place = chance.choice(db.execute(later).fetchall())
        where = f"event = {event} AND place = '{place}'"
        ts = f"{float(db.execute(f'SELECT ts FROM posts WHERE {where}').fetchone()[0]) - 0.01:.6f}"
        db.execute(f"INSERT INTO posts SELECT event, 'call more', channel, '{ts}', run, at FROM posts WHERE {where}")
    else:
        new: Any = chance.choice(runs(db)) if column == "run" else chance.randint(1, events(db) + 5)
        if column == "ts":
            new = db.execute(
                f"SELECT printf('%.6f', ts - {chance.uniform(0.001, 0.5)}) FROM posts WHERE {where}"
            ).fetchone()[0]
        db.execute(
            f"UPDATE OR IGNORE posts SET {column} = ? WHERE {where}", [f"C{new}" if column == "channel" else new]
        )


KINDS: dict[str, Callable[[Db, Chance], None]] = {
    "edit a value of an event": edit,
    "flip a bit of an event": flip,
    "another person or run, own digest made to fit": actor,
    "delete events": delete,
    "insert an event": insert,
    "renumber": renumber,
    "reorder": reorder,
    "cut the tail": cut,
    "cut the tail, other tables made to fit": cut_clean,
    "rebuild the whole chain, other tables made to fit": rebuild,
    "cut, and go on with a longer tail": continued,
    "an older copy of the file": lambda db, chance: None,  # see `tampered`
    "edit `rollbacks`": rollbacks_row,
    "edit `posts` of the channel": posts_row,
}
OLDER = "an older copy of the file"
CONTENT = (
    "SELECT *, typeof(data) || typeof(run) || typeof(state) || typeof(actor) FROM events ORDER BY id", "SELECT * FROM rollbacks ORDER BY id",
    "SELECT event, place, channel, ts, run FROM posts ORDER BY event, place",
)  # fmt: skip


def content(db: Db) -> list[Any]:
    """Everything that a tampering may have changed; as bytes, since a flipped bit need not leave text."""
    db.text_factory = bytes
    found = [db.execute(query).fetchall() for query in CONTENT]
    db.text_factory = str
    return found


def opened(data: bytes) -> Db:
    """A copy in memory."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.deserialize(data)
    return db


def tampered(world: World, kind: str, chance: Chance, before: list[Any]) -> Db:
    """A copy that differs."""
    while True:
        db = opened(chance.choice(world.older) if kind == OLDER else world.now)
        try:
            KINDS[kind](db, chance)
            if kind == OLDER or content(db) != before:
                return db
        except sqlite3.IntegrityError:
            pass  # a value that SQLite does not take there
        db.close()


def campaign(world: World, trials: int, seed: int) -> dict[str, Any]:
    """Play them, the kinds in turn. `missed` holds what neither the file nor the channel betrays."""
    chance = random.Random(seed)  # noqa: S311 - repeatable trials, no secret
    whole = opened(world.now)
    before = content(whole)
    assert chain.verify(whole).unbroken and not witness.hold(whole, world.said).faults, "untouched, it is sound"
    file, only, missed = Counter[str](), Counter[str](), list[str]()
    for trial in range(trials):
        kind = list(KINDS)[trial % len(KINDS)]
        db = tampered(world, kind, chance, before)
        if not chain.verify(db).unbroken:
            file[kind] += 1
        elif witness.hold(db, world.said).faults:
            only[kind] += 1
        else:
            missed.append(f"trial {trial}: {kind}")
        db.close()
    events_, size = len(before[0]), len(before[1])
    whole.close()
    told = {kind: {"the file alone": file[kind], "only the witness": only[kind]} for kind in KINDS}
    sums = {"found by the file alone": file.total(), "only by the witness": only.total(), "not found": len(missed)}
    return {"trials": trials, "events": events_, "runs": size, **sums, "seed": seed, "found": told, "missed": missed}


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.tampering", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", help="where to write the figures; `-`: to stdout, and nothing else there")
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        world = made(Path(folder))
    began = time.monotonic()
    found = campaign(world, asked.trials, asked.seed)
    people = sys.stderr if asked.json == "-" else sys.stdout
    print(f"{'tampering':<52}{'the file alone':>16}{'only the witness':>18}", file=people)
    for kind, counts in found["found"].items():
        print(f"{kind:<52}{counts['the file alone']:>16,}{counts['only the witness']:>18,}", file=people)
    total = asked.trials - len(found["missed"])
    print(f"{total:,} of {asked.trials:,} found, seed {asked.seed}, {time.monotonic() - began:.0f} s", file=people)
    print("\n".join(found["missed"][:20]), file=people)
    text = json.dumps(found, indent=1) + "\n"
    if asked.json == "-":
        print(text, end="")
    elif asked.json:
        Path(asked.json).write_text(text, encoding="utf-8")
    return 1 if found["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
