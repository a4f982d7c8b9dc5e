"""Modals and the Home tab. Opened with ledger data only; the digest that was shown is the one approved."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta

from bot.messages import buttons, glass
from bot.messages.blocks import Context, context, link, mention, mrkdwn, plain, section
from bot.messages.facts import WORDS, inner, migrations, saved_words, target, title
from bot.messages.plan import loss_section, loss_words, sql_section, warnings
from bot.messages.refusals import refused
from bot.messages.said import STATES, state_words
from bot.messages.steps import done_words, place, step_name
from bot.messages.text import clock, cut, data, day, duration, listed, plural
from bot.messages.ways_back import forward_again, lost, price_section, two_ways
from core.confirming import confirm_word, data_goes
from core.glass import SHORTEST_REASON, SHORTEST_REVIEW, word
from core.model import STEPS, Json, Run

__all__ = [
    "break_glass_form", "home", "loading", "owed_form", "reapply_form", "reason", "refused", "restore_form", "review",
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
        section(_loss_first(run)),
        *([section("\n".join(notes))] if notes else []),
        section(f"{mention(run.requester)} asks: {inner(run)}{why}"),
        *migrations(run),
        *([section(loss_section(run))] if word and run.kind == "rollback" else []),
        *([section(price_section(run))] if run.kind != "rollback" else []),
        section(_proof_so_far(run)),
        *([section(sql_section(run))] if run.going else []),
        section(bound),
        *([_confirm_input(run, word)] if word else []),
        *([_code_input()] if coded else []),
        _input("note", "Note for the channel and the audit trail", optional=True),
    ]
    return _modal(
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
    return "\n".join([*lines, "You need not wait. Execution starts only when all of them pass."])


def _confirm_input(run: Run, word: str) -> Json:
    shown = data(word, 100)
    what = "target's name" if word == run.target else "migration number"
    made = _input("confirm", f"Type the {what} to confirm: {shown}", hint="Asked because data will be lost.")
    made["element"] = {
        "type": "plain_text_input",
        "action_id": "v",
        "max_length": max(64, min(len(word), 3000)),
        "placeholder": plain(shown, 150),
    }
    return made


def _code_input() -> Json:
    made = _input("code", "Code from your authenticator")
    # one more than six: authenticators show `123 456`
    made["element"] = {
        "type": "plain_text_input",
        "action_id": "v",
        "min_length": 6,
        "max_length": 7,
        "placeholder": plain("123456", 150),
    }
    return made


def _input(block: str, label: str, *, optional: bool = False, least: int = 0, hint: str = "") -> Json:
    element: Json = {"type": "plain_text_input", "action_id": "v", "max_length": 500, "multiline": True}
    if least:
        element["min_length"] = least
    made: Json = {"type": "input", "block_id": block, "label": plain(label, 200), "element": element}
    if optional:
        made["optional"] = True
    if hint:
        made["hint"] = plain(hint, 200)
    return made


def _modal(
    callback: str, private: Json, title_words: str, blocks: list[Json], *, submit: str, close: str, **more: bool
) -> Json:
    return {
        "type": "modal",
        "callback_id": callback,
        "private_metadata": json.dumps(private),
        "title": plain(title_words, 24),
        "submit": plain(submit, 24),
        "close": plain(close, 24),
        **more,
        "blocks": blocks,
    }


def reason(run: Run) -> Json:
    """Deny: one field, and everyone sees it."""
    ask = _input("reason", "Why? Everyone in the channel sees this.", least=3)
    private = {"run": run.id, "rev": run.revision}
    return _modal("rb.deny", private, f"Deny {run.id}?", [ask], submit="Deny", close="Back")


def break_glass_form(run: Run, countdown: timedelta, coded: bool = False) -> Json:
    """Start without a second person: what that means, what goes, why, and the migration, typed. `coded`: and a code."""
    span, typed = duration(countdown.total_seconds()), word(run)
    warning = (
        f":rotating_light: *{run.id} would run without a second person.* The channel and every approver are told now, "
        f"anyone can stop it for {span}, and an approver must review it within 24 h."
    )
    named = "target's name" if run.kind == "restore" else "migration"
    confirm = _input("confirm", f"Type the {named} to confirm: {data(typed, 100)}")
    confirm["element"] = {"type": "plain_text_input", "action_id": "v", "max_length": max(64, min(len(typed), 3000))}
    return _modal(
        "rb.breakglass",
        {"run": run.id, "rev": run.revision, "digest": run.digest},
        "Break the glass?",
        [
            section(warning),
            section(f"{_loss_first(run)}\n{title(run)}."),
            _input("reason", f"Why can it not wait? At least {SHORTEST_REASON} characters.", least=SHORTEST_REASON),
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
    ask = _input("text", "What did you find? Everyone in the channel sees this.", least=SHORTEST_REVIEW)
    private = {"run": run.id, "rev": run.revision}
    return _modal("rb.owed", private, f"Review {run.id}", [section(told), ask], submit="Close the review", close="Back")


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
    why = _input("reason", "Why? (the approver and the audit trail get this)", least=5)
    private = {"run": run.id, "rev": run.revision}
    return _modal(callback, private, title_words, [section(told), why], submit="Ask for approval", close="Back")


def loading(run: str = "") -> Json:
    """Opened at once when the answer needs longer than the trigger lives; replaced with `views.update`."""
    return {
        "type": "modal",
        "callback_id": "rb.loading",
        "private_metadata": json.dumps({"run": run}),
        "title": plain("One moment", 24),
        "close": plain("Close", 24),
        "blocks": [section(":hourglass_flowing_sand: Asking the database. This takes a few seconds.")],
    }


def home(
    waiting: Sequence[Run],
    running: Sequence[Run],
    last: Sequence[Run],
    ask: Sequence[str],
    approve: Sequence[str],
    links: Mapping[str, str] | None = None,
    owed: Sequence[Run] = (),
    own: frozenset[str] = frozenset(),
) -> Json:
    """The Home tab of one person: what waits for him, what runs, the last runs, his rights (names of targets).

    `owed`: runs whose review is owed; those of `own` (their ids) somebody else must close.
    """
    cards = links or {}
    reviews = [glass.owed_row(run, cards.get(run.id), run.id in own) for run in owed[:20]]
    may = f"You may *ask* on {_targets(ask)}, and *approve* on {_targets(approve)}."
    blocks: list[Json] = [
        {"type": "header", "text": plain("Rollback Bot", 150)},
        section(f"*Waiting for you ({len(waiting)})*" + ("" if waiting else "\nNothing waits for you.")),
        *[_waiting_row(run, cards.get(run.id), first=nth == 0) for nth, run in enumerate(waiting[:20])],
        *_more(len(waiting) - 20),
        *([section(f"*Owed reviews ({len(owed)})*"), *reviews, *_more(len(owed) - 20)] if owed else []),
        section(
            "\n".join(
                [f"*Running ({len(running)})*", *([_row(run, cards) for run in running[:10]] or ["Nothing runs."])]
            )
        ),
        *_more(len(running) - 10),
        section("\n".join(["*Last runs*", *([_last_row(run) for run in last[:10]] or ["None yet."])])),
        context(may, "Times are in your time zone"),
    ]
    return {"type": "home", "callback_id": "home", "blocks": blocks}


def _targets(names: Sequence[str]) -> str:
    return listed([data(one, 60) for one in names[:10]]) or "no target"


def _more(left: int) -> list[Json]:
    return [context(f"and {plural(left, 'more', 'more')}: `/rollback status` lists all")] if left > 0 else []


def _row(run: Run, cards: Mapping[str, str]) -> str:
    card = link(cards.get(run.id), "Card")
    return cut(f"{STATES[run.state][0]} {run.id} on {target(run)}: {state_words(run)}", 240) + (
        f". {card}" if card else ""
    )


def _waiting_row(run: Run, url: str | None, *, first: bool) -> Json:
    expires = f", expires {clock(run.expires_at)}" if run.expires_at else ""
    card = link(url, "Card")
    words = f":hourglass_flowing_sand: {run.id}: {title(run)}{expires}" + (f". {card}" if card else "")
    row: Json = {"type": "section", "text": mrkdwn(words)}
    return {**row, "accessory": buttons.review(run, primary=first)}


def _last_row(run: Run) -> str:
    mark, word = STATES[run.state]
    return f"{mark} {run.id} {title(run)}: {word}, {day(run.ended_at or run.created_at)}"
