"""The events of a packet in words: the timeline, and how long it took."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from core import transcript
from core.model import STEPS, Event, Json, Run, State
from core.quantities import duration
from core.report.case import BROKEN, Case, Told
from core.report.model import Block, Facts, Table, Words, line, name, names, sentence
from core.telling import KINDS, NAMES
from core.zone import Zone

BEGUN = frozenset({"step_started", "part_started"})
"""Told by what they led to, or as the try that has no end."""
ENDS = frozenset({"done", "kept", "stopped", "refused", "denied", "expired", "withdrawn"})


@dataclass(frozen=True)
class Try:
    """One go at a step. `end`: None where none is recorded."""

    step: str
    begin: Event
    end: Event | None


def tries(events: Sequence[Event]) -> list[Try]:
    """Every go at every step, in order."""
    found: list[Try] = []
    for at, event in enumerate(events):
        if event.kind == "step_started":
            step = event.data["step"]
            later = (one for one in events[at + 1 :] if one.data.get("step") == step and one.kind.startswith("step_"))
            next_ = next(later, None)
            found.append(Try(step, event, None if next_ is None or next_.kind == "step_started" else next_))
    return found


def utc(at: datetime) -> str:
    """2026-11-10 14:16:04"""
    return f"{at:%Y-%m-%d %H:%M:%S}"


def stamp(stored: str) -> str:
    """The same of a time as evidence holds it; without a zone it is UTC."""
    at = datetime.fromisoformat(stored)
    return utc(at if at.tzinfo is None else at.astimezone(UTC))


def is_utc(zone: Zone) -> bool:
    """Is local time UTC all the time?"""
    return zone.name.partition(",")[0] in ("UTC", "Etc/UTC", "GMT", "Etc/UCT", "Zulu")


def clock(stored: str) -> str:
    """14:31:12 UTC"""
    return f"{stamp(stored)[11:]} UTC"


def at(moment: datetime, zone: Zone) -> str:
    """One moment in a sentence: `2026-11-10 14:16:04 UTC (15:16:04 CET)`."""
    there = zone.at(moment)
    day = "" if there.date() == moment.date() else f"{there:%Y-%m-%d} "
    return f"{utc(moment)} UTC" + ("" if is_utc(zone) else f" ({day}{there:%H:%M:%S} {there.tzname()})")


def clocks(moments: Sequence[datetime], zone: Zone) -> list[tuple[str, list[str]]]:
    """Columns: in UTC, and as the clock on the wall had it, where that is another. What all share stands in the heading."""
    columns = [_column("UTC", moments)]
    if not is_utc(zone):
        there = [zone.at(moment) for moment in moments]
        kinds = list(dict.fromkeys(str(one.tzname()) for one in there))
        head, cells = _column(f"Local time, {line(zone.name)} ({'/'.join(kinds)})", there)
        named = [f"{one} {then.tzname()}" for one, then in zip(cells, there, strict=True)]
        columns.append((head, cells if len(kinds) == 1 else named))
    return columns


def _column(head: str, moments: Sequence[datetime]) -> tuple[str, list[str]]:
    days = {one.date() for one in moments}
    if len(days) == 1:
        return f"{head}, {min(days)}", [f"{one:%H:%M:%S}" for one in moments]
    return head, [utc(one) for one in moments]


def mark(event: Event) -> str:
    """As Slack's small print has it: `audit verify --witness` finds it in a packet that was kept, too."""
    return name(f"Audit #{event.id} {event.digest[:16]}")


# -- the timeline --------------------------------------------------------------------------------------------


def timeline(case: Case) -> list[Block]:
    """Every event of the run, and of the runs that belong to it, in order."""
    told = [case.told, *case.others]
    rows = sorted((row for one in told for row in _rows(one, not case.verdict.unbroken)), key=lambda row: row[0])
    columns = clocks([event.at for _, _, event, _ in rows], case.zone)
    several = len(told) > 1
    head = [
        *(head for head, _ in columns),
        *(["Run"] if several else []),
        "After",
        "Who",
        "What happened",
        "Audit trail",
    ]
    cells = [
        (
            *(column[nth] for _, column in columns),
            *([run] if several else []),
            after(event.at, case.run.created_at),
            line(event.actor.name) if event.actor else "the bot",
            words,
            mark(event),
        )
        for nth, (_, run, event, words) in enumerate(rows)
    ]
    same = f"Local time is UTC too ({line(case.zone.name)})." if is_utc(case.zone) else ""
    return [
        Table(tuple(head), tuple(cells)),
        Words(f"*After* counts from the request of {case.run.id}. {same}".strip()),
    ]


