"""Slack on localhost: the Web API, Socket Mode or signed HTTP, Block Kit's rules, and people to act as.

Good for tests (every promise of the real Slack that a bot relies on is kept, and can be broken on purpose) and for
trying a Bolt app without a Slack account. It listens on 127.0.0.1 only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal, TypeVar

from starlette.applications import Starlette

from . import text as texts
from .delivery import Delivery, Requests, Sockets
from .manifest import Manifest, product
from .model import (
    ALL,
    APP_ID,
    BOT_ID,
    BOT_USER,
    SAMPLE_PEOPLE,
    TEAM_ID,
    Answer,
    Channel,
    Faults,
    Group,
    Json,
    Member,
    Message,
    View,
    WorkspaceError,
    sample_channels,
    sample_groups,
)
from .page import Page
from .people import People, Seen
from .server import Server
from .state import State
from .switches import Switch, Switches, of_slack
from .web import Web

__all__ = [
    "ALL",
    "SAMPLE_PEOPLE",
    "Answer",
    "Channel",
    "Faults",
    "Group",
    "Manifest",
    "Member",
    "Message",
    "Switch",
    "View",
    "Workspace",
    "WorkspaceError",
    "sample_channels",
    "sample_groups",
]

T = TypeVar("T")


class Workspace:
    """A Slack workspace with one app in it.

    `app`: what the app says of itself; default is this repository's manifest. `port`: 0 takes a free one. `delivery`:
    "socket", or "http" with the app's `request_url`. `scopes`: what the app was granted, where that differs from its
    manifest. `one_message_per_second`: enforce Slack's limit per channel (429 `ratelimited`).
    """

    team_id, app_id, bot_id, bot_user = TEAM_ID, APP_ID, BOT_ID, BOT_USER

    def __init__(
        self,
        *,
        port: int = 0,
        people: Sequence[Member] = SAMPLE_PEOPLE,
        channels: Sequence[Channel] | None = None,
        groups: Sequence[Group] | None = None,
        app: Manifest | None = None,
        scopes: Sequence[str] | None = None,
        one_message_per_second: bool = False,
        delivery: Literal["socket", "http"] = "socket",
        request_url: str = "",
    ) -> None:
        channels = sample_channels() if channels is None else channels
        groups = sample_groups() if groups is None else groups
        self.app = product() if app is None else app
        scopes = self.app.scopes if scopes is None else scopes
        self.state = State(people, channels, groups, scopes, one_message_per_second, self.app.bot)
        self._server = Server(port, self.state.faults)
        self.port = self._server.port
        self.state.base = f"http://127.0.0.1:{self.port}"
        self.sockets = Sockets(self.state, self._server)
        self.requests = Requests(self.state, request_url)
        way: Delivery = self.requests if delivery == "http" else self.sockets
        self._people = People(self.state, way, self.app)
        self.switches = Switches(self.state)
        for switch in of_slack(self.state, self.sockets, self._server):
            self.switches.add(switch)
        self._page = Page(self.state, self._people, self.app, self.switches)

    def start(self) -> None:
        """Serve until `stop`. Raises RuntimeError when the server does not come up."""
        web = Web(self.state, self._server, self.sockets)
        self._server.start(Starlette(routes=[*web.routes(), *self._page.routes()]))

    def stop(self) -> None:
        """Close every connection and end the server's thread."""
        self._server.stop()

    def __enter__(self) -> Workspace:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def api_url(self) -> str:
        """The address for `WebClient(base_url=...)`."""
        return f"{self.state.base}/api/"

    @property
    def page_url(self) -> str:
        """The address to open in a browser; it holds the token."""
        return f"{self.state.base}/?token={self.state.page_token}"

    @property
    def bot_token(self) -> str:
        """xoxb-..."""
        return self.state.bot_token

    @property
    def app_token(self) -> str:
        """xapp-..."""
        return self.state.app_token

    @property
    def signing_secret(self) -> str:
        """For the app's check of signed HTTP requests."""
        return self.state.signing_secret

    @property
    def faults(self) -> Faults:
        """The switches that break things; set its fields directly."""
        return self.state.faults

    @property
    def calls(self) -> list[tuple[str, Json]]:
        """Every call of the Web API so far, and what was posted to response URLs (`response_url`)."""
        return self.state.calls

    def set_fault(self, name: str, value: Any = True) -> None:
        """Turn one switch by name. Raises WorkspaceError `unknown_fault`, `invalid_arguments`."""
        self.switches.turn(name, value)

    def cut_socket(self) -> None:
        """Drop every socket without a close frame."""
        self._server.cut_sockets()

    def connected(self) -> int:
        """How many sockets the app holds."""
        return len(self.sockets.links)

    def command(self, user: str, channel: str, text: str = "", command: str = "/rollback") -> Answer:
        """Type a slash command; waits up to 3 s for the `ack`.

        Raises WorkspaceError `operation_timeout`, `dispatch_failed` (no app), `not_in_channel`, `user_not_found`.
        """
        return self._people.command(user, channel, text, command)

    def click(
        self, user: str, channel: str, ts: str, action_id: str, *, selected: Any = None, block_id: str | None = None
    ) -> Answer:
        """Use a button or menu of a message as it stands NOW.

        Raises `message_not_found`, `no_such_element` (that button is not there), `operation_timeout`.
        """
        return self._people.click(user, channel, ts, Seen(action_id, block_id), selected)

    def click_view(
        self,
        user: str,
        action_id: str,
        *,
        view_id: str | None = None,
        selected: Any = None,
        block_id: str | None = None,
    ) -> Answer:
        """Use a button in the open modal, or in any view by id (Home: `workspace.home(user).id`)."""
        view = self.open_view(user)
        wanted = view_id or (view.id if view else "")
        return self._people.click_view(user, wanted, Seen(action_id, block_id), selected)

    def click_raw(self, payload: Json) -> Answer:
        """Send any interaction payload, for hostile tests."""
        return Answer(raw=self._people.raw("interactive", payload))

    def send_raw(self, kind: Literal["slash_commands", "interactive", "events_api"], payload: Json) -> Answer:
        """Send any payload of any kind."""
        return Answer(raw=self._people.raw(kind, payload))

    def open_view(self, user: str) -> View | None:
        """The modal that this person sees."""
        return self._people.top(user)

    def submit(self, user: str, values: Mapping[str, Any] | None = None) -> Answer:
        """Fill in the open modal (block_id -> value) and send it. `errors` says what the app or Slack's client refused.

        Raises `not_found` (no modal), `no_such_field`, `no_such_option`, `operation_timeout`.
        """
        return self._people.submit(user, values or {}, None)

    def suggest(self, user: str, block_id: str, action_id: str, query: str = "") -> Answer:
        """Type into an external select of the open modal; `options` is what the app offers."""
        return self._people.suggest(user, None, block_id, action_id, query)

    def close_view(self, user: str, *, whole: bool = False) -> None:
        """Close the open modal, or with `whole` all that lie under it too. Raises `not_found`."""
        self._people.close(user, whole=whole)

    def home(self, user: str, timeout: float = 5.0) -> View:
        """Open the Home tab; waits for the app to publish it, else `home_not_published`."""
        return self._people.home(user, timeout)

    def shortcut(self, user: str, callback_id: str, *, channel: str | None = None, ts: str | None = None) -> Answer:
        """A global shortcut, or with `channel` and `ts` one on that message."""
        return self._people.shortcut(user, callback_id, channel, ts)

    def say(self, user: str, channel: str, text: str, thread_ts: str | None = None) -> Message:
        """Write a message as a person."""
        return self._people.say(user, channel, text, thread_ts)

    def messages(self, channel: str, *, viewer: str | None = None) -> list[Message]:
        """The channel as `viewer` sees it: first messages, broadcast replies, that person's ephemerals (ALL: everyone's)."""
        with self.state.reading():
            found = self.state.messages.get(self.state.channel(channel).id, [])
            top = [each for each in found if each.thread_ts is None or each.reply_broadcast or each.ephemeral_for]
            return [replace(each) for each in top if each.visible_to(viewer)]

    def thread(self, channel: str, ts: str) -> list[Message]:
        """The replies to a message, oldest first, without ephemerals."""
        with self.state.reading():
            found = self.state.messages.get(self.state.channel(channel).id, [])
            return [replace(each) for each in found if each.thread_ts == ts and each.ephemeral_for is None]

    def direct(self, user: str) -> list[Message]:
        """The bot's direct messages with this person."""
        with self.state.reading():
            return [replace(each) for each in self.state.messages.get(self.state.direct(user).id, [])]

    def wait_for(self, predicate: Callable[[], T], timeout: float = 20) -> T:
        """The first true value of `predicate`, asked at every change. Raises TimeoutError."""
        return self.state.wait_for(predicate, timeout)

    def transcript(self, channel: str, viewer: str | None = None) -> str:
        """The channel as readable text, threads indented; without `viewer` with everybody's ephemerals, marked."""
        with self.state.reading():
            return texts.transcript(self.state, self.state.channel(channel).id, viewer)

    def view_text(self, view: View) -> str:
        """A modal or Home tab as readable text."""
        with self.state.reading():
            return texts.view_text(self.state, view.body)
