"""What was found in a history table, and was not done by the bot: one message for all that was found at once."""

from __future__ import annotations

from collections.abc import Sequence

from bot.messages.blocks import Message, at_most, audit, context, in_batches, message, say
from bot.messages.text import code, data, plural, prose
from core.model import Event

REST = "all of them in the shell: `rollback audit export`"
REMEDIES = {
    "E-NO-SCRIPT": "Write the rollback script while somebody still knows how; `rollback check` tries it.",
    "E-SCRIPT": "Change the rollback script; `rollback check` tries it.",
    "E-NO-TX": "Change the rollback script; `rollback check` tries it.",
    "E-FILE-MISSING": "Was it applied by hand? Then put its files into the folder of the migrations. Or is that folder not "
    "the one that is deployed? Then bring it up to date.",
    "E-REHEARSAL": "Mend the rollback script; `/rollback plan` with its name tries it.",
    "E-DIFFERS": "Mend the rollback script, or roll back before anything depends on it; `/rollback plan` with its name shows all.",
}
"""The next step, by code."""


def no_way_back(events: Sequence[Event]) -> Message:
    """Newly applied, and it could not be undone: events `no_way_back` of one target, at least one."""
    last, on = events[-1], data(str(events[-1].data["target"]), 60)
    lines = [f"• {_name(one)}: {prose(str(one.data['why']), 400)}" for one in events]
    todo = list(dict.fromkeys(REMEDIES[one.data["code"]] for one in events))
    head = (
        f":warning: *No way back from {_what(events)} on {on}*, found when what was applied there was tried on a copy"
    )
    blocks = [
        *in_batches([head, *at_most(lines, 30, REST, 8000)]),
        *in_batches([f"*What to do*: {prose(one)}" for one in todo]),
        context(
            f"*{on} was only read*", ", ".join(dict.fromkeys(str(one.data["code"]) for one in events)), audit(last)
        ),
    ]
    names = ", ".join(data(str(one.data["name"] or one.data["version"]), 80) for one in events)
    text = say(f"No way back from {_what(events)} applied on {on}:", names, f"{on} was only read.")
    return message(text, blocks, run="", event=last)


def out_of_order(events: Sequence[Event]) -> Message:
    """Applied after newer ones: events `applied` of one target, at least one."""
    last, on = events[-1], data(str(events[-1].data["target"]), 60)
    verb = "is" if len(events) == 1 else "are"
    head = f":warning: *Applied out of order on {on}*: newer migrations were there before"
    told = f"A fresh database gets {'it' if len(events) == 1 else 'them'} earlier than this one did."
    todo = "*What to do*: see whether the newer ones depend on that; `rollback check` builds the schema in the order of the files."
    lines = at_most([f"• {_name(one)}" for one in events], 30, REST, 8000)
    text = f"{_what(events)[:1].upper()}{_what(events)[1:]} {verb} applied out of order on {on}: newer ones were there before."
    return message(text, [*in_batches([head, *lines, told, todo]), context(audit(last))], run="", event=last)


def unapplied(event: Event) -> Message:
    """Rows have gone from the history table, and no run of ours took them out."""
    on, versions = data(str(event.data["target"]), 60), [str(one) for one in event.data["versions"]]
    head = f":warning: *{plural(len(versions), 'migration')} no longer applied on {on}*, and not by me: a tool, or a person"
    told = "Whether their changes are undone too, nobody has looked. Their scripts stay in the audit trail."
    todo = f"*What to do*: find out who did it. What the table says now: `/rollback migrations --on {on}`"
    lines = at_most([f"• {code(one)}" for one in versions], 30, REST, 8000)
    text = f"{plural(len(versions), 'migration')} no longer applied on {on}, and not by me. Their scripts stay in the audit trail."
    return message(text, [*in_batches([head, *lines, told, todo]), context(audit(event))], run="", event=event)


def history_emptied(event: Event, approvers: str) -> Message:
    """The whole table is empty, or not there. `approvers`: their mention, Slack's markup."""
    on, many = data(str(event.data["target"]), 60), plural(len(event.data["versions"]), "migration")
    gone = bool(event.data.get("no_table"))
    state, back = ("is gone", "the table") if gone else ("is empty", "the rows")
    who = "Find out who did it, or whether it is another database than before" if gone else "Find out who did it"
    rich = (
        f":rotating_light: {approvers} *The history table of {on} {state}*, and not by me. {many} stood there before. "
        "I cannot undo what it does not name. Nothing is forgotten: the audit trail has every version and its scripts.\n"
        "*What to do*: let nothing deploy there now, since a migration tool would apply everything again. "
        f"{who}, and put {back} back from a backup."
    )
    text = (
        f"The history table of {on} {state}, and not by me. {many} stood there before. Let nothing deploy there now; put {back} "
        "back from a backup. The audit trail has every version and its scripts."
    )
    return message(text, [*in_batches([rich]), context(audit(event))], run="", event=event)


def _name(event: Event) -> str:
    return code(str(event.data["name"] or event.data["version"]))


def _what(events: Sequence[Event]) -> str:
    return plural(len(events), "migration")
