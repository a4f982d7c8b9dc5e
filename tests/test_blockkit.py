"""The checker of Block Kit finds what Slack would refuse."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from workspace_app import FORM, Json, actions, button, modal, section

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


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["section", "actions", "button"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "elements", "element", "options", "accessory"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(anything, max_size=3))
def test_the_checker_answers_whatever_it_is_given(blocks: list[Any]) -> None:
    for surface in ("message", "modal", "home"):
        problems({"type": surface, "blocks": blocks}, surface)
