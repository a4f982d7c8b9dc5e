"""How big backups and saves are, and how much room there is."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import LiteralString

from core import postgres
from core.backups import dump
from core.errors import Refused, StepFailed
from core.model import Json
from core.runbook import Work
from core.save.items import Item

SQUEEZED, PACE = 0.35, 100e6
"""Of a save: size as a part of what the rows take in the table; bytes of the table a second. Seen 0.15 to 0.5, 100e6 to 180e6."""
TABLE: LiteralString = """
    SELECT CASE WHEN c.relpages > 0 THEN (c.relpages + coalesce(t.relpages, 0))::bigint * current_setting('block_size')::int
                ELSE pg_table_size(c.oid) END
      FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid WHERE c.oid = to_regclass(%s)"""
"""The exact size would wait for whoever locks the table: it is asked only where the table was never vacuumed."""
WIDTHS: LiteralString = """
    SELECT max(greatest(c.reltuples, 0)) * sum(s.avg_width) * (1 - min(s.null_frac) FILTER (WHERE s.attname = ANY (%s)))
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_catalog.pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = ANY (%s)
     WHERE c.oid = to_regclass(%s)"""
"""Of some columns: rows, times their widths, times the part that is not NULL. NULL where the table was never analysed."""
REMEDY = "Free the disk, or set `backup_dir` to a bigger one."


def weight(conn: postgres.Connection, items: Sequence[Item]) -> int:
    """About how many bytes of their tables the rows and values take that are saved. Rows that the scripts change in tables that
    stay are not among them: nobody knows yet how many these are."""
    total = 0.0
    for item in items:
        found = None
        if item.kind in ("values", "retyped"):
            named = list(item.lost)
            found = postgres.scalar(conn, WIDTHS, named, [*item.key, *named], item.table)
        if found is None and item.kind != "touched":
            found = postgres.scalar(conn, TABLE, item.table)
        total += found or 0
    return int(total)


def last_of(work: Work, form: str) -> Json | None:
    """What the newest backup of this target and format took: `bytes`, `plain` (before compression), `size` (of the
    database), `seconds`. None where none is kept."""
    with suppress(OSError):  # there is no folder, it cannot be read, or old ones are removed meanwhile
        manifests = [path for path, run in dump.ours(work.settings.backup_dir) if path.name == f"{run}.json"]
        for path in sorted(manifests, key=lambda one: -one.stat().st_mtime):
            with suppress(ValueError, KeyError, TypeError):  # what is no manifest tells nothing
                manifest = json.loads(path.read_text())
                about: Json = manifest["about"]
                if (manifest["target"], manifest["format"]) == (work.target.name, form) and about["size"]:
                    return about
    return None


def usable(folder: Path) -> None:
    """Raises Refused(E-BACKUP) where nothing can be written into a folder, or it cannot be made."""
    fine = False
    with suppress(OSError):  # one above it cannot be looked into
        there = nearest(folder)
        fine = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    if not fine:
        raise Refused("E-BACKUP", "I cannot write to the backup folder. Nothing was started.", "Check `backup_dir`.")


def nearest(folder: Path) -> Path:
    """The folder, or the first above it that is there."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def free_in(folder: Path) -> int:
    """Free bytes where a folder is, or will be."""
    return shutil.disk_usage(nearest(folder)).free


def enough_room(folder: Path, needed: int) -> None:
    """Raises StepFailed(E-DISK) where fewer than `needed` bytes are free."""
    free = free_in(folder)
    if free < needed:
        raise StepFailed("E-DISK", f"{short(needed, free)} Production was not changed.", REMEDY)


def short(needed: int, free: int) -> str:
    """What is needed and what there is."""
    return f"The backup needs up to {sized(needed)}, {sized(free)} is free."


def sized(number: int) -> str:
    """2.1 GB, 0.3 MB"""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"
