"""Whatever a migration did and whatever people wrote: no value is lost, and nothing newer is overwritten.

`SAVE_EXAMPLES=2000` makes a long run of a test that is short in the daily one.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psycopg
from hypothesis import HealthCheck, given, settings

from core import schema
from core.errors import StepFailed
from core.model import Json
from core.save import archive
from core.save.items import item_of
from tests.save_bench import Bench, Rows, statements
from tests.save_grammar import Migration, migrations

EXAMPLES = int(os.environ.get("SAVE_EXAMPLES", "15"))
KEYS = {"p": "id", "c": "id", "r": "id", "s": "id", "q": "id"}
State = dict[str, dict[str, dict[str, str]]]
"""Table -> key -> column -> value, of the tables that have a key."""


@dataclass
class Told:
    """How one migration went. `rolled`, `written`: after the rollback, and after the writes since; `alone`, `alone_since`:
    what the forward scripts make of these without any saved row."""

    before: Rows
    rolled: Rows
    alone: Rows
    written: Rows
    alone_since: Rows
    after: Rows
    aside: dict[str, Counter[str]]
    renamed: dict[tuple[str, str], str]
    differences: list[str]

    def lost(self) -> list[str]:
        """Values from before that are neither there nor aside, although the rollback destroyed them."""
        before, rolled, after = keyed(self.before), keyed(self.rolled), keyed(self.after)
        found = []
        for table, rows in before.items():
            for key, row in rows.items():
                old, now = rolled.get(table, {}).get(key, {}), after.get(table, {}).get(key, {})
                for column, value in row.items():
                    left = old.get(self.renamed.get((table, column), column))
                    if now.get(column) != value and left != value and not self.aside.get(table, Counter())[key]:
                        found.append(
                            f"{table} {key} {column}={value}: now {now.get(column)}, after the rollback {left}"
                        )
        return found

    def overwritten(self) -> list[str]:
        """Values that were written since and are not what the forward scripts make of them."""
        rolled, written = keyed(self.rolled), keyed(self.written)
        alone, after = keyed(self.alone_since), keyed(self.after)
        back = {(table, old): new for (table, new), old in self.renamed.items()}
        found = []
        for table, rows in written.items():
            for key, row in rows.items():
                for column, value in row.items():
                    name = back.get((table, column), column)
                    made = alone.get(table, {}).get(key, {}).get(name)
                    now = after.get(table, {}).get(key, {}).get(name)
                    if rolled.get(table, {}).get(key, {}).get(column) != value and made is not None and now != made:
                        found.append(f"{table} {key} {name}={value}: now {now}")
            for key in rolled.get(table, {}).keys() - rows.keys():
                if key in after.get(table, {}) and key not in alone.get(table, {}):
                    found.append(f"{table} {key} was deleted since and is there again")
        return found

    def made_up(self) -> list[str]:
        """Rows that nobody wrote."""
        known = [keyed(one) for one in (self.before, self.written, self.alone_since)]
        return [
            f"{table} {key}"
            for table, rows in keyed(self.after).items()
            for key in rows
            if not any(key in one.get(table, {}) for one in known)
        ]

    def keyless(self) -> list[str]:
        """Rows of the table without a key that are neither there nor aside, where nothing else happened to it."""
        name = "public.k"
        if self.written.get(name) != self.rolled.get(name) or self.alone.get(name) != self.rolled.get(name):
            return []
        lost = self.before[name] - self.after[name]
        return [] if lost.total() <= self.aside.get("k", Counter()).total() else [f"k: {lost}"]


def keyed(rows: Rows) -> State:
    """Rows by their key; those of partitions by their table."""
    found: State = {}
    for table, lines in rows.items():
        name = re.sub(r"^public\.", "", table)
        name = "r" if re.fullmatch(r"r\d", name) else name
        for line in lines.elements() if name in KEYS else ():
            row = dict(one.split("=", 1) for one in line.split("\t"))
            if "id" in row:
                found.setdefault(name, {})[row.pop("id")] = row
    return found


def walk(saves: Bench, one: Migration) -> Told | None:
    """There and back; None where the scripts cannot be run, which is no matter of the save."""
    saves.clear()
    saves.sql(one.base)
    steps = [step for step in one.steps if applies(saves, step.forward)]
    for write in one.lived:
        applies(saves, write)
    forward = ";\n".join(step.forward for step in steps)
    rollback = ";\n".join(step.back for step in reversed(steps))
    try:
        evidence = saves.proofs(rollback, forward)
    except (StepFailed, psycopg.Error, Exception) as error:
        if isinstance(error, AssertionError) or not runs_not(error):
            raise
        return None
    saves.number += 1
    files = saves.folder / f"{saves.number}.saved", saves.folder / f"{saves.number}.aside"
    before, old = saves.rows(), schema.snapshot(saves.admin)
    saved = saves.roll_back(saves.admin, evidence, files[0], old)
    rolled, alone = saves.rows(), tried(saves, forward)
    for write in one.since:
        applies(saves, write)
    written, alone_since = saves.rows(), tried(saves, forward)
    if alone_since is None or alone is None:
        return None
    back = saves.reapply(saves.admin, evidence, forward, saved, files)
    changed = schema.difference(old, schema.snapshot(saves.admin))
    return Told(
        before, rolled, alone, written, alone_since, saves.rows(), aside(saves, files[1]) if back.aside else {},
        {(m[1], m[3]): m[2] for step in steps if (m := re.match(r"ALTER TABLE (\w+) RENAME (\w+) TO (\w+)", step.forward))},
        [one.message for one in changed if one.severity == "harmful"],
    )  # fmt: skip


def runs_not(error: Exception) -> bool:
    """Is it the scripts that do not run?"""
    return isinstance(error, (StepFailed, psycopg.Error)) or type(error).__name__ == "Failed"


def applies(saves: Bench, script: str) -> bool:
    """Run it and commit it; False where it fails on what there is."""
    try:
        with saves.admin.transaction():
            saves.sql(script)
    except psycopg.Error:
        return False
    return True


def tried(saves: Bench, forward: str) -> Rows | None:
    """What the forward scripts alone would make; None where they fail."""
    try:
        with saves.admin.transaction(force_rollback=True):
            for _, statement in statements(forward, "forward.sql"):
                saves.sql(statement["sql"])
            return saves.rows()
    except psycopg.Error:
        return None


def aside(saves: Bench, file: Path) -> dict[str, Counter[str]]:
    """Table -> keys of the rows that were kept aside."""
    found: dict[str, Counter[str]] = {}
    with archive.reading(file) as saved:
        for part in saved.parts:
            name = re.sub(r"^public\.", "", part["table"])
            keys = found.setdefault("r" if re.fullmatch(r"r\d", name) else name, Counter())
            keys.update(key_of(saves, part, line) for line in b"".join(saved.rows(part)).decode().splitlines())
    return found


def key_of(saves: Bench, part: Json, line: str) -> str:
    item = item_of(part)
    at = item.columns.index("id") if "id" in item.columns else 0
    if item.kind in ("rows", "values"):
        return line.split("\t")[at]
    text = re.sub(r"\\(.)", lambda m: {"t": "\t", "n": "\n"}.get(m[1], m[1]), line.split("\t")[1])
    row = saves.admin.execute("SELECT %s::text[]", [text]).fetchone()
    return str(row[0][at]) if row else ""


def judge(told: Told) -> None:
    assert not told.lost(), told.lost()
    assert not told.overwritten(), told.overwritten()
    assert not told.made_up(), told.made_up()
    assert not told.keyless(), told.keyless()
    assert not told.differences, told.differences


def test_no_value_is_lost_and_nothing_newer_is_overwritten(saves: Bench) -> None:
    walked = 0

    @settings(
        max_examples=EXAMPLES,
        derandomize=EXAMPLES < 100,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(migrations())
    def every(one: Migration) -> None:
        nonlocal walked
        if told := walk(saves, one):
            walked += 1
            judge(told)

    every()
    assert walked > EXAMPLES / 3, "most migrations do not run: they prove nothing"
