"""Why the desk says no, in words that say what else can be done."""

from __future__ import annotations

from typing import Literal

from core.errors import Problem, Refused
from core.model import OPEN, Person, Run, State

WayBack = Literal["reapply", "restore"]


class Duplicate(Problem):
    """Slack delivered the same thing twice; the first one was answered."""

    def __init__(self) -> None:
        super().__init__("E-ALREADY", "This was delivered twice; the first one counts.")


def goes(kind: WayBack, origin: Run) -> None:
    """Raises Refused where there is no such way back from a rollback."""
    executed = origin.evidence.get("execute")
    fits = {
        "reapply": (State.DONE, State.DECIDE),
        "restore": (State.DONE, State.DECIDE, State.REAPPLIED, State.NEEDS_A_PERSON),
    }
    if origin.kind != "rollback" or origin.state not in fits[kind]:
        raise closed(origin, None) if not origin.is_open else busy(origin)
    if origin.cleaned:
        code = "E-NO-SAVED" if kind == "reapply" else "E-NO-BACKUP"
        raise Refused(code, f"Backup and saved rows of *{origin.id}* are no longer kept.", "Nothing was started.")
    if kind == "reapply" and not (executed and "saved" in executed):
        raise Refused("E-NO-SAVED", f"*{origin.id}* has saved no rows.", "`restore` puts the full backup back.")
    if kind == "restore" and "backup" not in origin.evidence:
        raise Refused("E-NO-BACKUP", f"*{origin.id}* has taken no backup.", "Nothing was started.")


def busy(run: Run) -> Refused:
    """One rollback per target."""
    return Refused("E-BUSY", f"*{run.id}* is open on *{run.target}*. One at a time.", "`status` shows it.")


def expired(run: Run) -> Refused:
    at = f"{run.expires_at:%H:%M} UTC" if run.expires_at else "before"
    return Refused("E-EXPIRED", f"*{run.id}* expired at {at}.", "Ask again: nothing was changed.")


def stale(run: Run, revision: int) -> Refused:
    return Refused(
        "E-STALE",
        f"The plan changed while you read it (revision {revision} → {run.revision}). Your click was not counted.",
        f"Review revision {run.revision}.",
    )


def too_late(run: Run) -> Refused:
    return Refused("E-TOO-LATE", f"*{run.id}* is past the point of no return.", "`status` shows how far it is.")


def closed(run: Run, who: Person | None) -> Refused:
    """Somebody was faster, or it has ended; says who and when."""
    if run.state is State.EXPIRED:
        return expired(run)
    end = run.ending
    by = f" by {end.actor.name}" if end and end.actor else ""
    at = f" at {end.at:%H:%M:%S} UTC" if end else ""
    if run.state in OPEN:
        code, words = "E-ALREADY", run.state.replace("_", " ")
        return Refused(code, f"*{run.id}* is already {words}{by}{at}.", "Nothing to do. `status` shows it.")
    again = run.request.migration or run.request.what
    hint = f"`/rollback {again}` asks again." if run.state is not State.DONE else "`history` lists it."
    return Refused("E-CLOSED", f"*{run.id}* is already {run.state.replace('_', ' ')}{by}{at}.", hint)
