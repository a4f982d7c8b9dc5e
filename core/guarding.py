"""`rollback guard -- COMMAND`: a proven backup, then somebody's own command, then a look at what it has applied.

The command is nobody's business: its words are run, and never read, told or written down.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from core import board, readiness, survey
from core.backups import taking
from core.backups.taking import Proven
from core.errors import Problem
from core.ledger import Ledger
from core.model import Json, Person
from core.readiness_words import BAD
from core.settings import Settings, Target
from core.survey import MigrationNow
from core.watched import Watch

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
PATIENCE = 600.0  # seconds to wait for somebody else who looks
NOT_FOUND, NOT_RUN = 127, 126
"""What a shell gives for a command that is not there, and for one that cannot be run. Source: POSIX, Shell Command Language, 2.8.2."""


@dataclass
class Child:
    """How the command ended. `code`: as a shell tells it; `signal`: the last one that was passed on to it, if any."""

    code: int = 0
    why: str = ""
    signal: int = 0


@dataclass
class Guarded:
    """What came of it. `problem`: why the command was not run, or why it was not looked at what it has applied."""

    backup: Proven | None = None
    child: Child | None = None
    applied: list[str] = field(default_factory=list)
    found: Json | None = None
    problem: Problem | None = None

    @property
    def bad(self) -> list[Json]:
        """Lines of the board of what has no working way back."""
        return [one for one in (self.found or {}).get("migrations", ()) if one["state"] in BAD]

    @property
    def code(self) -> int:
        """The exit code of the shell."""
        if self.child is None:
            return 1
        if self.child.code or self.child.signal:
            return self.child.code  # 0 too: it has heard the signal, and came to its end all the same
        return self.problem.exit if self.problem else 3 if self.bad else 0

    def told(self) -> Json:
        """For `--json`."""
        problem = self.problem
        why = {"code": problem.code, "message": problem.message, "hint": problem.hint} if problem else None
        return {
            "backup": self.backup.told() if self.backup else None,
            "ran": self.child is not None,
            "command_code": self.child.code if self.child else None,
            "applied": self.applied,
            "migrations": self.found["migrations"] if self.found else [],
            "problem": why,
            "exit": self.code,
        }


def guard(
    ledger: Ledger, settings: Settings, target: Target, who: Person, words: Sequence[str], watch: Watch, done: Guarded
) -> None:
    """All of it; `done` tells how far it came. Raises nothing that a Problem is."""
    try:
        done.backup = taking.take(ledger, settings, target, who, watch)
        before = {row.version for row in applied(target)}
    except Problem as problem:
        done.problem = problem
        return
    done.child = run(words)
    if done.child.signal or done.child.why:
        return  # told to end: a look takes minutes
    try:
        rows = applied(target)
        done.applied = [row.name for row in rows if row.version not in before]
        if done.applied:
            found = readiness.look(ledger, settings, target, done.applied, watch, patience=PATIENCE)
            board.keep(ledger, target.name, found, who, applied=[row.name for row in rows])
            done.found = found
    except Problem as problem:
        done.problem = problem


def applied(target: Target) -> list[MigrationNow]:
    """Newest first; none where there is no history table yet, which the first migration makes. Raises Refused."""
    try:
        return [row for row in survey.migrations(target) if row.applied]
    except Problem as problem:
        if problem.code == "E-HISTORY" and problem.message.startswith("There is no table"):
            return []
        raise


def run(words: Sequence[str]) -> Child:
    """The command to its end, with our input, output, environment and whatever else was left open for it."""
    ended = Child()
    with passed_on(ended) as to:
        try:
            child = subprocess.Popen(list(words), env=dict(os.environ), close_fds=False)
        except OSError as error:
            ended.code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUN
            ended.why = (os.strerror(error.errno) if error.errno else "no reason given").lower()
            return ended
        except ValueError:  # a null character
            ended.code, ended.why = NOT_RUN, "its words hold a null character"
            return ended
        to.append(child)
        if ended.signal:  # before there was anybody to pass it on to
            child.send_signal(ended.signal)
        code = child.wait()
    ended.code = code if code >= 0 else 128 - code
    return ended


@contextmanager
def passed_on(ended: Child) -> Iterator[list[subprocess.Popen[bytes]]]:
    """While the block lasts, signals go to the processes of the list, and do not end us.

    One that is ignored stays so, for the command too: `nohup` and the like have asked for that, and a handler would be the default there.
    """
    to: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _: object) -> None:
        ended.signal = number
        for child in to:
            if not (number in (signal.SIGINT, signal.SIGQUIT) and at_the_terminal()):
                child.send_signal(number)

    heard = [number for number in PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, pass_on) for number in heard}
    try:
        yield to
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def at_the_terminal() -> bool:
    """Do keys of a terminal reach us and the command alike? Then it has that signal already."""
    for number in (0, 1, 2):
        try:
            return os.tcgetpgrp(number) == os.getpgrp()
        except OSError:
            continue
    return False
