"""The checker of Block Kit finds what Slack would refuse."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from workspace_app import FORM, Json, actions, button, field, modal, section

from demo.workspace.blockkit import problems

LONG = {"type": "plain_text", "text": "x" * 76}


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ({"blocks": [section("x")] * 51}, "no more than 50 items allowed, there are 51 [json-pointer:/blocks]"),
        ({"blocks": [section("x" * 3001)]}, "at most 3000 characters, is 3001 [json-pointer:/blocks/0/text/text]"),
        ({"blocks": [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}]}, "at most 150"),
        ({"blocks": [{"type": "actions", "elements": [button(str(each)) for each in range(26)]}]}, "no more than 25"),
        ({"blocks": [actions("a", "a")]}, "action_id 'a' is used twice in the block"),
        ({"blocks": [{"type": "actions", "elements": [button(text="x" * 76)]}]}, "at most 75"),
        ({"blocks": [{"type": "actions", "elements": [button(text="")]}]}, "must not be empty"),
        ({"blocks": [{"type": "actions", "elements": [button(value="x" * 2001)]}]}, "at most 2000"),
        ({"blocks": [section("x", accessory=button(confirm={"title": LONG}))]}, "missing required field: deny"),
        ({"blocks": [section("x", colour="red")]}, "invalid additional property: colour"),
        ({"blocks": [{"type": "alert", "text": LONG}]}, "unsupported type of block in a message: alert"),
        ({"blocks": [{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}] * 21]}]}, "no more than 20"),
        ({"text": "x" * 40_001}, "at most 40000"),
    ],
)
def test_a_message_that_slack_would_refuse_is_told_why(payload: Json, told: str) -> None:
    assert any(told in each for each in problems(payload, "message"))


def test_a_view_that_slack_would_refuse_is_told_why() -> None:
    assert problems(FORM, "modal") == []
    assert "/title/text" in problems(modal(title={"type": "plain_text", "text": "x" * 25}), "modal")[0]
    assert "/private_metadata" in problems(modal(private_metadata="x" * 3001), "modal")[0]
    no_submit = {name: value for name, value in FORM.items() if name != "submit"}
    assert "submit is needed" in problems(no_submit, "modal")[0]
    assert "must be home" in problems(FORM, "home")[0]
    assert "there are 101" in problems(modal(*[section("x")] * 101), "modal")[0]


def rich(*elements: Json) -> Json:
    return {"type": "rich_text", "elements": list(elements)}


def line(*elements: Json) -> Json:
    return {"type": "rich_text_section", "elements": list(elements)}


WORD: Json = {"type": "text", "text": "word", "style": {"bold": True}}
CELL: Json = {"type": "raw_text", "text": "x"}
DONE: Json = {"type": "task_card", "task_id": "1", "title": "Back up", "status": "complete", "output": rich(line(WORD))}
NEWER: list[Json] = [
    {"type": "plan", "title": "Step 4 of 6", "tasks": [DONE, {**DONE, "task_id": "2", "status": "pending"}]},
    {
        "type": "table",
        "column_settings": [{"is_wrapped": True}, {"align": "right"}],
        "rows": [[CELL, rich(line(WORD))]],
    },
    rich(
        line(WORD, {"type": "user", "user_id": "U0ANA"}, {"type": "link", "url": "https://example.com"}),
        {"type": "rich_text_list", "style": "ordered", "indent": 1, "elements": [line(WORD)]},
        {"type": "rich_text_preformatted", "elements": [WORD]},
        {"type": "rich_text_quote", "elements": [WORD]},
    ),
]


def test_the_newer_blocks_are_taken_where_slack_takes_them() -> None:
    alert = {"type": "alert", "level": "warning", "text": {"type": "mrkdwn", "text": "*57* rows"}}
    assert problems({"blocks": NEWER}, "message") == []
    assert problems(modal(alert), "modal") == []
    assert [each.split(" [")[0] for each in problems(modal(*NEWER[:2]), "modal")] == [
        "unsupported type of block in a modal: plan",
        "unsupported type of block in a modal: table",
    ]


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ({"type": "plan", "title": "x", "tasks": [DONE] * 51}, "no more than 50 items allowed"),
        ({"type": "plan", "title": "x", "tasks": [{"type": "section"}]}, "unsupported type of task: section"),
        ({**DONE, "status": "done"}, "must be one of pending, in_progress, complete, error"),
        ({**DONE, "output": {"type": "mrkdwn", "text": "x"}}, "unsupported type of rich text: mrkdwn"),
        ({"type": "table", "rows": [[CELL]] * 101}, "no more than 100 items allowed"),
        (
            {"type": "table", "rows": [[{**CELL, "text": "x" * 2_501}] * 4]},
            "no more than 10000 characters allowed in all",
        ),
        ({"type": "table", "rows": [[CELL]], "column_settings": [{"align": "middle"}]}, "left, center, right"),
        (rich({"type": "rich_text_table", "elements": []}), "unsupported type of part of rich text"),
        (rich(line({"type": "text", "text": "x", "style": {"bold": "yes"}})), "must be true or false"),
        (rich(line({"type": "mention", "user_id": "U0ANA"})), "unsupported type of rich text element: mention"),
        (rich({"type": "rich_text_list", "style": "dots", "elements": [line(WORD)]}), "bullet, ordered"),
        ({"type": "hologram"}, "unsupported type of block in a message: hologram"),
    ],
)
def test_a_newer_block_that_slack_would_refuse_is_told_why(block: Json, told: str) -> None:
    assert any(told in each for each in problems({"blocks": [block]}, "message"))


def test_when_a_field_is_told_of_is_said_in_slacks_words() -> None:
    element = {"type": "plain_text_input", "dispatch_action_config": {"trigger_actions_on": ["on_character_entered"]}}
    wrong = {**element, "dispatch_action_config": {"trigger_actions_on": ["on_blur"]}}
    assert problems(modal(field("why", element, dispatch_action=True)), "modal") == []
    assert "on_enter_pressed, on_character_entered" in problems(modal(field("why", wrong)), "modal")[0]


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["section", "actions", "button", "table", "rich_text", "plan"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "elements", "element", "options", "accessory", "rows", "tasks"]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(anything, max_size=3))
def test_the_checker_answers_whatever_it_is_given(blocks: list[Any]) -> None:
    for surface in ("message", "modal", "home"):
        problems({"type": surface, "blocks": blocks}, surface)
