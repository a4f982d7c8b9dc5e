"""The other door: signed HTTP. Requests are verified before Bolt sees them; a bad one is answered 401 and not logged.

Source of the signature: docs.slack.dev, "Verifying requests from Slack" (v0). Stricter than the SDK's verifier, which
raises on malformed headers, accepts timestamps from the future, and accepts the same request twice.
"""

from __future__ import annotations

import hashlib
import hmac
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import structlog
from slack_bolt import App, BoltRequest

log = structlog.get_logger()
LIMIT = 1_000_000  # bytes of a request's body
PAST, FUTURE = 300, 5  # seconds that a timestamp may be off
PATIENCE = 10.0  # seconds for which a client may be silent


class QuietServer(ThreadingHTTPServer):
    """Clients that hang up are no news."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """What went wrong with one connection: its kind only, never a part of the request."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            log.info("a client hung up", error=type(error).__name__)
        else:
            log.error("bug", exc_info=error)


class HttpDoor:
    """A small server on one address; a proxy with TLS belongs in front of it."""

    def __init__(self, app: App, secret: str, host: str, port: int) -> None:
        door = self

        class Handler(BaseHTTPRequestHandler):
            timeout = PATIENCE

            def do_POST(self) -> None:
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
                self.close_connection = True
                if not (length.isascii() and length.isdecimal() and len(length) < 10):
                    return None
                if int(length) > LIMIT:
                    self.rfile.read(min(int(length), 4 * LIMIT))  # a client that still sends would not read our no
                    return None
                return self.rfile.read(int(length))

            def log_message(self, format: str, *args: Any) -> None:
                """Request lines and bodies are nobody's business."""

        self.secret = secret.encode()
        self.seen: dict[str, float] = {}
        self.guard = threading.Lock()
        self.server = QuietServer((host, port), Handler)
        self.port = self.server.server_address[1]

    def connect(self) -> None:
        """Serve from now on."""
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """No more requests."""
        self.server.shutdown()
        self.server.server_close()

    def answer(self, app: App, headers: Any, body: bytes | None) -> tuple[int, dict[str, list[str]], str]:
        """Status, headers and body; never raises for what came from outside."""
        if body is None:
            return 413, {}, "too large"
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return 401, {}, "not verified"
        if not self.genuine(str(headers.get("X-Slack-Request-Timestamp")), str(headers.get("X-Slack-Signature")), body):
            return 401, {}, "not verified"
        try:
            request = BoltRequest(body=text, headers={k.lower(): v for k, v in headers.items()})
        except (ValueError, TypeError, AttributeError):
            return 400, {}, "not understood"  # signed, and yet no JSON object
        answer = app.dispatch(request)
        return answer.status, {name: list(values) for name, values in answer.headers.items()}, str(answer.body or "")

    def genuine(self, timestamp: str, signature: str, body: bytes) -> bool:
        """Signed by Slack, just now, and not seen before."""
        if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) < 12):
            return False
        now = time.time()
        if not -FUTURE <= now - int(timestamp) <= PAST:
            return False
        expected = "v0=" + hmac.new(self.secret, f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            return False
        with self.guard:
            self.seen = {key: at for key, at in self.seen.items() if now - at < PAST + FUTURE}
            fresh = expected not in self.seen
            self.seen[expected] = now
        return fresh
