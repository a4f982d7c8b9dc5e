"""The messages of drills, with the example of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import messages_story as s

from bot import messages as m
from core.drills import Standing
from core.model import Event, Json, Person

OWNER = m.DrillOwner("<@U0BOB>", "Bob Lee")
BOB, CHEN = Person("U0BOB", "Bob Lee"), Person("U0CHEN", "Chen Wu")
NEXT = "2027-01-04T09:00:00.000Z"
DUE: Json = {
    "target": "production", "period": "Mon 7 Dec 2026 10:00", "due": "2026-12-07T09:00:00.000Z", "next": NEXT, "owner": "U0BOB",
    "last": "35 days ago, 3 min 40 s, passed", "streak": 7, "about": 220.0, "again": False, "first": None, "missed": [],
}  # fmt: skip
STEPS = [
    {"kind": kind, "step": step, "seconds": seconds}
    for kind, step, seconds in (
        ("rollback", "copy", 58.0), ("rollback", "rehearse", 0.4), ("rollback", "backup", 41.0), ("rollback", "test restore", 58.0),
        ("rollback", "execute", 1.9), ("rollback", "verify", 4.0), ("reapply", "execute", 2.4), ("restore", "prepare", 24.0),
        ("restore", "execute", 0.2),
    )
]  # fmt: skip
ENDED: Json = {
    "target": "production", "drill": 2151, "due": 2150, "seconds": 192.0, "steps": STEPS, "migrations": ["012_stripe_events"],
    "people": [{"what": "agree", "who": "U0CHEN", "name": "Chen Wu", "seconds": 74.0}],
    "backup": {"id": "RB-7K3M", "taken_at": "2026-11-10T14:13:41.000Z", "fresh": False}, "before": 220.0,
}  # fmt: skip
NO_ROLE: Json = {
    **ENDED, "kind": "rollback", "step": "test restore", "code": "E-BACKUP", "options": [],
    "message": "The backup could not be restored: role `billing_ro` does not exist.", "hint": "Create the role there.",
}  # fmt: skip


def event(number: int, kind: str, after: float, who: Person | None = None, /, **data: object) -> Event:
    return replace(s.event(number, kind, after, who), run=None, data=data)


def due(**more: object) -> Event:
    return event(2150, "drill_due", 0, **{**DUE, **more})


def said(kind: str, after: float = 60, who: Person | None = BOB, /, **data: object) -> Event:
    return event(2155, kind, after, who, **{"target": "production", **data})


PASSED = event(2161, "drill_passed", 300, **ENDED)
STANDING = Standing(told=due(), last=PASSED, streak=8)
STARTED = event(2151, "drill_started", 73, BOB, target="production", due=2150)
ASKS = event(
    2153, "drill_asks", 90, target="production", drill=2151, digest="3f9a1c07b2de" * 5, until="2026-12-07T09:20:00.000Z",
    migrations=["012_stripe_events"],
)  # fmt: skip
LATE = Standing(due=due(), told=due(), skipped=said("drill_skipped", reason="release week"))
MESSAGES: dict[str, Callable[[], m.Message]] = {
    "drill_due": lambda: m.drill_due(due(), OWNER),
    "drill_due_again": lambda: m.drill_due(due(again=True, first=2140, missed=["Mon 2 Nov 2026 10:00"]), OWNER),
    "drill_due_snoozed": lambda: m.drill_due(due(), OWNER, said("drill_snoozed", until="2026-12-10T09:01:00.000Z")),
    "drill_due_skipped": lambda: m.drill_due(due(), OWNER, said("drill_skipped", reason="release week")),
    "drill_due_started": lambda: m.drill_due(due(), OWNER, STARTED),
    "drill_due_passed": lambda: m.drill_due(due(), OWNER, PASSED),
    "drill_due_failed": lambda: m.drill_due(due(), OWNER, said("drill_failed", 60, None, **NO_ROLE)),
    "drill_due_missed": lambda: m.drill_due(due(), OWNER, due()),
    "drill_started": lambda: m.drill_started(STARTED),
    "drill_waits": lambda: m.drill_waits(said("drill_waits", 60, None, drill=2151, **{"for": "RB-7K3M"})),
    "drill_step": lambda: m.drill_step(
        said("drill_step", 60, None, drill=2151, kind="rollback", step="backup", seconds=41.0, told="41 s, 412 MB")
    ),
    "drill_step_back": lambda: m.drill_step(
        said(
            "drill_step",
            who=None,
            drill=2151,
            kind="restore",
            step="prepare",
            seconds=24.0,
            told="24 s, 9 of 9 tables equal",
        )
    ),
    "drill_asks": lambda: m.drill_asks(ASKS, "<!subteam^S0DBONCALL>"),
    "drill_asks_agreed": lambda: m.drill_asks(
        ASKS, "<!subteam^S0DBONCALL>", said("drill_agreed", 164, CHEN), over=True
    ),
    "drill_asks_over": lambda: m.drill_asks(ASKS, "<!subteam^S0DBONCALL>", over=True),
    "drill_agreed": lambda: m.drill_agreed(said("drill_agreed", 164, CHEN, drill=2151)),
    "drill_passed": lambda: m.drill_ended(PASSED, OWNER, STANDING, STARTED),
    "drill_failed": lambda: m.drill_ended(event(2158, "drill_failed", 300, **NO_ROLE), OWNER, STANDING, STARTED),
    "drill_failed_over": lambda: m.drill_ended(
        event(2158, "drill_failed", 300, **NO_ROLE), OWNER, STANDING, STARTED, over=True
    ),
    "drill_failed_back": lambda: m.drill_ended(
        event(2158, "drill_failed", 300, **{**NO_ROLE, "kind": "reapply", "step": "rehearse", "hint": ""}),
        OWNER,
        STANDING,
        STARTED,
    ),
    "drill_status": lambda: m.drill_standing(
        [("production", "on the first Monday of each month at 10:00", STANDING), ("staging", "no schedule", LATE)],
        s.NOON + timedelta(days=40),
    ),
}
VIEWS: dict[str, Callable[[], Json]] = {"drill_skip": lambda: m.drill_skip(due())}
