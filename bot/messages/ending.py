"""The card when a run has ended, or waits for a person to say how."""

from __future__ import annotations

from bot.messages import buttons, glass, half_done
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
from bot.messages.evidence import health
from bot.messages.facts import (
    again,
    are,
    backup_kept,
    gone,
    kept_until,
    migrations,
    names,
    noun,
    saved_words,
    target,
    title,
    took,
    unchanged,
    undo,
    untouched,
)
from bot.messages.newer import steps_block
from bot.messages.steps import of_all, place, step_name
from bot.messages.text import bare, clock_secs, code, data, duration, listed, prose, several, short_hash, size, utc
from bot.messages.ways_back import came_back
from core.model import Run, State


def done(run: Run, ctx: Context) -> Message:
    """The end of a good run, with the audit head and what remains: saved rows, backup, and the ways back."""
    if "execute" not in run.evidence:
        return half_done.kept(run, ctx)
    kept = run.ending is not None and run.ending.kind == "kept"
    state = "done, kept as is, not verified" if kept else f"done in {took(run, ctx)}"
    mark = ":warning:" if kept else ":white_check_mark:"
    ends = "~Decide~ → Done" if kept else "~Executing~ → Done"
    held = [*([buttons.release(run)] if hold_words(run) else []), *glass.owes(run)]
    state += f", {glass.words(run, rich=False)}" if run.without_second else ""
    blocks = [
        section(f"{mark} *{noun(run)} — {state}*\n{became(run)}  ·  {ends}"),
        *(migrations(run) if len(names(run)) > 3 else []),
        fields(*verified_facts(run, verified=not kept), *_remains(run, ctx), ("People", _people(run))),
        context(next_deploy(run) if run.kind == "rollback" else "", hold_words(run), _head(run)),
        actions(block_id(run, "done"), buttons.timeline(run), buttons.report(run), *buttons.ways_back(run), *held),
    ]
    return message(_done_text(run, ctx, kept), blocks, run=run.id, event=run.last)


def became(run: Run, *, rich: bool = True) -> str:
    """What is true of the target after a run that has taken effect."""
    on = target(run) if rich else data(run.target, 60)
    if run.kind == "restore":
        return f"{on} is the backup of {run.request.origin} again"
    again = "no longer applied" if run.kind == "rollback" else "applied again"
    back = f"; {came_back(run)}" if run.kind == "reapply" else ""
    return f"{gone(run, rich=rich)} {are(run)} {again} on {on}{back}"


def _remains(run: Run, ctx: Context) -> list[tuple[str, str]]:
    """What is kept, and until when."""
    if run.kind == "restore":
        names = run.evidence["identify"]
        return [("Kept", f"{code(names['kept'])}, until `rollback restore {run.id} --drop-old`")]
    saved = run.evidence.get("execute", {}).get("saved")
    until = kept_until(run, ctx)
    parts = []
    if saved and run.kind == "rollback":
        held = saved_words(saved) or "nothing had to be saved"
        parts.append(("Saved", held + (f", kept until {until}" if until and saved_words(saved) else "")))
    return [*parts, *([("Backup", backup_words(run, ctx))] if run.kind == "rollback" else [])]


def hold_words(run: Run) -> str:
    """Whether the history table refuses what was undone."""
    refuses = run.kind == "rollback" and run.evidence.get("execute", {}).get("hold") == "refuse" and not run.released
    return f"Held: the history table refuses them until `/rollback release {run.id}` or a re-apply" if refuses else ""


def _done_text(run: Run, ctx: Context, kept: bool) -> str:
    until = kept_until(run, ctx, rich=False)
    how = "kept as is, the verification differs" if kept else f"done in {took(run, ctx)}"
    backup = f" Saved rows and backup are kept until {until}." if until else ""
    alone = f" It ran {glass.words(run, rich=False)}." if run.without_second else ""
    end = ("Not verified." if kept else "Verified.") + alone + backup
    before = f"{noun(run)} is {how}: {became(run, rich=False)}."
    return say(before, "", end)


def undone(run: Run, ctx: Context) -> Message:
    """A rollback that a way back has ended."""
    way = "re-applied" if run.state is State.REAPPLIED else "backup restored"
    ends = "Re-applied" if run.state is State.REAPPLIED else "Restored"
    by = run.way_back or "another run"
    blocks = [
        section(f":white_check_mark: *Rollback {run.id} — {way} by {by}*  ·  ~Done~ → {ends}\n{title(run)}."),
        context(f"Asked by {who(run.ending.actor if run.ending else None)}", glass.ran(run), _head(run)),
        actions(
            block_id(run, "end"), buttons.timeline(run), buttons.report(run), *buttons.ways_back(run), *glass.owes(run)
        ),
    ]
    said = f"Rollback {run.id} on {data(run.target, 60)} was undone by {by}: {way}."
    return message(said, blocks, run=run.id, event=run.last)


def _head(run: Run) -> str:
    return f"Audit #{run.last.id}, head `{run.last.digest[:16]}`" if run.last else ""


def verified_facts(run: Run, *, verified: bool) -> list[tuple[str, str]]:
    found = run.evidence.get("verify")
    if not found:
        return [("Verification", "not done")]
    newest = f"newest is {code(found['newest'])}" if found.get("newest") else "no migration is applied"
    schema = str(found.get("schema", "not compared"))
    fits, seen = schema in ("as rehearsed", "as in the backup"), found.get("health")
    well = seen is not None and seen["ok"] == seen["tries"]
    return [
        ("History table", newest + (" :white_check_mark:" if verified else "")),
        ("Schema", f"{schema} {':white_check_mark:' if fits else ':x:'}"),
        ("Application", health(found) + ((" :white_check_mark:" if well else " :x:") if seen else "")),
    ]


