"""Interactive elements and the objects they are made of, with Slack's limits.

Source: docs.slack.dev, references of block elements and composition objects, October 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .shapes import Check, Report, anything, boolean, by_type, integer, list_of, one_of, plain, shape, string, text, url

ACTION = {"action_id": string(255)}
CONFIRM = shape(
    {"title": plain(100), "text": text(300), "confirm": plain(30), "deny": plain(30)},
    {"style": one_of("primary", "danger")},
)
OPTION = shape({"text": plain(75), "value": string(150)}, {"description": plain(75), "url": url})
RICH_OPTION = shape({"text": text(75), "value": string(150)}, {"description": text(75)})
GROUP = shape({"label": plain(75), "options": list_of(OPTION, 100)})
COMMON: Mapping[str, Check] = {**ACTION, "confirm": CONFIRM, "focus_on_load": boolean}
MENU: Mapping[str, Check] = {**COMMON, "placeholder": plain(150)}
MULTI: Mapping[str, Check] = {**MENU, "max_selected_items": integer(1, 1000)}
_TRIGGERS = list_of(one_of("on_enter_pressed", "on_character_entered"), 2)
DISPATCH: Mapping[str, Check] = {"dispatch_action_config": shape({}, {"trigger_actions_on": _TRIGGERS})}


def _select(menu: Mapping[str, Check], several: bool) -> Check:
    initial: Mapping[str, Check] = {"initial_options": list_of(OPTION, 100)} if several else {"initial_option": OPTION}
    body = shape({}, {**menu, **initial, "options": list_of(OPTION, 100), "option_groups": list_of(GROUP, 100)})

    def check(value: Any, at: str, report: Report) -> None:
        body(value, at, report)
        if ("options" in value) == ("option_groups" in value):
            report.add(at, "exactly one of options and option_groups is needed")
        _initial_is_an_option(value, at, report)

    return check


def _choices(longest: int, initial: Mapping[str, Check]) -> Check:
    body = shape({"options": list_of(RICH_OPTION, longest)}, {**COMMON, **initial})

    def check(value: Any, at: str, report: Report) -> None:
        body(value, at, report)
        _initial_is_an_option(value, at, report)

    return check


def _initial_is_an_option(value: Mapping[str, Any], at: str, report: Report) -> None:
    options = _items(value.get("options"))
    for group in _items(value.get("option_groups")):
        options += _items(group.get("options")) if isinstance(group, dict) else []
    wanted = _items(value.get("initial_options")) + ([value["initial_option"]] if "initial_option" in value else [])
    for option in wanted:
        if option not in options:
            report.add(at, "the initial option must be one of the options")
    values = [option.get("value") for option in options if isinstance(option, dict)]
    if len(values) != len(set(map(str, values))):
        report.add(f"{at}/options", "two options have the same value")


def _items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else []


def _text_input(value: Any, at: str, report: Report) -> None:
    shape(
        {},
        {
            **ACTION,
            "initial_value": string(3000, shortest=0),
            "multiline": boolean,
            "min_length": integer(0, 3000),
            "max_length": integer(1, 3000),
            **DISPATCH,
            "focus_on_load": boolean,
            "placeholder": plain(150),
        },
    )(value, at, report)
    low, high = value.get("min_length", 0), value.get("max_length", 3000)
    if isinstance(low, int) and isinstance(high, int) and low > high:
        report.add(at, "min_length must not be greater than max_length")


BUTTON = shape(
    {"text": plain(75)},
    {
        **ACTION,
        "url": url,
        "value": string(2000),
        "style": one_of("primary", "danger"),
        "confirm": CONFIRM,
        "accessibility_label": string(75),
    },
)
IMAGE = shape({"alt_text": string(2000)}, {"image_url": url, "slack_file": anything})
_EXTERNAL = {**MENU, "initial_option": OPTION, "min_query_length": integer(0, 1000)}
_MULTI_EXTERNAL = {**MULTI, "initial_options": list_of(OPTION, 100), "min_query_length": integer(0, 1000)}
_CONVERSATIONS: Mapping[str, Check] = {
    "default_to_current_conversation": boolean,
    "filter": anything,
    "response_url_enabled": boolean,
}

MENUS: Mapping[str, Check] = {
    "static_select": _select(MENU, False),
    "external_select": shape({}, _EXTERNAL),
    "users_select": shape({}, {**MENU, "initial_user": string(255)}),
    "conversations_select": shape({}, {**MENU, **_CONVERSATIONS, "initial_conversation": string(255)}),
    "channels_select": shape({}, {**MENU, "initial_channel": string(255), "response_url_enabled": boolean}),
    "multi_static_select": _select(MULTI, True),
    "multi_external_select": shape({}, _MULTI_EXTERNAL),
    "multi_users_select": shape({}, {**MULTI, "initial_users": anything}),
    "multi_conversations_select": shape({}, {**MULTI, **_CONVERSATIONS, "initial_conversations": anything}),
    "multi_channels_select": shape({}, {**MULTI, "initial_channels": anything}),
}
PICKERS: Mapping[str, Check] = {
    "datepicker": shape({}, {**MENU, "initial_date": string(10, shortest=10)}),
    "timepicker": shape({}, {**MENU, "initial_time": string(5, shortest=5), "timezone": string(100)}),
    "datetimepicker": shape({}, {**COMMON, "initial_date_time": integer(0, 9_999_999_999)}),
    "radio_buttons": _choices(10, {"initial_option": RICH_OPTION}),
    "checkboxes": _choices(10, {"initial_options": list_of(RICH_OPTION, 10)}),
}
OVERFLOW = shape({"options": list_of(OPTION, 5)}, {**ACTION, "confirm": CONFIRM})
_TYPED: Mapping[str, Check] = {
    "plain_text_input": _text_input,
    "email_text_input": shape({}, {**MENU, "initial_value": string(3000), **DISPATCH}),
    "url_text_input": shape({}, {**MENU, "initial_value": string(3000), **DISPATCH}),
    "number_input": shape(
        {"is_decimal_allowed": boolean},
        {**MENU, **DISPATCH, "initial_value": string(40), "min_value": string(40), "max_value": string(40)},
    ),
    "rich_text_input": shape({}, {**MENU, "initial_value": anything, **DISPATCH}),
    "file_input": shape({}, {**ACTION, "filetypes": anything, "max_files": integer(1, 10)}),
}

IN_ACTIONS = by_type({"button": BUTTON, "overflow": OVERFLOW, **MENUS, **PICKERS}, "element in actions")
IN_SECTION = by_type({"button": BUTTON, "image": IMAGE, "overflow": OVERFLOW, **MENUS, **PICKERS}, "accessory")
IN_INPUT = by_type({**_TYPED, **MENUS, **PICKERS}, "element in an input")
IN_CONTEXT = by_type(
    {"image": IMAGE, "mrkdwn": text(3000), "plain_text": text(3000)},
    "element in a context block",
)
