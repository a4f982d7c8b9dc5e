"""Rich text, and the newer blocks that are made of it: `table`, `task_card`, `plan`, `alert`.

Source: docs.slack.dev, block references, and the models of slack_sdk 3.47. What the pages leave open (how long a title
may be) is taken narrowly here, so that what passes here passes there.
"""

from __future__ import annotations

from typing import Any

from .shapes import (
    Check,
    Report,
    anything,
    boolean,
    by_type,
    either,
    integer,
    list_of,
    one_of,
    plain,
    shape,
    string,
    text,
    url,
)

BLOCK = {"block_id": string(255)}
ROWS, COLUMNS, CELLS = 100, 20, 10_000  # of a table; CELLS: characters of all cells together
TASKS = 50

_STYLE = shape({}, {"bold": boolean, "italic": boolean, "strike": boolean, "code": boolean, "underline": boolean})
_STYLED: dict[str, Check] = {"style": _STYLE}
_INLINE = by_type(
    {
        "text": shape({"text": string(3000)}, _STYLED),
        "link": shape({"url": url}, {**_STYLED, "text": string(3000), "unsafe": boolean}),
        "user": shape({"user_id": string(255)}, _STYLED),
        "usergroup": shape({"usergroup_id": string(255)}, _STYLED),
        "channel": shape({"channel_id": string(255)}, _STYLED),
        "broadcast": shape({"range": one_of("here", "channel", "everyone")}, _STYLED),
        "emoji": shape({"name": string(255)}, {**_STYLED, "unicode": string(255)}),
        "color": shape({"value": string(255)}, _STYLED),
        "date": shape(
            {"timestamp": integer(0, 9_999_999_999), "format": string(255)},
            {**_STYLED, "fallback": string(255), "url": url},
        ),
    },
    "rich text element",
)
_SECTION = shape({"elements": list_of(_INLINE, 1000, shortest=0)})
_BORDER: dict[str, Check] = {"border": integer(0, 1)}
_PART = by_type(
    {
        "rich_text_section": _SECTION,
        "rich_text_list": shape(
            {"elements": list_of(by_type({"rich_text_section": _SECTION}, "item of a list"), 1000)}
            | {"style": one_of("bullet", "ordered")},
            {**_BORDER, "indent": integer(0, 8), "offset": integer(0, 1_000_000)},
        ),
        "rich_text_preformatted": shape({"elements": list_of(_INLINE, 1000)}, {**_BORDER, "language": string(255)}),
        "rich_text_quote": shape({"elements": list_of(_INLINE, 1000)}, _BORDER),
    },
    "part of rich text",
)
RICH_TEXT = shape({"elements": list_of(_PART, 1000)}, BLOCK)
_RICH = by_type({"rich_text": RICH_TEXT}, "rich text")
_SOURCE = by_type({"url": shape({"url": url, "text": string(3000)})}, "source")
TASK_CARD = shape(
    {"task_id": string(255), "title": string(300)},
    {
        **BLOCK,
        "status": one_of("pending", "in_progress", "complete", "error"),
        "details": _RICH,
        "output": _RICH,
        "sources": list_of(_SOURCE, 50),
    },
)
_TASK = by_type({"task_card": TASK_CARD}, "task")
PLAN = shape({"title": either(string(200), plain(200))}, {**BLOCK, "tasks": list_of(_TASK, TASKS)})
ALERT = shape({"text": text(200)}, {**BLOCK, "level": one_of("default", "info", "success", "warning", "error")})
_CELL = by_type(
    {
        "raw_text": shape({"text": string(3000)}),
        "raw_number": shape({"value": anything}, {"text": string(300)}),
        "rich_text": RICH_TEXT,
    },
    "cell",
)
_TABLE = shape(
    {"rows": list_of(list_of(_CELL, COLUMNS), ROWS)},
    {
        **BLOCK,
        "column_settings": list_of(
            shape({}, {"align": one_of("left", "center", "right"), "is_wrapped": boolean}), COLUMNS
        ),
    },
)


def table(value: Any, at: str, report: Report) -> None:
    """A table: at most 100 rows of 20 cells, 10,000 characters in all."""
    _TABLE(value, at, report)
    size = characters(value.get("rows"))
    if size > CELLS:
        report.add(f"{at}/rows", f"no more than {CELLS} characters allowed in all cells, there are {size}")


def characters(value: Any) -> int:
    """How many characters the texts in it have, however deep they lie."""
    if isinstance(value, list):
        return sum(map(characters, value))
    if not isinstance(value, dict):
        return 0
    told = value.get("text")
    return (len(told) if isinstance(told, str) else 0) + characters(value.get("elements"))
