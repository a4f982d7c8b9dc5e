"""One small HTTP port for supervisors and for Prometheus: `/healthz`, `/readyz`, `/metrics`. It tells, and takes nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

import structlog

from bot.http import PATIENCE, QuietServer
from bot.metrics import CONTENT_TYPE, Metrics
from bot.vitals import Vitals
from core.errors import Refused
from core.ledger import Ledger

log = structlog.get_logger()
PROBED = 5.0  # seconds for which the answer of a write to the ledger is kept


class Port:
    """A server of its own, so that it answers while everything else is stuck."""

    def __init__(
        self, address: tuple[str, int], vitals: Vitals, ledger: Ledger, slack: Callable[[], str], metrics: Metrics
    ) -> None:
        self.vitals, self.ledger, self.slack, self.metrics = vitals, ledger, slack, metrics
        self._probed: tuple[float, str] = (float("-inf"), "")
        self._guard = threading.Lock()
        port = self

        class Handler(BaseHTTPRequestHandler):
            timeout = PATIENCE

            def do_GET(self) -> None:
                status, kind, body = port.answer(urlsplit(self.path).path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """Every few seconds, and always the same."""

        class PortServer(QuietServer):
            address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET

        self.server = PortServer(address, Handler)
        self.number = int(self.server.server_address[1])

    def start(self) -> None:
        """Answer from now on."""
        threading.Thread(target=self.server.serve_forever, daemon=True, name="port").start()
        log.info("health and metrics", port=self.number)

    def close(self) -> None:
        """No more answers."""
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body."""
        if path == "/metrics":
            return 200, CONTENT_TYPE, self.metrics.text()
        if path not in ("/healthz", "/readyz"):
            return 404, "text/plain; charset=utf-8", b"/healthz /readyz /metrics\n"
        faults = self.alive() if path == "/healthz" else self.ready()
        lines = faults or ["ok"]
        return 503 if faults else 200, "text/plain; charset=utf-8", ("\n".join(lines) + "\n").encode()

    def alive(self) -> list[str]:
        """Why the process should be started again: a loop that does not go round, a ledger that cannot be read."""
        faults = self.vitals.stuck()
        try:
            self.ledger.head()
        except Refused as no:
            faults.append(f"ledger: {no.message}")
        return faults

    def ready(self) -> list[str]:
        """Why nothing can be asked of the bot now, one line each."""
        ending = "ending: nothing new is taken" if self.vitals.ending.is_set() else ""
        unwritable = self.unwritable()
        more = (ending, self.slack(), f"ledger: {unwritable}" if unwritable else "")
        return [*self.alive(), *filter(None, more)]

    def unwritable(self) -> str:
        """Why the ledger cannot be written; asked every few seconds at most, whoever asks us."""
        with self._guard:
            if time.monotonic() - self._probed[0] > PROBED:
                why = self.ledger.writable()
                self._probed = time.monotonic(), why
            return self._probed[1]
