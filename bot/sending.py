"""Calls Slack until it answers, and posts: before a post is repeated it is looked up, since its answer may be what was lost."""

from __future__ import annotations

import http.client
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot import messages
from bot.client import FOR_GOOD, name_of, passing, said, status_of
from bot.lookup import Lookup, label_for, labelled
from core.entry import Transaction
from core.errors import Refused
from core.ledger import Ledger
from core.model import Run

log = structlog.get_logger()

FATAL = {*FOR_GOOD, "missing_scope"}  # without a right to post, nothing can be told
SILENCE = 60.0  # seconds after which late posts are introduced
Names = set[str] | frozenset[str]


class Ended(Exception):
    """Told to end while Slack did not answer: what was not delivered stays for the next start."""


class SlackRefuses(Exception):
    """Slack will not take anything from this app any more: the process must end loudly."""


class Sending:
    """What the announcer's one thread needs to reach Slack and the ledger, however long that takes."""

    def __init__(self, client: WebClient, ledger: Ledger) -> None:
        self.client, self.ledger, self.lookup = client, ledger, Lookup(client, ledger)
        self.stop = threading.Event()
        self.beat: Callable[[], object] = lambda: None
        self._asides: deque[Run] = deque()
        self._aside_sent = False
        self._away: datetime | None = None
        self._fresh = {"delivery", "card"}
        self._at_start: dict[str, str] | None = None

    # -- Slack -------------------------------------------------------------------------------------------------

    def posting(
        self, channel: str, message: messages.Message, more: dict[str, Any], label: str, *,
        where: str = "", raising: Names = frozenset(), kind: str = "",
    ) -> str | None:  # fmt: skip
        """The ts of a message in a channel, empty where Slack does not tell it; None where Slack says no for good.

        `label` names the post for good. `kind`: the first one of that kind in a process may have been posted by the process
        before, which died between the post and its row in the ledger.
        """
        message, noted = labelled(message, label), self.lookup.noted()
        self._at_start = self._at_start if self._at_start is not None else noted
        call = partial(self.client.chat_postMessage, channel=channel, **message, **more, unfurl_links=False)
        sent = kind in self._fresh
        self._fresh.discard(kind)
        # what the process before has posted may be older than what this one has noted by now
        since = (self._at_start if sent else noted).get(channel, "")
        find = partial(self.lookup.find, channel, more.get("thread_ts"), message, since)
        answer = self.calling(call, where, raising, find, sent)
        if answer is None:
            return None
        if not said(answer, "ts"):
            log.warning("odd answer", place=where or label, lacks="ts")
            answer = find()
        return said(answer, "ts")

    def calling(
        self,
        call: Callable[[], Any],
        where: str = "",
        raising: Names = frozenset(),
        find: Callable[[], Any] = lambda: None,
        sent: bool = False,
    ) -> Any | None:
        """Call Slack until it answers; None where it says a no that waiting does not mend. Raises Ended, SlackRefuses.

        `find` looks whether it took effect, once it may have: `sent`, or a call without an answer that says it did not.
        """
        wait = 0.5
        while True:
            try:
                return (find() if sent else None) or call()
            except SlackApiError as error:
                name = name_of(error)
                if name in FATAL:
                    raise SlackRefuses(name) from None
                if name in raising:
                    raise
                if not passing(error):
                    log.warning("not posted", place=where, slack_error=name)
                    return None
                status, wanted = status_of(error)
                sent, wait = sent or not limited(error), wanted or wait
                log.warning("not posted yet", place=where, slack_error=name, status=status)
            except (OSError, http.client.HTTPException) as error:
                sent = True
                log.warning("slack does not answer", error=type(error).__name__)
            self._away = self._away or self.ledger.clock()
            self.rest(wait)
            wait = min(wait * 2, 30.0)

    def rest(self, seconds: float) -> None:
        """Wait before Slack, or the ledger, is asked again. Raises Ended."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.beat()
            self.say_asides()
            if self.stop.wait(min(left, 1.0)):
                raise Ended

    def introduce(self, channel: str, late: int) -> None:
        """After a long silence, say once that what follows is late."""
        since, self._away = self._away, None
        now = self.ledger.clock()
        if since is not None and (now - since).total_seconds() >= SILENCE:
            self.posting(channel, messages.slack_was_away(since, now, late), {}, f"away {since.isoformat()}")

    # -- beside the ledger -------------------------------------------------------------------------------------

    def aside(self, run: Run) -> None:
        """It took effect and cannot be written down: say so beside the ledger. From any thread; this one posts."""
        self._asides.append(run)

    def say_asides(self) -> None:
        """What no event tells, in the run's thread and in the channel: tried until Slack takes it or says no."""
        while self._asides:
            run = self._asides[0]
            posts = self.ledger.posts("run = ? AND place = 'card' AND ts IS NOT NULL", (run.id,), newest=True)
            threads = [one for one in (run.thread, posts[0]["ts"] if posts else None) if one]
            if posts and not self.said_aside(run, str(posts[0]["channel"]), threads):
                return
            self._asides.popleft()
            self._aside_sent = False

    def said_aside(self, run: Run, channel: str, threads: list[str]) -> bool:
        """Try once, in the first of these threads that is still there. False: it is to be tried again."""
        thread, others = threads[0], threads[1:]
        message = labelled(messages.unwritten(run), label_for(run.last, "aside"), run.id)
        try:
            since = self.lookup.noted().get(channel, "")
            if not (self._aside_sent and self.lookup.find(channel, thread, message, since)):
                self.client.chat_postMessage(
                    channel=channel, **message, thread_ts=thread, reply_broadcast=True, unfurl_links=False
                )
        except SlackApiError as error:
            log.warning("not posted", place="aside", slack_error=name_of(error))
            self._aside_sent = self._aside_sent or not limited(error)
            if others and not passing(error):
                return self.said_aside(run, channel, others)
            return not passing(error)
        except (OSError, http.client.HTTPException):
            self._aside_sent = True
            return False
        return True

    # -- the ledger --------------------------------------------------------------------------------------------

    def note(self, event: int, place: str, **columns: Any) -> None:
        """Remember what was posted. Raises Ended."""
        self.write(lambda t: t.post(event, place, **columns))

    def write(self, change: Callable[[Transaction], object]) -> None:
        """While the trail cannot be written nothing more is posted: it would come again. Raises Ended."""
        wait = 0.5
        while True:
            try:
                with self.ledger.transaction() as t:
                    change(t)
                return
            except Refused as no:
                log.error("what was posted cannot be noted", problem=no.message)
            self.rest(wait)
            wait = min(wait * 2, 5.0)


def limited(error: SlackApiError) -> bool:
    """Has Slack only said that we are too fast? Then nothing was done."""
    return status_of(error)[0] == 429 or name_of(error) == "ratelimited"
