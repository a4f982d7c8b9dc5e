"""Switches that break things, for people to watch how a bot copes. Those of Slack are here; a demo adds its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass
from typing import Any

from .delivery import Sockets
from .model import Json, WorkspaceError
from .server import Server
from .state import State

SLACKS = ("Slack", "More of Slack")
MOST = 3600.0  # of a number: seconds, or calls


@dataclass(frozen=True)
class Switch:
    """One thing that can be broken. `does` and `undo` are a plain sentence each.

    `value` gives what it is set to: a bool, a number, a list or a map; `turn` takes one of the same kind. Without
    `value` it is a button, and happens once. Neither may wait for the workspace. `part`: the heading that it stands under.
    """

    name: str
    label: str
    does: str
    undo: str
    turn: Callable[[Any], None]
    value: Callable[[], Any] | None = None
    part: str = SLACKS[0]


class Switches:
    """All switches of a workspace."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.all: dict[str, Switch] = {}
        self.whole: dict[str, Any] = {}  # by name: the value while nothing is broken

    def add(self, switch: Switch) -> None:
        """Offer one more. Raises ValueError where there is one of that name."""
        if switch.name in self.all:
            raise ValueError(f"there is a switch {switch.name} already")
        self.all[switch.name] = switch
        self.whole[switch.name] = copy(switch.value()) if switch.value else None
        with self.state.changing():
            pass  # tells the pages

    def turn(self, name: str, value: Any) -> None:
        """Set one. Raises WorkspaceError `unknown_fault`, or `invalid_arguments` for a value of another kind."""
        switch = self.all.get(name)
        if switch is None:
            raise WorkspaceError("unknown_fault")
        switch.turn(_like(switch.value() if switch.value else None, value))
        with self.state.changing():
            pass

    def mend(self) -> None:
        """Set every one as it was when it was added."""
        for name, switch in self.all.items():
            if switch.value and switch.value() != self.whole[name]:
                switch.turn(copy(self.whole[name]))
        with self.state.changing():
            pass

    def as_json(self) -> list[Json]:
        """For the page, those of the demo first; `on`: it is not as it was when it was added."""
        shown = []
        for switch in sorted(self.all.values(), key=lambda each: each.part in SLACKS):
            value = switch.value() if switch.value else None
            words = {"name": switch.name, "label": switch.label, "does": switch.does, "undo": switch.undo}
            now = {"value": sorted(value) if isinstance(value, set) else value, "on": value != self.whole[switch.name]}
            shown.append({**words, "part": switch.part, "button": switch.value is None, **now})
        return shown


def _like(now: Any, value: Any) -> Any:
    """The value in the kind of what is set now; a button takes what it is given."""
    if now is None:
        return value
    if isinstance(now, bool):
        return bool(value)
    try:
        given = type(now)(value)
    except (TypeError, ValueError):
        raise WorkspaceError("invalid_arguments", ["the switch takes another kind of value"]) from None
    if isinstance(given, int | float) and not (math.isfinite(given) and 0 <= given <= MOST):
        raise WorkspaceError("invalid_arguments", [f"the switch takes 0 to {MOST:.0f}"])
    return given


UNTIL_OFF = "Switch it off."
COUNTS_DOWN = "It counts down to 0 by itself; 0 ends it at once."
SLACK = (
    ("down", "Slack is down", "Every call of the bot is refused, and so is a new connection.", UNTIL_OFF),
    ("slow", "Slack is slow", "Each call of the bot is answered only after so many seconds.", "Set it to 0."),
    ("deliver_twice", "Deliver twice", "Each click, command and form reaches the bot two times.", UNTIL_OFF),
    ("lose_answer", "Lose answers", "So many calls do their work, but the bot never hears the answer.", COUNTS_DOWN),
    ("ratelimit", "Too many requests", "So many calls are refused with 429, as Slack does when it is asked too often.",
     COUNTS_DOWN),
    ("retry_after", "… and for how long", "So many seconds Slack asks for with each 429.", "Set it to 1."),
)  # fmt: skip
RARE = (
    ("silent", "Silent connection", "The bot's connection looks open, but nothing passes.", UNTIL_OFF),
    ("deliver_late", "Deliver again, late", "Each payload comes once more after so many seconds.", "Set it to 0."),
    ("errors", "Errors by method", "Calls of a method are refused with an error: chat.update=edit_window_closed.",
     "Empty the field."),
    ("only", "Only these methods", "Slow, lost and too many then hit these methods alone: chat.update, views.open.",
     "Empty the field."),
)  # fmt: skip


def of_slack(state: State, sockets: Sockets, server: Server) -> Iterable[Switch]:
    """What can be broken of Slack itself."""
    yield from (_fault(state, SLACKS[0], *words) for words in SLACK)
    yield Switch(
        "one_message_per_second",
        "One message a second",
        "A second message in a channel within one second is refused, as in Slack.",
        UNTIL_OFF,
        lambda on: setattr(state, "one_message_per_second", on),
        lambda: state.one_message_per_second,
    )
    yield Switch(
        "cut_socket",
        "Cut the connection",
        "The bot's connection to Slack breaks without a word.",
        "The bot connects again by itself.",
        lambda _: server.cut_sockets(),
        part=SLACKS[1],
    )
    yield Switch(
        "disconnect",
        "Renew the connection",
        "Slack asks the bot to connect anew, as it does every few hours.",
        "The bot connects again by itself.",
        lambda reason: sockets.disconnect(reason if isinstance(reason, str) else "refresh_requested"),
        part=SLACKS[1],
    )
    yield from (_fault(state, SLACKS[1], *words) for words in RARE)


def _fault(state: State, part: str, name: str, label: str, does: str, undo: str) -> Switch:
    faults = state.faults
    return Switch(
        name, label, does, undo, lambda value: setattr(faults, name, value), lambda: getattr(faults, name), part
    )
