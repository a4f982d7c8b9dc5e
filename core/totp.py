"""Time-based one-time passwords, as authenticators make them. Pure: no clock, no file.

Source: RFC 6238 (TOTP) over RFC 4226 (HOTP): HMAC-SHA-1, steps of 30 s since 1970, 6 digits, T0 = 0. The address that
authenticators read: github.com/google/google-authenticator/wiki/Key-Uri-Format.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from datetime import datetime
from urllib.parse import quote

STEP = 30
"""Seconds for which one code is shown. RFC 6238, 4.1."""
DIGITS = 6
WINDOW = 1
"""Steps before and after the present one that count too: clocks differ, and people type slowly. RFC 6238, 5.2."""
BYTES = 20
"""Length of a secret: that of the hash. RFC 4226, 4, R6."""


def new_secret() -> str:
    """A secret in base32, from the system's random source."""
    return base64.b32encode(secrets.token_bytes(BYTES)).decode()


def counter(at: datetime) -> int:
    """The number of the step in which an instant lies."""
    return int(at.timestamp()) // STEP


def code(secret: str, step: int, digits: int = DIGITS) -> str:
    """The code of one step. `secret` is base32. RFC 4226, 5.3 (dynamic truncation)."""
    mac = hmac.digest(base64.b32decode(secret), step.to_bytes(8, "big"), "sha1")
    start = mac[-1] & 0x0F
    number = int.from_bytes(mac[start : start + 4], "big") & 0x7FFFFFFF
    return str(number % 10**digits).zfill(digits)


def typed(text: str) -> str | None:
    """Six digits, also as authenticators show them (`123 456`); None for whatever else was typed."""
    found = re.fullmatch(rf"[0-9]{{{DIGITS}}}", re.sub(r"[\s-]", "", text))
    return found[0] if found else None


def match(secret: str, digits: str, at: datetime) -> list[int]:
    """The steps around an instant that show this code, oldest first; mostly none or one.

    Each candidate is compared in constant time, and all of them always.
    """
    now = counter(at)
    steps = range(max(0, now - WINDOW), now + WINDOW + 1)
    return [step for step in steps if hmac.compare_digest(code(secret, step).encode(), digits.encode())]


def address(secret: str, person: str, issuer: str = "Rollback Bot") -> str:
    """What an authenticator reads: `otpauth://totp/...`."""
    label = f"{quote(issuer)}:{quote(person)}"
    return f"otpauth://totp/{label}?secret={secret}&issuer={quote(issuer)}&algorithm=SHA1&digits={DIGITS}&period={STEP}"
