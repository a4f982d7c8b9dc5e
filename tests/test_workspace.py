"""The local workspace behaves as Slack does, tried with the real slack_bolt and slack_sdk."""

from __future__ import annotations

import json
import logging
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import RemoteDisconnected
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_bolt import App, BoltRequest
from slack_bolt.adapter.socket_mode.builtin import SocketModeHandler
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import ConnectionErrorRetryHandler

from demo.workspace import ALL, Channel, Workspace, WorkspaceError, sample_channels
from demo.workspace.blockkit import problems

INC = "C0INC418"
Json = dict[str, Any]


def button(action_id: str = "go", text: str = "Go", **more: Any) -> Json:
    return {"type": "button", "action_id": action_id, "text": {"type": "plain_text", "text": text}, **more}


def section(text: str, **more: Any) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def field(block_id: str, element: Json, **more: Any) -> Json:
    label = {"type": "plain_text", "text": block_id.title()}
    return {"type": "input", "block_id": block_id, "label": label, "element": {"action_id": "v", **element}, **more}


def modal(*blocks: Json, **more: Any) -> Json:
    title = {"type": "plain_text", "text": "Form"}
    return {"type": "modal", "callback_id": "form", "title": title, "submit": title, "blocks": list(blocks), **more}


FORM = modal(
    field("reason", {"type": "plain_text_input", "min_length": 3}),
    field("migration", {"type": "external_select", "min_query_length": 0}),
    notify_on_close=True,
)


class Recorder:
    """A small Bolt application, and what it was sent."""

    def __init__(self, workspace: Workspace) -> None:
        self.bodies: list[Json] = []
        client = WebClient(workspace.bot_token, base_url=workspace.api_url, retry_handlers=[])
        self.app = app = App(client=client, signing_secret=workspace.signing_secret)
        app.middleware(self.record)
        app.command("/rollback")(self.command)
        app.action("go")(self.pressed)
        app.action("open")(self.opened)
        app.view("form")(self.submitted)
        app.view_closed("form")(lambda ack: ack())
        app.options("v")(lambda ack, payload: ack(options=[option(f"{payload['value']}_subscriptions")]))
        app.shortcut("rb.global")(lambda ack: ack())
        app.shortcut("rb.message")(lambda ack, respond, shortcut: (ack(), respond(f"on {shortcut['message']['text']}")))
        app.event("app_home_opened")(self.home)
        app.error(lambda error: None)

    def record(self, body: Json, next: Any) -> None:
        self.bodies.append(json.loads(json.dumps(body)))
        next()

    def command(self, ack: Any, command: Json, client: WebClient) -> None:
        if command.get("text") == "late":
            time.sleep(3.3)
        if command.get("text") == "form":
            ack()
            client.views_open(trigger_id=command["trigger_id"], view=FORM)
        else:
            ack(f"heard {command.get('text', '')}")

    def pressed(self, ack: Any, body: Json, client: WebClient) -> None:
        ack()
        if "message" in body:
            ts, channel = body["message"]["ts"], body["channel"]["id"]
            client.chat_update(channel=channel, ts=ts, text="pressed", blocks=[section("pressed")])

    def opened(self, ack: Any, body: Json, client: WebClient) -> None:
        ack()
        client.views_push(trigger_id=body["trigger_id"], view=modal(section("second"), submit=body["view"]["title"]))

    def submitted(self, ack: Any, view: Json) -> None:
        reason = view["state"]["values"]["reason"]["v"]["value"]
        if reason == "bad":
            ack(response_action="errors", errors={"reason": "Say more."})
        elif reason == "clear":
            ack(response_action="clear")
        elif reason == "update":
            ack(response_action="update", view=modal(section("done"), callback_id="done"))
        else:
            ack()

    def home(self, event: Json, client: WebClient) -> None:
        client.views_publish(user_id=event["user"], view={"type": "home", "blocks": [section("Home"), actions("go")]})


def actions(*ids: str) -> Json:
    return {"type": "actions", "elements": [button(each) for each in ids]}


