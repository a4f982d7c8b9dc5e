"""A workspace with a small Bolt app that uses every surface, and people who look at its page in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from slack_bolt import App
from slack_sdk import WebClient

from demo.workspace import Manifest, Workspace
from demo.workspace.manifest import ANY, product
from tests.workspace_app import Json, Recorder, bot_in, option, section
from tests.workspace_app import field as input_block

CHANNEL = "C0INCIDENTS"
PATIENCE = 10_000  # ms that a page is waited for

APP: Manifest = replace(
    product(),
    events=ANY.events,
    shortcuts=(
        {"name": "Plan a rollback", "type": "global", "callback_id": "plan", "description": "Nothing runs."},
        {"name": "Plan for this", "type": "message", "callback_id": "plan_this", "description": "In this thread."},
    ),
)


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def described(value: str, description: str) -> Json:
    return {**option(value), "description": plain(description)}


TEXT: Json = {"type": "plain_text_input"}
FORM: Json = {
    "type": "modal",
    "callback_id": "form",
    "title": plain("Approve?"),
    "submit": plain("Approve"),
    "close": plain("Not now"),
    "blocks": [
        input_block("confirm", TEXT) | {"label": plain("Type 011")},
        input_block("note", TEXT) | {"label": plain("Note"), "optional": True},
    ],
}
WITHDRAW: Json = {
    "type": "button",
    "action_id": "withdraw",
    "text": plain("Withdraw"),
    "accessibility_label": "Withdraw request RB-7K3M",
    "confirm": {
        "title": plain("Withdraw it?"),
        "text": plain("Nothing has run."),
        "confirm": plain("Yes, withdraw"),
        "deny": plain("Keep it"),
    },
}
CARD: list[Json] = [
    section(":warning: *Card* `011` <@U0BOB>"),
    {"type": "actions", "block_id": "gate", "elements": [WITHDRAW]},
]
REQUEST: Json = {
    "type": "modal",
    "callback_id": "request",
    "title": plain("Plan a rollback"),
    "submit": plain("Make the plan"),
    "close": plain("Close"),
    "notify_on_close": True,
    "blocks": [
        {"type": "alert", "level": "warning", "text": plain("This deletes rows. They are copied out first.")},
        input_block(
            "migration", {"type": "external_select", "min_query_length": 2, "initial_option": option("010_old")}
        ),
        input_block(
            "target",
            {
                "type": "static_select",
                "option_groups": [
                    {"label": plain("Live"), "options": [option("production")]},
                    {"label": plain("Tests"), "options": [option("staging"), option("scratch")]},
                ],
            },
        ),
        input_block(
            "far", {"type": "radio_buttons", "options": [option("all"), described("one", "If nothing depends on it")]}
        ),
        input_block("tell", {"type": "checkboxes", "options": [option("owner"), option("team")]}, optional=True),
        input_block(
            "watch",
            {**TEXT, "dispatch_action_config": {"trigger_actions_on": ["on_character_entered"]}, "action_id": "typed"},
            dispatch_action=True,
            optional=True,
        ),
        input_block("reason", {**TEXT, "multiline": True, "min_length": 5}),
        {
            "type": "actions",
            "block_id": "more",
            "elements": [{"type": "button", "action_id": "push", "text": plain("More")}],
        },
    ],
}
WORDS: Json = {"type": "rich_text_section", "elements": [{"type": "text", "text": "412 MB in 38 s"}]}
EVERYTHING: list[Json] = [
    {"type": "header", "text": plain("Every block")},
    section("*production*: undo `011` by <@U0ANA>, until <!date^1794321072^{date_short} {time}|14:31 UTC> <#C0RANDOM>"),
    {
        "type": "section",
        "fields": [{"type": "mrkdwn", "text": "*Who*\nAna"}, {"type": "mrkdwn", "text": "*Why*\n> 500s"}],
    },
    {
        "type": "plan",
        "title": "Step 2 of 4",
        "tasks": [
            {"type": "task_card", "task_id": f"{n}", "title": f"{n}. {title}", "status": status, "output": rich}
            for n, (title, status) in enumerate(
                (("Back up", "complete"), ("Test restore", "in_progress"), ("Execute", "pending"), ("Verify", "error")),
                1,
            )
            for rich in [{"type": "rich_text", "elements": [WORDS]}]
        ],
    },
    {
        "type": "table",
        "column_settings": [{"is_wrapped": True}, {"align": "right"}],
        "rows": [
            [{"type": "raw_text", "text": word} for word in row] for row in (("Run", "Took"), ("RB-7K3M", "55 s"))
        ],
    },
    {
        "type": "data_visualization",
        "title": "The last 2 drills",
        "chart": {
            "type": "line",
            "series": [
                {"name": name, "data": [{"label": "7 Sep", "value": first}, {"label": "2 Nov", "value": second}]}
                for name, first, second in (("whole drill", 220.0, 178.0), ("back up", 61.5, 41.0))
            ],
            "axis_config": {"categories": ["7 Sep", "2 Nov"], "x_label": "drill", "y_label": "seconds"},
        },
    },
    {
        "type": "rich_text",
        "elements": [
            WORDS,
            {"type": "rich_text_list", "style": "bullet", "elements": [WORDS]},
            {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "DROP TABLE subscriptions;"}]},
            {"type": "rich_text_quote", "elements": [{"type": "text", "text": "since the deploy"}]},
        ],
    },
    {"type": "divider"},
    {
        "type": "actions",
        "block_id": "tools",
        "elements": [
            {"type": "button", "action_id": "go", "text": plain("Go"), "style": "primary"},
            {"type": "button", "action_id": "stop", "text": plain("Stop"), "style": "danger"},
            {
                "type": "static_select",
                "action_id": "pick",
                "placeholder": plain("Pick one"),
                "options": [option("a"), option("b")],
            },
            {
                "type": "overflow",
                "action_id": "other",
                "options": [option("Timeline"), described("Audit", "The chain")],
            },
        ],
    },
    {"type": "context", "elements": [{"type": "mrkdwn", "text": "Audit #7 `a8b27157`"}]},
]


@dataclass
class World:
    """One workspace and one app for many tests. `bodies`: what the app was sent since the last `reset`."""

    workspace: Workspace
    client: WebClient
    bot: Recorder
    browser: Any
    pages: list[Any] = field(default_factory=list)
    spare: Any = None  # the window that most tests use: a new one costs half a second of CPU

    @property
    def bodies(self) -> list[Json]:
        return self.bot.bodies

    def reset(self) -> None:
        """Nobody has said or opened anything, nothing is broken, no window is open."""
        for page in self.pages:
            assert page.faults == []
            if page is self.spare:
                page.evaluate("localStorage.clear()")
                page.goto("about:blank")
            else:
                page.context.close()
        self.pages.clear()
        self.workspace.switches.mend()
        with self.workspace.state.changing():
            for held in (self.workspace.state.messages, self.workspace.state.modals, self.workspace.state.homes):
                held.clear()
        self.bodies.clear()

    def open(
        self, person: str = "U0ANA", place: str = CHANNEL, width: int = 1280, address: str = "", **context: Any
    ) -> Any:
        """A window of one person. Its `faults` are errors of the script and what the browser has refused."""
        usual = (width, address, context) == (1280, "", {}) and self.spare not in self.pages
        page = self.spare if usual and self.spare else self._window(width, context)
        if usual:
            self.spare = page
        self.pages.append(page)
        page.goto(f"{address or self.workspace.page_url}&as={person}#{place}")
        page.locator("#lists [aria-current]").wait_for(state="attached")
        return page

    def _window(self, width: int, context: Json) -> Any:
        page = self.browser.new_context(viewport={"width": width, "height": 800}, **context).new_page()
        page.set_default_timeout(PATIENCE)
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("console", lambda said: page.faults.append(said.text) if said.type == "error" else None)
        return page

    def post(self, blocks: list[Json], **more: Any) -> str:
        """The app's message in the channel; its ts."""
        ts: str = self.client.chat_postMessage(channel=CHANNEL, text="card", blocks=blocks, **more)["ts"]
        return ts

    def sent(self, kind: str, count: int = 1) -> list[Json]:
        """What the app was sent of this type, once there are so many."""
        self.workspace.wait_for(lambda: sum(body.get("type") == kind for body in self.bodies) >= count)
        return [body for body in self.bodies if body.get("type") == kind]


