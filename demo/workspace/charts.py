"""Slack's `data_visualization` block: a line, bar, area or pie chart.

Source: docs.slack.dev, data visualization block (June 2026): up to 6 series or segments, up to 20 points, labels of 20 characters,
titles of 50, each series with one value for each category, names that are unique. At most two in a message is what Slack
answers, which its pages do not say. Only in messages, taken narrowly, since the pages name no surface.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .rich import BLOCK
from .shapes import Check, Report, by_type, list_of, shape, string

SERIES, POINTS, MOST = 6, 20, 2
_LABEL = string(20)


def _number(value: Any, at: str, report: Report) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        report.add(at, "must be a number")


def _weight(value: Any, at: str, report: Report) -> None:
    _number(value, at, report)
    if isinstance(value, int | float) and not value > 0:
        report.add(at, "must be greater than 0")


_POINTS = shape(
    {"name": _LABEL, "data": list_of(shape({"label": _LABEL, "value": _number}), POINTS)},
)
_AXES = shape({"categories": list_of(_LABEL, POINTS)}, {"x_label": string(50), "y_label": string(50)})
_DRAWN = shape({"series": list_of(_POINTS, SERIES), "axis_config": _AXES})


def _series(value: Any, at: str, report: Report) -> None:
    before = len(report.found)
    _DRAWN(value, at, report)
    if len(report.found) > before:
        return
    names = [one["name"] for one in value["series"]]
    if len(set(names)) < len(names):
        report.add(f"{at}/series", "names of series must be unique")
    categories = value["axis_config"]["categories"]
    if len(set(categories)) < len(categories):
        report.add(f"{at}/axis_config/categories", "categories must be unique")
    for number, one in enumerate(value["series"]):
        if sorted(point["label"] for point in one["data"]) != sorted(categories):
            report.add(f"{at}/series/{number}/data", "labels must match the categories of axis_config")


_KINDS: Mapping[str, Check] = {
    **dict.fromkeys(("line", "bar", "area"), _series),
    "pie": shape({"segments": list_of(shape({"label": _LABEL, "value": _weight}), SERIES)}),
}
DATA_VISUALIZATION = shape({"title": string(50), "chart": by_type(_KINDS, "chart")}, BLOCK)


def too_many(blocks: list[Any], report: Report) -> None:
    """Not more than two in a message."""
    found = sum(isinstance(block, dict) and block.get("type") == "data_visualization" for block in blocks)
    if found > MOST:
        report.add("/blocks", f"no more than {MOST} data_visualization blocks are allowed in a message")
