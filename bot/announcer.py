"""Posts the ledger to Slack: in order, once, rate-limited, and never in the way of the rollback.

The events are the outbox: each is delivered to its places, and each delivery is remembered in `posts` before the next.
After a restart it goes on with the first event that is not marked as told. Where Slack's answer to a post was lost, the
post is looked up before it is repeated; where it cannot be looked up it may appear twice, with the same audit number.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot import messages
from bot.client import name_of, said
from bot.context import context_of
from bot.deliveries import DECIDED, deliveries
from bot.delivery import Delivery
from bot.edits import Edits, Key, Later
from bot.lookup import label_for
from bot.newer import REFUSED, used
from bot.notary import Notary
from bot.pace import Pace
from bot.people import AWAY, People
from bot.reading import Reading
from bot.sending import FATAL, Ended, Names, Sending, SlackRefuses
from core.errors import Refused
from core.ledger import Ledger
from core.meter import HowFar
from core.model import Event, Run, State
from core.settings import Settings

log = structlog.get_logger()

LOST_CARD = {"message_not_found", "edit_window_closed", "cant_update_message", "is_inactive", "block_mismatch"}
NO_THREAD = {"cannot_reply_to_message", "thread_not_found"}
PROGRESS = 3.0  # seconds between two edits of a card that only show progress
SHOWN = 50  # cards of which we know what they show
TOLD = "told"


class Announcer(Sending):
    """One thread, the only one that posts."""

    def __init__(self, client: WebClient, ledger: Ledger, settings: Settings, people: People, pace: Pace) -> None:
        super().__init__(client, ledger)
        self.settings, self.people, self.pace = settings, people, pace
        self.far: Callable[[str], HowFar | None] = lambda run_id: None  # of the step that this process has under way
        self.after: Callable[[], object] = lambda: None  # each turn, when all is told
        self.reading = Reading()
        self._shown: dict[str, tuple[float, State, messages.Message]] = {}
        self.notary = Notary(ledger, settings, people)
        self.edits = Edits(ledger, self.write)

    def begin(self) -> None:
        """The first bot on an audit trail tells nothing of what happened before it."""
        if not self.ledger.posts("place = ?", (TOLD,), newest=True):
            with self.ledger.transaction() as t:
                t.post(self.ledger.head()[0], TOLD)

    def run(self) -> None:
        """Until `stop`. Raises SlackRefuses."""
        with suppress(Ended):
            while not self.stop.is_set():
                self.beat()
                self.say_asides()
                self.catch_up()
                self.witness()
                self.after()
                self.ledger.wait(self.told(), 0.5)

    def told(self) -> int:
        """The newest event that was delivered everywhere."""
        last = self.ledger.posts("place = ?", (TOLD,), newest=True)
        return int(last[0]["event"]) if last else 0

    def catch_up(self) -> None:
        """Tell everything that is new, then bring the cards up to date."""
        silent = None
        for event in self.ledger.events(after=self.told(), limit=200):
            silent = event if self.tell(event) else None
            if self.stop.is_set():
                return
        if silent:
            self.note(silent.id, TOLD)
        for run in self.ledger.open_runs():
            if run.target in self.settings.targets:
                self.show(run)
        for event_id, place in self.edits.due():
            self.edit_again(event_id, place)

    def tell(self, event: Event) -> bool:
        """One event to all its places. Is it of a kind that is never told? Then it need not be noted by itself."""
        run = self.ledger.run(event.run) if event.run else None
        if run is None or self.known(run):
            while not self.everywhere(event, run):
                self.rest(1.0)  # Slack did not tell where to: nothing is lost, and nothing overtakes it
        if run and not messages.tells(event.kind) and event.kind not in DECIDED:
            return True
        self.note(event.id, TOLD)
        return False

    def everywhere(self, event: Event, run: Run | None) -> bool:
        """Deliver to every place that is left; False where Slack does not tell which these are."""
        done = {post["place"] for post in self.ledger.posts("event = ?", (event.id,))}
        if run:
            self.show(run)  # first of all the card loses the buttons that no longer count
        try:
            for delivery in deliveries(event, run, self.settings, self.people, self.ledger):
                if delivery.place not in done:
                    self.deliver(event, run, delivery)
        except AWAY as error:
            if name_of(error) in FATAL:
                raise SlackRefuses(name_of(error)) from None
            log.warning("slack does not answer", error=type(error).__name__)
            return False
        except Refused as no:
            if no.code != "E-TARGET-UNKNOWN":
                raise
            log.warning("not posted", kind=event.kind, code=no.code)  # its target has left the settings
        if run:
            self.show(run)
        return True

    def known(self, run: Run) -> bool:
        """Is its target still in the settings? Without it there is nobody to tell."""
        if run.target not in self.settings.targets:
            log.warning("target not in the settings", run=run.id, target=run.target)
        return run.target in self.settings.targets

    def deliver(self, event: Event, run: Run | None, delivery: Delivery) -> None:
        """One message; remembered with the address that Slack gave it. An edit that Slack does not take is left for later."""
        if delivery.update:
            self.edit_copy(event, delivery, delivery.channel or "")
            return
        channel: str | None = delivery.channel
        if delivery.user:
            opened = self.calling(lambda: self.client.conversations_open(users=delivery.user))
            channel = said(opened, "channel", "id") or None
            if opened and not channel:
                log.warning("odd answer", place=delivery.place, lacks="channel.id")
        ts = None
        if channel and self.readable_outside(channel):
            channel = None
        if channel:
            self.introduce(channel, self.ledger.head()[0] - self.told())
            self.pace.wait(channel)
            ts = self.send(event, delivery, channel)
        self.note(event.id, delivery.place, channel=channel, ts=ts, run=event.run)
        if ts:
            self.notary.seen(event.id, delivery.place)

    def send(self, event: Event, delivery: Delivery, channel: str) -> str | None:
        """The ts of what was posted; None where there is none, or Slack would not have it."""
        if delivery.only:
            if self.calling(lambda: delivery.send(self.client, channel), where=delivery.place) is None:
                self.directly(event, delivery, delivery.only)
            return None
        classic, label = delivery.classic or (lambda: delivery.message), label_for(event, delivery.place)

        def post(where: Delivery, raising: Names, message: messages.Message) -> str | None:
            more = {**where.more, "unfurl_media": False}
            raising = blocks_of(message) | raising
            return self.posting(channel, message, more, label, where=where.place, raising=raising, kind="delivery")

        try:
            return self.people.newer.sent(delivery.message, classic, partial(post, delivery, NO_THREAD)) or None
        except SlackApiError as error:
            if name_of(error) not in NO_THREAD:
                raise
            # the message in whose thread it was asked for is gone: the card stands by itself, the lines in its own thread
            by_itself = replace(delivery, thread=delivery.otherwise, otherwise=None)
            return self.people.newer.sent(delivery.message, classic, partial(post, by_itself, frozenset())) or None

    def directly(self, event: Event, delivery: Delivery, user: str) -> None:
        """What was for one person in a channel that they are not in: a direct message."""
        channel = said(self.calling(lambda: self.client.conversations_open(users=user)), "channel", "id")
        if channel:
            self.posting(channel, delivery.message, {}, label_for(event, f"{delivery.place} dm"), where=delivery.place)

    def witness(self) -> None:
        """Show the head of the chain where no message has for long."""
        event = self.notary.due(self.told())
        channel = self.notary.where() if event else None
        if not event or not channel:
            return
        message, root = messages.witness(event), self.notary.thread(channel)
        place, ts = "witness", None
        if root:
            with suppress(SlackApiError):  # deleted: another thread begins
                more, label = {"thread_ts": root}, label_for(event, "witness")
                ts = self.posting(channel, message, more, label, raising=NO_THREAD)
        if ts is None:
            place, ts = "witness root", self.posting(channel, message, {}, label_for(event, "witness root"))
        if ts:
            self.note(event.id, place, channel=channel, ts=ts, run=event.run)
            self.notary.seen(event.id, place)

    def readable_outside(self, channel: str) -> bool:
        """Can another organisation read there? Nothing is posted then: plans hold SQL. Raises one of AWAY."""
        shared = self.people.shared(channel)
        if shared:
            log.error("not posted: the channel is shared with another organisation", channel=channel)
        return shared

    def show(self, run: Run) -> None:
        """Edit the card where it differs from what is shown; state changes at once, progress every few seconds.

        What Slack does not take now is left for later: it holds up nothing that is told.
        """
        at, state, shown = self._shown.get(run.id, (0.0, None, None))
        if run.is_open and state is run.state and time.monotonic() - at < PROGRESS:
            return  # the next turn shows it; of what has ended there is none
        posts = self.ledger.posts("run = ? AND place = 'card' AND ts IS NOT NULL", (run.id,), newest=True)
        if not posts:
            return
        post, key = posts[0], (posts[0]["event"], "card")
        if self.edits.waits(key):
            self.edits.put_off(key, run.id, kept=not run.is_open)
            return
        try:
            if self.readable_outside(post["channel"]):
                self.edits.over(key)
                return
        except AWAY as error:
            self.edits.put_off(key, run.id, error, kept=not run.is_open)
            return
        message = messages.card(run, replace(self.context(run), far=self.far(run.id)))
        if message == shown:
            self.edits.over(key)
            return
        try:
            call = partial(self.client.chat_update, channel=post["channel"], ts=post["ts"], **message)
            self.edit(key, run.id, call, raising=LOST_CARD | blocks_of(message), kept=not run.is_open)
        except Later:
            return
        except SlackApiError as error:
            if self.people.newer.gives_up(name_of(error), message):
                self.show(run)  # in classic blocks
                return
            self.new_card(run, message, post)
        self.edits.over(key)
        self._shown.pop(run.id, None)
        self._shown[run.id] = (time.monotonic(), run.state, message)
        if len(self._shown) > SHOWN:
            self._shown.pop(next(iter(self._shown)))

    def context(self, run: Run) -> messages.Context:
        """What its card needs to know besides the run."""
        reading = self.reading.names(run.id)
        return context_of(run, self.settings.target(run.target), self.people, self.ledger, reading=reading)

    def edit(
        self, key: Key, run: str | None, call: Callable[[], Any], raising: Names = frozenset(), kept: bool = True
    ) -> Any | None:
        """Edit what was posted, once; None where Slack says a no that waiting does not mend. Raises Later, SlackRefuses."""
        try:
            return self.edits.once(key, run, call, kept)
        except SlackApiError as error:
            name = name_of(error)
            if name in FATAL:
                raise SlackRefuses(name) from None
            if name in raising:
                raise
            log.warning("not edited", place=key[1], slack_error=name)
            return None

    def edit_copy(self, event: Event, delivery: Delivery, channel: str) -> None:
        """Another message than the card, once it is decided."""
        key, answer = (event.id, delivery.place), None
        try:
            if not self.readable_outside(channel):
                answer = self.edit(key, event.run, partial(delivery.send, self.client, channel))
        except Later:
            return
        except AWAY as error:
            self.edits.put_off(key, event.run, error)
            return
        self.note(*key, channel=channel, ts=delivery.update if answer else None, run=event.run)
        self.edits.over(key)

    def edit_again(self, number: int, place: str) -> None:
        """An edit that is late, as it would be made now."""
        (event,) = self.ledger.events(after=number - 1, limit=1)
        run = self.ledger.run(event.run) if event.run else None
        if run and run.target not in self.settings.targets:
            return
        if run and place == "card":
            self.show(run)
            return
        try:
            for delivery in deliveries(event, run, self.settings, self.people, self.ledger):
                if delivery.place == place:
                    self.edit_copy(event, delivery, delivery.channel or "")
                    return
        except AWAY as error:
            self.edits.put_off((number, place), event.run, error)
            return
        except Refused as no:
            if no.code != "E-TARGET-UNKNOWN":
                raise
        self.edits.over((number, place))

    def new_card(self, run: Run, message: messages.Message, old: dict[str, Any]) -> None:
        """The card can no longer be edited: a new one, in the old one's thread, shown in the channel."""
        event, label = run.last.id if run.last else old["event"], f"card for {old['ts']}"
        more = {"thread_ts": run.thread or old["ts"], "reply_broadcast": True}

        def post(more: dict[str, Any], names: Names = frozenset()) -> str | None:
            def send(one: messages.Message) -> str | None:
                names_too = names | blocks_of(one)
                return self.posting(old["channel"], one, more, label, raising=names_too, kind="card")

            classic = replace(self.context(run), newer=frozenset())
            found: str | None = self.people.newer.sent(message, lambda: messages.card(run, classic), send)
            return found

        unknown = self._fresh & {"card"}
        try:
            ts = post(more, NO_THREAD)
        except SlackApiError:  # deleted with its thread: the new card takes its place and starts a thread of its own
            self._fresh |= unknown  # there it may stand already
            event, ts = old["event"], post({})
        if ts:
            self.note(event, "card", channel=old["channel"], ts=ts, run=run.id)


def blocks_of(message: messages.Message) -> Names:
    """Slack's errors that may be about the newer blocks of a message."""
    return REFUSED if used(message) else frozenset()
