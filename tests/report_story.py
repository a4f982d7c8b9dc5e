"""The story of the golden messages as the audit trail has it, event by event: what a packet is written from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import messages_story as story

from core.chain import Verdict
from core.model import Event, Json, Run, State
from core.report.case import Case, Told
from core.zone import Zone, named

S = State
BERLIN = named("Europe/Berlin")
HEAD = (2107, story.event(2107, "done", 115).digest)
SOUND = Verdict(2107, HEAD[1], ())
IDENTIFY: Json = {**story.IDENTIFY, "applied": ["001", "002", "003", "004", "010", "011", "012"], "layout": "paired"}
REHEARSE: Json = {
    **story.REHEARSE,
    "losses": [
        {**story.REHEARSE["losses"][0], "since": 37, "last_write": "2026-11-10T14:15:58+00:00"},
        {**story.REHEARSE["losses"][1], "since": 9120, "last_write": "2026-11-10T14:16:01+00:00"},
        story.REHEARSE["losses"][2],
    ],
    "usage": [
        {"table": "public.subscriptions", "reads": 14, "writes": 2, "per": 1.0, "since": 37, "last_write": None, "holders": []}
    ],
    "reapplies": True,
    "scratch": {"source": "scratch_url", "major": 18},
    "facts": {"policy": {"target": "production", "approvals": 1, "approvers": ["@db-oncall"]}},
}  # fmt: skip
BACKUP: Json = {
    **story.BACKUP,
    "file": "RB-7K3M.dump",
    "rows": 400_000,
    "encrypted": None,
    "restores": True,
    "notes": [],
}
PARTS: list[Json] = [
    {"kind": "rows", "table": "public.stripe_events", "columns": ["id", "kind", "payload"], "rows": 9120},
    {"kind": "rows", "table": "public.subscriptions", "columns": ["id", "profile_id", "status"], "rows": 48213},
    {"kind": "values", "table": "public.profiles", "columns": ["id", "plan"], "rows": 1204},
]
EXECUTE: Json = {**story.EXECUTE, "locked": 1.8, "saved": {**story.SAVED, "parts": PARTS}}
EVIDENCE: Json = {
    "identify": IDENTIFY, "rehearse": REHEARSE, "backup": BACKUP, "test restore": story.TRIAL, "execute": EXECUTE,
    "verify": story.VERIFY,
}  # fmt: skip
CODE: Json = {"note": "Looks right, payments are down", "complete": True, "revision": 1, "digest": story.DIGEST}


def moved(state: State, number: int, kind: str, seconds: float, actor: Any = None, **data: Any) -> Event:
    """An event that led to a state."""
    return replace(story.event(number, kind, seconds, actor, **data), state=state)


def step(number: int, name: str, begin: float, end: float, evidence: Json, state: State | None = None) -> list[Event]:
    """A step that came to its end: two events, of that number and the next."""
    done = story.event(number + 1, "step_done", end, step=name, evidence=evidence)
    return [story.event(number, "step_started", begin, step=name, revision=1), replace(done, state=state)]


BEGINNING = [
    moved(S.PLANNING, 2091, "asked", 0, story.ANA, reason="Checkout 500s since the 14:02 deploy"),
    *step(2092, "identify", 0.1, 0.3, IDENTIFY),
    *step(2094, "rehearse", 0.3, 7.2, REHEARSE),
    moved(S.WAITING, 2096, "opened", 8, digest=story.DIGEST, expires_at=story.at(908), coded=False),
]
PROVEN = [
    *BEGINNING,
    *step(2097, "backup", 8, 46, BACKUP),
    story.event(2099, "step_started", 46, step="test restore", revision=1),
    moved(S.APPROVED, 2100, "approved", 76, story.BOB, **CODE),
    story.event(2101, "step_done", 108, step="test restore", evidence=story.TRIAL),
]
EVENTS = [
    *PROVEN,
    moved(S.EXECUTING, 2102, "executing", 108.4, step="execute"),
    *step(2103, "execute", 108.5, 111, EXECUTE, S.VERIFYING),
    *step(2105, "verify", 111, 115, story.VERIFY),
    moved(S.DONE, 2107, "done", 115),
]
YES = (replace(story.YES[0], digest=story.DIGEST),)
DONE = story.run(
    S.DONE, EVENTS[-1], approvals=YES, evidence=EVIDENCE, opened_at=EVENTS[5].at, ended_at=EVENTS[-1].at
)  # fmt: skip
BACK = [
    replace(event, run="RB-M4TQ")
    for event in (
        moved(S.PLANNING, 2108, "asked", 180, story.BOB, reason="Old code cannot be deployed today"),
        *step(2109, "identify", 181, 181.4, story.REDO),
        *step(2111, "rehearse", 182, 187.8, story.TRIED),
        moved(S.WAITING, 2113, "opened", 188, digest="a" * 64, expires_at=story.at(1088), coded=True),
        moved(
            S.APPROVED,
            2114,
            "approved",
            590,
            story.CHEN,
            **{**CODE, "note": "", "totp": 59_000_000, "digest": "a" * 64},
        ),
        moved(S.EXECUTING, 2115, "executing", 592, step="execute"),
        *step(2116, "execute", 592, 600, story.AGAIN, S.VERIFYING),
        *step(2119, "verify", 600, 604, story.HEALTHY),
        moved(S.DONE, 2121, "done", 604),
    )
]
UNDONE = moved(S.REAPPLIED, 2118, "reapplied", 600, story.BOB, by="RB-M4TQ")
REAPPLIED = replace(DONE, state=S.REAPPLIED, ending=UNDONE, last=UNDONE, way_back="RB-M4TQ")
REAPPLY = story.way_back(
    "reapply",
    S.DONE,
    BACK[-1],
    approvals=(replace(story.YES[0], person=story.CHEN),),
    evidence={"identify": story.REDO, "rehearse": story.TRIED, "execute": story.AGAIN, "verify": story.HEALTHY},
    ended_at=BACK[-1].at,
)


def case(
    run: Run,
    events: Iterable[Event],
    others: tuple[Told, ...] = (),
    verdict: Verdict = SOUND,
    zone: Zone | None = BERLIN,
) -> Case:
    """What a packet of it is written from."""
    assert zone
    return Case(Told(run, tuple(events)), verdict, HEAD, zone, others)


def of(run: Run) -> Case:
    """A run of the catalogue: how it began, and the event that led to its state."""
    last = run.ending or run.last
    assert last
    began = [replace(event, run=run.id) for event in BEGINNING[: 6 if run.kind == "rollback" else 1]]
    shown = BEGINNING[-1].data if last.kind == "opened" else {}
    shown = EVENTS[-4].data if last.kind == "step_done" else shown
    return case(run, [*began, replace(last, id=max(last.id, 2099), state=run.state, data={**shown, **last.data})])


def packet() -> Case:
    """The one that the documentation shows."""
    return case(DONE, EVENTS)


def both_ways() -> Case:
    """The rollback with the re-apply that undid it."""
    return case(REAPPLIED, [*EVENTS, UNDONE], (Told(REAPPLY, tuple(BACK)),))
