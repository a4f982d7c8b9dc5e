"""Completion: the scripts for bash, zsh and fish, and the answer to what they ask.

A script hands over the words up to the cursor, the last one as far as it is typed, and gets lines `word TAB meaning`, or the
exit code 10 where names of files fit. What fits is read from how each verb is typed (core/verbs.py), so that a new verb
needs nothing here. Nothing is ever made, asked of a database, or said on stderr: a prompt is no place for it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.manual import EVERYWHERE, GROUPS, read, summary
from core.verbs import VERBS

SHELLS = ("bash", "zsh", "fish")
FILES = 10
"""The exit code that says: names of files fit here."""
FEW = 10  # migrations that are offered beside the verbs where nothing is typed yet
FLAG = re.compile(r"\[--([a-z][\w-]*)(?: (?:\[([A-Z]+)\]|([A-Z]+)))?\]")
PATHS = ("FILE", "FOLDER")
Offer = tuple[str, str]
"""A word and its meaning."""


class Names(Exception):
    """Names of files fit here."""


def script(words: Sequence[str]) -> int:
    """`rollback completion SHELL`. Raises Refused(E-USAGE)."""
    wanted = [word.lower() for word in words if word != "--json"]
    if len(wanted) != 1 or wanted[0] not in SHELLS:
        from core.errors import Refused

        raise Refused(
            "E-USAGE", f"I know completion for {', '.join(SHELLS)}.", f"It is typed: `{VERBS['completion'][0]}`."
        )
    text = (Path(__file__).parent / f"rollback.{wanted[0]}").read_text(encoding="utf-8")
    if "--json" in words:
        from core.shell import put

        put({"ok": True, "script": text})
    else:
        sys.stdout.write(text)
    return 0


def answer(words: Sequence[str]) -> int:
    """Print what fits in place of the last word; the exit code."""
    try:
        for word, meaning in offers(words or [""]):
            print(f"{word}\t{' '.join(meaning.split())}")
    except Names:
        return FILES
    except Exception:  # noqa: BLE001 - whatever is wrong, nobody has asked for it
        return 1
    return 0


def offers(words: Sequence[str]) -> list[Offer]:
    """What fits. Raises Names."""
    *before, current = parted(words)
    prefix = ""
    if match := re.fullmatch(r"(--[a-z][\w-]*=)(.*)", current):
        prefix, current = match[1], match[2]
        before.append(prefix[:-1])
    verb, positional, flags, pending = understood(before)
    if pending and not (pending == "TEXT" and current.startswith("-")):
        found = list(of_kind(pending, flags))
    elif current.startswith("-"):
        found = list(flags_of(verb, flags))
    elif not before:
        found = [*verbs(), *of_usage(expected("request", []), {}, None if current else FEW)]
    else:
        tokens = expected(verb, positional)
        found = list(of_usage(tokens, flags) if tokens or current else flags_of(verb, flags))
    return [(prefix + word, meaning) for word, meaning in found if begins(word, current)]


def parted(words: Sequence[str]) -> list[str]:
    """The words as they are meant: bash makes three of `--on=production`, and one of an open quote."""
    found: list[str] = []
    for at, word in enumerate(words):
        if word == "=" and at and words[at - 1].startswith("--"):
            if at == len(words) - 1:
                found.append("")
        else:
            found.append(word.lstrip("\"'") if at == len(words) - 1 else word)
    return found


def begins(word: str, current: str) -> bool:
    """Does it begin so? A run may be typed in small letters and without its dash, as everywhere."""
    plain = word.lower()
    return plain.startswith(current.lower()) or (
        plain.startswith("rb-") and plain.replace("-", "").startswith(current.lower())
    )


def understood(before: Sequence[str]) -> tuple[str, list[str], dict[str, str], str]:
    """The verb, its words, the flags with their values, and which kind of word a flag still waits for."""
    first = before[0].lower() if before else ""
    verb = {"cancel": "stop"}.get(first, first if first in VERBS else "request")
    takes = arguments(verb)
    positional, flags, pending, flag = list[str](), dict[str, str](), "", ""
    for word in before if verb == "request" else before[1:]:
        if word.startswith("--"):
            flag, given, value = word[2:].partition("=")
            flags[flag] = value
            pending = takes.get(flag, "") if not given or takes.get(flag) == "TEXT" else ""
        elif pending:
            flags[flag] = f"{flags[flag]} {word}".strip()
            pending = pending if pending == "TEXT" else ""
        else:
            positional.append(word.lower())
    return verb, positional, flags, pending


def arguments(verb: str) -> dict[str, str]:
    """Flags of a verb, with the kind of word that follows each; empty where none does."""
    return {match[1]: match[2] or match[3] or "" for match in FLAG.finditer(VERBS[verb][0])}


def expected(verb: str, positional: Sequence[str]) -> list[str]:
    """The words that may follow, as the usage says: themselves, or in capitals what stands for them; these come last."""
    tokens = re.sub(r"[\[\]]", " ", FLAG.sub("", VERBS[verb][0])).split()
    ways = " ".join(tokens[tokens[:1] == [verb] :]).split(" | ")
    at, found = len(positional), list[str]()
    for way in map(str.split, ways):
        typed = zip(way, positional, strict=False)
        if len(way) > at and all(token in (word, token.upper()) for token, word in typed):
            found.append(way[at])
    return sorted(found, key=lambda token: not token.islower())


def of_usage(tokens: Sequence[str], flags: dict[str, str], most: int | None = None) -> Iterator[Offer]:
    """The words that fit there. `most`: of a kind."""
    known = {"latest": "the newest migration", "to": "everything after a migration"}
    for token in tokens:
        if token.islower():
            yield token, known.get(token, "")
        else:
            yield from list(of_kind(token, flags))[:most]


def of_kind(kind: str, flags: dict[str, str]) -> Iterator[Offer]:
    """What can stand for a word in capitals of the usage. Raises Names."""
    if kind in PATHS:
        raise Names
    if kind == "VERB":
        yield from verbs()
    elif kind == "NAME":
        from core.settings import LAYOUTS

        yield from ((name, "layout") for name in LAYOUTS)
    elif kind in ("RUN", "MIGRATION", "VERSION", "TARGET"):
        from core.completion import world

        yield from world.of_kind(kind, flags.get("on", ""), os.environ)


def verbs() -> Iterator[Offer]:
    """What this version can do."""
    for group in GROUPS.values():
        yield from ((verb, summary(verb)) for verb in group if verb != "request")


def flags_of(verb: str, used: dict[str, str]) -> Iterator[Offer]:
    """The flags that are not there yet, each with its first sentence."""
    told = {flag.split()[0]: meaning for flag, meaning in read(verb).get("FLAGS", ())}
    names = [*(f"--{name}" for name in arguments(verb) if name != "json"), "--json", "--help"]
    told |= {name: meaning for terms, meaning in EVERYWHERE for name in terms.split(", ")}
    for name in names:
        if name[2:] not in used:
            yield name, told.get(name, "").split(". ")[0].rstrip(".")
