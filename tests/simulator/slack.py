"""Slack as a world has it: who is there, what was posted, and a transport that fails. slack_sdk's own client calls it."""

from __future__ import annotations

from dataclasses import dataclass, field
from http.client import RemoteDisconnected
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse

from bot.client import Client as RealClient
from bot.vitals import Vitals

if TYPE_CHECKING:
    from tests.simulator.world import World

CHANNEL, TEAM, APP, GROUP = "C0INCIDENTS", "T0TEAM", "A0APP", "S0ONCALL"
USER, BOT = "U0ROLLBACK", "B0ROLLBACK"
READS = {"conversations.history", "conversations.replies", "auth.test"}
Json = dict[str, Any]
FAULTS = (
    "refused",
    "timeout",
    "timeout after it took effect",
    "cut off after it took effect",
    "429",
    "5xx",
    "internal_error",
)


@dataclass
class Message:
    """One post. `shown`: the blocks as they are now; `lost`: Slack's answer to it did not arrive."""

    number: int
    channel: str
    thread: str | None
    text: str
    shown: list[Json]
    event: int | None
    generation: int
    metadata: Json
    lost: bool = False
    unread: bool = False  # somebody looked for it, and Slack did not let them
    gone: bool = False
    shouted: bool = False
    at: float = 0.0  # by the world's clock that only goes forward

    @property
    def ts(self) -> str:
        return f"1790000000.{self.number:06}"


