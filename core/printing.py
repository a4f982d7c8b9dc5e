"""What the shell prints of everything but a run under way: ledger records in, lines out. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.model import Event, Json, Run
from core.quantities import plural
from core.redact import clean_all, visible

if TYPE_CHECKING:
    from core.chain import Verdict
    from core.doctor import Finding
    from core.survey import MigrationNow, TargetNow
    from core.witness import Held


def plain(text: str) -> str:
    """One line: Slack's marks taken out, control characters made visible. No text from outside begins a line of ours.

    Known secrets go first: without its asterisk one would not be known again.
    """
    return visible(re.sub(r"<#(\w+)>", r"#\1", " ".join(clean_all(text).split()).replace("*", "")))


def paragraph(text: str) -> str:
    """The same for a sentence of our own that may have several lines."""
    return "\n".join(visible(re.sub(r"<#(\w+)>", r"#\1", line.replace("*", ""))) for line in text.split("\n"))


def what(run: Run) -> str:
    """`undo 012_stripe_events, 011_subscriptions (newest afterwards: 010_rate_limits)`."""
    found = run.evidence.get("identify")
    if run.kind == "restore":
        return f"restore the full backup of {run.request.origin}"
    if not found:
        return (
            f"re-apply {run.request.origin}"
            if run.kind == "reapply"
            else f"undo {plain(run.request.migration or run.request.what)}"
        )
    names = ", ".join(plain(item["name"]) for item in run.going)
    verb = "undo" if run.kind == "rollback" else "run forward again"
    return f"{verb} {names} (newest afterwards: {plain(found['stays'] or 'none')})"


def line_of(run: Run) -> str:
    """One run in one line."""
    who = f"asked by {plain(run.requester.name)}"
    by, alone = ", ".join(plain(a.person.name) for a in run.approvals), run.without_second
    return (
        f"{run.id}  {run.created_at:%Y-%m-%d %H:%M}  {plain(run.target)}  {run.state.replace('_', ' '):<15} {what(run)}; {who}"
        + (f", approved by {by}" if by else "")
        + (f", BREAK-GLASS by {plain(run.broken.person.name)}" if alone and run.broken else "")
    )


def history(runs: Sequence[Run]) -> list[str]:
    return [line_of(run) for run in runs] or ["No rollback was asked for yet."]


def status(
    runs: Sequence[Run],
    targets: Sequence[TargetNow],
    bot: bool,
    trail: tuple[int, str],
    held: Mapping[str, Sequence[Run]],
    owed: Sequence[Run] = (),
) -> list[str]:
    lines = [line_of(run) for run in runs] or ["Nothing is open."]
    lines += [f"review owed: {line_of(run)}" for run in owed]
    lines += [
        f"{t.name}: newest is {plain(t.newest or 'none')}" if not t.problem else f"{t.name}: {plain(t.problem)}"
        for t in targets
    ]
    for name, mine in held.items():
        for run in mine:
            how = "refused by the history table" if run.evidence["execute"].get("hold") == "refuse" else "warned of"
            which = ", ".join(plain(item["name"]) for item in run.going)
            lines.append(f"{name}: held by {run.id}, {how}: {which}  (rollback release {run.id})")
    return [*lines, f"bot: {'running' if bot else 'not running'}", f"audit: #{trail[0]} {trail[1][:16]}"]


def timeline(run: Run, events: Iterable[Event]) -> list[str]:
    lines = [line_of(run)]
    for item in events:
        who = f" {plain(item.actor.name)}" if item.actor else ""
        told = (
            item.data.get("step") or item.data.get("reason") or item.data.get("note") or item.data.get("message") or ""
        )
        lines.append(f"  #{item.id} {item.at:%H:%M:%S} {item.kind.replace('_', ' ')}{who} {plain(str(told))}".rstrip())
    return lines


def migrations(rows: Sequence[MigrationNow]) -> list[str]:
    lines = []
    for row in rows:
        state = "applied" if row.applied else "pending"
        at = f"{row.applied_at:%Y-%m-%d %H:%M}" if row.applied_at else "-"
        script = "has a rollback script" if row.rollback else "NO ROLLBACK SCRIPT"
        lines.append(
            f"{plain(row.name):<32} {state:<8} {at:<17} {script}{'' if row.forward else ', its own file is missing'}"
        )
    return lines or ["There are no migrations."]


def audit(verdict: Verdict, held: Held | None = None) -> list[str]:
    if verdict.unbroken:
        lines = [f"{verdict.events} events, chain unbroken", f"head {verdict.head}"]
    else:
        lines = [f"{verdict.events} events, the chain is BROKEN:", *[f"  {plain(fault)}" for fault in verdict.faults]]
    lines += [plain(remark) for remark in verdict.remarks]
    if held:
        lines += witness(held, verdict.unbroken)
    elif verdict.unbroken:
        lines.append("Compare it with what was posted: `rollback audit verify --witness`.")
    broken = not verdict.unbroken or (held and held.faults)
    return [*lines, *(["Keep the file as evidence."] if broken else [])]


def witness(held: Held, unbroken: bool) -> list[str]:
    """What was posted, held against the ledger. Through an unbroken chain a digest vouches for what is before it."""
    said = held.said
    head = f"{plural(held.witnesses, 'digest')} posted in {plain(', '.join(said.places))}"
    lines = [f"{head}: {'the ledger CONTRADICTS what was posted:' if held.faults else 'all agree'}"]
    lines += [f"  {plain(fault)}" for fault in held.faults]
    if held.faults and held.sound and unbroken:
        lines.append(f"up to event {held.sound} the ledger is as it was posted")
    if held.newest:
        since = f"; {plural(held.since, 'event')} since {'is' if held.since == 1 else 'are'} only covered by the chain"
        lines.append(
            f"newest witness: event {held.newest.number}{since if held.since else ', the head'} ({held.newest.where})"
        )
    if said.edited:
        lines.append(f"{plural(said.edited, 'message')} of ours did not count: edited since, as cards are")
    return lines + [f"not read: {plain(sentence)}" for sentence in said.unread]


def held(found: Held) -> Json:
    """The same for machines."""
    newest = found.newest
    return {
        "places": list(found.said.places),
        "not_read": list(found.said.unread),
        "witnesses": found.witnesses,
        "agree": found.agree,
        "newest": {"event": newest.number, "digest": newest.digest, "where": newest.where} if newest else None,
        "since": found.since,
        "sound": found.sound,
        "edited": found.said.edited,
        "faults": list(found.faults),
    }


def doctor(findings: Sequence[Finding], rows: Sequence[dict[str, str]]) -> list[str]:
    lines = [f"{row['key']:<44} {row['value']:<40} {row['from']}" for row in rows] + [""]
    for f in findings:
        lines.append(f"{'ok   ' if f.ok else 'FAULT'} {f.what}: {plain(f.text)}")
        if f.remedy and not f.ok:
            lines.append(f"      {plain(f.remedy)}")
    return lines


def event(item: Event) -> Json:
    """An event for machines."""
    actor = {"id": item.actor.id, "name": item.actor.name} if item.actor else None
    return {
        "id": item.id,
        "at": item.at.isoformat(),
        "kind": item.kind,
        "actor": actor,
        "data": item.data,
        "digest": item.digest,
    }


def record(run: Run) -> Json:
    """A run for machines."""
    record: dict[str, Any] = {
        "id": run.id,
        "revision": run.revision,
        "state": str(run.state),
        "target": run.target,
        "request": vars(run.request),
        "requester": vars(run.requester),
        "reason": run.reason,
        "incident": run.incident,
        "digest": run.digest,
        "created_at": run.created_at.isoformat(),
        "expires_at": run.expires_at.isoformat() if run.expires_at else None,
        "ended_at": run.ended_at.isoformat() if run.ended_at else None,
        "approvals": [{**vars(a.person), "at": a.at.isoformat(), "note": a.note} for a in run.approvals],
        "without_second_person": run.without_second,
        "owes_review": run.owes_review,
        "evidence": run.evidence,
        "failed": run.failed,
    }
    return record
