"""The memory of the workspace: messages, views, tickets. One lock around all of it; every change wakes the waiters."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from .model import BOT_USER, Channel, Faults, Group, Json, Member, Message, View, WorkspaceError

T = TypeVar("T")
TRIGGER_SECONDS = 3.0
RESPONSE_SECONDS, RESPONSE_USES = 30 * 60, 5


@dataclass
class Trigger:
    """Leave to open one view, for 3 seconds. `view`: it came from that modal."""

    user: str
    made: float
    view: str | None = None
    used: bool = False


@dataclass
class ResponseUrl:
    """Leave to answer 5 times in 30 minutes. `source`: the message that was clicked, if any."""

    channel: str
    user: str
    made: float
    source: Message | None = None
    uses: int = 0


class State:
    """Everything that a workspace knows. Methods may be called from any thread."""

    def __init__(
        self,
        people: Sequence[Member],
        channels: Sequence[Channel],
        groups: Sequence[Group],
        scopes: Sequence[str],
        one_message_per_second: bool,
        bot: str = "rollback",
    ) -> None:
        own = Member(BOT_USER, bot, bot, "App", "1f2a37", is_bot=True)
        self.members = {person.id: person for person in (*people, own)}
        self.channels = {channel.id: channel for channel in channels}
        self.groups = {group.id: group for group in groups}
        self.scopes = set(scopes)
        self.one_message_per_second = one_message_per_second
        self.messages: dict[str, list[Message]] = {}
        self.modals: dict[str, list[View]] = {}  # by person, top last
        self.homes: dict[str, View] = {}
        self.triggers: dict[str, Trigger] = {}
        self.responses: dict[str, ResponseUrl] = {}
        self.posted_at: dict[str, float] = {}
        self.calls: list[tuple[str, Json]] = []
        self.faults = Faults()
        self.bot_token = f"xoxb-{secrets.token_hex(12)}"
        self.app_token = f"xapp-1-A0BOT-{secrets.token_hex(12)}"
        self.signing_secret = secrets.token_hex(16)
        self.page_token = secrets.token_urlsafe(24)
        self.version = 0
        self.on_change: list[Callable[[int], None]] = []
        self.base = ""  # http://127.0.0.1:PORT
        self._changed = threading.Condition(threading.RLock())
        self._last_ts = 0
        self._numbers = 0

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock, and tell everybody afterwards that something changed."""
        with self._changed:
            yield
            self.version += 1
            self._changed.notify_all()
            version = self.version
        for tell in list(self.on_change):
            tell(version)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold the lock."""
        with self._changed:
            yield

    def wait_for(self, predicate: Callable[[], T], timeout: float) -> T:
        """The first true value of `predicate`, asked at every change and four times a second.

        Raises TimeoutError after `timeout` seconds. The lock is not held while the predicate runs.
        """
        end = time.monotonic() + timeout
        while True:
            with self._changed:
                seen = self.version
            if value := predicate():
                return value
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"still not true after {timeout} s: {predicate!r}")
            with self._changed:
                if self.version == seen:
                    self._changed.wait(min(left, 0.25))

    def new_ts(self) -> str:
        """A time stamp like Slack's, unique and rising: seconds, a dot, six digits."""
        with self._changed:
            self._last_ts = max(int(time.time() * 1_000_000), self._last_ts + 100)
            return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def new_id(self, prefix: str) -> str:
        """An id such as V0000001."""
        with self._changed:
            self._numbers += 1
            return f"{prefix}{self._numbers:07d}"

    def with_ids(self, blocks: list[Json]) -> list[Json]:
        """The blocks, each with a block_id and each element with an action_id, as Slack fills them in."""
        done = []
        for block in blocks:
            block = {**block, "block_id": block.get("block_id") or self.new_id("b")}
            for place in ("accessory", "element"):
                if isinstance(block.get(place), dict) and block[place].get("type") != "image":
                    block[place] = {**block[place], "action_id": block[place].get("action_id") or self.new_id("a")}
            if block.get("type") == "actions":
                block["elements"] = [
                    {**each, "action_id": each.get("action_id") or self.new_id("a")} for each in block["elements"]
                ]
            done.append(block)
        return done

    def channel(self, name: str) -> Channel:
        """By id, `#name`, name, or (as chat.postMessage does) a person's id. Raises `channel_not_found`."""
        if name in self.channels:
            return self.channels[name]
        if name in self.members and name != BOT_USER:
            return self.direct(name)
        for channel in self.channels.values():
            if channel.name == name.removeprefix("#") and not channel.is_im:
                return channel
        raise WorkspaceError("channel_not_found")

    def direct(self, user: str) -> Channel:
        """The bot's direct messages with this person, opened when needed. Raises `user_not_found`."""
        if user not in self.members:
            raise WorkspaceError("user_not_found")
        known = f"D0{user[2:]}"
        if known not in self.channels:
            self.channels[known] = Channel(known, "directmessage", user=user, members={user, BOT_USER})
        return self.channels[known]

    def is_in(self, user: str, channel: Channel) -> bool:
        """Is this person or the bot a member of the channel?"""
        return channel.members is None or user in channel.members

    def find(self, channel: str, ts: str) -> Message | None:
        """A message by channel and time stamp."""
        return next((each for each in self.messages.get(channel, []) if each.ts == ts), None)

    def post(self, message: Message) -> Message:
        """Add a message."""
        with self.changing():
            self.messages.setdefault(message.channel, []).append(message)
        return message

    def member(self, user: str) -> Member:
        """A person by id. Raises `user_not_found`."""
        if user not in self.members:
            raise WorkspaceError("user_not_found")
        return self.members[user]

    def new_trigger(self, user: str, view: str | None = None) -> str:
        """A trigger_id for this person."""
        with self._changed:
            name = f"{self.new_id('')}.{secrets.randbelow(10**9)}.{secrets.token_hex(8)}"
            self.triggers[name] = Trigger(user, time.monotonic(), view)
        return name

    def use_trigger(self, name: Any) -> Trigger:
        """Spend a trigger_id. Raises `invalid_trigger_id`, `exchanged_trigger_id` or `expired_trigger_id`."""
        with self._changed:
            trigger = self.triggers.get(str(name))
            if trigger is None:
                raise WorkspaceError("invalid_trigger_id")
            if time.monotonic() - trigger.made > TRIGGER_SECONDS:
                raise WorkspaceError("expired_trigger_id")
            if trigger.used:
                raise WorkspaceError("exchanged_trigger_id")
            trigger.used = True
            return trigger

    def new_response_url(self, channel: str, user: str, source: Message | None = None) -> str:
        """A response_url for one command or click."""
        with self._changed:
            name = secrets.token_urlsafe(18)
            self.responses[name] = ResponseUrl(channel, user, time.monotonic(), source)
        return f"{self.base}/response/{name}"

    def use_response_url(self, name: str) -> ResponseUrl:
        """Spend one use. Raises `expired_url` or `used_url`."""
        with self._changed:
            known = self.responses.get(name)
            if known is None or time.monotonic() - known.made > RESPONSE_SECONDS:
                raise WorkspaceError("expired_url")
            if known.uses >= RESPONSE_USES:
                raise WorkspaceError("used_url")
            known.uses += 1
            return known

    def view(self, view_id: Any, external_id: Any = None) -> View:
        """An open view or a Home tab, by id or external id. Raises `not_found`."""
        everything = [view for stack in self.modals.values() for view in stack] + list(self.homes.values())
        for view in everything:
            if view.id == view_id or (external_id and view.body.get("external_id") == external_id):
                return view
        raise WorkspaceError("not_found")
