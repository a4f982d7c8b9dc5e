"""The sample application's `/health`: does the database answer, and with the tables that every page needs?"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit

import psycopg

SECONDS = 2  # to connect, and for each statement; a health check that hangs is an outage of its own

# What every page reads. It names no column of 011 or 012, so the application lives without them.
PROFILES = """
SELECT p.id, p.handle, p.display_name
  FROM profiles p
 WHERE p.status = 'active'
 ORDER BY p.id DESC
 LIMIT 1"""


@dataclass
class HealthServer:
    """A running server; `url` is its base, so `url + "/health"` answers 200 or 503."""

    url: str
    _http: ThreadingHTTPServer
    _thread: threading.Thread
    _failing: threading.Event

    def fail(self, failing: bool = True) -> None:
        """Answer 503 whatever the database says, until `fail(False)`."""
        if failing:
            self._failing.set()
        else:
            self._failing.clear()

    @property
    def failing(self) -> bool:
        """Is it told to answer 503?"""
        return self._failing.is_set()

    def stop(self) -> None:
        """Stop listening. Harmless when repeated."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def __enter__(self) -> HealthServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def serve(url: str, port: int = 0) -> HealthServer:
    """Serve `/health` for the database `url` on 127.0.0.1; port 0 takes a free one. Raises OSError if taken."""
    failing = threading.Event()
    http = ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, url, failing))
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), name="health", daemon=True)
    thread.start()
    return HealthServer(f"http://127.0.0.1:{http.server_port}", http, thread, failing)


def is_healthy(url: str) -> bool:
    """Ask the database. A new connection each time: a kept one would stand in the way of a restore."""
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=SECONDS) as conn:
            conn.execute(f"SET statement_timeout = '{SECONDS}s'")
            conn.execute("SELECT 1")
            conn.execute(PROFILES)
    except psycopg.Error:
        return False
    return True


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, database: str, failing: threading.Event, *args: object) -> None:
        self.database, self.failing = database, failing
        super().__init__(*args)  # type: ignore[arg-type]  # request, address, server: as http.server gives them

    def do_GET(self) -> None:
        """Answer `/health`; nothing else is here."""
        if urlsplit(self.path).path != "/health":
            self._answer(HTTPStatus.NOT_FOUND, "not found")
        elif not self.failing.is_set() and is_healthy(self.database):
            self._answer(HTTPStatus.OK, "ok")
        else:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable")

    def _answer(self, code: HTTPStatus, status: str) -> None:
        body = json.dumps({"status": status}).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: somebody asks every few seconds."""
