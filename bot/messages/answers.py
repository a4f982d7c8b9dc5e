"""Answers to one person: status, history, timeline and the other verbs that only look. All lines, no tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.messages import buttons, glass
from bot.messages.audit import shown_head
from bot.messages.blocks import (
    Context,
    Message,
    actions,
    at_most,
    context,
    in_batches,
    link,
    message,
    name,
    say,
    section,
)
from bot.messages.facts import commit_of, gone, held_names, inner, main_name, names, staged, title
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
    several,
    utc_day,
    when,
)
from core.model import Event, Json, Person, Run, State

IN_SHELL = "all of them in the shell: `rollback status`"


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
        *in_batches(notes),
        *order(run),
        *([section(f"*{there[0]}*: {there[1]}")] if (there := staged(run, ctx.now)) else []),
        *([section(f"*Scripts from* commit {code(commit[:12])}")] if (commit := commit_of(run)) else []),
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
    blocks = in_batches(at_most(lines, 60, IN_SHELL, 12_000), 20, "*Open now*")
    if owed:
        rows = at_most(
            [glass.owed_line(run, (links or {}).get(run.id)) for run in owed], 20, "on the Home tab too", 6000
        )
        blocks += in_batches(rows, 20, f"*Owed reviews ({len(owed)})*, on the Home tab of the approvers")
    blocks += in_batches(at_most(shown, 100, IN_SHELL, 60_000), 40, "*Targets*")
    first = f"{runs[0].id} on {data(runs[0].target, 60)}, {state_words(runs[0])}." if runs else ""
    open_ones = (
        f"{plural(len(runs), 'rollback')} {'is' if len(runs) == 1 else 'are'} open:" if runs else "Nothing is open."
    )
    rest = [f"{data(one.name, 40)}: {_newest(one)}." for one in targets[:3]]
    open_ones += f" {plural(len(owed), 'review')} owed." if owed else ""
    return message(
        say(f"{open_ones} {first}".strip(), " ".join(rest), ""), [*_whole(blocks, IN_SHELL), shown_head(head)]
    )


def _whole(blocks: list[Json], rest: str) -> list[Json]:
    """As many as a message takes, and how many are left out and where they are."""
    left = len(blocks) - 48
    return [*blocks[:48], context(f"{plural(left, 'more section')}, {rest}")] if left > 0 else blocks


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
    head = f"• *{data(one.name, 60)}*{' (default)' if one.default else ''}: {newest}{idle}"
    left = len(one.held) - 5
    more = f"\n    and {plural(left, 'more hold')}, {IN_SHELL}" if left > 0 else ""
    return head + "".join(map(_held, one.held[:5])) + more


def _held(run: Run) -> str:
    """One hold: which migrations, by which run, and what happens where one is applied again."""
    which = held_names(run)
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


def whoami(person: Person, ask: Sequence[str], approve: Sequence[str], alone: Sequence[str] = ()) -> Message:
    """What a person may ask for and approve, and start without a second person, by target."""
    may_ask = _targets(ask)
    may_approve = _targets(approve)
    rich = f"You are *{name(person)}* (`{data(person.id, 60)}`).\n• you may ask on {may_ask}\n• you may approve on {may_approve}"
    if alone:
        rich += f"\n• you may break the glass on {_targets(alone)}"
    plain = [several([data(one, 40) for one in some], 3) or "no target" for some in (ask, approve)]
    text = say(f"You are {name(person)}.", f"You may ask on {plain[0]} and approve on {plain[1]}.", "")
    return message(text, [section(rich), context("Nobody approves what they asked for themselves")])


def _targets(names: Sequence[str]) -> str:
    return several([f"*{data(one, 60)}*" for one in names], 12, 800) or "no target"


def migrations(rows: Sequence[MigrationRow], target: str, now: datetime) -> Message:
    """What is applied, newest first, each with or without a rollback script; never cut below 1,900 names."""
    lacking = sum(not row.has_script for row in rows)
    lines = [_migration_line(row, now) for row in rows]
    head = f"*{number(len(rows))} applied on {data(target, 60)}*, newest first" if rows else ""
    blocks = in_batches(lines, 40, head) or [section(f"No migration is applied on *{data(target, 60)}*.")]
    all_have = "each has a rollback script" if not lacking else f"{number(lacking)} without a rollback script"
    newest = f"newest {data(rows[0].name, 80)}, {all_have}" if rows else "none"
    text = f"Migrations applied on {data(target, 60)}: {number(len(rows))}, {newest}."
    return message(text, _whole(blocks, "all of them in the shell: `rollback migrations`"))


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
