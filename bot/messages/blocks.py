"""The few Block Kit shapes that the messages are made of, kept inside Slack's limits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NotRequired, TypedDict

from bot.messages.text import SECTION, TEXT, cut, data, hidden, plural
from core.meter import HowFar
from core.model import Event, Json, Person, Run

IN_PLAN = "the rest in *Full plan*"
_SLACK_ID = re.compile(r"[UW][A-Z0-9]{2,20}")


class Message(TypedDict):
    """What `chat.postMessage`, `chat.update` or an answer needs besides its address."""

    text: str
    blocks: list[Json]
    metadata: NotRequired[Json]


@dataclass(frozen=True)
class Context:
    """What a message needs to know besides the run.

    `approvers_mention` is Slack markup and is not escaped; `approvers_text` is for reading. `link` is the
    card's permalink. `estimates` are seconds by step, `far` is how far the step under way is. `changed` lists what moved since the last revision
    (default: what the run knows), `asked` are the people who were asked,
    `reading` those who have the review open now, `escalated` the mention of the next group (Slack markup). `origin` is the permalink of the rollback that a way back undoes.
    `may_break`: somebody who is named may start it without a second person now. `newer`: which of Slack's newer blocks may
    be used (`plan`, `alert`, `table`, `data_visualization`). `drill`: how it is with the target's drills (markup), while people decide.
    """

    approvers_mention: str
    approvers_text: str
    link: str | None
    keep_days: int
    target_default: bool
    now: datetime
    estimates: Mapping[str, float] = field(default_factory=dict)
    far: HowFar | None = None
    changed: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    reading: tuple[str, ...] = ()
    escalated: str = ""
    origin: str | None = None
    may_break: bool = False
    newer: frozenset[str] = frozenset()
    drill: str = ""


def mrkdwn(text: str) -> Json:
    """Verbatim: Slack shall not turn "@here" or a bare address in somebody's words into a mention or a link."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def plain(text: str, limit: int = 75) -> Json:
    """A plain_text object."""
    return {"type": "plain_text", "text": cut(text, limit), "emoji": True}


def section(text: str) -> Json:
    """A section; text above the limit is cut at a line end, and says so."""
    return {"type": "section", "text": mrkdwn(_fit(text))}


def _fit(text: str) -> str:
    if len(text) <= SECTION:
        return text
    room = SECTION - 120
    at = text.rfind("\n", 0, room)
    kept = text[:at] if at > 0 else cut(text, room)
    note = f"\n… cut here, {hidden(text, kept)}; the rest is in *Full plan*"
    return kept + ("```" if kept.count("```") % 2 else "") + note


def fields(*pairs: tuple[str, str]) -> Json:
    """A section of up to ten short facts, each with its heading."""
    return {"type": "section", "fields": [mrkdwn(f"*{head}*\n{cut(body, 1900)}") for head, body in pairs]}


def context(*texts: str) -> Json:
    """A line of small print; empty texts are left out."""
    return {"type": "context", "elements": [mrkdwn(text) for text in texts if text][:10]}


def confirm(title: str, text: str, yes: str, no: str, *, danger: bool = False) -> Json:
    """The question asked before a click counts."""
    box = {"title": plain(title, 100), "text": mrkdwn(cut(text, 300)), "confirm": plain(yes, 30), "deny": plain(no, 30)}
    return {**box, "style": "danger"} if danger else box


def button(
    text: str, action: str, value: str, label: str, *, style: str | None = None, ask: Json | None = None
) -> Json:
    """A button with its label for screen readers; `value` names the run and proves nothing."""
    made: Json = {
        "type": "button",
        "text": plain(text, 30),
        "action_id": action,
        "value": value,
        "accessibility_label": cut(label, 75),
    }
    if style:
        made["style"] = style
    if ask:
        made["confirm"] = ask
    return made


def actions(block_id: str, *buttons: Json) -> Json:
    """A row of buttons; `block_id` is new at every update."""
    return {"type": "actions", "block_id": block_id[:255], "elements": list(buttons)}


def message(text: str, blocks: Iterable[Json], *, run: str | None = None, event: Event | None = None) -> Message:
    """Put a message together; with an event it carries the metadata that names it, and witnesses the whole digest."""
    made: Message = {"text": cut(text, TEXT), "blocks": list(blocks)}
    if event is not None:
        made["metadata"] = {
            "event_type": "rollback_bot",
            "event_payload": {"run": run or event.run or "", "event": event.id, "digest": event.digest},
        }
    return made


def say(before: str, flexible: str, after: str) -> str:
    """Sentences of at most 400 characters: `flexible` is shortened first, then `before`; `after` stays whole."""
    before = cut(before, TEXT - len(after) - 1) if before else ""
    room = TEXT - len(before) - len(after) - 2
    middle = cut(flexible, room - 1) if flexible and room >= 12 else ""
    if middle and middle[-1] not in ".!?…:":
        middle += "."
    return " ".join(part for part in (before, middle, after) if part)


def is_slack(person: Person) -> bool:
    """Is it somebody of Slack's, and not an account of a shell?"""
    return bool(_SLACK_ID.fullmatch(person.id))


def mention(person: Person) -> str:
    """A mention for people of Slack, the name for accounts of a shell."""
    return f"<@{person.id}>" if is_slack(person) else data(person.name, 80)


def name(person: Person | None) -> str:
    """The name, for texts without markup."""
    return data(person.name, 60) if person else "the bot"


def who(person: Person | None) -> str:
    """A mention, or "the bot" when no person acted."""
    return mention(person) if person else "the bot"


def link(url: str | None, words: str) -> str:
    """A link with words, or nothing where there is no address. Only http(s) addresses become links."""
    if not url or not re.fullmatch(r"https?://[!-;=?-{}~]+", url):  # ASCII: what looks like another host is no link
        return ""
    return f"<{url.replace('&', '&amp;')}|{words}>"


def value(run: Run) -> str:
    """`RUN.revision`."""
    return f"{run.id}.{run.revision}"


def block_id(run: Run, part: str) -> str:
    """`RUN:event number:part`."""
    return f"{run.id}:{run.last.id if run.last else 0}:{part}"


def audit(event: Event | None) -> str:
    """The event's number and the head of the chain after it: the channel is the outside witness."""
    return f"Audit #{event.id} `{event.digest[:16]}`" if event else ""


def in_batches(lines: Sequence[str], per: int = 40, heading: str = "") -> list[Json]:
    """Lines that must not be cut, as sections of at most `per` lines and 2,800 characters."""
    made: list[Json] = []
    batch: list[str] = [heading] if heading else []
    count = 0
    for line in lines:
        if count == per or sum(len(kept) + 1 for kept in batch) + len(line) > SECTION:
            made.append(section("\n".join(batch)))
            batch, count = [], 0
        batch.append(line)
        count += 1
    return [*made, section("\n".join(batch))] if batch else made


def at_most(lines: Sequence[str], limit: int, rest: str, room: int = 1800) -> list[str]:
    """The first lines, and then how many more there are and where: "and 385 more, …"."""
    kept: list[str] = []
    for line in lines:
        if len(kept) == limit or sum(map(len, kept)) + len(line) > room:
            break
        kept.append(line)
    left = len(lines) - len(kept)
    return [*kept, f"• and {plural(left, 'more', 'more')}, {rest}"] if left else kept
