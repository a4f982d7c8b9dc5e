"""Edits that Slack did not take: tried again at a later turn, after a pause that grows, while everything else is told.

An edit only brings up to date what people see. A card that lags shows buttons that no longer count, and the desk refuses
their clicks; a line that waited behind an edit would leave everybody in the dark. What is late when a run has ended is a
row in `posts`, so that the next start knows of it too; the cards of open runs are edited at each start anyway.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError

from bot.client import name_of, passing, status_of
from core.entry import Transaction
from core.ledger import Ledger

log = structlog.get_logger()
Key = tuple[int, str]
"""An event and a place of `posts`: the post that is edited, or the edit itself where it is a delivery of an event."""
Write = Callable[[Callable[[Transaction], object]], None]
LATE = "late "
FIRST, LONGEST = 1.0, 30.0
"""Seconds before an edit is tried again: at first, and at most."""


class Later(Exception):
    """Slack did not take this edit now."""


class Edits:
    """Which edits are late, and from when on each is tried again. `write` changes the ledger, however long it takes."""

    def __init__(self, ledger: Ledger, write: Write) -> None:
        self.ledger, self.write = ledger, write
        self._known: dict[Key, tuple[float, float]] | None = None
        self._kept: set[Key] = set()
        self._none_before = 0.0

    @property
    def _late(self) -> dict[Key, tuple[float, float]]:
        """When each is tried again (monotonic seconds), and its last pause; after a start those that the ledger names."""
        if self._known is None:
            rows = self.ledger.posts(f"place LIKE '{LATE}%'", ())
            self._kept = {(row["event"], row["place"].removeprefix(LATE)) for row in rows}
            self._known = dict.fromkeys(self._kept, (0.0, 0.0))
        return self._known

    def waits(self, key: Key) -> bool:
        """Is it late, and not tried again yet?"""
        return key in self._late and time.monotonic() < max(self._none_before, self._late[key][0])

    def due(self) -> list[Key]:
        """The late ones that are tried again now, the oldest first."""
        return sorted(key for key in self._late if not self.waits(key))

    def once(self, key: Key, run: str | None, call: Callable[[], Any], kept: bool) -> Any:
        """Slack's answer to one edit. Raises Later, and SlackApiError for a no that waiting does not mend."""
        error: Exception | None = None
        if time.monotonic() >= self._none_before:
            try:
                return call()
            except SlackApiError as no:
                if not passing(no):
                    raise
                error = no
            except (OSError, http.client.HTTPException) as silence:
                error = silence
        self.put_off(key, run, error, kept)
        raise Later

    def put_off(self, key: Key, run: str | None, error: Exception | None = None, kept: bool = True) -> None:
        """Remember that it is late. `error`: why; without one its turn has not come. `kept`: over the end of the process."""
        self._late.setdefault(key, (0.0, 0.0))
        if kept and key not in self._kept:
            self.write(lambda t: t.post(key[0], LATE + key[1], run=run))
            self._kept.add(key)
        if error is None:
            return
        pause = min(max(self._late[key][1] * 2, FIRST), LONGEST)
        status, wanted = status_of(error) if isinstance(error, SlackApiError) else (0, 0.0)
        seconds = wanted or pause
        until = time.monotonic() + seconds
        self._late[key] = (until, pause)
        if status != 200:  # silence and limits are not about this message: the others wait too
            self._none_before = until
        why = name_of(error) or type(error).__name__
        log.warning("not edited yet", place=key[1], run=run, error=why, again_in=seconds)

    def over(self, key: Key) -> None:
        """Slack has taken it, or never will."""
        self._late.pop(key, None)
        if key in self._kept:
            self.write(lambda t: t.unpost(key[0], LATE + key[1]))
            self._kept.discard(key)
