"""What a workspace holds, and what people get to see of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

TEAM_ID, TEAM_NAME, TEAM_DOMAIN = "T0TEAM", "Example", "example"
APP_ID, BOT_ID, BOT_USER = "A0BOT", "B0BOT", "U0ROLLBACK"
ALL = "*"
"""As a viewer: everything, other people's ephemeral messages too."""


class WorkspaceError(Exception):
    """Slack says no. `error` is its name (`not_in_channel`); `messages` are its details; `extra` goes in the answer."""

    def __init__(self, error: str, messages: list[str] | None = None, **extra: Any) -> None:
        super().__init__(error, *(messages or []))
        self.error, self.messages, self.extra = error, messages or [], extra


@dataclass(frozen=True)
class Member:
    """A person or an app. `team_id` differs from the workspace's for people of a shared channel's other side."""

    id: str
    name: str
    real_name: str
    title: str = ""
    color: str = "4a6fa5"
    is_bot: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False
    deleted: bool = False
    team_id: str = TEAM_ID


@dataclass
class Channel:
    """A channel, or with `user` the bot's direct messages with that person. `members=None`: everybody."""

    id: str
    name: str
    topic: str = ""
    is_private: bool = False
    is_ext_shared: bool = False
    is_pending_ext_shared: bool = False
    is_archived: bool = False
    user: str | None = None
    members: set[str] | None = None

    @property
    def is_im(self) -> bool:
        """Is it a direct message?"""
        return self.user is not None


@dataclass
class Group:
    """A user group, written `@handle`."""

    id: str
    handle: str
    users: list[str]


@dataclass
class Message:
    """One message. `ephemeral_for` names the only person who sees it; `thread_ts` is set on replies only."""

    ts: str
    channel: str
    user: str
    text: str
    blocks: list[Json] = field(default_factory=list)
    thread_ts: str | None = None
    edited: str | None = None
    metadata: Json | None = None
    ephemeral_for: str | None = None
    reply_broadcast: bool = False
    options: dict[str, list[Json]] = field(default_factory=dict)  # by block_id: what block_suggestion answered

    def visible_to(self, viewer: str | None) -> bool:
        """Does this person see it? None sees what everybody sees, ALL sees everything."""
        return self.ephemeral_for is None or viewer in (ALL, self.ephemeral_for)


@dataclass
class View:
    """A modal or a Home tab. `body` is what the app sent, with block ids filled in; `state` what was typed in it."""

    id: str
    user: str
    body: Json
    hash: str
    root: str
    previous: str | None = None
    published: int = 0  # how often a Home tab was published
    state: dict[str, Json] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    options: dict[str, list[Json]] = field(default_factory=dict)  # by block_id: what block_suggestion answered

    @property
    def callback_id(self) -> str:
        """The app's name for this view."""
        return str(self.body.get("callback_id", ""))

    @property
    def private_metadata(self) -> str:
        """What the app put into it for itself."""
        return str(self.body.get("private_metadata", ""))

    @property
    def title(self) -> str:
        """The title of a modal."""
        return str((self.body.get("title") or {}).get("text", ""))

    @property
    def blocks(self) -> list[Json]:
        """Its blocks."""
        blocks: list[Json] = self.body.get("blocks", [])
        return blocks


@dataclass(frozen=True)
class Answer:
    """What a person sees at once: the message of an `ack`, the errors or the next view of a form, options to choose.

    `action` is the `response_action`; `groups` are those of `options`, where the app made some; `view` the modal on top
    afterwards; `raw` the app's answer as it came.
    """

    text: str | None = None
    blocks: list[Json] | None = None
    action: str | None = None
    errors: Mapping[str, str] = field(default_factory=dict)
    view: View | None = None
    options: list[Json] = field(default_factory=list)
    groups: list[Json] = field(default_factory=list)
    raw: Json = field(default_factory=dict)


SAMPLE_PEOPLE = (
    Member("U0ANA", "ana", "Ana Diaz", "Backend engineer", "b0533c"),
    Member("U0BOB", "bob", "Bob Lee", "Database on-call", "2f6f8f"),
    Member("U0CHEN", "chen", "Chen Wu", "Database on-call", "5a7d2a"),
    Member("U0DEE", "dee", "Dee Okafor", "Product manager", "7b4fa0"),
    Member("U0GUEST", "gil", "Gil Guest", "Contractor", "8a6d3b", is_restricted=True),
)


def sample_channels() -> list[Channel]:
    """The channels of the sample workspace; new objects on every call, since tests change them."""
    return [
        Channel("C0INCIDENTS", "incidents", "All open incidents"),
        Channel("C0INC418", "inc-418", "Checkout answers 500 since the 14:02 deploy"),
        Channel("C0RANDOM", "random", "Everything else"),
        Channel("C0SHARED", "shared-with-acme", "Together with Acme", is_ext_shared=True),
    ]


def sample_groups() -> list[Group]:
    """The user groups of the sample workspace."""
    return [Group("S0DBONCALL", "db-oncall", ["U0BOB", "U0CHEN"])]


@dataclass
class Faults:
    """Switches that break the workspace. All may be changed at any time.

    `down`: every Web API call answers 503. `slow`: seconds before each answer. `ratelimit`: the next N calls get 429
    with `retry_after` seconds. `lose_answer`: the next N calls do their work, then the connection is cut.
    `deliver_twice`: every payload to the app is sent twice; `deliver_late`: once more after so many seconds, to whatever
    connection there is then. `silent`: sockets look connected, but nothing passes, no
    pong either. `errors`: method -> Slack error that it answers until removed. `only`: if not empty, `ratelimit`,
    `lose_answer` and `slow` hit these methods only.
    """

    down: bool = False
    slow: float = 0.0
    ratelimit: int = 0
    retry_after: int = 1
    lose_answer: int = 0
    deliver_twice: bool = False
    deliver_late: float = 0.0
    silent: bool = False
    errors: dict[str, str] = field(default_factory=dict)
    only: set[str] = field(default_factory=set)
