"""The local workspace delivers as Slack does, tried with the real slack_bolt and slack_sdk."""

from __future__ import annotations

import json
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pytest
from slack_sdk import WebClient
from workspace_app import APP, INC, Json, Receiver, Recorder, actions, bot_in, refused

from demo.workspace import Workspace, WorkspaceError


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    before = threading.active_count()
    with Workspace(app=APP) as running:
        yield running
    assert threading.active_count() <= before


@pytest.fixture
def client(workspace: Workspace) -> WebClient:
    return WebClient(workspace.bot_token, base_url=workspace.api_url, retry_handlers=[])


@pytest.fixture
def bot(workspace: Workspace) -> Iterator[Recorder]:
    with bot_in(workspace) as recorder:
        yield recorder


def test_a_command_is_acknowledged_and_its_answer_is_seen_by_one_person_only(
    workspace: Workspace, bot: Recorder
) -> None:
    answer = workspace.command("U0ANA", INC, "011 for @bob & #random")

    assert answer.text == "heard 011 for <@U0BOB|bob> &amp; <#C0RANDOM|random>"
    assert [message.ephemeral_for for message in workspace.messages(INC, viewer="U0ANA")] == ["U0ANA"]
    assert workspace.messages(INC, viewer="U0BOB") == [] == workspace.messages(INC)
    assert "(only Ana Diaz sees this)" in workspace.transcript(INC)


def test_a_late_acknowledgement_is_an_operation_timeout(workspace: Workspace, bot: Recorder) -> None:
    with pytest.raises(WorkspaceError, match="operation_timeout"):
        workspace.command("U0ANA", INC, "late")


def test_without_an_app_nothing_is_dispatched(workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="dispatch_failed"):
        workspace.command("U0ANA", INC, "011")


def test_a_form_is_opened_refused_by_field_and_then_accepted(workspace: Workspace, bot: Recorder) -> None:
    workspace.command("U0ANA", INC, "form")
    workspace.wait_for(lambda: workspace.open_view("U0ANA"))
    assert [each["value"] for each in workspace.suggest("U0ANA", "migration", "v", "011").options] == [
        "011_subscriptions"
    ]

    local = workspace.submit("U0ANA", {"reason": "no", "migration": "011_subscriptions"})
    refusal = workspace.submit("U0ANA", {"reason": "bad", "migration": "011_subscriptions"})
    accepted = workspace.submit("U0ANA", {"reason": "because"})

    assert local.errors == {"reason": "This field must be at least 3 characters."}
    assert refusal.errors == {"reason": "Say more."}
    assert (accepted.action, accepted.view, workspace.open_view("U0ANA")) == (None, None, None)
    sent = [body for body in bot.bodies if body.get("type") == "view_submission"]
    assert len(sent) == 2  # what the client refuses by itself is not sent
    assert sent[1]["view"]["state"]["values"]["migration"]["v"]["selected_option"]["value"] == "011_subscriptions"


@pytest.mark.parametrize(("reason", "title"), [("clear", None), ("update", "done")])
def test_a_submission_may_clear_or_update_the_form(
    workspace: Workspace, bot: Recorder, reason: str, title: str | None
) -> None:
    workspace.command("U0ANA", INC, "form")
    workspace.wait_for(lambda: workspace.open_view("U0ANA"))
    workspace.suggest("U0ANA", "migration", "v", "011")

    answer = workspace.submit("U0ANA", {"reason": reason, "migration": "011_subscriptions"})

    assert answer.action == reason
    assert (answer.view.callback_id if answer.view else None) == title


def test_closing_a_form_tells_the_app_that_asked_for_it(workspace: Workspace, bot: Recorder) -> None:
    workspace.command("U0ANA", INC, "form")
    workspace.wait_for(lambda: workspace.open_view("U0ANA"))

    workspace.close_view("U0ANA")

    assert bot.bodies[-1]["type"] == "view_closed"
    assert bot.bodies[-1]["is_cleared"] is False
    assert workspace.open_view("U0ANA") is None


