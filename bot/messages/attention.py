"""New messages that call somebody: done, not verified, failed, interrupted, unknown, late. Sent once, never edited."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bot.messages import buttons, glass, half_done
from bot.messages.blocks import (
    Context,
    Message,
    actions,
    audit,
    context,
    link,
    mention,
    message,
    say,
    section,
)
from bot.messages.ending import became, next_deploy
from bot.messages.facts import approvals_missing, kept_until, noun, target, title, took, unchanged, undo, untouched
from bot.messages.open_end import known, unknown_text, unknown_words, what_differs
from bot.messages.steps import of_all, place, step_name
from bot.messages.text import (
    bare,
    clock,
    clock_secs,
    code,
    cut,
    data,
    escape,
    listed,
    moment,
    plural,
    prose,
    several,
    utc,
)
from core.model import Event, Json, Run, State

Call = Callable[[Run, Event, Context], Message | None]


def _people(run: Run) -> str:
    """Those concerned, each once: the requester and who approved."""
    return " ".join(dict.fromkeys(mention(one) for one in (run.requester, *[given.person for given in run.approvals])))


def _call(run: Run, event: Event, text: str, *blocks: Json) -> Message:
    return message(text, blocks, run=run.id, event=event)


def _done(run: Run, event: Event, ctx: Context) -> Message:
    said = f"in {took(run, ctx)}: {became(run)}."
    alone = f"\n:rotating_light: {ctx.approvers_mention} {glass.ran(run)}." if run.without_second else ""
    head = f":white_check_mark: {_people(run)} *{run.id} is done and verified* {said}"
    them = "it" if len(undo(run)) == 1 else "them"
    after = f"Next: deploy code that does not need {them}." if run.kind == "rollback" else ""
    after = f"It ran {glass.words(run, rich=False)}. {after}".strip() if alone else after
    text = say(f"{noun(run)} is done and verified in {took(run, ctx)}: {became(run, rich=False)}.", "", after)
    small = context(
        f"Audit head `{event.digest[:16]}`",
        link(ctx.link, "Card with the ways back" if run.kind == "rollback" else "Card"),
    )
    then = f" {next_deploy(run)}" if run.kind == "rollback" else ""
    return _call(run, event, text, section(f"{head}{then}{alone}"), small)


def _differs(run: Run, event: Event, ctx: Context) -> Message:
    what = what_differs(run)
    head = f":rotating_light: {ctx.approvers_mention} {mention(run.requester)} *{run.id} needs a decision:*"
    before = f"{noun(run)} needs a decision: it took effect on {data(run.target, 60)}, but"
    text = say(before, f"{what}.", f"{cut(escape(ctx.approvers_text), 120)}: the buttons are on the card.")
    until = kept_until(run, ctx)
    ready = f"Saved rows and backup are ready, kept until {until}" if until else ""
    small = context(ready, audit(event), link(ctx.link, "Card with the buttons"))
    return _call(run, event, text, section(f"{head} it took effect, but {what}. The buttons are on the card."), small)


def _step_failed(run: Run, event: Event, ctx: Context) -> Message:
    step, hint = str(event.data.get("step", "")), str(event.data.get("hint", ""))
    told, at = str(event.data.get("message", "")), place(run, step)
    what = (
        f"*{run.id} {of_all(run, step).replace(' of ', '/')} {step_name(run, step)}* failed"
        if at
        else f"*{run.id} stopped*"
    )
    rich = f":x: {_people(run)} {what}\n{prose(told)}" + (f"\n*What to do*: {prose(hint)}" if hint else "")
    where = f" failed at step {of_all(run, step)}, {step_name(run, step).lower()}:" if at else " stopped:"
    true_small, true_text = _true_now(run, step)
    text = say(f"{run.id}{where}", bare(told), true_text)
    small = context(true_small, data(str(event.data.get("code", "")), 40), audit(event), clock_secs(event.at))
    return _call(run, event, text, section(rich), small)


def _true_now(run: Run, step: str) -> tuple[str, str]:
    """What is true of the target after a step has failed: small print and sentence."""
    if run.state is State.NEEDS_A_PERSON:
        return "Not known whether it took effect: see the card", "The card says what is known."
    if step == "verify" or "execute" in run.evidence:
        return f"It *took effect* on {target(run)}", f"It took effect on {data(run.target, 60)}."
    return unchanged(run, yet=False), untouched(run)


def _stopped(run: Run, event: Event, ctx: Context) -> Message | None:
    """Only what neither a failed step nor a person's own line has told already."""
    if event.data.get("by_person") or run.failed:
        return None
    return _step_failed(run, event, ctx)


def _restarted(run: Run, event: Event) -> tuple[str, str]:
    since = event.data.get("since")
    span = f"{clock_secs(moment(since))} to {clock_secs(event.at)}" if since else clock_secs(event.at)
    plain_at = f"{moment(since or event.at):%H:%M:%S} UTC"
    return f":electric_plug: *I was stopped during step {place(run)} of {run.id}* ({span}).", plain_at


def _which(versions: list[str]) -> str:
    """Versions by name where they are few and short, else their number."""
    return listed(versions) if sum(map(len, versions)) <= 400 else plural(len(versions), "migration")


