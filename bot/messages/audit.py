"""What the audit trail is worth: the chain, and what was posted of it."""

from __future__ import annotations

from collections.abc import Sequence

from bot.messages.blocks import Message, at_most, context, in_batches, link, message, say, section
from bot.messages.blocks import audit as mark
from bot.messages.text import clock_secs, code, data, number, plural, prose, several
from core.model import Event, Json
from core.witness import Held


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
    every = "all of them in the shell: `rollback audit verify`"
    notes = in_batches(at_most([f":rotating_light: {data(one, 300)}" for one in remarks], 60, every, 20_000), 20)
    if not broken and held:
        return _contradicted(held, head, notes) if held.faults else _witnessed(events, head, held, notes)
    if broken:
        said = f"The audit trail is broken: {data(broken, 250)}. Keep the file as it is and compare it with Slack."
        head_line = section(f":rotating_light: *The audit trail is broken*\n{data(broken)}")
        return message(said, [head_line, *notes, shown_head(head)])
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
    lines = at_most(
        [f"• {one}" for one in faults], 5, "all of them in the shell: `rollback audit verify --witness`", 1700
    )
    sound = f"\nUp to event {number(held.sound)} it is as it was posted." if held.sound else ""
    rich = f":rotating_light: *The audit trail is not what I posted in {_places(held)}*\n" + "\n".join(lines) + sound
    text = say("The audit trail is not what I posted:", faults[0], "Keep the file as it is, and its older copies.")
    small = context("Keep the file as it is", *_not_counted(held))
    return message(text, [section(rich), *notes, small, shown_head(head)])


def _places(held: Held) -> str:
    return several([data(one, 80) for one in held.said.places], 8, 600)


def _not_counted(held: Held) -> list[str]:
    edited = (
        f"{plural(held.said.edited, 'message')} edited since did not count, cards among them"
        if held.said.edited
        else ""
    )
    posted = "Every digest that I posted was read back, and held against my file"
    left = len(held.said.unread) - 5
    more = f"and {plural(left, 'more channel')} not read" if left > 0 else ""
    return [posted, edited, *[f"Not read: {prose(one, 150)}" for one in held.said.unread[:5]], more]


def shown_head(head: str) -> Json:
    """The newest digest, as small print."""
    return context(f"Audit head `{head[:16]}`")


def witness(event: Event) -> Message:
    """The head of the audit trail, where no other message has shown it: quiet, in a thread of its own."""
    rich = (
        f"The audit trail has reached event {number(event.id)}, and no other message shows it. Lines like this one "
        f"follow in this thread, so that the channel witnesses every event."
    )
    text = f"The audit trail has reached event {number(event.id)}, and no other message shows it."
    return message(text, [section(rich), context(mark(event), clock_secs(event.at))], event=event)
