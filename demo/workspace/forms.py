"""What Slack's own client does with a form: the values as state, and the checks before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .elements import OPTION
from .model import Json, View, WorkspaceError
from .shapes import Report, list_of

OPTION_MENUS = ("static_select", "external_select", "radio_buttons", "overflow")
OPTION_LISTS = ("checkboxes", "multi_static_select", "multi_external_select")
PLAIN = {  # element -> (name in the state, name of its initial value)
    "users_select": ("selected_user", "initial_user"),
    "conversations_select": ("selected_conversation", "initial_conversation"),
    "channels_select": ("selected_channel", "initial_channel"),
    "multi_users_select": ("selected_users", "initial_users"),
    "multi_conversations_select": ("selected_conversations", "initial_conversations"),
    "multi_channels_select": ("selected_channels", "initial_channels"),
    "datepicker": ("selected_date", "initial_date"),
    "timepicker": ("selected_time", "initial_time"),
    "datetimepicker": ("selected_date_time", "initial_date_time"),
}
REQUIRED = "Please complete this required field."


def options_of(element: Json, offered: list[Json]) -> list[Json]:
    """Every option that can be chosen: its own, those of its groups, the initial one, those that the app offered."""
    found = [*element.get("options", []), *offered]
    for group in element.get("option_groups", []):
        found += group["options"]
    return [*found, *element.get("initial_options", []), *filter(None, [element.get("initial_option")])]


def _option(element: Json, offered: list[Json], wanted: Any) -> Json:
    value = wanted.get("value") if isinstance(wanted, dict) else wanted
    for option in options_of(element, offered):
        if option["value"] == value:
            return option
    raise WorkspaceError("no_such_option", [f"{value!r} is not offered by {element.get('action_id')}"])


def chosen(element: Json, value: Any, offered: list[Json]) -> Json:
    """The part of state or action that says what was chosen. Raises `no_such_option`."""
    kind = element["type"]
    if kind in OPTION_MENUS:
        return {"selected_option": None if value is None else _option(element, offered, value)}
    if kind in OPTION_LISTS:
        wanted = [value] if isinstance(value, str | dict) else value or []
        return {"selected_options": [_option(element, offered, each) for each in wanted]}
    if kind in PLAIN:
        return {PLAIN[kind][0]: value}
    return {} if kind == "button" else {"value": value or None}


def _initial(element: Json) -> Any:
    kind = element["type"]
    if kind in OPTION_MENUS:
        return element.get("initial_option")
    if kind in OPTION_LISTS:
        return element.get("initial_options", [])
    return element.get(PLAIN[kind][1] if kind in PLAIN else "initial_value")


def _given(value: Any, action_id: str) -> Any:
    """One value of the page (the whole state of a field) or of a test (just the value)."""
    if isinstance(value, dict) and isinstance(value.get(action_id), dict):
        entry = value[action_id]
        names = ("value", "selected_option", "selected_options", *(name for name, _ in PLAIN.values()))
        return next((entry[name] for name in names if name in entry), None)
    return value


def fill(view: View, values: Mapping[str, Any]) -> None:
    """Type values into the fields of a form, by block_id. Raises `no_such_field`, `no_such_option`."""
    inputs = {block["block_id"]: block["element"] for block in view.blocks if block["type"] == "input"}
    unknown = [f"there is no field {name}" for name in values if name not in inputs]
    if unknown:
        raise WorkspaceError("no_such_field", unknown)
    for block_id, element in inputs.items():
        action_id = element["action_id"]
        entry = view.state.get(block_id, {}).get(action_id)
        if block_id in values or entry is None:
            value = _given(values[block_id], action_id) if block_id in values else _initial(element)
            entry = {"type": element["type"], **chosen(element, value, view.options.get(block_id, []))}
        view.state[block_id] = {action_id: entry}


def local_errors(view: View) -> dict[str, str]:
    """What the client refuses by itself, by block_id: empty required fields, texts too short or too long."""
    errors = {}
    for block in view.blocks:
        if block["type"] != "input":
            continue
        element, block_id = block["element"], block["block_id"]
        entry = view.state[block_id][element["action_id"]]
        value = next((each for name, each in entry.items() if name != "type"), None)
        if not value and not block.get("optional"):
            errors[block_id] = REQUIRED
        elif isinstance(value, str) and len(value) < element.get("min_length", 0):
            errors[block_id] = f"This field must be at least {element['min_length']} characters."
        elif isinstance(value, str) and len(value) > element.get("max_length", 3000):
            errors[block_id] = f"This field must be at most {element.get('max_length', 3000)} characters."
    return errors


def wrong_options(options: Any) -> list[str]:
    """What is wrong with options that an app offers; at most 100 are allowed."""
    report = Report()
    list_of(OPTION, 100, shortest=0)(options, "/options", report)
    return report.found