def after(then: datetime, since: datetime) -> str:
    """+1 min 16 s"""
    passed = (then - since).total_seconds()
    return f"−{duration(-passed)}" if passed < 0 else f"+{duration(passed)}" if passed else "0 s"


def _rows(told: Told, broken: bool) -> Iterator[tuple[int, str, Event, str]]:
    endless = {one.begin.id for one in tries(told.events) if one.end is None}
    for event in told.events:
        if event.kind not in BEGUN:
            try:
                yield event.id, told.run.id, event, happened(event, told.run)
            except BROKEN:
                if not broken:
                    raise
                yield event.id, told.run.id, event, f"{called(event)}: the rest makes no sense"
        elif event.id in endless:
            what = f"{step_name(told.run, event.data['step'])}: began; the trail has no end of it"
            yield event.id, told.run.id, event, what


def step_name(run: Run, step: str) -> str:
    """The step's name for reading."""
    return NAMES[run.kind].get(step) or line(step)


def happened(event: Event, run: Run) -> str:
    """One event in a sentence, without who did it."""
    if event.kind == "step_done":
        how, text = transcript.outcome(event.data["step"], event.data["evidence"], run)
        return f"{step_name(run, event.data['step'])} {how}: {text}"
    if event.kind == "step_failed":
        return f"{step_name(run, event.data['step'])} failed: {problem(event.data)}"
    words = called(event)
    if event.kind == "unapproved" and "broken" in event.data:
        words = "break-glass no longer counts"
    if event.kind == "held_up" and not event.data["by"]:
        words = "waits for a lock no longer"
    more = _MORE[event.kind](event.data) if event.kind in _MORE else _reason(event.data)
    return f"{words}: {more}" if more else words


def called(event: Event) -> str:
    """What an event of its kind is called."""
    return KINDS.get(event.kind) or line(event.kind.replace("_", " "))


def problem(data: Json) -> str:
    """What went wrong, what to do, the code."""
    text = sentence(f"{data.get('message', '')} {data.get('hint', '')}")
    return f"{text} ({line(data['code'])})" if data.get("code") else text


def _reason(data: Json) -> str:
    if data.get("by_rule"):
        return sentence(data.get("why", ""))
    return line(data.get("reason") or data.get("note") or data.get("why") or data.get("text") or "")


def _sentences(key: str) -> Callable[[Json], str]:
    return lambda data: "; ".join(map(sentence, data.get(key, ())))


def _asked(data: Json) -> str:
    return _reason(data) or "no reason given"


def _opened(data: Json) -> str:
    until = f", until {clock(data['expires_at'])}" if data.get("expires_at") else ""
    coded = ", approvals need a code" if data.get("coded") else ""
    return f"plan {name(data['digest'][:12])}{until}{coded}"


def plan_of(digest: str, revision: int) -> str:
    """Which plan it was given to."""
    return f"plan {name(digest[:12])}, revision {revision}"


def _decided(data: Json) -> str:
    plan = plan_of(data["digest"], data["revision"]) if data.get("digest") else ""
    code = "with a code" if data.get("totp") is not None else ""
    door = "in the shell" if data.get("door") == "shell" else ""
    said = _reason(data)
    return ", ".join(part for part in (plan, door, code) if part) + (f". {said}" if plan and said else said)


def _glass(data: Json) -> str:
    starts = f"starts after {duration(data['countdown'])}, at {clock(data['starts_at'])}, unless somebody stops it"
    return f"{_decided(data)} ({starts})"


def _held_up(data: Json) -> str:
    return "; ".join(
        f"held by {line(one['who'])} ({line(one['state'])} for {duration(one['seconds'])})" for one in data["by"][:5]
    )


