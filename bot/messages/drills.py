"""What is said of drills: the reminder with its buttons, the lines in its thread, and how it went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.messages.blocks import Message, actions, button, confirm, context, mention, message, name, plain, section, who
from bot.messages.blocks import audit as mark
from bot.messages.forms import field, modal
from bot.messages.text import (
    bare,
    clock,
    code,
    cut_marked,
    data,
    day,
    duration,
    listed,
    moment,
    prose,
    several,
    utc,
    when,
)
from core.drills import Standing, told_last
from core.grammar import SHORTEST_REASON
from core.model import STEPS, Event, Json, Person
from core.transcript import NAMES

OF_THE_DRILL = ("E-STOPPED", "E-BUG", "E-SCRATCH", "E-DB", "E-DISK")
"""What says nothing about the way back: the drill's own surroundings."""
SNOOZES = (("Tomorrow", 1), ("In 3 days", 3), ("In a week", 7))
COPY = "It runs on a copy restored from the newest backup"
OF = {"rollback": "", "reapply": "re-apply: ", "restore": "restore: "}
"""What a step of each runbook is told with."""


@dataclass(frozen=True)
class DrillOwner:
    """Whose turn it is: `mark` as Slack notifies them (markup), `called` for reading."""

    mark: str
    called: str


def drill_due(event: Event, owner: DrillOwner | None = None, answer: Event | None = None) -> Message:
    """The reminder. `answer`: what has become of it since: put off, skipped, started, or ended; then it has no buttons."""
    told = event.data
    on, period = data(str(told.get("target", "")), 60), data(str(told.get("period", "")), 40)
    whose = owner or owned(str(told.get("owner") or ""))
    last, still = data(str(told.get("last") or "never"), 100), "still " if told.get("again") else ""
    head = f":calendar: *Rollback drill for {on}, {still}due {period}* — owner {whose.mark}"
    rich = f"{head}\nUndoes the newest migration on a copy restored from the newest backup. *{on} is not touched.*"
    missed = [data(str(one), 40) for one in told.get("missed") or []]
    if missed:
        rich += f"\nMissed, since I was not running: {several(missed, 3)}"
    row = told.get("streak") or 0
    text = f"The rollback drill for {on} is {still}due, {period}. Owner: {whose.called}. {COPY}; {on} is not touched. Last drill: {last}."
    blocks = [section(rich), context(f"Last drill: {last}", f"{row} in a row" if row > 1 else "", mark(event))]
    blocks += [section(answered(answer))] if answer else [actions(f"drill:{event.id}", *buttons(event))]
    return message(text, blocks, run="", event=event)


def owned(user: str) -> DrillOwner:
    """By the id alone."""
    person = Person(user, user or "nobody")
    return DrillOwner(mention(person), name(person))


def buttons(event: Event) -> list[Json]:
    """Start, put off, skip."""
    on = str(event.data.get("target", ""))
    about = event.data.get("about")
    length = f", about {duration(about)}" if about else ""
    later: Json = {
        "type": "static_select",
        "action_id": "drill.snooze",
        "placeholder": plain("Remind me later", 150),
        "options": [{"text": plain(words), "value": f"{value(event)}.{days}"} for words, days in SNOOZES],
    }
    skip = button("Skip it…", "drill.skip", value(event), f"Skip it… asks for a reason, the drill for {data(on, 40)}")
    return [start(event, length), later, skip]


def start(event: Event, length: str = "") -> Json:
    """Begins the drill."""
    on = data(str(event.data.get("target", "")), 60)
    ask = confirm(
        "Start the drill now?", f"Runs on a scratch copy{length}. {on} is not touched.", "Start drill", "Not now"
    )
    return button(
        "Start drill", "drill.start", value(event), f"Start drill for {on} on a scratch copy", style="primary", ask=ask
    )


def value(event: Event) -> str:
    """What the buttons of a message carry: the event that it tells."""
    return f"drill-{event.id}"


def answered(answer: Event) -> str:
    """What has become of a reminder."""
    by, at = who(answer.actor), clock(answer.at)
    match answer.kind:
        case "drill_snoozed":
            return f":hourglass_flowing_sand: {by} put it off until {day(moment(answer.data['until']))}."
        case "drill_skipped":
            return f":x: Skipped by {by}: {data(answer.data['reason'], 500)}"
        case "drill_started":
            return f":arrows_counterclockwise: Started by {by} at {at}; each step is in the thread."
        case "drill_due":
            return ":x: It went by without a drill; the next one is due."
        case "drill_passed":
            return f":white_check_mark: Passed in {duration(answer.data['seconds'])}, {at}."
        case _:
            return f":x: Failed at {at}; why is in the thread."


