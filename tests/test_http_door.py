"""Signed HTTP: what is genuine reaches Bolt, everything else gets a plain no and never a traceback."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import logging
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from slack_bolt import App
from slack_sdk import WebClient
from structlog.testing import capture_logs

from bot.http import LIMIT, HttpDoor
from demo.workspace import Workspace

INC = "C0INC418"


class Door:
    """A door with a small app behind it, a workspace that comes through it, and somebody who knocks by hand."""

    def __init__(self) -> None:
        self.workspace = Workspace(delivery="http")
        self.workspace.start()
        client = WebClient(self.workspace.bot_token, base_url=self.workspace.api_url, retry_handlers=[])
        secret = self.workspace.signing_secret
        app = App(client=client, signing_secret=secret, process_before_response=True, logger=logging.getLogger("quiet"))
        self.heard: list[str] = []

        @app.command("/rollback")
        def command(ack, command) -> None:  # type: ignore[no-untyped-def]
            self.heard.append(command["text"])
            ack(f"heard {command['text']}")

        self.secret = secret.encode()
        self.door = HttpDoor(app, secret, "127.0.0.1", 0)
        self.door.connect()
        self.workspace.requests.request_url = f"http://127.0.0.1:{self.door.port}/slack/events"

    def signed(self, body: bytes, at: float | None = None) -> dict[str, str]:
        stamp = str(int(time.time() if at is None else at))
        digest = hmac.new(self.secret, b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}", **form}

    def knock(self, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        link = http.client.HTTPConnection("127.0.0.1", self.door.port, timeout=10)
        try:
            link.request("POST", "/slack/events", body, headers)
            answer = link.getresponse()
            return answer.status, answer.read().decode()
        finally:
            link.close()

    def raw(self, data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.door.port), timeout=10) as link:
            link.sendall(data)
            link.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: link.recv(4096), b""))


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    door = Door()
    yield door
    door.door.close()
    door.workspace.stop()


@pytest.fixture(autouse=True)
def no_bug() -> Iterator[None]:
    with capture_logs() as said:
        yield
    assert not [each for each in said if each["event"] == "bug"], said


BODY = urlencode(
    {"command": "/rollback", "text": "help", "user_id": "U0ANA", "team_id": "T0TEAM", "token": "x"}
).encode()


def test_a_command_goes_through_the_door_to_bolt(door: Door) -> None:
    assert door.workspace.command("U0ANA", INC, "status ✓").text == "heard status ✓"
    assert door.heard[-1] == "status ✓"


def test_a_request_counts_once(door: Door) -> None:
    headers = door.signed(BODY)
    assert door.knock(BODY, headers) == (200, "heard help")
    assert door.knock(BODY, headers) == (401, "not verified")


@pytest.mark.parametrize(("seconds", "status"), [(-290, 200), (-310, 401), (2, 200), (60, 401), (10**9, 401)])
def test_an_old_or_future_timestamp_is_refused(door: Door, seconds: int, status: int) -> None:
    body = BODY + f"&n={seconds}".encode()
    assert door.knock(body, door.signed(body, time.time() + seconds))[0] == status


@pytest.mark.parametrize(
    "changed",
    [
        {"X-Slack-Signature": ""},
        {"X-Slack-Signature": "v0="},
        {"X-Slack-Signature": "v0=" + "0" * 64},
        {"X-Slack-Signature": "v1=" + "0" * 64},
        {"X-Slack-Signature": "\xff\xfe"},
        {"X-Slack-Request-Timestamp": ""},
        {"X-Slack-Request-Timestamp": "now"},
        {"X-Slack-Request-Timestamp": "-1"},
        {"X-Slack-Request-Timestamp": "1e9"},
        {"X-Slack-Request-Timestamp": "9" * 5000},
        {"X-Slack-Request-Timestamp": "\xb2\xb3"},
    ],
)
def test_a_malformed_header_is_refused(door: Door, changed: dict[str, str]) -> None:
    before = len(door.heard)
    assert door.knock(BODY, {**door.signed(BODY), **changed}) == (401, "not verified")
    assert len(door.heard) == before


def test_a_request_without_a_signature_is_refused(door: Door) -> None:
    assert door.knock(BODY, {}) == (401, "not verified")
    assert door.knock(BODY + b"&more=1", door.signed(BODY))[0] == 401


def test_a_huge_body_is_refused(door: Door) -> None:
    assert door.knock(b"x" * (LIMIT + 1), {}) == (413, "too large")
    assert door.knock(b"x" * LIMIT, {})[0] == 401


@pytest.mark.parametrize("length", ["", "abc", "-5", "1e3", "9" * 20, "9" * 5000, "\xb2"])
def test_a_senseless_length_is_refused(door: Door, length: str) -> None:
    answer = door.raw(b"POST / HTTP/1.1\r\nContent-Length: " + length.encode("latin-1") + b"\r\n\r\nx")
    assert b" 413 " in answer.splitlines()[0]


def test_a_body_that_ends_too_early_is_refused(door: Door) -> None:
    assert b" 401 " in door.raw(b"POST / HTTP/1.1\r\nContent-Length: 500\r\n\r\nshort").splitlines()[0]


def test_other_encodings_and_broken_json_are_refused(door: Door) -> None:
    body = b"text=\xff\xfe"
    assert door.knock(body, door.signed(body)) == (401, "not verified")
    for broken in (b"{not json", b"[1]", b"payload=%7Bnot", b"", b"\0"):
        for kind in ("application/json", "application/x-www-form-urlencoded"):
            status, _ = door.knock(broken, {**door.signed(broken), "Content-Type": kind})
            assert status in (400, 401, 404), (broken, kind)
            time.sleep(0)


def test_a_client_that_hangs_up_is_no_news(door: Door) -> None:
    for data in (b"", b"PO", b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", door.door.port)) as link:
            link.sendall(data)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset, not FIN
    assert door.knock(BODY + b"&z=1", door.signed(BODY + b"&z=1"))[0] == 200


def test_other_methods_are_refused(door: Door) -> None:
    assert b" 501 " in door.raw(b"GET / HTTP/1.1\r\n\r\n").splitlines()[0]
