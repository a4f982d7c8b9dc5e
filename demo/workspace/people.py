"""What people do: type a command, click, fill in a form. Each returns what Slack would show that person."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import chat, forms, payloads, views
from .blockkit import interactive
from .delivery import Delivery
from .manifest import Manifest
from .model import BOT_USER, TEAM_ID, Answer, Channel, Json, Message, View, WorkspaceError
from .state import ResponseUrl, State


@dataclass(frozen=True)
class Seen:
    """What somebody has clicked on, as it was drawn: a button may have got another block meanwhile, as each update of an
    app does that names no blocks. It is the same where action and value are."""

    action_id: str
    block_id: str | None = None
    value: str | None = None

    def among(self, blocks: list[Json]) -> tuple[str, Json]:
        """Its block and itself as they are now. Raises `no_such_element`."""
        there = [
            (str(block["block_id"]), element)
            for block in blocks
            if block["type"] != "input"
            or block.get("dispatch_action")  # else the app hears of it when the form is sent
            for element in interactive(block)
            if element.get("action_id") == self.action_id
        ]
        here = [each for each in there if self.block_id in (None, each[0])]
        same = [each for each in there if self.value and each[1].get("value") == self.value]
        if not here and len(same) != 1:
            raise WorkspaceError("no_such_element", [f"there is no {self.action_id} here now"])
        return (here or same)[0]


class People:
    """The people of a workspace. Every method raises WorkspaceError with the name that Slack would show."""

    def __init__(self, state: State, delivery: Delivery, app: Manifest) -> None:
        self.state, self.delivery, self.app = state, delivery, app

    def _place(self, user: str, name: str) -> Channel:
        person = self.state.member(user)
        channel = self.state.direct(user) if name == f"D0{user[2:]}" else self.state.channel(name)
        if person.deleted or not self.state.is_in(user, channel):
            raise WorkspaceError("not_in_channel")
        if channel.is_archived:
            raise WorkspaceError("is_archived")
        return channel

    def command(self, user: str, channel: str, text: str, name: str) -> Answer:
        """Type a slash command. An answer in the `ack` becomes a message, ephemeral unless `in_channel`.

        Raises `no_such_command` for one that the app's manifest does not name.
        """
        place = self._place(user, channel)
        known = self.app.commands
        if known is not None and all(each["command"] != name for each in known):
            raise WorkspaceError("no_such_command", [f"{name} is not a valid command"])
        with self.state.changing():
            payload = payloads.command(self.state, user, place, name, text)
        reply = self.delivery.deliver("slash_commands", payload)
        if reply.get("text") or reply.get("blocks"):
            chat.answer(self.state, ResponseUrl(place.id, user, time.monotonic()), reply)
        return Answer(reply.get("text"), reply.get("blocks"), view=self.top(user), raw=reply)

    def say(self, user: str, channel: str, text: str, thread_ts: str | None) -> Message:
        """Write a message. Raises `restricted_action` in direct messages that the app has made read-only."""
        place = self._place(user, channel)
        if place.is_im and self.app.read_only:
            raise WorkspaceError("restricted_action")
        message = Message(self.state.new_ts(), place.id, user, text, thread_ts=thread_ts)
        self.state.post(message)
        kind = "im" if place.is_im else "group" if place.is_private else "channel"
        body = {"type": "message", "channel": place.id, "channel_type": kind, "user": user, "text": text}
        body |= {"ts": message.ts, "team": TEAM_ID, **({"thread_ts": thread_ts} if thread_ts else {})}
        if self.state.is_in(BOT_USER, place) and f"message.{kind if place.is_im else kind + 's'}" in self.app.events:
            self._unanswered("events_api", payloads.event(self.state, body))
        if "app_mention" in self.app.events and f"<@{BOT_USER}>" in text:
            self._unanswered("events_api", payloads.event(self.state, {**body, "type": "app_mention"}))
        return message

    def click(
        self,
        user: str,
        channel: str,
        ts: str,
        seen: Seen,
        selected: Any,
        values: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Use a button, menu or field of a message as it stands now; `values`: what its other fields hold.

        Raises `message_not_found`, `no_such_element`, `no_such_option`.
        """
        place = self._place(user, channel)
        with self.state.changing():
            message = self._seen(user, place, ts)
            action = self._action(message.blocks, seen, selected, message.options)
            given = _with(values or {}, action, selected)
            state = forms.state_of(message.blocks, {}, given, message.options)
            payload = payloads.click_message(self.state, user, message, action, state)
        return Answer(raw=self.raw("interactive", payload), view=self.top(user))

    def _seen(self, user: str, place: Channel, ts: str) -> Message:
        message = self.state.find(place.id, ts)
        if message is None or not message.visible_to(user):
            raise WorkspaceError("message_not_found")
        return message

    def click_view(
        self,
        user: str,
        view_id: str,
        seen: Seen,
        selected: Any,
        values: Mapping[str, Any] | None = None,
    ) -> Answer:
        """The same in the open modal or on Home. Raises `not_found`, `no_such_element`, `no_such_option`."""
        with self.state.changing():
            view = self._own_view(user, view_id)
            action = self._action(view.blocks, seen, selected, view.options)
            given = _with(values or {}, action, selected)
            view.state = forms.state_of(view.blocks, view.state, given, view.options)
            payload = payloads.click_view(self.state, user, view, action)
        return Answer(raw=self.raw("interactive", payload), view=self.top(user))

    def _action(self, blocks: list[Json], seen: Seen, selected: Any, offered: Mapping[str, list[Json]]) -> Json:
        block_id, element = seen.among(blocks)
        extra = {} if selected is None else forms.chosen(element, selected, offered.get(block_id, []))
        return payloads.action_of(element, block_id, self.state.new_ts(), extra)

    def raw(self, kind: Any, payload: Json) -> Json:
        """Send any payload."""
        return self.delivery.deliver(kind, payload)

    def top(self, user: str) -> View | None:
        """The modal that this person sees, as it is now."""
        with self.state.reading():
            view = self._live_top(user)
            return replace(view) if view else None

    def _live_top(self, user: str) -> View | None:
        return next(reversed(self.state.modals.get(user, [])), None)

    def _own_view(self, user: str, view_id: str | None) -> View:
        if view_id is None:
            view = self._live_top(user)
        else:
            mine = [*self.state.modals.get(user, []), *filter(None, [self.state.homes.get(user)])]
            view = next((each for each in mine if each.id == view_id), None)
        if view is None:
            raise WorkspaceError("not_found")
        return view

    def submit(self, user: str, values: Mapping[str, Any], view_id: str | None) -> Answer:
        """Fill in and send the modal on top. What Slack's client refuses by itself is never sent."""
        with self.state.changing():
            view = self._own_view(user, view_id)
            if "submit" not in view.body:
                raise WorkspaceError("no_such_element", ["this modal has no submit button"])
            forms.fill(view, values)
            view.errors = forms.local_errors(view)
            if view.errors:
                return Answer(action="errors", errors=dict(view.errors), view=replace(view))
            payload = payloads.submission(self.state, view)
        return self._answered(view, self.raw("interactive", payload))

    def _answered(self, view: View, reply: Json) -> Answer:
        action = reply.get("response_action")
        with self.state.changing():
            if action == "errors":
                view.errors = self._errors(view, reply.get("errors"))
            elif action == "update":
                views.replace(self.state, view, reply.get("view"))
            elif action == "push":
                views.push_on(self.state, view.user, reply.get("view"), on_top=True)
            elif action == "clear":
                self.state.modals[view.user] = []
            elif action is None:
                self._remove(view)
            else:
                raise WorkspaceError("invalid_response_action", [str(action)])
        return Answer(action=action, errors=dict(view.errors), view=self.top(view.user), raw=reply)

    def _errors(self, view: View, errors: Any) -> dict[str, str]:
        inputs = {block["block_id"] for block in view.blocks if block["type"] == "input"}
        if not isinstance(errors, dict) or not errors or not set(errors) <= inputs:
            raise WorkspaceError("invalid_response_action", ["errors must name input blocks of the view by block_id"])
        return {name: str(text) for name, text in errors.items()}

    def _remove(self, view: View) -> None:
        stack = self.state.modals.get(view.user, [])
        self.state.modals[view.user] = [each for each in stack if each is not view]

    def close(self, user: str, view_id: str | None = None, whole: bool = False) -> None:
        """Close the modal on top, or with `whole` the stack. The app is told of each that asked for it.

        A late answer bothers nobody. Raises `not_found`.
        """
        with self.state.changing():
            view = self._own_view(user, view_id)
            stack = self.state.modals.get(user, [])
            cleared = bool(view.body.get("clear_on_close")) or (whole and len(stack) > 1)
            gone = list(reversed(stack)) if cleared else [view]
            for each in gone:
                self._remove(each)
            told = [payloads.closed(self.state, each, cleared) for each in gone if each.body.get("notify_on_close")]
        for payload in told:
            self._unanswered("interactive", payload)

    def _unanswered(self, kind: Any, payload: Json) -> bool:
        try:
            self.raw(kind, payload)
        except WorkspaceError:
            return False  # nobody waits for this answer, so Slack shows no error
        return True

    def suggest(self, user: str, place: View | Message | None, block_id: str, action_id: str, query: str) -> Answer:
        """Type into an external select; `place` None is the modal on top. Too few characters ask nobody.

        Raises `not_found`, `no_such_element`, `invalid_options`.
        """
        with self.state.changing():
            place = place or self._own_view(user, None)
            there = (each for block in place.blocks if block["block_id"] == block_id for each in interactive(block))
            element = next((each for each in there if each.get("action_id") == action_id), None)
            if element is None:
                raise WorkspaceError("no_such_element", [f"there is no {action_id} here now"])
            if len(query) < element.get("min_query_length", forms.SHORTEST_QUERY):
                return Answer()
            payload = payloads.suggestion(self.state, user, place, block_id, action_id, query)
        reply = self.raw("interactive", payload)
        options, groups = forms.offer(reply)
        with self.state.changing():
            place.options[block_id] = [*options, *(each for group in groups for each in group["options"])]
        return Answer(options=place.options[block_id], groups=groups, view=self.top(user), raw=reply)

    def home(self, user: str, timeout: float) -> View:
        """Open the Home tab and wait for the app to publish it. Raises `home_not_published`."""
        self.state.member(user)
        before = self.state.homes.get(user)
        count = before.published if before else 0
        if "app_home_opened" in self.app.events:
            self._unanswered("events_api", payloads.home_opened(self.state, user, before))
        try:
            self.state.wait_for(lambda: user in self.state.homes and self.state.homes[user].published > count, timeout)
        except TimeoutError:
            raise WorkspaceError("home_not_published") from None
        return replace(self.state.homes[user])

    def shortcut(self, user: str, callback_id: str, channel: str | None, ts: str | None) -> Answer:
        """A global shortcut, or with `channel` and `ts` one on a message.

        Raises `no_such_shortcut` for one that the app's manifest does not name, `message_not_found`.
        """
        on_message = channel is not None and ts is not None
        mine = {"type": "message" if on_message else "global", "callback_id": callback_id}
        known = self.app.shortcuts
        if known is not None and not any(mine.items() <= each.items() for each in known):
            raise WorkspaceError("no_such_shortcut", [f"the app has no {mine['type']} shortcut {callback_id}"])
        with self.state.changing():
            if channel is None or ts is None:
                payload = payloads.shortcut(self.state, user, callback_id)
            else:
                message = self._seen(user, self._place(user, channel), ts)
                if message.ephemeral_for:
                    raise WorkspaceError("message_not_found")
                payload = payloads.message_action(self.state, user, callback_id, message)
        return Answer(raw=self.raw("interactive", payload), view=self.top(user))

    def at(self, user: str, view_id: str | None, channel: str | None, ts: str | None) -> View | Message:
        """A view by id, or a message by channel and ts. Raises `not_found`, `message_not_found`."""
        with self.state.reading():
            if channel is None or ts is None:
                return self._own_view(user, view_id)
            return self._seen(user, self._place(user, channel), ts)


def _with(values: Mapping[str, Any], action: Json, selected: Any) -> Mapping[str, Any]:
    """The values of the page, and what the element that was used holds from now on."""
    if selected is None:
        return values
    block = values.get(action["block_id"])
    return {**values, action["block_id"]: {**(block if isinstance(block, dict) else {}), action["action_id"]: action}}
