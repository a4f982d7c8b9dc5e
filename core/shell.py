"""One command of `rollback`: its words, what the verbs share, and in which room each verb is."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from core import grammar
from core.errors import EXIT, Refused
from core.grammar import Command
from core.model import Person, Request, Run, State
from core.redact import clean_all
from core.screen import out

if TYPE_CHECKING:  # a shell command must start fast: what a verb needs is imported when it asks for it
    from core.desk import Desk
    from core.ledger import Ledger
    from core.settings import Settings

CODES = {State.DONE: 0, State.DENIED: 4, State.EXPIRED: 4, State.WITHDRAWN: 4, State.DECIDE: 6}
CODES |= {State.NEEDS_A_PERSON: 7, State.INTERRUPTED: 7, State.STOPPED: 1, State.REFUSED: 3}
LOOKING = ("plan", "migrations", "status", "history", "stats", "show", "report", "audit", "doctor", "whoami")
ASKING = ("request", "reapply", "restore", "release", "withdraw", "stop", "resume", "verify", "keep")
PREPARING = ("backup", "guard", "readiness")
DECIDING = ("approve", "deny", "break-glass", "totp")


def put(data: dict[str, Any]) -> None:
    """One object on stdout."""
    print(json.dumps(clean_all({"schema_version": 1, **data}), default=str, indent=2))


class Shell:
    """One command."""

    def __init__(self, argv: Sequence[str], guarded: Sequence[str] = ()) -> None:
        """`guarded`: the command that `guard` runs."""
        self.command, self.guarded = grammar.parse_words(argv), guarded

    def run(self) -> int:
        """Do it; the exit code."""
        verb = self.command.verb
        code: int = getattr(room(verb), verb.replace("-", "_"))(self, self.command)
        return code

    # what a verb needs is made when it asks for it: `doctor` reads no ledger, `history` opens no database
    @property
    def settings(self) -> Settings:
        if not hasattr(self, "_settings"):
            from core.config import load

            self._settings = load()
        return self._settings

    @property
    def ledger(self) -> Ledger:
        if not hasattr(self, "_ledger"):
            from core.ledger import Ledger

            self._ledger = Ledger(self.settings.ledger)
        return self._ledger

    @property
    def desk(self) -> Desk:
        from core.desk import Desk

        return Desk(self.ledger, self.settings)

    @property
    def person(self) -> Person:
        """The operating system account, as the person whom the settings name for it."""
        account = account_name(self.settings.ledger)
        return Person(self.settings.people.get(account, f"shell:{account}"), account)

    def show(self, lines: Sequence[str], data: dict[str, Any], code: int = 0) -> int:
        """Lines for people, or the object for machines."""
        if self.command.json:
            put({"ok": code == 0, **data})
        else:
            out().tell(*lines)
        return code

    def agreed(self, run_id: str) -> Run:
        """The run, where the running bot goes by what this shell does: else we might not be whom its settings name.

        Raises Refused(E-CONFIG).
        """
        from core import driving

        run = self.ledger.run(run_id)
        driving.agree(self.desk, run.target)
        return run

    def mapped(self) -> None:
        """Raises Refused(E-NOT-ALLOWED) for an account that is nobody here, where people have a say."""
        if self.person.id.startswith("shell:") and any(target.approvals for target in self.settings.targets.values()):
            raise Refused(
                "E-NOT-ALLOWED",
                f"The account {self.person.name} is not mapped to a person, so it may only look.",
                "Map it under [people].",
            )


def room(verb: str) -> ModuleType:
    """The module in which the verb is a function of shell and command that returns the exit code. Raises Refused(E-USAGE)."""
    if verb in LOOKING:
        from core import looking

        return looking
    if verb in ASKING:
        from core import asking

        return asking
    if verb in DECIDING:
        from core import deciding

        return deciding
    if verb == "drill":
        from core import drilling

        return drilling
    if verb in PREPARING:
        from core import preparing

        return preparing
    if verb == "init":
        from core import first_settings

        return first_settings
    raise AssertionError(f"{verb} has no room")


def account_name(ledger: Path | None = None) -> str:
    """Who runs this, from the system's own list: variables like LOGNAME say whatever one likes.

    As the account that owns the ledger, through sudo, it is who called sudo, which tells in SUDO_UID whatever the caller
    has set (sudo(8), "ENVIRONMENT"). Only that account is believed: it could write the ledger without asking us.
    """
    user, caller = os.getuid(), os.environ.get("SUDO_UID", "")
    with suppress(OSError):  # no ledger yet: nothing to be somebody else for
        if ledger and caller.isdecimal() and ledger.stat().st_uid == user:
            user = int(caller)
    try:
        return pwd.getpwuid(user).pw_name
    except (KeyError, OverflowError):  # a container's arbitrary user id
        return str(user)


def asked(command: Command) -> Request:
    """What a request asks for. Raises Refused(E-USAGE)."""
    if command.request is None:
        raise Refused("E-USAGE", "Say which migration. Nothing was started.", "For example: rollback latest")
    return command.request


def named(command: Command) -> str:
    """The run that was named. Raises Refused(E-USAGE)."""
    if not command.run:
        raise Refused("E-USAGE", "Say which run.", "For example: rollback show RB-7K3M; `rollback history` lists them.")
    return command.run


def code_of(run: Run) -> int:
    """How a run ended, as an exit code."""
    if run.state in (State.STOPPED, State.REFUSED) and run.ending:
        return EXIT.get(run.ending.data.get("code", ""), CODES[run.state])
    return CODES.get(run.state, 4)