@contextmanager
def world(browser: Any) -> Iterator[World]:
    """The workspace with its app, for a whole file of tests."""
    with Workspace(app=APP) as workspace, bot_in(workspace) as bot:
        client = WebClient(workspace.bot_token, base_url=workspace.api_url, retry_handlers=[])
        _listen(bot.app)
        made = World(workspace, client, bot, browser)
        yield made
        made.reset()


def _listen(app: App) -> None:
    """In addition to what the recorder of the workspace's own tests does."""

    def command(ack: Any, command: Json, client: WebClient) -> None:
        if not command.get("text"):
            ack()
            client.views_open(trigger_id=command["trigger_id"], view=FORM)
        else:
            ack(f"heard {command['text']}")

    app._listeners.clear()  # the recorder's: here the command does something else
    app.command("/rollback")(command)
    app.shortcut("plan")(
        lambda ack, body, client: (ack(), client.views_open(trigger_id=body["trigger_id"], view=REQUEST))
    )
    app.shortcut("plan_this")(lambda ack, respond, shortcut: (ack(), respond(f"About: {shortcut['message']['text']}")))
    app.options("v")(_migrations)
    app.view("form")(_approved)
    app.view("request")(_requested)
    app.view_closed("request")(lambda ack: ack())
    app.action("withdraw")(lambda ack, client: (ack(), client.chat_postMessage(channel=CHANNEL, text="withdrawn")))
    app.action("push")(_pushed)
    app.action("typed")(_typed)
    for name in ("go", "stop", "pick", "other"):
        app.action(name)(lambda ack: ack())
    for name in ("message", "app_mention"):
        app.event(name)(lambda: None)
    app.event("app_home_opened")(_home)


