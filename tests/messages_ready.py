"""The messages of backups by themselves and of what could be undone, with the example of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import messages_story as s

from bot import messages as m
from core.model import Event


def apart(number: int, kind: str, **data: Any) -> Event:
    """An event that belongs to no run."""
    return replace(s.event(number, kind, 100, s.ANA), run=None, data={"target": "production", **data})


TAKEN = apart(2151, "backup_taken", backup="BK-7K3M", evidence={"bytes": 412_000_000}, seconds=38.0)
PROVEN = apart(2152, "backup_proven", backup="BK-7K3M", tables=9, seconds=62.0)
FAILED = apart(
    2153,
    "backup_failed",
    code="E-DISK",
    message="The backup needs up to 2.1 GB, 0.3 GB is free.",
    hint="Free the disk, or set `backup_dir` to a bigger one.",
)
MESSAGES: dict[str, Callable[[], m.Message]] = {
    "backup_proven": lambda: m.backup_over(PROVEN, TAKEN),
    "backup_failed": lambda: m.backup_over(FAILED, None),
}
