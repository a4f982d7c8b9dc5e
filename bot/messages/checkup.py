"""`doctor`: is everything in place? Each fault with its remedy."""

from __future__ import annotations

from collections.abc import Sequence

from bot.messages.blocks import Message, at_most, in_batches, message
from bot.messages.text import data, plural, prose
from core.doctor import Finding


def checkup(findings: Sequence[Finding]) -> Message:
    """What was found, a line each, faults first where not all of it fits."""
    bad = [one for one in findings if not one.ok]
    text = f"{plural(len(findings), 'check')}, {plural(len(bad), 'fault')}."
    lines = [_line(one) for one in findings]
    if sum(map(len, lines)) > _ROOM or len(lines) > _MOST:
        lines = [_line(one) for one in (*bad, *[one for one in findings if one.ok])]
    shown = at_most(lines, _MOST, "all of them in the shell: `rollback doctor`", _ROOM)
    return message(text, in_batches(shown, 20, f"*{text}*"))


_MOST, _ROOM = 100, 60_000  # lines and characters: some 30 of a message's 50 blocks


def _line(one: Finding) -> str:
    remedy = f" {prose(one.remedy, 400)}" if one.remedy and not one.ok else ""
    return f"{':white_check_mark: ok' if one.ok else ':x: fault'} · *{data(one.what, 100)}*: {prose(one.text, 600)}{remedy}"
