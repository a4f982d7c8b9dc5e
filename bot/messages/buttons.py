"""Every button there is. A button is shown only where its click can count.

What a screen reader says of it has the words that stand on it, or who speaks to their machine would name it in vain (WCAG 2.5.3).
"""

from __future__ import annotations

from bot.messages.blocks import button, confirm, value
from bot.messages.facts import WORDS, main_name
from bot.messages.text import data, utc
from core.model import Json, Run, State


def review(run: Run, *, primary: bool = True) -> Json:
    """Opens `review`."""
    words = "Review and approve" if run.revision == 1 else f"Review revision {run.revision}"
    label = f"{words}{'' if run.revision == 1 else ' and approve'} {WORDS[run.kind].lower()} {run.id} of {data(main_name(run), 80)}"
    return button(words, "rb.review", value(run), label, style="primary" if primary else None)


def deny(run: Run) -> Json:
    """Opens `reason`."""
    return button("Deny…", "rb.deny", value(run), f"Deny {WORDS[run.kind].lower()} {run.id}, asks for a reason")


def reason(run: Run) -> Json:
    """Opens `why`; for the requester, who gave none."""
    label = f"Add a reason to {WORDS[run.kind].lower()} {run.id}, for who asked for it"
    return button("Add a reason…", "rb.reason", value(run), label)


def plan(run: Run) -> Json:
    """Opens `full_plan`."""
    return button("Full plan", "rb.plan", value(run), f"Full plan of {run.id}, shown only to you")


def plan_of(run: Run) -> list[Json]:
    """`plan`, where the run has scripts to show."""
    return [plan(run)] if run.kind != "restore" else []


def timeline(run: Run) -> Json:
    """Answers with `timeline`."""
    return button("Timeline", "rb.timeline", value(run), f"Timeline of {run.id}, shown only to you")


def report(run: Run) -> Json:
    """Opens `report`."""
    return button(
        "Report", "rb.report", value(run), f"Report of {run.id} as Markdown for a postmortem, shown only to you"
    )


def gate(run: Run, may_break: bool = False) -> list[Json]:
    """What can be decided while a run waits, or counts down without a second person."""
    if run.broken:
        return [review(run), deny(run), *plan_of(run), stop_broken(run)]
    told = f"Nothing has run on {data(run.target, 60)}. *{run.id}* is closed and the approvers are told."
    ask = confirm("Withdraw this request?", told, "Withdraw request", "Keep it")
    withdraw = button("Withdraw", "rb.withdraw", value(run), f"Withdraw request {run.id}", ask=ask)
    glass = [break_glass(run)] if may_break else []
    return [review(run), deny(run), *plan_of(run), withdraw, *glass]


def break_glass(run: Run) -> Json:
    """Opens `break_glass_form`; for the people named for it."""
    label = f"Break glass: start {WORDS[run.kind].lower()} {run.id} alone, for those named for it"
    return button("Break glass…", "rb.breakglass", value(run), label, style="danger")


def stop_broken(run: Run) -> Json:
    """For everyone in the channel."""
    told = f"Anyone may. {data(run.target, 60)} has not been changed. Starting again needs a new request."
    ask = confirm(f"Stop {WORDS[run.kind].lower()} {run.id}?", told, "Stop it", "Let it go on", danger=True)
    label = f"Stop it: break-glass {WORDS[run.kind].lower()} {run.id}"
    return button("Stop it", "rb.stop", value(run), label, style="danger", ask=ask)


def close_review(run: Run) -> Json:
    """Opens `owed_form`; for an approver who neither asked nor broke the glass."""
    return button("Review…", "rb.owed", value(run), f"Review the break-glass of {run.id}, and close it")


def approved(run: Run) -> list[Json]:
    """Until the point of no return."""
    told = (
        f"{data(run.target, 60)} has not been changed. A backup that was made is kept. "
        "Starting again needs a new approval."
    )
    ask = confirm(f"Stop {WORDS[run.kind].lower()} {run.id}?", told, "Stop it", "Keep going", danger=True)
    label = f"Stop safely: {WORDS[run.kind].lower()} {run.id}, before it changes {data(run.target, 30)}"
    return [button("Stop safely", "rb.stop", value(run), label, style="danger", ask=ask), *plan_of(run)]


