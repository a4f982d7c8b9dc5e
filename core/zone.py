"""The time zone that people read times in: the machine's, or one by its name."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

LINK = Path("/etc/localtime")
RULE = re.compile(r"(?:<[^<>]+>|[A-Za-z]{3,})[+-]?\d")
"""How a rule of POSIX in TZ begins: `CET-1CEST`."""


@dataclass(frozen=True)
class Zone:
    """`name`: as people know it (`Europe/Berlin`). `rules`: None where the C library has them, and nobody else."""

    name: str
    rules: tzinfo | None

    def at(self, moment: datetime) -> datetime:
        """The same moment in this zone; `moment` is aware."""
        return moment.astimezone(self.rules)


def named(name: str) -> Zone | None:
    """A zone of the IANA's; None: there is none of that name."""
    try:
        return Zone(name, UTC if name == "UTC" else ZoneInfo(name))
    except (KeyError, OSError, ValueError):  # of a name that is unknown, a folder's, or one that leads elsewhere
        return None


def here(env: Mapping[str, str] = os.environ, link: Path = LINK) -> Zone:
    """The machine's zone: TZ, else what `/etc/localtime` is a link to. tzset(3) says how TZ is read; empty is UTC."""
    told = env.get("TZ")
    word = str(link.resolve()) if told is None else told.removeprefix(":") or "UTC"
    found = named(word.rpartition("zoneinfo/")[2])
    if found:
        return found
    a_file = word.startswith("/") and Path(word).is_file()
    if told is not None and not RULE.match(word) and not a_file:  # then the C library takes UTC, and says nothing
        return Zone("UTC, since TZ names no zone that is known here", UTC)
    return Zone("/".join(dict.fromkeys(time.tzname)), None)
