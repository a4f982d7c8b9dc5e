"""The card when a run has ended, or waits for a person to say how."""

from __future__ import annotations

from bot.messages import buttons
from bot.messages.blocks import (
    Context,
    Message,
    actions,
    audit,
    block_id,
    context,
    fields,
    mention,
    message,
    say,
    section,
    who,
)
from bot.messages.blocks import name as person_name
from bot.messages.facts import (
    again,
    are,
    backup_kept,
    gone,
    kept_until,
    migrations,
    names,
    target,
    title,
    took,
    unchanged,
    undo,
    untouched,
)
from bot.messages.steps import health, place, step_name, step_section
from bot.messages.text import bare, clock_secs, code, data, duration, listed, prose, short_hash, size, utc
from core.model import Json, Run


def done(run: Run, ctx: Context) -> Message:
    """The end of a good run, with the audit head and what remains: the backup."""
    kept = run.ending is not None and run.ending.kind == "kept"
    state = "done, kept as is, not verified" if kept else f"done in {took(run, ctx)}"
    mark = ":warning:" if kept else ":white_check_mark:"
    ends = "~Decide~ → Done" if kept else "~Executing~ → Done"
    blocks = [
        section(
            f"{mark} *Rollback {run.id} — {state}*\n"
            f"{gone(run)} {are(run)} no longer applied on {target(run)}  ·  {ends}"
        ),
        *(migrations(run) if len(names(run)) > 3 else []),
        fields(*_verified_facts(run, verified=not kept), ("Backup", _backup(run, ctx)), ("People", _people(run))),
        context(next_deploy(run), _head(run)),
        actions(block_id(run, "done"), buttons.timeline(run)),
    ]
    return message(_done_text(run, ctx, kept), blocks, run=run.id, event=run.last)


def _done_text(run: Run, ctx: Context, kept: bool) -> str:
    until = kept_until(run, ctx, rich=False)
    how = "kept as is, the verification differs" if kept else f"done in {took(run, ctx)}"
    backup = f" The backup is kept until {until}." if until else ""
    plain_gone = gone(run, rich=False)
    end = ("Not verified." if kept else "Verified.") + backup
    before = f"Rollback {run.id} is {how} on {data(run.target, 60)}: {plain_gone} {are(run)} no longer applied."
    return say(before, "", end)


def _head(run: Run) -> str:
    return f"Audit #{run.last.id}, head `{run.last.digest[:16]}`" if run.last else ""


def _verified_facts(run: Run, *, verified: bool) -> list[tuple[str, str]]:
    found = run.evidence.get("verify")
    if not found:
        return [("Verification", "not done")]
    newest = f"newest is {code(found['newest'])}" if found.get("newest") else "no migration is applied"
    schema = str(found.get("schema", "not compared"))
    fits, seen = schema == "as rehearsed", found.get("health")
    well = seen is not None and seen["ok"] == seen["tries"]
    return [
        ("History table", newest + (" :white_check_mark:" if verified else "")),
        ("Schema", f"{schema} {':white_check_mark:' if fits else ':x:'}"),
        ("Application", health(found) + ((" :white_check_mark:" if well else " :x:") if seen else "")),
    ]


def _backup(run: Run, ctx: Context) -> str:
    found = run.evidence.get("backup")
    if not found:
        return "none"
    until = kept_until(run, ctx)
    kept = f", kept until {until}" if until else ""
    tested = ", restored once in test" if "test restore" in run.evidence else ", never restored in test"
    of = f"{size(int(found['bytes']))} from {clock_secs(found['taken_at'])}"
    return f"{of}, sha256 {short_hash(str(found['sha256']))}{tested}{kept}"


def _people(run: Run) -> str:
    approved = listed([mention(one.person) for one in run.approvals])
    return f"{mention(run.requester)} asked" + (f", {approved} approved" if approved else ", no approval needed")


def next_deploy(run: Run) -> str:
    """The one thing that undoes a rollback by accident."""
    versions = [code(str(one["version"])) for one in undo(run)]
    which = listed(versions) if len(versions) <= 4 else "these migrations"
    them = "it" if len(versions) == 1 else "them"
    return f"Next: deploy code that does not need {which}, or the next deploy applies {them} again."


