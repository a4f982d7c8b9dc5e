"""The rules of Block Kit: what Slack refuses with `invalid_blocks` (messages) or `invalid_arguments` (views).

Limits: docs.slack.dev, block references, October 2026. The new blocks are in rich.py and charts.py; what Slack itself
says to each of them can be asked with `blocks.validate`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from .charts import DATA_VISUALIZATION, too_many
from .elements import IN_ACTIONS, IN_CONTEXT, IN_INPUT, IN_SECTION
from .rich import ALERT, BLOCK, PLAN, RICH_TEXT, TASK_CARD, table
from .shapes import Check, Report, anything, boolean, by_type, list_of, plain, shape, string, text, url

Surface = Literal["message", "modal", "home"]
MOST_BLOCKS: Mapping[Surface, int] = {"message": 50, "modal": 100, "home": 100}
TEXT_POSTED, TEXT_UPDATED = 40_000, 4_000  # characters of the top-level text
VIEW_BYTES = 250_000


def _section(value: Any, at: str, report: Report) -> None:
    shape(
        {},
        {
            **BLOCK,
            "text": text(3000),
            "fields": list_of(text(2000), 10),
            "accessory": IN_SECTION,
            "expand": boolean,
        },
    )(value, at, report)
    if "text" not in value and "fields" not in value:
        report.add(at, "text or fields is needed")


def _image(value: Any, at: str, report: Report) -> None:
    shape(
        {"alt_text": string(2000)},
        {**BLOCK, "image_url": url, "slack_file": anything, "title": plain(2000)},
    )(value, at, report)
    if ("image_url" in value) == ("slack_file" in value):
        report.add(at, "exactly one of image_url and slack_file is needed")


EVERYWHERE: Mapping[str, Check] = {
    "section": _section,
    "actions": shape({"elements": list_of(IN_ACTIONS, 25)}, BLOCK),
    "context": shape({"elements": list_of(IN_CONTEXT, 10)}, BLOCK),
    "divider": shape({}, BLOCK),
    "header": shape({"text": plain(150)}, BLOCK),
    "image": _image,
    "input": shape(
        {"label": plain(2000), "element": IN_INPUT},
        {**BLOCK, "hint": plain(2000), "optional": boolean, "dispatch_action": boolean},
    ),
    "rich_text": RICH_TEXT,
    "video": shape({"video_url": url, "thumbnail_url": url, "alt_text": string(2000), "title": plain(200)}),
}
MESSAGE_ONLY: Mapping[str, Check] = {
    "markdown": shape({"text": string(12_000)}, BLOCK),
    "file": shape({"external_id": string(255), "source": string(20)}, BLOCK),
    "table": table,
    "task_card": TASK_CARD,
    "plan": PLAN,
    "data_visualization": DATA_VISUALIZATION,
}
BLOCKS: Mapping[Surface, Check] = {
    "message": by_type({**EVERYWHERE, **MESSAGE_ONLY}, "block in a message"),
    "modal": by_type({**EVERYWHERE, "alert": ALERT}, "block in a modal"),
    "home": by_type(EVERYWHERE, "block in Home"),
}
_VIEW: Mapping[str, Check] = {
    "blocks": anything,
    "callback_id": string(255, shortest=0),
    "external_id": string(255, shortest=0),
    "private_metadata": string(3000, shortest=0),
}
VIEWS: Mapping[Surface, Check] = {
    "home": shape({"blocks": anything}, {**_VIEW, "title": anything, "close": anything, "submit": anything}),
    "modal": shape(
        {"title": plain(24), "blocks": anything},
        {
            **_VIEW,
            "submit": plain(24),
            "close": plain(24),
            "clear_on_close": boolean,
            "notify_on_close": boolean,
            "submit_disabled": boolean,
        },
    ),
}


def problems(payload: Mapping[str, Any], surface: Surface) -> list[str]:
    """What Slack would refuse, one sentence each with a JSON pointer; empty when it would take it.

    `payload`: the arguments of a post or an answer (`text`, `blocks`) for "message", the view for "modal" and "home".
    """
    report = Report()
    if surface == "message":
        if payload.get("text") is not None:
            string(TEXT_POSTED, shortest=0)(payload["text"], "/text", report)
    else:
        _view_rules(payload, surface, report)
    blocks = payload.get("blocks")
    if blocks is not None:
        list_of(BLOCKS[surface], MOST_BLOCKS[surface], shortest=0)(blocks, "/blocks", report)
        if isinstance(blocks, list):
            _unique(blocks, report)
            _one_table(blocks, report)
            too_many(blocks, report)
    return report.found


def _view_rules(view: Mapping[str, Any], surface: Surface, report: Report) -> None:
    if view.get("type") != surface:
        report.add("/type", f"must be {surface}, is {view.get('type')!r}")
        return
    VIEWS[surface](view, "", report)
    blocks = [block for block in view.get("blocks") or [] if isinstance(block, dict)]
    if surface == "modal" and "submit" not in view and any(block.get("type") == "input" for block in blocks):
        report.add("/submit", "submit is needed in a modal with an input")
    if too_large(view):
        report.add("", f"the view must be at most {VIEW_BYTES} bytes")


def too_large(view: Mapping[str, Any]) -> bool:
    """Is a view larger than Slack takes (`view_too_large`)?"""
    return len(json.dumps(view, ensure_ascii=False).encode()) > VIEW_BYTES


def _unique(blocks: list[Any], report: Report) -> None:
    seen: set[str] = set()
    focused = 0
    for number, block in enumerate(blocks):
        if not isinstance(block, dict):
            continue
        block_id = block.get("block_id")
        if block_id is not None and str(block_id) in seen:
            report.add(f"/blocks/{number}/block_id", f"block_id {block_id!r} is used twice")
        seen.add(str(block_id))
        actions: set[str] = set()
        for element in interactive(block):
            action_id = str(element.get("action_id"))
            if "action_id" in element and action_id in actions:
                report.add(f"/blocks/{number}", f"action_id {action_id!r} is used twice in the block")
            actions.add(action_id)
            focused += element.get("focus_on_load") is True
    if focused > 1:
        report.add("/blocks", "only one element can have focus_on_load")


def _one_table(blocks: list[Any], report: Report) -> None:
    if sum(isinstance(block, dict) and block.get("type") == "table" for block in blocks) > 1:
        report.add("/blocks", "only one table is allowed in a message")


def interactive(block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The elements of one block that a person can use (buttons, menus, fields)."""
    candidates = [block.get("accessory"), block.get("element")]
    if block.get("type") == "actions" and isinstance(block.get("elements"), list):
        candidates += block["elements"]
    for element in candidates:
        if isinstance(element, dict) and element.get("type") != "image":
            yield element