def _part(data: Json) -> str:
    took = f" in {duration(data['seconds'])}" if "seconds" in data else ""
    return f"{data.get('part')} of {data.get('of')}{took}, {sentence(data.get('about', ''))}"


def _unknown(data: Json) -> str:
    lists = ("known", "unknown", "doing", "you", "done", "left")
    more = [f"{key}: {'; '.join(map(sentence, data[key]))}" for key in lists if data.get(key)]
    return ". ".join([problem(data), *more])


def _reminded(data: Json) -> str:
    asked = names(data.get("asked", ()))
    return f"{asked}, {data['minutes_left']} min left" if "minutes_left" in data else asked


_MORE: Mapping[str, Callable[[Json], str]] = {
    "asked": _asked,
    "opened": _opened,
    "approved": _decided,
    "denied": _decided,
    "glass_broken": _glass,
    "stopped": lambda data: problem(data),
    "refused": lambda data: problem(data),
    "plan_changed": _sentences("what"),
    "differs": _sentences("differences"),
    "held_up": _held_up,
    "part_done": _part,
    "unknown": _unknown,
    "reminded": _reminded,
    "executing": lambda data: "the point of no return",
    "services_stopping": lambda data: ", ".join(f"{count} of {name(one)}" for one, count in data["before"].items()),
    "reapplied": lambda data: f"by {line(data['by'])}",
    "restored": lambda data: f"by {line(data['by'])}",
    "old_dropped": lambda data: name(data["name"]),
    "files_removed": lambda data: names(data["files"]),
    "applied_again": lambda data: names(data["versions"]),
    "kept": lambda data: "half done" if data.get("partly") else "",
}
"""What an event tells besides its words; of the others it is the reason."""


# -- durations -----------------------------------------------------------------------------------------------


def durations(case: Case) -> list[Block]:
    """Each go at a step, and the spans between what people and machines did."""
    run, events = case.run, case.events
    rows = []
    for one in tries(events):
        ended = utc(one.end.at)[11:] if one.end else "–"
        took = duration((one.end.at - one.begin.at).total_seconds()) if one.end else "–"
        how = {"step_done": "done", "step_failed": "failed"}.get(one.end.kind if one.end else "", "no end in the trail")
        step = f"{STEPS[run.kind].index(one.step) + 1} {step_name(run, one.step)}"
        rows.append((step, utc(one.begin.at), ended, took, how))
    spans = tuple((label, duration(seconds)) for label, seconds in _spans(run, events))
    table = [Table(("Step", "Began, UTC", "Ended", "Took", "How it ended"), tuple(rows))] if rows else []
    return [*table, Facts(spans)]


def _spans(run: Run, events: Sequence[Event]) -> Iterator[tuple[str, float]]:
    opened = next((one for one in reversed(events) if one.kind == "opened"), None)
    began = next((one for one in reversed(events) if one.kind == "executing"), None)
    executed = run.evidence.get("execute", {})
    if opened:
        yield "Request to plan", _between(run.created_at, opened.at)
        decided = decision([one for one in events if one.id > opened.id]) if run.needed else None
        if decided:
            yield "Waited for people", _between(opened.at, decided.at)
        if decided and began and decided.state is State.APPROVED and began.id > decided.id:
            yield "Approval to execution", _between(decided.at, began.at)
    for label, key in (("Tables locked", "locked"), ("Services down", "down")):
        if key in executed:
            yield label, float(executed[key])
    done = next((one for one in events if one.kind == "step_done" and one.data.get("step") == "execute"), None)
    if done:
        committed = executed.get("committed_at")
        yield "Request to effect", _between(run.created_at, datetime.fromisoformat(committed) if committed else done.at)
    end = next((one for one in events if one.kind in ENDS), None)  # a way back, later, ends it once more
    if end:
        yield "Request to end", _between(run.created_at, end.at)


def _between(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds()


def decision(later: Sequence[Event]) -> Event | None:
    """What ended the wait for people: the last yes, or the first no."""
    yes = [one for one in later if one.kind in ("approved", "countdown_over") and one.state is State.APPROVED]
    no = [one for one in later if one.kind in ("denied", "expired", "withdrawn", "stopped")]
    return yes[-1] if yes else no[0] if no else None
