"""A channel as text: what stands in the blocks, as a person reads it. Tests keep such transcripts."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

from .model import ALL, Json, Message
from .state import State

_SPECIAL = re.compile(r"<([^<>\n]+)>")


def readable(state: State, mrkdwn: str) -> str:
    """mrkdwn with mentions, channels, dates and links as people see them. Dates show the fallback, which is UTC."""
    return html.unescape(_SPECIAL.sub(lambda found: _special(state, found[1]), mrkdwn))


def _special(state: State, inner: str) -> str:
    target, _, label = inner.partition("|")
    if target.startswith("@"):
        member = state.members.get(target[1:])
        return f"@{member.real_name if member else label or target[1:]}"
    if target.startswith("#"):
        channel = state.channels.get(target[1:])
        return f"#{channel.name if channel else label or target[1:]}"
    if target.startswith("!subteam^"):
        group = state.groups.get(target.removeprefix("!subteam^"))
        return f"@{group.handle}" if group else label or target
    if target.startswith("!date^"):
        return label
    if target.startswith("!"):
        return f"@{target[1:]}"
    return label or target


def _plain(state: State, value: Any) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return ""
    return readable(state, value["text"]) if value.get("type") == "mrkdwn" else str(value.get("text", ""))


def _rich(state: State, value: Any) -> str:
    if isinstance(value, list):
        return "".join(_rich(state, each) for each in value)
    if not isinstance(value, dict):
        return ""
    if value.get("type") == "user":
        return readable(state, f"<@{value.get('user_id')}>")
    if "elements" in value:
        return _rich(state, value["elements"]) + ("\n" if value.get("type") == "rich_text_preformatted" else "")
    return str(value.get("text") or value.get("url") or value.get("name") or "")


def _control(state: State, element: Json) -> str:
    kind = element.get("type")
    if kind == "button":
        return f"[{_plain(state, element['text'])}]"
    if kind == "image":
        return f"({element.get('alt_text', '')})"
    if element.get("options") and kind in ("radio_buttons", "checkboxes"):
        chosen = [element.get("initial_option"), *element.get("initial_options", [])]
        marks = [
            ("(x) " if option in chosen else "( ) ") + _plain(state, option["text"]) for option in element["options"]
        ]
        return "\n".join(marks)
    initial = element.get("initial_option") or {}
    shown = initial.get("text") or element.get("initial_value") or element.get("placeholder") or ""
    return f"[{_plain(state, shown)} ▾]" if "select" in str(kind) else f"[{_plain(state, shown) or '…'}]"


def block_lines(state: State, block: Json) -> Iterator[str]:
    """One block as lines."""
    kind = block.get("type")
    if kind == "section":
        for part in filter(None, [block.get("text"), *block.get("fields", [])]):
            yield from _plain(state, part).splitlines()
        if block.get("accessory"):
            yield _control(state, block["accessory"])
    elif kind in ("header", "alert", "markdown"):
        yield from _plain(state, block.get("text")).splitlines()
    elif kind == "context":
        parts = [_plain(state, each) if "text" in each else _control(state, each) for each in block["elements"]]
        yield from "  ·  ".join(parts).splitlines()
    elif kind == "actions":
        yield " ".join(_control(state, each) for each in block["elements"])
    elif kind == "divider":
        yield "---"
    elif kind == "input":
        yield _plain(state, block["label"]) + (" (optional)" if block.get("optional") else "")
        yield from _control(state, block["element"]).splitlines()
    else:
        yield from _newer(state, block)


def _newer(state: State, block: Json) -> Iterator[str]:
    kind = block.get("type")
    if kind == "table":
        for row in block["rows"]:
            yield " | ".join(_rich(state, cell) for cell in row)
    elif kind == "plan":
        yield _plain(state, block.get("title"))
        for task in block.get("tasks", []):
            yield from block_lines(state, {"type": "task_card", **task})
    elif kind == "task_card":
        told = _rich(state, block.get("output")) or _rich(state, block.get("details"))
        yield f"{block['title']}: {block.get('status', 'pending')}{'  ' + told if told else ''}"
    elif kind == "data_visualization":
        yield from _chart(block)
    elif kind == "rich_text":
        yield from _rich(state, block).splitlines()
    elif kind == "image":
        yield f"({block.get('alt_text', '')})"


def _chart(block: Json) -> Iterator[str]:
    """Title, then one line for each series or segment with its values."""
    chart = block["chart"]
    yield f"[{chart['type']} chart] {block['title']}"
    for series in chart.get("series", []):
        yield f"{series['name']}: " + ", ".join(f"{point['label']} {point['value']}" for point in series["data"])
    for segment in chart.get("segments", []):
        yield f"{segment['label']}: {segment['value']}"


def message_lines(state: State, message: Message) -> Iterator[str]:
    """Who and what: the blocks where there are any, else the text."""
    member = state.members.get(message.user)
    who = member.real_name if member else message.user
    if message.ephemeral_for:
        reader = state.members.get(message.ephemeral_for)
        who += f" (only {reader.real_name if reader else message.ephemeral_for} sees this)"
    if message.reply_broadcast:
        who += " (also shown in the channel)"
    lines = [line for block in message.blocks for line in block_lines(state, block)]
    yield f"{who}:"
    yield from (f"  {line}".rstrip() for line in lines or readable(state, message.text).splitlines())


def transcript(state: State, channel: str, viewer: str | None) -> str:
    """A whole channel, threads indented under their first message."""
    everything = [each for each in state.messages.get(channel, []) if each.visible_to(viewer or ALL)]
    name = state.channels[channel]
    lines = [f"#{name.name}" if name.user is None else f"direct messages with {state.members[name.user].real_name}"]
    top = {each.ts for each in everything if each.thread_ts is None}
    for message in everything:
        if message.thread_ts in top:
            continue
        lines += ["", *message_lines(state, message)]
        for reply in everything:
            if reply.thread_ts == message.ts:
                lines += [f"    {line}".rstrip() for line in message_lines(state, reply)]
    return "\n".join(lines) + "\n"


def view_text(state: State, body: Json) -> str:
    """A modal or Home as text."""
    title = [_plain(state, body["title"])] if body.get("title") else []
    lines = [line for block in body["blocks"] for line in block_lines(state, block)]
    buttons = [f"[{_plain(state, body[name])}]" for name in ("close", "submit") if body.get(name)]
    return "\n".join([*title, *lines, *([" ".join(buttons)] if buttons else [])]) + "\n"
