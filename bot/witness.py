"""Reads back what the bot has posted: the digests of the audit trail that stand in Slack, or in a file from there.

Only what cannot be imitated counts: a message whose author is our own app (`bot_id`, `app_id` and user as auth.test
names them) and that was never edited. In it only the metadata counts, which people cannot write, and an element of the
small print that is nothing but the audit mark; words of people that we repeat, such as a reason, stand elsewhere.
Thread lines are never edited; the card is, and does not count.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.client import name_of, status_of
from bot.people import AWAY, People
from core.errors import Refused
from core.settings import Settings
from core.witness import Posted, Witness

Json = Mapping[str, Any]
PAGE = 200
"""Messages to a page; docs.slack.dev, conversations.history: "no more than 200 results at a time"."""
TRIES, PATIENCE = 3, 20  # how often one call is made while Slack does not answer, and while it limits us
LONGEST_WAIT = 120.0  # seconds between two of them; Slack's windows are a minute
LARGEST = 512 << 20  # bytes of a file that is read
MARK = re.compile(r"Audit (?:#(\d{1,15})(?:, head)?|head) `([0-9a-f]{16,64})`")
PASTED = re.compile(r"Audit #(\d{1,15})(?:, head)?[ \t]+`?([0-9a-f]{16,64})\b", re.IGNORECASE)
SHUT = {"not_in_channel", "channel_not_found", "missing_scope", "access_denied", "no_permission"}
"""Slack's no to one channel; whatever else it says is about all of them."""
GONE = {"thread_not_found", "message_not_found"}


@dataclass(frozen=True)
class Author:
    """Who we are in Slack."""

    bot: str
    app: str
    user: str

    def wrote(self, message: Json) -> bool:
        """Is it ours? Every message of an app carries the id of its bot; Slack sets it, the sender cannot."""
        ours = (("bot_id", self.bot), ("app_id", self.app), ("user", self.user))
        return message.get("bot_id") == self.bot and all(message.get(key, mine) == mine for key, mine in ours if mine)


def mark_of(message: Json) -> tuple[int, str, str] | None:
    """Number, digest and run of the event that a message of ours names."""
    metadata = message.get("metadata") or {}
    told = metadata.get("event_payload") or {} if metadata.get("event_type") == "rollback_bot" else {}
    number, digest = told.get("event"), str(told.get("digest") or "")
    if not digest:  # an app without the right to read metadata, or a message of an earlier version
        shown = [found for text in small_print(message) if (found := MARK.fullmatch(text))]
        if not shown:
            return None
        number, digest = shown[0][1] or number, shown[0][2]
    if not re.fullmatch(r"\d{1,15}", str(number)) or not re.fullmatch(r"[0-9a-f]{16,64}", digest):
        return None
    return int(str(number)), digest, str(told.get("run") or "")


def small_print(message: Json) -> Iterator[str]:
    """The elements of the context blocks."""
    for block in message.get("blocks") or []:
        if block.get("type") == "context":
            yield from (str(element.get("text")) for element in block.get("elements") or [])


# -- live --------------------------------------------------------------------------------------------------


class Reader:
    """Reads channels of Slack through the Web API, from their beginning, with their threads.

    Never from a certain day on: the ledger cannot be asked when it began, since it is the ledger that is on trial.
    """

    def __init__(self, client: WebClient, settings: Settings, people: People) -> None:
        self.client, self.settings, self.people = client, settings, people
        self.witnesses: list[Witness] = []
        self.own: set[tuple[str, str]] = set()
        self.oldest: dict[str, str] = {}
        self.edited = 0

    def read(self) -> Posted:
        """The channels of all targets. Raises Refused: E-SLACK, or E-CHANNEL where none of them can be read."""
        me = calling(self.client.auth_test)
        until = f"{clock_of(me):.6f}"
        self.site = str(me["url"]).rstrip("/")
        bot = str(me["bot_id"])
        app = str(calling(lambda: self.client.bots_info(bot=bot))["bot"].get("app_id") or "")
        self.author = Author(bot, app, str(me["user_id"]))
        places, unread = [], []
        for name in dict.fromkeys(
            one for t in self.settings.targets.values() for one in (t.channel, *t.channels) if one
        ):
            try:
                channel = calling(partial(self.people.channel_id, name), SHUT)
                if channel:
                    self.channel(channel)
                    places.append(name)
                else:
                    unread.append(closed(name, "channel_not_found"))
            except SlackApiError as error:
                unread.append(closed(name, name_of(error), str(error.response.get("needed") or "channels:history")))
        if not places:
            why = " ".join(unread) or "No target has a channel: set `channel`."
            raise Refused("E-CHANNEL", "There is no channel in which I can read back what I posted.", why)
        own, oldest = frozenset(self.own), dict(self.oldest)
        return Posted(tuple(self.witnesses), tuple(places), tuple(unread), self.edited, own, oldest, until)

    def channel(self, channel: str) -> None:
        """One channel and its threads. Raises SlackApiError where Slack keeps it from us."""
        threads: set[str] = set()
        for message in self.pages(self.client.conversations_history, channel=channel):
            self.take(channel, message)
            ours = self.author.wrote(message) or self.author.user in (message.get("reply_users") or [])
            if ours and message.get("thread_ts"):
                threads.add(str(message["thread_ts"]))
        for thread in sorted(threads):
            try:
                for message in self.pages(self.client.conversations_replies, channel=channel, ts=thread):
                    self.take(channel, message)
            except SlackApiError as error:
                if name_of(error) not in GONE:
                    raise
        self.oldest[channel] = min((ts for place, ts in self.own if place == channel), default="9")

    def pages(self, call: Callable[..., Any], **where: str) -> Iterator[Json]:
        """Page after page, by Slack's cursor."""
        more: dict[str, str] = {}
        while True:
            page = calling(partial(call, **where, **more, limit=PAGE, include_all_metadata=True), SHUT | GONE)
            yield from page["messages"]
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return
            more = {"cursor": cursor}

    def take(self, channel: str, message: Json) -> None:
        """Look at one message, once: a first message stands in its thread too, a broadcast in the channel."""
        ts = str(message.get("ts"))
        if (channel, ts) in self.own or not self.author.wrote(message):
            return
        self.own.add((channel, ts))
        found = mark_of(message)
        if found and message.get("edited"):
            self.edited += 1
        elif found:
            thread = message.get("thread_ts")
            more = f"?thread_ts={thread}&cid={channel}" if thread and thread != ts else ""
            # as chat.getPermalink would say, without a call for each message
            link = f"{self.site}/archives/{channel}/p{ts.replace('.', '')}{more}"
            self.witnesses.append(Witness(found[0], found[1], link, channel, ts, found[2]))


