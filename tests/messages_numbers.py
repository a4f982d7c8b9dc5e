"""The messages of numbers by month, with the example of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import messages_story as s

from bot import messages as m
from bot.newer import KINDS
from core.model import Event, Json
from core.stats import TIMES, Month


def counted(label: str, times: dict[str, list[float]], **counts: int) -> Month:
    return Month(label, Counter(counts), {name: times.get(name, []) for name in TIMES})


NOVEMBER = counted(
    "2026-11",
    {"approval": [62.0, 180.0, 660.0], "after_approval": [11.0, 14.0, 62.0], "whole": [80.0, 200.0, 700.0], "drill": [178.0]},
    rollbacks=4, done=3, denied=1, differed=1, break_glass=1, reapplies=1, drills_passed=1, drills_failed=1, drills_missed=1,
)  # fmt: skip
SEPTEMBER = counted(
    "2026-09", {"approval": [120.0], "after_approval": [12.0], "whole": [132.0], "drill": [220.0]},
    rollbacks=1, done=1, drills_passed=1,
)  # fmt: skip
MONTHS = [SEPTEMBER, Month("2026-10"), NOVEMBER]
AT = [
    "2026-07-06T08:05:00.000Z",
    "2026-08-03T08:04:00.000Z",
    "2026-09-07T08:11:00.000Z",
    "2026-09-07T09:31:00.000Z",
    "2026-11-02T09:20:00.000Z",
]
CHART: Json = {
    "at": AT,
    "whole": [301.4, 250.0, 220.0, 219.0, 178.0],
    "steps": [
        {"kind": "rollback", "step": "backup", "seconds": [90.0, 80.0, 61.0, 60.2, 41.0]},
        {"kind": "rollback", "step": "test restore", "seconds": [120.0, 90.0, 81.0, 80.0, 58.0]},
        {"kind": "restore", "step": "prepare", "seconds": [50.0, 41.0, 30.0, 31.0, 24.0]},
    ],
}
NO_CHART: Json = {"at": [], "whole": [], "steps": []}


def month(made: Month, chart: Json, target: str = "production") -> Event:
    return replace(s.event(2170, "month", 0), run=None, data={"target": target, **made.row(), "chart": chart})


MESSAGES: dict[str, Callable[[], m.Message]] = {
    "stats": lambda: m.stats(MONTHS, "production"),
    "stats_none": lambda: m.stats([Month("2026-11")]),
    "month": lambda: m.month(month(NOVEMBER, CHART)),
    "month_chart_block": lambda: m.month(month(NOVEMBER, CHART), KINDS),
    "month_quiet": lambda: m.month(month(Month("2026-11"), NO_CHART), KINDS),
}


def of(target: str, words: str) -> Json:
    """The same for hostile and huge names, with everything that can be in it."""
    all_of = counted("2026-11", {name: [1e6, 2e6] for name in TIMES}, **dict.fromkeys(NOVEMBER.counts, 10**6))
    steps = [{"kind": "restore", "step": f"{words}{n}", "seconds": [1.5] * 12} for n in range(4)]
    days = [(s.NOON + timedelta(minutes=n)).isoformat() for n in range(12)]
    told = month(all_of, {"at": days, "whole": [2.0] * 12, "steps": steps}, target)
    return {"stats": m.stats([all_of] * 36, target), "month": m.month(told), "month newer": m.month(told, KINDS)}
