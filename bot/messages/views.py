"""Modals. Opened with ledger data only; the digest that was shown is the one approved."""

from __future__ import annotations

from datetime import timedelta

from bot.messages import glass
from bot.messages.blocks import Context, in_batches, mention, plain, section
from bot.messages.facts import WORDS, inner, migrations, saved_words, target, title
from bot.messages.forms import field, modal
from bot.messages.newer import alert
from bot.messages.plan import loss_section, loss_words, sql_section, warnings
from bot.messages.refusals import refused
from bot.messages.steps import done_words, place, proven, step_name
from bot.messages.text import data, duration
from bot.messages.ways_back import forward_again, lost, price_section, two_ways
from core.confirming import confirm_word, data_goes
from core.glass import SHORTEST_REASON, SHORTEST_REVIEW, word
from core.model import STEPS, Json, Run

__all__ = [
    "break_glass_form", "loading", "owed_form", "reapply_form", "reason", "refused", "restore_form", "review",
]  # fmt: skip


def review(run: Run, ctx: Context, coded: bool = False) -> Json:
    """Review and approve: the loss first, then who and why, the order, the proofs, the SQL, what it is bound to.

    `coded`: a code of the approver's authenticator is asked for.
    """
    notes = warnings(run)
    why = f"\n>{data(run.reason)}" if run.reason else "\nreason: none given"
    bound = (
        f"*You approve* exactly plan `{run.digest[:12]}`, revision {run.revision}. If the scripts, the database or the "
        "applied migrations change before it runs, your approval is cancelled and you are asked again."
    )
    word = confirm_word(run)
    blocks = [
        alert(_loss_first(run), ctx),
        *in_batches(notes),
        section(f"{mention(run.requester)} asks: {inner(run)}{why}"),
        *migrations(run),
        *([section(loss_section(run))] if word and run.kind == "rollback" else []),
        *([section(price_section(run))] if run.kind != "rollback" else []),
        section(_proof_so_far(run)),
        *([section(sql_section(run))] if run.going else []),
        section(bound),
        *([_confirm_input(run, word)] if word else []),
        *([_code_input()] if coded else []),
        field("note", "Note for the channel and the audit trail", optional=True),
    ]
    return modal(
        "rb.review",
        {"run": run.id, "rev": run.revision, "digest": run.digest},
        f"Approve {run.id}?",
        blocks,
        submit=f"Approve {WORDS[run.kind].lower()}",
        close="Not now",
        notify_on_close=True,
    )


def _loss_first(run: Run) -> str:
    at = f"Point of no return: step {place(run)}."
    if run.kind == "restore":
        return f":warning: *This loses {lost(run, rich=False)} on {data(run.target, 60)}*, written since the backup. *Re-apply* would keep them. {at}"
    if run.kind == "reapply":
        return f"*Keeps every write* on {target(run)} made since. {at}"
    if not data_goes(run):
        return f"*No rows go* on {target(run)}, as far as the rehearsal shows. {at}"
    return f":warning: *This deletes {loss_words(run)} on {data(run.target, 60)}.* {at}"


def _proof_so_far(run: Run) -> str:
    lines = ["*Proof so far*"]
    for step in STEPS[run.kind][1 : place(run) - 1]:
        if step in run.evidence:
            lines.append(f":white_check_mark: {step_name(run, step)}: {done_words(run, step)}")
        else:
            running = run.running == step
            mark = ":arrows_counterclockwise:" if running else ":white_circle:"
            lines.append(f"{mark} {step_name(run, step)}: {'running' if running else 'not yet'}")
    if not proven(run):
        lines.append("You need not wait. Execution starts only when all of them pass.")
    return "\n".join(lines)


def _confirm_input(run: Run, word: str) -> Json:
    shown = data(word, 100)
    what = "target's name" if word == run.target else "migration number"
    made = field("confirm", f"Type the {what} to confirm: {shown}", hint="Asked because data will be lost.")
    made["element"] = {
        "type": "plain_text_input",
        "action_id": "v",
        "max_length": max(64, min(len(word), 3000)),
        "placeholder": plain(shown, 150),
    }
    return made


