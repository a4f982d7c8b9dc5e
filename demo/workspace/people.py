"""What people do: type a command, click, fill in a form. Each returns what Slack would show that person."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from . import chat, forms, payloads, views
from .blockkit import interactive
from .delivery import Delivery
from .model import BOT_USER, Answer, Channel, Json, Message, View, WorkspaceError
from .state import ResponseUrl, State


class People:
    """The people of a workspace. Every method raises WorkspaceError with the name that Slack would show."""

    def __init__(self, state: State, delivery: Delivery, events: frozenset[str]) -> None:
        self.state, self.delivery, self.events = state, delivery, events

    def _place(self, user: str, name: str) -> Channel:
        person = self.state.member(user)
        channel = self.state.direct(user) if name == f"D0{user[2:]}" else self.state.channel(name)
        if person.deleted or not self.state.is_in(user, channel):
            raise WorkspaceError("not_in_channel")
        if channel.is_archived:
            raise WorkspaceError("is_archived")
        return channel

    def command(self, user: str, channel: str, text: str, name: str) -> Answer:
        """Type a slash command. An answer in the `ack` becomes a message, ephemeral unless `in_channel`."""
        place = self._place(user, channel)
        with self.state.changing():
            payload = payloads.command(self.state, user, place, name, text)
        reply = self.delivery.deliver("slash_commands", payload)
        if reply.get("text") or reply.get("blocks"):
            chat.answer(self.state, ResponseUrl(place.id, user, time.monotonic()), reply)
        return Answer(reply.get("text"), reply.get("blocks"), view=self.top(user), raw=reply)

    def say(self, user: str, channel: str, text: str, thread_ts: str | None) -> Message:
        """Write a message."""
        place = self._place(user, channel)
        message = Message(self.state.new_ts(), place.id, user, text, thread_ts=thread_ts)
        self.state.post(message)
        body = {"type": "message", "channel": place.id, "user": user, "text": text, "ts": message.ts}
        if thread_ts:
            body["thread_ts"] = thread_ts
        if "message" in self.events:
            self.raw("events_api", payloads.event(self.state, body))
        if "app_mention" in self.events and f"<@{BOT_USER}>" in text:
            self.raw("events_api", payloads.event(self.state, {**body, "type": "app_mention"}))
        return message

    def click(self, user: str, channel: str, ts: str, action_id: str, block_id: str | None, selected: Any) -> Answer:
        """Use a button or menu of a message as it stands now. Raises `message_not_found`, `no_such_element`."""
        place = self._place(user, channel)
        with self.state.changing():
            message = self.state.find(place.id, ts)
            if message is None or not message.visible_to(user):
                raise WorkspaceError("message_not_found")
            action = self._action(message.blocks, action_id, block_id, selected, {})
            payload = payloads.click_message(self.state, user, message, action)
        return Answer(raw=self.raw("interactive", payload), view=self.top(user))

    def click_view(self, user: str, view_id: str, action_id: str, block_id: str | None, selected: Any) -> Answer:
        """Use a button or menu in the open modal or on Home. Raises `not_found`, `no_such_element`."""
        with self.state.changing():
            view = self._own_view(user, view_id)
            action = self._action(view.blocks, action_id, block_id, selected, view.options)
            if selected is not None:
                values = {name: each for name, each in action.items() if name.startswith("selected") or name == "type"}
                view.state.setdefault(action["block_id"], {})[action_id] = values
            payload = payloads.click_view(self.state, user, view, action)
        return Answer(raw=self.raw("interactive", payload), view=self.top(user))

    def _action(
        self, blocks: list[Json], action_id: str, block_id: str | None, selected: Any, offered: Mapping[str, list[Json]]
    ) -> Json:
        for block in blocks:
            for element in interactive(block):
                if element.get("action_id") == action_id and block_id in (None, block["block_id"]):
                    options = offered.get(block["block_id"], [])
                    extra = {} if selected is None else forms.chosen(element, selected, options)
                    return payloads.action_of(element, block["block_id"], self.state.new_ts(), extra)
        raise WorkspaceError("no_such_element", [f"there is no {action_id} here now"])

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

    def close(self, user: str, view_id: str | None = None) -> None:
        """Close the modal on top. The app is told where it asked for it; a late answer bothers nobody."""
        with self.state.changing():
            view = self._own_view(user, view_id)
            cleared = bool(view.body.get("clear_on_close"))
            if cleared:
                self.state.modals[user] = []
            else:
                self._remove(view)
            if not view.body.get("notify_on_close"):
                return
            payload = payloads.closed(self.state, view, cleared)
        self._unanswered("interactive", payload)

    def _unanswered(self, kind: Any, payload: Json) -> bool:
        try:
            self.raw(kind, payload)
        except WorkspaceError:
            return False  # nobody waits for this answer, so Slack shows no error
        return True

    def suggest(self, user: str, view_id: str | None, block_id: str, action_id: str, query: str) -> Answer:
        """Type into an external select of a modal. Raises `no_such_element`, `invalid_options`."""
        with self.state.changing():
            view = self._own_view(user, view_id)
            self._action(view.blocks, action_id, block_id, None, {})
            payload = payloads.suggestion(self.state, view, block_id, action_id, query)
        reply = self.raw("interactive", payload)
        groups = reply.get("option_groups", [])
        options = reply.get("options", []) + [option for group in groups for option in group["options"]]
        wrong = forms.wrong_options(options)
        if wrong:
            raise WorkspaceError("invalid_options", wrong)
        with self.state.changing():
            view.options[block_id] = options
        return Answer(options=options, view=replace(view), raw=reply)

    def home(self, user: str, timeout: float) -> View:
        """Open the Home tab and wait for the app to publish it. Raises `home_not_published`."""
        self.state.member(user)
        before = self.state.homes.get(user)
        count = before.published if before else 0
        if "app_home_opened" in self.events:
            self._unanswered("events_api", payloads.home_opened(self.state, user, before))
        try:
            self.state.wait_for(lambda: user in self.state.homes and self.state.homes[user].published > count, timeout)
        except TimeoutError:
            raise WorkspaceError("home_not_published") from None
        return replace(self.state.homes[user])

    def shortcut(self, user: str, callback_id: str, channel: str | None, ts: str | None) -> Answer:
        """A global shortcut, or with `channel` and `ts` one on a message."""
        with self.state.changing():
            if channel is None or ts is None:
                payload = payloads.shortcut(self.state, user, callback_id)
            else:
                message = self.state.find(self._place(user, channel).id, ts)
                if message is None or not message.visible_to(user):
                    raise WorkspaceError("message_not_found")
                payload = payloads.message_action(self.state, user, callback_id, message)
        return Answer(raw=self.raw("interactive", payload), view=self.top(user))
