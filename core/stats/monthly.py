"""The report of a month: at 09:00 UTC on the first of the next one, once for each target that drills, also after downtime."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from core import stats
from core.ledger import Ledger, stamp
from core.model import Event, Json
from core.settings import Settings, Target

HOUR = 9
"""Of the first of a month, UTC."""
CHARTED = 12
"""Drills that the chart shows at most."""
STEPS = 4
"""Steps that it shows beside the whole drill: those that took longest."""


def look(ledger: Ledger, settings: Settings) -> None:
    """Tell of the newest month that is over, where nobody has. Months before it that were missed are not told. Raises Refused(E-LEDGER)."""
    if not ledger.passing.settled():
        return  # the clock was set just now: a wrong time that is mended soon tells of nothing
    label = over(ledger.clock())
    for target in settings.targets.values():
        if target.drill:
            tell(ledger, target, label)


def over(now: datetime) -> str:
    """The newest month whose report is due."""
    return stats.last(now - timedelta(hours=HOUR), 2)[0]


def tell(ledger: Ledger, target: Target, label: str) -> None:
    """Claim the month and write its numbers down, in one transaction."""
    name = f"month {target.name}"
    claimed = {row["period"] for row in ledger.reminders(name)}
    if label in claimed:
        return
    # a bot that is new here owes nothing for the time before it
    data = numbers(ledger, target.name, label) if claimed else None
    with ledger.transaction() as t:
        if t.claim(name, label) and data:
            t.append(None, "month", data)


def numbers(ledger: Ledger, target: str, label: str) -> Json:
    """What the event holds: the row of the month, and the drills up to its end."""
    (month,) = [one for one in stats.months(ledger, 3, target) if one.label == label]
    passed = [one for one in ledger.apart(["drill_passed"], target) if f"{one.at:%Y-%m}" <= label]
    return {"target": target, **month.row(), "chart": chart(passed[:CHARTED][::-1])}


def chart(passed: Sequence[Event]) -> Json:
    """Times of drills, oldest first: `at`, `whole` (seconds), and `steps` that all of them have: `kind`, `step`, `seconds` of each."""
    times = [{(one["kind"], one["step"]): float(one["seconds"]) for one in event.data["steps"]} for event in passed]
    shared = [key for key in (times[-1] if times else {}) if all(key in one for one in times)]
    longest = sorted(shared, key=lambda key: -times[-1][key])[:STEPS]
    return {
        "at": [stamp(event.at) for event in passed],
        "whole": [float(event.data["seconds"]) for event in passed],
        "steps": [{"kind": key[0], "step": key[1], "seconds": [one[key] for one in times]} for key in longest],
    }
