"""The messages of backups by themselves and of what could be undone, with the example of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import messages_story as s

from bot import messages as m
from core.board import Aged, Board
from core.model import Event, Json
from core.readiness_words import SAID, changed


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


def one(name: str, state: str, why: str = "", seconds: float | None = None, rows: int | None = None) -> Json:
    """A line of the board."""
    return {"name": name, "version": name[:3], "state": state, "seconds": seconds, "rows": rows, "why": why}


FAILS = "The script fails on the restored copy: `010_rate_limits.sql`, line 3: 42P01 relation <plans> does not exist."
LINES = [
    one("012_stripe_events", "ready", seconds=9.2, rows=25_000),
    one("011_subscriptions", "not tried", "there is no backup of everything", rows=1),
    one("010_rate_limits", "fails", FAILS, rows=0),
    one("009_quotas", "no script"),
    one("008_plans", "no script", "`009_quotas` has no rollback script"),
]
FOUND: Json = {
    "backup": {"id": "BK-7K3M", "taken_at": "2026-12-10T02:00:00.000Z"},
    "seconds": 31.5,
    "migrations": LINES,
}
CHANGED = [
    f"`010_rate_limits`: script fails{FAILS.removeprefix('The script fails')}",
    "`009_quotas` can be undone again: ready, 0.4 s.",
]
AGED = Aged("BK-7K3M", s.NOON - timedelta(hours=14), timedelta(hours=14))
BOARD = Board({"target": "production", **FOUND}, s.NOON - timedelta(hours=9))
AWAY = Board(BOARD.found, BOARD.at, "I cannot reach *production*: connection refused.")
OLD: Json = {"newest": "BK-7K3M", "age_seconds": 30 * 3600.0, "limit_seconds": 26 * 3600.0}
HOME = [
    m.readiness_line("production", BOARD, AGED, s.NOON),
    m.readiness_line("staging", AWAY, None, s.NOON),
    m.readiness_line("archive", None, AGED, s.NOON),
]


def worst(words: str) -> dict[str, Any]:
    """Every name and reason is `words`, and there are as many as there can be."""
    lines = [one(words, state, words, 9.0, 10**9) for state in SAID] * 4
    found: Json = {"target": words, "backup": {"id": "BK-7K3M"}, "migrations": lines}
    now = Board(found, s.NOON, words)
    backup = replace(TAKEN, data={"target": words, "backup": words, "evidence": {}, "seconds": 1.0})
    told = {"target": words, "backup": words, "tables": 10**6, "seconds": 9e6}
    failed = {"target": words, "code": "E-DISK", "message": words, "hint": words}
    return {
        "board": m.board(words, now, AGED, s.NOON),
        "changed": m.readiness_changed(
            replace(TAKEN, kind="readiness", data={**found, "changed": changed(None, {**found, "backup": None})})
        ),
        "old": m.backup_old(replace(TAKEN, data={"target": words, **OLD})),
        "proven": m.backup_over(replace(PROVEN, data=told), backup),
        "failed": m.backup_over(replace(FAILED, data=failed), None),
        "home": m.home(m.Tab(s.NOON, ready=[m.readiness_line(words, now, AGED, s.NOON)] * 40)),
    }


MESSAGES: dict[str, Callable[[], m.Message]] = {
    "backup_proven": lambda: m.backup_over(PROVEN, TAKEN),
    "backup_failed": lambda: m.backup_over(FAILED, None),
    "backup_old": lambda: m.backup_old(apart(2154, "backup_old", **OLD)),
    "backup_none": lambda: m.backup_old(apart(2154, "backup_old", **{**OLD, "newest": None, "age_seconds": None})),
    "readiness_changed": lambda: m.readiness_changed(apart(2155, "readiness", **FOUND, changed=CHANGED)),
    "readiness": lambda: m.board("production", BOARD, AGED, s.NOON),
    "readiness_stale": lambda: m.board("production", AWAY, AGED, s.NOON),
    "readiness_none": lambda: m.board("production", None, None, s.NOON),
}
