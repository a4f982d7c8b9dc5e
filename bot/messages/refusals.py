"""The form of every refusal: what, that nothing was started, what to do, the code last."""

from __future__ import annotations

from bot.messages.blocks import Message, at_most, context, message, plain, say, section
from bot.messages.text import bare, code, listed, prose
from core.errors import NeedsAPerson, Problem, StepFailed
from core.model import Json

# Answers to a click or a decision: something was asked before, so "not counted" is the true word.
_CLICK = frozenset(
    {
        "E-SELF",
        "E-NOT-APPROVER",
        "E-NOT-YOURS",
        "E-ALREADY",
        "E-CLOSED",
        "E-STALE",
        "E-EXPIRED",
        "E-TOO-LATE",
        "E-TYPED",
        "E-TOTP",
    }
)
_LOOKS_ONLY = frozenset({"E-UNKNOWN", "E-BUG", "E-RUN-UNKNOWN"})
_ICONS = {
    "E-USAGE": ":grey_question:",
    "E-MIGRATION-AMBIGUOUS": ":grey_question:",
    "E-MIGRATION-UNKNOWN": ":grey_question:",
    "E-TARGET-UNKNOWN": ":grey_question:",
    "E-RUN-UNKNOWN": ":grey_question:",
    "E-REASON": ":grey_question:",
    "E-CHANNEL": ":round_pushpin:",
    "E-STALE": ":warning:",
    "E-UNKNOWN": ":rotating_light:",
    "E-BUG": ":rotating_light:",
}


def effect(problem: Problem) -> str:
    """What the refusal means for the target or the click, where its own words do not say so."""
    said = problem.text.lower()
    if any(words in said for words in ("nothing was", "not changed", "unchanged", "not counted", "nothing is started")):
        return ""
    if problem.code in _LOOKS_ONLY or isinstance(problem, NeedsAPerson):
        return ""
    if problem.code in _CLICK:
        return "Your click was not counted."
    return "The target was not changed." if isinstance(problem, StepFailed) else "Nothing was started."


def _command(option: str) -> str:
    words = option.strip().strip("`")
    if words.startswith("/"):
        return words
    return f"/{words}" if words.startswith("rollback ") else f"/rollback {words}"


def _rich(problem: Problem) -> str:
    told = [prose(problem.message), effect(problem), prose(problem.hint)]
    lines = [" ".join(part for part in told if part)]
    options = [f"• {code(_command(one))}" for one in problem.options]
    lines += at_most(options, 12, "type more of it", 800)
    return "\n".join(lines)


def refusal(problem: Problem) -> Message:
    """The answer to one person (`response_type: ephemeral`)."""
    commands = [bare(_command(one), 80) for one in problem.options[:3]]
    ways = f"Try {listed(commands)}." if commands else ""
    before = bare(problem.message, 220)
    after = " ".join(part for part in (effect(problem), f"({problem.code})") if part)
    text = say(before, " ".join(part for part in (bare(problem.hint), ways) if part), after)
    icon = _ICONS.get(problem.code, ":no_entry_sign:")
    return message(text, [section(f"{icon} {_rich(problem)}"), context(problem.code)])


def refused(problem: Problem, run: str | None = None) -> Json:
    """The same as a modal, for answers to submissions and to clicks where no ephemeral message is possible."""
    icon = _ICONS.get(problem.code, ":no_entry_sign:")
    return {
        "type": "modal",
        "callback_id": "rb.refused",
        "private_metadata": f'{{"run": "{run or ""}", "code": "{problem.code}"}}',
        "title": plain("Not counted" if problem.code in _CLICK else "Not done", 24),
        "close": plain("Close", 24),
        "blocks": [section(f"{icon} {_rich(problem)}"), context(problem.code)],
    }
