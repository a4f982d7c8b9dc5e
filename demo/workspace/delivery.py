"""How payloads reach the app: over its sockets (Socket Mode), or as signed HTTP requests.

Source: docs.slack.dev, "Using Socket Mode" and "Verifying requests from Slack" (signature v0).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
import time
import urllib.error
import urllib.request
import uuid
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from typing import Any, Literal, Protocol
from urllib.parse import urlencode

from starlette.websockets import WebSocket, WebSocketDisconnect

from .model import APP_ID, Json, WorkspaceError
from .server import Server
from .state import State

ACK_SECONDS = 3.0
Kind = Literal["slash_commands", "interactive", "events_api"]


class Delivery(Protocol):
    """A way to the app."""

    def deliver(self, kind: Kind, payload: Json) -> Json:
        """Send one payload and wait for the acknowledgement: what it carried, or {}.

        Raises WorkspaceError `operation_timeout` after 3 seconds, `dispatch_failed` when there is no app.
        """
        ...


class Sockets:
    """Socket Mode: each payload goes to one of the open connections, in turn."""

    def __init__(self, state: State, server: Server) -> None:
        self.state, self.server = state, server
        self.links: list[WebSocket] = []
        self.tickets: set[str] = set()
        self.waiting: dict[str, Future[Json]] = {}
        self.sent: dict[str, WebSocket] = {}  # by envelope: the connection that got it last
        self.turn = 0

    def open(self) -> Json:
        """apps.connections.open: an address that is good for one connection."""
        ticket = secrets.token_urlsafe(18)
        self.tickets.add(ticket)
        return {"ok": True, "url": f"{self.state.base.replace('http', 'ws', 1)}/link/?ticket={ticket}&app_id={APP_ID}"}

    async def serve(self, socket: WebSocket) -> None:
        """One connection, from hello to its end."""
        ticket = socket.query_params.get("ticket", "")
        if ticket not in self.tickets or self.state.faults.down:
            await socket.close(4001)
            return
        self.tickets.discard(ticket)
        await socket.accept()
        self.links.append(socket)
        try:
            await socket.send_text(json.dumps(self._hello()))
            with self.state.changing():
                pass
            while True:
                self._acknowledged(await socket.receive_text())
        except WebSocketDisconnect:
            pass
        finally:
            if socket in self.links:
                self.links.remove(socket)
            self._gone(socket)
            with self.state.changing():
                pass

    def _gone(self, socket: WebSocket) -> None:
        """Nobody will acknowledge what went to a connection that has ended: nobody need wait for it."""
        for envelope_id, link in list(self.sent.items()):
            waiting = self.waiting.get(envelope_id)
            if link is socket and waiting is not None and not waiting.done():
                waiting.set_exception(TooLate())

    def _hello(self) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self.links),
            "connection_info": {"app_id": APP_ID},
            "debug_info": {"host": "localhost", "build_number": 1, "approximate_connection_time": 18060},
        }

    def _acknowledged(self, frame: str) -> None:
        try:
            answer: Any = json.loads(frame)
        except ValueError:
            return  # as Slack does with what it cannot read; the person then gets operation_timeout
        if not isinstance(answer, dict):
            return
        waiting = self.waiting.get(str(answer.get("envelope_id")))
        if waiting is not None and not waiting.done():
            payload = answer.get("payload")
            waiting.set_result(payload if isinstance(payload, dict) else {})

    def deliver(self, kind: Kind, payload: Json) -> Json:
        """See Delivery."""
        if not self.links:
            raise WorkspaceError("dispatch_failed")
        envelope_id = str(uuid.uuid4())
        envelope: Json = {"type": kind, "envelope_id": envelope_id, "payload": payload}
        envelope["accepts_response_payload"] = kind != "events_api"
        if kind == "events_api":
            envelope |= {"retry_attempt": 0, "retry_reason": ""}
        answer: Future[Json] = Future()
        self.waiting[envelope_id] = answer
        try:
            for _ in range(2 if self.state.faults.deliver_twice else 1):
                self._send(envelope)
            if late := self.state.faults.deliver_late:
                threading.Timer(late, self._send, [envelope]).start()
            return answer.result(ACK_SECONDS)
        except TooLate:
            raise WorkspaceError("operation_timeout") from None
        finally:
            del self.waiting[envelope_id]
            self.sent.pop(envelope_id, None)

    def _send(self, frame: Json) -> None:
        links = list(self.links)
        if self.state.faults.silent or not links:
            return
        self.turn += 1
        link = links[self.turn % len(links)]
        self.sent[str(frame["envelope_id"])] = link
        self.server.run(_quietly(link, json.dumps(frame)))

    def disconnect(self, reason: str) -> None:
        """Announce a disconnect on every connection and close it, as Slack does when it renews them."""
        frame = json.dumps({"type": "disconnect", "reason": reason, "debug_info": {"host": "localhost"}})
        for link in list(self.links):
            self.server.run(_quietly(link, frame))
            if reason != "warning":
                self.links = [each for each in self.links if each is not link]  # nothing goes to it any more
                self.server.run(link.close())


async def _quietly(link: WebSocket, frame: str) -> None:
    try:
        await link.send_text(frame)
    except (WebSocketDisconnect, RuntimeError):
        return  # the app went away: nobody acknowledges, and the person is told so


class Requests:
    """HTTP: each payload is a signed request to the app's request URL."""

    def __init__(self, state: State, request_url: str) -> None:
        self.state, self.request_url = state, request_url
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def deliver(self, kind: Kind, payload: Json) -> Json:
        """See Delivery."""
        if kind == "events_api":
            body, content_type = json.dumps(payload).encode(), "application/json"
        else:
            form = payload if kind == "slash_commands" else {"payload": json.dumps(payload)}
            body, content_type = urlencode(form).encode(), "application/x-www-form-urlencoded"
        headers = {"Content-Type": content_type, "User-Agent": "Slackbot 1.0", **self.signed(body)}
        answer = self.post(body, headers)
        if self.state.faults.deliver_twice:
            self.post(body, {**headers, "X-Slack-Retry-Num": "1", "X-Slack-Retry-Reason": "http_timeout"})
        return answer

    def signed(self, body: bytes, at: int | None = None) -> dict[str, str]:
        """The headers of Slack's signature v0 for this body, made at `at` (Unix seconds, now)."""
        stamp = str(int(time.time()) if at is None else at)
        text = b"v0:" + stamp.encode() + b":" + body
        digest = hmac.new(self.state.signing_secret.encode(), text, hashlib.sha256).hexdigest()
        return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}"}

    def post(self, body: bytes, headers: dict[str, str]) -> Json:
        """Send one request as it is; a hostile test gives its own headers. Raises as `deliver` does."""
        request = urllib.request.Request(self.request_url, body, headers)  # noqa: S310 - from our own settings
        try:
            with self.opener.open(request, timeout=ACK_SECONDS) as answer:
                return _parsed(answer.headers.get("Content-Type", ""), answer.read())
        except urllib.error.HTTPError as error:
            error.close()
            raise WorkspaceError("dispatch_failed", status=error.code) from None
        except TimeoutError:
            raise WorkspaceError("operation_timeout") from None
        except OSError as error:
            late = isinstance(getattr(error, "reason", None), TimeoutError)
            raise WorkspaceError("operation_timeout" if late else "dispatch_failed") from None


def _parsed(content_type: str, body: bytes) -> Json:
    if not body:
        return {}
    if not content_type.startswith("application/json"):
        return {"text": body.decode()}
    try:
        value: Any = json.loads(body)
    except ValueError:
        raise WorkspaceError("dispatch_failed") from None
    return value if isinstance(value, dict) else {}
