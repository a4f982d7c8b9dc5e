"""What a setting may be: each kind reads a TOML value, and the same from the text of an environment variable.

Readers raise ValueError with the end of a sentence that begins with the setting's name, and never quote the value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from core import git_folder
from core.redact import SecretStr

UNITS = {"ms": 0.001, "s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600}
UNITS |= {"d": 86400, "day": 86400, "week": 604800}
LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|\[::1\]")


@dataclass(frozen=True)
class Kind:
    """`say` stands in documentation and faults: "must be `say`". `split`: commas part it in the environment."""

    say: str
    read: Callable[[Any], Any]
    number: bool = False
    split: bool = False
    secret: bool = False

    def from_text(self, text: str) -> object:
        """The text of a variable or flag as the TOML value that it means."""
        if self.split:
            return [part.strip() for part in text.split(",") if part.strip()]
        if self.number:
            return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text.strip()) else text
        return text

    def wrong(self) -> ValueError:
        return ValueError(f"must be {self.say}")


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("must be a text on one line, in quotes")
    return value


def _list(value: object) -> list[str]:
    if not isinstance(value, (list, tuple)):
        raise ValueError('must be a list, such as ["one", "two"]')
    return [_text(item) for item in value]


def _words(value: object) -> tuple[str, ...]:
    return tuple(_list(value))


def whole(low: int, high: int) -> Kind:
    """A whole number."""
    kind = Kind(f"a whole number from {low} to {high}", lambda value: read(value), number=True)

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise kind.wrong()
        return value

    return kind


def choice(*words: str) -> Kind:
    """One of some words."""
    kind = Kind(" or ".join(f'"{word}"' for word in words), lambda value: read(value))

    def read(value: object) -> str:
        if not isinstance(value, str) or value.lower() not in words:
            raise kind.wrong()
        return value.lower()

    return kind


def _switch(value: object) -> bool:
    known = {"true": True, "yes": True, "false": False, "no": False}
    if not isinstance(value, bool) and str(value).lower() not in known:
        raise SWITCH.wrong()
    return value if isinstance(value, bool) else known[str(value).lower()]


def duration(value: object) -> timedelta:
    """`15 min`, `2s`, `200 ms`, `30 days`, or seconds as a number. Raises ValueError."""
    if isinstance(value, timedelta):  # from a flag that was read already
        seconds = value.total_seconds()
    elif isinstance(value, str):
        found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?([a-z]*)", value.strip().lower())
        unit = found[2] if found else ""
        factor = UNITS.get(unit) or UNITS.get(unit.removesuffix("s")) or (1 if not unit else None)
        seconds = float(found[1]) * factor if found and factor else math.nan
    else:
        seconds = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    if not 0 <= seconds <= 3_650 * 86400:
        raise ValueError("must be a duration, such as 2s, 15 min, 12 hours or 30 days")
    return timedelta(seconds=seconds)


def lasting(longest: timedelta, zero: bool = False) -> Kind:
    """A duration above zero, and at most `longest`."""

    def read(value: object) -> timedelta:
        span = duration(value)
        if span > longest or (not span and not zero):
            raise ValueError(f"must be {'' if zero else 'more than 0 and '}at most {spoken(longest)}")
        return span

    return Kind("a duration", read)


def _durations(value: object) -> tuple[timedelta, ...]:
    if not isinstance(value, list):
        raise ValueError('must be a list of durations, such as ["2 min", "5 min"]')
    return tuple(sorted(duration(item) for item in value))


def spoken(span: timedelta) -> str:
    """A duration as it is written in the settings."""
    seconds = span.total_seconds()
    for unit, size, least in (("days", 86400, 2), ("hours", 3600, 2), ("min", 60, 1), ("s", 1, 1)):
        if seconds >= size * least and seconds % size == 0:
            return f"{int(seconds // size)} {unit}"
    return f"{seconds * 1000:g} ms" if seconds else "0 s"


def _matching(pattern: str, say: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"must be {say}")
        return value

    return read


def _each(read: Callable[[object], str]) -> Callable[[object], tuple[str, ...]]:
    return lambda value: tuple(read(item) for item in _list(value))


_channel = _matching(r"#[^\s#,<>&]{1,80}|[CG][A-Z0-9]+", "a channel, such as #incidents, or its id (C…)")
_who = _matching(r"[UWS][A-Z0-9]+|@[a-z0-9._-]+", "Slack user ids (U…), group ids (S…) or a group's @handle")
_user = _matching(r"[UW][A-Z0-9]+", "a Slack user id (U…)")


def web(value: object) -> str:
    """An http or https address. Raises ValueError."""
    if not isinstance(value, str) or not re.fullmatch(r"https?://[^\s/?#]+[^\s]*", value):
        raise ValueError("must be an http or https address")
    return value


def slack_api(value: object) -> str:
    """Slack's Web API or another one, with a slash at the end. Tokens go there, so: https, or this machine."""
    url = web(value)
    host = re.sub(r":\d+$", "", url.split("/")[2])
    if not url.startswith("https://") and not LOOPBACK.fullmatch(host):
        raise ValueError("must be https, since tokens are sent there; http is for this machine only")
    return url.rstrip("/") + "/"


