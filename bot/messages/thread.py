"""The thread under the card: one line per finished step, and new messages where somebody must look.

`thread` is a quiet reply; `broadcast` goes to the channel as well (`reply_broadcast`) and mentions people.
An event has one of the two, or neither, never both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bot.messages import attention, glass
from bot.messages.blocks import Context, Message, audit, context, mention, message, name, say, section, who
from bot.messages.evidence import thread_words
from bot.messages.facts import unchanged, untouched
from bot.messages.steps import of_all, place, step_name
from bot.messages.text import bare, clock_secs, cut, data, duration, plural, prose
from core.model import STEPS, Event, Run

Line = Callable[[Run, Event, Context], Message | None]


def thread(run: Run, event: Event, ctx: Context) -> Message | None:
    """The thread line of an event, or None where the thread has nothing to say."""
    make = _LINES.get(event.kind)
    return make(run, event, ctx) if make else None


def broadcast(run: Run, event: Event, ctx: Context) -> Message | None:
    """The new message that calls somebody, or None where nobody need be called."""
    make = attention.CALLS.get(event.kind)
    return make(run, event, ctx) if make else None


def tells(kind: str) -> bool:
    """May an event of this kind be told at all? The others are for the card and the timeline only."""
    return kind in _LINES or kind in attention.CALLS or kind in ("opened", "refused")


def _line(run: Run, event: Event, text: str, rich: str, *small: str) -> Message:
    stamps = context(*small, audit(event), clock_secs(event.at))
    return message(text, [section(rich), stamps], run=run.id, event=event)


def _step_done(run: Run, event: Event, ctx: Context) -> Message | None:
    step = str(event.data["step"])
    if not place(run, step):
        return None
    done, told = thread_words(run, step, event.data["evidence"])
    differs = step == "verify" and event.data["evidence"].get("differences")
    mark, done = (":x:", f"{done}, *differs*") if differs else (":white_check_mark:", done)
    rich = f"{mark} *{run.id} {of_all(run, step).replace(' of ', '/')} {step_name(run, step)}* {done}\n{told}"
    head = f"{run.id} step {of_all(run, step)}, {step_name(run, step).lower()}, {bare(done)}:"
    return _line(run, event, say(head, bare(told), ""), rich)


def _approved(run: Run, event: Event, ctx: Context) -> Message:
    note = str(event.data.get("note", ""))
    digest = str(event.data.get("digest", run.digest))[
        :12
    ]  # of the plan that was agreed to: told late, the run's is another
    revision = event.data.get("revision", run.revision)
    exactly = f"exactly plan {digest}, revision {revision}"
    missing = max(run.needed - len(run.approvals), 0)
    more = f" {plural(missing, 'more approval')} needed." if missing and not event.data.get("complete") else ""
    rich = (
        f":ballot_box_with_check: *{run.id} approved* by {who(event.actor)}{_proved(event)}, "
        f"exactly plan `{digest}` revision {revision}.{more}"
    )
    text = say(
        f"{run.id} approved by {name(event.actor)}{_proved(event)}: {exactly}.{more}",
        f"Note: {data(note)}" if note else "",
        "",
    )
    return _line(run, event, text, rich + (f"\n>{data(note)}" if note else ""))


def _proved(event: Event) -> str:
    """With a code, and where it was not Slack that said who it is."""
    if "totp" not in event.data:
        return ""
    return " in the shell, with a code" if event.data.get("door") == "shell" else " with a code"


def _reasoned(run: Run, event: Event, ctx: Context) -> Message:
    reason = str(event.data.get("reason", ""))
    rich = f":speech_balloon: *{run.id}*: {who(event.actor)} gives the reason:\n>{data(reason)}"
    return _line(run, event, say(f"{run.id}: {name(event.actor)} gives the reason:", data(reason), ""), rich)


def _unapproved(run: Run, event: Event, ctx: Context) -> Message:
    why = str(event.data.get("why") or "taken back")
    by = f" of {name(event.actor)}" if event.actor else ""
    rich_by = f" of {who(event.actor)}" if event.actor else ""
    what = "break-glass" if "broken" in event.data else "approval"
    said = f"{run.id}: the {what}{by} no longer counts:"
    rich = f":leftwards_arrow_with_hook: *{run.id}*: the {what}{rich_by} no longer counts: {prose(why)}"
    return _line(run, event, say(said, bare(why), untouched(run)), rich, unchanged(run, yet=True))


def _plan_changed(run: Run, event: Event, ctx: Context) -> Message:
    told = [str(one) for one in event.data.get("what", [])]
    lines = [f"• {prose(one, 300)}" for one in told[:8]]
    lines += [f"• and {len(told) - 8} more"] if len(told) > 8 else []
    head = f":warning: *{run.id}: the plan changed.* Earlier approvals no longer count; a new plan is made."
    before = f"{run.id}: the plan changed, earlier approvals no longer count."
    text = say(before, bare(told[0]) if told else "", untouched(run))
    return _line(run, event, text, "\n".join([head, *lines]), unchanged(run, yet=True))


def _denied(run: Run, event: Event, ctx: Context) -> Message:
    reason = str(event.data.get("reason", ""))
    rich = f":no_entry_sign: {mention(run.requester)} *{run.id} was denied* by {who(event.actor)}{_proved(event)}: {data(reason)}"
    text = say(f"{run.id} was denied by {name(event.actor)}{_proved(event)}:", data(reason, 250), untouched(run))
    return _line(run, event, text, rich, unchanged(run, yet=False))


def _withdrawn(run: Run, event: Event, ctx: Context) -> Message:
    reason = str(event.data.get("reason", ""))
    why = f": {data(reason, 300)}" if reason else "."
    rich = f":leftwards_arrow_with_hook: *{run.id} was withdrawn* by {who(event.actor)}{why}"
    text = say(f"{run.id} was withdrawn by {name(event.actor)}.", data(reason, 250), untouched(run))
    return _line(run, event, text, rich, unchanged(run, yet=False))


def _expired(run: Run, event: Event, ctx: Context) -> Message:
    rich = (
        f":hourglass: {mention(run.requester)} *{run.id} expired*: not enough approvals in time. Ask again on the card."
    )
    text = f"{run.id} expired: not enough approvals in time. {untouched(run)}"
    return _line(run, event, text, rich, unchanged(run, yet=False))


def _stopped(run: Run, event: Event, ctx: Context) -> Message | None:
    if not event.data.get("by_person"):
        return None
    rich = f":octagonal_sign: {mention(run.requester)} *{run.id} was stopped* by {who(event.actor)}."
    text = f"{run.id} was stopped by {name(event.actor)}. {untouched(run)}"
    return _line(run, event, text, rich, unchanged(run, yet=False))


def _resumed(run: Run, event: Event, ctx: Context) -> Message:
    rich = f":arrow_forward: *{run.id}*: {who(event.actor)} lets step {place(run)} run again, with the same approval."
    text = f"{run.id}: {name(event.actor)} lets step {place(run)} run again, with the same approval."
    return _line(run, event, text, rich)


def _part_done(run: Run, event: Event, ctx: Context) -> Message:
    told = {"part": "?", "of": "?", "seconds": 0, "about": "", **event.data}
    words = f"part {told['part']} of {told['of']} done in {duration(float(told['seconds']))}: {prose(str(told['about']), 150)}"
    return _line(
        run,
        event,
        f"{run.id} {bare(words)}.",
        f":white_check_mark: *{run.id} {place(run)}/{len(STEPS[run.kind])}* {words}",
    )


def _continued(run: Run, event: Event, ctx: Context) -> Message:
    rich = f":arrow_forward: *{run.id}*: {who(event.actor)} lets the rest follow."
    return _line(run, event, f"{run.id}: {name(event.actor)} lets the rest follow.", rich)


def _checking(run: Run, event: Event, ctx: Context) -> Message:
    words = f"has step {place(run, 'verify')}, verify, done again. It reads only."
    rich = f":mag: *{run.id}*: {who(event.actor)} {words}"
    return _line(run, event, f"{run.id}: {name(event.actor)} {words}", rich)


def _kept(run: Run, event: Event, ctx: Context) -> Message:
    words = "keeps it as it is; it was not verified. Saved rows and backup stay."
    if event.data.get("partly"):
        words = "leaves it half done. The backup stays."
    rich = f":warning: *{run.id}*: {who(event.actor)} {words}"
    return _line(run, event, f"{run.id}: {name(event.actor)} {words}", rich)


def _released(run: Run, event: Event, ctx: Context) -> Message:
    words = "released the hold: its migrations may be applied again."
    rich = f":unlock: *{run.id}*: {who(event.actor)} {words}"
    return _line(run, event, f"{run.id}: {name(event.actor)} {words}", rich)


def _way_back(run: Run, event: Event, ctx: Context) -> Message:
    by = data(str(event.data.get("by", "")), 20)
    words = "was re-applied" if event.kind == "reapplied" else "was undone: its full backup was restored"
    rich = f":rewind: *{run.id}* {words}, by {by}."
    return _line(run, event, f"{run.id} {words}, by {by}.", rich)


def _old_dropped(run: Run, event: Event, ctx: Context) -> Message:
    words = f"dropped the database of before, {data(str(event.data.get('name', '')), 80)}: what was written after the backup is gone for good."
    rich = f":wastebasket: *{run.id}*: {who(event.actor)} {words}"
    return _line(run, event, f"{run.id}: {name(event.actor)} {words}", rich)


def _not_me(run: Run, event: Event, ctx: Context) -> Message:
    words = "cannot look at it now; the others are asked."
    return _line(
        run, event, f"{run.id}: {name(event.actor)} {words}", f"*{run.id}*: {cut(name(event.actor), 80)} {words}"
    )


_LINES: Mapping[str, Line] = {
    "step_done": _step_done,
    "approved": _approved,
    "reasoned": _reasoned,
    "unapproved": _unapproved,
    "plan_changed": _plan_changed,
    "denied": _denied,
    "withdrawn": _withdrawn,
    "expired": _expired,
    "stopped": _stopped,
    "resumed": _resumed,
    "part_done": _part_done,
    "continued": _continued,
    "checking_again": _checking,
    "kept": _kept,
    "notme": _not_me,
    "released": _released,
    "reapplied": _way_back,
    "restored": _way_back,
    "old_dropped": _old_dropped,
    "reviewed": glass.reviewed,
}
