"""Every migration of a folder, one after the other: up, down, up again, and what the schema says each time.

A migration is applied and committed. Its rollback and the second application run in one transaction that is undone (or
in a copy of the database, where a statement cannot run in a transaction): what goes wrong there spoils nothing later.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from core import layouts, postgres, schema
from core.check import Checked, Report, Verdict
from core.check.reading import Reading, Unfit, declared, read, refused_by_the_bot
from core.check.room import COPIES_HAVE_NO, Failed, Room
from core.errors import Refused
from core.layouts import Migration
from core.schema import Change, Snapshot

TIMEOUT = 30.0
"""Seconds that one statement may take on an empty database."""
Progress = Callable[[int, int, str], None]
"""Called before each migration: how many are done, how many there are, the name of the next."""


def check(
    folder: Path,
    url: str,
    *,
    layout: str | None = None,
    since: str | None = None,
    timeout: float = TIMEOUT,
    progress: Progress = lambda done, total, name: None,
) -> Report:
    """Try every migration of `folder` on the scratch server at `url`; from `since` on, the ones before only apply.

    Raises Refused (E-CONFIG, E-FILE-MISSING, E-MIGRATION-UNKNOWN, E-NOTHING, E-DB) and StepFailed (E-SCRATCH).
    """
    started = time.monotonic()
    name = layout or layouts.detect(folder)
    migrations = layouts.layout_for(folder, name).read()
    first = _first(migrations, since)
    found = []
    with postgres.trouble("go on with the check"), Room(url, timeout) as room:
        walk = Walk(room, layouts.adapter(name).history_table)
        server = room.conn.info.parameter_status("server_version") or "?"
        for at, migration in enumerate(migrations):
            progress(at, len(migrations), migration.name)
            if at >= first:
                found.append(walk.one(migration))
            elif failed := walk.forward(migration):
                found.append(failed)
        progress(len(migrations), len(migrations), "")
    return Report(name, server.split()[0], tuple(found), round(time.monotonic() - started, 3))


def _first(migrations: Sequence[Migration], since: str | None) -> int:
    """The place of the migration named by `--since`. Raises Refused (E-NOTHING, E-MIGRATION-UNKNOWN)."""
    if not migrations:
        raise Refused("E-NOTHING", "The folder holds no migration of this layout.", "Nothing was started.")
    if since is None:
        return 0
    word = since.removesuffix(".sql")
    for fits in (
        lambda p: word in (p.name, p.version),
        lambda p: layouts.number(word) is not None and layouts.number(p.version) == layouts.number(word),
        lambda p: p.name.startswith(word),
    ):
        places = [at for at, migration in enumerate(migrations) if fits(migration)]
        if len(places) == 1:
            return places[0]
    near = layouts.nearest(word, [one.name for one in migrations])
    meant = f" Did you mean `{near[0]}`?" if near else ""
    raise Refused("E-MIGRATION-UNKNOWN", f"I know no migration `{since[:60]}`.{meant}", "Nothing was started.")


class Walk:
    """The schema as it grows. `history_table`: the usual name of the tool's, which no rollback script may touch."""

    def __init__(self, room: Room, history_table: str) -> None:
        self.room, self.history_table = room, history_table
        self.schema: Snapshot | None = None
        self.broken: list[str] = []

    def one(self, migration: Migration) -> Checked:
        """Everything about one migration."""
        started = time.monotonic()
        found = self._one(migration)
        return _digested(replace(found, seconds=round(time.monotonic() - started, 3)), migration)

    def forward(self, migration: Migration) -> Checked | None:
        """Only apply it. The finding where that fails."""
        self.schema = None
        try:
            self._apply(migration)
        except (Unfit, Failed) as error:
            self.broken.append(migration.name)
            return _digested(Checked(migration.name, "fails", f"does not apply: {error}"), migration)
        return None

    def _one(self, migration: Migration) -> Checked:
        try:
            before = self.room.snapshot() if self.schema is None else self.schema
            up = self._apply(migration)
            after = self.schema = self.room.snapshot()
        except (Unfit, Failed) as error:
            self.schema = None
            if migration.forward is None and not migration.refused:
                found = Checked(migration.name, "missing", "its forward script is missing")
            else:
                found = Checked(migration.name, "fails", f"does not apply: {error}", notes=self._consequence(error))
            self.broken.append(migration.name)
            return found
        if migration.rollback is None:
            return _without_script(migration, up)
        try:
            down = read(migration.rollback)
        except Unfit as error:
            return Checked(migration.name, "fails", f"{error}", notes=up.notes)
        if why := declared(migration.rollback, down):
            return Checked(migration.name, "irreversible", why, notes=up.notes)
        if not down.statements:
            return self._empty(migration, before, after, up)
        found = self._back(migration.name, (before, after), up, down)
        return replace(
            found, notes=(*_notes(up, down), *found.notes, *refused_by_the_bot(migration.rollback, self.history_table))
        )

    def _apply(self, migration: Migration) -> Reading:
        """Raises Unfit, Failed."""
        if migration.refused or migration.forward is None:
            raise Unfit(f"{migration.refused or 'its forward script is missing'}.")
        up = read(migration.forward)
        made = self.room.apply(up)
        self.room.roles |= set(up.roles)
        notes = [f"the role `{role}` was made for the time of the check" for role in made]
        return replace(up, notes=(*up.notes, *notes))

    def _empty(self, migration: Migration, before: Snapshot, after: Snapshot, up: Reading) -> Checked:
        """A rollback script without a statement: right only where there is nothing to undo."""
        changes = tuple(schema.difference(before, after))
        if changes:
            return Checked(migration.name, "empty", "its rollback script holds no statement", changes, notes=up.notes)
        note = "nothing was to be undone in the schema"
        return replace(self._back(migration.name, (before, after), up, None), verdict="empty", notes=(*up.notes, note))

    def _back(self, name: str, sides: tuple[Snapshot, Snapshot], up: Reading, down: Reading | None) -> Checked:
        """Down and up again, in a transaction where that can be, else in a copy."""
        scripts = [script for script in (down, up) if script]
        if not any(script.outside for script in scripts):
            try:
                with self.room.aside(as_copy=False):
                    return self._there_and_back(name, sides, up, down)
            except Failed as failed:
                if not (failed.leave and all(script.may_leave for script in scripts)):
                    return Checked(name, "fails", str(failed), notes=self._consequence(failed))
        without = (schema.without(sides[0], COPIES_HAVE_NO), schema.without(sides[1], COPIES_HAVE_NO))
        try:
            with self.room.aside(as_copy=True):
                return self._there_and_back(name, without, up, down, COPIES_HAVE_NO)
        except Failed as failed:
            return Checked(name, "fails", str(failed), notes=self._consequence(failed))

    def _there_and_back(
        self,
        name: str,
        sides: tuple[Snapshot, Snapshot],
        up: Reading,
        down: Reading | None,
        blind: tuple[str, ...] = (),
    ) -> Checked:
        """Raises Failed where the rollback fails; a second application that fails is a finding."""
        before, after = sides
        back = after
        if down:
            self.room.play(down)
            back = schema.without(self.room.snapshot(), blind)
        changes = tuple(schema.difference(before, back))
        found = Checked(name, _verdict(changes), differences=changes)
        try:
            self.room.play(up)
            again = schema.difference(after, schema.without(self.room.snapshot(), blind))
        except Failed as failed:
            if failed.leave:
                raise
            return replace(found, reapplies=False, again=f"it does not apply again: {failed}")
        harmful = [change.message for change in again if change.severity == "harmful"]
        if harmful:
            more = f" and {len(harmful) - 1} more" if len(harmful) > 1 else ""
            return replace(
                found, reapplies=False, again=f"applied again, it leaves another schema: {harmful[0]}{more}."
            )
        return replace(found, reapplies=True)

    def _consequence(self, error: Exception) -> tuple[str, ...]:
        """A hint where PostgreSQL refused a script after an earlier migration could not be applied."""
        if not self.broken or not isinstance(error, Failed):
            return ()
        return (f"`{self.broken[0]}` could not be applied before; this may come of it",)


def _verdict(changes: Sequence[Change]) -> Verdict:
    if any(change.severity == "harmful" for change in changes):
        return "differs"
    return "cosmetic" if changes else "exact"


def _digested(found: Checked, migration: Migration) -> Checked:
    """With the SHA-256 of the scripts that are there."""
    sides = (migration.forward, migration.rollback)
    forward, rollback = (hashlib.sha256(part.data).hexdigest() if part else "" for part in sides)
    return replace(found, forward=forward, rollback=rollback)


def _without_script(migration: Migration, up: Reading) -> Checked:
    if migration.irreversible:
        return Checked(migration.name, "irreversible", migration.irreversible, notes=up.notes)
    return Checked(migration.name, "missing", "it has no rollback script", notes=up.notes)


def _notes(*readings: Reading) -> tuple[str, ...]:
    """What was done to a script, and with which."""
    return tuple(f"`{reading.file}`: {note}" for reading in readings for note in reading.notes)
