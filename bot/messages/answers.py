"""Answers to one person: status, history, timeline and the other verbs that only look. All lines, no tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.messages import buttons, glass
from bot.messages.blocks import (
    Context,
    Message,
    actions,
    context,
    in_batches,
    link,
    mention,
    message,
    name,
    say,
    section,
)
from bot.messages.blocks import audit as mark
from bot.messages.facts import gone, inner, main_name, names, title
from bot.messages.facts import migrations as order
from bot.messages.newer import history_table
from bot.messages.plan import deletes, loss_section, sql_section, warnings
from bot.messages.said import STATES, event_words, state_words
from bot.messages.steps import done_words
from bot.messages.text import (
    clock_secs,
    code,
    data,
    day,
    duration,
    listed,
    moment,
    number,
    plural,
    prose,
    utc_day,
    when,
)
from core.model import Event, Json, Person, Run, State
from core.witness import Held


@dataclass(frozen=True)
class TargetNow:
    """A target as `status` shows it: its newest migration, or why it could not be asked; and what is held."""

    name: str
    default: bool = False
    newest: str | None = None
    problem: str = ""
    held: tuple[Run, ...] = ()


@dataclass(frozen=True)
class MigrationRow:
    """An applied migration, for `migrations`."""

    name: str
    applied_at: datetime | None
    has_script: bool


def plan_private(run: Run, ctx: Context) -> Message:
    """`plan …`: the same plan, only to the person who typed it; nothing starts.

    The buttons' value is `RUN.revision`, or 12 digits of the plan's digest for a plan without a run id.
    """
    ref = f"{run.id}.{run.revision}" if run.id else run.digest[:12]
    notes = warnings(run)
    proof = "\n".join(f":white_check_mark: *{nth}. {head}* — {done_words(run, step)}" for nth, head, step in _PROVEN)
    blocks = [
        section(f":mag: *Plan only — nothing was started*\n{title(run)}."),
        *([section("\n".join(notes))] if notes else []),
        *order(run),
        section(loss_section(run)),
        section(f"*Steps*\n{proof}"),
        section(sql_section(run)),
        actions(f"plan:{ref}:ask", *buttons.ask_approval(main_name(run), ref)),
        context("Only you see this", f"Plan `{run.digest[:12]}`"),
    ]
    on = data(run.target, 60)
    warned = " With a warning." if notes else ""
    before = f"Plan for {on}: {inner(run, rich=False, where=False)}. {deletes(run)}{warned}"
    return message(say(before, "", "Nothing was started. Ask for approval with the button."), blocks)


_PROVEN = ((1, "Identify", "identify"), (2, "Rehearse", "rehearse"))


def status(
    runs: Sequence[Run],
    targets: Sequence[TargetNow],
    head: str,
    links: Mapping[str, str] | None = None,
    owed: Sequence[Run] = (),
) -> Message:
    """What is open now, what owes a review, and where each target stands. `links`: run id to the card's permalink."""
    lines = [_open_line(run, (links or {}).get(run.id)) for run in runs] or ["Nothing is open."]
    busy = {run.target for run in runs}
    shown = [_target_line(one, one.name in busy) for one in targets]
    blocks = in_batches(lines, 20, "*Open now*")
    if owed:
        rows = [glass.owed_line(run, (links or {}).get(run.id)) for run in owed[:20]]
        blocks += in_batches(rows, 20, f"*Owed reviews ({len(owed)})*, on the Home tab of the approvers")
    blocks += in_batches(shown, 40, "*Targets*")
    first = f"{runs[0].id} on {data(runs[0].target, 60)}, {state_words(runs[0])}." if runs else ""
    open_ones = (
        f"{plural(len(runs), 'rollback')} {'is' if len(runs) == 1 else 'are'} open:" if runs else "Nothing is open."
    )
    rest = [f"{data(one.name, 40)}: {_newest(one)}." for one in targets[:3]]
    open_ones += f" {plural(len(owed), 'review')} owed." if owed else ""
    return message(say(f"{open_ones} {first}".strip(), " ".join(rest), ""), [*blocks[:48], _head(head)])


