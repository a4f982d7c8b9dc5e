"""The card: one message per run, edited in place, that says what is true now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from bot.messages import buttons, ending, glass, open_end
from bot.messages.blocks import (
    Context,
    Message,
    actions,
    audit,
    block_id,
    context,
    fields,
    in_batches,
    is_slack,
    link,
    mention,
    message,
    name,
    say,
    section,
)
from bot.messages.facts import (
    applied,
    approvals_missing,
    commit_of,
    inner,
    migrations,
    noun,
    staged,
    target,
    title,
    unchanged,
    untouched,
)
from bot.messages.newer import steps_block
from bot.messages.plan import deletes, differs_words, loss_section, sql_section, warnings
from bot.messages.steps import how, of_all, place, proven, step_name, under_way
from bot.messages.text import bare, clock, clock_secs, code, data, listed, moment, prose, several, utc
from bot.messages.ways_back import price, price_section
from core.model import Event, Json, Run, State

ALONE = "without a second person"
_ARROWS = ":arrows_counterclockwise:"


def card(run: Run, ctx: Context) -> Message:
    """The card of a run in any state, for `chat.postMessage` and `chat.update` alike."""
    return _CARDS.get(run.state, ending.closed)(run, ctx)


def planning(run: Run) -> Message:
    """The answer to the request, at once; the card follows."""
    then = "I only look and rehearse on an empty copy; nothing is started, the card follows here."
    rich = f":mag: Making the plan *{run.id}*: {inner(run)}. {then}"
    return message(say(f"Making the plan {run.id}: {inner(run, rich=False)}.", "", then), [section(rich)])


def _replanning(run: Run, ctx: Context) -> Message:
    head = f":warning: *{noun(run)} — plan changed, making it again*\n{title(run)}."
    blocks = [section(f"{head}\nEarlier approvals no longer count. {unchanged(run, yet=True)}.")]
    blocks += [section(_what_changed(run, ctx))] if _changes(run, ctx) else []
    blocks += [steps_block(run, ctx), context(audit(run.last))]
    said = f"{noun(run)} on {data(run.target, 60)}: the plan changed and is made again."
    text = say(said, "", f"Earlier approvals no longer count. {untouched(run)}")
    return message(text, blocks, run=run.id, event=run.last)


def _changes(run: Run, ctx: Context) -> list[str]:
    told = run.ending.data.get("what", []) if run.ending and run.ending.kind == "plan_changed" else []
    return [str(one) for one in ctx.changed or run.changed or told]


def _what_changed(run: Run, ctx: Context) -> str:
    lines = [f"• {prose(one, 300)}" for one in _changes(run, ctx)]
    left = [f"• and {len(lines) - 8} more"] if len(lines) > 8 else []
    return "\n".join(["*What changed*", *lines[:8], *left])


def _notes(run: Run, ctx: Context) -> list[Json]:
    """What must be seen before all else, never cut: what changed, and the warnings."""
    changed = []
    if run.revision > 1:
        changed = [
            f":warning: *Plan changed: this is revision {run.revision}.* Approvals of earlier ones do not count."
        ]
        changed += _what_changed(run, ctx).split("\n") if _changes(run, ctx) else ["The thread says what changed."]
    lines = [*changed, *warnings(run)]
    return in_batches(lines)


def _waiting_title(run: Run, ctx: Context) -> str:
    missing = approvals_missing(run)
    state = f"proven, waiting for {missing}" if proven(run) else f"waiting for {missing}"
    if warnings(run):
        state += ", with a warning"
    who = f"Approvers: {ctx.approvers_mention}, not the requester."
    if run.approvals:
        who = f"Approved by {_approved_by(run)}. {who}"
    if run.ending and run.ending.kind == "unapproved":
        why = prose(str(run.ending.data.get("why") or "taken back"), 200)
        what = "The break-glass" if "broken" in run.ending.data else "An approval"
        who += f"\n:leftwards_arrow_with_hook: {what} no longer counts: {why}  ·  ~Approved~ → Waiting"
    if ctx.reading:
        verb = "is" if len(ctx.reading) == 1 else "are"
        who += f"\n:eyes: {several([data(one, 60) for one in ctx.reading], 5)} {verb} reading the plan."
    mark = ":hourglass_flowing_sand:"
    if run.broken:
        mark, state = ":rotating_light:", f"BREAK-GLASS, starts at {clock_secs(run.broken.starts_at)} {ALONE}"
        who = f"{mention(run.broken.person)} broke the glass: {data(run.broken.reason, 300)}\nAnyone here can stop it. {who}"
    return f"{mark} *{noun(run)} — {state}*\n{title(run)}.\n{who}"


def _approved_by(run: Run) -> str:
    return listed([f"{mention(one.person)} {clock(one.at)}" for one in run.approvals])


def incident(run: Run) -> str:
    """The incident, as a link where it is an address."""
    last_part = data(run.incident.rstrip("/").rsplit("/", 1)[-1], 60)
    try:
        host = data(urlsplit(run.incident).hostname or "", 60)
    except ValueError:
        host = ""
    # with its host: whoever asks chooses the address, and a bare last part could pose as one of ours
    return (link(run.incident, f"{host}: {last_part}") if host else "") or data(run.incident, 200)


def _facts(run: Run, ctx: Context) -> Json:
    database = run.evidence.get("identify", {}).get("database", {})
    where = f"{code(str(database.get('name', '')))} at {code(str(database.get('host', '')))}"
    pairs = [
        ("Requested by", mention(run.requester)),
        ("Reason", data(run.reason, 500) or "none given"),
        *([("Applied", applied(run, ctx))] if run.kind == "rollback" else []),
    ]
    pairs += [("Approval expires", clock(run.expires_at))] if run.expires_at else []
    pairs += (
        [("Way back from", link(ctx.origin, run.request.origin or "") or data(run.request.origin or "", 20))]
        if run.request.origin
        else []
    )
    pairs += [("Incident", incident(run))] if run.incident else []
    pairs += [there] if (there := staged(run, ctx.now)) else []
    pairs += [("Scripts from", f"commit {code(commit[:12])}")] if (commit := commit_of(run)) else []
    pairs += [("Database", f"{where}, PostgreSQL {data(str(database.get('server_version', '')), 20)}")]
    ask_why = not run.reason and is_slack(run.requester)
    return {**fields(*pairs), **({"accessory": buttons.reason(run)} if ask_why else {})}


def _waiting(run: Run, ctx: Context) -> Message:
    blocks = [
        section(_waiting_title(run, ctx)),
        *_notes(run, ctx),
        _facts(run, ctx),
        *migrations(run),
        section(loss_section(run) if run.kind == "rollback" else price_section(run)),
        steps_block(run, ctx),
        *([section(sql_section(run))] if run.going else []),
        context(
            unchanged(run, yet=True), f"Plan `{run.digest[:12]}` revision {run.revision}", ctx.drill, audit(run.last)
        ),
        actions(block_id(run, "gate"), *buttons.gate(run, ctx.may_break)),
    ]
    return message(_waiting_text(run), blocks, run=run.id, event=run.last)


def _waiting_text(run: Run) -> str:
    on = f"{noun(run)} on {data(run.target, 60)}"
    missing = approvals_missing(run)
    needs = f"{on} is proven and needs {missing}:" if proven(run) else f"{on} needs {missing}:"
    if run.revision > 1:
        needs = f"{on}: the plan changed. Revision {run.revision} needs {missing}:"
    if run.broken:
        needs = f"{on}: BREAK-GLASS by {name(run.broken.person)}, starts at {moment(run.broken.starts_at):%H:%M:%S} UTC {ALONE}:"
    expires = f" Expires {utc(run.expires_at)}." if run.expires_at else ""
    asked = f"{name(run.requester)}: {data(run.reason, 200)}." if run.reason else f"{name(run.requester)} asks."
    what = deletes(run) if run.kind == "rollback" else price(run)
    must = f"{needs} {inner(run, rich=False, where=False)}. {what} {differs_words(run)}".rstrip()
    return say(must, asked, f"{expires} Open it to review.".strip())


def _approved(run: Run, ctx: Context) -> Message:
    starts = "starts now" if proven(run) else "starts when the proofs are complete"
    state = f"approved, {starts}" if run.needed else f"no approval needed: throw-away target, {starts}"
    state = f"BREAK-GLASS, {ALONE}, {starts}" if run.without_second else state
    ends = "  ·  ~Waiting~ → Approved" if run.needed else ""
    blocks = [
        section(f"{_ARROWS} *{noun(run)} — {state}*\n{title(run)}{ends}"),
        *_notes(run, ctx),
        steps_block(run, ctx),
        context(*_people(run), unchanged(run, yet=True), _updated(run.last), audit(run.last)),
        actions(block_id(run, "run"), *buttons.approved(run)),
    ]
    by = listed([name(one.person) for one in run.approvals])
    given = f"is approved by {by}" if by else "needs no approval (throw-away target)"
    given = f"goes {glass.words(run, rich=False)}" if run.without_second else given
    now = "" if proven(run) else f" (now: {step_name(run, under_way(run)).lower()})"
    text = f"{noun(run)} on {data(run.target, 60)} {given} and {starts}{now}. {untouched(run)[:-1]} yet."
    return message(text, blocks, run=run.id, event=run.last)


def _people(run: Run) -> list[str]:
    approved = [f"Approved by {_approved_by(run)}"] if run.approvals else []
    return [
        f"Asked by {mention(run.requester)}",
        *approved,
        *([f"Goes {glass.words(run)}"] if run.without_second else []),
    ]


def _updated(event: Event | None) -> str:
    return f"Updated {clock_secs(event.at)}" if event else ""


def _moving(run: Run, ctx: Context, state: str, ends: str, small: str, text: str) -> Message:
    """The card from the point of no return on: nothing can be stopped any more."""
    blocks = [
        section(f"{_ARROWS} *{noun(run)} — {state}*\n{title(run)}  ·  {ends}"),
        steps_block(run, ctx),
        context(*_people(run), small, _updated(run.last), audit(run.last)),
    ]
    row = buttons.plan_of(run)  # a restore runs no scripts, and Slack takes no row without a button
    if row:
        blocks.append(actions(block_id(run, "run"), *row))
    return message(text, blocks, run=run.id, event=run.last)


def _executing(run: Run, ctx: Context) -> Message:
    step = of_all(run, "execute")
    text = f"{noun(run)} on {data(run.target, 60)} is executing now, step {step}: {bare(how(run))}."
    return _moving(
        run, ctx, f"executing now, step {step}", "~Approved~ → Executing", "Cannot be stopped from here", text
    )


def _verifying(run: Run, ctx: Context) -> Message:
    at = run.evidence.get("execute", {}).get("committed_at")
    rich = f"*Committed* at {clock_secs(at)}" if at else "*Committed*"
    plain_at = f" at {utc(at)}" if at else ""
    step = of_all(run, "verify")
    done = "swapped" if run.kind == "restore" else "committed"
    rich = rich.replace("Committed", done.capitalize())
    text = f"{noun(run)} on {data(run.target, 60)} {done}{plain_at}; step {step}, verify, is running."
    return _moving(run, ctx, f"{done}, verifying, step {step}", "~Executing~ → Verifying", rich, text)


def _interrupted(run: Run, ctx: Context) -> Message:
    said = f"I was stopped during step {place(run)}. I asked the database: it did *not commit*"
    blocks = [
        section(
            f":electric_plug: *{noun(run)} — interrupted, not committed*  ·  ~Executing~ → Interrupted\n"
            f"{title(run)}.\n{said}; {target(run)} is unchanged."
        ),
        steps_block(run, ctx),
        context(*_people(run), unchanged(run, yet=True), audit(run.last)),
        actions(block_id(run, "resume"), *buttons.interrupted(run), *buttons.plan_of(run)),
    ]
    on = data(run.target, 60)
    what = f"{noun(run)} on {on} was interrupted in step {place(run)} and did not commit; {on} is unchanged."
    text = say(what, "", "Choose how to go on.")
    return message(text, blocks, run=run.id, event=run.last)


_CARDS: Mapping[State, Callable[[Run, Context], Message]] = {
    State.PLANNING: _replanning,
    State.WAITING: _waiting,
    State.APPROVED: _approved,
    State.EXECUTING: _executing,
    State.INTERRUPTED: _interrupted,
    State.VERIFYING: _verifying,
    State.DECIDE: open_end.decide,
    State.NEEDS_A_PERSON: open_end.needs_a_person,
    State.DONE: ending.done,
    State.STOPPED: ending.stopped,
    State.DENIED: ending.denied,
    State.EXPIRED: ending.expired,
    State.WITHDRAWN: ending.withdrawn,
    State.REFUSED: ending.refused,
    State.REAPPLIED: ending.undone,
    State.RESTORED: ending.undone,
}
