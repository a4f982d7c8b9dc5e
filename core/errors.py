"""What can go wrong, always with a code, one sentence and the next step.

`Problem.text` is fit for a channel: it names what happened, that nothing was started (or what is true now)
and what to do. It never holds a DSN, a password, a file system path or row content.
"""

from __future__ import annotations

from core.redact import clean

# Exit codes of the shell, by error code. 0 done is not an error.
EXIT: dict[str, int] = {
    "E-USAGE": 2,
    "E-TARGET-UNKNOWN": 2,
    "E-MIGRATION-UNKNOWN": 2,
    "E-MIGRATION-AMBIGUOUS": 2,
    "E-RUN-UNKNOWN": 2,
    "E-REASON": 2,
    "E-CONFIG": 2,
    "E-NOT-ALLOWED": 3,
    "E-SELF": 3,
    "E-NOT-APPROVER": 3,
    "E-NOT-YOURS": 3,
    "E-GUEST": 3,
    "E-EXTERNAL": 3,
    "E-CHANNEL": 3,
    "E-ALREADY": 3,
    "E-CLOSED": 3,
    "E-STALE": 3,
    "E-EXPIRED": 4,
    "E-TOO-LATE": 3,
    "E-TYPED": 3,
    "E-RATE": 3,
    "E-SHELL-APPROVE": 3,
    "E-TOTP": 3,
    "E-CANNOT-CHECK": 3,
    "E-NO-APPROVERS": 3,
    "E-NOT-APPLIED": 3,
    "E-NOTHING": 3,
    "E-NO-SCRIPT": 3,
    "E-SCRIPT": 3,
    "E-NO-TX": 3,
    "E-ONLY-DEPENDS": 3,
    "E-STAGING": 3,
    "E-FILE-MISSING": 3,
    "E-HISTORY": 3,
    "E-DIRECT": 3,
    "E-RIGHTS": 3,
    "E-TOOLS": 3,
    "E-NO-SAVED": 3,
    "E-NO-BACKUP": 3,
    "E-BUSY": 5,
    "E-REHEARSAL": 1,
    "E-SCRATCH": 1,
    "E-BACKUP": 1,
    "E-TRIAL-RUN": 1,
    "E-LOCK": 1,
    "E-DIFFERS": 1,
    "E-EXECUTE": 1,
    "E-REAPPLY": 1,
    "E-SERVICES": 1,
    "E-DISK": 1,
    "E-LEDGER": 1,
    "E-STOPPED": 1,
    "E-NO-BOT": 69,
    "E-ENDING": 69,
    "E-DB": 69,
    "E-SLACK": 69,
    "E-UNKNOWN": 7,
    "E-PARTLY": 7,
    "E-BUG": 1,
}


class Problem(Exception):
    """An answer other than yes. `message`: what happened; `hint`: the next step; `options`: commands that help."""

    def __init__(self, code: str, message: str, hint: str = "", options: tuple[str, ...] = ()) -> None:
        if code not in EXIT:
            raise AssertionError(f"{code} is not a known code")
        message, hint = clean(message), clean(hint)
        super().__init__(code, message, hint)
        self.code, self.message, self.hint, self.options = code, message, hint, tuple(map(clean, options))

    @property
    def exit(self) -> int:
        """The exit code of the shell."""
        return EXIT[self.code]

    @property
    def text(self) -> str:
        """Message and hint as one plain text."""
        return f"{self.message} {self.hint}".strip()

    def __str__(self) -> str:
        return f"{self.text} ({self.code})"


class Refused(Problem):
    """A rule says no. Nothing was started."""


class StepFailed(Problem):
    """A step could not vouch for its result. The target was not changed."""


class NeedsAPerson(Problem):
    """The outcome is unknown, or a person must decide. `lists`: what is known, unknown, being done, and to be done."""

    def __init__(self, code: str, message: str, hint: str = "", **lists: list[str]) -> None:
        super().__init__(code, message, hint)
        self.lists = {name: [clean(line) for line in lines] for name, lines in lists.items()}


class PlanChanged(Exception):
    """What was approved is not what would run now; `what` lists the changes, one sentence each."""

    def __init__(self, what: list[str]) -> None:
        self.what = [clean(line) for line in what]
        super().__init__("; ".join(self.what))