def _head(head: str) -> Json:
    return context(f"Audit head `{head[:16]}`")


def _open_line(run: Run, url: str | None) -> str:
    card = f" {link(url, 'Card')}" if link(url, "Card") else ""
    return f"{STATES[run.state][0]} `{run.id}` *{data(run.target, 60)}* — {state_words(run)}.{card}"


def _newest(one: TargetNow) -> str:
    if one.problem:
        return f"could not be asked ({data(one.problem, 150)})"
    return f"newest is {data(one.newest, 80)}" if one.newest else "no migration is applied"


def _target_line(one: TargetNow, busy: bool) -> str:
    newest = f"newest is {code(one.newest)}" if one.newest and not one.problem else _newest(one)
    idle = "" if busy else ", nothing is open"
    return f"• *{data(one.name, 60)}*{' (default)' if one.default else ''}: {newest}{idle}" + "".join(
        map(_held, one.held[:5])
    )


def _held(run: Run) -> str:
    """One hold: which migrations, by which run, and what happens where one is applied again."""
    which = (
        listed([code(name) for name in names(run)]) if len(names(run)) <= 4 else plural(len(names(run)), "migration")
    )
    refuses = run.evidence["execute"].get("hold") == "refuse"
    how = "the history table refuses them" if refuses else "I tell the channel if one is applied again"
    return f"\n    held by `{run.id}`: {which}; {how}. `/rollback release {run.id}`"


def history(runs: Sequence[Run], target: str | None = None, newer: frozenset[str] = frozenset()) -> Message:
    """The last rollbacks, newest first: one line each, or one row each of a `table`."""
    on = f" on {data(target, 60)}" if target else ""
    if not runs:
        said = f"No rollback was asked for{on} yet."
        return message(said, [section(said)])
    title_line = f"Last {plural(len(runs), 'rollback')}{on}"
    told = " ".join(f"{run.id} {STATES[run.state][1]} {utc_day(run.created_at)}." for run in runs)
    if "table" in newer:
        blocks = [section(f"*{title_line}*"), history_table(runs)]
    else:
        blocks = in_batches([_history_line(run) for run in runs], 20, f"*{title_line}*")
    small = context(f"`/rollback show {runs[0].id}` for the timeline")
    return message(say(f"{title_line}.", told, ""), [*blocks, small])


def _history_line(run: Run) -> str:
    mark, word = STATES[run.state]
    took = ""
    if run.ended_at and run.state is State.DONE:
        took = f" in {duration((moment(run.ended_at) - moment(run.created_at)).total_seconds())}"
    others = f" and {len(names(run)) - 1} more" if len(names(run)) > 1 else ""
    people = [f"Asked {name(run.requester)}"]
    people += [f"approved {listed([name(one.person) for one in run.approvals])}"] if run.approvals else []
    if run.ending and run.state in (State.DENIED, State.STOPPED) and run.ending.actor:
        people.append(f"{word} {name(run.ending.actor)}")
    people += [glass.words(run, rich=False)] if run.without_second else []
    what = f"{code(main_name(run))}{others} on *{data(run.target, 60)}*"
    return f"{mark} `{run.id}` {day(run.created_at)}, {word}{took}: {what}. {', '.join(people)}"


def timeline(run: Run, events: Sequence[Event], *, intact: bool | None = None) -> Message:
    """`show RUN`: at most 40 events; `intact` says whether the chain was walked, and held."""
    lines = [f"`#{one.id}` {clock_secs(one.at)} {event_words(one)}" for one in events]
    left = len(lines) - 40
    shown = [*lines[:20], f"… {left} events are left out here; `/rollback report {run.id}` has them all"]
    shown = shown + lines[-20:] if left > 0 else lines
    head = f"*{run.id}* — {state_words(run)}: {gone(run) or title(run)} on *{data(run.target, 60)}*"
    chain = {True: "chain unbroken", False: "*the chain is broken*", None: ""}[intact]
    digest = f"Head `{events[-1].digest[:16]}`" if events else ""
    whole = f"`/rollback report {run.id}` for a postmortem"
    text = f"Timeline of {run.id}: {state_words(run)}, {plural(len(events), 'event')}."
    return message(text, [*in_batches(shown, 41, head), context(digest, chain or "Times are in your time zone", whole)])


