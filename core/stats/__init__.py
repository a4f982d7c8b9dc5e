"""Numbers of rollbacks and drills, month by month, folded from the audit trail: nothing is stored for them.

A run belongs to the month in which it was asked for, a drill to the one in which it ended; months are those of UTC. Runs are
read by one query of the few columns that count, not by the fold of each: their evidence is never looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median

from core import drills
from core.ledger import Ledger
from core.model import OPEN, Event, Json, State
from core.settings import Settings

MOST = 36
"""Months that may be asked for."""
USUAL = 12
OUTCOMES = ("passed", "failed", "stopped", "missed", "skipped")
"""Of a drill, or of a period without one."""
COUNTS = (
    "rollbacks", "done", "refused", "denied", "expired", "withdrawn", "stopped", "open", "differed", "break_glass",
    "reapplies", "restores", *(f"drills_{outcome}" for outcome in OUTCOMES),
)  # fmt: skip
TIMES = ("approval", "after_approval", "whole", "drill")
COLUMNS = ("month", *COUNTS, *(f"{time}_seconds_{which}" for time in TIMES for which in ("median", "worst")))
"""Of a row of the CSV file, which docs/numbers.md describes."""
RUNS = """
    SELECT substr(r.created_at, 1, 7), r.what, r.state, r.created_at,
           max(CASE WHEN e.state = 'approved' AND e.kind IN ('approved', 'countdown_over') THEN e.at END),
           min(CASE WHEN e.state = 'done' THEN e.at END),
           max(e.state IN ('done', 'reapplied', 'restored')), max(e.state = 'decide'), max(e.kind = 'countdown_over')
      FROM rollbacks r JOIN events e ON e.run = r.id
     WHERE r.created_at >= ? AND (? IS NULL OR r.target = ?)
     GROUP BY r.id"""
KNOWN = """
    SELECT 1 WHERE EXISTS (SELECT 1 FROM rollbacks WHERE target = ?)
                OR EXISTS (SELECT 1 FROM events WHERE run IS NULL AND json_extract(data, '$.target') = ?)"""
"""A target that the settings do not name any more has its numbers still."""
ENDS = (State.REFUSED, State.DENIED, State.EXPIRED, State.WITHDRAWN, State.STOPPED)


@dataclass
class Month:
    """`label`: `2026-11`. `counts` by COUNTS. `times` by TIMES: seconds, in no order."""

    label: str
    counts: Counter[str] = field(default_factory=Counter)
    times: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in TIMES})

    def median(self, time: str) -> float | None:
        """In seconds; None where there is none."""
        return round(median(self.times[time]), 3) if self.times[time] else None

    def worst(self, time: str) -> float | None:
        """The same."""
        return max(self.times[time], default=None)

    def row(self) -> Json:
        """By COLUMNS: whole numbers, seconds, None where nothing was measured."""
        made: Json = {"month": self.label, **{name: self.counts[name] for name in COUNTS}}
        for time in TIMES:
            made |= {f"{time}_seconds_median": self.median(time), f"{time}_seconds_worst": self.worst(time)}
        return made

    @property
    def ways_back(self) -> int:
        """Of both kinds, those that took effect."""
        return self.counts["reapplies"] + self.counts["restores"]

    @property
    def drilled(self) -> int:
        """Periods that were answered, or not, for a drill."""
        return sum(self.counts[name] for name in COUNTS if name.startswith("drills_"))


def months(ledger: Ledger, count: int = USUAL, target: str | None = None) -> list[Month]:
    """The newest months, oldest first, the present one included. `target`: its runs and drills alone. Raises Refused(E-LEDGER)."""
    labels = last(ledger.clock(), count)
    found = {label: Month(label) for label in labels}
    for row in ledger.look(RUNS, labels[0], target, target):
        if row[0] in found:  # what a clock that went wrong dates later stands in no month
            add(found[row[0]], row[1:])
    for label, name, seconds in drilled(ledger.apart(drills.KINDS, target)):
        if label in found:
            found[label].counts[f"drills_{name}"] += 1
            found[label].times["drill"] += [seconds] if seconds is not None else []
    return list(found.values())


def of(ledger: Ledger, settings: Settings, count: int | None, target: str | None) -> list[Month]:
    """The same, as it was asked for at a door. Raises Refused(E-TARGET-UNKNOWN) for a target that never was, E-LEDGER."""
    if target and not ledger.look(KNOWN, target, target):
        settings.target(target)
    return months(ledger, count or USUAL, target)


def last(now: datetime, count: int) -> list[str]:
    """The labels of so many months up to the present one, oldest first."""
    here = now.year * 12 + now.month - 1
    return [f"{at // 12:04}-{at % 12 + 1:02}" for at in range(here - count + 1, here + 1)]


def add(month: Month, row: Sequence[object]) -> None:
    """One run, as RUNS gives it without its month."""
    what, state, asked, approved, done, effect, differed, broken = row
    counts = month.counts
    if what in ("reapply", "restore"):
        counts["reapplies" if what == "reapply" else "restores"] += bool(effect)
        return
    counts["rollbacks"] += 1
    counts["done"] += bool(effect)
    counts["differed"] += bool(differed)
    counts["break_glass"] += bool(broken)
    if State(str(state)) in OPEN:
        counts["open"] += 1
    elif State(str(state)) in ENDS:
        counts[str(state)] += 1
    if approved:
        month.times["approval"].append(between(asked, approved))
    if done:
        month.times["whole"].append(between(asked, done))
    if approved and done:
        month.times["after_approval"].append(between(approved, done))


def between(first: object, then: object) -> float:
    """Seconds from one stored moment to another; 0 where the clock was set back meanwhile."""
    return round(max(0.0, (datetime.fromisoformat(str(then)) - datetime.fromisoformat(str(first))).total_seconds()), 3)


def drilled(newest_first: Sequence[Event]) -> list[tuple[str, str, float | None]]:
    """Month, outcome (of OUTCOMES) and the seconds of one that passed, in order.

    Missed is a period that nobody had answered for when the next one came, or that came while no bot was running; it counts
    in the month in which that was told.
    """
    found: list[tuple[str, str, float | None]] = []
    standing: dict[str, drills.Standing] = {}
    for event in reversed(newest_first):
        name, label = str(event.data["target"]), f"{event.at:%Y-%m}"
        before = standing.get(name, drills.Standing())
        match event.kind:
            case "drill_passed":
                found.append((label, "passed", float(event.data["seconds"])))
            case "drill_failed":
                found.append((label, "stopped" if stopped(event) else "failed", None))
            case "drill_skipped":
                found.append((label, "skipped", None))
            case "drill_due" if not event.data.get("again"):
                missed = len(event.data.get("missed") or ()) + bool(before.due and not before.running)
                found += [(label, "missed", None)] * missed
        standing[name] = drills.heard(before, event)
    return found


def stopped(event: Event) -> bool:
    """Did a drill end since a person stopped it, or its process ended? That says nothing about the way back."""
    return bool(event.data.get("code") == "E-STOPPED")


BARS = "▁▂▃▅▇"


def sparkline(values: Sequence[float | None]) -> str:
    """One bar for each value, the highest for the largest; `·` where there is none. Empty where there is no value at all."""
    top = max((value for value in values if value is not None), default=None)
    if top is None:
        return ""
    return "".join("·" if value is None else bar(value, top) for value in values)


def bar(value: float, top: float) -> str:
    """Its height against the largest one."""
    return BARS[min(int(value / top * len(BARS)), len(BARS) - 1)] if top > 0 else BARS[0]
