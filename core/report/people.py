"""The people of a packet: everybody who acted, and whose word counted."""

from __future__ import annotations

from collections.abc import Iterator

from core.model import Person, Run
from core.report.case import Case
from core.report.happened import called, plan_of, utc
from core.report.model import Block, Facts, Table, line, name


def people(case: Case) -> list[Block]:
    """Everybody who acted, in the order in which they came, and what they did."""
    told = [(event, one.run.id) for one in (case.told, *case.others) for event in one.events if event.actor]
    did: dict[Person, list[str]] = {}
    for event, run in sorted(told, key=lambda one: one[0].id):
        coded = ", with a code" if event.data.get("totp") is not None and event.kind != "totp_wrong" else ""
        when = utc(event.at)[11 if event.at.date() == case.run.created_at.date() else 0 :]
        of = f" {run}" if case.others else ""
        if event.actor:
            did.setdefault(event.actor, []).append(f"{when}{of} {called(event)}{coded}")
    rows = tuple((line(one.name), name(one.id), "; ".join(deeds)) for one, deeds in did.items())
    return [Table(("Who", "Account", "What they did, UTC"), rows), Facts(tuple(_agreed(case.run)))]


def _agreed(run: Run) -> Iterator[tuple[str, str]]:
    given = [f"{line(one.person.name)}, of {plan_of(one.digest, one.revision)}" for one in run.approvals]
    count = f"{len(run.approvals)} of {run.needed} needed"
    yield "Approvals that count", f"{count}: {'; '.join(given)}" if given else count if run.needed else "none needed"
    if run.broken:
        over = "nobody stopped it" if run.broken.over else "its countdown had not ended"
        yield "Break-glass", f"{line(run.broken.person.name)}: {line(run.broken.reason)} ({over})"
    if run.reviewed and run.reviewed.actor:
        yield "Review of it", f"{line(run.reviewed.actor.name)}: {line(run.reviewed.data.get('text', ''))}"
    elif run.owes_review:
        yield "Review of it", "owed: no approver has closed it"
