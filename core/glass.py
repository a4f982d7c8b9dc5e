"""Break-glass: a named person starts a run without a second person. Loudly, after a countdown that anyone can stop.

It replaces the second person and nothing else: the plan, its proofs and the checks before execute stay as they are.
Who may is asked by the door, as ever; what stands here must hold whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from core.entry import Transaction, stamp
from core.errors import Refused
from core.model import Json, Person, Run, State
from core.refusals import closed, expired, stale

if TYPE_CHECKING:
    from core.ledger import Ledger
    from core.settings import Target

SHORTEST_REASON = 20  # characters
SHORTEST_REVIEW = 10
OWED = """
    state IN ('done', 'reapplied', 'restored')
    AND id IN (SELECT run FROM events WHERE kind = 'countdown_over')
    AND id NOT IN (SELECT run FROM events WHERE kind = 'reviewed')"""


def word(run: Run) -> str:
    """What must be typed: the migration that was asked for, as the card names it; of a restore the target's name."""
    if run.kind == "restore":
        return run.target
    return str(run.going[-1 if run.kind == "rollback" else 0]["name"])


def possible(run: Run, target: Target, alone: bool, now: datetime) -> None:
    """Raises Refused where the gate cannot be opened that way now. `alone`: no approver can be asked."""
    glass, opened = target.break_glass, run.opened_at or run.created_at
    if not glass.people:
        raise Refused("E-NOT-ALLOWED", f"Break-glass is off on *{target.name}*.", "Nothing was started.")
    if run.state is not State.WAITING:
        raise closed(run, None)
    if run.broken:
        by = run.broken.person.name
        raise Refused("E-ALREADY", f"{by} broke the glass for *{run.id}* already.", "Nothing to do: the card tells.")
    if run.expires_at and now >= run.expires_at:
        raise expired(run)
    if not alone and now < opened + glass.wait:
        raise Refused(
            "E-NOT-ALLOWED",
            f"The approvers of *{run.id}* have until {opened + glass.wait:%H:%M:%S} UTC to answer.",
            "Nothing was started.",
        )
    if run.expires_at and now + glass.countdown >= run.expires_at:
        raise Refused(
            "E-EXPIRED", f"*{run.id}* expires before the countdown would end.", "Ask again: nothing was changed."
        )


def check_words(run: Run, typed: str, reason: str) -> str:
    """The reason as it is kept. Raises Refused (E-REASON, E-TYPED)."""
    reason = " ".join(reason.split())
    if len(reason) < SHORTEST_REASON:
        raise Refused(
            "E-REASON", f"Say why it cannot wait, in at least {SHORTEST_REASON} characters.", "Nothing was started."
        )
    if typed.strip() != word(run):
        raise Refused("E-TYPED", f"Type {word(run)} exactly.", "Nothing was started.")
    return reason


def broken(
    now: datetime, run: Run, target: Target, shown: tuple[int, str], words: tuple[str, str], alone: bool
) -> Json:
    """Data of `glass_broken`: `shown` are revision and digest on the form, `words` what was typed and why. Raises Refused."""
    possible(run, target, alone, now)
    if (run.revision, run.digest) != shown:
        raise stale(run, shown[0])
    reason = check_words(run, *words)
    countdown = target.break_glass.countdown
    data: Json = {"reason": reason, "revision": run.revision, "digest": run.digest}
    return {**data, "countdown": countdown.total_seconds(), "starts_at": stamp(now + countdown)}


def write_over(t: Transaction, run: Run, event: int) -> None:
    """Nobody has stopped it: the gate opens, unless it is too early, too late, or no longer the one that was announced."""
    one = run.broken
    if one is None or one.over or one.event != event or run.state is not State.WAITING:
        return
    if t.now < one.starts_at or (run.expires_at and t.now >= run.expires_at):
        return
    if (one.revision, one.digest) == (run.revision, run.digest):
        data: Json = {"broken": one.event, "revision": one.revision, "digest": one.digest}
        t.move(run, State.APPROVED, "countdown_over", data, one.person)


def may_review(run: Run, who: Person, same: Callable[[Person, Person], bool]) -> None:
    """Raises Refused where no review is owed, or where this person asked for the run or broke it open."""
    if run.reviewed and run.reviewed.actor:
        raise Refused("E-ALREADY", f"{run.reviewed.actor.name} has reviewed *{run.id}* already.", "Nothing to do.")
    if not run.owes_review or run.broken is None:
        raise Refused("E-CLOSED", f"*{run.id}* owes no review.", "`status` lists those that do.")
    if same(run.requester, who) or same(run.broken.person, who):
        raise Refused("E-SELF", f"*{run.id}* is yours, so somebody else must review it.", "It stays open.")


def write_reviewed(t: Transaction, run: Run, who: Person, same: Callable[[Person, Person], bool], text: str) -> None:
    """The review is closed, with what was found. Raises Refused."""
    may_review(run, who, same)
    text = " ".join(text.split())
    if len(text) < SHORTEST_REVIEW:
        raise Refused("E-REASON", f"Say what you found, in at least {SHORTEST_REVIEW} characters.", "It stays open.")
    t.append(run.id, "reviewed", {"text": text}, who)


def owed(ledger: Ledger) -> list[Run]:
    """Runs that took effect without a second person and whose review no approver has closed, newest first."""
    return [run for run in ledger.runs(OWED) if run.owes_review]