def calling(call: Callable[[], Any], passing: Collection[str] = ()) -> Any:
    """Ask Slack, as slowly as it wants. Raises Refused(E-SLACK), and SlackApiError for those of its noes that pass."""
    wait, limited, silent = 1.0, 0, 0
    while True:
        try:
            return call()
        except SlackApiError as error:
            if name_of(error) in passing:
                raise
            status, said = status_of(error)
            if status == 429 or name_of(error) == "ratelimited":
                limited, wait = limited + 1, said or wait
            elif status >= 500:
                silent += 1
            else:
                why = f"Slack does not let me read back what I posted: {name_of(error)}."
                raise Refused("E-SLACK", why, "Check SLACK_BOT_TOKEN.") from None
        except AWAY:
            silent += 1
        if limited >= PATIENCE or silent >= TRIES:
            raise Refused("E-SLACK", "Slack does not answer, so nothing was held against it.", "Try again in a minute.")
        time.sleep(min(wait, LONGEST_WAIT))
        wait *= 2


def clock_of(answer: Any) -> float:
    """Slack's own time of an answer, in seconds: its time stamps are held against it. Without the header, ours."""
    headers = {str(name).lower(): value for name, value in dict(answer.headers).items()}
    try:
        return parsedate_to_datetime(str(headers["date"])).timestamp()
    except (KeyError, ValueError):
        return time.time()


def closed(channel: str, name: str, needed: str = "") -> str:
    """Why a channel was not read, by Slack's name for it, and the next step."""
    return {
        "missing_scope": f"{channel}: the app lacks the scope {needed}. Install it again from manifest.yml.",
        "not_in_channel": f"{channel}: I am not in it. `/invite @rollback` there.",
        "channel_not_found": f"{channel}: it is gone, or it is private and I am not in it. `/invite @rollback` there.",
    }.get(name, f"{channel}: Slack says {name}.")


# -- from a file -------------------------------------------------------------------------------------------


def from_file(path: Path) -> Posted:
    """What somebody has saved: a channel's export (JSON, a file or a folder of them), or text with `Audit #N DIGEST`.

    Who wrote a pasted line is for the person who pasted it to know. In an export only messages of one app may carry
    digests. Raises Refused(E-USAGE).
    """
    witnesses: list[Witness] = []
    bots: set[str] = set()
    edited = 0
    for file in files_of(path):
        text = text_of(file)
        messages = messages_of(text)
        if messages is None:
            witnesses += pasted(text, file.name)
        for message in messages or ():
            try:
                found = mark_of(message) if message.get("bot_id") else None
            except (AttributeError, TypeError):
                continue  # no message of Slack's
            if found:
                bots.add(str(message["bot_id"]))
                edited += bool(message.get("edited"))
            if found and not message.get("edited"):
                witnesses.append(Witness(found[0], found[1], f"{file.name}, ts {message.get('ts')}"))
    if len(bots) > 1:
        which = ", ".join(sorted(bots))
        raise Refused("E-USAGE", f"Messages of several apps ({which}) carry digests.", "Leave only ours in the file.")
    return Posted(tuple(witnesses), (path.name,), edited=edited)


def files_of(path: Path) -> list[Path]:
    """The file, or the JSON files of a folder. Raises Refused(E-USAGE)."""
    found = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    if not found:
        raise Refused("E-USAGE", f"There is no JSON file in `{path.name}`.", "Name a file, or the folder of an export.")
    return found


def text_of(file: Path) -> str:
    """What is in it. Raises Refused(E-USAGE)."""
    try:
        if file.stat().st_size > LARGEST:
            raise Refused("E-USAGE", f"`{file.name}` is too large.", f"At most {LARGEST >> 20} MB are read: cut it.")
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror.lower() if isinstance(error, OSError) and error.strerror else "it is no UTF-8 text"
        raise Refused(
            "E-USAGE", f"`{file.name}` cannot be read: {why}.", "Name a file of Slack's export, or text."
        ) from None


def messages_of(text: str) -> list[Json] | None:
    """The messages of an export, or of an answer of the Web API; None where it is no JSON."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = data.get("messages") if isinstance(data, dict) else data
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def pasted(text: str, name: str) -> Iterator[Witness]:
    """Each `Audit #N DIGEST` of a text, as Slack shows it or as somebody noted it."""
    for number, line in enumerate(text.splitlines(), 1):
        for found in PASTED.finditer(line):
            yield Witness(int(found[1]), found[2].lower(), f"{name}, line {number}")