def audit(
    events: int,
    head: str,
    broken: str = "",
    last: tuple[str, str, str | None] | None = None,
    held: Held | None = None,
    not_held: str = "",
    remarks: Sequence[str] = (),
) -> Message:
    """`audit verify`. `broken` says where the chain fails; `last`: run, its head, the card's permalink.

    `held`: what was posted, held against the ledger; `not_held`: why it could not be. `remarks`: what an auditor should
    know besides.
    """
    notes = in_batches([f":rotating_light: {data(one, 300)}" for one in remarks], 20)
    if not broken and held:
        return _contradicted(held, head, notes) if held.faults else _witnessed(events, head, held, notes)
    if broken:
        said = f"The audit trail is broken: {data(broken, 250)}. Keep the file as it is and compare it with Slack."
        head_line = section(f":rotating_light: *The audit trail is broken*\n{data(broken)}")
        return message(said, [head_line, *notes, _head(head)])
    compare = ""
    if last:
        card = link(last[2], "look at the card")
        compare = f"\nHold it against Slack: {code(last[0])} ended with `{last[1][:16]}`" + (
            f" — {card}" if card else ""
        )
    rich = f":white_check_mark: *{plural(events, 'event')}, chain unbroken*\nHead `{head[:16]}`{compare}"
    small = context(
        f"Not held against Slack: {prose(not_held)}" if not_held else "",
        "Compare it with the heads in the threads: they lie outside my own file",
    )
    text = (
        f"Audit trail: {plural(events, 'event')}, chain unbroken, head {head[:16]}. Compare it with the heads in Slack."
    )
    return message(text, [section(rich), *notes, small])


def _witnessed(events: int, head: str, held: Held, notes: Sequence[Json]) -> Message:
    newest, since = (
        held.newest,
        f"{plural(held.since, 'event')} since {'is' if held.since == 1 else 'are'} only covered by the chain",
    )
    posts = plural(held.witnesses, "digest")
    rich = f":white_check_mark: *{plural(events, 'event')}, chain unbroken*\nHead `{head[:16]}`"
    text = f"Audit trail: {plural(events, 'event')}, chain unbroken, head {head[:16]}."
    if newest:
        where = link(newest.where, "look at it")
        rich += f"\n{posts} that I posted in {_places(held)} agree; the newest is of event {number(newest.number)}"
        rich += (f" — {where}" if where else "") + (f"; {since}" if held.since else ", the head")
        text = say(text, f"{posts} that I posted agree; {since if held.since else 'the newest is the head'}.", "")
    return message(text, [section(rich), *notes, context(*_not_counted(held))])


def _contradicted(held: Held, head: str, notes: Sequence[Json]) -> Message:
    faults = [data(one, 400) for one in held.faults]
    lines = [f"• {one}" for one in faults[:5]] + ([f"• and {len(faults) - 5} more"] if len(faults) > 5 else [])
    sound = f"\nUp to event {number(held.sound)} it is as it was posted." if held.sound else ""
    rich = f":rotating_light: *The audit trail is not what I posted in {_places(held)}*\n" + "\n".join(lines) + sound
    text = say("The audit trail is not what I posted:", faults[0], "Keep the file as it is, and its older copies.")
    small = context("Keep the file as it is", *_not_counted(held))
    return message(text, [section(rich), *notes, small, _head(head)])


def _places(held: Held) -> str:
    return listed([data(one, 80) for one in held.said.places])


def _not_counted(held: Held) -> list[str]:
    edited = (
        f"{plural(held.said.edited, 'message')} edited since did not count, cards among them"
        if held.said.edited
        else ""
    )
    posted = "Every digest that I posted was read back, and held against my file"
    return [posted, edited, *[f"Not read: {prose(one, 150)}" for one in held.said.unread[:5]]]