def _migrations(ack: Any, payload: Json) -> None:
    newest = {"label": plain("Newest"), "options": [described("012_stripe_events", "the newest")]}
    older = {"label": plain("Older"), "options": [described("011_subscriptions", "also rolls back 012")]}
    ack(option_groups=[] if payload["value"] == "zz" else [newest, older])


def _approved(ack: Any, client: WebClient, view: Json) -> None:
    values = view["state"]["values"]
    if values["confirm"]["v"]["value"] != "011":
        ack(response_action="errors", errors={"confirm": "Type 011 exactly."})
        return
    ack()
    client.chat_postMessage(channel=CHANNEL, text=f"approved, note: {values['note']['v']['value']}")


def _requested(ack: Any, client: WebClient, view: Json) -> None:
    values = {block: next(iter(entries.values())) for block, entries in view["state"]["values"].items()}
    if "because" in values["reason"]["value"]:
        ack(response_action="errors", errors={"reason": "Say more.", "far": "Only one is allowed."})
        return
    ack()
    client.chat_postMessage(channel=CHANNEL, text=json.dumps(values["migration"]["selected_option"]["value"]))


def _pushed(ack: Any, body: Json, client: WebClient) -> None:
    ack()
    depth = 3 if body["view"]["previous_view_id"] else 2
    view = {**REQUEST, "title": plain(f"View {depth}"), "callback_id": "request"}
    client.views_push(trigger_id=body["trigger_id"], view=view)


def _typed(ack: Any, body: Json, client: WebClient) -> None:
    """Says above the field what was typed, by `hash`, as an app does that must not overwrite a newer view."""
    ack()
    said = section(f"You typed {body['actions'][0]['value']}", block_id="said")
    view = {**REQUEST, "blocks": [said, *REQUEST["blocks"]]}
    client.views_update(view_id=body["view"]["id"], hash=body["view"]["hash"], view=view)


def _home(event: Json, client: WebClient) -> None:
    client.views_publish(
        user_id=event["user"], view={"type": "home", "blocks": [section("*Waiting for you*"), *EVERYTHING[6:]]}
    )
