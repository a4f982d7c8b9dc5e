"""The HTTP side that the page talks to. What it tells and takes needs the token, as `?token=` or as a cookie."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from .manifest import Manifest
from .model import BOT_USER, TEAM_DOMAIN, TEAM_ID, TEAM_NAME, Answer, Json, Message, View, WorkspaceError
from .people import People, Seen
from .state import State
from .switches import Switches
from .views import view_json

STATIC = Path(__file__).with_name("static")
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
COALESCE_SECONDS = 0.03


class Page:
    """Serves the page, what one person sees, and what that person does."""

    def __init__(self, state: State, people: People, app: Manifest, switches: Switches) -> None:
        self.state, self.people, self.app, self.switches = state, people, app, switches
        self.listeners: set[asyncio.Event] = set()
        self.loop: asyncio.AbstractEventLoop | None = None
        state.on_change.append(self._changed)

    def routes(self) -> list[BaseRoute]:
        """What this side serves."""
        return [
            Route("/", self.guarded(self.index)),
            Route("/page/{name:str}.{kind:str}", self.file),
            Route("/page/state", self.guarded(self.show)),
            Route("/page/events", self.guarded(self.events)),
            Route("/page/act", self.guarded(self.act), methods=["POST"]),
        ]

    def guarded(self, endpoint: Any) -> Any:
        """Only with the token, and only under a local name, so that no other web page can reach it."""

        async def check(request: Request) -> Response:
            cookie = f"workspace_{request.url.port}"
            given = request.query_params.get("token") or request.cookies.get(cookie, "")
            if not _local(request) or not secrets.compare_digest(given.encode(), self.state.page_token.encode()):
                return JSONResponse({"ok": False, "error": "not_authed"}, HTTPStatus.FORBIDDEN)
            answer: Response = await endpoint(request)
            if request.cookies.get(cookie) != given:
                answer.set_cookie(cookie, given, httponly=True, samesite="strict")
            answer.headers.update(HEADERS)
            return answer

        return check

    async def index(self, request: Request) -> Response:
        """The page itself."""
        return _static("index.html")

    async def file(self, request: Request) -> Response:
        """What the page is made of. It holds nothing of the workspace, so it needs no token."""
        name = f"{request.path_params['name']}.{request.path_params['kind']}"
        if not _local(request) or name not in {each.name for each in STATIC.iterdir()}:
            return JSONResponse({"ok": False, "error": "not_found"}, HTTPStatus.NOT_FOUND)
        return _static(name)

    async def show(self, request: Request) -> Response:
        """What one person sees now."""
        user = request.query_params.get("as", "")
        if user not in self.state.members:
            return JSONResponse({"ok": False, "error": "user_not_found"}, HTTPStatus.NOT_FOUND)
        with self.state.reading():
            return JSONResponse(self.seen_by(user))

    def seen_by(self, user: str) -> Json:
        """The state of the page for one person."""
        state = self.state
        direct = state.direct(user)
        channels = [each for each in state.channels.values() if not each.is_im and state.is_in(user, each)]
        home = state.homes.get(user)
        return {
            "me": user,
            "team": {"id": TEAM_ID, "name": TEAM_NAME, "domain": TEAM_DOMAIN},
            "app": {"id": BOT_USER, "name": self.app.name, "home": self.app.home},
            "people": [_person(member) for member in state.members.values()],
            "channels": [
                {"id": each.id, "name": each.name, "topic": each.topic, "shared": each.is_ext_shared}
                for each in channels
            ],
            "directs": [{"id": direct.id, "user": BOT_USER, "read_only": self.app.read_only}],
            "groups": [{"id": group.id, "handle": group.handle} for group in state.groups.values()],
            "messages": {each.id: self._messages(each.id, user) for each in [*channels, direct]},
            "modals": [{**view_json(view), "errors": view.errors} for view in state.modals.get(user, [])],
            "home": view_json(home) if home else None,
            "commands": self.app.commands,
            "shortcuts": self.app.shortcuts or [],
            "switches": self.switches.as_json(),
            "version": state.version,
        }

    def _messages(self, channel: str, user: str) -> list[Json]:
        everything = self.state.messages.get(channel, [])
        replies: dict[str, int] = {}
        for message in everything:
            if message.thread_ts and not message.ephemeral_for:
                replies[message.thread_ts] = replies.get(message.thread_ts, 0) + 1
        return [_message(each, replies.get(each.ts, 0)) for each in everything if each.visible_to(user)]

    def _changed(self, version: int) -> None:
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for listener in self.listeners:
            listener.set()

    async def events(self, request: Request) -> Response:
        """Server-sent events: one at once, and one after each change."""
        return StreamingResponse(self._stream(), media_type="text/event-stream")

    async def _stream(self) -> AsyncIterator[str]:
        changed = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.listeners.add(changed)
        try:
            while True:
                changed.clear()
                yield f'data: {{"version": {self.state.version}}}\n\n'
                await asyncio.sleep(COALESCE_SECONDS)
                await changed.wait()
        finally:
            self.listeners.discard(changed)

    async def act(self, request: Request) -> Response:
        """Something that a person does."""
        try:
            body = await request.json()
        except ValueError:
            return JSONResponse({"ok": False, "error": "invalid_json"}, HTTPStatus.BAD_REQUEST)
        try:
            done = await asyncio.to_thread(self.perform, body)
        except WorkspaceError as error:
            return JSONResponse({"ok": False, "error": error.error, "messages": error.messages})
        except (KeyError, TypeError, AttributeError, ValueError):
            return JSONResponse({"ok": False, "error": "invalid_arguments"}, HTTPStatus.BAD_REQUEST)
        return JSONResponse({"ok": True, **done})

    def perform(self, body: Json) -> Json:
        """Carry out one action of the page. Raises WorkspaceError, KeyError for a missing field."""
        people, do, user = self.people, body["do"], body.get("as", "")
        if do == "fault":
            self.switches.turn(body["name"], body["value"])
            return {}
        if do == "command":
            name, _, text = str(body["text"]).strip().partition(" ")
            return _shown(people.command(user, body["channel"], text.strip(), name))
        if do == "say":
            return {"ts": people.say(user, body["channel"], str(body["text"]), body.get("thread_ts")).ts}
        if do == "click":
            return _shown(self._click(user, body))
        if do == "submit":
            return _shown(people.submit(user, body["values"], body["view_id"]))
        if do == "suggest":
            place = people.at(user, body.get("view_id"), body.get("channel"), body.get("ts"))
            answer = people.suggest(user, place, body["block_id"], body["action_id"], str(body["query"]))
            return {"options": answer.options, "option_groups": answer.groups}
        return self._perform_more(do, user, body)

    def _perform_more(self, do: str, user: str, body: Json) -> Json:
        if do == "mend":
            self.switches.mend()
            return {}
        if do == "close":
            self.people.close(user, body["view_id"], bool(body.get("whole")))
            return {}
        if do == "home":
            return {"home": view_json(self.people.home(user, 3.0))}
        if do == "shortcut":
            return _shown(self.people.shortcut(user, body["callback_id"], body.get("channel"), body.get("ts")))
        raise WorkspaceError("unknown_action")

    def _click(self, user: str, body: Json) -> Answer:
        seen = Seen(body["action_id"], body.get("block_id"), body.get("value"))
        selected, values = body.get("selected"), body.get("values") or {}
        if body.get("view_id"):
            return self.people.click_view(user, body["view_id"], seen, selected, values)
        return self.people.click(user, body["channel"], body["ts"], seen, selected, values)


def _local(request: Request) -> bool:
    """Under a local name only, so that no web page of somebody else can reach it."""
    return request.url.hostname in ("127.0.0.1", "localhost")


def _static(name: str) -> Response:
    kind = KINDS[Path(name).suffix]
    return Response((STATIC / name).read_bytes(), media_type=f"{kind}; charset=utf-8", headers=HEADERS)


def _shown(answer: Answer) -> Json:
    view: View | None = answer.view
    return {"errors": dict(answer.errors), "view_id": view.id if view else None, "text": answer.text}


def _person(member: Any) -> Json:
    guest = member.is_restricted or member.is_ultra_restricted or member.is_stranger
    shown = {"id": member.id, "name": member.real_name, "title": member.title, "color": member.color}
    return {**shown, "handle": member.name, "is_bot": member.is_bot, "guest": guest}


def _message(message: Message, replies: int) -> Json:
    names = ("ts", "user", "text", "blocks", "thread_ts", "reply_broadcast", "edited")
    shown = {name: getattr(message, name) for name in names}
    return {**shown, "ephemeral": message.ephemeral_for is not None, "reply_count": replies}
