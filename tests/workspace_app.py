"""A small Bolt application that the tests of the workspace put into it, and blocks to post."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from slack_bolt import App, BoltRequest
from slack_bolt.adapter.socket_mode.builtin import SocketModeHandler
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from demo.workspace import Manifest, Workspace
from demo.workspace.manifest import product

INC = "C0INC418"
Json = dict[str, Any]
SHORTCUTS = (
    {"name": "Do it", "type": "global", "callback_id": "rb.global", "description": "Anywhere."},
    {"name": "Do it to this", "type": "message", "callback_id": "rb.message", "description": "With one message."},
)
APP: Manifest = replace(product(), shortcuts=SHORTCUTS)
"""What the small application says of itself."""


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


@contextmanager
def bot_in(workspace: Workspace, on_frame: Any = None) -> Iterator[Recorder]:
    """The application, connected by Socket Mode; nothing of it is left afterwards."""
    logging.getLogger("slack_bolt").setLevel(logging.CRITICAL)
    recorder = Recorder(workspace)
    handler = SocketModeHandler(recorder.app, workspace.app_token, ping_interval=1)
    if on_frame is not None:
        handler.client.on_message_listeners.append(on_frame)
    before = workspace.connected()
    handler.connect()  # type: ignore[no-untyped-call]
    workspace.wait_for(lambda: workspace.connected() > before)
    yield recorder
    handler.client.auto_reconnect_enabled = False
    workspace.cut_socket()  # else `close` waits for the client's read to end, 3 s
    handler.close()  # type: ignore[no-untyped-call]
    recorder.app.listener_runner.listener_executor.shutdown()
    for thread in threading.enumerate():  # the client's runners end within their interval
        if thread is not threading.current_thread() and "workspace" not in thread.name and not thread.daemon:
            thread.join(5)


def refused(call: Any, **arguments: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        call(**arguments)
    return str(caught.value.response["error"])


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
