"""Signed HTTP: what is genuine reaches Bolt, everything else gets a plain no and never a traceback."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import logging
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from slack_bolt import App
from slack_sdk import WebClient
from structlog.testing import capture_logs

from bot import http as door_module
from bot.http import LIMIT, HttpDoor
from core.errors import Refused
from core.ledger import Ledger
from demo.workspace import Workspace

INC = "C0INC418"


class Door:
    """A door with a small app behind it, a workspace that comes through it, and somebody who knocks by hand."""

    def __init__(self, folder: Path) -> None:
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
        self.app, self.folder = app, folder
        self.begin()

    def begin(self) -> None:
        self.ledger = Ledger(self.folder / "ledger.db")
        self.door = HttpDoor(self.app, self.secret.decode(), "127.0.0.1", 0, self.ledger.first_time)
        self.door.connect()
        self.workspace.requests.request_url = f"http://127.0.0.1:{self.door.port}/slack/events"

    def end(self) -> None:
        self.door.close()
        self.ledger.close()

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
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    door = Door(tmp_path_factory.mktemp("door"))
    yield door
    door.end()
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


def test_a_request_counts_once_also_after_a_restart(door: Door) -> None:
    body = BODY + b"&restart=1"
    headers = door.signed(body)
    assert door.knock(body, headers)[0] == 200
    door.end()
    door.begin()
    assert door.knock(body, headers) == (401, "not verified")


def test_while_the_audit_trail_cannot_be_written_nothing_passes(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(key: str) -> bool:
        raise Refused("E-LEDGER", "the disk is full")

    monkeypatch.setattr(door.door, "first_time", full)
    body, before = BODY + b"&full=1", len(door.heard)
    assert door.knock(body, door.signed(body)) == (503, "try again")
    assert len(door.heard) == before


@pytest.mark.parametrize(("seconds", "status"), [(-290, 200), (-310, 401), (2, 401), (60, 401), (10**9, 401)])
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


@pytest.mark.parametrize("more", ["Transfer-Encoding: chunked", "Content-Length: 3", "Transfer-Encoding: identity"])
def test_a_body_of_two_sizes_is_refused(door: Door, more: str) -> None:
    answer = door.raw(f"POST / HTTP/1.1\r\nContent-Length: 5\r\n{more}\r\n\r\n5\r\nabcde\r\n0\r\n\r\n".encode())
    assert b" 413 " in answer.splitlines()[0]


def test_who_dawdles_is_hung_up_on(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "LONGEST", 0.3)
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", door.door.port), timeout=10) as link:
        link.sendall(b"POST / HTTP/1.1\r\nContent-Length: 500\r\n\r\n")
        with pytest.raises(OSError):
            while time.monotonic() - began < 8:
                link.sendall(b"x")
                if link.recv(1000).startswith(b"HTTP"):
                    raise ConnectionResetError
    assert time.monotonic() - began < 5


def test_a_crowd_does_not_keep_the_door_for_ever(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "MOST", 3)
    monkeypatch.setattr(door_module, "LONGEST", 0.5)
    address = ("127.0.0.1", door.door.port)
    crowd = [socket.create_connection(address, timeout=10) for _ in range(3)]
    for number in range(2):  # whoever asks at once is answered all the same
        body = BODY + b"&in=the-crowd" + b"!" * number
        assert door.knock(body, door.signed(body))[0] == 200
        assert crowd[number].recv(10) == b""  # the oldest of those who say nothing is hung up on
    door.workspace.wait_for(lambda: not door.door.server.since, 10)
    for one in crowd:
        one.close()
    body = BODY + b"&crowd=1"
    assert door.knock(body, door.signed(body))[0] == 200


SECRET_WORDS = "canary-of-a-body"


def test_two_thousand_forged_requests_get_a_no_and_leave_no_trace(
    door: Door, capfd: pytest.CaptureFixture[str]
) -> None:
    chance, before = random.Random(418), len(door.heard)  # noqa: S311 - noise, the same each time
    base = BODY + b"&note=" + SECRET_WORDS.encode()
    statuses = set()
    with capture_logs() as said:
        for number in range(2000):
            headers, body = forged(chance, door, base + str(number).encode())
            statuses.add(door.door.answer(door.app, headers, body)[0])
    assert statuses == {401} and len(door.heard) == before
    out = capfd.readouterr()
    assert SECRET_WORDS not in f"{said}{out.out}{out.err}"


def forged(chance: random.Random, door: Door, body: bytes) -> tuple[dict[str, str], bytes]:
    """A request of Slack's, with one thing changed."""
    headers, noise = (
        door.signed(body),
        "".join(chr(chance.choice([*range(32, 127), 0, 9, 0xB2, 0x661, 0x20AC, 0xD800])) for _ in range(9)),
    )
    name = chance.choice(["X-Slack-Signature", "X-Slack-Request-Timestamp"])
    text = headers[name]
    at = chance.randrange(1, len(text))
    match chance.randrange(6):
        case 0:
            headers[name] = text[:at] + noise + text[at:]
        case 1:
            headers[name] = text[:at]
        case 2:
            headers[name] = noise
        case 3:
            del headers[name]
        case 4:
            cut = chance.randrange(len(body))
            body = body[:cut] + bytes([body[cut] ^ (1 << chance.randrange(8))]) + body[cut + 1 :]
        case _:
            headers = door.signed(body, time.time() + chance.choice([-400, -(10**6), 30, 10**9]))
    return headers, body


def test_other_methods_are_refused(door: Door) -> None:
    assert b" 501 " in door.raw(b"GET / HTTP/1.1\r\n\r\n").splitlines()[0]