def decide(run: Run, ctx: Context) -> Message:
    """Committed, but not verified: what is true now, line by line, and what can be done."""
    at = run.evidence.get("execute", {}).get("committed_at")
    when = f" at {clock_secs(at)}" if at else ""
    blocks = [
        section(
            f":rotating_light: *Rollback {run.id} — done, but not verified: decide*\n"
            f"The rollback of {gone(run)} on {target(run)} *committed*{when}; the check after it differs"
            "  ·  ~Executing~ → Decide"
        ),
        section("\n".join(["*What is true now*", *true_now(run)])),
        section(f"*What remains*\n• backup {_backup(run, ctx)}\nNothing goes back by itself."),
        actions(block_id(run, "decide"), *buttons.decide(run)),
        context("A rollback often needs its old code: deploy it, then *Check again*.", audit(run.last)),
    ]
    before = f"Rollback {run.id} on {data(run.target, 60)} is committed but not verified:"
    text = say(before, f"{what_differs(run)}.", "Decide: check again, or keep as is.")
    return message(text, blocks, run=run.id, event=run.last)


def true_now(run: Run) -> list[str]:
    """History table, schema and application as the verification saw them."""
    facts = [f"• {head.lower()}: {body}" for head, body in _verified_facts(run, verified=True)]
    told = _differences(run)
    more = [f"• and {len(told) - 10} more differences"] if len(told) > 10 else []
    return [*facts, *[f"• {prose(one, 200)}" for one in told[:10]], *more]


def _differences(run: Run) -> list[str]:
    ending = run.ending.data.get("differences") if run.ending and run.ending.kind == "differs" else None
    return [str(one) for one in ending or run.evidence.get("verify", {}).get("differences", [])]


def what_differs(run: Run) -> str:
    """The first difference, for texts without markup."""
    told = _differences(run)
    seen = run.evidence.get("verify", {}).get("health")
    if not told and seen and seen["ok"] < seen["tries"]:
        return f"the health check answers {data(str(seen.get('status') or 'nothing'), 20)}"
    first = bare(told[0], 150) if told else "the check after it differs"
    return first + (f" and {len(told) - 1} more" if len(told) > 1 else "")


def known(run: Run) -> Json:
    """The four lists of an unknown outcome, from the event that found it so."""
    return run.ending.data if run.ending and run.ending.kind == "unknown" else {}


def needs_a_person(run: Run, ctx: Context) -> Message:
    """Outcome unknown: exactly what is known, and one button."""
    head = f":rotating_light: *Rollback {run.id} — needs a person: I do not know whether it took effect*"
    blocks = [
        section(f"{head}  ·  ~Executing~ → Unknown\n{title(run)}."),
        section(unknown_words(run)),
        section(step_section(run, ctx)),
        actions(block_id(run, "look"), buttons.look(run)),
        context("E-UNKNOWN", audit(run.last)),
    ]
    return message(unknown_text(run), blocks, run=run.id, event=run.last)


def unknown_text(run: Run) -> str:
    """For the top-level text."""
    return (
        f"Rollback {run.id} on {data(run.target, 60)} needs a person: I do not know whether it took effect. "
        "Do not start anything by hand."
    )


def unknown_words(run: Run) -> str:
    """What I know, what I do not know, what I do, what you do."""
    lists = known(run)
    heads = {"known": "What I know", "unknown": "What I do not know", "doing": "What I do", "you": "What you do"}
    fallback = {
        "known": [str(lists["message"])] if lists.get("message") else [],
        "unknown": ["whether it committed; only the database can tell"],
        "you": [f"bring the database of {run.target} back; change nothing by hand"],
    }
    lines = []
    for key, head in heads.items():
        told = lists.get(key) or fallback.get(key, [])
        lines += [f"*{head}*", *[f"• {prose(str(one), 200)}" for one in told[:8]]] if told else []
    return "\n".join(lines)


def stopped(run: Run, ctx: Context) -> Message:
    """Stopped by a proof, in step 5 (undone by the database), or by a person. Nothing was changed."""
    told = run.ending.data if run.ending else {}
    if told.get("by_person"):
        return _stopped_by_person(run, ctx)
    failed = run.failed or {"step": "", **told}
    step, message_text = str(failed.get("step", "")), str(failed.get("message") or "it could not go on")
    in_execute = step == "execute"
    what = (
        "execution was undone" if in_execute else f"{step_name(step).lower()} failed" if step else "it could not go on"
    )
    ends = "~Executing~ → Stopped" if in_execute else "~Waiting~ → Stopped"
    hint = str(failed.get("hint") or told.get("hint") or "")
    blocks = [
        section(f":x: *Rollback {run.id} — stopped, {what}*  ·  {ends}\n{title(run)}.\n{prose(message_text)}"),
        *([section(f"*What to do*\n• {prose(hint)}")] if hint else []),
        section(step_section(run, ctx)),
        context(unchanged(run, yet=False), backup_kept(run, ctx), str(failed.get("code", "")), audit(run.last)),
        actions(block_id(run, "again"), buttons.ask_again(run), buttons.timeline(run)),
    ]
    where = f" at step {place(step)} of 6, {step_name(step).lower()}" if place(step) else ""
    text = say(f"Rollback {run.id} is stopped{where}:", bare(message_text), untouched(run))
    return message(text, blocks, run=run.id, event=run.last)