def test_a_click_carries_message_container_and_action_and_the_card_is_updated(
    workspace: Workspace, bot: Recorder, client: WebClient
) -> None:
    parent = client.chat_postMessage(channel=INC, text="parent")["ts"]
    posted = client.chat_postMessage(channel=INC, text="card", blocks=[actions("go")], thread_ts=parent)

    workspace.click("U0BOB", INC, posted["ts"], "go")
    workspace.wait_for(lambda: workspace.thread(INC, parent)[0].text == "pressed")

    body = bot.bodies[-1]
    assert body["container"] == {
        "type": "message",
        "message_ts": posted["ts"],
        "channel_id": INC,
        "is_ephemeral": False,
        "thread_ts": parent,
    }
    assert (body["message"]["ts"], body["message"]["thread_ts"], body["user"]["id"]) == (posted["ts"], parent, "U0BOB")
    assert {"action_id", "block_id", "action_ts", "type", "text"} <= set(body["actions"][0])
    assert body["response_url"].startswith("http://127.0.0.1:")
    with pytest.raises(WorkspaceError, match="no_such_element"):
        workspace.click("U0BOB", INC, posted["ts"], "go")


def test_a_click_on_an_ephemeral_message_carries_no_message(
    workspace: Workspace, bot: Recorder, client: WebClient
) -> None:
    ts = client.chat_postEphemeral(channel=INC, user="U0ANA", text="x", blocks=[actions("go")])["message_ts"]

    workspace.click("U0ANA", INC, ts, "go")

    assert "message" not in bot.bodies[-1]
    assert bot.bodies[-1]["container"]["is_ephemeral"] is True
    with pytest.raises(WorkspaceError, match="message_not_found"):
        workspace.click("U0BOB", INC, ts, "go")
    assert refused(client.chat_update, channel=INC, ts=ts, text="y") == "message_not_found"


def test_home_is_published_when_it_is_opened(workspace: Workspace, bot: Recorder) -> None:
    view = workspace.home("U0BOB")

    assert "[Go]" in workspace.view_text(view)
    workspace.click_view("U0BOB", "go", view_id=view.id)
    assert bot.bodies[-1]["view"]["type"] == "home"
    assert "channel" not in bot.bodies[-1]


def test_shortcuts_carry_what_they_were_used_on(workspace: Workspace, bot: Recorder) -> None:
    said = workspace.say("U0CHEN", INC, "checkout is broken")

    workspace.shortcut("U0ANA", "rb.global")
    workspace.shortcut("U0ANA", "rb.message", channel=INC, ts=said.ts)

    workspace.wait_for(lambda: workspace.messages(INC, viewer="U0ANA")[-1].text == "on checkout is broken")
    assert [body["type"] for body in bot.bodies[-2:]] == ["shortcut", "message_action"]


def test_each_delivery_can_come_twice_and_a_cut_socket_is_opened_again(workspace: Workspace, bot: Recorder) -> None:
    workspace.faults.deliver_twice = True
    workspace.command("U0ANA", INC, "twice")
    workspace.wait_for(lambda: len(bot.bodies) == 2)
    workspace.faults.deliver_twice = False

    workspace.cut_socket()
    workspace.wait_for(lambda: not workspace.connected())
    workspace.wait_for(workspace.connected)

    assert workspace.command("U0ANA", INC, "again").text == "heard again"


def test_two_connections_share_the_payloads_and_hello_counts_them(workspace: Workspace, bot: Recorder) -> None:
    counts: list[int] = []
    with bot_in(workspace, lambda frame: counts.append(json.loads(frame).get("num_connections", 0))) as second:
        for number in range(4):
            workspace.command("U0ANA", "D0ANA", str(number))

    assert counts[0] == 2
    assert (len(bot.bodies), len(second.bodies)) == (2, 2)


def test_a_renewed_connection_is_announced_and_opened_again(workspace: Workspace, bot: Recorder) -> None:
    workspace.set_fault("disconnect", "refresh_requested")
    assert workspace.connected() == 0
    workspace.wait_for(workspace.connected)

    assert workspace.command("U0ANA", INC, "again").text == "heard again"