def drill_started(event: Event) -> Message:
    """The first line of its thread, or of the channel where nobody was reminded."""
    on, by = data(event.data["target"], 60), name(event.actor)
    text = f"{by} started the rollback drill for {on}. {COPY}; {on} is only read."
    rich = f":arrows_counterclockwise: {who(event.actor)} started the *rollback drill for {on}*. {COPY}; *{on} is only read.*"
    return message(text, [section(rich), context(mark(event))], run="", event=event)


def drill_waits(event: Event) -> Message:
    """A real run goes first. `/rollback drill stop` ends it."""
    run, on = data(event.data["for"], 20), data(event.data["target"], 60)
    rich = f":hourglass_flowing_sand: The drill waits: *{run}* on {on} goes first."
    return message(bare(rich), [section(rich), context(mark(event))], run="", event=event)


def drill_step(event: Event) -> Message:
    """One finished step."""
    told = event.data
    step, took = f"{OF[told['kind']]}{NAMES.get(told['step'], told['step'])}", duration(told["seconds"])
    rich = f":white_check_mark: *{data(step, 40)}* done, {data(told['told'], 300) or took}"
    if took not in told["told"]:
        rich += f" ({took})"
    return message(
        f"Drill, {step} done, {data(told['told'], 200) or took}.",
        [section(rich), context(mark(event))],
        run="",
        event=event,
    )


def drill_asks(event: Event, approvers: str, agreed: Event | None = None, *, over: bool = False) -> Message:
    """The second person's turn, as before a real rollback. `approvers`: markup. `agreed`, `over`: then without the button."""
    told, on = event.data, data(event.data["target"], 60)
    names = listed([code(one, 80) for one in told["migrations"][:3]])
    plan = f"plan `{data(told['digest'], 64)[:12]}`"
    rich = f":hourglass_flowing_sand: *The drill for {on} waits for a second person*, {approvers}: would you agree to undo {names} on the copy?"
    text = f"The drill for {on} waits for a second person until {utc(moment(told['until']))}. {on} is not touched."
    agree = button(
        "Agree to the drill", "drill.agree", value(event), f"Agree to the drill for {on}, on a copy", style="primary"
    )
    tail = [actions(f"drill:{event.id}", agree)]
    if agreed or over:
        waited = f" after {duration((agreed.at - event.at).total_seconds())}" if agreed else ""
        tail = [
            section(
                f":white_check_mark: {who(agreed.actor)} agreed{waited}." if agreed else "Nobody is asked any more."
            )
        ]
    small = context(f"Until {clock(moment(told['until']))}", plan, mark(event))
    return message(text, [section(f"{rich}\n*{on} is not touched.*"), small, *tail], run="", event=event)


def drill_agreed(event: Event) -> Message:
    """Who agreed."""
    rich = f":white_check_mark: {who(event.actor)} agreed to the drill."
    return message(
        f"{name(event.actor)} agreed to the drill.", [section(rich), context(mark(event))], run="", event=event
    )


def drill_ended(
    event: Event, owner: DrillOwner, now: Standing, started: Event | None, *, over: bool = False
) -> Message:
    """How it went, with every time that was measured. `now`: as it stands after it; `over`: it was started again since."""
    return passed(event, now, started) if event.kind == "drill_passed" else failed(event, owner, over)


def passed(event: Event, now: Standing, started: Event | None) -> Message:
    told, on = event.data, data(event.data["target"], 60)
    took, before = duration(told["seconds"]), told.get("before")
    against = ""
    if before:
        apart = abs(before - told["seconds"])
        against = (
            f"{duration(apart)} {'faster' if told['seconds'] < before else 'slower'} than the last one"
            if apart >= 0.05
            else "as the last one"
        )
    following = now.told.data.get("next") if now.told else None
    nxt = f" The next one is due {moment(following):%a %-d %b}." if following else ""
    text = f"The drill for {on} passed in {took}{f', {against}' if against else ''}.{nxt}"
    head = f":white_check_mark: *Drill for {on} passed in {took}*{f' ({against})' if against else ''}"
    rich = "\n".join([head, *times(told["steps"], told["people"])])
    small = [
        waits(told["people"], started, now),
        f"{now.streak} in a row" if now.streak > 1 else "",
        f"Next: {day(moment(following))}" if following else "",
        backup(told),
        mark(event),
    ]
    return message(text, [section(cut_marked(rich, 2800)), context(*small)], run="", event=event)


def times(steps: Sequence[Json], people: Sequence[Json]) -> list[str]:
    """A line for each runbook with the steps that took some time, and one for people."""
    least = max((one["seconds"] for one in steps), default=0.0) / 100
    lines = []
    for kind, word in (("rollback", "Roll back"), ("reapply", "Re-apply"), ("restore", "Restore")):
        mine = [one for one in steps if one["kind"] == kind]
        each = [
            f"{NAMES.get(one['step'], one['step'])} {duration(one['seconds'])}"
            for one in mine
            if one["seconds"] > least
        ]
        if mine:
            lines.append(f"*{word}* {duration(sum(one['seconds'] for one in mine))}: {' · '.join(each)}")
    spent = sum(one["seconds"] for one in people)
    return [*lines, *([f"*People* {duration(spent)}"] if people else [])]


