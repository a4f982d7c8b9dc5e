"""Who is this, may they: one gate before every listener, as Bolt's global middleware.

Bolt dispatches requests of other teams and apps as readily as our own; button values and message ids come from outside
and name things, they prove nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bot.people import AWAY, People
from bot.reply import Reply
from core.errors import Problem, Refused
from core.ledger import Ledger

HARMLESS = ("app_home_opened",)


def going_down() -> Refused:
    """What everybody is told who comes while the process ends."""
    return Refused(
        "E-ENDING", "I am going down. Nothing was started, and no click was counted.", "Try again in a minute."
    )


class Guard:
    """Passes a request on, or answers it. Everything that it lets through is of our team, our app and a real person."""

    def __init__(
        self, people: People, ledger: Ledger, team_id: str, app_id: str | None, ending: Callable[[], bool]
    ) -> None:
        self.people, self.ledger, self.team_id, self.app_id, self.ending = people, ledger, team_id, app_id, ending

    def __call__(self, body: dict[str, Any], reply: Reply, forward: Callable[[], Any]) -> Any:
        """The gate itself; `forward` goes on to the listener."""
        try:
            if self.ending():
                raise going_down()
            self.check(body)
        except Problem as problem:
            return reply.refuse(problem)
        return forward()

    def check(self, body: dict[str, Any]) -> None:
        """Raises Refused."""
        team = body.get("team_id") or (body.get("team") or {}).get("id")
        user = body.get("user") or {}
        home = user.get("team_id", team) if isinstance(user, dict) else team
        if team != self.team_id or home != self.team_id or (self.app_id and body.get("api_app_id") != self.app_id):
            raise Refused(
                "E-GUEST",
                "Guests, apps and people of other workspaces cannot ask or approve here.",
                "Ask a member of the team to do it.",
            )
        if (body.get("event") or {}).get("type") in HARMLESS:
            return
        self.people.may_act(who(body))
        self.not_shared(body)
        self.ours(body)

    def not_shared(self, body: dict[str, Any]) -> None:
        """Raises Refused(E-EXTERNAL) in channels that another organisation can read."""
        channel = place(body)
        if not channel or channel.startswith("D"):
            return
        try:
            record = self.people.channel(channel)
        except AWAY as error:
            # a private channel without the bot cannot be looked up: it cannot be shared with us either
            if "channel_not_found" in str(error):
                return
            raise Refused(
                "E-CANNOT-CHECK", "Slack did not tell me who can read this channel.", "Try again in a minute."
            ) from None
        if record.get("is_ext_shared") or record.get("is_pending_ext_shared"):
            raise Refused(
                "E-EXTERNAL",
                "This channel is shared with another organisation. I show no SQL here and take no approval here.",
                "Use a channel of our own.",
            )

    def ours(self, body: dict[str, Any]) -> None:
        """A click on a message counts only on a message that we posted for that run. Raises Refused(E-STALE)."""
        container = body.get("container") or {}
        if body.get("type") != "block_actions" or container.get("type") != "message" or container.get("is_ephemeral"):
            return
        runs = {run_of(action) for action in body.get("actions", [])}
        where = (container.get("channel_id"), container.get("message_ts"))
        for _ in range(10):
            if runs <= {post["run"] for post in self.ledger.posts("channel = ? AND ts = ?", where)}:
                return
            time.sleep(0.05)  # people can see a message before its address has come back to us
        raise Refused(
            "E-STALE", "This button does not belong to a message of mine.", "`/rollback status` shows the card."
        )


def who(body: dict[str, Any]) -> str:
    """The acting user's id, wherever this kind of request carries it."""
    user = body.get("user")
    return str(user["id"] if isinstance(user, dict) else body.get("user_id") or (body.get("event") or {}).get("user"))


def place(body: dict[str, Any]) -> str | None:
    """The channel that a request comes from."""
    found = (
        body.get("channel_id")
        or (body.get("channel") or {}).get("id")
        or (body.get("container") or {}).get("channel_id")
    )
    return str(found) if found else None


def run_of(action: dict[str, Any]) -> str | None:
    """`RB-7K3M.1` -> `RB-7K3M`."""
    value = action.get("value")
    return str(value).rpartition(".")[0] if value else None
