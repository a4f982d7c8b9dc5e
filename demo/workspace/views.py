"""Web API: views.*, and the stack of modals of each person."""

from __future__ import annotations

import secrets
import time
from typing import Any

from .blockkit import Surface, interactive, problems, too_large
from .model import APP_ID, BOT_ID, BOT_USER, TEAM_ID, Json, View, WorkspaceError
from .state import State

DEEPEST = 3  # views in one stack


def _hash() -> str:
    return f"{int(time.time())}.{secrets.token_hex(4)}"


def checked(state: State, body: Any, surface: Surface) -> Json:
    """A view as it is kept. Raises `view_too_large`, or `invalid_arguments` with what is wrong."""
    if not isinstance(body, dict):
        raise WorkspaceError("invalid_arguments", ["[ERROR] missing required field: view"])
    if too_large(body):
        raise WorkspaceError("view_too_large")
    found = problems(body, surface)
    if found:
        raise WorkspaceError("invalid_arguments", [f"[ERROR] {each}" for each in found])
    return {**body, "blocks": state.with_ids(body["blocks"])}


def view_json(view: View) -> Json:
    """A view as the Web API and interaction payloads show it."""
    body = view.body
    common: Json = {
        "id": view.id,
        "team_id": TEAM_ID,
        "type": body["type"],
        "callback_id": body.get("callback_id", ""),
        "private_metadata": body.get("private_metadata", ""),
        "hash": view.hash,
        "title": body.get("title"),
        "submit": body.get("submit"),
        "close": body.get("close"),
        "blocks": body["blocks"],
        "clear_on_close": body.get("clear_on_close", False),
        "notify_on_close": body.get("notify_on_close", False),
        "previous_view_id": view.previous,
        "root_view_id": view.root,
        "app_id": APP_ID,
        "bot_id": BOT_ID,
        "external_id": body.get("external_id", ""),
        "app_installed_team_id": TEAM_ID,
        "state": {"values": view.state},
    }
    return common


def push_on(state: State, user: str, body: Any, *, on_top: bool) -> View:
    """Open a modal for a person: on top of what is open, or instead of it. Raises `push_limit_reached`."""
    body = checked(state, body, "modal")
    _external_id_is_free(state, body)
    with state.changing():
        stack = state.modals.get(user, []) if on_top else []
        if len(stack) >= DEEPEST:
            raise WorkspaceError("push_limit_reached")
        view_id = state.new_id("V")
        root, previous = (stack[0].id, stack[-1].id) if stack else (view_id, None)
        view = View(view_id, user, body, _hash(), root, previous)
        state.modals[user] = [*stack, view]
    return view


def _external_id_is_free(state: State, body: Json, view_id: str = "") -> None:
    wanted = body.get("external_id")
    taken = [view for stack in state.modals.values() for view in stack if view.body.get("external_id") == wanted]
    if wanted and any(view.id != view_id for view in taken):
        raise WorkspaceError("duplicate_external_id")


def replace(state: State, view: View, body: Any) -> View:
    """Put another body into an open view. What was typed in fields that stay is kept, as Slack does."""
    body = checked(state, body, "home" if view.body["type"] == "home" else "modal")
    _external_id_is_free(state, body, view.id)
    with state.changing():
        kept = {(block["block_id"], each.get("action_id")) for block in body["blocks"] for each in interactive(block)}
        view.body, view.hash, view.errors = body, _hash(), {}
        view.state = {
            block: {name: entry for name, entry in values.items() if (block, name) in kept}
            for block, values in view.state.items()
        }
    return view


def open_view(state: State, args: Json) -> Json:
    """views.open."""
    _has(args, "trigger_id", "view")
    checked(state, args["view"], "modal")
    trigger = state.use_trigger(args["trigger_id"])
    return {"view": view_json(push_on(state, trigger.user, args["view"], on_top=trigger.view is not None))}


def push_view(state: State, args: Json) -> Json:
    """views.push."""
    _has(args, "trigger_id", "view")
    checked(state, args["view"], "modal")
    trigger = state.use_trigger(args["trigger_id"])
    if trigger.view is None or not state.modals.get(trigger.user):
        raise WorkspaceError("invalid_trigger_id")
    return {"view": view_json(push_on(state, trigger.user, args["view"], on_top=True))}


def update_view(state: State, args: Json) -> Json:
    """views.update. Raises `hash_conflict` when the view changed meanwhile, `not_found` when it is closed."""
    _has(args, "view")
    with state.changing():
        view = state.view(args.get("view_id"), args.get("external_id"))
        if args.get("hash") and args["hash"] != view.hash:
            raise WorkspaceError("hash_conflict")
        return {"view": view_json(replace(state, view, args["view"]))}


def publish_view(state: State, args: Json) -> Json:
    """views.publish."""
    _has(args, "user_id", "view")
    user = str(args["user_id"])
    if user not in state.members or user == BOT_USER:
        raise WorkspaceError("invalid_arguments", ["[ERROR] user not found [json-pointer:/user_id]"])
    body = checked(state, args["view"], "home")
    with state.changing():
        view = state.homes.get(user)
        if view is not None and args.get("hash") and args["hash"] != view.hash:
            raise WorkspaceError("hash_conflict")
        if view is None:
            view_id = state.new_id("V")
            view = state.homes[user] = View(view_id, user, body, _hash(), view_id)
        else:
            replace(state, view, body)
        view.published += 1
        return {"view": view_json(view)}


def _has(args: Json, *names: str) -> None:
    missing = [f"[ERROR] missing required field: {name}" for name in names if not args.get(name)]
    if missing:
        raise WorkspaceError("invalid_arguments", missing)