def option(text: str) -> Json:
    return {"text": {"type": "plain_text", "text": text}, "value": text}


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    before = threading.active_count()
    with Workspace() as running:
        yield running
    assert threading.active_count() <= before


@pytest.fixture
def client(workspace: Workspace) -> WebClient:
    return WebClient(workspace.bot_token, base_url=workspace.api_url, retry_handlers=[])


@pytest.fixture
def bot(workspace: Workspace) -> Iterator[Recorder]:
    logging.getLogger("slack_bolt").setLevel(logging.CRITICAL)
    recorder = Recorder(workspace)
    handler = SocketModeHandler(recorder.app, workspace.app_token, ping_interval=1)
    handler.connect()
    workspace.wait_for(workspace.connected)
    yield recorder
    handler.close()
    recorder.app.listener_runner.listener_executor.shutdown()
    for thread in threading.enumerate():  # the client's runners end within their interval
        if thread is not threading.current_thread() and "workspace" not in thread.name and not thread.daemon:
            thread.join(5)


def refused(call: Any, **arguments: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        call(**arguments)
    return str(caught.value.response["error"])


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


def test_a_silent_socket_passes_nothing_and_answers_no_ping(workspace: Workspace, bot: Recorder) -> None:
    workspace.faults.silent = True

    with pytest.raises(WorkspaceError, match="operation_timeout"):
        workspace.command("U0ANA", INC, "hello")
    assert bot.bodies == []
    assert workspace.connected() == 1


def test_wrong_tokens_and_missing_scopes_are_refused_by_name(workspace: Workspace) -> None:
    url = workspace.api_url
    assert refused(WebClient(base_url=url).auth_test) == "not_authed"
    assert refused(WebClient("xoxb-1", base_url=url).auth_test) == "invalid_auth"
    assert refused(WebClient(workspace.app_token, base_url=url).auth_test) == "not_allowed_token_type"
    assert refused(WebClient(workspace.bot_token, base_url=url).team_info) == "missing_scope"
    assert refused(WebClient(workspace.bot_token, base_url=url).api_call, api_method="x.y") == "unknown_method"


def test_messages_are_refused_by_the_name_of_the_rule(workspace: Workspace, client: WebClient) -> None:
    post, twice = client.chat_postMessage, [section("a", block_id="b"), section("c", block_id="b")]
    assert refused(post, channel="C0NONE", text="x") == "channel_not_found"
    assert refused(client.api_call, api_method="chat.postMessage", json={"channel": INC}) == "no_text"
    assert refused(post, channel=INC, text="x" * 40_001) == "msg_too_long"
    assert refused(post, channel=INC, text="x", blocks=twice) == "invalid_blocks"
    assert refused(post, channel=INC, text="x", thread_ts="1.2") == "cannot_reply_to_message"
    assert refused(post, channel=INC, text="x", metadata={"event_type": 1}) == "invalid_metadata_format"
    ts = post(channel=INC, text="x", blocks=[section("y")])["ts"]
    assert refused(client.chat_update, channel=INC, ts=ts, text="x" * 4_001) == "msg_too_long"
    said = workspace.say("U0ANA", INC, "mine")
    assert refused(client.chat_update, channel=INC, ts=said.ts, text="x") == "cant_update_message"
    workspace.state.channels[INC].is_archived = True
    assert refused(post, channel=INC, text="x") == "is_archived"
    workspace.state.channels["C0RANDOM"].members = {"U0ANA"}
    assert refused(post, channel="#random", text="x") == "not_in_channel"


def test_an_update_with_text_alone_removes_the_blocks(workspace: Workspace, client: WebClient) -> None:
    ts = client.chat_postMessage(channel=INC, text="x", blocks=[section("y")])["ts"]

    client.chat_update(channel=INC, ts=ts, text="z")

    (message,) = workspace.messages(INC)
    assert (message.text, message.blocks, bool(message.edited)) == ("z", [], True)


def test_a_trigger_opens_one_view_within_three_seconds(workspace: Workspace, client: WebClient) -> None:
    trigger = workspace.state.new_trigger("U0ANA")
    assert refused(client.views_open, trigger_id=trigger, view={"type": "modal"}) == "invalid_arguments"
    view = client.views_open(trigger_id=trigger, view=FORM)["view"]
    assert refused(client.views_open, trigger_id=trigger, view=FORM) == "trigger_exchanged"
    assert refused(client.views_open, trigger_id="1.2.3", view=FORM) == "invalid_trigger_id"
    old = workspace.state.new_trigger("U0ANA")
    workspace.state.triggers[old].made -= 3.1
    assert refused(client.views_open, trigger_id=old, view=FORM) == "expired_trigger_id"
    client.views_update(view_id=view["id"], hash=view["hash"], view=FORM)
    assert refused(client.views_update, view_id=view["id"], hash=view["hash"], view=FORM) == "hash_conflict"
    assert refused(client.views_update, view_id="V1", view=FORM) == "not_found"


def test_views_stack_three_deep_and_not_deeper(workspace: Workspace, bot: Recorder, client: WebClient) -> None:
    first = modal(section("first"), {**actions("open"), "block_id": "a"})
    client.views_open(trigger_id=workspace.state.new_trigger("U0ANA"), view=first)

    workspace.click_view("U0ANA", "open")
    workspace.wait_for(lambda: len(workspace.state.modals["U0ANA"]) == 2)

    top = workspace.state.modals["U0ANA"][-1]
    assert top.previous == top.root == workspace.state.modals["U0ANA"][0].id
    client.views_push(trigger_id=workspace.state.new_trigger("U0ANA", top.id), view=first)
    fourth = workspace.state.new_trigger("U0ANA", top.id)
    assert refused(client.views_push, trigger_id=fourth, view=first) == "push_limit_reached"


def test_a_response_url_is_good_for_five_answers(workspace: Workspace, client: WebClient) -> None:
    ts = client.chat_postMessage(channel=INC, text="x", blocks=[actions("go")])["ts"]
    message = workspace.state.find(INC, ts)
    url = workspace.state.new_response_url(INC, "U0BOB", message)

    def answer(**body: Any) -> int:
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request) as got:
                return int(got.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    assert answer(text="only you") == 200
    assert answer(text="instead", replace_original=True) == 200
    assert answer(text="all", response_type="in_channel") == 200
    assert answer(text="x", blocks=[{"type": "section"}]) == 400
    assert answer(delete_original=True) == 200
    assert answer(text="one too many") == 404
    assert [(each.text, each.ephemeral_for) for each in workspace.messages(INC, viewer=ALL)] == [
        ("only you", "U0BOB"),
        ("all", None),
    ]


def test_one_message_a_second_per_channel_when_that_is_asked_for() -> None:
    with Workspace(one_message_per_second=True) as workspace:
        client = WebClient(workspace.bot_token, base_url=workspace.api_url, retry_handlers=[])
        client.chat_postMessage(channel=INC, text="1")
        client.chat_postMessage(channel="C0RANDOM", text="1")
        with pytest.raises(SlackApiError) as caught:
            client.chat_postMessage(channel=INC, text="2")
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "1"


def test_an_answer_can_be_lost_after_the_work_was_done(workspace: Workspace, client: WebClient) -> None:
    workspace.faults.lose_answer = 1
    with pytest.raises(RemoteDisconnected):
        client.chat_postMessage(channel=INC, text="once")
    workspace.faults.lose_answer = 1
    client.retry_handlers.append(ConnectionErrorRetryHandler())
    client.chat_postMessage(channel=INC, text="twice")

    assert [message.text for message in workspace.messages(INC)] == ["once", "twice", "twice"]


def test_slack_can_be_down_limited_slow_or_answer_with_any_error(workspace: Workspace, client: WebClient) -> None:
    workspace.faults.down = True
    with pytest.raises(SlackApiError) as caught:
        client.auth_test()
    assert caught.value.response.status_code == 503
    workspace.faults.down = False
    workspace.faults.ratelimit, workspace.faults.only = 1, {"chat.update"}
    client.auth_test()
    assert refused(client.chat_update, channel=INC, ts="1.2", text="x") == "ratelimited"
    workspace.faults.errors["chat.update"] = "edit_window_closed"
    assert refused(client.chat_update, channel=INC, ts="1.2", text="x") == "edit_window_closed"
    workspace.faults.slow, workspace.faults.only = 0.2, set()
    started = time.monotonic()
    client.auth_test()
    assert time.monotonic() - started >= 0.2


def test_people_channels_and_groups_can_be_asked_for(workspace: Workspace, client: WebClient) -> None:
    assert client.users_info(user="U0GUEST")["user"]["is_restricted"] is True
    assert client.usergroups_users_list(usergroup="S0DBONCALL")["users"] == ["U0BOB", "U0CHEN"]
    assert client.usergroups_list()["usergroups"][0]["handle"] == "db-oncall"
    assert client.conversations_info(channel="C0SHARED")["channel"]["is_ext_shared"] is True
    assert client.conversations_open(users="U0BOB")["channel"]["id"] == "D0BOB"
    names = [each["name"] for page in client.conversations_list(limit=3) for each in page["channels"]]
    assert names == ["incidents", "inc-418", "random", "shared-with-acme"]
    assert "U0ANA" in client.conversations_members(channel=INC)["members"]
    assert refused(client.users_info, user="U0NONE") == "user_not_found"
    assert refused(client.usergroups_users_list, usergroup="S0") == "no_such_subteam"
    ts = client.chat_postMessage(channel=INC, text="x")["ts"]
    assert client.chat_getPermalink(channel=INC, message_ts=ts)["permalink"].endswith(f"/p{ts.replace('.', '')}")


def test_the_transcript_reads_as_people_read_the_channel(workspace: Workspace, client: WebClient) -> None:
    blocks = [
        section("<@U0ANA> asks <!subteam^S0DBONCALL>, until <!date^1794321072^{time}|14:31 UTC> in <#C0RANDOM>"),
        {"type": "actions", "elements": [button("go", "Approve"), button("no", "Deny…")]},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "a &lt; b"}, {"type": "mrkdwn", "text": "c"}]},
    ]
    card = client.chat_postMessage(channel=INC, text="Please decide", blocks=blocks)["ts"]
    client.chat_postMessage(channel=INC, text="step done", thread_ts=card, reply_broadcast=True)

    assert workspace.transcript(INC) == (
        "#inc-418\n\n"
        "rollback:\n"
        "  @Ana Diaz asks @db-oncall, until 14:31 UTC in #random\n"
        "  [Approve] [Deny…]\n"
        "  a < b  ·  c\n"
        "    rollback (also shown in the channel):\n"
        "      step done\n"
    )
    assert [message.text for message in workspace.messages(INC)] == ["Please decide", "step done"]


