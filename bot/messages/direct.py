"""Direct messages to approvers: the question, and what became of it."""

from __future__ import annotations

from bot.messages import buttons, glass
from bot.messages.blocks import (
    Context,
    Message,
    actions,
    at_most,
    block_id,
    context,
    link,
    mention,
    message,
    name,
    say,
    section,
)
from bot.messages.blocks import who as who_of
from bot.messages.facts import WORDS, in_shell, inner, noun, untouched
from bot.messages.plan import deletes, differs_words
from bot.messages.text import bare, clock, data, prose, utc
from bot.messages.ways_back import price
from core.model import Event, Run, State

_TAKE_BACK = frozenset({State.WAITING, State.APPROVED})


def direct(run: Run, ctx: Context, *, reminder: bool = False) -> Message:
    """Ask one approver; `reminder` asks him again."""
    asks = "still waits for your approval of" if reminder else "asks for your approval of"
    who = mention(run.requester)
    reason = f"\n>{data(run.reason)}" if run.reason else "\nreason: none given"
    expires = f"Expires {clock(run.expires_at)}" if run.expires_at else ""
    warning = f":warning: {differs_words(run).removeprefix('Warning: ')}" if differs_words(run) else ""
    blocks = [
        section(f":bell: {who} {asks} *{run.id}*: {inner(run)}{reason}"),
        context(_cost(run).removesuffix("."), warning, expires, link(ctx.link, "Open the card")),
        actions(block_id(run, "dm"), buttons.review(run), buttons.deny(run), buttons.not_me(run)),
    ]
    on = data(run.target, 60)
    what = inner(run, rich=False, where=False)
    start = "Reminder: " if reminder else ""
    before = f"{start}{name(run.requester)} asks you to approve {WORDS[run.kind].lower()} {run.id} on {on}: {what}."
    after = f"{_cost(run)} {differs_words(run)}".rstrip()
    after += f" Expires {utc(run.expires_at)}." if run.expires_at else ""
    return message(say(before, data(run.reason, 200), after), blocks, run=run.id, event=run.last)


def _cost(run: Run) -> str:
    return deletes(run) if run.kind == "rollback" else price(run)


def direct_decided(run: Run, ctx: Context, own: bool, person: str | None = None) -> Message:
    """An approver's copy once it is decided. `own`: he approved himself (`person` is his id, for the time)."""
    if own and run.state in _TAKE_BACK:
        return _yours(run, ctx, person)
    rich, text, at = _outcome(run)
    at_event = run.ending.at if run.ending else None
    when = at or (clock(at_event) if at_event else "")
    blocks = [
        section(f"{rich} Nothing to do for you."),
        context(when, link(ctx.link, "Open the card")),
    ]
    if not when and not ctx.link:
        blocks.pop()
    return message(f"{text} Nothing to do for you.", blocks, run=run.id, event=run.last)


def _yours(run: Run, ctx: Context, person: str | None) -> Message:
    given = [one for one in run.approvals if person is None or one.person.id == person]
    at = clock(given[-1].at) if given else ""
    blocks = [
        section(f":ballot_box_with_check: You approved *{run.id}*: {inner(run)}"),
        context(at, "You can take it back until execution starts", link(ctx.link, "Open the card")),
        actions(block_id(run, "dm"), buttons.unapprove(run)),
    ]
    text = f"You approved {WORDS[run.kind].lower()} {run.id} on {data(run.target, 60)}. You can take it back until execution starts."
    return message(text, blocks, run=run.id, event=run.last)


def _outcome(run: Run) -> tuple[str, str, str]:
    """What became of the run: mrkdwn, plain text, and when (mrkdwn)."""
    actor = run.ending.actor if run.ending else None
    told = {
        State.DENIED: (":no_entry_sign:", "was denied", True),
        State.WITHDRAWN: (":leftwards_arrow_with_hook:", "was withdrawn", True),
        State.EXPIRED: (":hourglass:", "expired", False),
        State.REFUSED: (":no_entry_sign:", "was refused by a rule", False),
        State.STOPPED: (":octagonal_sign:", "was stopped", bool(actor)),
        State.PLANNING: (":warning:", "is planned again because the plan changed", False),
    }
    if run.state in told:
        mark, words, by = told[run.state]
        rich_by, plain_by = (f" by {who_of(actor)}", f" by {name(actor)}") if by else ("", "")
        at = f" at {utc(run.ending.at)}" if run.ending and by else ""
        return f"{mark} *{run.id}* {words}{rich_by}.", f"{noun(run)} {words}{plain_by}{at}.", ""
    if run.without_second:
        return (
            f":rotating_light: *{run.id}* goes {glass.words(run)}.",
            f"{noun(run)} goes {glass.words(run, rich=False)}.",
            "",
        )
    last = run.approvals[-1] if run.approvals else None
    if last is None:
        return f"*{run.id}* went on without an approval.", f"{noun(run)} went on without an approval.", ""
    rich = f":ballot_box_with_check: *{run.id}* was approved by {mention(last.person)}."
    return rich, f"{noun(run)} was approved by {name(last.person)} at {utc(last.at)}.", clock(last.at)


def direct_void(run: Run, event: Event, ctx: Context) -> Message:
    """Tell the giver of an approval that it no longer counts, and why."""
    told = event.data.get("what") or [event.data.get("why") or "taken back"]
    lines = "\n".join(at_most([f"• {prose(str(one), 300)}" for one in told if one], 8, in_shell(run)))
    what = "break-glass" if "broken" in event.data else "approval"
    blocks = [
        section(f":warning: *Your {what} of {run.id} no longer counts.* {untouched(run)}\n{lines}".rstrip()),
        context(clock(event.at), link(ctx.link, "Open the card")),
    ]
    text = say(
        f"Your {what} of {WORDS[run.kind].lower()} {run.id} no longer counts.", bare(str(told[0])), untouched(run)
    )
    return message(text, blocks, run=run.id, event=event)
