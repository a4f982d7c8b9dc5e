"""Which of Slack's newer blocks are used: where a target asks for them, until Slack refuses one.

Not every client and workspace knows them. What was refused once is not tried again by this process, whatever the target
says; the message or form in which it was refused is sent in classic blocks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from bot.client import name_of
from core.settings import Target

log = structlog.get_logger()
KINDS = frozenset({"plan", "alert", "table", "data_visualization"})
REFUSED = frozenset({"invalid_blocks", "invalid_blocks_format", "invalid_arguments", "block_mismatch"})
"""Slack's errors for blocks that it does not take: in a message, in a view, in an edit."""


class Newer:
    """What this process knows of it. May be asked from any thread."""

    def __init__(self) -> None:
        self._refused: frozenset[str] = frozenset()
        self._guard = threading.Lock()

    def of(self, target: Target | None) -> frozenset[str]:
        """The kinds of blocks that may be used for a target."""
        return KINDS - self._refused if target and target.blocks == "new" else frozenset()

    def gives_up(self, error: str, payload: Mapping[str, Any]) -> bool:
        """Is it for its newer blocks that Slack has refused this message or view? Then they are not used any more."""
        found = used(payload)
        if error not in REFUSED or not found:
            return False
        with self._guard:
            new, self._refused = found - self._refused, self._refused | found
        if new:
            log.warning("slack does not take newer blocks: classic ones from now on", blocks=sorted(new), error=error)
        return True

    def sent(self, made: Any, classic: Callable[[], Any], send: Callable[[Any], Any]) -> Any:
        """The answer to a message; without newer blocks where Slack does not take them. Raises what `send` raises."""
        try:
            return send(made)
        except Exception as error:
            if not self.gives_up(name_of(error), made):
                raise
        return send(classic())


def used(payload: Mapping[str, Any]) -> frozenset[str]:
    """The newer blocks in a message or view."""
    return KINDS & {str(block.get("type")) for block in payload.get("blocks") or ()}
