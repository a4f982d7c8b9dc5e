"""Requests of every kind that the bot listens to, as Slack sends them, and what makes each of them bad."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

from demo.workspace import Channel, Member, Workspace, sample_channels

Json = dict[str, Any]
TEAM, APP, BOB, INC = Workspace.team_id, Workspace.app_id, "U0BOB", "C0INC418"
OTHER = "T0OTHER"
PEOPLE = (
    Member("U0BOB", "bob", "Bob Lee"),
    Member("U0GUEST", "gil", "Gil Guest", is_restricted=True),
    Member("U0ULTRA", "uli", "Uli Guest", is_restricted=True, is_ultra_restricted=True),
    Member("U0STRANGE", "sam", "Sam Stranger", is_stranger=True),
    Member("U0GONE", "gus", "Gus Gone", deleted=True),
    Member("U0ROBOT", "robo", "Robo", is_bot=True),
    Member("U0CONNECT", "carl", "Carl Connect", team_id=OTHER),
)
CHANNELS = [*sample_channels(), Channel("C0PENDING", "soon-with-acme", is_pending_ext_shared=True)]


def command() -> Json:
    return {
        "team_id": TEAM, "api_app_id": APP, "command": "/rollback", "text": "help", "user_id": BOB, "user_name": "bob",
        "channel_id": INC, "channel_name": "inc-418",
    }  # fmt: skip


def interaction(kind: str) -> Json:
    user = {"id": BOB, "username": "bob", "name": "bob", "team_id": TEAM}
    return {"type": kind, "api_app_id": APP, "team": {"id": TEAM}, "user": user}


def click(action_id: str, value: str = "RB-7K3M.1", ts: str = "1.1") -> Json:
    action = {"type": "button", "block_id": "b", "action_id": action_id, "value": value, "action_ts": "1.5"}
    container = {"type": "message", "message_ts": ts, "channel_id": INC, "is_ephemeral": False}
    return interaction("block_actions") | {"container": container, "channel": {"id": INC}, "actions": [action]}


def click_in_view(action_id: str, view: Json, value: str = "RB-7K3M.1") -> Json:
    body = click(action_id, value)
    del body["channel"]
    return body | {"container": {"type": "view", "view_id": "V1"}, "view": {"id": "V1", **view}}


def form(callback: str, private: Json | str) -> Json:
    text = private if isinstance(private, str) else json.dumps(private)
    values = {"reason": {"v": {"value": "because"}}, "note": {"v": {"value": ""}}}
    view = {"id": "V1", "type": "modal", "callback_id": callback, "private_metadata": text, "state": {"values": values}}
    return interaction("view_submission") | {"view": view}


def closed(callback: str) -> Json:
    return interaction("view_closed") | {"view": {"id": "V1", "type": "modal", "callback_id": callback}}


def shortcut(callback: str) -> Json:
    body = interaction("shortcut") | {"callback_id": callback, "trigger_id": "1.3.x", "action_ts": "1.5"}
    del body["api_app_id"]
    return body


def message_shortcut(callback: str) -> Json:
    message = {"type": "message", "ts": "1.1", "user": "U0ANA", "text": "500s"}
    more = {"callback_id": callback, "trigger_id": "1.3.x", "channel": {"id": INC}, "message": message}
    body = interaction("message_action") | more | {"container": {"type": "message", "channel_id": INC}}
    del body["api_app_id"]
    return body


def suggestion(private: str) -> Json:
    view = {
        "id": "V1",
        "type": "modal",
        "callback_id": "rb.request",
        "private_metadata": private,
        "state": {"values": {}},
    }
    return interaction("block_suggestion") | {"action_id": "v", "block_id": "migration", "value": "", "view": view}


def opened_home() -> Json:
    event = {"type": "app_home_opened", "user": BOB, "tab": "home", "channel": "D0BOB", "event_ts": "1.1"}
    return {"type": "event_callback", "team_id": TEAM, "api_app_id": APP, "event_id": "Ev1", "event": event}


def by(user: Any) -> Callable[[Json], None]:
    """The same, by somebody else."""

    def change(body: Json) -> None:
        if "user" in body:
            body["user"]["id"] = user
        elif "event" in body:
            body["event"]["user"] = user
        else:
            body["user_id"] = user

    return change


def elsewhere(channel: str) -> Callable[[Json], None]:
    """The same, in another channel."""

    def change(body: Json) -> None:
        if "channel_id" in body:
            body["channel_id"] = channel
        if "channel" in body:
            body["channel"]["id"] = body["container"]["channel_id"] = channel

    return change


def other_team(body: Json) -> None:
    if "team_id" in body:
        body["team_id"] = OTHER
    else:
        body["team"]["id"] = OTHER


def no_team(body: Json) -> None:
    body.pop("team", None)
    body.pop("team_id", None)


def two_teams(body: Json) -> None:
    body["team_id"], body["team"] = TEAM, {"id": OTHER}


def of_the_orgs_other_workspace(body: Json) -> None:
    if "user" in body:
        body["user"]["team_id"] = OTHER
    else:
        by("U0CONNECT")(body)


def nobody(body: Json) -> None:
    for place in (body, body.get("event", {})):
        place.pop("user", None)
        place.pop("user_id", None)


BAD: dict[str, Callable[[Json], None]] = {
    "another team": other_team,
    "two teams": two_teams,
    "no team": no_team,
    "another app": lambda body: body.update(api_app_id="A0OTHER"),
    "no app": lambda body: body.pop("api_app_id", None) and None,
    "an app's user": by("U0ROBOT"),
    "a guest": by("U0GUEST"),
    "a single-channel guest": by("U0ULTRA"),
    "a stranger": by("U0STRANGE"),
    "somebody deactivated": by("U0GONE"),
    "Slack Connect": by("U0CONNECT"),
    "the org's other workspace": of_the_orgs_other_workspace,
    "nobody": nobody,
    "somebody unknown": by("U0NOBODY"),
    "no id": by(""),
    "an id of another shape": by("B0BOT"),
    "an id that is a list": by(["U0BOB"]),
    "an id that is null": by(None),
    "a team that is a list": lambda body: body.update(team=[TEAM]),
    "a team that is a text": lambda body: body.update(team=TEAM),
    "a user that is a text": lambda body: body.update(user=BOB, user_id="B0"),
}
SHARED = {"a channel shared with others": elsewhere("C0SHARED"), "a channel about to be shared": elsewhere("C0PENDING")}
ODD_CLICKS: dict[str, Callable[[Json], None]] = {
    "no container": lambda body: body.pop("container") and None,
    "a container that is a text": lambda body: body.update(container="message"),
    "a container of no kind": lambda body: body["container"].pop("type") and None,
    "a view that is not there": lambda body: body.update(container={"type": "view", "view_id": "V1"}),
    "an attachment": lambda body: body["container"].update(type="message_attachment"),
    "another message": lambda body: body["container"].update(message_ts="9.9"),
    "two channels": lambda body: body["channel"].update(id="C0RANDOM"),
    "seen by one only": lambda body: body["container"].update(is_ephemeral=True),
    "no actions": lambda body: body.update(actions=[]),
    "no value": lambda body: body["actions"][0].pop("value") and None,
    "a value that is a number": lambda body: body["actions"][0].update(value=7),
    "another run": lambda body: body["actions"][0].update(value="RB-9XXX.1"),
    "a revision that never was": lambda body: body["actions"][0].update(value="RB-7K3M.2"),
    "revision none": lambda body: body["actions"][0].update(value="RB-7K3M."),
    "revision zero": lambda body: body["actions"][0].update(value="RB-7K3M.0"),
    "digits of another script": lambda body: body["actions"][0].update(value="RB-7K3M.\u0661"),
    "more behind the value": lambda body: body["actions"][0].update(value="RB-7K3M.1\n"),
    "a plan that was only shown": lambda body: body["actions"][0].update(value="plan-0123456789ab.1"),
    "a second run beside it": lambda body: body["actions"].append({**body["actions"][0], "value": "RB-9XXX.1"}),
}


def spoilt(body: Json, changes: dict[str, Callable[[Json], None]]) -> Iterator[tuple[str, Json]]:
    """The body, made bad in each way that makes a difference to it."""
    for name, change in changes.items():
        changed = deepcopy(body)
        change(changed)
        if changed != body:
            yield name, changed
