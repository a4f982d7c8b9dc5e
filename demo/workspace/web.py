"""The HTTP side that an app talks to: /api/METHOD, response URLs and the socket."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from . import chat, methods
from .delivery import Sockets
from .model import Json, WorkspaceError
from .server import Server
from .state import State


class Web:
    """Slack's Web API, with the faults that were switched on."""

    def __init__(self, state: State, server: Server, sockets: Sockets) -> None:
        self.state, self.server, self.sockets = state, server, sockets

    def routes(self) -> list[BaseRoute]:
        """What this side serves."""
        return [
            Route("/api/{method}", self.api, methods=["GET", "POST"]),
            Route("/response/{name}", self.response, methods=["POST"]),
            WebSocketRoute("/link/", self.sockets.serve),
        ]

    async def api(self, request: Request) -> Response:
        """One call of the Web API."""
        name = request.path_params["method"]
        broken = await self._broken(name)
        if broken is not None:
            return broken
        try:
            body = await request.body()
        except ClientDisconnect:
            return Response()  # the app died while it spoke
        answer = self._answer(name, request, body)
        retry_after = answer.pop("retry_after", None)
        if retry_after is not None:
            return _limited(int(retry_after))
        await self._lose(name, request)
        return JSONResponse(answer)

    def _answer(self, name: str, request: Request, body: bytes) -> Json:
        try:
            args = methods.arguments(request.headers.get("content-type", ""), body, request.url.query)
            methods.check_token(self.state, name, request.headers.get("authorization", ""), args)
        except WorkspaceError as error:
            return methods.refusal(error)
        args.pop("token", None)
        with self.state.changing():
            self.state.calls.append((name, args))
        if name == methods.SOCKET_METHOD and name not in self.state.faults.errors:
            return self.sockets.open()
        return methods.call(self.state, name, args)

    async def _broken(self, name: str) -> Response | None:
        faults = self.state.faults
        hit = not faults.only or name in faults.only
        if faults.slow and hit:
            await asyncio.sleep(faults.slow)
        if faults.down:
            return PlainTextResponse("Service unavailable", HTTPStatus.SERVICE_UNAVAILABLE)
        if faults.ratelimit > 0 and hit:
            faults.ratelimit -= 1
            return _limited(faults.retry_after)
        return None

    async def _lose(self, name: str, request: Request) -> None:
        faults = self.state.faults
        if faults.lose_answer > 0 and (not faults.only or name in faults.only):
            faults.lose_answer -= 1
            self.server.cut(tuple(request.scope["client"]))
            await asyncio.sleep(0.01)  # lets the loop close the connection before the answer would be written

    async def response(self, request: Request) -> Response:
        """What an app posts to a response_url."""
        broken = await self._broken("response_url")
        if broken is not None:
            return broken
        try:
            content_type = request.headers.get("content-type", "application/json")
            args = methods.arguments(content_type, await request.body(), "")
            with self.state.changing():
                self.state.calls.append(("response_url", args))
                leave = self.state.use_response_url(request.path_params["name"])
                chat.answer(self.state, leave, args)
        except WorkspaceError as error:
            gone = error.error in ("expired_url", "used_url")
            status = HTTPStatus.NOT_FOUND if gone else HTTPStatus.BAD_REQUEST
            return JSONResponse(methods.refusal(error), status)
        await self._lose("response_url", request)
        return PlainTextResponse("ok")


def _limited(seconds: int) -> Response:
    headers = {"Retry-After": str(seconds)}
    return JSONResponse({"ok": False, "error": "ratelimited"}, HTTPStatus.TOO_MANY_REQUESTS, headers)
