"""Posts the ledger to Slack: in order, once, rate-limited, and never in the way of the rollback.

The events are the outbox: each is delivered to its places, and each delivery is remembered in `posts` before the next.
After a restart it goes on with the first event that is not marked as told. Where Slack's answer to a post was lost the
post may appear twice, with the same audit number: looking it up would need a scope that reads the channel.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot import messages
from bot.context import context_of
from bot.deliveries import Delivery, deliveries
from bot.pace import Pace
from bot.people import People
from core.errors import Refused
from core.ledger import Ledger
from core.model import Event, Run, State
from core.settings import Settings

log = structlog.get_logger()

FATAL = {"invalid_auth", "token_revoked", "account_inactive", "missing_scope", "not_authed", "token_expired"}
LOST_CARD = {"message_not_found", "edit_window_closed", "cant_update_message", "is_inactive", "block_mismatch"}
AGAIN = {"ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"}
PROGRESS = 3.0  # seconds between two edits of a card that only show progress
AWAY = 60.0  # seconds of silence after which late posts are introduced
TOLD = "told"
FINAL = frozenset(State) - frozenset({State.PLANNING})


class SlackRefuses(Exception):
    """Slack will not take anything from this app any more: the process must end loudly."""


class Announcer:
    """One thread, the only one that posts."""

    def __init__(self, client: WebClient, ledger: Ledger, settings: Settings, people: People, pace: Pace) -> None:
        self.client, self.ledger, self.settings, self.people, self.pace = client, ledger, settings, people, pace
        self.stop = threading.Event()
        self._shown: dict[str, tuple[float, State, messages.Message]] = {}
        self._away: datetime | None = None

    def run(self) -> None:
        """Until `stop`. Raises SlackRefuses."""
        while not self.stop.is_set():
            self.catch_up()
            self.ledger.wait(self.told(), 0.5)

    def told(self) -> int:
        """The newest event that was delivered everywhere."""
        last = self.ledger.posts("place = ?", (TOLD,), newest=True)
        return int(last[0]["event"]) if last else 0

    def catch_up(self) -> None:
        """Tell everything that is new, then bring the cards up to date."""
        for event in self.ledger.events(after=self.told(), limit=200):
            self.tell(event)
            if self.stop.is_set():
                return
        for run in self.ledger.open_runs():
            self.show(run)

    def tell(self, event: Event) -> None:
        """One event to all its places."""
        run = self.ledger.run(event.run) if event.run else None
        done = {post["place"] for post in self.ledger.posts("event = ?", (event.id,))}
        for delivery in deliveries(event, run, self.settings, self.people, self.ledger):
            if delivery.place not in done:
                self.deliver(event, run, delivery)
        if run:
            self.show(run)
        with self.ledger.transaction() as t:
            t.post(event.id, TOLD)

    def deliver(self, event: Event, run: Run | None, delivery: Delivery) -> None:
        """One message; remembered with the address that Slack gave it."""
        channel: str | None = delivery.channel
        if delivery.user:
            opened = self.calling(lambda: self.client.conversations_open(users=delivery.user))
            channel = opened["channel"]["id"] if opened else None
        answer = None
        if channel:
            self.introduce(channel, run)
            self.pace.wait(channel)
            answer = self.calling(lambda: delivery.send(self.client, channel), where=delivery.place)
        with self.ledger.transaction() as t:
            t.post(event.id, delivery.place, channel=channel, ts=answer.get("ts") if answer else None, run=event.run)

    def introduce(self, channel: str, run: Run | None) -> None:
        """After a long silence, say once that what follows is late."""
        since, self._away = self._away, None
        if since is None or (self.ledger.clock() - since).total_seconds() < AWAY:
            return
        late = self.ledger.head()[0] - self.told()
        message = messages.slack_was_away(since, self.ledger.clock(), late)
        self.calling(lambda: self.client.chat_postMessage(channel=channel, **message, unfurl_links=False))

    def show(self, run: Run) -> None:
        """Edit the card where it differs from what is shown; state changes at once, progress every few seconds."""
        posts = self.ledger.posts("run = ? AND place = 'card' AND ts IS NOT NULL", (run.id,), newest=True)
        if not posts:
            return
        at, state, shown = self._shown.get(run.id, (0.0, None, None))
        if state is run.state and time.monotonic() - at < PROGRESS:
            return
        message = messages.card(run, context_of(run, self.settings.target(run.target), self.people, self.ledger))
        if message == shown:
            return
        post = posts[0]
        try:
            self.calling(
                lambda: self.client.chat_update(channel=post["channel"], ts=post["ts"], **message), raising=LOST_CARD
            )
        except SlackApiError:
            self.new_card(run, message, post)
        self._shown[run.id] = (time.monotonic(), run.state, message)
        if not run.is_open:
            self._shown.pop(run.id)

    def new_card(self, run: Run, message: messages.Message, old: dict[str, Any]) -> None:
        """The card can no longer be edited: a new one, in the old one's thread, shown in the channel."""
        answer = self.calling(
            lambda: self.client.chat_postMessage(
                channel=old["channel"], thread_ts=old["ts"], reply_broadcast=True, **message, unfurl_links=False
            )
        )
        if answer and run.last:
            with self.ledger.transaction() as t:
                t.post(run.last.id, "card", channel=old["channel"], ts=answer["ts"], run=run.id)

    def calling(
        self, call: Callable[[], Any], where: str = "", raising: set[str] | frozenset[str] = frozenset()
    ) -> Any | None:
        """Call Slack until it answers; None where it says a no that waiting does not mend."""
        wait = 0.5
        while not self.stop.is_set():
            try:
                answer = call()
            except SlackApiError as error:
                name = str(error.response.get("error", "")) if hasattr(error.response, "get") else ""
                if name in FATAL:
                    raise SlackRefuses(name) from None
                if name in raising:
                    raise
                if error.response.status_code < 429 and name not in AGAIN:
                    log.warning("not posted", place=where, slack_error=name)
                    return None
                wait = float(error.response.headers.get("Retry-After", wait))
            except (OSError, Refused) as error:
                log.warning("slack does not answer", error=type(error).__name__)
            else:
                return answer
            self._away = self._away or self.ledger.clock()
            self.stop.wait(wait)
            wait = min(wait * 2, 30.0)
        return None
