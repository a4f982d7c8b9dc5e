"""The App Home tab of one person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.messages import buttons, glass
from bot.messages.answers import TargetNow
from bot.messages.blocks import actions, at_most, button, context, link, mrkdwn, plain, section
from bot.messages.drills import standing
from bot.messages.facts import held_names, target, title
from bot.messages.said import STATES, state_words
from bot.messages.text import clock, code, cut, cut_marked, data, day, listed, plural, when
from core.drills import Standing
from core.model import Json, Run


@dataclass(frozen=True)
class DrillNow:
    """The drills of one target: when the next one is due by its schedule, and how it stands."""

    target: str
    next: datetime | None
    now: Standing = field(default_factory=Standing)


@dataclass(frozen=True)
class Tab:
    """What one person's tab shows.

    `links`: run id to the card's permalink. `owed`: runs whose review is owed; those of `own` (their ids) somebody else
    must close. `held`: by target, rollbacks whose migrations nobody has released. `ask`, `approve`, `alone`: names of
    the targets on which this person may ask, approve, and break the glass. `targets` with `checked`: the newest
    migration of each, and when it was asked. `ready`: a line for each target of which it is known what could be undone. `health`: sentences about the bot itself.
    """

    now: datetime
    waiting: Sequence[Run] = ()
    running: Sequence[Run] = ()
    last: Sequence[Run] = ()
    owed: Sequence[Run] = ()
    own: frozenset[str] = frozenset()
    ask: Sequence[str] = ()
    approve: Sequence[str] = ()
    alone: Sequence[str] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    held: Mapping[str, Sequence[Run]] = field(default_factory=dict)
    drills: Sequence[DrillNow] = ()
    ready: Sequence[str] = ()
    targets: Sequence[TargetNow] = ()
    checked: datetime | None = None
    health: Sequence[str] = ()


def home(tab: Tab) -> Json:
    """What waits for this person, what runs, owed reviews, holds, drills, the last runs, rights, and the bot's health."""
    owed = [glass.owed_row(run, tab.links.get(run.id), run.id in tab.own) for run in tab.owed[:20]]
    held = [_held(name, run) for name, runs in tab.held.items() for run in runs]
    blocks: list[Json] = [
        {"type": "header", "text": plain("Rollback Bot", 150)},
        *_now(tab),
        {"type": "divider"},
        section(f"*Waiting for you ({len(tab.waiting)})*" + ("" if tab.waiting else "\nNothing waits for you.")),
        *[_waiting_row(run, tab.links.get(run.id), first=nth == 0) for nth, run in enumerate(tab.waiting[:20])],
        *_more(len(tab.waiting) - 20),
        *([section(f"*Owed reviews ({len(tab.owed)})*"), *owed, *_more(len(tab.owed) - 20)] if tab.owed else []),
        _list(f"*Running ({len(tab.running)})*", [_row(run, tab.links) for run in tab.running] or ["Nothing runs."]),
        *([_list(f"*Holds ({len(held)})*", held, 8)] if held else []),
        *(
            [_list("*Drills*", [_drill(one, tab.now) for one in tab.drills], rest="in the settings")]
            if tab.drills
            else []
        ),
        *([_list("*Ready to undo*", tab.ready, rest="`/rollback readiness`")] if tab.ready else []),
        _list("*Last runs*", [_last_row(run) for run in tab.last] or ["None yet."], rest="`/rollback history`"),
        actions("home:actions", *_buttons(bool(tab.ask))),
        context(_rights(tab), "Times are in your time zone"),
    ]
    return {"type": "home", "callback_id": "home", "blocks": blocks}


def _now(tab: Tab) -> list[Json]:
    """The small print at the top: targets and the bot itself."""
    asked = f", checked {when(tab.checked, tab.now)}" if tab.checked else ""
    lines = []
    for one in tab.targets[:4]:
        newest = f"newest is {code(one.newest)}" if one.newest else "no migration is applied"
        newest = f"could not be asked ({data(one.problem, 100)})" if one.problem else newest
        lines.append(f"{data(one.name, 60)}: {newest}{asked}")
    left = len(tab.targets) - 4
    lines += [f"and {plural(left, 'more target')}: `/rollback status`"] if left > 0 else []
    lines += [data(line, 200) for line in tab.health]
    return [context(*lines)] if lines else []


def _buttons(may_ask: bool) -> list[Json]:
    plan = button("Plan a rollback…", "rb.open", "home", "Plan a rollback, opens the form")
    history = button("History", "rb.history", "home", "History of the last rollbacks")
    setup = button("Check setup", "rb.doctor", "home", "Check setup of the bot")
    return [*([plan] if may_ask else []), history, setup]


def _rights(tab: Tab) -> str:
    alone = f", and *break the glass* on {_targets(tab.alone)}" if tab.alone else ""
    return f"You may *ask* on {_targets(tab.ask)}, and *approve* on {_targets(tab.approve)}{alone}."


def _targets(names: Sequence[str]) -> str:
    left = [plural(len(names) - 10, "more", "more")] if len(names) > 10 else []
    return listed([*[data(one, 60) for one in names[:10]], *left]) or "no target"


def _list(head: str, lines: Sequence[str], most: int = 10, rest: str = "`/rollback status` lists all") -> Json:
    """As many lines as a section takes, and how many more there are and where."""
    return section("\n".join([head, *at_most(lines, most, rest, 2400)]))


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


def _held(name: str, run: Run) -> str:
    which = held_names(run)
    refuses = run.evidence["execute"].get("hold") == "refuse"
    how = "the history table refuses them" if refuses else "I tell the channel if one is applied again"
    return f":lock: *{data(name, 60)}*: {which} by {run.id}; {how}. `/rollback release {run.id}`"


def _drill(one: DrillNow, now: datetime) -> str:
    due = f"next {day(one.next)}" if one.next else "no next one"
    return f"*{data(one.target, 60)}*: {standing(one.now, now, due)}"


def _last_row(run: Run) -> str:
    mark, word = STATES[run.state]
    return f"{mark} {run.id} {cut_marked(title(run), 200)}: {word}, {day(run.ended_at or run.created_at)}"


def answer(title_words: str, blocks: Sequence[Json]) -> Json:
    """What is answered to a click on the Home tab, which has no channel to answer in."""
    return {
        "type": "modal",
        "callback_id": "rb.answer",
        "private_metadata": "{}",
        "title": plain(title_words, 24),
        "close": plain("Close", 24),
        "blocks": [block for block in blocks if block["type"] != "actions"][:100],
    }