def listen(value: object) -> tuple[str, int]:
    """`host:port`; `[::1]:8787` for IPv6, port 0 for any that is free. Raises ValueError."""
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+):([0-9]{1,5})", value) if isinstance(value, str) else None
    if isinstance(value, tuple):  # from a flag that was read already
        return value
    if not found or int(found[2]) > 65535:
        raise ValueError("must be an address to listen on, such as 127.0.0.1:8787")
    return found[1].strip("[]"), int(found[2])


def _timezone(value: object) -> str:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(_text(value))
    except (ValueError, OSError, KeyError):
        raise ValueError("must be a time zone, such as Europe/Berlin or UTC") from None
    return _text(value)


def _schedule(value: object) -> str:
    from core.schedule import parse

    parse(_text(value))
    return _text(value)


def _database(value: object) -> SecretStr:
    """Empty stands for libpq's own environment (PGHOST, PGSERVICE, ...)."""
    from core.address import fields

    if not isinstance(value, str):
        raise ValueError("must be a PostgreSQL URL, in quotes")
    fields(value)
    return SecretStr(value)


def _people(value: object) -> dict[str, str]:
    if isinstance(value, list):  # from the environment: ana=U0ANA,bob=U0BOB
        pairs = [item.partition("=")[::2] for item in _list(value)]
        value = {account.strip(): user.strip() for account, user in pairs}
    if not isinstance(value, dict):
        raise ValueError("must be a table of accounts and Slack user ids, such as ana = 'U0ANA'")
    for account, user in value.items():
        if not isinstance(user, str) or not re.fullmatch(r"[UW][A-Z0-9]+", user):
            raise ValueError(f"must give `{account}` a Slack user id (U…)")
    return value


def _folder(value: object) -> Path | git_folder.GitFolder:
    if isinstance(value, git_folder.GitFolder):  # from a flag that was read already
        return value
    text = _text(str(value) if isinstance(value, Path) else value)
    return git_folder.read(text) if text.startswith(git_folder.BEGINS) else Path(text).expanduser()


def _table(value: object) -> str:
    if not re.fullmatch(r'(?:(?:"(?:[^"]|"")+"|[^".\s]+)\.)?(?:"(?:[^"]|"")+"|[^".\s]+)', _text(value)):
        raise TABLE.wrong()
    return str(value)


def _aliases(value: object) -> tuple[tuple[str, ...], ...]:
    if not isinstance(value, list):
        raise ValueError("must be a list of lists of Slack user ids")
    groups = [item.split("=") if isinstance(item, str) else item for item in value]
    read = tuple(_each(_user)(group) for group in groups)
    ids = [user for group in read for user in group]
    if len(set(ids)) != len(ids):
        raise ValueError("names one user id twice")
    return read


TEXT = Kind("a text", _text)
SWITCH = Kind("true or false", _switch)
TABLE = Kind("a table as the database writes it, `name` or `schema.name`", lambda value: _table(value))
WORDS = Kind("a list of texts", _words, split=True)
PATH = Kind("a path", lambda value: Path(_text(str(value) if isinstance(value, Path) else value)).expanduser())
FOLDER = Kind(git_folder.SAYS, lambda value: _folder(value))
SECRET = Kind("a text", lambda value: SecretStr(_text(value)), secret=True)
DATABASE = Kind("a PostgreSQL URL", _database, secret=True)
DURATIONS = Kind("a list of durations", _durations, split=True)
LISTEN = Kind("an address to listen on, such as 127.0.0.1:8787", listen)
WEB = Kind("an http or https address", web)
SLACK_API = Kind("an https address", slack_api)
CHANNEL = Kind("a channel", _channel)
CHANNELS = Kind("a list of channels", _each(_channel), split=True)
WHO = Kind("a list of Slack user ids, group ids or a group's @handle", _each(_who), split=True)
PEOPLE = Kind("a table", _people, split=True)
ALIASES = Kind("a list of lists", _aliases, split=True)
TIMEZONE = Kind("a time zone", _timezone)
SCHEDULE = Kind("a schedule", _schedule)
