"""One message of one event, and where it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from slack_sdk import WebClient

from bot import messages


@dataclass(frozen=True)
class Delivery:
    """One message of one event. `place` names it within the event; `user` instead of `channel`: a direct message."""

    place: str
    message: messages.Message
    channel: str | None = None
    user: str | None = None
    thread: str | None = None
    otherwise: str | None = None  # the thread to take where that one is gone; None: none
    broadcast: bool = False
    update: str | None = None  # ts of the message to edit
    only: str | None = None  # user id of the only reader
    classic: Callable[[], messages.Message] | None = None  # the message, where Slack takes no newer blocks

    def send(self, client: WebClient, channel: str) -> Any:
        """The Web API call of an edit, or of what only one person sees."""
        text, blocks = self.message["text"], self.message["blocks"]
        if self.update:
            return client.chat_update(channel=channel, ts=self.update, text=text, blocks=blocks)
        return client.chat_postEphemeral(channel=channel, user=self.only or "", text=text, blocks=blocks)

    @property
    def more(self) -> dict[str, Any]:
        """Where in the channel a post goes."""
        return {"thread_ts": self.thread, "reply_broadcast": self.broadcast} if self.thread else {}
