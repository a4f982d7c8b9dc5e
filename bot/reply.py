"""How to answer one person, whatever they did: typed, clicked, or sent a form off."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from slack_bolt import Ack, Respond
from slack_bolt.response import BoltResponse
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot import messages
from bot.client import name_of
from bot.newer import REFUSED, Newer
from core.errors import Problem, Refused
from core.model import Json
from core.redact import clean_all
from core.refusals import Duplicate

log = structlog.get_logger()
UNHEARD = (SlackApiError, OSError, http.client.HTTPException)
"""What slack_sdk raises where an answer does not get through."""
TURNED = {"hash_conflict", "not_found"}  # another click has turned the page, or the form was closed


@dataclass(frozen=True)
class Reply:
    """One request's way back. The response URL lives here and nowhere else: never stored, never logged."""

    body: Json
    ack: Ack
    respond: Respond
    client: WebClient
    seal: Callable[[Json], Json]  # a form is opened for this person only
    refused: Callable[[str], object] = lambda code: None  # told the code of each no
    newer: Newer = field(default_factory=Newer)

    def answer(self, handler: Callable[[Json, Reply], BoltResponse]) -> BoltResponse:
        """Run a handler; a refusal becomes an answer."""
        try:
            return handler(self.body, self)
        except Duplicate:
            return self.ack()  # the first delivery was answered
        except Problem as problem:
            return self.refuse(problem)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            # a payload of another shape than ours: named, answered, and not a word of it repeated
            log.warning("odd payload", error=type(error).__name__, kind=self.body.get("type", "command"))
            return self.refuse(Refused("E-STALE", "I do not understand this click or form.", "Open the card again."))

    def tell(self, message: messages.Message) -> BoltResponse:
        """An answer that only this person sees."""
        message = clean_all(message)
        if "command" in self.body:
            return self.ack(text=message["text"], blocks=message["blocks"], response_type="ephemeral")
        self.later(message)
        return self.ack()

    def later(self, message: messages.Message, classic: Callable[[], messages.Message] | None = None) -> None:
        """The same after the acknowledgement, through the response URL. `classic`: it, where Slack takes no newer blocks."""
        message = clean_all(message)
        try:
            answer = self.respond(
                text=message["text"], blocks=message["blocks"], response_type="ephemeral", replace_original=False
            )
        except (*UNHEARD, ValueError) as error:
            log.warning("answer not delivered", error=type(error).__name__)
            return
        why = no_of(answer)
        if classic and self.newer.gives_up(why, message):
            self.later(classic())
        elif why:
            log.warning("answer not delivered", error=why)

    def no(self, problem: Problem, message: messages.Message) -> BoltResponse:
        """A refusal with a way on."""
        self.noted(problem)
        return self.tell(message)

    def noted(self, problem: Problem) -> None:
        """In the log and in the numbers, by its code."""
        log.info("refused", code=problem.code)
        self.refused(problem.code)

    def refuse(self, problem: Problem) -> BoltResponse:
        """What, that nothing was started, what to do, the code."""
        self.noted(problem)
        kind = self.body.get("type")
        if kind == "block_suggestion":
            return self.ack(options=[])
        if kind == "view_submission":
            return self.ack(response_action="update", view=clean_all(messages.refused(problem)))
        if kind in ("event_callback", "view_closed"):
            return self.ack()
        if "response_url" not in self.body and "trigger_id" in self.body:
            self.open(messages.refused(problem))  # a click on the Home tab or in a form has no channel to answer in
            return self.ack()
        return self.tell(messages.refusal(problem))

    def open(self, view: Json, classic: Callable[[], Json] | None = None) -> BoltResponse:
        """Open a form; the trigger lives three seconds, so this comes before anything slow."""
        return self.unopened() if self.opened(view, classic) is None else self.ack()

    def unopened(self) -> BoltResponse:
        """Say that Slack did not open it."""
        return self.tell(messages.refusal(Refused("E-SLACK", "Slack did not open the form.", "Click again.")))

    def opened(self, view: Json, classic: Callable[[], Json] | None = None) -> Json | None:
        """The same; the view as Slack has opened it. None: it did not; empty: the same click, delivered before, has opened it.

        `classic`: the view where Slack takes no newer blocks.
        """
        stacked = (self.body.get("view") or {}).get("type") == "modal"
        show = self.client.views_push if stacked else self.client.views_open

        def send(one: Json) -> Json:
            trigger = str(self.body["trigger_id"])
            return dict(show(trigger_id=trigger, view=self.seal(one)).get("view") or {})

        try:
            return dict(self.newer.sent(view, classic, send) if classic else send(view))
        except UNHEARD as error:
            if name_of(error) == "exchanged_trigger_id":
                return {}
            log.warning("form not opened", error=type(error).__name__)
            return None

    def change(self, view: Json, into: Json) -> bool:
        """Put something else into an open form, unless it has changed meanwhile. False: Slack does not do it."""
        try:
            self.client.views_update(view_id=str(view["id"]), hash=view.get("hash"), view=self.seal(clean_all(into)))
        except UNHEARD as error:
            log.warning("form not changed", error=name_of(error) or type(error).__name__)
            return name_of(error) in TURNED
        return True

    def turn(self, view: Json) -> BoltResponse:
        """Show another page in the form that was clicked."""
        if not self.change(self.body["view"], view):
            return self.refuse(Refused("E-SLACK", "Slack did not show the page.", "Click again."))
        return self.ack()


def no_of(answer: Any) -> str:
    """Why Slack did not take what was posted to a response URL: the name of its error, or the status; empty where it did.

    Such an address answers with a word, or with JSON, and not always with a status of 4xx.
    """
    status, body = getattr(answer, "status_code", 200), str(getattr(answer, "body", ""))
    if status == 200 and '"ok":false' not in body.replace(" ", ""):
        return ""
    return next((error for error in sorted(REFUSED) if error in body), f"status {status}")
