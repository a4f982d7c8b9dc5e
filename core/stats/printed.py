"""The numbers as the shell prints them: a table of rollbacks, one of drills, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from core.lines import STRONG, WARNING, Line, Mark, line, table
from core.quantities import duration
from core.stats import COLUMNS, OUTCOMES, Month, sparkline

ENDED = ("refused", "denied", "expired", "withdrawn", "stopped", "open")
HEADS = ("month", "asked", "done", "not done", "differed", "ways back", "to approval", "then to done")
DRILLS = ("month", *OUTCOMES, "took")


def lines(found: Sequence[Month], target: str | None) -> list[Line]:
    """Both tables; months in which nothing happened are left out."""
    of = f"of {target}" if target else "of all targets"
    asked = [one for one in found if one.counts["rollbacks"] or one.ways_back]
    drilled = [one for one in found if one.drilled]
    made = [
        line((f"rollbacks {of}", STRONG), f", the last {len(found)} months (UTC); median, and the worst in brackets")
    ]
    made += table([HEADS, *map(_rollbacks, asked)]) if asked else [Line("No rollback was asked for.")]
    made += [Line(), line((f"drills {of}", STRONG))]
    made += table([DRILLS, *map(_drills, drilled)]) if drilled else [Line("There was no drill.")]
    medians = [one.median("drill") for one in found]
    if sum(value is not None for value in medians) > 1:
        made.append(Line(f"a drill took  {sparkline(medians)}"))
    waits = [one.median("approval") for one in found]
    if sum(value is not None for value in waits) > 1:
        made.append(Line(f"to approval   {sparkline(waits)}"))
    return made


def _rollbacks(one: Month) -> tuple[str | Mark, ...]:
    counts = one.counts
    back = [
        f"{counts[name]} {word}" for name, word in (("reapplies", "re-apply"), ("restores", "restore")) if counts[name]
    ]
    alone = f" ({counts['break_glass']} break-glass)" if counts["break_glass"] else ""
    differed = (str(counts["differed"]), WARNING) if counts["differed"] else "-"
    times = (took(one, "approval"), took(one, "after_approval"))
    done = f"{counts['done']}{alone}"
    return (one.label, str(counts["rollbacks"]), done, ended(one) or "-", differed, ", ".join(back) or "-", *times)


def ended(one: Month) -> str:
    """How the others ended, or that they are open: `1 denied, 2 open`."""
    return ", ".join(f"{one.counts[name]} {name}" for name in ENDED if one.counts[name])


def took(one: Month, time: str) -> str:
    """`2 min (9 min)`: the median, and the worst where there are several."""
    middle, worst = one.median(time), one.worst(time)
    if middle is None or worst is None:
        return "-"
    return duration(middle) + (f" ({duration(worst)})" if len(one.times[time]) > 1 else "")


def _drills(one: Month) -> tuple[str | Mark, ...]:
    counted = {outcome: str(one.counts[f"drills_{outcome}"] or "-") for outcome in OUTCOMES}
    bad = ("failed", "missed")
    cells = [(many, WARNING) if name in bad and many != "-" else many for name, many in counted.items()]
    return one.label, *cells, took(one, "drill")


def as_csv(found: Sequence[Month]) -> str:
    """A head, and one row a month, oldest first; a cell is empty where nothing was measured."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(one.row() for one in found)
    return text.getvalue()
