"""The shapes that forms are made of."""

from __future__ import annotations

import json
from typing import Any

from bot.messages.blocks import plain
from core.grammar import LONGEST_TEXT
from core.model import Json


def field(block: str, label: str, *, optional: bool = False, least: int = 0, hint: str = "") -> Json:
    """A text of several lines, of `least` to 500 characters. A fault of it is shown by its `block_id`."""
    element: Json = {"type": "plain_text_input", "action_id": "v", "max_length": LONGEST_TEXT, "multiline": True}
    if least:
        element["min_length"] = least
    made: Json = {"type": "input", "block_id": block, "label": plain(label, 200), "element": element}
    if optional:
        made["optional"] = True
    if hint:
        made["hint"] = plain(hint, 200)
    return made


def modal(
    callback: str, private: Json, title: str, blocks: list[Json], *, close: str, submit: str = "", **more: Any
) -> Json:
    """A modal view; without `submit` it is only read. `private` is what it carries, sealed when it is opened."""
    sent = {"submit": plain(submit, 24)} if submit else {}
    return {
        "type": "modal",
        "callback_id": callback,
        "private_metadata": json.dumps(private),
        "title": plain(title, 24),
        **sent,
        "close": plain(close, 24),
        **more,
        "blocks": blocks,
    }