@dataclass
class Slack:
    """The workspace, and the faults that are on."""

    world: World
    messages: list[Message] = field(default_factory=list)
    screens: list[tuple[Message, list[Json]]] = field(default_factory=list)  # what somebody may still have before them
    views: dict[str, Json] = field(default_factory=dict)
    homes: dict[str, Json] = field(default_factory=dict)
    members: list[str] = field(default_factory=lambda: ["U0BOB", "U0CHEN"])
    inactive: set[str] = field(default_factory=set)
    away_until: float = 0.0
    opened: str | None = None

    def __post_init__(self) -> None:
        self.directory = [(self.world.clock.mono, tuple(self.members), frozenset(self.inactive))]

    def changed(self) -> None:
        """Somebody has changed the directory."""
        self.directory.append((self.world.clock.mono, tuple(self.members), frozenset(self.inactive)))

    def entitled(self, user: str, since: float, names: tuple[str, ...]) -> bool:
        """Was this person active and one of these, named by id or by group, at any moment since then?"""
        group = any(name.startswith("@") for name in names)
        return any(
            user not in inactive and (user in names or (group and user in members))
            for _, members, inactive in self.known(since)
        )

    def nobody(self, since: float, besides: set[str]) -> bool:
        """Was there any moment since then at which no active approver was in the group, besides these?"""
        return any(not set(members) - inactive - besides for _, members, inactive in self.known(since))

    def known(self, since: float) -> list[tuple[float, tuple[str, ...], frozenset[str]]]:
        """The directory as it was then, and each of its changes since."""
        before = [entry for entry in self.directory if entry[0] <= since][-1:]
        return before + [entry for entry in self.directory if entry[0] > since]

    # -- the transport ---------------------------------------------------------------------------------------

    def call(self, method: str, told: Json) -> Json:
        """One request. Raises what slack_sdk raises."""
        world = self.world
        world.at("before Slack")
        fault = world.slack_fault(method)
        if fault:
            self.not_read(method, told)
        if fault in ("refused", "timeout"):
            world.clock.mono += 10.0 if fault == "timeout" else 0.0
            raise TimeoutError if fault == "timeout" else URLError("refused")
        if fault:
            self.no(fault)
        done = getattr(self, method.replace(".", "_"))(told)
        lost = world.answer_lost(method)
        if lost:
            if method == "chat.postMessage" and done["ok"]:
                self.messages[-1].lost = True
            world.clock.mono += 10.0
            self.not_read(method, told)
            raise TimeoutError if lost == FAULTS[2] else RemoteDisconnected("cut off")
        world.at("after Slack")
        return done

    def not_read(self, method: str, told: Json) -> None:
        """Whoever looked for a post does not learn whether it is there."""
        for message in self.messages if method in READS else ():
            message.unread = message.unread or told.get("channel", message.channel) == message.channel

    def no(self, fault: str) -> None:
        """Raises SlackApiError as the client does; where the answer is no JSON it makes an error of its own of it."""
        error, headers, status = fault, {}, 200
        if fault == "429":
            error, headers, status = "ratelimited", {"Retry-After": "3"}, 429
        elif fault == "5xx":
            error, status = "Received a response in a non-JSON format: <html>", 503
        raise SlackApiError(error, answer({"ok": False, "error": error}, headers, status))

    def chat_postMessage(self, told: Json) -> Json:
        world, metadata = self.world, told.get("metadata") or {}
        event = (metadata.get("event_payload") or {}).get("event")
        message = Message(
            len(self.messages) + 1, told["channel"], told.get("thread_ts"), told["text"], told["blocks"], event,
            world.generation, metadata, shouted=bool(told.get("reply_broadcast")), at=world.clock.mono,
        )  # fmt: skip
        if message.thread and self.find(message.channel, message.thread).gone:
            return {"ok": False, "error": "thread_not_found"}
        self.messages.append(message)
        self.screens.append((message, message.shown))
        world.note("posted", message.ts, message.channel, message.text[:90])
        return {"ok": True, "ts": message.ts, "channel": message.channel}

    def chat_postEphemeral(self, told: Json) -> Json:
        self.world.note("only for", told["user"], told["text"][:90])
        return {"ok": True, "message_ts": "1"}

    def chat_update(self, told: Json) -> Json:
        message = self.find(told["channel"], told["ts"])
        if message.gone:
            return {"ok": False, "error": "message_not_found"}
        message.text, message.shown = told["text"], told["blocks"]
        self.screens.append((message, message.shown))
        self.world.note("edited", message.ts, message.text[:90])
        return {"ok": True, "ts": message.ts, "channel": message.channel}

    def find(self, channel: str, ts: str) -> Message:
        message = self.messages[int(ts.partition(".")[2]) - 1]
        assert message.channel == channel and message.ts == ts
        return message

    def conversations_history(self, told: Json) -> Json:
        """What stands in a channel, newest first."""
        if told["channel"].startswith("D"):
            return {"ok": False, "error": "missing_scope", "needed": "im:history"}
        return self.page(told, [one for one in self.messages if not one.thread or one.shouted][::-1])

    def conversations_replies(self, told: Json) -> Json:
        """A thread, its first message first."""
        return self.page(told, [one for one in self.messages if told["ts"] in (one.ts, one.thread)])

    def page(self, told: Json, found: list[Message]) -> Json:
        there = [
            one
            for one in found
            if one.channel == told["channel"] and not one.gone and one.ts > (told.get("oldest") or "")
        ]
        shown = [
            {"ts": one.ts, "text": one.text, "user": USER, "bot_id": BOT, "app_id": APP}
            | ({"metadata": one.metadata} if told.get("include_all_metadata") else {})
            for one in there
        ]
        return {"ok": True, "messages": shown[: told["limit"]], "has_more": len(shown) > told["limit"]}

    def auth_test(self, told: Json) -> Json:
        return {"ok": True, "user_id": USER, "bot_id": BOT, "team_id": TEAM}

    def chat_getPermalink(self, told: Json) -> Json:
        return {"ok": True, "permalink": f"https://example.slack.com/{told['channel']}/{told['message_ts']}"}

    def conversations_open(self, told: Json) -> Json:
        return {"ok": True, "channel": {"id": f"D{told['users']}"}}

    def conversations_list(self, told: Json) -> Json:
        return {"ok": True, "channels": [{"name": "incidents", "id": CHANNEL}]}

    def conversations_info(self, told: Json) -> Json:
        return {"ok": True, "channel": {"id": told["channel"], "name": "incidents", "is_member": True}}

    def users_info(self, told: Json) -> Json:
        user = told["user"]
        record = {"id": user, "name": user.lower(), "real_name": user[2:].title(), "deleted": user in self.inactive}
        return {"ok": True, "user": {**record, "is_restricted": user == "U0GUS", "team_id": TEAM}}

    def usergroups_list(self, told: Json) -> Json:
        return {"ok": True, "usergroups": [{"id": GROUP, "handle": "db-oncall"}]}

    def usergroups_users_list(self, told: Json) -> Json:
        return {"ok": True, "users": list(self.members)}

    def views_open(self, told: Json) -> Json:
        user = told["trigger_id"].partition(" ")[0]
        self.views[user] = told["view"]
        return {"ok": True, "view": {"id": told["trigger_id"]}}

    views_push = views_open

    def views_update(self, told: Json) -> Json:
        user = str(told["view_id"]).partition(" ")[0]
        if user in self.views:
            self.views[user] = told["view"]
        return {"ok": True}

    def views_publish(self, told: Json) -> Json:
        self.homes[told["user_id"]] = told["view"]
        return {"ok": True, "view": {"id": "V0HOME"}}


def answer(data: Json, headers: Json | None = None, status: int = 200) -> SlackResponse:
    """As slack_sdk hands it out."""
    return SlackResponse(
        client=None, http_verb="POST", api_url="", req_args={}, data=data, headers=headers or {}, status_code=status
    )


class Transport(WebClient):
    """slack_sdk's client, where the bot's own ends and the network begins: a world's."""

    slack: Slack

    def api_call(self, api_method: str, **told: Any) -> SlackResponse:
        said = {**(told.get("params") or {}), **(told.get("data") or {}), **(told.get("json") or {})}
        return answer(self.slack.call(api_method, said)).validate()


class Client(RealClient, Transport):
    """The bot's client over a world's transport."""

    def __init__(self, slack: Slack, vitals: Vitals) -> None:
        super().__init__("xoxb-simulated", "https://slack.invalid/api/", vitals)
        self.slack = slack
