"""The other door: signed HTTP. Requests are verified before Bolt sees them; a bad one is answered 401 and not logged.

Source of the signature: docs.slack.dev, "Verifying requests from Slack" (v0). Stricter than the SDK's verifier, which
raises on malformed headers, accepts timestamps from the future, and accepts the same request twice.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import structlog
from slack_bolt import App, BoltRequest

from core.errors import Refused

log = structlog.get_logger()
LIMIT = 1_000_000  # bytes of a request's body
PAST = 300  # seconds that a timestamp may be old; a later one than now is refused
PATIENCE = 10.0  # seconds for which a client may be silent
LONGEST = 20.0  # seconds for a connection in all: Slack waits for 3
MOST = 64  # connections at a time
Answer = tuple[int, dict[str, list[str]], str]
NO: Answer = 401, {}, "not verified"


class QuietServer(ThreadingHTTPServer):
    """Clients that hang up are no news; those that dawdle, or come in crowds, are hung up on."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.since: dict[socket.socket, float] = {}
        self.guard = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for it. Where there are too many, the oldest is hung up on: who means it asks at once, and is gone."""
        with self.guard:
            too_many = list(self.since)[: len(self.since) - MOST + 1] if len(self.since) >= MOST else []
            for oldest in too_many:
                del self.since[oldest]
            self.since[request] = time.monotonic()
        for oldest in too_many:
            hang_up(oldest)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """It is over."""
        with self.guard:
            self.since.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Twice a second: who sends a byte now and then does not keep a thread for ever."""
        with self.guard:
            late = [request for request, since in self.since.items() if time.monotonic() - since > LONGEST]
        for request in late:
            hang_up(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """What went wrong with one connection: its kind only, never a part of the request."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            log.info("a client hung up", error=type(error).__name__)
        else:
            log.error("bug", exc_info=error)


def hang_up(request: socket.socket) -> None:
    """Its thread reads the end, and closes it."""
    with suppress(OSError):  # gone by itself
        request.shutdown(socket.SHUT_RDWR)


class HttpDoor:
    """A small server on one address; a proxy with TLS belongs in front of it.

    `first_time` remembers a request durably; False where it was seen before. It may raise Refused: then nothing passes.
    """

    def __init__(self, app: App, secret: str, host: str, port: int, first_time: Callable[[str], bool]) -> None:
        door = self

        class Handler(BaseHTTPRequestHandler):
            timeout = PATIENCE

            def do_POST(self) -> None:
                self.close_connection = True
                status, headers, body = door.answer(app, self.headers, self.body())
                self.send_response(status)
                for name, values in headers.items():
                    for value in values:
                        self.send_header(name, value)
                payload = body.encode()
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def body(self) -> bytes | None:
                length = self.headers.get("Content-Length", "")
                several = len(self.headers.get_all("Content-Length", [])) > 1 or "Transfer-Encoding" in self.headers
                if several or not (length.isascii() and length.isdecimal() and len(length) < 10):
                    return None  # two lengths, or none: a proxy and we could read two different requests
                if int(length) > LIMIT:
                    left = min(int(length), 4 * LIMIT)  # a client that still sends would not read our no
                    while left > 0 and (got := self.rfile.read(min(left, 1 << 16))):
                        left -= len(got)
                    return None
                return self.rfile.read(int(length))

            def log_message(self, format: str, *args: Any) -> None:
                """Request lines and bodies are nobody's business."""

        self.secret, self.first_time = secret.encode(), first_time
        self.server = QuietServer((host, port), Handler)
        self.port = self.server.server_address[1]

    def connect(self) -> None:
        """Serve from now on."""
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """No more requests."""
        self.server.shutdown()
        self.server.server_close()

    def answer(self, app: App, headers: Any, body: bytes | None) -> Answer:
        """Status, headers and body; never raises for what came from outside."""
        if body is None:
            return 413, {}, "too large"
        signature = self.genuine(
            str(headers.get("X-Slack-Request-Timestamp")), str(headers.get("X-Slack-Signature")), body
        )
        try:
            if not signature or not self.first_time(f"http {signature}"):
                return NO
            request = BoltRequest(body=body.decode(), headers={k.lower(): v for k, v in headers.items()})
        except Refused:
            log.error("no request is taken: the audit trail cannot be written")
            return 503, {}, "try again"
        except UnicodeDecodeError:
            return NO
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
            return 400, {}, "not understood"  # signed, and yet no JSON object
        answer = app.dispatch(request)
        return answer.status, {name: list(values) for name, values in answer.headers.items()}, str(answer.body or "")

    def genuine(self, timestamp: str, signature: str, body: bytes) -> str:
        """The signature, where Slack made it just now; else nothing."""
        if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) < 12):
            return ""
        expected = "v0=" + hmac.new(self.secret, f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            return ""
        age = time.time() - int(timestamp)
        if age < 0:
            log.warning(
                "a signed request from the future", seconds=round(-age, 1), hint="Is this machine's clock late?"
            )
        return expected if 0 <= age <= PAST else ""
