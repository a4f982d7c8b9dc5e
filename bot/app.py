"""build_app(...): the listeners. Each checks, writes to the ledger and acknowledges; nothing runs inside a listener."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from slack_bolt import Ack, App, BoltContext, Respond
from slack_bolt.response import BoltResponse
from slack_sdk import WebClient

from bot.commands import Commands
from bot.decisions import Decisions
from bot.guard import Guard
from bot.home import publish
from bot.people import People
from bot.reply import Reply
from bot.vitals import Vitals
from core.desk import Desk
from core.engine import Engine

ANY = re.compile("")
Handler = Callable[[dict[str, Any], Reply], BoltResponse]


def build_app(
    client: WebClient,
    desk: Desk,
    engine: Engine,
    people: People,
    pool: Executor,
    vitals: Vitals,
    signing_secret: str | None = None,
) -> App:
    """The Bolt app over one ledger. Asks Slack once who it is (auth.test)."""
    me = client.auth_test()
    app = App(
        client=client,
        logger=logging.getLogger("slack_bolt"),
        signing_secret=signing_secret or "",
        request_verification_enabled=bool(signing_secret),
        # a listener only writes one row: its answer may go out without a thread's detour
        process_before_response=True,
    )
    guard = Guard(people, desk.ledger, me["team_id"], app_id_of(client, me.get("bot_id")), vitals.ending.is_set)
    decisions = Decisions(desk, engine, people, pool)
    commands = Commands(desk, people, pool, decisions)

    @app.middleware
    def gate(body: dict[str, Any], ack: Ack, respond: Respond, context: BoltContext, next: Callable[[], Any]) -> Any:
        context["reply"] = Reply(body, ack, respond, client, vitals.refused)
        return guard(body, context["reply"], next)

    listen(app, commands, decisions)

    @app.event("app_home_opened")
    def opened(event: dict[str, Any]) -> None:
        if event.get("tab") == "home":
            pool.submit(publish, client, desk, people, str(event["user"]))

    return app


def listen(app: App, commands: Commands, decisions: Decisions) -> None:
    """Hang every handler on its id; what nobody handles is acknowledged, or Slack would show an error."""

    def on(handler: Handler) -> Callable[..., BoltResponse]:
        def listener(body: dict[str, Any], context: BoltContext) -> BoltResponse:
            reply: Reply = context["reply"]
            return reply.answer(handler)

        return listener

    app.command("/rollback")(on(commands.handle))
    for action, handler in {**decisions.actions(), **commands.glass.actions(), "rb.ask": commands.ask}.items():
        app.action(action)(on(handler))
    for callback, handler in {**decisions.submissions(), **commands.glass.submissions()}.items():
        app.view_submission(callback)(on(handler))
    app.view_closed(ANY)(acknowledged)
    app.view_submission(ANY)(acknowledged)
    app.action(ANY)(acknowledged)


def acknowledged(ack: Ack) -> BoltResponse:
    """Nothing to do."""
    return ack()


def app_id_of(client: WebClient, bot_id: str | None) -> str | None:
    """The app that this token belongs to; None where Slack does not say."""
    if not bot_id:
        return None
    app_id = client.bots_info(bot=bot_id)["bot"].get("app_id")
    return str(app_id) if app_id else None
