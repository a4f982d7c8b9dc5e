"""build_app(...): the listeners. Each checks, writes to the ledger and acknowledges; nothing runs inside a listener."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import structlog
from slack_bolt import Ack, App, BoltContext, BoltRequest, Respond
from slack_bolt.response import BoltResponse
from slack_sdk import WebClient

from bot.commands import Commands
from bot.decisions import Decisions
from bot.forms import Forms
from bot.guard import Guard, who
from bot.home import Homes
from bot.people import People
from bot.reading import Reading
from bot.reply import Reply
from bot.vitals import Vitals
from core.desk import Desk
from core.engine import Engine
from core.errors import Problem, Refused

log = structlog.get_logger()
ANY = re.compile("")
Handler = Callable[[dict[str, Any], Reply], BoltResponse]


class Steady(App):
    """Bolt's app, which also answers what Bolt's own code stumbles over: Slack would show it as a fault, or send it again."""

    def dispatch(self, req: BoltRequest) -> BoltResponse:
        """As Bolt does; never raises."""
        try:
            return super().dispatch(req)
        except Exception as error:  # noqa: BLE001 - a payload of another shape; Bolt's handler of errors reads it again
            return failed(error, None)


def build_app(
    client: WebClient,
    desk: Desk,
    engine: Engine,
    people: People,
    pool: Executor,
    vitals: Vitals,
    signing_secret: str | None = None,
    homes: Homes | None = None,
    reading: Reading | None = None,
    long: Executor | None = None,
) -> App:
    """The Bolt app over one ledger; `long`: for what may take hours, instead of `pool`. Asks Slack once who it is (auth.test)."""
    homes = homes or Homes(client, desk, people, pool)
    me = client.auth_test()
    app = Steady(
        client=client,
        logger=logging.getLogger("slack_bolt"),
        signing_secret=signing_secret or "",
        request_verification_enabled=bool(signing_secret),
        # a listener only writes one row: its answer may go out without a thread's detour
        process_before_response=True,
    )
    forms = Forms(str(client.token))
    people.team_id = str(me["team_id"])
    app_id = app_id_of(client, me.get("bot_id"))
    guard = Guard(people, desk.ledger, people.team_id, app_id, forms, vitals.ending.is_set)
    decisions = Decisions(desk, engine, people, pool)
    decisions.reading = reading or decisions.reading
    commands = Commands(desk, people, pool, decisions, long)
    commands.glass.homes = homes

    @app.middleware
    def gate(body: dict[str, Any], ack: Ack, respond: Respond, context: BoltContext, next: Callable[[], Any]) -> Any:
        context["reply"] = Reply(
            body, ack, respond, client, lambda view: forms.sealed(view, who(body)), vitals.refused, people.newer
        )
        return guard(body, context["reply"], next)

    @app.error
    def broken(error: Exception, context: BoltContext) -> BoltResponse:
        return failed(error, context.get("reply"))

    listen(app, commands, decisions)

    @app.event("app_home_opened")
    def opened(event: dict[str, Any]) -> None:
        if event.get("tab") == "home":
            pool.submit(homes.opened, str(event["user"]))

    return app


def listen(app: App, commands: Commands, decisions: Decisions) -> None:
    """Hang every handler on its id; what nobody handles is acknowledged, or Slack would show an error."""

    def on(handler: Handler) -> Callable[..., BoltResponse]:
        def listener(body: dict[str, Any], context: BoltContext) -> BoltResponse:
            reply: Reply = context["reply"]
            return reply.answer(handler)

        return listener

    app.command("/rollback")(on(commands.handle))
    asking, drilling = commands.asking, commands.drilling
    for room in (decisions, commands.glass, asking, drilling, commands):
        for action, handler in room.actions().items():
            app.action({"action_id": action})(on(handler))
    for callback, handler in {
        **decisions.submissions(),
        **commands.glass.submissions(),
        **asking.submissions(),
        **drilling.submissions(),
    }.items():
        app.view_submission(callback)(on(handler))
    for callback, handler in asking.shortcuts().items():
        app.shortcut(callback)(on(handler))
    app.options({"action_id": "v"})(on(asking.options))
    app.view_closed("rb.review")(on(decisions.left))
    app.view_closed(ANY)(acknowledged)
    app.shortcut(ANY)(acknowledged)
    app.view_submission(ANY)(acknowledged)
    app.action({"action_id": ANY})(acknowledged)


def failed(error: Exception, reply: Reply | None) -> BoltResponse:
    """Whoever asked is answered, and not a word of what was sent is logged."""
    if reply is None:  # of a shape that Bolt itself does not understand
        log.info("refused", code="E-STALE", error=type(error).__name__)
        return BoltResponse(status=200)
    reference = os.urandom(3).hex()
    log.error("bug", ref=reference, exc_info=error)
    hint = "Look up the reference in the log of the bot."
    return reply.refuse(Problem("E-BUG", f"Something broke on my side (ref {reference}).", hint))


def acknowledged(ack: Ack) -> BoltResponse:
    """Nothing to do."""
    return ack()


def app_id_of(client: WebClient, bot_id: str | None) -> str:
    """The app that this token belongs to. Raises Refused(E-SLACK) where Slack does not say: nothing could be checked."""
    app_id = client.bots_info(bot=bot_id)["bot"].get("app_id") if bot_id else None
    if not app_id:
        raise Refused("E-SLACK", "Slack does not say which app this token belongs to.", "Use the bot token (xoxb-…).")
    return str(app_id)
