"""How a refusal is provoked, read and held against the kept one."""

from __future__ import annotations

import os
import re

from demo.workspace import Message, payloads
from demo.workspace.text import message_lines
from tests.bench_fixtures import ANA, CHANNEL, STORIES, Play, stable


def refused(play: Play, text: str, user: str = ANA, channel: str = CHANNEL) -> str:
    """Type it; the answer with a code, as that person reads it."""
    seen = {m.ts for m in play.everything(channel)}
    play.types(text, user, channel)

    def look() -> Message | None:
        new = [m for m in play.everything(channel) if m.ts not in seen and m.ephemeral_for == user]
        return next((m for m in new if re.search(r"E-[A-Z-]+", str(m.blocks))), None)

    found = play.slack.wait_for(look, 30)
    assert found
    with play.slack.state.reading():
        return stable("\n".join(message_lines(play.slack.state, found)))


def kept(case: str, text: str) -> None:
    """Hold an answer against its part of `refusals.txt`; `GOLDEN=write` keeps it anew (one process only)."""
    file = STORIES / "refusals.txt"
    parts = dict(part.split("\n", 1) for part in file.read_text().split("## ")[1:]) if file.exists() else {}
    if os.environ.get("GOLDEN") == "write":
        parts[case] = text.strip() + "\n\n"
        file.write_text("".join(f"## {name}\n{body}" for name, body in sorted(parts.items())))
    assert text.strip() == parts[case].strip()


def nothing_half_done(play: Play) -> None:
    """No open run, no scratch database, the target as it was."""
    play.slack.wait_for(lambda: not play.ledger.open_runs(), 10)
    play.left_clean()
    assert play.applied() == ["001", "002", "003", "004", "010", "011", "012"]
    assert play.markers() == []


def raw_click(play: Play, message: Message, action_id: str, value: str, user: str) -> None:
    """A click that Slack's own client would not offer."""
    state = play.slack.state
    element = {"type": "button", "action_id": action_id, "value": value, "text": {"type": "plain_text", "text": "x"}}
    with state.changing():
        action = payloads.action_of(element, "block", state.new_ts(), {})
        body = payloads.click_message(state, user, message, action)
    play.slack.click_raw(body)
