"""What Slack's own client does with a form: the values as state, and the checks before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .blockkit import interactive
from .elements import GROUP, OPTION
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
STATELESS = ("button", "overflow", "image", "file_input")
REQUIRED = "Please complete this required field."
SHORTEST_QUERY = 3  # characters of an external select, where it does not say min_query_length


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


def _stateful(blocks: Sequence[Json]) -> Iterator[tuple[str, Json]]:
    for block in blocks:
        for element in interactive(block):
            if element["type"] not in STATELESS:
                yield block["block_id"], element


def state_of(
    blocks: Sequence[Json], known: Mapping[str, Json], given: Mapping[str, Any], offered: Mapping[str, list[Json]]
) -> dict[str, Json]:
    """`state.values` as Slack sends it: by block_id and action_id, what every field and menu holds now.

    `given`: what is typed or chosen now, by block_id; `known`: what was before; else the initial value counts.
    Raises `no_such_option`.
    """
    state: dict[str, Json] = {}
    for block_id, element in _stateful(blocks):
        action_id = element["action_id"]
        entry = known.get(block_id, {}).get(action_id)
        value = given.get(block_id)
        mine = block_id in given and (not isinstance(value, dict) or action_id in value or "value" in value)
        if mine or entry is None:
            value = _given(value, action_id) if mine else _initial(element)
            entry = {"type": element["type"], **chosen(element, value, offered.get(block_id, []))}
        state.setdefault(block_id, {})[action_id] = entry
    return state


def fill(view: View, values: Mapping[str, Any]) -> None:
    """Type values into the fields of a form, by block_id. Raises `no_such_field`, `no_such_option`."""
    there = {block_id for block_id, _ in _stateful(view.blocks)}
    unknown = [f"there is no field {name}" for name in values if name not in there]
    if unknown:
        raise WorkspaceError("no_such_field", unknown)
    view.state = state_of(view.blocks, view.state, values, view.options)


def local_errors(view: View) -> dict[str, str]:
    """What the client refuses by itself, by block_id: empty required fields, values that no such field takes."""
    errors = {}
    for block in view.blocks:
        if block["type"] != "input" or block["element"]["type"] in STATELESS:
            continue
        element, block_id = block["element"], block["block_id"]
        entry = view.state[block_id][element["action_id"]]
        value = next((each for name, each in entry.items() if name != "type"), None)
        empty = not value or (isinstance(value, str) and not value.strip())
        if empty and not block.get("optional"):
            errors[block_id] = REQUIRED
        elif isinstance(value, str) and value and (wrong := _wrong_text(element, value)):
            errors[block_id] = wrong
    return errors


def _wrong_text(element: Json, value: str) -> str:
    """What is wrong with a typed value; empty where nothing is."""
    kind = element["type"]
    if len(value) < element.get("min_length", 0):
        return f"This field must be at least {element['min_length']} characters."
    if len(value) > element.get("max_length", 3000):
        return f"This field must be at most {element.get('max_length', 3000)} characters."
    if kind == "number_input":
        return _wrong_number(element, value)
    if kind == "email_text_input" and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value):
        return "Please enter an email address."
    if kind == "url_text_input" and not re.fullmatch(r"https?://\S+", value):
        return "Please enter a URL."
    return ""


def _wrong_number(element: Json, value: str) -> str:
    whole = not element.get("is_decimal_allowed")
    if not re.fullmatch(r"-?\d+" if whole else r"-?\d*\.?\d+", value):
        return "Please enter a whole number." if whole else "Please enter a number."
    if "min_value" in element and float(value) < float(element["min_value"]):
        return f"Please enter at least {element['min_value']}."
    if "max_value" in element and float(value) > float(element["max_value"]):
        return f"Please enter at most {element['max_value']}."
    return ""


def offer(reply: Json) -> tuple[list[Json], list[Json]]:
    """The options, and the groups, that an app answers to a `block_suggestion`; one of both is empty.

    At most 100 options, or 100 groups of 100. Raises `invalid_options`.
    """
    options, groups = reply.get("options"), reply.get("option_groups")
    report = Report()
    if (options is None) == (groups is None):
        report.add("", "exactly one of options and option_groups is needed")
    elif groups is None:
        list_of(OPTION, 100, shortest=0)(options, "/options", report)
    else:
        list_of(GROUP, 100, shortest=0)(groups, "/option_groups", report)
    if report.found:
        raise WorkspaceError("invalid_options", report.found)
    return options or [], groups or []
