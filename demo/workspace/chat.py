"""Web API: chat.*, and what is posted to a response_url."""

from __future__ import annotations

import time
from typing import Any

from .blockkit import TEXT_POSTED, TEXT_UPDATED, problems
from .model import APP_ID, BOT_ID, BOT_USER, TEAM_DOMAIN, TEAM_ID, Channel, Json, Message, WorkspaceError
from .state import ResponseUrl, State

METADATA_BYTES = 8_000


def truth(value: Any) -> bool:
    """A boolean of a form or of JSON."""
    return value in (True, 1, "1", "true", "True")


def content(state: State, args: Json, longest: int) -> tuple[str, list[Json]]:
    """Text and blocks, checked. Raises `no_text`, `msg_too_long`, `invalid_blocks_format`, `invalid_blocks`."""
    text, blocks = args.get("text") or "", args.get("blocks")
    if not text and not blocks and not args.get("attachments"):
        raise WorkspaceError("no_text")
    if not isinstance(text, str) or len(text) > longest:
        raise WorkspaceError("msg_too_long")
    if blocks is not None and not isinstance(blocks, list):
        raise WorkspaceError("invalid_blocks_format")
    found = problems({"blocks": blocks or []}, "message")
    if found:
        raise WorkspaceError("invalid_blocks", [f"[ERROR] {each}" for each in found])
    return text, state.with_ids(blocks or [])


def message_json(state: State, message: Message) -> Json:
    """A message as the Web API and interaction payloads show it."""
    body: Json = {"type": "message", "user": message.user, "ts": message.ts, "text": message.text, "team": TEAM_ID}
    if message.user == BOT_USER:
        body |= {"bot_id": BOT_ID, "app_id": APP_ID, "blocks": message.blocks}
    elif message.user in state.members and state.members[message.user].is_bot:  # another app's
        body |= {"bot_id": f"B{message.user[1:]}", "app_id": f"A{message.user[1:]}", "blocks": message.blocks}
    replies = [each for each in state.messages.get(message.channel, []) if each.thread_ts == message.ts]
    if message.thread_ts or replies:
        body["thread_ts"] = message.thread_ts or message.ts
    if message.thread_ts:
        body["parent_user_id"] = getattr(state.find(message.channel, message.thread_ts), "user", "")
    if replies:
        body["reply_count"] = len(replies)
    if message.edited:
        body["edited"] = {"user": message.user, "ts": message.edited}
    if message.metadata:
        body["metadata"] = message.metadata
    return body


def _writable(state: State, name: Any) -> Channel:
    channel = state.channel(str(name or ""))
    if channel.is_archived:
        raise WorkspaceError("is_archived")
    if not state.is_in(BOT_USER, channel):
        raise WorkspaceError("channel_not_found" if channel.is_private else "not_in_channel")
    if channel.user and state.members[channel.user].deleted:
        raise WorkspaceError("user_disabled")
    return channel


def _thread(state: State, channel: Channel, args: Json) -> str | None:
    wanted = args.get("thread_ts")
    if not wanted:
        return None
    parent = state.find(channel.id, str(wanted))
    if parent is None:
        raise WorkspaceError("cannot_reply_to_message")
    return parent.thread_ts or parent.ts


def _metadata(args: Json) -> Json | None:
    given = args.get("metadata")
    if given in (None, {}):
        return None
    if not isinstance(given, dict) or not isinstance(given.get("event_type"), str):
        raise WorkspaceError("invalid_metadata_format")
    if not isinstance(given.get("event_payload"), dict):
        raise WorkspaceError("invalid_metadata_format")
    if len(str(given)) > METADATA_BYTES:
        raise WorkspaceError("metadata_too_large")
    return given


def _not_too_fast(state: State, channel: Channel) -> None:
    now = time.monotonic()
    if state.one_message_per_second and now - state.posted_at.get(channel.id, 0.0) < 1.0:
        raise WorkspaceError("ratelimited", retry_after=1)
    state.posted_at[channel.id] = now


