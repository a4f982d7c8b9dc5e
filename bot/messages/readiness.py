"""Backups that no rollback has asked for, told in the channel."""

from __future__ import annotations

from bot.messages.blocks import Message, audit, context, message, name, say, section, who
from bot.messages.text import bare, code, data, duration, plural, prose, size
from core.model import Event


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
