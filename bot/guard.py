"""Who is this, may they: one gate before every listener, as Bolt's global middleware.

Bolt dispatches requests of other teams and apps as readily as our own; button values and message ids come from outside
and name things, they prove nothing. A button's value is looked up in the audit trail and held against the message that
it was clicked on; a form counts only as it was opened, for whom it was opened.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from bot.forms import Forms
from bot.people import AWAY, People
from bot.rate import Rate
from bot.reply import Reply
from core.errors import Problem, Refused
from core.ledger import Ledger
from core.model import Run
from core.report.case import BROKEN

VALUE = re.compile(r"(RB-[0-9A-Z]{4}|plan-[0-9a-f]{1,12})\.([1-9]\d{0,5})", re.ASCII)
"""What our buttons carry: a run, or a plan that was only shown, and its revision."""
APART = re.compile(r"drill-([1-9]\d{0,14})(?:\.[1-9]\d{0,2})?", re.ASCII)
"""What the buttons carry that belong to no run: the event that their message tells, and a choice."""
SHORTCUTS = ("shortcut", "message_action")
KINDS = {"command", "event_callback", "block_actions", "view_submission", "view_closed", "block_suggestion", *SHORTCUTS}
"""What Slack sends to apps like ours. Source: docs.slack.dev, interaction payloads."""
PERSON = re.compile(r"[UW][A-Z0-9]+", re.ASCII)
ONLY_SHOWN = ("rb.ask", "rb.plan", "rb.elsewhere")
"""Buttons of answers that one person alone sees. Slack does not tell us where these stand."""
AT_HOME = ("rb.review", "rb.owed")
OF_HOME = ("rb.open", "rb.history", "rb.doctor")
"""Buttons of the Home tab that are about no run: their value is `home`."""


def going_down() -> Refused:
    """What everybody is told who comes while the process ends."""
    return Refused(
        "E-ENDING", "I am going down. Nothing was started, and no click was counted.", "Try again in a minute."
    )


class Guard:
    """Passes a request on, or answers it. Everything that it lets through is of our team, our app and a real person."""

    def __init__(
        self,
        people: People,
        ledger: Ledger,
        team_id: str,
        app_id: str,
        forms: Forms,
        ending: Callable[[], bool] = lambda: False,
    ) -> None:
        self.people, self.ledger, self.team_id, self.app_id, self.forms = people, ledger, team_id, app_id, forms
        self.rate, self.ending = Rate(), ending

    def __call__(self, body: dict[str, Any], reply: Reply, forward: Callable[[], Any]) -> Any:
        """The gate itself; `forward` goes on to the listener."""
        try:
            if self.ending():
                raise going_down()
            self.check(body)
        except Problem as problem:
            return reply.refuse(problem)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            return reply.refuse(stale())  # of another shape than Slack's requests
        return forward()

    def check(self, body: dict[str, Any]) -> None:
        """Raises Refused."""
        person, teams = who(body), {body.get("team_id"), (body.get("team") or {}).get("id")} - {None}
        here = teams == {self.team_id} and set(homes(body.get("user"))) <= teams
        # of shortcuts Slack does not say which app they are for; all they do is open a form
        app = body.get("api_app_id", self.app_id if body.get("type") in SHORTCUTS else None)
        if not here or app != self.app_id or not PERSON.fullmatch(person):
            raise outsider()
        if not self.rate.left(person):
            raise Refused("E-RATE", "That was a lot at once, so I did nothing.", "Try again in a few seconds.")
        self.people.may_act(person)
        if kind_of(body) == "event_callback":
            return
        self.not_shared(body)
        if body.get("type") == "block_actions":
            self.ours(body, person)
        if (
            body.get("type") in ("view_submission", "block_suggestion")
            and self.forms.carried(body["view"], person) is None
        ):
            raise stale("This form is not one of mine, or it was opened for somebody else. Nothing was done.")

    def not_shared(self, body: dict[str, Any]) -> None:
        """Raises Refused(E-EXTERNAL) in channels that another organisation can read."""
        for channel in places(body):
            try:
                shared = self.people.shared(channel)
            except AWAY:
                raise Refused(
                    "E-CANNOT-CHECK", "Slack did not tell me who can read this channel.", "Try again in a minute."
                ) from None
            if shared:
                raise Refused(
                    "E-EXTERNAL",
                    "This channel is shared with another organisation. I show no SQL here and take no approval here.",
                    "Use a channel of our own.",
                )

    def ours(self, body: dict[str, Any], person: str) -> None:
        """A click counts only where we have put that button. Raises Refused(E-STALE)."""
        values = {value_of(action) for action in body["actions"]}
        names = {action.get("action_id") for action in body["actions"]}
        if values == {"home"} and names <= {*OF_HOME} and (body.get("view") or {}).get("type") == "home":
            return
        apart = [APART.fullmatch(value) for value in values]
        if apart and all(apart):
            self.told({int(match[1]) for match in apart if match}, body)
            return
        found = [VALUE.fullmatch(value) for value in values]
        if not values or not all(found):
            raise stale()
        runs = {match[1] for match in found if match}
        container, view = body["container"], body.get("view") or {}
        if container["type"] == "message" and container.get("is_ephemeral"):
            known = names <= {*ONLY_SHOWN} and all(run.startswith("plan-") for run in runs)
        elif container["type"] == "message":
            known = len(places(body)) == 1 and self.posted(runs, container["channel_id"], container["message_ts"])
        elif view.get("type") == "home":
            known = names <= {*AT_HOME}
        else:
            carried = self.forms.carried(view, person)
            known = carried is not None and runs == {carried.get("run")}
        if not known:
            raise stale()
        for match in found:
            if match and match[1].startswith("RB-") and int(match[2]) > run_of(self.ledger, match[1]).revision:
                raise stale()

    def told(self, events: set[int], body: dict[str, Any]) -> None:
        """Raises Refused(E-STALE) where the message that was clicked on does not tell these events."""
        container = body["container"]
        if container["type"] != "message" or container.get("is_ephemeral") or len(places(body)) != 1:
            raise stale()
        if not self.posted(events, container["channel_id"], container["message_ts"], "event"):
            raise stale()

    def posted(self, what: set[Any], channel: str, ts: str, by: str = "run") -> bool:
        """Have we posted this message for these runs, or to tell these events?"""
        for _ in range(10):
            if what <= {post[by] for post in self.ledger.posts("channel = ? AND ts = ?", (channel, ts))}:
                return True
            time.sleep(0.05)  # people can see a message before its address has come back to us
        return False


def run_of(ledger: Ledger, run_id: str) -> Run:
    """A run. Raises Refused: E-RUN-UNKNOWN, or E-LEDGER where somebody has written into the trail what is no event."""
    try:
        return ledger.run(run_id)
    except BROKEN:
        told = f"*{run_id}* cannot be read: the audit trail is broken."
        raise Refused("E-LEDGER", told, f"In the shell: `rollback report {run_id}`, `rollback audit verify`.") from None


def kind_of(body: dict[str, Any]) -> str:
    """What the request is, where it is nothing else besides. Raises Refused(E-STALE) for kinds that we do not know.

    Bolt looks at single keys: a form that also carries an event would be a form to it, and older kinds are clicks.
    """
    kind = "command" if "type" not in body and "command" in body else str(body.get("type"))
    if (
        kind not in KINDS
        or ("event" in body) != (kind == "event_callback")
        or (kind == "command") != ("command" in body)
    ):
        raise stale("I do not know what this is. Nothing was done.")
    return kind


def value_of(action: dict[str, Any]) -> str:
    """What a button carries, or the option that was chosen of a menu."""
    return str((action.get("selected_option") or action).get("value"))


def outsider() -> Refused:
    """Nobody of ours."""
    return Refused(
        "E-GUEST",
        "Guests, apps and people of other workspaces cannot ask or approve here.",
        "Ask a member of the team to do it.",
    )


def stale(what: str = "This button does not belong to a message of mine.") -> Refused:
    """Nothing that we have shown."""
    return Refused("E-STALE", what, "`/rollback status` shows the card.")


def homes(user: Any) -> list[Any]:
    """The workspace that the acting person is of, where the request says it."""
    return [user["team_id"]] if isinstance(user, dict) and "team_id" in user else []


def who(body: dict[str, Any]) -> str:
    """The acting user's id, wherever this kind of request carries it; empty where it names nobody."""
    user = body.get("user")
    found = user.get("id") if isinstance(user, dict) else body.get("user_id") or (body.get("event") or {}).get("user")
    return found if isinstance(found, str) else ""


def place(body: dict[str, Any]) -> str | None:
    """The channel that a request comes from."""
    return next(iter(places(body)), None)


def places(body: dict[str, Any]) -> list[str]:
    """The same in every way that the request names it: one channel, where it does not contradict itself."""
    found = (
        body.get("channel_id"),
        (body.get("channel") or {}).get("id"),
        (body.get("container") or {}).get("channel_id"),
    )
    return list(dict.fromkeys(str(channel) for channel in found if channel))