def waits(people: Sequence[Json], started: Event | None, now: Standing) -> str:
    """How long people took."""
    said = [f"{data(one['name'], 60)} agreed after {duration(one['seconds'])}" for one in people]
    if started and now.told and started.data.get("due") and started.at > now.told.at:
        said.insert(0, f"Started {duration((started.at - now.told.at).total_seconds())} after the reminder")
    return ", ".join(said)


def backup(told: Json) -> str:
    """What was put back."""
    one = told.get("backup")
    if not one:
        return ""
    return (
        "Copy: a fresh backup"
        if one["fresh"]
        else f"Copy: backup {data(one['id'], 20)} of {day(moment(one['taken_at']))}"
    )


def failed(event: Event, owner: DrillOwner, over: bool = False) -> Message:
    """What failed, what to mend, and who is called."""
    told, on = event.data, data(event.data["target"], 60)
    step = f"{OF[told['kind']]}{NAMES.get(told['step']) or told['step']}"
    what = told["message"].rstrip(".")
    text = f"The drill for {on} failed at {data(step, 40)}: {bare(what, 200)}. {owner.called}, please look. {on} is not touched."
    # what only a drill needs, or only its surroundings lacked, would not stop a real run
    too = told["kind"] == "rollback" and told["step"] in STEPS["rollback"] and told["code"] not in OF_THE_DRILL
    rich = f":x: {owner.mark} *Drill for {on} failed at {data(step, 40)}:* {prose(what, 900)}."
    rich += f"{' A real rollback would have stopped here too.' if too else ''} {on} is not touched."
    hint = told["hint"] if "start" in told["hint"].lower() else f"{told['hint']} Then start the drill again.".strip()
    small = context(prose(hint, 400), f"after {duration(told['seconds'])}", mark(event))
    tail = [section("It was started again since.")] if over else [actions(f"drill:{event.id}", start(event))]
    return message(text, [section(rich), small, *tail], run="", event=event)


def drill_skip(event: Event) -> Json:
    """The form that asks why."""
    told = event.data
    on = data(str(told["target"]), 60)
    about = section(
        f"The drill for *{on}*, due {data(str(told.get('period', '')), 40)}, goes without being done. Everyone sees why, also on real plans."
    )
    why = field("reason", "Why is it skipped?", least=SHORTEST_REASON)
    return modal("drill.skip", {"due": event.id}, "Skip this drill?", [about, why], submit="Skip it", close="Keep it")


def drill_standing(rows: Sequence[tuple[str, str, Standing]], now: datetime) -> Message:
    """`drill status`: target, its schedule in words, and how it stands."""
    lines = [f"*{data(target, 60)}*, {data(schedule, 120)}: {standing(one, now)}" for target, schedule, one in rows]
    return message(
        f"Drills of {listed([data(target, 60) for target, _, _ in rows[:5]])}.", [section("\n".join(lines[:20]))]
    )


def drill_on_a_plan(one: Standing, now: datetime) -> str:
    """On the card of a real plan: is this practised?"""
    parts = [f"Last drill: {told_last(one, now)}"]
    if one.skipped and (not one.last or one.skipped.id > one.last.id):
        parts.append(f"skipped on {day(one.skipped.at)}: {data(one.skipped.data['reason'], 120)}")
    if one.due and one.overdue(now):
        parts.append(f"*overdue* since {day(moment(one.due.data['due']))}")
    return "; ".join(parts)


def standing(one: Standing, now: datetime, following: str = "") -> str:
    """How it is with a target's drills, in one line. `following`: when the next one is, where that is known better."""
    parts = [f"last drill {told_last(one, now)}"]
    if one.streak > 1:
        parts.append(f"{one.streak} in a row")
    if one.skipped and (not one.last or one.skipped.id > one.last.id):
        parts.append(f"skipped on {day(one.skipped.at)}: {data(one.skipped.data['reason'], 120)}")
    if one.running:
        parts.append(f"under way since {when(one.running.at, now)}")
    elif one.due:
        late = "*overdue*, was due" if one.overdue(now) else "due"
        parts.append(f"{late} {day(moment(one.due.data['due']))}")
        if one.snoozed:
            parts.append(f"put off until {day(one.snoozed)}")
    elif following:
        parts.append(following)
    elif one.told and one.told.data.get("next"):
        parts.append(f"next {day(moment(one.told.data['next']))}")
    return "; ".join(parts)
