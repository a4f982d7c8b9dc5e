"""The Slack app manifest: valid, and it asks for no more than the bot needs."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parent.parent
MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "manifest.yml").read_text())
SCHEMA: dict[str, Any] = json.loads((ROOT / "tests/schemas/slack-manifest.schema.json").read_text())

# Each with its reason in the manifest. No direct messages, no files, no e-mail addresses, no posting uninvited.
SCOPES = [
    "commands",
    "chat:write",
    "im:write",
    "users:read",
    "usergroups:read",
    "channels:read",
    "groups:read",
    "channels:history",
    "groups:history",
]


def faults(manifest: dict[str, Any]) -> list[str]:
    """The places that break the schema, as dotted paths."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    found = jsonschema.Draft7Validator(SCHEMA).iter_errors(manifest)
    return sorted(".".join(str(part) for part in fault.absolute_path) for fault in found)


def test_the_manifest_is_valid() -> None:
    assert faults(MANIFEST) == []


def test_the_manifest_asks_for_exactly_the_documented_scopes() -> None:
    assert MANIFEST["oauth_config"]["scopes"] == {"bot": SCOPES}


def test_the_manifest_subscribes_to_nothing_but_the_opening_of_the_home_tab() -> None:
    assert MANIFEST["settings"]["event_subscriptions"] == {"bot_events": ["app_home_opened"]}


def test_there_is_one_slash_command() -> None:
    assert [command["command"] for command in MANIFEST["features"]["slash_commands"]] == ["/rollback"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("display_information.name", "n" * 36),
        ("display_information.description", "d" * 141),
        ("display_information.long_description", "too short"),
        ("features.slash_commands.0.command", "rollback"),
        ("features.slash_commands.0.should_escape", False),
        ("settings.socket_mode_enabled", "yes"),
        ("settings.org_deploy_enabled", True),
    ],
)
def test_a_wrong_value_is_found(path: str, value: object) -> None:
    broken = copy.deepcopy(MANIFEST)
    *parents, last = path.split(".")
    place: Any = broken
    for part in parents:
        place = place[int(part) if part.isdigit() else part]
    assert last in place
    place[last] = value
    assert faults(broken) == [path]


def test_a_misspelt_field_is_found() -> None:
    broken = copy.deepcopy(MANIFEST)
    broken["settings"]["socket_mode"] = broken["settings"].pop("socket_mode_enabled")
    assert faults(broken) == ["settings", "settings"]
