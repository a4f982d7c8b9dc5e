"""The page of the local workspace, in a real browser, with a real Bolt app behind it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient

from demo.workspace import Workspace

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"no chromium at {CHROMIUM}")
CHANNEL = "C0INCIDENTS"


def _plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}


def _input(block_id: str, label: str) -> dict[str, Any]:
    element = {"type": "plain_text_input", "action_id": "v"}
    return {"type": "input", "block_id": block_id, "label": _plain(label), "element": element}


FORM = {
    "type": "modal",
    "callback_id": "form",
    "title": _plain("Approve?"),
    "submit": _plain("Approve"),
    "close": _plain("Not now"),
    "blocks": [_input("confirm", "Type 011"), {**_input("note", "Note"), "optional": True}],
}
CARD: list[dict[str, Any]] = [
    {"type": "section", "text": {"type": "mrkdwn", "text": ":warning: *Card* `011` <@U0BOB>"}},
    {
        "type": "actions",
        "block_id": "gate",
        "elements": [
            {
                "type": "button",
                "action_id": "withdraw",
                "text": _plain("Withdraw"),
                "accessibility_label": "Withdraw request RB-7K3M",
                "confirm": {
                    "title": _plain("Withdraw it?"),
                    "text": _plain("Nothing has run."),
                    "confirm": _plain("Yes, withdraw"),
                    "deny": _plain("Keep it"),
                },
            }
        ],
    },
]


def _listeners(app: App) -> None:
    @app.command("/rollback")
    def form(ack: Any, client: WebClient, body: dict[str, Any]) -> None:
        ack()
        client.views_open(trigger_id=body["trigger_id"], view=FORM)

    @app.view("form")
    def submitted(ack: Any, client: WebClient, view: dict[str, Any]) -> None:
        if view["state"]["values"]["confirm"]["v"]["value"] != "011":
            ack(response_action="errors", errors={"confirm": "Type 011 exactly."})
            return
        ack()
        note = view["state"]["values"]["note"]["v"]["value"]
        client.chat_postMessage(channel=CHANNEL, text=f"approved, note: {note}")

    @app.action("withdraw")
    def withdraw(ack: Any, client: WebClient) -> None:
        ack()
        client.chat_postMessage(channel=CHANNEL, text="withdrawn")


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    with Workspace() as running:
        yield running


@pytest.fixture
def client(workspace: Workspace) -> WebClient:
    return WebClient(token=workspace.bot_token, base_url=workspace.api_url)


@pytest.fixture
def app(workspace: Workspace, client: WebClient) -> Iterator[App]:
    bolt = App(client=client)
    _listeners(bolt)
    handler = SocketModeHandler(bolt, workspace.app_token)
    handler.connect()  # type: ignore[no-untyped-call]
    workspace.wait_for(lambda: workspace.connected() == 1)
    yield bolt
    handler.close()  # type: ignore[no-untyped-call]


@pytest.fixture
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


def _open(workspace: Workspace, browser: Any, person: str = "U0ANA", width: int = 1280) -> Any:
    page = browser.new_context(viewport={"width": width, "height": 800}).new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(f"{workspace.page_url}&as={person}#{CHANNEL}")
    sync_api.expect(page.locator("#place-name")).to_have_text("#incidents")
    return page


def _last(page: Any) -> Any:
    return page.locator("#messages .msg").last


def test_what_the_bot_sends_is_shown_as_text_and_never_as_markup(
    workspace: Workspace, client: WebClient, browser: Any
) -> None:
    client.chat_postMessage(channel=CHANNEL, text="<b>x</b> <img src=x onerror=fail()> &lt;i&gt; <javascript:fail()|y>")
    page = _open(workspace, browser)
    sync_api.expect(_last(page)).to_contain_text("<b>x</b> <img src=x onerror=fail()> <i> <javascript:fail()|y>")
    assert page.locator(".msg img, .msg a").count() == 0
    assert page.faults == []


def test_a_wrong_field_is_told_under_the_field_and_the_rest_is_kept(
    workspace: Workspace, app: App, browser: Any
) -> None:
    page = _open(workspace, browser)
    page.locator("#composer textarea").fill("/rollback")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Approve", exact=True).click()
    sync_api.expect(page.locator("#modal .error").first).to_contain_text("complete this required field")
    page.get_by_label("Note").fill("looks right")
    page.get_by_label("Type 011").fill("012")
    page.keyboard.press("Enter")
    sync_api.expect(page.locator("#modal .error").first).to_contain_text("Type 011 exactly.")
    page.get_by_label("Type 011").fill("011")
    page.keyboard.press("Enter")
    sync_api.expect(_last(page)).to_contain_text("approved, note: looks right")
    sync_api.expect(page.locator("#modal")).to_be_hidden()
    assert page.faults == []


def test_what_somebody_is_typing_survives_new_messages(workspace: Workspace, app: App, browser: Any) -> None:
    page = _open(workspace, browser)
    page.locator("#composer textarea").press_sequentially("half a sen")
    workspace.say("U0BOB", CHANNEL, "hello")
    sync_api.expect(_last(page)).to_contain_text("hello")
    page.keyboard.type("tence")
    assert page.locator("#composer textarea").input_value() == "half a sentence"


def test_a_command_that_nobody_answers_fails_as_in_slack(workspace: Workspace, browser: Any) -> None:
    page = _open(workspace, browser)
    page.locator("#composer textarea").fill("/rollback latest")
    page.keyboard.press("Enter")
    sync_api.expect(_last(page)).to_contain_text("/rollback failed with the error")


def test_a_click_is_sent_only_after_the_confirm_box(
    workspace: Workspace, app: App, client: WebClient, browser: Any
) -> None:
    client.chat_postMessage(channel=CHANNEL, text="card", blocks=CARD)
    page = _open(workspace, browser)
    button = page.get_by_role("button", name="Withdraw request RB-7K3M")
    button.click()
    page.keyboard.press("Escape")
    sync_api.expect(page.locator("#ask")).to_be_hidden()
    assert len(workspace.messages(CHANNEL)) == 1
    button.click()
    page.get_by_role("button", name="Yes, withdraw").click()
    sync_api.expect(_last(page)).to_contain_text("withdrawn")


def test_a_thread_opens_by_its_replies_and_escape_closes_it(
    workspace: Workspace, client: WebClient, browser: Any
) -> None:
    root = client.chat_postMessage(channel=CHANNEL, text="the card")["ts"]
    client.chat_postMessage(channel=CHANNEL, text="1/6 done", thread_ts=root)
    page = _open(workspace, browser)
    page.get_by_role("button", name="1 reply").click()
    page.keyboard.type("thank you")
    page.keyboard.press("Enter")
    sync_api.expect(page.locator("#replies .msg").last).to_contain_text("thank you")
    page.keyboard.press("Escape")
    sync_api.expect(page.locator("#thread")).to_be_hidden()


def test_another_person_in_a_second_window_sees_it_at_once(workspace: Workspace, browser: Any) -> None:
    bob = _open(workspace, browser, "U0BOB")
    ana = _open(workspace, browser, "U0ANA")
    ana.locator("#composer textarea").fill("@Bob Lee please look & approve")
    ana.keyboard.press("Enter")
    sync_api.expect(_last(bob)).to_contain_text("@Bob Lee please look & approve")
    sync_api.expect(_last(bob).locator(".at.me")).to_have_text("@Bob Lee")


def test_a_phone_shows_everything_without_scrolling_sideways(
    workspace: Workspace, client: WebClient, browser: Any
) -> None:
    client.chat_postMessage(channel=CHANNEL, text="card", blocks=CARD)
    page = _open(workspace, browser, width=390)
    sync_api.expect(page.get_by_role("button", name="Withdraw request RB-7K3M")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Channels and people").click()
    page.get_by_role("button", name="random").click()
    sync_api.expect(page.locator("#place-name")).to_have_text("#random")
