"""A rollback that is neither done nor untouched: statements that run by themselves were cut short, or what came after."""

from __future__ import annotations

from bot.messages import buttons, glass
from bot.messages.blocks import (
    Context,
    Message,
    actions,
    at_most,
    audit,
    block_id,
    context,
    link,
    mention,
    message,
    section,
    who,
)
from bot.messages.facts import in_shell, noun, title
from bot.messages.newer import steps_block
from bot.messages.text import bare, data, plural, prose
from core.model import Event, Json, Run


def lists(run: Run, told: Json) -> str:
    """Done and left."""
    heads = {"done": "Done", "left": "Left"}
    lines = []
    for key, head in heads.items():
        items = [str(one) for one in told.get(key, ())]
        shown = at_most([f"• {prose(one, 200)}" for one in items], 12, in_shell(run), 1200)
        lines += [f"*{head}*", *shown] if items else []
    return "\n".join(lines)


def card(run: Run, ctx: Context) -> Message:
    """Exactly what is done and what is left, and how to go on."""
    told = run.partly or {}
    head = f":rotating_light: *{noun(run)} — half done: decide*  ·  ~Executing~ → Needs a person"
    blocks = [
        section(f"{head}\n{title(run)}.\n{prose(str(told.get('message', '')), 400)}"),
        section(lists(run, told)),
        steps_block(run, ctx),
        actions(block_id(run, "partly"), *buttons.half_done(run)),
        context(
            "Put back by hand what is done, and *Ask the database now* finds that nothing is changed", audit(run.last)
        ),
    ]
    return message(text(run), blocks, run=run.id, event=run.last)


def text(run: Run) -> str:
    """For the top-level text."""
    told = run.partly or {}
    why = bare(str(told.get("message", "")), 200).rstrip(".")
    counts = f"{plural(len(told.get('done', ())), 'part')} done, {len(told.get('left', ()))} left"
    return (
        f"{noun(run)} on {data(run.target, 60)} needs a person: {why}. {counts}. Continue, or restore the full backup."
    )


def call(run: Run, event: Event, ctx: Context) -> Message:
    """The new message that calls people to it."""
    why = bare(str(event.data.get("message", "")), 300)
    head = f":rotating_light: {ctx.approvers_mention} {mention(run.requester)} *{run.id} needs a person: {why}*"
    row = actions(f"{run.id}:{event.id}:partly", *buttons.half_done(run))
    small = context(str(event.data.get("code", "")), audit(event), link(ctx.link, "Card"))
    return message(text(run), [section(head), section(lists(run, event.data)), row, small], run=run.id, event=event)


def kept(run: Run, ctx: Context) -> Message:
    """A person left it half done."""
    by = who(run.ending.actor if run.ending else None)
    blocks = [
        section(f":warning: *{noun(run)} — left half done by {by}*  ·  ~Needs a person~ → Done\n{title(run)}."),
        section(lists(run, run.partly or {})),
        actions(
            block_id(run, "end"), buttons.timeline(run), buttons.report(run), *buttons.ways_back(run), *glass.owes(run)
        ),
        context(glass.ran(run), audit(run.last)),
    ]
    said = f"{noun(run)} on {data(run.target, 60)} was left half done."
    return message(said, blocks, run=run.id, event=run.last)
