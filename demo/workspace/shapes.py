"""Small checks that are put together into the shapes of Block Kit. Each reports at a JSON pointer, as Slack does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Report:
    """What was found wrong, and the ids that must be unique."""

    found: list[str] = field(default_factory=list)

    def add(self, pointer: str, what: str) -> None:
        """Note one fault at a JSON pointer."""
        self.found.append(f"{what} [json-pointer:{pointer or '/'}]")


Check = Callable[[Any, str, Report], None]


def string(longest: int, *, shortest: int = 1) -> Check:
    """A string of `shortest` to `longest` characters."""

    def check(value: Any, at: str, report: Report) -> None:
        if not isinstance(value, str):
            report.add(at, "must be a string")
        elif len(value) > longest:
            report.add(at, f"must be at most {longest} characters, is {len(value)}")
        elif len(value) < shortest:
            report.add(at, f"must be at least {shortest} characters" if shortest > 1 else "must not be empty")

    return check


def integer(lowest: int, highest: int) -> Check:
    """A whole number within both bounds."""

    def check(value: Any, at: str, report: Report) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            report.add(at, "must be an integer")
        elif not lowest <= value <= highest:
            report.add(at, f"must be from {lowest} to {highest}, is {value}")

    return check


def boolean(value: Any, at: str, report: Report) -> None:
    """True or false."""
    if not isinstance(value, bool):
        report.add(at, "must be true or false")


def anything(value: Any, at: str, report: Report) -> None:
    """Not looked at."""


def one_of(*words: str) -> Check:
    """One of these words."""

    def check(value: Any, at: str, report: Report) -> None:
        if value not in words:
            report.add(at, f"must be one of {', '.join(words)}, is {value!r}")

    return check


def either(*checks: Check) -> Check:
    """Passes when one of the checks does; else reports what the last one found."""

    def check(value: Any, at: str, report: Report) -> None:
        tries = []
        for candidate in checks:
            trial = Report()
            candidate(value, at, trial)
            if not trial.found:
                return
            tries.append(trial)
        report.found.extend(tries[-1].found)

    return check


def url(value: Any, at: str, report: Report) -> None:
    """An http(s) or mailto address of at most 3,000 characters."""
    string(3000)(value, at, report)
    if isinstance(value, str) and not value.startswith(("https://", "http://", "mailto:", "slack://")):
        report.add(at, "must be a valid URL")


def list_of(item: Check, longest: int, *, shortest: int = 1) -> Check:
    """A list of `shortest` to `longest` items, each passing `item`."""

    def check(value: Any, at: str, report: Report) -> None:
        if not isinstance(value, list):
            report.add(at, "must be a list")
            return
        if len(value) > longest:
            report.add(at, f"no more than {longest} items allowed, there are {len(value)}")
        if len(value) < shortest:
            report.add(at, f"at least {shortest} items needed")
        for number, each in enumerate(value):
            item(each, f"{at}/{number}", report)

    return check


def shape(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """An object with these properties and no others. `type` is always allowed."""
    known = {**required, **(optional or {})}

    def check(value: Any, at: str, report: Report) -> None:
        if not isinstance(value, dict):
            report.add(at, "must be an object")
            return
        for name in required:
            if name not in value:
                report.add(at, f"missing required field: {name}")
        for name, each in value.items():
            if name in known:
                known[name](each, f"{at}/{name}", report)
            elif name != "type":
                report.add(at, f"invalid additional property: {name}")

    return check


def by_type(shapes: Mapping[str, Check], what: str) -> Check:
    """An object whose `type` says which of the shapes it must have."""

    def check(value: Any, at: str, report: Report) -> None:
        if not isinstance(value, dict):
            report.add(at, "must be an object")
        elif not isinstance(value.get("type"), str) or value["type"] not in shapes:
            report.add(at, f"unsupported type of {what}: {value.get('type')}")
        else:
            shapes[value["type"]](value, at, report)

    return check


def text(longest: int, *kinds: str) -> Check:
    """A text object; `kinds` default to both, plain_text and mrkdwn."""
    body = shape(
        {"type": one_of(*(kinds or ("plain_text", "mrkdwn"))), "text": string(longest)},
        {"emoji": boolean, "verbatim": boolean},
    )

    def check(value: Any, at: str, report: Report) -> None:
        body(value, at, report)
        if isinstance(value, dict) and value.get("type") == "mrkdwn" and "emoji" in value:
            report.add(at, "emoji is for plain_text only")

    return check


def plain(longest: int) -> Check:
    """A plain_text object."""
    return text(longest, "plain_text")
