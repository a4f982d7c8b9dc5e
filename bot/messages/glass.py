"""Break-glass: loud while it counts down, plain about it afterwards, and open until somebody has reviewed it."""

from __future__ import annotations

from bot.messages import buttons
from bot.messages.blocks import (
    Context,
    Message,
    actions,
    audit,
    context,
    link,
    mention,
    message,
    name,
    say,
    section,
    who,
)
from bot.messages.facts import WORDS, inner, noun, target, unchanged, untouched
from bot.messages.steps import proven
from bot.messages.text import clock_secs, data, day, duration, moment
from core.model import Event, Json, Run, State


def counts(run: Run, event: Event) -> bool:
    """Is this break-glass still the one that the run goes by, and can it be stopped?"""
    return run.broken is not None and run.broken.event == event.id and run.state in (State.WAITING, State.APPROVED)


def broken(run: Run, event: Event, ctx: Context) -> Message:
    """To the channel: who, what, when, why, and the button for everyone. Edited once nothing can be stopped any more."""
    row, small = (
        _stop(run, event),
        context("Every approver who can be reached got a direct message", *_small(run, event)),
    )
    return message(_text(run, event), [*_told(run, event, ctx.approvers_mention), *row, small], run=run.id, event=event)


def direct_broken(run: Run, event: Event, ctx: Context) -> Message:
    """To each approver: the same, with the buttons of the gate."""
    row = [buttons.stop_broken(run)] if counts(run, event) else []
    row += [buttons.review(run), buttons.deny(run)] if row and run.state is State.WAITING else []
    blocks = [
        *_told(run, event, ""),
        *([actions(f"{run.id}:{event.id}:dm", *row)] if row else []),
        context(link(ctx.link, "Open the card"), *_small(run, event)),
    ]
    return message(_text(run, event), blocks, run=run.id, event=event)


def _told(run: Run, event: Event, call: str) -> list[Json]:
    at = clock_secs(moment(event.data.get("starts_at") or event.at))
    end = "Anyone here can stop it." if counts(run, event) else _outcome(run, event)
    head = f":rotating_light: *BREAK-GLASS — {run.id} starts at {at} without a second person*"
    return [
        section(f"{head}\n{who(event.actor)} starts it: {inner(run)}. {end}\n{call}".rstrip()),
        section(f">{data(str(event.data.get('reason', '')))}"),
    ]


def _outcome(run: Run, event: Event) -> str:
    """What became of it, in words that stay true."""
    if run.state in (State.STOPPED, State.DENIED, State.EXPIRED, State.WITHDRAWN):
        return f"*It came to nothing*: {run.state}."
    if run.without_second and run.broken and run.broken.event == event.id:
        return "Nobody stopped it."
    return "It no longer counts."


def _stop(run: Run, event: Event) -> list[Json]:
    return [actions(f"{run.id}:{event.id}:glass", buttons.stop_broken(run))] if counts(run, event) else []


def _small(run: Run, event: Event) -> tuple[str, ...]:
    later = "An approver must review it within 24 h; until then it stays open on the Home tab"
    return ("Proofs are required as always", later, audit(event))


def _text(run: Run, event: Event) -> str:
    what = f"{WORDS[run.kind].lower()} {run.id} on {data(run.target, 60)}"
    span = duration(float(event.data.get("countdown", 0)))
    before = f"BREAK-GLASS: {name(event.actor)} starts {what} without a second person in {span}:"
    end = "Anyone here can stop it." if counts(run, event) else ""
    return say(before, inner(run, rich=False, where=False), end)


def over(run: Run, event: Event, ctx: Context) -> Message:
    """To the channel: nobody has stopped it."""
    starts = "it starts now" if proven(run) else "it starts when the proofs are complete"
    head = (
        f":rotating_light: {ctx.approvers_mention} *{run.id}: nobody stopped it, so {starts} without a second person*"
    )
    text = f"{noun(run)} on {data(run.target, 60)}: nobody stopped the break-glass of {name(event.actor)}, so {starts}. {untouched(run)[:-1]} yet."
    small = context(unchanged(run, yet=True), audit(event), link(ctx.link, "Card"))
    return message(text, [section(f"{head}\nBreak-glass by {who(event.actor)}."), small], run=run.id, event=event)


def reviewed(run: Run, event: Event, ctx: Context) -> Message:
    """To the thread: the review is closed."""
    found = str(event.data.get("text", ""))
    rich = f":mag: *{run.id}*: {who(event.actor)} reviewed the break-glass:\n>{data(found)}"
    text = say(f"{run.id}: {name(event.actor)} reviewed the break-glass:", data(found), "")
    return message(text, [section(rich), context(audit(event), clock_secs(event.at))], run=run.id, event=event)


def words(run: Run, *, rich: bool = True) -> str:
    """That not enough others agreed, and how its review stands; empty for every other run."""
    if not run.without_second or run.broken is None:
        return ""
    by = mention(run.broken.person) if rich else name(run.broken.person)
    mark = "*" if rich else ""
    agreed = f"with {len(run.approvals)} of {run.needed} approvals" if run.approvals else "without a second person"
    said = f"{mark}{agreed}{mark} (break-glass by {by})"
    if run.reviewed:
        return f"{said}, reviewed by {who(run.reviewed.actor) if rich else name(run.reviewed.actor)}"
    return f"{said}, {mark}review owed{mark}" if run.owes_review else said


def ran(run: Run) -> str:
    """The same as a line of small print."""
    return f"It ran {words(run)}" if run.without_second else ""


def owes(run: Run) -> list[Json]:
    """The button of an owed review."""
    return [buttons.close_review(run)] if run.owes_review else []


def owed_line(run: Run, url: str | None) -> str:
    """A run whose review is owed, in one line."""
    card = link(url, "Card")
    by = mention(run.broken.person) if run.broken else ""
    since = day(run.ended_at or run.created_at)
    return f":rotating_light: {run.id} on {target(run)}, {since}: break-glass by {by}" + (f". {card}" if card else "")


def owed_row(run: Run, url: str | None, own: bool) -> Json:
    """The same on the Home tab, with the button for those who may close it."""
    line = owed_line(run, url)
    if own:
        return section(f"{line}\nSomebody else must review it: you asked for it, or broke the glass.")
    return {**section(line), "accessory": buttons.close_review(run)}
