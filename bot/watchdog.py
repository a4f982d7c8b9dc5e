"""Notices a socket that has fallen silent: one that looks connected and gets nothing is worse than none.

The SDK reconnects by itself; where that does not help (bolt-python issue 1529: a new session that never got a pong is
never found stale) only a new process does. Any frame counts. Pongs are read off the session, since the SDK tells nobody.
"""

from __future__ import annotations

import time
from typing import Any

from slack_bolt.adapter.socket_mode import SocketModeHandler

FROZEN = 5.0  # seconds between two looks after which we were stopped ourselves, and the socket is not to blame


class Watchdog:
    """Looked at about once a second. `age` is the seconds since the last frame of Slack's."""

    def __init__(self, handler: SocketModeHandler, silence: float) -> None:
        self.client, self.silence = handler.client, silence
        self.client.on_message_listeners.append(self.heard)
        self._last = self._looked = time.monotonic()
        self._pong: Any = None

    def heard(self, message: str = "") -> None:
        """A frame came in."""
        self._last = time.monotonic()

    def connected(self) -> bool:
        """Does the SDK think that it is?"""
        return bool(self.client.is_connected())

    @property
    def age(self) -> float:
        """Seconds since the last frame."""
        return time.monotonic() - self._last

    def silent(self) -> bool:
        """Has nothing come for too long? Ask once a second."""
        now, session = time.monotonic(), self.client.current_session
        pong = (id(session), getattr(session, "last_ping_pong_time", None))
        if now - self._looked > FROZEN or (pong != self._pong and pong[1] is not None):
            self._last = now
        self._looked, self._pong = now, pong
        return self.age > self.silence

    def fault(self) -> str:
        """Why Slack's clicks do not arrive; empty where they do."""
        if not self.connected():
            return f"slack: not connected, last frame {self.age:.0f} s ago"
        return f"slack: nothing heard for {self.age:.0f} s" if self.age > self.silence / 2 else ""