def test_a_silent_socket_passes_nothing_and_answers_no_ping(workspace: Workspace, bot: Recorder) -> None:
    workspace.faults.silent = True

    with pytest.raises(WorkspaceError, match="operation_timeout"):
        workspace.command("U0ANA", INC, "hello")
    assert bot.bodies == []
    assert workspace.connected() == 1


def test_over_http_requests_are_signed_and_a_wrong_signature_is_refused() -> None:
    logging.getLogger("slack_bolt").setLevel(logging.CRITICAL)
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        url = f"http://127.0.0.1:{server.server_port}/slack/events"
        with Workspace(delivery="http", request_url=url) as workspace:
            recorder = Recorder(workspace)
            Receiver.app = recorder.app
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                assert workspace.command("U0ANA", INC, "hi").text == "heard hi"
                assert workspace.home("U0ANA").blocks
                headers = {"Content-Type": "application/json", **workspace.requests.signed(b"{}", at=1)}
                with pytest.raises(WorkspaceError, match="dispatch_failed"):
                    workspace.requests.post(b"{}", headers)
            finally:
                server.shutdown()
                thread.join()
                recorder.app.listener_runner.listener_executor.shutdown()


def browser(workspace: Workspace, path: str, body: Json | None = None, token: str | None = None) -> Json:
    joined = f"{workspace.state.base}{path}{'&' if '?' in path else '?'}token={token or workspace.state.page_token}"
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(joined, data)) as answer:  # noqa: S310
        shown: Json = json.load(answer)
        return shown


def test_the_page_needs_its_token(workspace: Workspace) -> None:
    for path in ("/", "/page/state?as=U0ANA", "/page/events?as=U0ANA"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            browser(workspace, path, token="wrong")
        with caught.value as error:
            assert error.code == 403


def test_the_page_sees_and_does_what_its_person_may(workspace: Workspace, bot: Recorder, client: WebClient) -> None:
    ts = client.chat_postMessage(channel=INC, text="card", blocks=[actions("go")])["ts"]

    def act(**body: Any) -> Json:
        return browser(workspace, "/page/act", {"as": "U0ANA", **body})

    def seen() -> Json:
        return browser(workspace, "/page/state?as=U0ANA")

    assert act(do="command", channel=INC, text="/rollback hello")["text"] == "heard hello"
    assert act(do="click", channel=INC, ts=ts, action_id="go")["ok"]
    assert act(do="click", channel=INC, ts=ts, action_id="nothing") == {
        "ok": False,
        "error": "no_such_element",
        "messages": ["there is no nothing here now"],
    }
    act(do="command", channel=INC, text="/rollback form")
    workspace.wait_for(lambda: seen()["modals"])
    view = seen()["modals"][0]["id"]
    options = act(do="suggest", view_id=view, block_id="migration", action_id="v", query="012")["options"]
    values: Json = {"reason": {"v": {"type": "plain_text_input", "value": "bad"}}}
    values["migration"] = {"v": {"type": "external_select", "selected_option": options[0]}}
    assert act(do="submit", view_id=view, values=values)["errors"] == {"reason": "Say more."}
    assert seen()["modals"][0]["errors"] == {"reason": "Say more."}
    assert act(do="close", view_id=view)["ok"]
    assert act(do="home")["home"]["type"] == "home"
    assert act(do="say", channel=INC, text="hello", thread_ts=ts)["ok"]
    assert [each["reply_count"] for each in seen()["messages"][INC] if each["ts"] == ts] == [1]
    assert act(do="fault", name="slow", value=0)["ok"]


def test_the_page_hears_of_changes(workspace: Workspace) -> None:
    url = f"{workspace.state.base}/page/events?as=U0ANA&token={workspace.state.page_token}"
    with urllib.request.urlopen(url, timeout=5) as events:  # noqa: S310
        first = events.readline()
        workspace.say("U0ANA", INC, "hello")
        events.readline()
        second = events.readline()
    assert first.startswith(b"data: ")
    assert second.startswith(b"data: ")
    assert first != second