def _code_input() -> Json:
    made = field("code", "Code from your authenticator")
    # one more than six: authenticators show `123 456`
    made["element"] = {
        "type": "plain_text_input",
        "action_id": "v",
        "min_length": 6,
        "max_length": 7,
        "placeholder": plain("123456", 150),
    }
    return made


def reason(run: Run) -> Json:
    """Deny: one field, and everyone sees it."""
    ask = field("reason", "Why? Everyone in the channel sees this.", least=3)
    private = {"run": run.id, "rev": run.revision}
    return modal("rb.deny", private, f"Deny {run.id}?", [ask], submit="Deny", close="Back")


def break_glass_form(run: Run, countdown: timedelta, coded: bool = False) -> Json:
    """Start without a second person: what that means, what goes, why, and the migration, typed. `coded`: and a code."""
    span, typed = duration(countdown.total_seconds()), word(run)
    warning = (
        f":rotating_light: *{run.id} would run without a second person.* The channel and every approver are told now, "
        f"anyone can stop it for {span}, and an approver must review it within 24 h."
    )
    named = "target's name" if run.kind == "restore" else "migration"
    confirm = field("confirm", f"Type the {named} to confirm: {data(typed, 100)}")
    confirm["element"] = {"type": "plain_text_input", "action_id": "v", "max_length": max(64, min(len(typed), 3000))}
    return modal(
        "rb.breakglass",
        {"run": run.id, "rev": run.revision, "digest": run.digest},
        "Break the glass?",
        [
            section(warning),
            section(f"{_loss_first(run)}\n{title(run)}."),
            field("reason", f"Why can it not wait? At least {SHORTEST_REASON} characters.", least=SHORTEST_REASON),
            confirm,
            *([_code_input()] if coded else []),
        ],
        submit=f"Start in {span}",
        close="Back",
    )


def owed_form(run: Run) -> Json:
    """Close the review of a run that nobody else had agreed to."""
    why = f"\n>{data(run.broken.reason)}" if run.broken else ""
    told = f"*{run.id}*, asked by {mention(run.requester)}, ran {glass.words(run)}: {inner(run)}{why}"
    ask = field("text", "What did you find? Everyone in the channel sees this.", least=SHORTEST_REVIEW)
    private = {"run": run.id, "rev": run.revision}
    return modal("rb.owed", private, f"Review {run.id}", [section(told), ask], submit="Close the review", close="Back")


def reapply_form(run: Run) -> Json:
    """Ask for the first way back: its price in one sentence, and why."""
    saved = saved_words(run.evidence["execute"]["saved"]) or "no rows"
    told = f"*Re-apply* runs {forward_again(run)} forward on {target(run)} and puts {saved} back, in one transaction."
    keeps = (
        "It *keeps every write made since*. A second person must approve; what would happen is tried on a copy first."
    )
    return _way_form("rb.reapply", run, f"Re-apply {run.id}?", f"{told}\n{keeps}")


def restore_form(run: Run) -> Json:
    """Ask for the second way back."""
    told = f":warning: *This loses what was written* on {target(run)} since the backup. *Re-apply* keeps it: choose that if you can."
    then = f"{two_ways(run)}\nA second person must approve."
    return _way_form("rb.restore", run, "Restore full backup?", f"{told}\n{then}")


def _way_form(callback: str, run: Run, title_words: str, told: str) -> Json:
    why = field("reason", "Why? (the approver and the audit trail get this)", least=5)
    private = {"run": run.id, "rev": run.revision}
    return modal(callback, private, title_words, [section(told), why], submit="Ask for approval", close="Back")


def loading(run: str = "", doing: str = "Asking the database.") -> Json:
    """Opened at once when the answer needs longer than the trigger lives; replaced with `views.update`."""
    told = f":hourglass_flowing_sand: {doing} This takes a few seconds."
    return modal("rb.loading", {"run": run}, "One moment", [section(told)], close="Close")
