"""Every button there is. A button is shown only where its click can count."""

from __future__ import annotations

from bot.messages.blocks import button, confirm, value
from bot.messages.facts import main_name
from bot.messages.text import data, utc
from core.model import Json, Run


def review(run: Run, *, primary: bool = True) -> Json:
    """Opens `review`."""
    words = "Review and approve" if run.revision == 1 else f"Review revision {run.revision}"
    label = f"Review and approve rollback {run.id} of {data(main_name(run), 80)}"
    return button(words, "rb.review", value(run), label, style="primary" if primary else None)


def deny(run: Run) -> Json:
    """Opens `reason`."""
    return button("Deny…", "rb.deny", value(run), f"Deny rollback {run.id}, asks for a reason")


def plan(run: Run) -> Json:
    """Opens `full_plan`."""
    return button("Full plan", "rb.plan", value(run), f"Show the full plan of {run.id}, only to you")


def timeline(run: Run) -> Json:
    """Answers with `timeline`."""
    return button("Timeline", "rb.timeline", value(run), f"Show the timeline of {run.id}, only to you")


def gate(run: Run) -> list[Json]:
    """What can be decided while a run waits."""
    told = f"Nothing has run on {data(run.target, 60)}. *{run.id}* is closed and the approvers are told."
    ask = confirm("Withdraw this request?", told, "Withdraw request", "Keep it")
    withdraw = button("Withdraw", "rb.withdraw", value(run), f"Withdraw request {run.id}", ask=ask)
    return [review(run), deny(run), plan(run), withdraw]


def approved(run: Run) -> list[Json]:
    """Until step 5 starts."""
    told = (
        f"{data(run.target, 60)} has not been changed. A backup that was made is kept. "
        "Starting again needs a new approval."
    )
    ask = confirm(f"Stop rollback {run.id}?", told, "Stop it", "Keep going", danger=True)
    label = f"Stop rollback {run.id} before it changes {data(run.target, 30)}"
    return [button("Stop safely", "rb.stop", value(run), label, style="danger", ask=ask), plan(run)]


def interrupted(run: Run) -> list[Json]:
    """After a crash in step 5, when the database says: not committed."""
    since = f" The approval from {utc(run.approvals[-1].at)} must still be valid." if run.approvals else ""
    told = f"The approved plan `{run.digest[:12]}` is checked again first.{since}"
    ask = confirm("Execute again?", told, "Execute again", "Not yet")
    label = f"Run step 5 of {run.id} again with the same approval"
    stays = f"Stop {run.id}, {data(run.target, 30)} stays unchanged"
    return [
        button("Execute again", "rb.resume", value(run), label, style="primary", ask=ask),
        button("Stop here", "rb.stop", value(run), stays),
    ]


def decide(run: Run) -> list[Json]:
    """Committed, but the verification differs."""
    told = f"*{run.id}* closes as done, not verified. The backup stays."
    ask = confirm("Keep the rolled-back state?", told, "Keep as is", "Back")
    return [
        button("Check again", "rb.verify", value(run), f"Run the verification of {run.id} again", style="primary"),
        button("Keep as is", "rb.keep", value(run), f"Keep the rolled-back state of {run.id}", ask=ask),
    ]


def look(run: Run) -> Json:
    """The outcome is unknown: ask the database."""
    label = f"Ask the database now whether {run.id} took effect"
    return button("Ask the database now", "rb.look", value(run), label, style="primary")


def ask_again(run: Run) -> Json:
    """The same request as a new run with a new plan."""
    return button("Ask again", "rb.again", value(run), f"Ask again for the rollback of {run.id}, with a new plan")


def unapprove(run: Run) -> Json:
    """For the approver, until step 5 starts."""
    told = f"*{run.id}* then waits for another approval. {data(run.target, 60)} has not been changed."
    ask = confirm("Withdraw your approval?", told, "Withdraw approval", "Keep it")
    label = f"Withdraw your approval of {run.id}, until execution starts"
    return button("Withdraw my approval", "rb.unapprove", value(run), label, ask=ask)


def not_me(run: Run) -> Json:
    """For an approver who cannot look now."""
    return button("Not me", "rb.notme", value(run), f"I am not available, ask the next approver for {run.id}")


def ask_approval(name: str, plan_value: str) -> list[Json]:
    """Under a plan that only its reader sees."""
    return [
        button("Ask for approval", "rb.ask", plan_value, "Ask for approval of this plan", style="primary"),
        button("Full plan", "rb.plan", plan_value, f"Show the full plan of {data(name, 80)}, only to you"),
    ]
