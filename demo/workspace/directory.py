"""Web API: auth, team, people, channels and user groups."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from .blockkit import problems
from .chat import truth
from .model import (
    APP_ID,
    BOT_ID,
    BOT_USER,
    TEAM_DOMAIN,
    TEAM_ID,
    TEAM_NAME,
    Channel,
    Group,
    Json,
    Member,
    WorkspaceError,
)
from .state import State


def page_of(items: Sequence[Any], args: Json, default: int = 100) -> tuple[list[Any], Json]:
    """One page of a list and its `response_metadata`. Raises `invalid_limit`, `invalid_cursor`."""
    try:
        limit = int(args.get("limit") or default)
    except ValueError:
        raise WorkspaceError("invalid_limit") from None
    if not 1 <= limit <= 1000:
        raise WorkspaceError("invalid_limit")
    try:
        start = int(base64.b64decode(args.get("cursor") or "MA==", validate=True))
    except ValueError:
        raise WorkspaceError("invalid_cursor") from None
    following = start + limit
    cursor = base64.b64encode(str(following).encode()).decode() if following < len(items) else ""
    return list(items[start:following]), {"next_cursor": cursor}


def auth_test(state: State, args: Json) -> Json:
    """auth.test."""
    return {
        "url": f"https://{TEAM_DOMAIN}.slack.com/",
        "team": TEAM_NAME,
        "team_id": TEAM_ID,
        "user": state.members[BOT_USER].name,
        "user_id": BOT_USER,
        "bot_id": BOT_ID,
        "is_enterprise_install": False,
    }


def team_info(state: State, args: Json) -> Json:
    """team.info."""
    return {"team": {"id": TEAM_ID, "name": TEAM_NAME, "domain": TEAM_DOMAIN}}


def bots_info(state: State, args: Json) -> Json:
    """bots.info."""
    if args.get("bot") not in (None, "", BOT_ID):
        raise WorkspaceError("bot_not_found")
    name = state.members[BOT_USER].name
    return {"bot": {"id": BOT_ID, "app_id": APP_ID, "user_id": BOT_USER, "name": name, "deleted": False}}


def member_json(member: Member) -> Json:
    """A person as users.info shows them."""
    return {
        "id": member.id,
        "team_id": member.team_id,
        "name": member.name,
        "real_name": member.real_name,
        "deleted": member.deleted,
        "color": member.color,
        "tz": "Etc/UTC",
        "tz_offset": 0,
        "is_bot": member.is_bot,
        "is_app_user": False,
        "is_restricted": member.is_restricted,
        "is_ultra_restricted": member.is_ultra_restricted,
        "is_stranger": member.is_stranger,
        "profile": {"real_name": member.real_name, "display_name": member.name, "title": member.title},
    }


def users_info(state: State, args: Json) -> Json:
    """users.info."""
    return {"user": member_json(state.member(str(args.get("user") or "")))}


def users_list(state: State, args: Json) -> Json:
    """users.list."""
    members, more = page_of(list(state.members.values()), args)
    return {"members": [member_json(member) for member in members], "response_metadata": more}


def channel_json(state: State, channel: Channel) -> Json:
    """A channel as conversations.info shows it."""
    if channel.is_im:
        return {"id": channel.id, "is_im": True, "user": channel.user, "is_archived": False, "is_org_shared": False}
    return {
        "id": channel.id,
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": not channel.is_private,
        "is_group": channel.is_private,
        "is_im": False,
        "is_mpim": False,
        "is_private": channel.is_private,
        "is_archived": channel.is_archived,
        "is_general": False,
        "is_shared": channel.is_ext_shared,
        "is_ext_shared": channel.is_ext_shared,
        "is_pending_ext_shared": channel.is_pending_ext_shared,
        "is_org_shared": False,
        "is_member": state.is_in(BOT_USER, channel),
        "topic": {"value": channel.topic, "creator": "", "last_set": 0},
        "context_team_id": TEAM_ID,
    }


def _channel(state: State, args: Json) -> Channel:
    wanted = str(args.get("channel") or "")
    channel = state.channels.get(wanted)
    if channel is None or (channel.is_private and not state.is_in(BOT_USER, channel)):
        raise WorkspaceError("channel_not_found")
    scope = "im:read" if channel.is_im else "groups:read" if channel.is_private else "channels:read"
    needs(state, scope)
    return channel


def needs(state: State, scope: str | None) -> None:
    """Raises `missing_scope` unless the app has it."""
    if scope and scope not in state.scopes:
        raise WorkspaceError("missing_scope", needed=scope, provided=",".join(sorted(state.scopes)))


def conversations_info(state: State, args: Json) -> Json:
    """conversations.info."""
    return {"channel": channel_json(state, _channel(state, args))}


def conversations_list(state: State, args: Json) -> Json:
    """conversations.list."""
    wanted = set(str(args.get("types") or "public_channel").replace(" ", "").split(","))
    found = []
    for channel in state.channels.values():
        kind = "im" if channel.is_im else "private_channel" if channel.is_private else "public_channel"
        hidden = channel.is_private and not state.is_in(BOT_USER, channel)
        if kind in wanted and not hidden and not (channel.is_archived and truth(args.get("exclude_archived"))):
            found.append(channel)
    for kind, scope in (("im", "im:read"), ("private_channel", "groups:read"), ("public_channel", "channels:read")):
        needs(state, scope if kind in wanted else None)
    shown, more = page_of(found, args)
    return {"channels": [channel_json(state, channel) for channel in shown], "response_metadata": more}


def conversations_members(state: State, args: Json) -> Json:
    """conversations.members."""
    channel = _channel(state, args)
    members = [user for user in state.members if state.is_in(user, channel)]
    shown, more = page_of(members, args)
    return {"members": shown, "response_metadata": more}


def conversations_open(state: State, args: Json) -> Json:
    """conversations.open, for direct messages with one person."""
    users = args.get("users") or ""
    users = users if isinstance(users, list) else [user for user in str(users).split(",") if user]
    if args.get("channel"):
        return {"channel": {"id": _channel(state, args).id}}
    if not users:
        raise WorkspaceError("users_list_not_supplied")
    if len(users) > 1:
        raise WorkspaceError("method_not_supported_for_channel_type")
    person = state.member(users[0])
    if person.deleted:
        raise WorkspaceError("user_disabled")
    if person.is_bot:
        raise WorkspaceError("cannot_dm_bot")
    known = f"D0{person.id[2:]}" in state.channels
    return {"channel": {"id": state.direct(person.id).id}, "already_open": known, "no_op": known}


def group_json(group: Group, with_users: bool) -> Json:
    """A user group."""
    body: Json = {"id": group.id, "team_id": TEAM_ID, "is_usergroup": True, "name": group.handle}
    body |= {"handle": group.handle, "user_count": len(group.users), "date_delete": 0}
    return body | ({"users": group.users} if with_users else {})


def usergroups_list(state: State, args: Json) -> Json:
    """usergroups.list."""
    return {"usergroups": [group_json(each, truth(args.get("include_users"))) for each in state.groups.values()]}


def usergroups_users_list(state: State, args: Json) -> Json:
    """usergroups.users.list."""
    group = state.groups.get(str(args.get("usergroup") or ""))
    if group is None:
        raise WorkspaceError("no_such_subteam")
    return {"users": list(group.users)}


def blocks_validate(state: State, args: Json) -> Json:
    """blocks.validate."""
    blocks = args.get("blocks")
    if not isinstance(blocks, list):
        raise WorkspaceError("invalid_blocks_format")
    found = problems({"blocks": blocks}, "message")
    if found:
        raise WorkspaceError("invalid_blocks", [f"[ERROR] {each}" for each in found])
    return {}
