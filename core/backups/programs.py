"""The team's own programs: what they are told, how long they may take, and what their answer means."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path

from core import children
from core.errors import Refused, StepFailed
from core.pgtools import Cancelled
from core.redact import clean, visible
from core.services.runner import Runner
from core.settings import Target
from core.values import spoken

UNCHANGED = "Production was not changed."
BY_HAND = "Try it on the bot's machine with the bot's account; docs/backups.md says what it is told and must print."
ANSWER = 60.0  # seconds for `verified`: people wait for the plan
LONGEST = 200  # characters of a name
AHEAD = timedelta(minutes=5)  # how far another machine's clock may be ahead of ours


def run(
    target: Target,
    words: Sequence[str],
    told: Mapping[str, str],
    seconds: float,
    cancelled: Callable[[], bool] = lambda: False,
) -> str:
    """Run to its end; what it printed. `told`: its variables besides those that every program gets.

    Raises StepFailed(E-BACKUP), Cancelled.
    """
    name = Path(words[0]).name
    try:
        done = children.run(words, seconds, more={"RB_TARGET": target.name, **told}, given_up=cancelled)
    except OSError as error:
        why = (os.strerror(error.errno) if error.errno else "no reason given").lower()
        raise StepFailed("E-BACKUP", f"I cannot run `{name}`: {why}. {UNCHANGED}", BY_HAND) from None
    if cancelled():
        raise Cancelled
    if done.code is None:
        limit = spoken(timedelta(seconds=ceil(seconds)))
        raise StepFailed("E-BACKUP", f"`{name}` did not end within {limit}. {UNCHANGED}", BY_HAND)
    if done.code:
        raise StepFailed("E-BACKUP", f"{Runner.of(target).failure(name, done)}. {UNCHANGED}", BY_HAND)
    return done.out


def may_run(words: Sequence[str]) -> None:
    """Raises Refused(E-BACKUP) where there is no such program, or not for us."""
    if shutil.which(words[0]) is None:
        name = Path(words[0]).name
        raise Refused(
            "E-BACKUP", f"I cannot run `{name}`: it is not there, or not for me. Nothing was started.", BY_HAND
        )


def verified_at(target: Target, now: datetime) -> datetime:
    """When the last verified backup of everything was made, as the team's program says. Raises Refused(E-BACKUP)."""
    words = target.backup.verified
    name = Path(words[0]).name
    try:
        at = _moment(last_line(target, run(target, words, {}, ANSWER)), now)
    except StepFailed as problem:
        raise Refused(problem.code, problem.message.replace(UNCHANGED, "Nothing was started."), problem.hint) from None
    if at is None:
        raise Refused(
            "E-BACKUP",
            f"`{name}` does not say when the last verified backup was made. Nothing was started.",
            "Its last line must be a time with its zone (RFC 3339), or seconds of age.",
        )
    if at > now + AHEAD:
        raise Refused(
            "E-BACKUP", f"`{name}` tells of a backup in the future. Nothing was started.", "Compare the clocks."
        )
    if now - at > target.backup.max_age:
        raise Refused(
            "E-BACKUP",
            f"The last verified backup of *{target.name}* is {old(now - at)} old, `max_age` is "
            f"{spoken(target.backup.max_age)}. Nothing was started.",
            "Take and verify one, then ask again.",
        )
    return at


def _moment(text: str, now: datetime) -> datetime | None:
    if re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text):
        return now - timedelta(seconds=float(text))
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else None


def old(age: timedelta) -> str:
    """30 h, 12 min, less than a minute"""
    minutes = max(int(age.total_seconds() // 60), 0)
    if minutes < 1:
        return "less than a minute"
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 60 * 72 else f"{minutes // 1440} days"


def last_line(target: Target, out: str) -> str:
    """The last line that is not empty, fit for a channel: no control characters, no secrets, not too long."""
    lines = [line for line in out.splitlines() if line.strip()]
    return visible(clean(Runner.of(target).redactor.redact(" ".join(lines[-1].split()))))[:LONGEST] if lines else ""
