"""The card when something took effect, or may have, and a person must say how it goes on."""

from __future__ import annotations

from bot.messages import buttons, half_done
from bot.messages.blocks import (
    Context,
    Message,
    actions,
    at_most,
    audit,
    block_id,
    context,
    message,
    say,
    section,
)
from bot.messages.ending import backup_words, became, verified_facts
from bot.messages.facts import (
    in_shell,
    noun,
    title,
)
from bot.messages.newer import steps_block
from bot.messages.text import bare, clock_secs, data, prose
from bot.messages.ways_back import two_ways
from core.model import Json, Run


def decide(run: Run, ctx: Context) -> Message:
    """Committed, but not verified: what is true now, line by line, and what can be done."""
    at = run.evidence.get("execute", {}).get("committed_at")
    when = f" at {clock_secs(at)}" if at else ""
    blocks = [
        section(
            f":rotating_light: *{noun(run)} — done, but not verified: decide*\n"
            f"It *took effect*{when}: {became(run)}; the check after it differs  ·  ~Executing~ → Decide"
        ),
        section("\n".join(["*What is true now*", *true_now(run)])),
        section(f"*Two ways back*, each needs a second person\n{two_ways(run)}\nNothing goes back by itself.")
        if run.kind == "rollback"
        else section("Nothing goes back by itself."),
        actions(block_id(run, "decide"), *buttons.decide(run)),
        context(
            _decide_hint(run), f"Backup {backup_words(run, ctx)}" if run.kind == "rollback" else "", audit(run.last)
        ),
    ]
    before = f"{noun(run)} on {data(run.target, 60)} took effect but is not verified:"
    ways = (
        "check again, re-apply, restore the full backup, or keep" if run.kind == "rollback" else "check again, or keep"
    )
    text = say(before, f"{what_differs(run)}.", f"Decide: {ways}.")
    return message(text, blocks, run=run.id, event=run.last)


def _decide_hint(run: Run) -> str:
    return "A rollback often needs its old code: deploy it, then *Check again*." if run.kind == "rollback" else ""


def true_now(run: Run) -> list[str]:
    """History table, schema and application as the verification saw them."""
    facts = [f"• {head.lower()}: {body}" for head, body in verified_facts(run, verified=True)]
    told = _differences(run)
    return [*facts, *at_most([f"• {prose(one, 200)}" for one in told], 10, in_shell(run), 1600)]


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
    if run.half_done:
        return half_done.card(run, ctx)
    head = f":rotating_light: *{noun(run)} — needs a person: {_not_known(run)}*"
    unknown = "  ·  ~Executing~ → Unknown" if known(run).get("code", "E-UNKNOWN") == "E-UNKNOWN" else ""
    blocks = [
        section(f"{head}{unknown}\n{title(run)}."),
        section(unknown_words(run)),
        steps_block(run, ctx),
        actions(block_id(run, "look"), buttons.look(run)),
        context(str(known(run).get("code", "E-UNKNOWN")), audit(run.last)),
    ]
    return message(unknown_text(run), blocks, run=run.id, event=run.last)


def _not_known(run: Run) -> str:
    """The first words, where it is not the outcome itself that is unknown."""
    code_, told = known(run).get("code", "E-UNKNOWN"), known(run).get("message", "")
    return "I do not know whether it took effect" if code_ == "E-UNKNOWN" else bare(str(told), 200).rstrip(".")


def unknown_text(run: Run) -> str:
    """For the top-level text."""
    hint = (
        "Do not start anything by hand."
        if known(run).get("code", "E-UNKNOWN") == "E-UNKNOWN"
        else bare(str(known(run).get("hint", "")), 150)
    )
    return f"{noun(run)} on {data(run.target, 60)} needs a person: {_not_known(run)}. {hint}".strip()


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
        shown = at_most([f"• {prose(str(one), 200)}" for one in told], 8, in_shell(run), 580)
        lines += [f"*{head}*", *shown] if told else []
    return "\n".join(lines)