def post_message(state: State, args: Json) -> Json:
    """chat.postMessage."""
    channel = _writable(state, args.get("channel"))
    text, blocks = content(state, args, TEXT_POSTED)
    thread, metadata = _thread(state, channel, args), _metadata(args)
    _not_too_fast(state, channel)
    broadcast = bool(thread) and truth(args.get("reply_broadcast"))
    message = Message(state.new_ts(), channel.id, BOT_USER, text, blocks, thread, None, metadata, None, broadcast)
    state.post(message)
    return {"channel": channel.id, "ts": message.ts, "message": message_json(state, message)}


def post_ephemeral(state: State, args: Json) -> Json:
    """chat.postEphemeral."""
    channel = _writable(state, args.get("channel"))
    user = str(args.get("user") or "")
    if user not in state.members or not state.is_in(user, channel):
        raise WorkspaceError("user_not_in_channel")
    text, blocks = content(state, args, TEXT_POSTED)
    thread = _thread(state, channel, args)
    message = Message(state.new_ts(), channel.id, BOT_USER, text, blocks, thread, ephemeral_for=user)
    state.post(message)
    return {"message_ts": message.ts}


def _own(state: State, args: Json, error: str) -> Message:
    channel = state.channel(str(args.get("channel") or ""))
    if channel.is_archived:
        raise WorkspaceError("is_archived")
    message = state.find(channel.id, str(args.get("ts") or ""))
    if message is None or message.ephemeral_for:
        raise WorkspaceError("message_not_found")
    if message.user != BOT_USER:
        raise WorkspaceError(error)
    return message


def update(state: State, args: Json) -> Json:
    """chat.update. Text without blocks removes the blocks."""
    message = _own(state, args, "cant_update_message")
    text, blocks = content(state, args, TEXT_UPDATED)
    metadata = _metadata(args) if "metadata" in args else message.metadata
    with state.changing():
        message.text, message.blocks, message.metadata = text, blocks, metadata
        message.edited = state.new_ts()
        message.reply_broadcast = message.reply_broadcast or (
            bool(message.thread_ts) and truth(args.get("reply_broadcast"))
        )
    return {"channel": message.channel, "ts": message.ts, "text": text, "message": message_json(state, message)}


def delete(state: State, args: Json) -> Json:
    """chat.delete."""
    message = _own(state, args, "cant_delete_message")
    with state.changing():
        state.messages[message.channel].remove(message)
    return {"channel": message.channel, "ts": message.ts}


def get_permalink(state: State, args: Json) -> Json:
    """chat.getPermalink."""
    channel = state.channel(str(args.get("channel") or ""))
    message = state.find(channel.id, str(args.get("message_ts") or ""))
    if message is None:
        raise WorkspaceError("message_not_found")
    link = f"https://{TEAM_DOMAIN}.slack.com/archives/{channel.id}/p{message.ts.replace('.', '')}"
    if message.thread_ts:
        link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
    return {"channel": channel.id, "permalink": link}


def answer(state: State, leave: ResponseUrl, args: Json) -> Message | None:
    """Carry out what was posted to a response_url, or answered to a command. Ephemeral unless told otherwise."""
    source = leave.source
    if truth(args.get("delete_original")) and source is not None:
        with state.changing():
            kept = [each for each in state.messages[source.channel] if each is not source]
            state.messages[source.channel] = kept
        return None
    text, blocks = content(state, args, TEXT_POSTED)
    if truth(args.get("replace_original")) and source is not None:
        with state.changing():
            source.text, source.blocks, source.edited = text, blocks, state.new_ts()
        return source
    public = args.get("response_type") == "in_channel"
    thread = _thread(state, state.channel(leave.channel), args)
    only = None if public else leave.user
    return state.post(Message(state.new_ts(), leave.channel, BOT_USER, text, blocks, thread, ephemeral_for=only))
