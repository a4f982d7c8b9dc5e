"""Forms, menus and shortcuts of the local workspace, tried with the real slack_bolt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from slack_sdk import WebClient
from workspace_app import (
    APP,
    FORM,
    INC,
    Json,
    Recorder,
    actions,
    bot_in,
    button,
    field,
    modal,
    option,
    refused,
    section,
)

from demo.workspace import Workspace, WorkspaceError
from demo.workspace.manifest import ANY, product, read
from demo.workspace.people import Seen

SHELF: Json = {"type": "static_select", "action_id": "shelf", "options": [option("a"), option("b")]}


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Workspace, Recorder]]:
    with Workspace(app=replace(APP, events=ANY.events)) as workspace, bot_in(workspace) as bot:
        bot.app.action(re.compile("^(shelf|grouped|v)$"))(lambda ack: ack())
        for kind in ("message", "app_mention"):
            bot.app.event(kind)(lambda: None)
        yield workspace, bot


@pytest.fixture
def workspace(running: tuple[Workspace, Recorder]) -> Iterator[Workspace]:
    yield running[0]
    running[0].state.messages.clear()
    running[0].state.modals.clear()


@pytest.fixture
def bot(running: tuple[Workspace, Recorder]) -> Recorder:
    running[1].bodies.clear()
    return running[1]


@pytest.fixture
def client(workspace: Workspace) -> WebClient:
    return WebClient(workspace.bot_token, base_url=workspace.api_url, retry_handlers=[])


def opened(workspace: Workspace, client: WebClient, *blocks: Json, **more: Any) -> Json:
    """A modal with these blocks, open for Ana; as views.open answers."""
    trigger = workspace.state.new_trigger("U0ANA")
    view: Json = client.views_open(trigger_id=trigger, view=modal(*blocks, **more))["view"]
    return view


def test_a_shortcut_comes_as_slack_sends_it(workspace: Workspace, bot: Recorder, client: WebClient) -> None:
    root = workspace.say("U0CHEN", INC, "checkout is broken")
    reply = workspace.say("U0BOB", INC, "since the deploy", root.ts)
    bot.bodies.clear()

    workspace.shortcut("U0ANA", "rb.global")
    workspace.shortcut("U0ANA", "rb.message", channel=INC, ts=reply.ts)

    anywhere, on_it = bot.bodies
    assert (anywhere["type"], anywhere["callback_id"]) == ("shortcut", "rb.global")
    assert "channel" not in anywhere
    client.views_open(trigger_id=anywhere["trigger_id"], view=FORM)
    assert refused(client.views_open, trigger_id=anywhere["trigger_id"], view=FORM) == "exchanged_trigger_id"
    assert (on_it["type"], on_it["channel"]["id"], on_it["user"]["id"]) == ("message_action", INC, "U0ANA")
    assert (on_it["message"]["ts"], on_it["message"]["thread_ts"]) == (reply.ts, root.ts)
    assert on_it["response_url"].startswith("http://127.0.0.1:")
    workspace.wait_for(lambda: workspace.messages(INC, viewer="U0ANA")[-1].text == "on since the deploy")


def test_what_the_manifest_does_not_name_cannot_be_used(workspace: Workspace, bot: Recorder, client: WebClient) -> None:
    ts = workspace.say("U0ANA", INC, "x").ts
    only_you = client.chat_postEphemeral(channel=INC, user="U0ANA", text="x")["message_ts"]
    for call, name in (
        (lambda: workspace.shortcut("U0ANA", "rb.other"), "no_such_shortcut"),
        (lambda: workspace.shortcut("U0ANA", "rb.global", channel=INC, ts=ts), "no_such_shortcut"),
        (lambda: workspace.shortcut("U0ANA", "rb.message", channel=INC, ts=only_you), "message_not_found"),
        (lambda: workspace.command("U0ANA", INC, "x", "/deploy"), "no_such_command"),
        (lambda: workspace.say("U0ANA", "D0ANA", "hello"), "restricted_action"),
    ):
        with pytest.raises(WorkspaceError, match=name):
            call()


def test_a_click_in_a_form_carries_what_is_typed_in_it(workspace: Workspace, bot: Recorder, client: WebClient) -> None:
    why = field("why", {"type": "plain_text_input"})
    view = opened(
        workspace, client, why, {**actions("go"), "block_id": "row"}, section("x", block_id="s", accessory=SHELF)
    )

    workspace._people.click_view("U0ANA", view["id"], Seen("go"), None, {"why": {"v": {"value": "because"}}})
    workspace.click_view("U0ANA", "shelf", selected="b")

    first, second = (body["view"]["state"]["values"] for body in bot.bodies)
    assert first["why"] == {"v": {"type": "plain_text_input", "value": "because"}}
    assert first["s"]["shelf"]["selected_option"] is None
    assert second["why"]["v"]["value"] == "because"
    assert second["s"]["shelf"]["selected_option"]["value"] == "b"
    with pytest.raises(WorkspaceError, match="no_such_option"):
        workspace.click_view("U0ANA", "shelf", selected="c")
    with pytest.raises(WorkspaceError, match="no_such_element"):  # it has not asked to be told
        workspace.click_view("U0ANA", "v", selected="x")


def test_a_button_that_was_drawn_anew_is_the_same_where_its_value_is(
    workspace: Workspace, bot: Recorder, client: WebClient
) -> None:
    both = [button("go", value="RB-1"), button("stop", value="RB-1")]
    ts = client.chat_postMessage(channel=INC, text="x", blocks=[{"type": "actions", "elements": both}])["ts"]

    workspace._people.click("U0ANA", INC, ts, Seen("go", "b-of-before", "RB-1"), None)

    assert bot.bodies[0]["actions"][0]["value"] == "RB-1"
    for other in (Seen("go", "b-of-before", "RB-2"), Seen("go", "b-of-before"), Seen("gone", None, "RB-1")):
        with pytest.raises(WorkspaceError, match="no_such_element"):
            workspace._people.click("U0ANA", INC, ts, other, None)


def test_a_field_that_asks_for_it_is_told_at_once(workspace: Workspace, bot: Recorder, client: WebClient) -> None:
    opened(workspace, client, field("why", {"type": "plain_text_input"}, dispatch_action=True))

    workspace.click_view("U0ANA", "v", selected="beca")

    (body,) = bot.bodies
    assert (body["actions"][0]["block_id"], body["actions"][0]["value"]) == ("why", "beca")
    assert body["view"]["state"]["values"]["why"]["v"]["value"] == "beca"


def test_menus_of_a_message_say_what_they_hold(workspace: Workspace, bot: Recorder, client: WebClient) -> None:
    initial = {**SHELF, "initial_option": option("a")}
    blocks = [{"type": "actions", "block_id": "row", "elements": [initial, button()]}]
    ts = client.chat_postMessage(channel=INC, text="x", blocks=blocks)["ts"]

    workspace.click("U0BOB", INC, ts, "shelf", selected="b")
    workspace.click("U0BOB", INC, ts, "go")

    held = [body["state"]["values"]["row"]["shelf"]["selected_option"]["value"] for body in bot.bodies]
    assert held == ["b", "a"]
    assert bot.bodies[0]["actions"][0]["selected_option"]["value"] == "b"


def test_options_may_come_in_groups_and_for_a_message_too(
    workspace: Workspace, bot: Recorder, client: WebClient
) -> None:
    @bot.app.options("grouped")
    def grouped(ack: Any, payload: Json) -> None:
        label = {"type": "plain_text", "text": "Newest"}
        ack(option_groups=[{"label": label, "options": [option(payload["value"]), option("other")]}])

    menu = {"type": "external_select", "action_id": "grouped", "min_query_length": 2}
    ts = client.chat_postMessage(channel=INC, text="x", blocks=[section("x", block_id="s", accessory=menu)])["ts"]
    message = workspace.state.find(INC, ts)

    few = workspace._people.suggest("U0ANA", message, "s", "grouped", "0")
    many = workspace._people.suggest("U0ANA", message, "s", "grouped", "011")
    workspace.click("U0ANA", INC, ts, "grouped", selected="011")

    assert few.options == []  # too few characters: nobody was asked
    assert ([each["value"] for each in many.options], many.groups[0]["label"]["text"]) == (["011", "other"], "Newest")
    asked, clicked = bot.bodies
    assert (asked["type"], asked["container"]["message_ts"], asked["message"]["ts"]) == ("block_suggestion", ts, ts)
    assert clicked["actions"][0]["selected_option"]["value"] == "011"


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"options": [option("a")], "option_groups": []},
        {"options": [option(str(n)) for n in range(101)]},
        {"options": [{"text": "a", "value": "a"}]},
        {"option_groups": [{"label": {"type": "plain_text", "text": "x"}}]},
    ],
)
def test_options_that_slack_would_refuse_are_refused(
    workspace: Workspace, bot: Recorder, client: WebClient, answer: Json, request: pytest.FixtureRequest
) -> None:
    action = f"odd {request.node.callspec.id}"
    bot.app.options(action)(lambda ack: ack(answer) if answer else ack())
    menu = {"type": "external_select", "min_query_length": 0, "action_id": action}
    opened(workspace, client, field("migration", menu))
    with pytest.raises(WorkspaceError, match="invalid_options"):
        workspace.suggest("U0ANA", "migration", action, "")
    with pytest.raises(WorkspaceError, match="no_such_element"):
        workspace.suggest("U0ANA", "migration", "w", "")


@pytest.mark.parametrize(
    ("element", "typed", "told"),
    [
        ({"type": "number_input", "is_decimal_allowed": False}, "1.5", "Please enter a whole number."),
        ({"type": "number_input", "is_decimal_allowed": True}, "many", "Please enter a number."),
        ({"type": "number_input", "is_decimal_allowed": False, "min_value": "3"}, "2", "Please enter at least 3."),
        ({"type": "number_input", "is_decimal_allowed": False, "max_value": "3"}, "4", "Please enter at most 3."),
        ({"type": "email_text_input"}, "ana", "Please enter an email address."),
        ({"type": "url_text_input"}, "example.com", "Please enter a URL."),
        ({"type": "plain_text_input", "max_length": 3}, "four", "This field must be at most 3 characters."),
        ({"type": "plain_text_input"}, "  ", "Please complete this required field."),
        ({"type": "static_select", "options": [option("a")]}, None, "Please complete this required field."),
    ],
)
def test_what_no_such_field_takes_is_never_sent(
    workspace: Workspace, bot: Recorder, client: WebClient, element: Json, typed: Any, told: str
) -> None:
    opened(workspace, client, field("one", element))
    assert workspace.submit("U0ANA", {"one": typed}).errors == {"one": told}
    assert bot.bodies == []


def test_closing_the_whole_stack_tells_the_app_of_each_that_asked(
    workspace: Workspace, bot: Recorder, client: WebClient
) -> None:
    opened(workspace, client, section("first"), notify_on_close=True, callback_id="form")
    for name in ("second", "third"):
        top = workspace.open_view("U0ANA")
        trigger = workspace.state.new_trigger("U0ANA", top.id if top else None)
        client.views_push(trigger_id=trigger, view=modal(section(name), notify_on_close=name == "third"))

    workspace.close_view("U0ANA", whole=True)

    told = [(body["type"], body["view"]["blocks"][0]["text"]["text"], body["is_cleared"]) for body in bot.bodies]
    assert told == [("view_closed", "third", True), ("view_closed", "first", True)]
    assert workspace.open_view("U0ANA") is None


def test_a_view_keeps_what_was_typed_in_fields_that_stay_and_must_not_be_too_large(
    workspace: Workspace, client: WebClient, bot: Recorder
) -> None:
    text = {"type": "plain_text_input"}
    view = opened(workspace, client, field("a", text), field("b", text), submit={"type": "plain_text", "text": "Go"})
    workspace.submit("U0ANA", {"a": "kept"})  # b is missing: nothing is sent
    client.views_update(view_id=view["id"], view=modal(field("a", text), field("b", {**text, "action_id": "w"})))
    held = workspace.state.view(view["id"]).state
    assert held == {"a": {"v": {"type": "plain_text_input", "value": "kept"}}, "b": {}}
    large = modal(*[section("x" * 2_900) for _ in range(90)])
    assert refused(client.views_update, view_id=view["id"], view=large) == "view_too_large"


def test_a_message_is_told_to_an_app_that_asked_for_messages(workspace: Workspace, bot: Recorder) -> None:
    workspace.say("U0ANA", INC, f"<@{workspace.bot_user}> hello")

    told = [body["event"] for body in bot.bodies]
    assert [(each["type"], each.get("channel_type")) for each in told] == [
        ("message", "channel"),
        ("app_mention", "channel"),
    ]


def test_a_manifest_says_what_people_may_use(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(
        '{"display_information": {"name": "Greeter"}, "features": {"slash_commands": [{"command": "/hello"}]},'
        ' "oauth_config": {"scopes": {"bot": ["chat:write"]}}}'
    )
    app = read(file)
    assert (app.name, app.bot, app.commands, app.shortcuts) == ("Greeter", "Greeter", ({"command": "/hello"},), ())
    assert (app.scopes, app.events, app.home, app.read_only) == (("chat:write",), (), False, False)
    assert [each["command"] for each in product().commands or ()] == ["/rollback"]
    assert product().read_only and product().home


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a", "no mapping"),
        ("{", "neither YAML nor JSON"),
        ("features: {slash_commands: /rollback}", "each of slash_commands needs command"),
        ("features: {shortcuts: [{name: x, type: global}]}", "each of shortcuts needs name, type, callback_id"),
        ("oauth_config: {scopes: {bot: commands}}", "bot is no list"),
        ("settings: on", "no mapping"),
        (None, "cannot be read"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path, text: str | None, told: str) -> None:
    file = tmp_path / "manifest.yml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(WorkspaceError) as caught:
        read(file)
    assert caught.value.error == "invalid_manifest"
    assert re.search(told, caught.value.messages[0])