def interrupted(run: Run) -> list[Json]:
    """After a crash past the point of no return, when the database says: not committed."""
    since = f" The approval from {utc(run.approvals[-1].at)} must still be valid." if run.approvals else ""
    told = f"The approved plan `{run.digest[:12]}` is checked again first.{since}"
    ask = confirm("Execute again?", told, "Execute again", "Not yet")
    label = f"Execute again: {run.id}, with the same approval"
    stays = f"Stop here: {run.id} ends, {data(run.target, 30)} stays unchanged"
    return [
        button("Execute again", "rb.resume", value(run), label, style="primary", ask=ask),
        button("Stop here", "rb.stop", value(run), stays),
    ]


def decide(run: Run) -> list[Json]:
    """Committed, but the verification differs."""
    return [
        button("Check again", "rb.verify", value(run), f"Check again: verify {run.id} once more", style="primary"),
        *ways_back(run),
        keep(run),
    ]


def keep(run: Run) -> Json:
    """Accept what is."""
    told = f"*{run.id}* closes as done, not verified. Saved rows and backup stay."
    ask = confirm("Keep it as it is?", told, "Keep as is", "Back")
    return button("Keep as is", "rb.keep", value(run), f"Keep as is what {run.id} has done", ask=ask)


def ways_back(run: Run) -> list[Json]:
    """The two ways back from a rollback, the one that loses nothing first; each opens a form."""
    if run.kind != "rollback" or run.state is State.RESTORED or run.cleaned:
        return []
    saved = run.evidence.get("execute", {}).get("saved")
    whole = run.evidence.get("backup", {}).get("restores", True)
    made = []
    if saved and not run.way_back:
        made.append(
            button("Re-apply…", "rb.reapply", value(run), f"Re-apply {run.id}: forward again, with the saved rows")
        )
    if "backup" in run.evidence and whole:
        made.append(button("Restore full backup…", "rb.restore", value(run), f"Restore full backup of {run.id}"))
    return made


def release(run: Run) -> Json:
    """The migrations that were undone may be applied again."""
    told = "A deploy that runs migrations at its start may then apply them again."
    ask = confirm(f"Release the hold of {run.id}?", told, "Release", "Keep it")
    return button(
        "Release hold",
        "rb.release",
        value(run),
        f"Release hold of {run.id}: its migrations may be applied again",
        ask=ask,
    )


def half_done(run: Run) -> list[Json]:
    """Some of it took effect, the rest did not."""
    told = "Each part asks the database first; nothing is run twice. The scripts must still be the approved ones."
    ask = confirm("Continue with the rest?", told, "Continue", "Not yet")
    leave = f"*{run.id}* closes, half done. The backup stays; the rest is for people."
    return [
        button("Continue", "rb.resume", value(run), f"Continue {run.id} with what is left", style="primary", ask=ask),
        button("Ask the database now", "rb.look", value(run), f"Ask the database now what is done of {run.id}"),
        *ways_back(run),
        button(
            "Leave half done",
            "rb.keep",
            value(run),
            f"Leave half done what {run.id} has begun",
            ask=confirm("Leave it half done?", leave, "Leave it", "Back", danger=True),
        ),
    ]


def look(run: Run) -> Json:
    """The outcome is unknown: ask the database."""
    label = f"Ask the database now whether {run.id} took effect"
    return button("Ask the database now", "rb.look", value(run), label, style="primary")


def ask_again(run: Run) -> Json:
    """The same request as a new run with a new plan."""
    return button(
        "Ask again",
        "rb.again",
        value(run),
        f"Ask again for {WORDS[run.kind].lower()} {run.id}, with a new plan",
    )


def unapprove(run: Run) -> Json:
    """For the approver, until step 5 starts."""
    told = f"*{run.id}* then waits for another approval. {data(run.target, 60)} has not been changed."
    ask = confirm("Withdraw your approval?", told, "Withdraw approval", "Keep it")
    label = f"Withdraw my approval of {run.id}, until execution starts"
    return button("Withdraw my approval", "rb.unapprove", value(run), label, ask=ask)


def not_me(run: Run) -> Json:
    """For an approver who cannot look now."""
    return button("Not me", "rb.notme", value(run), f"Not me: ask the next approver for {run.id}")


def ask_approval(name: str, plan_value: str) -> list[Json]:
    """Under a plan that only its reader sees."""
    return [
        button("Ask for approval", "rb.ask", plan_value, "Ask for approval of this plan", style="primary"),
        button("Full plan", "rb.plan", plan_value, f"Full plan of {data(name, 80)}, shown only to you"),
    ]
