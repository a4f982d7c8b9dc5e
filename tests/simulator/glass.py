"""What must hold where somebody breaks the glass: told by the events, and by what the channel has really shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core import glass
from core.model import Event, Run, State
from core.settings import Target

if TYPE_CHECKING:
    from tests.simulator.world import World

ENDS = (State.PLANNING, State.WAITING, State.STOPPED, State.DENIED, State.WITHDRAWN, State.EXPIRED)
"""Whatever leads here ends a break-glass."""


def bears(world: World, run: Run, target: Target, asked: float) -> list[str]:
    """Right before a script runs with too few approvals: was exactly this plan broken open, and did nobody stop it?

    `asked`: when the rights to it were asked last.
    """
    events = world.process.ledger.events(run.id)
    broken = [event for event in events if event.kind == "glass_broken"]
    if not broken:
        return [f"{run.id} runs with {len(run.approvals)} of {run.needed} approvals"]
    world.count("glass", "runs")
    one, found = broken[-1], early(world, run, target, broken[-1], events)
    if one.data["digest"] != run.digest:
        found.append(f"{run.id} runs by break-glass of another plan")
    if not any(event.kind == "countdown_over" and event.data["broken"] == one.id for event in events):
        found.append(f"{run.id} runs before its countdown is over")
    shown = [message.at for message in world.slack.messages if message.event == one.id and message.shouted]
    if not shown or world.clock.mono - min(shown) < one.data["countdown"]:
        found.append(f"{run.id} runs, and the channel has not shown its countdown")
    if any(event.id > one.id and event.state in ENDS for event in events):
        found.append(f"{run.id} runs, and its break-glass had ended")
    who = one.actor.id if one.actor else ""
    if not run.partly and not world.slack.entitled(who, asked, target.break_glass.people):
        found.append(f"{run.id}: {who} may not break the glass (any more)")
    return found


def early(world: World, run: Run, target: Target, one: Event, events: list[Event]) -> list[str]:
    """Before approvers had their time to answer the glass is broken only where none of them could be asked."""
    opened = next(event for event in reversed(events) if event.kind == "opened" and event.id < one.id)
    if one.id not in world.written_at or opened.id not in world.written_at or world.clock.jumps:
        return []
    since, waited = world.written_at[opened.id], world.written_at[one.id] - world.written_at[opened.id]
    if waited >= target.break_glass.wait.total_seconds() - 1:
        return []
    world.count("glass", "broken early: no approver")
    requester = world.settings.one_person(run.requester.id)
    own = {requester, *(one for group in world.settings.aliases if requester in group for one in group)}
    by_id = [name for name in target.approvers if name.startswith("U") and name not in own]
    alone = not by_id and world.slack.nobody(since - 60, own)
    return [] if alone else [f"{run.id}: the glass was broken after {waited:.0f} s although approvers could be asked"]


def reviews(world: World, runs: list[Run]) -> list[str]:
    """What ran without a second person owes a review until somebody else has closed it, and its card says so."""
    owed, found = {run.id for run in glass.owed(world.process.ledger)}, []
    for run in runs:
        one = run.broken
        if one is None or not one.over or run.is_open or "execute" not in run.evidence:
            continue
        own = {world.settings.one_person(run.requester.id), world.settings.one_person(one.person.id)}
        closer = run.reviewed.actor if run.reviewed else None
        world.count("glass", "reviewed" if closer else "owed")
        if closer and world.settings.one_person(closer.id) in own:
            found.append(f"{run.id} was reviewed by {closer.id}, whose own it is")
        if not closer and run.id not in owed:
            found.append(f"{run.id} owes a review, and nobody is told")
        shown = world.buttons(run)
        if shown is not None and (closer is None) != ("rb.owed" in shown):
            found.append(
                f"{run.id} {'owes a review' if not closer else 'was reviewed'}, but its card shows {sorted(shown)}"
            )
    return found
