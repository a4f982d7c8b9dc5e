"""The Web API: which methods there are, who may call them, and how a call becomes an answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from . import chat, directory, history, views
from .model import Json, WorkspaceError
from .state import State

STRUCTURED = ("blocks", "view", "metadata", "attachments")
"""Arguments that are JSON also inside a form."""


@dataclass(frozen=True)
class Method:
    """A method of the Web API and the scope that it needs."""

    call: Callable[[State, Json], Json]
    scope: str | None = None


METHODS: dict[str, Method] = {
    "auth.test": Method(directory.auth_test),
    "blocks.validate": Method(directory.blocks_validate),
    "bots.info": Method(directory.bots_info, "users:read"),
    "chat.delete": Method(chat.delete, "chat:write"),
    "chat.getPermalink": Method(chat.get_permalink),
    "chat.postEphemeral": Method(chat.post_ephemeral, "chat:write"),
    "chat.postMessage": Method(chat.post_message, "chat:write"),
    "chat.update": Method(chat.update, "chat:write"),
    "conversations.history": Method(history.history),
    "conversations.info": Method(directory.conversations_info),
    "conversations.list": Method(directory.conversations_list),
    "conversations.members": Method(directory.conversations_members),
    "conversations.open": Method(directory.conversations_open, "im:write"),
    "conversations.replies": Method(history.replies),
    "team.info": Method(directory.team_info, "team:read"),
    "usergroups.list": Method(directory.usergroups_list, "usergroups:read"),
    "usergroups.users.list": Method(directory.usergroups_users_list, "usergroups:read"),
    "users.info": Method(directory.users_info, "users:read"),
    "users.list": Method(directory.users_list, "users:read"),
    "views.open": Method(views.open_view),
    "views.publish": Method(views.publish_view),
    "views.push": Method(views.push_view),
    "views.update": Method(views.update_view),
}
SOCKET_METHOD = "apps.connections.open"


def arguments(content_type: str, body: bytes, query: str) -> Json:
    """The arguments of a call, from JSON or a form. Raises `invalid_json`, `invalid_form_data`, `invalid_blocks_format`."""
    args: Json = dict(parse_qsl(query, keep_blank_values=True))
    if content_type.startswith("application/json"):
        args |= _object(body)
    elif body:
        try:
            args |= dict(parse_qsl(body.decode(), keep_blank_values=True))
        except UnicodeDecodeError:
            raise WorkspaceError("invalid_form_data") from None
    for name in STRUCTURED:
        if isinstance(args.get(name), str) and args[name]:
            args[name] = _structured(name, args[name])
    return args


def _object(body: bytes) -> Json:
    try:
        value: Any = json.loads(body or b"{}")
    except ValueError:
        raise WorkspaceError("invalid_json") from None
    if not isinstance(value, dict):
        raise WorkspaceError("json_not_object")
    return value


def _structured(name: str, value: str) -> Any:
    errors = {"blocks": "invalid_blocks_format", "metadata": "invalid_metadata_format"}
    try:
        return json.loads(value)
    except ValueError:
        raise WorkspaceError(errors.get(name, "invalid_arguments")) from None


def check_token(state: State, method: str, authorization: str, args: Json) -> None:
    """Raises `not_authed`, `invalid_auth` or `not_allowed_token_type`."""
    token = authorization.removeprefix("Bearer ").strip() or str(args.get("token") or "")
    if not token:
        raise WorkspaceError("not_authed")
    if token not in (state.bot_token, state.app_token):
        raise WorkspaceError("invalid_auth")
    if (token == state.app_token) != (method == SOCKET_METHOD):
        raise WorkspaceError("not_allowed_token_type")


def call(state: State, name: str, args: Json) -> Json:
    """Run one method and give its answer, always with `ok`. Never raises WorkspaceError."""
    try:
        if name in state.faults.errors:
            raise WorkspaceError(state.faults.errors[name])
        if name not in METHODS:
            raise WorkspaceError("unknown_method", req_method=name)
        directory.needs(state, METHODS[name].scope)
        with state.reading():
            return {"ok": True, **METHODS[name].call(state, args)}
    except WorkspaceError as error:
        return refusal(error)


def refusal(error: WorkspaceError) -> Json:
    """The answer to a call that is refused."""
    body: Json = {"ok": False, "error": error.error, **error.extra}
    if error.messages:
        body |= {"errors": error.messages, "response_metadata": {"messages": error.messages}}
    return body
