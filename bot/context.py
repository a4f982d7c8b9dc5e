"""What a message needs to know besides the run."""

from __future__ import annotations

from bot import messages
from bot.people import People
from core import drills, glass
from core.errors import Refused
from core.ledger import Ledger
from core.model import Run, State
from core.settings import Target
from core.under_way import estimates


def context_of(
    run: Run, target: Target, people: People, ledger: Ledger, asked: tuple[str, ...] = (), reading: tuple[str, ...] = ()
) -> messages.Context:
    """Mentions, link and estimates, as of now."""
    waits = run.state is State.WAITING and bool(target.break_glass.people)
    return messages.Context(
        approvers_mention=people.mention(target.approvers),
        approvers_text=people.called(target.approvers),
        link=people.link(ledger, run.id),
        keep_days=target.keep.days,
        target_default=target.name == people.settings.default_target,
        now=ledger.clock(),
        estimates=estimates(run, ledger),
        changed=run.changed,
        asked=asked,
        reading=reading,
        escalated=people.mention(target.escalation) if target.escalation else "",
        origin=people.link(ledger, run.request.origin) if run.request.origin else None,
        newer=people.newer.of(target),
        drill=drill_of(target, ledger) if run.state is State.WAITING else "",
        may_break=waits and breakable(run, target, people, ledger),
    )


def drill_of(target: Target, ledger: Ledger) -> str:
    """How it is with the drills of a target that has some; empty for others."""
    now = drills.standing(ledger, target.name)
    return messages.drill_on_a_plan(now, ledger.clock()) if target.drill or now.last else ""


def breakable(run: Run, target: Target, people: People, ledger: Ledger) -> bool:
    """Could somebody who is named break the glass now?"""
    try:
        glass.possible(run, target, people.alone(run, target), ledger.clock())
    except Refused:
        return False
    return True
