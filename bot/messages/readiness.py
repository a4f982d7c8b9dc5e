"""Backups that no rollback has asked for, and what could be undone: in the channel, as an answer, and on the Home tab."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.messages.blocks import Message, at_most, audit, context, in_batches, message, name, say, section, who
from bot.messages.text import bare, code, data, duration, plural, prose, several, size, when
from core.backups.programs import old
from core.board import Aged, Board
from core.model import Event
from core.readiness_words import BAD, summary, words

MARKS = {"ready": ":white_check_mark:", "not tried": ":grey_question:", **dict.fromkeys(BAD, ":x:")}


def backup_over(event: Event, taken: Event | None) -> Message:
    """How a backup ended that somebody in Slack has asked for: events `backup_proven` and `backup_failed`.

    `taken`: the event `backup_taken` of the same backup, where there is one.
    """
    told, on = event.data, data(str(event.data["target"]), 60)
    small = context(f"Asked by {who(event.actor)}", audit(event))
    if event.kind == "backup_failed":
        rich = f":warning: *The backup of {on} failed*\n{prose(told['message'])} {prose(told['hint'])} ({code(told['code'])})"
        text = say(f"The backup of {on} failed.", bare(told["message"]), f"({data(told['code'], 40)})")
        return message(text, [section(rich), small], run="", event=event)
    evidence = taken.data["evidence"] if taken else {}
    spent = told["seconds"] + (taken.data["seconds"] if taken else 0)
    tables = plural(told["tables"], "table")
    facts = [
        *([size(evidence["bytes"])] if evidence.get("bytes") is not None else []),
        f"{tables} put back and equal" if told["tables"] else "verified by your own program",
        duration(spent),
    ]
    words = f"{', '.join(facts)}. {on} was only read."
    rich = f":white_check_mark: *Backup {code(told['backup'])} of {on} is taken and proven*\n{words}"
    text = f"Backup {data(told['backup'], 20)} of {on} is taken and proven: {words} Asked by {name(event.actor)}."
    return message(text, [section(rich), small], run="", event=event)


def backup_old(event: Event) -> Message:
    """The newest proven backup is older than the target's `backup.alarm`."""
    told, on = event.data, data(str(event.data["target"]), 60)
    limit = old(timedelta(seconds=told["limit_seconds"]))
    if told["newest"]:
        age = old(timedelta(seconds=told["age_seconds"]))
        what, named = f"The newest proven backup of {on} is {age} old", f" It is {code(told['newest'])}."
    else:
        what, named = f"There is no proven backup of {on}", ""
    then = f"It should be no older than {limit}."
    rich = f":alarm_clock: *{what}*\n{then}{named} {code('/rollback backup')} takes one and proves it."
    text = f"{what}. {then} /rollback backup takes one and proves it."
    return message(text, [section(rich), context(f"{on} is not touched", audit(event))], run="", event=event)


def readiness_changed(event: Event) -> Message:
    """What has no working way back any more, or has one again: `changed` of an event `readiness`."""
    told, on = event.data, data(str(event.data["target"]), 60)
    bad = any(one["state"] in BAD for one in told["migrations"])
    head = f"What could be undone on {on} has changed"
    rows = at_most(
        [f"• {prose(one, 500)}" for one in told["changed"]], 10, f"{code('/rollback readiness')} has all", 2400
    )
    mark = ":warning:" if bad else ":information_source:"
    rich = "\n".join([f"{mark} *{head}*", *rows])
    first = bare(told["changed"][0], 250)
    more = f"And {plural(len(told['changed']) - 1, 'more', 'more')}." if len(told["changed"]) > 1 else ""
    small = context(f"{summary(told)}. {code('/rollback readiness')} has all", f"{on} was only read", audit(event))
    return message(say(f"{head}.", first, more), [section(rich), small], run="", event=event)


def board(target: str, now: Board | None, aged: Aged | None, clock: datetime) -> Message:
    """The board, as an answer to one person."""
    on = data(target, 60)
    found = now.found.get("migrations", ()) if now else ()
    lines = [f"{MARKS[one['state']]} {code(one['name'], 100)} {prose(words(one), 400)}" for one in found]
    at = f", looked at {when(now.at, clock)}" if now and now.found else ""
    said = (
        summary(now.found) if now and now.found else "nobody has looked yet" if now is None else "nobody could look yet"
    )
    blocks = in_batches(lines, 20, f"*{on}*: {said}{at}")
    if now and now.trouble:
        blocks.append(section(f":x: The last look failed: {prose(now.trouble)}"))
    small = context(_upper(_backup(aged)), f"{code('/rollback readiness now')} looks again")
    return message(say(f"{on}: {said}.", "", f"{_upper(_backup(aged))}."), [*blocks, small])


def readiness_line(target: str, now: Board | None, aged: Aged | None, clock: datetime) -> str:
    """One target on the Home tab."""
    parts = [_backup(aged)]
    if now and now.found:
        bad = [code(one["name"], 60) for one in now.found["migrations"] if one["state"] in BAD]
        no = f", no working way back: {several(bad, 3, 300)}" if bad else ""
        parts = [f"{summary(now.found)}{no}, looked at {when(now.at, clock)}", *parts]
    if now and now.trouble:
        parts.append(f"the last look failed: {data(now.trouble, 150)}")
    return f"*{data(target, 60)}*: {'; '.join(parts)}"


def _backup(aged: Aged | None) -> str:
    return f"newest proven backup {aged.id}, {old(aged.age)} old" if aged else "no proven backup"


def _upper(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"
