"""What the shell prints of everything but a run under way: ledger records in, lines out. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.lines import FAILED, OK, RUNNING, STRONG, WARNING, Line, Mark, line, padded, table
from core.model import Event, Json, Run, State
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


def here(text: str) -> str:
    """Commands as they are typed in the shell; those that are for Slack stay."""
    return re.sub(r"(?<!Slack: )(^|`)/rollback\b", r"\1rollback", text)


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


TONES = dict.fromkeys((State.DONE, State.REAPPLIED, State.RESTORED), OK)
TONES |= dict.fromkeys((State.PLANNING, State.WAITING, State.APPROVED, State.EXECUTING, State.VERIFYING), RUNNING)
TONES |= {State.INTERRUPTED: WARNING, State.DECIDE: WARNING, State.STOPPED: FAILED, State.NEEDS_A_PERSON: FAILED}
"""What the colour of a state repeats: done, under way, somebody must decide, failed. The others changed nothing."""


def line_of(run: Run) -> Line:
    """One run in one line."""
    state, at = run.state.replace("_", " "), f"{run.created_at:%Y-%m-%d %H:%M}"
    by, alone = ", ".join(plain(a.person.name) for a in run.approvals), run.without_second and run.broken
    return line(
        f"{run.id}  {at}  {plain(run.target)}  ",
        (state, TONES.get(run.state, "")),
        f"{'':<{15 - len(state)}} {what(run)}; asked by {plain(run.requester.name)}",
        f", approved by {by}" if by else "",
        *((", ", ("BREAK-GLASS", WARNING), f" by {plain(alone.person.name)}") if alone else ()),
    )


def history(runs: Sequence[Run]) -> list[Line]:
    return [line_of(run) for run in runs] or [Line("No rollback was asked for yet.")]


def status(
    runs: Sequence[Run],
    targets: Sequence[TargetNow],
    bot: bool,
    trail: tuple[int, str],
    held: Mapping[str, Sequence[Run]],
    owed: Sequence[Run] = (),
) -> list[Line]:
    lines = [line_of(run) for run in runs] or [Line("Nothing is open.")]
    lines += [line(("review owed", WARNING), ": ", line_of(run)) for run in owed]
    lines += [
        line(f"{t.name}: ", (plain(t.problem), FAILED) if t.problem else f"newest is {plain(t.newest or 'none')}")
        for t in targets
    ]
    for name, mine in held.items():
        for run in mine:
            how = "refused by the history table" if run.evidence["execute"].get("hold") == "refuse" else "warned of"
            which = ", ".join(plain(item["name"]) for item in run.going)
            held_by = f" by {run.id}, {how}: {which}  (rollback release {run.id})"
            lines.append(line(f"{name}: ", ("held", WARNING), held_by))
    lines.append(line("bot: ", ("running", OK) if bot else ("not running", WARNING)))
    return [*lines, Line(f"audit: #{trail[0]} {trail[1][:16]}")]


def timeline(run: Run, events: Iterable[Event]) -> list[Line]:
    lines = [line_of(run)]
    for item in events:
        who = f" {plain(item.actor.name)}" if item.actor else ""
        told = (
            item.data.get("step") or item.data.get("reason") or item.data.get("note") or item.data.get("message") or ""
        )
        kind = (item.kind.replace("_", " "), TONES.get(item.state, "") if item.state else "")
        words = f" {plain(str(told))}".rstrip()
        lines.append(line(f"  #{item.id} {item.at:%H:%M:%S} ", kind, f"{who}{words}"))
    return lines


def migrations(rows: Sequence[MigrationNow]) -> list[Line]:
    cells = []
    for row in rows:
        at = f"{row.applied_at:%Y-%m-%d %H:%M}" if row.applied_at else "-"
        script = line("has a rollback script" if row.rollback else ("NO ROLLBACK SCRIPT", WARNING))
        lacking = "" if row.forward else ", its own file is missing"
        cells.append((plain(row.name), "applied" if row.applied else "pending", at, line(script, lacking)))
    return table(cells) or [Line("There are no migrations.")]


def audit(verdict: Verdict, held: Held | None = None) -> list[Line]:
    if verdict.unbroken:
        lines = [line(f"{verdict.events} events, ", ("chain unbroken", OK)), Line(f"head {verdict.head}")]
    else:
        lines = [line(f"{verdict.events} events, the chain is ", ("BROKEN", FAILED), ":")]
        lines += [Line(f"  {plain(fault)}") for fault in verdict.faults]
    lines += [Line(plain(remark)) for remark in verdict.remarks]
    if held:
        lines += witness(held, verdict.unbroken)
    elif verdict.unbroken:
        lines.append(Line("Compare it with what was posted: `rollback audit verify --witness`."))
    broken = not verdict.unbroken or (held and held.faults)
    return [*lines, *([Line("Keep the file as evidence.")] if broken else [])]


def witness(held: Held, unbroken: bool) -> list[Line]:
    """What was posted, held against the ledger. Through an unbroken chain a digest vouches for what is before it."""
    said = held.said
    head = f"{plural(held.witnesses, 'digest')} posted in {plain(', '.join(said.places))}"
    verdict: tuple[str | Mark, ...] = (("all agree", OK),)
    if held.faults:
        verdict = ("the ledger ", ("CONTRADICTS", FAILED), " what was posted:")
    lines = [line(f"{head}: ", *verdict), *(Line(f"  {plain(fault)}") for fault in held.faults)]
    if held.faults and held.sound and unbroken:
        lines.append(Line(f"up to event {held.sound} the ledger is as it was posted"))
    if held.newest:
        since = f"; {plural(held.since, 'event')} since {'is' if held.since == 1 else 'are'} only covered by the chain"
        newest = f"event {held.newest.number}{since if held.since else ', the head'} ({held.newest.where})"
        lines.append(Line(f"newest witness: {newest}"))
    if said.edited:
        lines.append(Line(f"{plural(said.edited, 'message')} of ours did not count: edited since, as cards are"))
    return lines + [line(("not read", WARNING), f": {plain(sentence)}") for sentence in said.unread]


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


def doctor(findings: Sequence[Finding], rows: Sequence[Mapping[str, str]]) -> list[Line]:
    """The settings that somebody has set, then the findings of this machine and of each target, then the count."""
    lines: list[Line] = []
    own = [row for row in rows if row["from"] != "default"]
    if rows:
        more = f"{plural(len(rows) - len(own), 'more setting')} at the default: `rollback doctor --json` lists all"
        lines += [
            line(("settings", STRONG)),
            *table([("  " + row["key"], plain(row["value"]), row["from"]) for row in own]),
        ]
        lines += [Line(f"  {more}"), Line()]
    group = ""
    for f in findings:
        target, _, what = f.what.rpartition(": ")
        place = f"target {target}" if target else "this machine"
        if place != group:
            lines += [*([Line()] if group else []), line((place, STRONG))]
            group = place
        word = ("ok", OK) if f.ok else ("FAULT", FAILED)
        lines.append(line("  ", word, f"{'':<{7 - len(word[0])}}{padded(what, 17)}{plain(f.text)}"))
        if not f.ok:
            lines.append(line("         ", ("next", STRONG), f"{'':<13}{plain(f.remedy)}"))
    bad = sum(not f.ok for f in findings)
    told = (plural(bad, "fault"), FAILED) if bad else ("no fault", OK)
    return [*lines, Line(), line(told, f", {len(findings) - bad} in place")]


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
