"""The head and the end of a packet: what came of it, who and when, the ways back, how the audit trail stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from core.model import UNCHANGED, Run, State
from core.printing import what
from core.quantities import listed, number
from core.report.case import Case, Told
from core.report.happened import ENDS, at, durations, problem, utc
from core.report.model import Block, Facts, Items, Table, Words, address, line, name, sentence
from core.telling import STATES, WORDS


def title(run: Run) -> str:
    """Rollback RB-7K3M on production"""
    return f"{WORDS[run.kind]} {run.id} on {line(run.target)}"


Row = tuple[str, str]

# -- before all else -----------------------------------------------------------------------------------------


def broken(case: Case) -> list[Row]:
    """That the audit trail is not to be relied on, where that is so."""
    faults = [*case.verdict.faults, *(fault for one in (case.told, *case.others) for fault in one.unread)]
    if not faults:
        return []
    more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
    few = "; ".join(map(sentence, faults[:5])) + more
    return [("THE AUDIT TRAIL IS BROKEN", f"do not rely on what stands here. {few}. Keep the file as evidence.")]


def notices(case: Case) -> Iterator[Row]:
    """What a reader must know before the rest."""
    run = case.run
    if run.state is State.NEEDS_A_PERSON and not run.half_done:
        yield "IT NEEDS A PERSON", (problem(run.ending.data) if run.ending else "") or "what is true is not known."
    if run.half_done and run.partly:
        yield "HALF DONE", problem(run.partly)
    if run.state is State.DECIDE:
        yield "NOT VERIFIED", f"it took effect, but {differs(run)}. A person must decide."
    elif run.is_open:
        yield "NOT ENDED", "this is how it stands, and not how it went."
    if run.without_second and run.broken:
        review = "Its review is owed." if run.owes_review else ""
        if run.reviewed and run.reviewed.actor:
            review = f"{line(run.reviewed.actor.name)} has reviewed it."
        given = f"with {len(run.approvals)} of {run.needed} approvals" if run.approvals else "without a second person"
        yield "BREAK-GLASS", f"{line(run.broken.person.name)} let it go {given}. {review}".strip()


def differs(run: Run) -> str:
    """What the verification found."""
    told = run.ending.data.get("differences") if run.ending and run.ending.kind == "differs" else None
    found = told or run.evidence.get("verify", {}).get("differences", ())
    return "; ".join(map(sentence, found)) or "the check after it differs"


# -- summary -------------------------------------------------------------------------------------------------


def outcome(run: Run) -> str:
    """How it ended, and whether the target was changed."""
    target = line(run.target)
    if run.state in UNCHANGED:
        return f"{STATES[run.state]}; {target} {'is not changed yet' if run.is_open else 'was not changed'}{why(run)}"
    if run.state in (State.REAPPLIED, State.RESTORED):
        done = "re-applied" if run.state is State.REAPPLIED else "its full backup was restored"
        return f"took effect, then undone by {line(run.way_back or 'another run')}: {done}"
    if run.state is State.DONE:
        kept = run.ending is not None and run.ending.kind == "kept"
        half = (
            "left half done"
            if run.ending and run.ending.data.get("partly")
            else "took effect, kept as it is, not verified"
        )
        return half if kept else "took effect, and was verified"
    return _OUTCOMES[run.state] if not run.half_done else "half done: a person must decide"


_OUTCOMES: Mapping[State, str] = {
    State.EXECUTING: "executing, past the point of no return",
    State.VERIFYING: "took effect, being verified",
    State.DECIDE: "took effect, not verified: a person must decide",
    State.NEEDS_A_PERSON: "needs a person: what is true is not known",
}


def why(run: Run) -> str:
    """The reason of an end before anything was changed."""
    if run.is_open or not run.ending:
        return ""
    told = run.ending.data
    said = problem(told) if told.get("message") else line(told.get("reason", ""))
    return f": {said}" if said else ""


def summary(case: Case) -> list[Block]:
    """The facts that a postmortem begins with."""
    return [Facts(tuple(_facts(case)))]


def _facts(case: Case) -> Iterator[tuple[str, str]]:
    run, zone = case.run, case.zone
    yield "What", line(what(run))
    if run.request.origin:
        yield "Way back from", line(run.request.origin)
    yield "Outcome", outcome(run)
    yield "Target", line(run.target)
    database = run.evidence.get("identify", {}).get("database")
    if database:
        where = f"{name(database['name'])} at {name(database['host'])}, PostgreSQL {line(database['server_version'])}"
        yield "Database", f"{where}, system identifier {name(database['system_identifier'])}"
    yield "Asked by", f"{line(run.requester.name)} ({name(run.requester.id)})"
    yield "Reason", line(run.reason) or "none given"
    if run.incident:
        yield "Incident", address(run.incident)
    yield "Asked", at(run.created_at, zone)
    if run.approvals:
        yield "Approved by", "; ".join(f"{line(one.person.name)}, {at(one.at, zone)}" for one in run.approvals)
    if run.state in (State.DENIED, State.WITHDRAWN, State.STOPPED) and run.ending and run.ending.actor:
        yield f"{STATES[run.state].capitalize()} by", line(run.ending.actor.name)
    yield from ((label, at(moment, zone)) for label, moment in _moments(case))
    spans = [row for block in durations(case) if isinstance(block, Facts) for row in block.rows]
    yield from ((label, took) for label, took in spans if label in ("Request to effect", "Request to end"))
    newest = case.events[-1] if case.events else None
    if newest:
        yield "As of", f"event {newest.id}, {at(newest.at, zone)}"


def _moments(case: Case) -> Iterator[tuple[str, datetime]]:
    """When it took effect, when it ended by itself, and when it was undone: a way back ends it once more."""
    executed = case.run.evidence.get("execute", {})
    done = [one.at for one in case.events if one.kind == "step_done" and one.data.get("step") == "execute"]
    if done:
        committed = executed.get("committed_at")
        yield "In effect", datetime.fromisoformat(committed) if committed else done[0]
    ends = [one.at for one in case.events if one.kind in ENDS]
    if ends or case.run.ended_at:
        yield "Ended", ends[0] if ends else case.run.ended_at or case.run.created_at
    for event in case.events:
        if event.kind in ("reapplied", "restored"):
            yield "Undone", event.at


# -- ways back -----------------------------------------------------------------------------------------------


def ways_back(case: Case) -> list[Block]:
    """What was taken, and what there is."""
    run = case.run
    rows = tuple(map(_related, case.others))
    head = ("Run", "What", "Outcome", "Asked by", "Approved by", "Asked, UTC", "Ended, UTC")
    table = [Table(head, rows)] if rows else []
    if run.kind != "rollback":
        return [*table, Words(f"It is a way back itself, from {line(run.request.origin or '')}.")]
    there = list(_there(run))
    return [*table, Items(tuple(there), "Still possible") if there else Words(_none(run))]


def _related(told: Told) -> tuple[str, ...]:
    run = told.run
    by = listed([line(one.person.name) for one in run.approvals]) or "–"
    ended = utc(run.ended_at) if run.ended_at else "–"
    return run.id, line(what(run)), outcome(run), line(run.requester.name), by, utc(run.created_at), ended


def _there(run: Run) -> Iterator[str]:
    if run.cleaned or run.state not in (State.DONE, State.DECIDE, State.NEEDS_A_PERSON, State.REAPPLIED):
        return
    if run.state in (State.DONE, State.DECIDE) and run.evidence.get("execute", {}).get("saved"):
        yield f"`rollback reapply {run.id}`: forward again with the saved rows; keeps every write made since"
    if "backup" in run.evidence and run.evidence["backup"].get("restores", True):
        yield f"`rollback restore {run.id}`: the full backup; loses what was written since"


def _none(run: Run) -> str:
    if run.cleaned:
        return "There are none: backup and saved rows are not kept any more."
    if run.state in UNCHANGED:
        return "None is needed: nothing was changed." if not run.is_open else "None is needed yet: nothing is changed."
    return "There are none now."


# -- the audit trail -----------------------------------------------------------------------------------------


def audit(case: Case) -> list[Block]:
    """Which events these are, and how the chain stands."""
    head, verdict = case.head, case.verdict
    rows = [(told.run.id, _range(told)) for told in (case.told, *case.others)]
    chain = (
        f"unbroken, {number(verdict.events)} events" if verdict.unbroken else f"BROKEN, {number(verdict.events)} events"
    )
    rows += [("Chain", chain), ("Head", f"event {head[0]}, {name(head[1])}")]
    remarks = [sentence(one) for one in verdict.remarks if case.run.id in one]
    faults = [sentence(one) for one in verdict.faults]
    ask = "Each event in the timeline has the number and digest that Slack's small print shows; `rollback audit verify --witness FILE` holds this text against the audit trail."
    lists = [Items(tuple(some), heading) for some, heading in ((faults, "Faults"), (remarks, "Remarks")) if some]
    return [Facts(tuple(rows)), *lists, Words(ask)]


def _range(told: Told) -> str:
    if not told.events:
        return "no event can be read"
    first, last = told.events[0], told.events[-1]
    return f"events {first.id} to {last.id}, the last with digest {name(last.digest)}"
