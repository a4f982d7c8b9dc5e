"""A line from Slack or the shell, cut into words: quotes, mentions, links, and what phones make of `--`."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """One word of a line. `quoted`: it stood in quotes (or was one argument of the shell), so it is no flag.

    `person`: the Slack user id where the word is one mention; names can change, ids do not.
    """

    text: str
    quoted: bool = False
    person: str = ""


NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")
"""What a migration or a target may be called."""
QUOTES = {'"': '"“”„', "“": '”“"', "„": '“”"', "”": '”"', "«": "»", "»": "«»", "'": "'’", "‘": "’'", "`": "`"}
MENTION = re.compile(r"<([@#!])([^<>|]*)(?:\|([^<>]*))?>")
LINK = re.compile(r"<([^<>|@#! ][^<>|]*)(?:\|[^<>]*)?>")
ENTITY = re.compile(r"&(amp|lt|gt);")  # the three that Slack escapes
PIECE = re.compile(r"<[@#!][^<>]*>[^\s<]*|\S+")


def cut(line: str) -> list[Word]:
    """Cut at blanks; quotes count where one opens before a word and closes after one, so `can't` is one word."""
    found, at = [], 0
    while match := PIECE.search(line, at):
        end = _closing(line, match.start())
        if end is None:
            found.append(Word(_readable(match[0].strip("`") or match[0]), person=_person(match[0])))
            at = match.end()
        else:
            found.append(Word(_readable(" ".join(line[match.start() + 1 : end].split())), quoted=line[end] != "`"))
            at = end + 1
    return [w for w in found if w.text or w.quoted]


def _closing(line: str, start: int) -> int | None:
    closers = QUOTES.get(line[start], "")
    ends = (i for i in range(start + 1, len(line)) if line[i] in closers)
    return next((i for i in ends if i + 1 == len(line) or line[i + 1].isspace()), None) if closers else None


def _readable(text: str) -> str:
    """Slack's `<@U1|ana>`, `<#C1|general>`, `<https://...|text>` and `&amp;` as people read them."""
    text = MENTION.sub(lambda m: ("#" if m[1] == "#" else "@") + (m[3] or m[2]).lstrip("@#"), text)
    return ENTITY.sub(lambda m: {"amp": "&", "lt": "<", "gt": ">"}[m[1]], LINK.sub(r"\1", text))


def _person(text: str) -> str:
    whole = MENTION.fullmatch(text)
    return whole[2] if whole and whole[1] == "@" else ""
