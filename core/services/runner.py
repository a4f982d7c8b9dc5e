"""Runs the programs of all kinds of services, waits, and says in one sentence what went wrong."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from math import ceil
from pathlib import Path
from typing import TypeVar

from core import children
from core.children import Done
from core.errors import StepFailed
from core.redact import Redactor, clean, passwords, visible
from core.settings import Target
from core.values import spoken

T = TypeVar("T")
QUESTION = 30.0
"""Seconds for a question. Logging in to a cluster can take several."""

INSTALL = {
    "docker": "Install Docker's client where the bot runs, or choose another `services.kind`.",
    "kubectl": "Install kubectl where the bot runs, or choose another `services.kind`.",
    "systemctl": "The kind `systemd` is for a bot on the services' own machine, outside a container.",
}
BY_HAND = "Try it on the bot's machine with the bot's account; docs/services.md says what it needs."
NOISE = re.compile(r"[IWEF]\d{4} |time=\"|warn(ing)?\b| *(?:container|network|volume|image) ", re.IGNORECASE)
"""Lines before the reason: kubectl's log (klog), Compose's log (logrus) and its list of what it is doing."""
TROUBLE = re.compile(r"error|fail|can't|cannot|could not|unable|denied|refused|unknown|no such", re.IGNORECASE)
PATH = re.compile(r"(?<![\w:/.])(?:unix://)?(?:/[^\s/:\"',;]+)*/[^\s/:\"',;]*[^\s/:\"',;.]")


@dataclass(frozen=True)
class Runner:
    """Runs programs for one target. `seconds`: how long stopping, and how long starting, may take."""

    seconds: float
    redactor: Redactor

    @classmethod
    def of(cls, target: Target) -> Runner:
        urls = [
            url.get_secret_value()
            for url in (target.database_url, target.scratch_url, target.admin_url)
            if url is not None
        ]
        secrets = [secret for url in urls for secret in passwords(url)]
        return cls(target.services.timeout.total_seconds(), Redactor(secrets))

    def deadline(self) -> float:
        """When time is up for what begins now, on the clock of `until`."""
        return time.monotonic() + self.seconds

    def ask(self, words: Sequence[str], name: str = "", folder: Path | None = None) -> Done:
        """A question, answered with exit code 0. Raises StepFailed(E-SERVICES)."""
        name = name or " ".join(words[:2])
        done = self.end(words, name, QUESTION, folder)
        if done.code:
            raise failed(f"{self.failure(name, done)}.", BY_HAND)
        return done

    def order(self, words: Sequence[str], deadline: float, name: str = "", folder: Path | None = None) -> str:
        """An order that may fail; why it did, or nothing. What then is true must be looked at."""
        name = name or " ".join(words[:2])
        try:
            done = self.end(words, name, max(deadline - time.monotonic(), 1), folder)
        except StepFailed as problem:
            return problem.message.rstrip(".")
        return self.failure(name, done) if done.code else ""

    def end(self, words: Sequence[str], name: str, seconds: float, folder: Path | None = None) -> Done:
        """Run to the end, whatever its exit code. Raises StepFailed(E-SERVICES): it is missing, or did not end."""
        program = Path(words[0]).name
        try:
            done = children.run(words, seconds, folder)
        except OSError as error:
            why = (os.strerror(error.errno) if error.errno else "no reason given").lower()
            hint = INSTALL.get(program, "Is it there, and may the bot's account run it?")
            raise failed(f"I cannot run `{program}`: {why}.", hint) from None
        if done.code is None:
            limit = spoken(timedelta(seconds=ceil(seconds)))
            raise failed(f"`{name}` did not end within {limit}.", "Does what it talks to answer? " + BY_HAND)
        return done

    def failure(self, name: str, done: Done) -> str:
        """A sentence, without its full stop, about a program that failed."""
        return f"`{name}` failed (exit code {done.code}): {self.complaint(done.err)}"

    def complaint(self, err: str) -> str:
        """What a program complained of: one line without secrets and paths, at most 200 characters."""
        lines = [line for line in err.splitlines() if line.strip()]
        said = [line for line in lines if not NOISE.match(line)] or lines[-1:] or ["it gave no reason"]
        line = next((line for line in said if TROUBLE.search(line)), said[0])
        line = PATH.sub("…", self.redactor.redact(clean(visible(" ".join(line.split())))))
        return line.rstrip(".?!") if len(line) <= 200 else line[:199] + "…"


def until(left: Callable[[], T], deadline: float) -> T:
    """Ask until nothing is left or time is up, at last once a second; what is left then.

    A question that fails meanwhile is asked again. Raises StepFailed(E-SERVICES) where the last one failed.
    """
    pause = 0.02
    while True:
        over = time.monotonic() >= deadline
        try:
            if not (found := left()) or over:
                return found
        except StepFailed:
            if over:
                raise
        time.sleep(max(min(pause, deadline - time.monotonic()), 0))
        pause = min(pause * 2, 1)


def failed(message: str, hint: str) -> StepFailed:
    """The services' own code."""
    return StepFailed("E-SERVICES", message, hint)


def unknown(what: str, names: Sequence[str], known: Iterable[str], where: str = "") -> StepFailed:
    """Names that nothing has, with what may have been meant."""
    near = [found for name in names for found in get_close_matches(name, list(known), 1)]
    hint = f"Did you mean {listed(near)}? " if near else ""
    return failed(f"There is no {what} {listed(names)}{where}.", f"{hint}Correct `services.names`.")


def listed(names: Iterable[str]) -> str:
    """Names as people read them."""
    *most, last = [f"`{name}`" for name in names]
    return f"{', '.join(most)} and {last}" if most else last


def both(names: Sequence[str], before: Iterable[str]) -> list[str]:
    """What the settings name, in their order, then what else the record names: settings can change in between."""
    return list(dict.fromkeys([*names, *before]))
