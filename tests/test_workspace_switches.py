"""The switches of the local workspace that break things, and what is mended by them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from slack_sdk import WebClient
from workspace_app import INC, refused

from demo.workspace import Switch, Workspace, WorkspaceError


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    with Workspace() as running:
        yield running


def shown(workspace: Workspace, name: str) -> Any:
    return next(each for each in workspace.switches.as_json() if each["name"] == name)


def test_every_switch_says_what_it_does_and_how_it_is_undone(workspace: Workspace) -> None:
    switches = workspace.switches.as_json()
    assert {"down", "slow", "deliver_twice", "lose_answer", "ratelimit"} < {each["name"] for each in switches}
    assert [each for each in switches if each["on"]] == []
    for each in switches:
        assert each["does"].endswith(".") and each["undo"].endswith("."), each["name"]


def test_what_was_broken_is_mended_at_once(workspace: Workspace) -> None:
    for name, value in (("down", True), ("slow", 1.5), ("only", ["chat.update"]), ("errors", {"auth.test": "x"})):
        workspace.set_fault(name, value)
        assert (shown(workspace, name)["value"], shown(workspace, name)["on"]) == (value, True)
    assert workspace.faults.only == {"chat.update"}

    workspace.switches.mend()

    assert [each["name"] for each in workspace.switches.as_json() if each["on"]] == []
    assert (workspace.faults.down, workspace.faults.only, workspace.faults.errors) == (False, set(), {})


def test_the_limit_of_a_channel_can_be_switched_on(workspace: Workspace) -> None:
    client = WebClient(workspace.bot_token, base_url=workspace.api_url, retry_handlers=[])
    workspace.set_fault("one_message_per_second", True)
    client.chat_postMessage(channel=INC, text="1")
    assert refused(client.chat_postMessage, channel=INC, text="2") == "ratelimited"


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("gravity", True, "unknown_fault"),
        ("slow", "long", "invalid_arguments"),
        ("slow", -1, "invalid_arguments"),
        ("slow", float("nan"), "invalid_arguments"),
        ("ratelimit", 1e9, "invalid_arguments"),
        ("errors", 3, "invalid_arguments"),
    ],
)
def test_a_value_that_a_switch_does_not_take_is_refused(
    workspace: Workspace, name: str, value: Any, error: str
) -> None:
    with pytest.raises(WorkspaceError, match=error):
        workspace.set_fault(name, value)
    assert not any(each["on"] for each in workspace.switches.as_json())


def test_a_demo_adds_switches_of_its_own(workspace: Workspace) -> None:
    pressed: list[Any] = []
    mine = Switch("kill", "Kill it", "It ends.", "It comes back.", pressed.append, part="The bot")
    workspace.switches.add(mine)
    workspace.set_fault("kill")
    assert pressed == [True]
    first = workspace.switches.as_json()[0]  # what a demo adds is what people came for
    assert (first["name"], first["button"], first["part"]) == ("kill", True, "The bot")
    with pytest.raises(ValueError, match="already"):
        workspace.switches.add(mine)
