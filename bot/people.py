"""Who is who in the workspace, read live from Slack and kept for half a minute. What cannot be asked is refused."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import structlog
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.client import OddAnswer, said
from bot.newer import Newer
from core.errors import Refused
from core.ledger import Ledger
from core.model import Person, Run
from core.settings import Settings, Target
from core.zone import Zone, here, named

log = structlog.get_logger()
KEPT = 30.0  # seconds
MENTIONED, CALLED = 20, 4
"""People and groups that a message mentions, and that it names; of the others it says how many there are."""
T = TypeVar("T")
AWAY = (SlackApiError, OSError, http.client.HTTPException)
"""What slack_sdk raises when Slack does not answer, or answers no."""
NOBODY = {"user_not_found", "user_not_visible", "users_not_found"}
"""Slack has answered: there is no such person for us."""


class People:
    """Users, groups and channels, and what follows from them: who may ask and approve (core.runbook.Rights)."""

    def __init__(self, client: WebClient, settings: Settings) -> None:
        self.client, self.settings, self.newer = client, settings, Newer()
        self.team_id: str | None = None  # our workspace, once Slack has told it
        self._kept: dict[str, tuple[float, Any]] = {}
        self._guard = threading.Lock()

    def _live(self, key: str, ask: Callable[[], T]) -> T:
        with self._guard:
            at, value = self._kept.get(key, (0.0, None))
        if value is not None and time.monotonic() - at < KEPT:
            known: T = value
            return known
        try:
            fresh = ask()
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            log.warning("odd answer", asked=key, error=type(error).__name__)
            raise OddAnswer(f"Slack did not say: {key}") from None
        with self._guard:
            self._kept[key] = (time.monotonic(), fresh)
        return fresh

    def forget(self) -> None:
        """The next answers come from Slack itself."""
        with self._guard:
            self._kept.clear()

    # -- facts ---------------------------------------------------------------------------------------------

    def user(self, user_id: str) -> dict[str, Any]:
        """Slack's record of a user. Raises one of AWAY."""
        return self._live(f"user {user_id}", lambda: dict(self.client.users_info(user=user_id)["user"]))

    def person(self, user_id: str, fallback: str = "") -> Person:
        """A person with the name that the channel knows."""
        try:
            user = self.user(user_id)
        except AWAY:
            return Person(user_id, fallback or user_id)
        named = said(user, "profile", "real_name") or said(user, "real_name") or said(user, "name")
        return Person(user_id, named or user_id)

    def zone(self, user_id: str) -> Zone:
        """The time zone that a person has set in Slack; where it does not say, the machine's."""
        try:
            told = str(self.user(user_id).get("tz") or "")
        except AWAY:
            told = ""
        return named(told) or here()

    def channel(self, channel_id: str) -> dict[str, Any]:
        """Slack's record of a channel. Raises one of AWAY."""
        return self._live(
            f"channel {channel_id}", lambda: dict(self.client.conversations_info(channel=channel_id)["channel"])
        )

    def shared(self, channel_id: str) -> bool:
        """Can another organisation read it, or soon? Raises one of AWAY where Slack does not tell.

        A private channel without the bot cannot be looked up; nothing is posted there, and an answer has one reader.
        """
        if channel_id.startswith("D"):
            return False
        try:
            record = self.channel(channel_id)
        except SlackApiError as error:
            if "channel_not_found" in str(error):
                return False
            raise
        return bool(record.get("is_ext_shared") or record.get("is_pending_ext_shared") or record.get("pending_shared"))

    def channel_id(self, name: str) -> str | None:
        """`#incidents` -> `C…`; an id stays what it is. None: no such channel here, or it is hidden from the bot."""
        if not name.startswith("#"):
            return name
        return self._live("channels", self._channels).get(name[1:])

    def _channels(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for page in self.client.conversations_list(types="public_channel,private_channel", limit=1000):
            found |= {channel["name"]: channel["id"] for channel in page["channels"]}
        return found

    def group_id(self, handle: str) -> str:
        """The id of a user group by id or @handle; who is in it is not asked. Raises one of AWAY, KeyError if there is none."""
        if not handle.startswith("@"):
            return handle
        ids = self._live("groups", lambda: {g["handle"]: g["id"] for g in self.client.usergroups_list()["usergroups"]})
        return str(ids[handle[1:]])

    def group(self, handle: str) -> tuple[str, list[str]]:
        """A user group by id or @handle: its id and its members. Raises one of AWAY, KeyError if there is none."""
        group = self.group_id(handle)
        members = self._live(
            f"group {group}", lambda: list(self.client.usergroups_users_list(usergroup=group)["users"])
        )
        return group, members

    def members(self, names: Sequence[str]) -> list[str]:
        """The user ids behind ids and groups, in order. Raises Refused(E-CANNOT-CHECK)."""
        found: list[str] = []
        for name in names:
            try:
                found += [name] if is_user(name) else self.group(name)[1]
            except KeyError:
                raise Refused(
                    "E-CANNOT-CHECK", f"There is no user group {name}.", "Correct the target's settings."
                ) from None
            except AWAY:
                raise cannot_check(name) from None
        return list(dict.fromkeys(found))

    def mention(self, names: Sequence[str]) -> str:
        """As Slack notifies them: `<!subteam^S…>`, `<@U…>`."""
        marks = []
        for name in names[:MENTIONED]:
            try:
                marks.append(f"<@{name}>" if is_user(name) else f"<!subteam^{self.group_id(name)}>")
            except (KeyError, *AWAY):
                marks.append(name)
        left = [f"and {len(names) - MENTIONED} more"] if len(names) > MENTIONED else []
        return " ".join([*marks, *left])

    def called(self, names: Sequence[str]) -> str:
        """As people read them, without a notification."""
        told = [self.person(name).name if is_user(name) else name for name in names[:CALLED]]
        left = [f"{len(names) - CALLED} more"] if len(names) > CALLED else []
        return ", ".join([*told, *left]) or "anyone"

    def link(self, ledger: Ledger, run_id: str) -> str | None:
        """The permalink of a run's card; None while there is none or Slack does not tell."""
        posts = ledger.posts("run = ? AND place = 'card' AND ts IS NOT NULL", (run_id,), newest=True)
        if not posts:
            return None
        channel, ts = posts[0]["channel"], posts[0]["ts"]
        try:
            return self._live(f"link {channel} {ts}", partial(self._permalink, channel, ts))
        except AWAY:
            return None

    def _permalink(self, channel: str, ts: str) -> str:
        found = said(self.client.chat_getPermalink(channel=channel, message_ts=ts), "permalink")
        if not found:
            raise LookupError("permalink")
        return found

    # -- rules ---------------------------------------------------------------------------------------------

    def may_act(self, user_id: str) -> None:
        """Raises Refused(E-GUEST) for guests, apps, deactivated people and strangers, E-CANNOT-CHECK if Slack is silent."""
        try:
            user = self.user(user_id)
        except SlackApiError as error:
            if error.response["error"] not in NOBODY:
                raise cannot_check("you") from None
            user = {"is_stranger": True}
        except AWAY:
            raise cannot_check("you") from None
        outside = ("is_bot", "deleted", "is_restricted", "is_ultra_restricted", "is_stranger", "is_workflow_bot")
        if any(user.get(mark) for mark in outside) or not self.of_ours(user):
            raise Refused(
                "E-GUEST",
                "Guests, apps and people of other workspaces cannot ask or approve here.",
                "Ask a member of the team to do it.",
            )

    def of_ours(self, user: dict[str, Any]) -> bool:
        """Of our workspace: Slack Connect shows people of other organisations too, and an org those of its others."""
        teams = {user.get("team_id"), *((user.get("enterprise_user") or {}).get("teams") or ())}
        return self.team_id is None or self.team_id in teams

    def may_ask(self, person: Person, target: Target) -> None:
        """Requesters of the target; everybody where none are named. Raises Refused."""
        if person.id.startswith("shell:"):
            raise Refused(
                "E-NOT-ALLOWED",
                f"The account {person.name} is not mapped to a person. Nothing was started.",
                "Map it to a Slack user id under [people] in the settings.",
            )
        self.may_act(person.id)
        if target.requesters and not self._among(person.id, target.requesters):
            raise Refused(
                "E-NOT-ALLOWED",
                f"You may not ask for rollbacks on *{target.name}*. Nothing was started.",
                f"{self.called(target.requesters)} may.",
            )

    def may_approve(self, person: Person, run: Run, target: Target) -> None:
        """Approvers of the target, never the requester. Raises Refused.

        Who is listed by id can decide, and keeps what was decided, while Slack does not answer; members of groups wait.
        """
        try:
            self.may_act(person.id)
        except Refused as no:
            if no.code != "E-CANNOT-CHECK" or person.id not in target.deciders:
                raise
        if self.settings.one_person(person.id) == self.settings.one_person(run.requester.id):
            raise Refused("E-SELF", f"You asked for *{run.id}*, so somebody else must approve it.")
        self.among_approvers(person, target, run.id)

    def among_approvers(self, person: Person, target: Target, run_id: str = "it") -> None:
        """Raises Refused(E-NOT-APPROVER)."""
        if not self._among(person.id, target.deciders):
            raise Refused(
                "E-NOT-APPROVER",
                f"Only {self.called(target.deciders)} may decide on *{run_id}*.",
                "Your click was not counted.",
            )

    def may_break(self, person: Person, target: Target) -> None:
        """The people named for break-glass. Nobody passes while Slack does not answer: it could not be told. Raises Refused."""
        self.may_act(person.id)
        if not self._among(person.id, target.break_glass.people):
            named = self.called(target.break_glass.people) if target.break_glass.people else "Nobody"
            raise Refused(
                "E-NOT-ALLOWED",
                f"You may not start a rollback on *{target.name}* without a second person. Nothing was started.",
                f"{named} may.",
            )

    def alone(self, run: Run, target: Target) -> bool:
        """Is there no approver who could be asked? False where Slack does not tell."""
        try:
            return not self.reachable(run, target)
        except Refused:
            return False

    def may_handle(self, person: Person, run: Run, target: Target) -> None:
        """Requesters and approvers: stop, execute again, check again, keep. Raises Refused."""
        if person.id == run.requester.id:
            self.may_act(person.id)
            return
        try:
            self.may_approve(person, run, target)
        except Refused as no:
            if no.code != "E-NOT-APPROVER":
                raise
            self.may_ask(person, target)

    def is_one_of(self, person: Person, names: Sequence[str]) -> bool:
        """Is it one of these people, or in one of these groups? Raises Refused(E-CANNOT-CHECK)."""
        return self._among(person.id, names)

    def _among(self, user_id: str, names: Sequence[str]) -> bool:
        # ids first: people who are listed by id can act while Slack does not tell who is in a group
        return user_id in names or user_id in self.members([name for name in names if not is_user(name)])

    def reachable(self, run: Run, target: Target, escalated: bool = False) -> list[str]:
        """Approvers who can be asked: not the requester, not deactivated. `escalated`, or where there are none: the next group too.

        Raises Refused(E-CANNOT-CHECK).
        """
        found = self._active(run, self.members(target.deciders if escalated else target.approvers))
        return found if found or escalated else self._active(run, self.members(target.escalation))

    def _active(self, run: Run, users: Sequence[str]) -> list[str]:
        found = []
        for user_id in users:
            try:
                self.may_act(user_id)
            except Refused as no:
                if no.code == "E-GUEST":
                    continue
            if self.settings.one_person(user_id) != self.settings.one_person(run.requester.id):
                found.append(user_id)
        return found


def is_user(name: str) -> bool:
    """Slack user ids begin with U or W."""
    return name[:1] in "UW"


def cannot_check(what: str) -> Refused:
    return Refused(
        "E-CANNOT-CHECK",
        f"Slack did not tell me who is {'in ' if what != 'you' else ''}{what}.",
        "I refuse rather than guess. Try again in a minute.",
    )
