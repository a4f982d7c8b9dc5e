"""What completion knows of this machine: targets of the settings, runs of the audit trail, migrations of the folder.

Only looked at, whatever their faults are: no database is asked, and a ledger that is not there stays so.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from core.config import glimpse
from core.model import OPEN
from core.settings import Settings
from core.words import NAME

MOST = 50  # runs
ENDINGS = (".up.sql", ".down.sql", ".sql", ".go")


def of_kind(kind: str, target: str, env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Words with their meaning. `kind`: RUN, MIGRATION, VERSION or TARGET; `target`: the one that was named."""
    settings = glimpse(env)
    if kind == "TARGET":
        yield from (
            (name, "default target" if name == settings.default_target else "target") for name in settings.targets
        )
    elif kind == "RUN":
        yield from runs(settings.ledger)
    else:
        yield from ((name, "migration") for name in migrations(settings, target))


def runs(ledger: Path) -> Iterator[tuple[str, str]]:
    """Run ids, open ones first, then the newest. Nothing where there is no ledger, or it is another program's."""
    if not ledger.is_file():
        return
    # a reader makes the files of the write-ahead log where they are not there; without them all stands in the ledger
    live = all(Path(f"{ledger}{end}").exists() for end in ("-wal", "-shm"))
    mode = "mode=ro" if live else "mode=ro&immutable=1"
    open_first = f"state IN ({', '.join(f'{str(state)!r}' for state in sorted(OPEN))})"
    query = f"SELECT id, state, target, what, migration FROM rollbacks WHERE state <> 'refused' ORDER BY {open_first} DESC, created_at DESC LIMIT {MOST}"  # noqa: S608 - words of ours
    with closing(sqlite3.connect(f"{ledger.absolute().as_uri()}?{mode}", uri=True, timeout=0.5)) as db:
        for run, state, target, what, migration in db.execute(query):
            wanted = {"from": migration, "to": f"to {migration}"}.get(what, what)
            yield run, f"{state.replace('_', ' ')}, {target}: {wanted}"


def migrations(settings: Settings, target: str) -> list[str]:
    """Names in the folder of a target, newest first; a test holds them against what the layouts read."""
    known = settings.targets.get(target or settings.default_target)
    place = known.migrations if known else None
    if known is None or not isinstance(place, Path) or not place.is_dir():  # git is not asked for every TAB
        return []
    folders = [place, place / "rollback"] if known.layout == "paired" else [place]
    found = {
        name
        for folder in folders
        if folder.is_dir()
        for entry in os.scandir(folder)
        if (name := migration(entry, known.layout)) and NAME.fullmatch(name)
    }
    return sorted(found, key=order, reverse=True)


def migration(entry: os.DirEntry[str], layout: str) -> str:
    """The migration that a file or folder belongs to; empty where it is none."""
    name = entry.name
    if not name[:1].isdigit():
        return ""
    if layout == "diesel":
        return name if "_" in name and entry.is_dir() else ""
    ending = next((end for end in ENDINGS if name.endswith(end)), None)
    if ending is None or (ending == ".go" and (layout != "goose" or name.endswith("_test.go"))):
        return ""
    # the tools of one folder for both ways have `.up` and `.down`; elsewhere these are a part of the name
    split = layout in ("golang-migrate", "sqlx")
    if layout == "golang-migrate" and ending not in (".up.sql", ".down.sql"):
        return ""
    return name.removesuffix(ending if split else ending[ending.rfind(".") :])


def order(name: str) -> tuple[int, str]:
    """By number, then by name."""
    digits = re.match(r"[0-9-]+", name)
    return (int(digits[0].replace("-", "") or 0) if digits else 0, name)