def whoami(person: Person, ask: Sequence[str], approve: Sequence[str], alone: Sequence[str] = ()) -> Message:
    """What a person may ask for and approve, and start without a second person, by target."""
    may_ask = listed([f"*{data(one, 60)}*" for one in ask]) or "no target"
    may_approve = listed([f"*{data(one, 60)}*" for one in approve]) or "no target"
    rich = f"You are *{name(person)}* (`{data(person.id, 60)}`).\n• you may ask on {may_ask}\n• you may approve on {may_approve}"
    if alone:
        rich += f"\n• you may break the glass on {listed([f'*{data(one, 60)}*' for one in alone])}"
    plain = [listed([data(one, 40) for one in some]) or "no target" for some in (ask, approve)]
    text = say(f"You are {name(person)}.", f"You may ask on {plain[0]} and approve on {plain[1]}.", "")
    return message(text, [section(rich), context("Nobody approves what they asked for themselves")])


def migrations(rows: Sequence[MigrationRow], target: str, now: datetime) -> Message:
    """What is applied, newest first, each with or without a rollback script; never cut below 1,900 names."""
    lacking = sum(not row.has_script for row in rows)
    lines = [_migration_line(row, now) for row in rows]
    head = f"*{number(len(rows))} applied on {data(target, 60)}*, newest first" if rows else ""
    blocks = in_batches(lines, 40, head) or [section(f"No migration is applied on *{data(target, 60)}*.")]
    all_have = "each has a rollback script" if not lacking else f"{number(lacking)} without a rollback script"
    newest = f"newest {data(rows[0].name, 80)}, {all_have}" if rows else "none"
    text = f"Migrations applied on {data(target, 60)}: {number(len(rows))}, {newest}."
    left = len(blocks) - 48
    cut = (
        [context(f"{plural(left, 'more section')} left out; `rollback migrations` in the shell lists all")]
        if left > 0
        else []
    )
    return message(text, [*blocks[:48], *cut])


def _migration_line(row: MigrationRow, now: datetime) -> str:
    at = f", applied {when(row.applied_at, now)}" if row.applied_at else ""
    return f"• {code(row.name)}{at}: " + ("has a rollback script" if row.has_script else "*no rollback script*")


def slack_was_away(since: datetime, until: datetime, late: int) -> Message:
    """Once, before late posts."""
    tail = (
        f"The {plural(late, 'message')} below {'is' if late == 1 else 'are'} late; each shows when it really happened."
    )
    rich = f":satellite_antenna: Slack was unreachable for me from {clock_secs(since)} to {clock_secs(until)}. {tail}"
    span = f"{moment(since):%H:%M:%S} to {moment(until):%H:%M:%S} UTC"
    return message(f"Slack was unreachable for me from {span}. {tail}", [section(rich)])


def drill_due(event: Event) -> Message:
    """The reminder of a drill, to its owner; the drill itself is run by hand on a copy."""
    told = event.data
    on, period = data(str(told.get("target", "")), 60), data(str(told.get("period", "")), 40)
    owner = Person(str(told.get("owner") or ""), str(told.get("owner") or "nobody"))
    last = data(str(told.get("last") or "never"), 100)
    how = "Run the procedure on a copy restored from the newest backup."
    rich = (
        f":calendar: *Rollback drill for {on} is due, {period}* — owner {mention(owner)}\n{how} *{on} is not touched.*"
    )
    text = f"The rollback drill for {on} is due, {period}. Owner: {name(owner)}. {how} Last drill: {last}."
    return message(text, [section(rich), context(f"Last drill: {last}", mark(event))], run="", event=event)


def witness(event: Event) -> Message:
    """The head of the audit trail, where no other message has shown it: quiet, in a thread of its own."""
    rich = (
        f"The audit trail has reached event {number(event.id)}, and no other message shows it. Lines like this one "
        f"follow in this thread, so that the channel witnesses every event."
    )
    text = f"The audit trail has reached event {number(event.id)}, and no other message shows it."
    return message(text, [section(rich), context(mark(event), clock_secs(event.at))], event=event)
