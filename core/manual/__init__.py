"""What `rollback --help`, `rollback help VERB` and the manual page say: one text for each verb, in `pages`.

A page is plain text: paragraphs, then sections under a heading in capitals. In a section an entry is a line, and below it,
indented, what it means. How a verb is typed and its one sentence come from core/verbs.py, so that they stand there once.
Nothing else is imported here: help must be there at once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from core.lines import STRONG, Line, fold, line, padded
from core.verbs import VERBS

PAGES = Path(__file__).parent / "pages"
GROUPS = {
    "UNDO": ("request", "plan"),
    "DECIDE": ("approve", "deny", "withdraw", "stop", "break-glass"),
    "AFTER IT": ("reapply", "restore", "release", "resume", "verify", "keep"),
    "BE READY": ("backup", "guard", "readiness"),
    "LOOK": ("status", "history", "stats", "show", "report", "migrations", "audit", "whoami"),
    "SET UP": ("init", "doctor", "check", "totp", "drill", "completion", "help"),
}
"""Every verb, under what one wants to do."""
EVERYWHERE = (
    ("--json", "Print one object, with `schema_version` and `ok`, for programs."),
    ("-h, --help", "Print this text; nothing else is done."),
)
"""Flags of every verb."""
HEADINGS = ("USAGE", "FLAGS", "EXAMPLES", "EXIT CODES", "ENVIRONMENT", "FILES", "SEE ALSO")
COLUMN = 20  # where the meaning of an entry stands
WIDEST = 100  # columns; longer lines are hard to read
Entry = tuple[str, str]
"""A term and its meaning; a paragraph has no term."""
Sections = dict[str, list[Entry]]


def read(name: str) -> Sections:
    """A page: heading -> entries; the first paragraphs are under an empty heading."""
    found: Sections = {"": []}
    heading = ""
    for block in (PAGES / f"{name}.txt").read_text(encoding="utf-8").strip().split("\n\n"):
        rows = block.split("\n")
        if rows[0] in HEADINGS:
            heading, *rows = rows
            found[heading] = []
        if rows and not any(row.startswith(" ") for row in rows):
            found[heading].append(("", " ".join(rows)))
        else:
            found[heading] += entries(rows)
    return found


def entries(rows: Iterable[str]) -> Iterator[Entry]:
    """A term at the line's beginning, its meaning indented below it."""
    term, meaning = "", list[str]()
    for row in rows:
        if row.startswith(" "):
            meaning.append(row.strip())
            continue
        if term:
            yield term, " ".join(meaning)
        term, meaning = row, []
    if term:
        yield term, " ".join(meaning)


def usage(verb: str) -> str:
    """How it is typed."""
    return f"rollback {' '.join(VERBS[verb][0].split())}"


def of_verb(verb: str) -> Sections:
    """Everything about one verb."""
    page = read(verb)
    name = "rollback MIGRATION" if verb == "request" else f"rollback {verb}"
    first: Sections = {"": [("", f"{name}: {summary(verb)}")], "USAGE": [("", usage(verb))]}
    told = {"ABOUT": page.pop("")}
    return {**first, **told, "FLAGS": [*page.pop("FLAGS", []), *EVERYWHERE], **page}


def whole() -> Sections:
    """`rollback --help`."""
    page = read("rollback")
    found: Sections = {"": page.pop(""), "USAGE": page.pop("USAGE")}
    for heading, verbs in GROUPS.items():
        found[heading] = [(typed(verb), summary(verb)) for verb in verbs]
    return {**found, **page}


def summary(verb: str) -> str:
    """What it does, for readers who are in the shell already."""
    return VERBS[verb][1].removeprefix("in the shell only: ")


def typed(verb: str) -> str:
    """What stands for a verb in a list."""
    return "MIGRATION, latest" if verb == "request" else verb


def brief() -> Sections:
    """What is said where nothing was typed: how it is typed, and what there is."""
    page = whole()
    more = [("", "`rollback --help` says more, `rollback help VERB` everything about one verb.")]
    return {"": page[""][:1]} | {heading: page[heading] for heading in ("USAGE", *GROUPS)} | {" ": more}


def text(sections: Sections, columns: int) -> list[Line]:
    """A page as lines of at most that many columns."""
    found: list[Line] = []
    for heading, rows in sections.items():
        found += [Line(), line((heading, STRONG))] if heading.strip() else []
        for number, (term, meaning) in enumerate(rows):
            if not term:
                found += [Line()] if not heading.strip() or (number and heading == "ABOUT") else []
                indent = 0 if not heading else 2
                found += fold(Line(" " * indent + meaning), columns, indent + 4 * (heading == "USAGE"))
            elif heading == "EXAMPLES" or len(term) > COLUMN - 4 or columns < 60:
                found += [*fold(Line(f"  {term}"), columns, 6), *fold(Line(f"      {meaning}"), columns, 6)]
            else:
                found += fold(Line(f"  {padded(term, COLUMN - 2)}{meaning}"), columns, COLUMN)
    return found[1:]


def main(words: list[str]) -> int:
    """Print what was asked for; the exit code. Raises Refused(E-USAGE) for a verb that there is not."""
    plain, asked = [word for word in words if not word.startswith("-")], {"-h", "--help", "--man"} & {*words}
    bare = not plain and not asked
    by_verb = bool(plain) and plain[0].lower() == "help"
    if by_verb:
        plain = plain[1:] or (["help"] if asked - {"--man"} else [])
    sections = brief() if bare else of_verb(verb_of(plain[0], by_verb)) if plain else whole()
    if "--man" in words:
        from core.manual.man import page

        sys.stdout.write(page())
    elif "--json" in words:
        from core.shell import put

        put({"ok": not bare, "help": "\n".join(text(sections, 80))})
    else:
        from core.screen import out, wanted

        screen = out()
        columns = min(screen.columns or wanted(screen.env) or 80, WIDEST)
        screen.put(*text(sections, columns), columns=columns)
    return 2 if bare else 0


def verb_of(word: str, by_verb: bool) -> str:
    """The verb that a word is, or stands for: a migration stands for a request.

    `by_verb`: it was asked for by `help`. Raises Refused(E-USAGE) where it is none, but close to one.
    """
    verb = {"cancel": "stop", "latest": "request", "to": "request"}.get(word.lower(), word.lower())
    if verb in VERBS:
        return verb
    from core.grammar import parse_words

    parse_words(["help", word] if by_verb else [word])
    return "request"
