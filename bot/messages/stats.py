"""Numbers by month: the answer to `stats`, and the report of a month with the times of its drills, as a chart or in text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.messages.blocks import Message, at_most, audit, context, in_batches, message, say, section
from bot.messages.drills import OF
from bot.messages.text import bare, code, cut, data, duration, listed, literal, moment, plural, utc_day
from core.model import Event, Json
from core.stats import OUTCOMES, Month, sparkline
from core.transcript import NAMES

_TITLE, _LABEL = 50, 20
"""Characters: docs.slack.dev, data visualization block."""
_NOT_DONE = ("refused", "denied", "expired", "withdrawn", "stopped", "open")
_SHELL = "as CSV in the shell: `rollback stats --csv`"
Row = Mapping[str, Any]
"""Of a month, by the columns of core/stats."""


def stats(found: Sequence[Month], target: str | None = None) -> Message:
    """One line for each month in which something happened, newest first."""
    on, last = data(target, 60) if target else "all targets", "this month"
    if len(found) > 1:
        last = f"the last {plural(len(found), 'month')}"
    rows = [one.row() for one in reversed(found)]
    asked = [f"• *{row['month']}*: {rollbacks(row)}" for row in rows if asked_for(row)]
    drilled = [f"• *{row['month']}*: {drills(row)}" for row in rows if drilled_at_all(row)]
    head = f"*Rollbacks of {on}*, {last}, times as median"
    blocks = in_batches(at_most(asked, 40, _SHELL, 8000) or ["No rollback was asked for."], 20, head)
    blocks += in_batches(at_most(drilled, 40, _SHELL, 8000) or ["There was no drill."], 20, "*Drills*")
    bars = [
        f"{line} {words}, {duration(values[-1])} the last time"
        for words, time in (("drills", "drill"), ("time to approval", "approval"))
        if len(values := [value for one in found if (value := one.median(time)) is not None]) > 1
        and (line := sparkline([one.median(time) for one in found]))
    ]
    blocks += [section("\n".join(bars))] if bars else []
    total = Counter[str]()
    for one in found:
        total.update(one.counts)
    text = f"Rollbacks of {on}, {last}: {total['rollbacks']} asked for, {total['done']} done. Drills: {outcomes(total) or 'none'}."
    return message(say(text, "", ""), [*blocks, context("Months are those of UTC", _SHELL)])


def month(event: Event, newer: frozenset[str] = frozenset()) -> Message:
    """The report of a month."""
    row = event.data
    on, called = data(str(row["target"]), 60), f"{datetime.strptime(str(row['month']), '%Y-%m'):%B %Y}"
    said = [rollbacks(row) if asked_for(row) else "no rollback was asked for"]
    said.append(f"drills: {drills(row)}" if drilled_at_all(row) else "there was no drill")
    lines = "\n".join(one[:1].upper() + one[1:] + "." for one in said)
    blocks = [section(f":bar_chart: *Rollbacks and drills of {on}, {called}*\n{lines}")]
    if len(row["chart"]["at"]) > 1:
        blocks.append(chart(row) if "data_visualization" in newer else section(in_text(row["chart"])))
    other = f"/rollback stats --on {row['target']}"
    text = f"Rollbacks and drills of {on} in {called}: {bare('; '.join(said))}."
    return message(text, [*blocks, context(f"{code(other)} for other months", audit(event))], run="", event=event)


def asked_for(row: Row) -> bool:
    """Was there a rollback, or a way back?"""
    return bool(row["rollbacks"] or row["reapplies"] or row["restores"])


def drilled_at_all(row: Row) -> bool:
    """Was there a drill, or should there have been one?"""
    return any(row[f"drills_{name}"] for name in OUTCOMES)


def rollbacks(row: Row) -> str:
    """`4 asked for, 3 done, 1 denied; approved after 2 min (worst 9 min), done 12 s later`."""
    ended = [f"{row[name]} {name}" for name in ("done", *_NOT_DONE) if row[name]]
    parts = [", ".join([f"{row['rollbacks']} asked for", *ended])]
    took = [told(row, "approval", "approved after {}"), told(row, "after_approval", "done {} later")]
    parts.append(", ".join(one for one in took if one))
    parts.append(f"{row['differed']} with a result that differed" if row["differed"] else "")
    parts.append(f"{row['break_glass']} by break-glass" if row["break_glass"] else "")
    back = [plural(row["reapplies"], "re-apply", "re-applies")] if row["reapplies"] else []
    back += [plural(row["restores"], "restore")] if row["restores"] else []
    parts.append(f"ways back: {listed(back)}" if back else "")
    return "; ".join(part for part in parts if part)


def drills(row: Row) -> str:
    """`1 passed in 3 min 40 s, 1 missed`."""
    took = told(row, "drill", " in {}")
    words = [f"{row[f'drills_{name}']} {name}{took * (name == 'passed')}" for name in OUTCOMES if row[f"drills_{name}"]]
    return ", ".join(words)


def outcomes(total: Mapping[str, int]) -> str:
    """The same of several months, without times."""
    return ", ".join(f"{total[f'drills_{name}']} {name}" for name in OUTCOMES if total[f"drills_{name}"])


def told(row: Row, time: str, words: str) -> str:
    """A median with its worst, where it was measured; the worst is left out where there was only one."""
    middle, worst = row[f"{time}_seconds_median"], row[f"{time}_seconds_worst"]
    if middle is None:
        return ""
    return words.format(duration(middle)) + (
        f" (worst {duration(worst)})" if duration(worst) != duration(middle) else ""
    )


# -- the times of drills ---------------------------------------------------------------------------------------


def named(step: Json) -> str:
    """As the lines of a drill name it."""
    return f"{OF.get(step['kind'], '')}{NAMES.get(step['step'], step['step'])}"


def series(found: Json) -> list[tuple[str, list[float]]]:
    """The whole drill and its longest steps, each with its own name."""
    made = {"whole drill": found["whole"]}
    for step in found["steps"]:
        made.setdefault(cut(literal(data(named(step))), _LABEL), step["seconds"])
    return list(made.items())


def in_text(found: Json) -> str:
    """One bar for each drill: of the whole, and of each step."""
    days = f"{utc_day(moment(found['at'][0]))} to {utc_day(moment(found['at'][-1]))}"
    rows = [
        f"{sparkline(values)} {data(words, 40)}, {duration(values[-1])} the last time"
        for words, values in series(found)
    ]
    return "\n".join([f"*The last {len(found['at'])} drills*, {days}", *rows])


def chart(row: Row) -> Json:
    """The same as Slack's own chart: docs.slack.dev, data visualization block."""
    found = row["chart"]
    days = apart([utc_day(moment(at)) for at in found["at"]])
    lines = [
        {
            "name": name,
            "data": [{"label": day, "value": round(value, 1)} for day, value in zip(days, values, strict=True)],
        }
        for name, values in series(found)
    ]
    return {
        "type": "data_visualization",
        "title": cut(literal(f"The last {len(days)} drills of {data(str(row['target']), 60)}"), _TITLE),
        "chart": {
            "type": "line",
            "series": lines,
            "axis_config": {"categories": days, "x_label": "drill", "y_label": "seconds"},
        },
    }


def apart(days: Sequence[str]) -> list[str]:
    """Each category of a chart has a name of its own: the second drill of a day is `7 Dec (2)`."""
    seen, made = Counter[str](), list[str]()
    for day in days:
        seen[day] += 1
        made.append(day if seen[day] == 1 else f"{day} ({seen[day]})")
    return made