def _stopped_by_person(run: Run, ctx: Context) -> Message:
    by = run.ending.actor if run.ending else None
    lines = f":octagonal_sign: *Rollback {run.id} — stopped*  ·  ~Open~ → Stopped\nby {who(by)}, before anything was changed"
    text = f"Rollback {run.id} was stopped by {person_name(by)}. {untouched(run)}"
    return _closed(run, ctx, lines, text, again_button=True)


def _closed(run: Run, ctx: Context, words: str, text: str, *, again_button: bool = False) -> Message:
    row = [*([buttons.ask_again(run)] if again_button else []), buttons.timeline(run)]
    blocks = [
        section(f"{words}\n{title(run)}."),
        context(unchanged(run, yet=False), backup_kept(run, ctx), again(run, ctx), audit(run.last)),
        actions(block_id(run, "again"), *row),
    ]
    kept = kept_until(run, ctx, rich=False)
    return message(
        say(text, "", f"The backup is kept until {kept}." if kept else ""), blocks, run=run.id, event=run.last
    )


def denied(run: Run, ctx: Context) -> Message:
    """Denied, with the reason for everyone."""
    by, reason = (run.ending.actor, str(run.ending.data.get("reason", ""))) if run.ending else (None, "")
    words = f":no_entry_sign: *Rollback {run.id} — denied*  ·  ~Waiting~ → Denied\n{who(by)}: {data(reason)}"
    before = f"Rollback {run.id} was denied by {person_name(by)}:"
    text = say(before, data(reason, 200), untouched(run))
    return _closed(run, ctx, words, text)


def expired(run: Run, ctx: Context) -> Message:
    """Nobody decided in time."""
    at = run.expires_at or (run.ending.at if run.ending else ctx.now)
    opened = run.opened_at or run.created_at
    waited = duration((at - opened).total_seconds())
    asked = f" Asked: {listed([data(one, 60) for one in ctx.asked])}." if ctx.asked else ""
    missing = "Nobody approved" if not run.approvals else "Not enough people approved"
    words = f":hourglass: *Rollback {run.id} — expired*  ·  ~Waiting~ → Expired\n{missing} within {waited}.{asked}"
    said = f"Rollback {run.id} expired at {utc(at)}: {missing.lower()} within {waited}."
    text = say(said, "", untouched(run))
    return _closed(run, ctx, words, text, again_button=True)


def withdrawn(run: Run, ctx: Context) -> Message:
    """Withdrawn by the requester."""
    by, reason = (run.ending.actor, str(run.ending.data.get("reason", ""))) if run.ending else (None, "")
    why = f": {data(reason)}" if reason else ""
    words = (
        f":leftwards_arrow_with_hook: *Rollback {run.id} — withdrawn*  ·  ~Waiting~ → Withdrawn\n"
        f"by {who(by)}{why}. The approvers were told."
    )
    text = f"Rollback {run.id} was withdrawn by {person_name(by)}. {untouched(run)}"
    return _closed(run, ctx, words, text)


def refused(run: Run, ctx: Context) -> Message:
    """A rule said no, after the card was there (a changed plan that is not allowed)."""
    told = run.ending.data if run.ending else {}
    words = f":no_entry_sign: *Rollback {run.id} — refused*\n{prose(str(told.get('message', 'A rule said no.')))}"
    words += f"\n{prose(str(told['hint']))}" if told.get("hint") else ""
    before = f"Rollback {run.id} was refused:"
    text = say(before, bare(str(told.get("message", ""))), untouched(run))
    return _closed(run, ctx, words, text)


def closed(run: Run, ctx: Context) -> Message:
    """Any other ending, by its name."""
    state = run.state.value.replace("_", " ")
    text = f"Rollback {run.id} on {data(run.target, 60)} is {state}."
    blocks = [section(f"*Rollback {run.id} — {state}*\n{title(run)}."), context(_head(run))]
    return message(text, [*blocks, actions(block_id(run, "end"), buttons.timeline(run))], run=run.id, event=run.last)
