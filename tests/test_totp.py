"""Codes of authenticators: the vectors of the RFC, the edges of the window, and what people type."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from core import totp

SECRET = base64.b32encode(b"12345678901234567890").decode()
START = datetime(2026, 11, 27, 12, 0, 0, tzinfo=UTC)  # the first second of a step


@pytest.mark.parametrize(
    ("seconds", "digits"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_the_vectors_of_rfc_6238_appendix_b_hold(seconds: int, digits: str) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    assert totp.code(SECRET, totp.counter(at), 8) == digits
    assert totp.code(SECRET, totp.counter(at)) == digits[2:]
    assert totp.match(SECRET, digits[2:], at) == [totp.counter(at)]


def test_a_code_counts_one_step_early_and_one_step_late_and_not_longer() -> None:
    step = totp.counter(START)
    shown = totp.code(SECRET, step)
    for seconds, counts in ((-31, False), (-30, True), (-1, True), (0, True), (29, True), (59, True), (60, False)):
        found = totp.match(SECRET, shown, START + timedelta(seconds=seconds))
        assert found == ([step] if counts else []), seconds
    assert totp.match(SECRET, shown, datetime(1970, 1, 1, tzinfo=UTC)) == []


def test_what_people_type_is_understood_and_what_is_no_code_is_none() -> None:
    for text in ("123456", " 123456\n", "123 456", "123-456", "12 34 56"):
        assert totp.typed(text) == "123456", text
    for text in ("", " ", "12345", "1234567", "12345a", "abcdef", "１２３４５６", "١٢٣٤٥٦", "123,456", "-1.0e4"):
        assert totp.typed(text) is None, text


def test_a_secret_is_random_and_its_address_says_how_codes_are_made() -> None:
    one, other = totp.new_secret(), totp.new_secret()
    assert one != other and len(base64.b32decode(one)) == 20
    parts = urlsplit(totp.address(one, "Bob Lee & Söhne"))
    assert (parts.scheme, parts.netloc, unquote(parts.path)) == ("otpauth", "totp", "/Rollback Bot:Bob Lee & Söhne")
    told = {"secret": [one], "issuer": ["Rollback Bot"], "algorithm": ["SHA1"], "digits": ["6"], "period": ["30"]}
    assert parse_qs(parts.query) == told
