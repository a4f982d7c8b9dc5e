"""Web API: conversations.history and conversations.replies.

By the pages of docs.slack.dev: history holds first messages and broadcast replies, newest first; replies hold a thread,
its first message and then the oldest reply first. Both are read in pages by a cursor, and keep metadata back unless it
is asked for. Nobody is shown what only one person sees.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from .chat import message_json, truth
from .directory import needs
from .model import BOT_USER, Channel, Json, Message, WorkspaceError
from .state import State

LONGEST_PAGE = 999
MARK = "next_ts:"


def _readable(state: State, args: Json) -> Channel:
    channel = state.channels.get(str(args.get("channel") or ""))
    if channel is None:
        raise WorkspaceError("channel_not_found")
    needs(state, "im:history" if channel.is_im else "groups:history" if channel.is_private else "channels:history")
    if not state.is_in(BOT_USER, channel):
        raise WorkspaceError("channel_not_found" if channel.is_private else "not_in_channel")
    return channel


def _limit(args: Json, default: int) -> int:
    try:
        limit = int(args.get("limit") or default)
    except ValueError:
        raise WorkspaceError("invalid_limit") from None
    if limit < 1:
        raise WorkspaceError("invalid_limit")
    return min(limit, LONGEST_PAGE)


def _from(args: Json) -> str:
    """The time stamp that a page begins with; empty at the first page."""
    given = str(args.get("cursor") or "")
    if not given:
        return ""
    try:
        told = base64.b64decode(given, validate=True).decode()
    except ValueError:
        raise WorkspaceError("invalid_cursor") from None
    if not told.startswith(MARK):
        raise WorkspaceError("invalid_cursor")
    return told.removeprefix(MARK)


def _within(args: Json, found: Sequence[Message]) -> list[Message]:
    oldest, latest, both = str(args.get("oldest") or ""), str(args.get("latest") or ""), truth(args.get("inclusive"))
    return [
        each
        for each in found
        if (not oldest or each.ts > oldest or (both and each.ts == oldest))
        and (not latest or each.ts < latest or (both and each.ts == latest))
    ]


def _shown(state: State, message: Message, args: Json) -> Json:
    body = message_json(state, message)
    if not truth(args.get("include_all_metadata")):
        body.pop("metadata", None)
    if message.thread_ts and message.reply_broadcast:
        body["subtype"] = "thread_broadcast"
    if replies := [each.user for each in state.messages.get(message.channel, []) if each.thread_ts == message.ts]:
        body["reply_users"] = list(dict.fromkeys(replies))[:5]
    return body


def _page(state: State, found: Sequence[Message], args: Json, limit: int, start: int) -> Json:
    page, rest = found[start : start + limit], found[start + limit :]
    body: Json = {"messages": [_shown(state, each, args) for each in page], "has_more": bool(rest)}
    if rest:
        body["response_metadata"] = {"next_cursor": base64.b64encode(f"{MARK}{rest[0].ts}".encode()).decode()}
    return body


def _start(found: Sequence[Message], args: Json, newest_first: bool) -> int:
    begin = _from(args)
    if not begin:
        return 0
    return next((n for n, each in enumerate(found) if (each.ts <= begin if newest_first else each.ts >= begin)), 10**9)


def history(state: State, args: Json) -> Json:
    """conversations.history: newest first, 100 to a page unless told otherwise."""
    channel = _readable(state, args)
    everything: list[Any] = [each for each in state.messages.get(channel.id, []) if each.ephemeral_for is None]
    top = [each for each in everything if each.thread_ts is None or each.reply_broadcast]
    found = sorted(_within(args, top), key=lambda each: each.ts, reverse=True)
    return _page(state, found, args, _limit(args, 100), _start(found, args, newest_first=True))


def replies(state: State, args: Json) -> Json:
    """conversations.replies: a thread, by the ts of its first message or of a reply; 1,000 to a page at most."""
    channel = _readable(state, args)
    wanted = str(args.get("ts") or "")
    everything = [each for each in state.messages.get(channel.id, []) if each.ephemeral_for is None]
    root = next((each.thread_ts or each.ts for each in everything if each.ts == wanted), wanted)
    thread = [each for each in everything if root in (each.ts, each.thread_ts)]
    if not thread:
        raise WorkspaceError("thread_not_found")
    found = sorted(_within(args, thread), key=lambda each: each.ts)
    return _page(state, found, args, _limit(args, LONGEST_PAGE), _start(found, args, newest_first=False))
