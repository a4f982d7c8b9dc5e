"""The parts of messages that have a form in Slack's newer blocks: the steps as a `plan`, what is lost as an `alert`,
the history as a `table`. Words of plans and tables are literal: these blocks know no markup.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.messages import glass
from bot.messages.blocks import Context, block_id, mrkdwn, name, section
from bot.messages.facts import main_name, names
from bot.messages.said import STATES, state_words
from bot.messages.steps import place, seen, step_name, step_section
from bot.messages.text import cut, data, duration, listed, literal, moment, utc_day
from core.model import STEPS, UNCHANGED, Json, Run, State

_ALERT = 200
"""Characters of an alert: docs.slack.dev, alert block."""
_WORDS, _CELL = 1000, 150  # characters of a step's words, and of a cell; ours
_STATUS = {
    ":white_circle:": "pending",
    ":arrows_counterclockwise:": "in_progress",
    ":white_check_mark:": "complete",
    ":warning:": "complete",
}
_HEADS = ("Run", "Asked", "Undone", "Result", "Took", "People")


def steps_block(run: Run, ctx: Context) -> Json:
    """The steps of the card, with the point of no return."""
    if "plan" not in ctx.newer:
        return section(step_section(run, ctx))
    state = literal(state_words(run))
    tasks = [_task(run, ctx, step) for step in STEPS[run.kind]]
    return {
        "type": "plan",
        "title": cut(state[:1].upper() + state[1:], 200),
        "block_id": block_id(run, "plan"),
        "tasks": tasks,
    }


def _task(run: Run, ctx: Context, step: str) -> Json:
    mark, words = seen(run, ctx, step)
    status = _STATUS.get(mark, "error")
    head = f"{place(run, step)}. {step_name(run, step)}"
    if step == "execute":
        head += " (point of no return)"
        if run.state in UNCHANGED and run.is_open:
            words += f"; the approval and steps 1 to {place(run) - 1} must be there"
    words = f"warning: {words}" if mark == ":warning:" else words
    told = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [_literal(words)]}]}
    where = "output" if status in ("complete", "error") else "details"
    return {"type": "task_card", "task_id": step.replace(" ", "_"), "title": head, "status": status, where: told}


def _literal(words: str) -> Json:
    said = cut(literal(words), _WORDS)
    return {"type": "text", "text": said[:1].upper() + said[1:]}


def alert(words: str, ctx: Context) -> Json:
    """What must be read first; as a section where it is too long for an alert, so that nothing is cut."""
    said = words.removeprefix(":warning: ")
    if "alert" not in ctx.newer or len(said) > _ALERT:
        return section(words)
    return {"type": "alert", "level": "warning" if said != words else "info", "text": mrkdwn(said)}


def history_table(runs: Sequence[Run]) -> Json:
    """One row for each rollback."""
    rows = [_HEADS, *map(_history_row, runs)]
    cells = [[{"type": "raw_text", "text": cut(literal(cell), _CELL) or "–"} for cell in row] for row in rows]
    settings = [{"is_wrapped": cell in ("Undone", "Result", "People"), "align": "left"} for cell in _HEADS]
    return {"type": "table", "column_settings": settings, "rows": cells}


def _history_row(run: Run) -> tuple[str, ...]:
    others = f" and {len(names(run)) - 1} more" if len(names(run)) > 1 else ""
    took = duration((moment(run.ended_at) - moment(run.created_at)).total_seconds()) if run.ended_at else ""
    result = STATES[run.state][1] + (f", {glass.words(run, rich=False)}" if run.without_second else "")
    people = [f"asked {name(run.requester)}"]
    people += [f"approved {listed([name(one.person) for one in run.approvals])}"] if run.approvals else []
    if run.ending and run.ending.actor and run.state in (State.DENIED, State.STOPPED):
        people.append(f"{STATES[run.state][1]} {name(run.ending.actor)}")
    what = f"{data(main_name(run), 80)}{others} on {data(run.target, 40)}"
    return run.id, utc_day(run.created_at), what, result, took, ", ".join(people)
