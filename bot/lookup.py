"""Finds a post whose answer was lost, so that it need not be posted again.

Each post carries a label in its metadata, which people cannot write: the event's digest and the place under which it
will be noted. Before a post is repeated, one page of its thread or channel is read, from the newest post on that was noted
there. Where that cannot be read, it is repeated: better twice than not at all.
"""

from __future__ import annotations

from typing import Any

import structlog
from slack_sdk import WebClient

from bot.client import OddAnswer, name_of, said
from bot.messages import Message
from bot.people import AWAY
from bot.witness import PAGE, Author
from core.ledger import Ledger
from core.model import Event, Json

log = structlog.get_logger()
LABEL = "post"


def label_for(event: Event | None, place: str) -> str:
    """What names the post of an event in a place for good, also beside those of another ledger."""
    return f"{event.digest[:16] if event else ''} {place}"


def labelled(message: Message, label: str, run: str = "") -> Message:
    """The message with its label."""
    named = message.get("metadata") or {"event_type": "rollback_bot", "event_payload": {"run": run}}
    return {**message, "metadata": {**named, "event_payload": {**named["event_payload"], LABEL: label}}}


class Lookup:
    """Reads back the newest posts."""

    def __init__(self, client: WebClient, ledger: Ledger) -> None:
        self.client, self.ledger = client, ledger
        self._author: Author | None = None

    def noted(self) -> dict[str, str]:
        """The ts of the newest post that was noted in each channel."""
        query = "SELECT channel, max(ts) FROM posts WHERE ts IS NOT NULL GROUP BY channel"
        return {str(channel): str(ts) for channel, ts in self.ledger.look(query)}

    def find(self, channel: str, thread: str | None, message: Message, since: str) -> Json | None:
        """Where a labelled message of ours stands that is newer than `since`, as `{"ts": …}`; None: nowhere, or it cannot be read."""
        if channel.startswith("D"):
            return None  # the app has no right to read direct messages
        try:
            author, page = self.author(), self.page(channel, thread, since)
        except AWAY as error:
            log.warning("not looked up", channel=channel, error=name_of(error) or type(error).__name__)
            return None
        found = [said(one, "ts") for one in page if author.wrote(one) and same(one, message, since)]
        if found:
            log.info("stands there already", channel=channel, post=label_of(message))
        return {"ts": min(found)} if found else None

    def author(self) -> Author:
        """Who we are. Raises one of AWAY."""
        if self._author is None:
            me = self.client.auth_test()
            self._author = Author(said(me, "bot_id"), "", said(me, "user_id"))
        return self._author

    def page(self, channel: str, thread: str | None, since: str) -> list[Any]:
        """The newest messages there, with their metadata. Raises one of AWAY."""
        where: dict[str, Any] = {"channel": channel, "limit": PAGE, "include_all_metadata": True}
        where |= {"oldest": since} if since else {}
        if thread:
            answer = self.client.conversations_replies(ts=thread, **where)
        else:
            answer = self.client.conversations_history(**where)
        found = answer.get("messages")
        if not isinstance(found, list):
            log.warning("odd answer", channel=channel, lacks="messages")
            raise OddAnswer("Slack did not say what stands there")
        return [one for one in found if isinstance(one, dict) and said(one, "ts")]


def same(one: Any, message: Message, since: str) -> bool:
    """Is it that message? Where Slack keeps the metadata to itself, the text tells: what is newer than all that was noted."""
    if one.get("metadata"):
        return label_of(one) == label_of(message)
    return bool(since) and one.get("text") == message["text"]


def label_of(message: Any) -> str:
    """Its label; empty where it has none."""
    return said(message, "metadata", "event_payload", LABEL)
