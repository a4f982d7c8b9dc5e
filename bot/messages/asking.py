"""Asking for a rollback: the form, its list of migrations, and what is said on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.messages.blocks import Message, actions, button, message, plain, section
from bot.messages.forms import field, modal
from bot.messages.refusals import refusal
from bot.messages.text import cut, data, listed, plural
from core.errors import Problem
from core.grammar import SHORTEST_REASON
from core.model import Json, Run

OPTIONS = 100  # of a select: docs.slack.dev, block elements
SHOWN, CARRIED = 75, 150  # characters of an option's text, and of its value
EXTENTS = {
    "from": "Undo it and everything applied after it",
    "to": "Keep it, undo everything applied after it",
    "only": "Undo only this one",
}


@dataclass(frozen=True)
class Asked:
    """What the form is filled in with. `extent`: a key of EXTENTS; `channel` and `thread`: where it was opened."""

    target: str
    migration: str | None = None
    extent: str = "from"
    reason: str = ""
    incident: str = ""
    channel: str | None = None
    thread: str | None = None
    note: str = ""  # shown first: why the form is there, or where its card will stand


def request(targets: Sequence[str], asked: Asked) -> Json:
    """The form: target, migration, how far, why. What is known is filled in; `targets` holds every name, at most 100 are shown."""
    names = list(dict.fromkeys([asked.target, *targets]))[:OPTIONS]
    chosen = [_option(name, name) for name in names]
    migration: Json = {
        "type": "external_select", "action_id": "v", "min_query_length": 0, "placeholder": plain("Newest first", 150),
    }  # fmt: skip
    if asked.migration:
        migration["initial_option"] = _option(asked.migration, asked.migration)
    extents = [_extent(name) for name in EXTENTS]
    incident = field("incident", "Incident link or number", optional=True)
    incident["element"] = {"type": "plain_text_input", "action_id": "v", "max_length": 200}
    why = field("reason", "Why? (the approver and the audit trail get this)", least=SHORTEST_REASON)
    for made, text in ((incident, asked.incident), (why, asked.reason)):
        if text:
            made["element"]["initial_value"] = cut(text, made["element"]["max_length"])
    told = "I only look at the database and rehearse on a copy. Production changes only after a second person approves."
    return modal(
        "rb.request",
        {"channel": asked.channel, "thread": asked.thread},
        "Plan a rollback",
        [
            section(f"{data(asked.note, 500)}\n{told}" if asked.note else told),
            _input("target", "Target", {**_select(chosen), "initial_option": chosen[0]}),
            _input("migration", "Migration", migration),
            _input(
                "extent",
                "How far?",
                {
                    "type": "radio_buttons",
                    "action_id": "v",
                    "options": extents,
                    "initial_option": _extent(asked.extent),
                },
            ),
            why,
            incident,
        ],
        submit="Make the plan",
        close="Close",
    )


def _input(block: str, label: str, element: Json) -> Json:
    return {"type": "input", "block_id": block, "label": plain(label, 200), "element": element}


def _select(options: list[Json]) -> Json:
    return {"type": "static_select", "action_id": "v", "options": options}


def _option(text: str, value: str, about: str = "") -> Json:
    made: Json = {"text": plain(data(text, SHOWN), SHOWN), "value": value[:CARRIED]}
    return {**made, "description": plain(about, SHOWN)} if about else made


def _extent(name: str) -> Json:
    return _option(EXTENTS[name], name, "Refused if a later migration depends on it" if name == "only" else "")


def choices(names: Sequence[str], typed: str, known: str = "") -> list[Json]:
    """The options of the list of migrations: `names` of applied ones, newest first, that hold `typed`; at most 100.

    Each says what goes with it. `known`: what the list is worth where the database could not be asked. Where a name is
    longer than a value may be, its beginning stands for it.
    """
    if not names and known:
        return [_option(f"{known}: type the command", "?")]  # chosen all the same, it is refused beside the field
    found = []
    for place, name in enumerate(names):
        if typed.strip().lower() in name.lower():
            newer = names[:place]
            also = listed(list(newer)) if len(newer) < 3 else plural(len(newer), "newer migration")
            about = known or (f"also rolls back {also}" if newer else "the newest")
            found.append(_option(name, name, about))
    return found[:OPTIONS]


def why(run: Run) -> Json:
    """The requester gives the reason afterwards: one field, and everyone sees it."""
    ask = field("reason", "Why? Everyone in the channel sees this.", least=SHORTEST_REASON)
    return modal(
        "rb.reason", {"run": run.id, "rev": run.revision}, f"Reason of {run.id}", [ask], submit="Tell", close="Back"
    )


def elsewhere(problem: Problem, plan: str, channel: str) -> Message:
    """The refusal of a request that was typed in another channel, with a button that goes on in the right one.

    `plan`: what the button's value names; `channel`: as people read it, for the label.
    """
    told = refusal(problem)
    there = button(
        "Continue there",
        "rb.elsewhere",
        f"{plan}.1",
        f"Continue there with this request, in {channel}",
        style="primary",
    )
    return message(told["text"], [told["blocks"][0], actions(f"{plan}:elsewhere", there), *told["blocks"][1:]])


def follows(run: Run, where: str) -> Json:
    """After the form, where the card stands in another channel than the form was opened in."""
    told = f":mag: Making the plan *{run.id}*. Nothing is started; the card follows in {data(where, 80)}."
    return modal("rb.answer", {"run": run.id}, "Making the plan", [section(told)], close="Close")
