"""What Slack sends to an app. Shapes: docs.slack.dev, slash commands and interaction payloads."""

from __future__ import annotations

import re
import time
from typing import Any

from .chat import message_json
from .model import APP_ID, BOT_USER, TEAM_DOMAIN, TEAM_ID, Channel, Json, Message, View
from .state import State
from .views import view_json

TOKEN = "verification-token"  # deprecated by Slack, still sent


def common(state: State, kind: str, user: str) -> Json:
    """What every interaction has."""
    person = state.member(user)
    return {
        "type": kind,
        "api_app_id": APP_ID,
        "token": TOKEN,
        "team": {"id": TEAM_ID, "domain": TEAM_DOMAIN},
        "enterprise": None,
        "is_enterprise_install": False,
        "user": {"id": user, "username": person.name, "name": person.name, "team_id": person.team_id},
    }


def command(state: State, user: str, channel: Channel, name: str, text: str) -> Json:
    """A slash command: the fields of a form."""
    person = state.member(user)
    return {
        "token": TOKEN,
        "team_id": TEAM_ID,
        "team_domain": TEAM_DOMAIN,
        "channel_id": channel.id,
        "channel_name": "privategroup" if channel.is_private else channel.name,
        "user_id": user,
        "user_name": person.name,
        "command": name,
        "text": escaped(state, text),
        "api_app_id": APP_ID,
        "is_enterprise_install": "false",
        "response_url": state.new_response_url(channel.id, user),
        "trigger_id": state.new_trigger(user),
    }


def escaped(state: State, text: str) -> str:
    """The text of a command as `should_escape` sends it: mentions and channels with their ids."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    people = {member.name: f"<@{member.id}|{member.name}>" for member in state.members.values()}
    groups = {group.handle: f"<!subteam^{group.id}|@{group.handle}>" for group in state.groups.values()}
    channels = {each.name: f"<#{each.id}|{each.name}>" for each in state.channels.values() if not each.is_im}
    text = re.sub(r"(?<!\S)@([\w.-]+)", lambda found: {**people, **groups}.get(found[1], found[0]), text)
    return re.sub(r"(?<!\S)#([\w-]+)", lambda found: channels.get(found[1], found[0]), text)


def _in_message(state: State, message: Message) -> Json:
    """Where a message stands, as what comes from it says."""
    channel = state.channels[message.channel]
    container: Json = {"type": "message", "message_ts": message.ts, "channel_id": channel.id}
    container["is_ephemeral"] = message.ephemeral_for is not None
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    return {"container": container, "channel": {"id": channel.id, "name": channel.name}}


def click_message(state: State, user: str, message: Message, action: Json, values: Json | None = None) -> Json:
    """block_actions from a message; an ephemeral one carries no `message`. `values`: of its menus and fields."""
    channel = state.channels[message.channel]
    body = common(state, "block_actions", user) | {
        **_in_message(state, message),
        "trigger_id": state.new_trigger(user),
        "state": {"values": values or {}},
        "response_url": state.new_response_url(channel.id, user, message),
        "actions": [action],
    }
    if message.ephemeral_for is None:
        body["message"] = message_json(state, message)
    return body


def click_view(state: State, user: str, view: View, action: Json) -> Json:
    """block_actions from a modal or the Home tab."""
    modal = view.body["type"] == "modal"
    return common(state, "block_actions", user) | {
        "container": {"type": "view", "view_id": view.id},
        "trigger_id": state.new_trigger(user, view.id if modal else None),
        "view": view_json(view),
        "actions": [action],
    }


def submission(state: State, view: View) -> Json:
    """view_submission."""
    return common(state, "view_submission", view.user) | {
        "trigger_id": state.new_trigger(view.user, view.id),
        "view": view_json(view),
        "response_urls": [],
    }


def closed(state: State, view: View, cleared: bool) -> Json:
    """view_closed."""
    return common(state, "view_closed", view.user) | {"view": view_json(view), "is_cleared": cleared}


def suggestion(state: State, user: str, place: View | Message, block_id: str, action_id: str, query: str) -> Json:
    """block_suggestion from a modal, the Home tab or a message."""
    asked = common(state, "block_suggestion", user) | {"action_id": action_id, "block_id": block_id, "value": query}
    if isinstance(place, View):
        return asked | {"container": {"type": "view", "view_id": place.id}, "view": view_json(place)}
    return asked | _in_message(state, place) | {"message": message_json(state, place)}


def of_no_app(body: Json) -> Json:
    """Shortcuts do not say which app they are for (docs.slack.dev, shortcuts payload)."""
    return {name: value for name, value in body.items() if name != "api_app_id"}


def shortcut(state: State, user: str, callback_id: str) -> Json:
    """A global shortcut."""
    stamps = {"callback_id": callback_id, "trigger_id": state.new_trigger(user), "action_ts": state.new_ts()}
    return of_no_app(common(state, "shortcut", user)) | stamps


def message_action(state: State, user: str, callback_id: str, message: Message) -> Json:
    """A message shortcut."""
    channel = state.channels[message.channel]
    return of_no_app(common(state, "message_action", user)) | {
        "callback_id": callback_id,
        "trigger_id": state.new_trigger(user),
        "action_ts": state.new_ts(),
        "message_ts": message.ts,
        "channel": {"id": channel.id, "name": channel.name},
        "response_url": state.new_response_url(channel.id, user, message if message.user == BOT_USER else None),
        "message": message_json(state, message),
    }


def event(state: State, body: Json) -> Json:
    """An event of the Events API."""
    authorization: Json = {"enterprise_id": None, "team_id": TEAM_ID, "user_id": BOT_USER, "is_bot": True}
    return {
        "token": TOKEN,
        "team_id": TEAM_ID,
        "api_app_id": APP_ID,
        "type": "event_callback",
        "event_id": state.new_id("Ev"),
        "event_time": int(time.time()),
        "authorizations": [{**authorization, "is_enterprise_install": False}],
        "is_ext_shared_channel": False,
        "event": {**body, "event_ts": state.new_ts()},
    }


def home_opened(state: State, user: str, view: View | None) -> Json:
    """app_home_opened on the Home tab."""
    body: Json = {"type": "app_home_opened", "user": user, "channel": state.direct(user).id, "tab": "home"}
    if view is not None:
        body["view"] = view_json(view)
    return event(state, body)


def action_of(element: Json, block_id: str, ts: str, chosen: dict[str, Any]) -> Json:
    """The entry of `actions` for one element that was used."""
    kept: Json = {name: element[name] for name in ("type", "action_id", "value", "style", "text") if name in element}
    return {**kept, "block_id": block_id, "action_ts": ts, **chosen}
