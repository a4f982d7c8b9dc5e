"""The server on 127.0.0.1: one thread, one event loop, nothing left behind after `stop`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from .model import Faults

START_SECONDS = 20.0


class Server:
    """Runs a Starlette application. `cut` and `cut_sockets` drop connections as a broken network would."""

    def __init__(self, port: int, faults: Faults) -> None:
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.port: int = self.listener.getsockname()[1]
        self.faults = faults
        self.connections: dict[Any, asyncio.Transport] = {}  # by the peer's address
        self.sockets: set[asyncio.Transport] = set()
        self.loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._server: uvicorn.Server | None = None

    def start(self, app: Starlette) -> None:
        """Serve in a thread; returns when connections are accepted. Raises RuntimeError when that takes 20 s."""
        config = uvicorn.Config(
            app,
            http=_http_protocol(self),
            ws=_socket_protocol(self),
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            ws_ping_interval=None,  # a socket that was made silent must stay open
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="workspace", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_SECONDS):
            raise RuntimeError("the workspace did not start")

    async def _serve(self) -> None:
        assert self._server is not None
        self.loop = asyncio.get_running_loop()
        self.listener.listen(128)
        serving = asyncio.create_task(self._server.serve(sockets=[self.listener]))
        while not self._server.started and not serving.done():
            await asyncio.sleep(0.005)
        self._ready.set()
        await serving
        self._abort_all()  # whoever connected while it ended, as an open page does again and again
        await asyncio.sleep(0)

    def stop(self) -> None:
        """Close every connection and end the thread."""
        if self._server is None or self._thread is None or self.loop is None:
            self.listener.close()
            return
        self._server.should_exit = True
        self._call(self._abort_all)
        self._thread.join(10)
        self.listener.close()

    def _abort_all(self) -> None:
        for transport in [*self.connections.values(), *self.sockets]:
            transport.abort()

    def cut(self, peer: Any) -> None:
        """Drop one connection without an answer."""
        if peer in self.connections:
            self.connections[peer].abort()

    def cut_sockets(self) -> None:
        """Drop every web socket without a close frame."""

        def cut() -> None:
            for transport in list(self.sockets):
                transport.abort()

        self._call(cut)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a coroutine in the server's loop, from any thread."""
        if self.loop is None or self.loop.is_closed():
            work.close()
            return
        asyncio.run_coroutine_threadsafe(work, self.loop)

    def _call(self, work: Any) -> None:
        if self.loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended: nothing is left to cut
                self.loop.call_soon_threadsafe(work)


def _http_protocol(server: Server) -> type[H11Protocol]:
    class Cuttable(H11Protocol):
        """HTTP whose connections can be dropped."""

        peer: Any = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            self.peer = transport.get_extra_info("peername")
            server.connections[self.peer] = transport
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            server.connections.pop(self.peer, None)
            super().connection_lost(exc)

    return Cuttable


def _socket_protocol(server: Server) -> type[WebSocketsSansIOProtocol]:
    class Silenceable(WebSocketsSansIOProtocol):
        """A web socket that can fall silent: it reads nothing, so it answers no ping either."""

        held = b""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            server.connections.pop(transport.get_extra_info("peername"), None)
            server.sockets.add(transport)
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            server.sockets.discard(self.transport)
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            self.held += data
            if not (server.faults.silent and self.handshake_complete):
                data, self.held = self.held, b""
                super().data_received(data)

    return Silenceable