def _interrupted(run: Run, event: Event, ctx: Context) -> Message:
    head, at = _restarted(run, event)
    versions = [code(str(one["version"])) for one in undo(run)]
    which = _which(versions)
    verb = "is" if len(versions) == 1 else "are"
    seen = {
        "rollback": f"{which} {verb} *still applied* and the marker of this run is absent",
        "reapply": "the marker of this run is absent",
        "restore": "the names are not swapped, everybody may connect, and the services run",
    }[run.kind]
    body = f"I asked the database, not my notes: {seen}. It *did not commit*; {target(run)} is unchanged."
    text = (
        f"I was stopped at {at} during step {place(run)} of {run.id}. I asked the database: it did not commit, "
        f"{data(run.target, 60)} is unchanged. Choose how to go on."
    )
    row = actions(f"{run.id}:{event.id}:resume", *buttons.interrupted(run))
    small = context(audit(event), link(ctx.link, "Card"))
    return _call(run, event, text, section(f"{head} {_people(run)}\n{body}"), row, small)


def _found_committed(run: Run, event: Event, ctx: Context) -> Message:
    head, at = _restarted(run, event)
    seen = "the names are swapped" if run.kind == "restore" else "the marker of this run is there"
    step = place(run, "verify")
    body = f"I asked the database: {seen}, so it *did commit*. I go on with step {step}, verify."
    text = f"I was stopped at {at} during step {step - 1} of {run.id}. I asked the database: it did commit. I go on with step {step}."
    small = context(audit(event), link(ctx.link, "Card"))
    return _call(run, event, text, section(f"{head} {_people(run)}\n{body} Nothing is run twice."), small)


def _unknown(run: Run, event: Event, ctx: Context) -> Message:
    if event.data.get("code") == "E-PARTLY":
        return half_done.call(run, event, ctx)
    who = f"{ctx.approvers_mention} {mention(run.requester)}"
    code_ = str(known(run).get("code", "E-UNKNOWN"))
    why = (
        "I do not know whether it took effect."
        if code_ == "E-UNKNOWN"
        else bare(str(event.data.get("message", "")), 300)
    )
    head = f":rotating_light: {who} *{run.id} needs a person: {why}*"
    row = actions(f"{run.id}:{event.id}:look", buttons.look(run))
    small = context(code_, audit(event), link(ctx.link, "Card"))
    return _call(run, event, unknown_text(run), section(head), section(unknown_words(run)), row, small)


def _reminded(run: Run, event: Event, ctx: Context) -> Message:
    missing, left = approvals_missing(run), int(event.data.get("minutes_left", 0))
    needs = f"still needs {missing}."
    until = f" Expires {clock(run.expires_at)}." if run.expires_at else ""
    at = f", at {utc(run.expires_at)}" if run.expires_at else ""
    next_group = f" {ctx.escalated}, you are asked now too:" if ctx.escalated and event.data.get("last") else ""
    rich = f":alarm_clock: {ctx.approvers_mention}{next_group} *{run.id} {needs}* {title(run)}.{until}"
    asked = [data(str(one), 80) for one in event.data.get("asked", [])]
    before = f"{noun(run)} on {data(run.target, 60)} {needs} It expires in {plural(left, 'minute')}{at}."
    text = say(before, "", f"{cut(escape(ctx.approvers_text), 120)}, please review.")
    told = f"Asked by direct message so far: {several(asked, 20)}" if asked else ""
    return _call(run, event, text, section(rich), context(told, link(ctx.link, "Card with the buttons"), audit(event)))


def _no_approvers(run: Run, event: Event, ctx: Context) -> Message:
    why = str(event.data.get("why", ""))
    rich = (
        f":rotating_light: {mention(run.requester)} *{run.id}: nobody who may approve is reachable* "
        f"({prose(why, 300)}). Nothing was changed. Ask an admin to name approvers for {target(run)}."
    )
    before = f"{noun(run)} on {data(run.target, 60)}: nobody who may approve is reachable now,"
    text = say(before, f"{bare(why)}.", "Nothing was changed. Ask an admin to name approvers.")
    return _call(run, event, text, section(rich), context("E-NO-APPROVERS", audit(event)))


def unwritten(run: Run) -> Message:
    """It took effect, and the audit trail cannot be written: the one message that no event tells."""
    on = data(run.target, 60)
    rich = (
        f":rotating_light: {_people(run)} *{run.id} took effect on {on}, but I cannot write it into my audit trail.* "
        "The card shows what was true before. I try again every few seconds, write it down as soon as there is room, and go on "
        "then with the verification. Nothing is run twice, and nothing else is started.\n"
        "*What to do*: free the disk that holds the audit trail. Do not run the scripts by hand."
    )
    text = (
        f"{run.id} took effect on {on}, but I cannot write it into my audit trail. Free the disk that holds it; I write it down "
        "as soon as there is room. Nothing is run twice."
    )
    return message(text, [section(rich), context("E-LEDGER")])


def _applied_again(run: Run, event: Event, ctx: Context) -> Message:
    versions = [code(str(one)) for one in event.data.get("versions", ())]
    which = _which(versions)
    verb = "is" if len(versions) == 1 else "are"
    body = f"{which} {verb} applied again on {target(run)}, and not by me: a deploy, or a person. {run.id} had undone {'it' if len(versions) == 1 else 'them'}."
    rich = f":warning: {mention(run.requester)} *{run.id}*: {body}"
    on = data(run.target, 60)
    text = f"{plural(len(versions), 'migration')} that {run.id} had undone {verb} applied again on {on}, and not by me."
    return _call(run, event, text, section(rich), context(audit(event), link(ctx.link, "Card")))


CALLS: Mapping[str, Call] = {
    "applied_again": _applied_again,
    "glass_broken": glass.broken,
    "countdown_over": glass.over,
    "done": _done,
    "differs": _differs,
    "step_failed": _step_failed,
    "stopped": _stopped,
    "interrupted": _interrupted,
    "found_committed": _found_committed,
    "unknown": _unknown,
    "reminded": _reminded,
    "no_approvers": _no_approvers,
}