class Receiver(BaseHTTPRequestHandler):
    """Hands requests to a Bolt app, as a web framework's adapter does."""

    app: App

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        answer = self.app.dispatch(BoltRequest(body=body, headers=dict(self.headers.items())))
        data = (answer.body or "").encode()
        self.send_response(answer.status)
        for name, values in answer.headers.items():
            for value in values:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: Any) -> None:
        """Nothing is printed."""


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
    with urllib.request.urlopen(urllib.request.Request(joined, data)) as answer:
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
    with urllib.request.urlopen(url, timeout=5) as events:
        first = events.readline()
        workspace.say("U0ANA", INC, "hello")
        events.readline()
        second = events.readline()
    assert first.startswith(b"data: ")
    assert second.startswith(b"data: ")
    assert first != second


def test_a_workspace_of_ones_own_people_and_channels() -> None:
    private = Channel("C0SECRET", "secret", is_private=True, members={"U0ANA"})
    with Workspace(channels=[*sample_channels(), private], scopes=["chat:write"]) as workspace:
        client = WebClient(workspace.bot_token, base_url=workspace.api_url, retry_handlers=[])
        assert refused(client.chat_postMessage, channel="C0SECRET", text="x") == "channel_not_found"
        assert refused(client.users_list) == "missing_scope"


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
