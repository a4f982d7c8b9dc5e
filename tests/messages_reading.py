"""A payload of Slack as readable text: what a reviewer of the golden files looks at."""

from __future__ import annotations

from typing import Any


def readable(payload: Any) -> str:
    """A payload as a person would read it: the notification, then block by block."""
    lines = ["notification: " + payload["text"], ""] if "text" in payload else []
    if "title" in payload:
        lines = [f"== {payload['title']['text']} ==", ""]
    for block in payload["blocks"]:
        lines += [*_block(block), ""]
    for end in ("submit", "close"):
        lines += [f"[{payload[end]['text']}]"] if end in payload else []
    return "\n".join(lines).rstrip() + "\n"


def _block(block: Any) -> list[str]:
    kind = block["type"]
    if kind in ("section", "header"):
        cells = block.get("fields", []) or [block["text"]]
        beside = [_button(block["accessory"])] if "accessory" in block else []
        return [cell["text"].replace("\n", ": ", 1) if "fields" in block else cell["text"] for cell in cells] + beside
    if kind == "context":
        return [" | ".join(cell["text"] for cell in block["elements"])]
    if kind == "actions":
        return ["  ".join(_button(one) for one in block["elements"])]
    if kind == "divider":
        return ["---"]
    if kind == "alert":
        return [f"[{block['level']}] {block['text']['text']}"]
    if kind == "table":
        return [" | ".join(cell["text"] for cell in row) for row in block["rows"]]
    if kind == "plan":
        return [f"[plan] {block['title']}", *map(_task, block["tasks"])]
    if kind == "data_visualization":
        lines = [f"  {one['name']}: {', '.join(map(_point, one['data']))}" for one in block["chart"]["series"]]
        return [
            f"[{block['chart']['type']} chart] {block['title']}, {block['chart']['axis_config']['y_label']}",
            *lines,
        ]
    label = f"{block['label']['text']} [{block['block_id']}{', optional' if block.get('optional') else ''}]"
    return [label, *_element(block["element"])]


def _point(one: Any) -> str:
    return f"{one['label']} {one['value']}"


def _task(task: Any) -> str:
    told = task.get("output") or task["details"]
    return f"  [{task['status']}] {task['title']}: {told['elements'][0]['elements'][0]['text']}"


def _element(element: Any) -> list[str]:
    """What can be chosen, and what is filled in."""
    chosen = element.get("initial_option")
    lines = [f"  {'(x)' if one == chosen else '( )'} {_option(one)}" for one in element.get("options", [])]
    if chosen and not lines:
        lines = [f"  (x) {_option(chosen)}"]
    return lines + ([f"  “{element['initial_value']}”"] if "initial_value" in element else [])


def _option(one: Any) -> str:
    about = f" — {one['description']['text']}" if "description" in one else ""
    return f"{one['text']['text']}{about}"


def _button(one: Any) -> str:
    if one["type"] == "static_select":
        options = ", ".join(f"{option['text']['text']} {option['value']}" for option in one["options"])
        return f"[{one['placeholder']['text']}]({one['action_id']}: {options})"
    asks = f" asks “{one['confirm']['text']['text']}”" if "confirm" in one else ""
    return f"[{one['text']['text']}{'!' if one.get('style') == 'primary' else ''}]({one['action_id']} {one['value']}){asks}"