def backup_words(run: Run, ctx: Context) -> str:
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
    if run.without_second:
        given = f", {approved} approved" if approved else ""
        return f"{mention(run.requester)} asked{given}; {glass.words(run)}"
    return f"{mention(run.requester)} asked" + (f", {approved} approved" if approved else ", no approval needed")


def next_deploy(run: Run) -> str:
    """The one thing that undoes a rollback by accident."""
    versions = [code(str(one["version"])) for one in undo(run)]
    which = listed(versions) if len(versions) <= 4 else "these migrations"
    them = "it" if len(versions) == 1 else "them"
    return f"Next: deploy code that does not need {which}, or the next deploy applies {them} again."


def stopped(run: Run, ctx: Context) -> Message:
    """Stopped by a proof, in step 5 (undone by the database), or by a person. Nothing was changed."""
    told = run.ending.data if run.ending else {}
    if told.get("by_person"):
        return _stopped_by_person(run, ctx)
    failed = run.failed or {"step": "", **told}
    step, message_text = str(failed.get("step", "")), str(failed.get("message") or "it could not go on")
    in_execute = step == "execute"
    what = (
        "execution was undone"
        if in_execute
        else f"{step_name(run, step).lower()} failed"
        if step
        else "it could not go on"
    )
    ends = "~Executing~ → Stopped" if in_execute else "~Waiting~ → Stopped"
    hint = str(failed.get("hint") or told.get("hint") or "")
    blocks = [
        section(f":x: *{noun(run)} — stopped, {what}*  ·  {ends}\n{title(run)}.\n{prose(message_text)}"),
        *([section(f"*What to do*\n• {prose(hint)}")] if hint else []),
        steps_block(run, ctx),
        context(unchanged(run, yet=False), backup_kept(run, ctx), str(failed.get("code", "")), audit(run.last)),
        actions(block_id(run, "again"), buttons.ask_again(run), buttons.timeline(run), buttons.report(run)),
    ]
    where = f" at step {of_all(run, step)}, {step_name(run, step).lower()}" if place(run, step) else ""
    text = say(f"{noun(run)} is stopped{where}:", bare(message_text), untouched(run))
    return message(text, blocks, run=run.id, event=run.last)


def _stopped_by_person(run: Run, ctx: Context) -> Message:
    by = run.ending.actor if run.ending else None
    lines = f":octagonal_sign: *{noun(run)} — stopped*  ·  ~Open~ → Stopped\nby {who(by)}, before anything was changed"
    text = f"{noun(run)} was stopped by {person_name(by)}. {untouched(run)}"
    return _closed(run, ctx, lines, text, again_button=True)


def _closed(run: Run, ctx: Context, words: str, text: str, *, again_button: bool = False) -> Message:
    row = [*([buttons.ask_again(run)] if again_button else []), buttons.timeline(run), buttons.report(run)]
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
    words = f":no_entry_sign: *{noun(run)} — denied*  ·  ~Waiting~ → Denied\n{who(by)}: {data(reason)}"
    before = f"{noun(run)} was denied by {person_name(by)}:"
    text = say(before, data(reason, 200), untouched(run))
    return _closed(run, ctx, words, text)


def expired(run: Run, ctx: Context) -> Message:
    """Nobody decided in time."""
    at = run.expires_at or (run.ending.at if run.ending else ctx.now)
    opened = run.opened_at or run.created_at
    waited = duration((at - opened).total_seconds())
    asked = f" Asked: {several([data(one, 60) for one in ctx.asked], 10)}." if ctx.asked else ""
    missing = "Nobody approved" if not run.approvals else "Not enough people approved"
    words = f":hourglass: *{noun(run)} — expired*  ·  ~Waiting~ → Expired\n{missing} within {waited}.{asked}"
    said = f"{noun(run)} expired at {utc(at)}: {missing.lower()} within {waited}."
    text = say(said, "", untouched(run))
    return _closed(run, ctx, words, text, again_button=True)


def withdrawn(run: Run, ctx: Context) -> Message:
    """Withdrawn by the requester."""
    by, reason = (run.ending.actor, str(run.ending.data.get("reason", ""))) if run.ending else (None, "")
    why = f": {data(reason)}" if reason else ""
    words = (
        f":leftwards_arrow_with_hook: *{noun(run)} — withdrawn*  ·  ~Waiting~ → Withdrawn\n"
        f"by {who(by)}{why}. The approvers were told."
    )
    text = f"{noun(run)} was withdrawn by {person_name(by)}. {untouched(run)}"
    return _closed(run, ctx, words, text)


def refused(run: Run, ctx: Context) -> Message:
    """A rule said no, after the card was there (a changed plan that is not allowed)."""
    told = run.ending.data if run.ending else {}
    words = f":no_entry_sign: *{noun(run)} — refused*\n{prose(str(told.get('message', 'A rule said no.')))}"
    words += f"\n{prose(str(told['hint']))}" if told.get("hint") else ""
    before = f"{noun(run)} was refused:"
    text = say(before, bare(str(told.get("message", ""))), untouched(run))
    return _closed(run, ctx, words, text)


def closed(run: Run, ctx: Context) -> Message:
    """Any other ending, by its name."""
    state = run.state.value.replace("_", " ")
    text = f"{noun(run)} on {data(run.target, 60)} is {state}."
    blocks = [section(f"*{noun(run)} — {state}*\n{title(run)}."), context(_head(run))]
    return message(
        text,
        [*blocks, actions(block_id(run, "end"), buttons.timeline(run), buttons.report(run))],
        run=run.id,
        event=run.last,
    )
