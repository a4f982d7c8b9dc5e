"""The same texts as a manual page, in roff. Source of the macros: groff_man(7)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from core import __version__
from core.manual import GROUPS, Sections, of_verb, read, usage


def page() -> str:
    """rollback.1 as a whole."""
    general = read("rollback")
    name, *about = [meaning for _, meaning in general.pop("")]
    general.pop("USAGE")
    lines = [f'.TH ROLLBACK 1 "" "Rollback Bot {__version__}" "User Commands"', ".SH NAME"]
    lines += [escaped(name.replace(": ", " - ", 1).rstrip(".")), ".SH SYNOPSIS"]
    verbs = [verb for group in GROUPS.values() for verb in group]
    for verb in verbs:
        lines += [f".B {escaped(usage(verb))}", ".br"]
    lines += [".SH DESCRIPTION", *(row for one in about for row in (".PP", formed(one)))]
    lines += [row for heading in ("FLAGS", "EXIT CODES") for row in section(heading, general)]
    lines.append(".SH VERBS")
    for verb in verbs:
        told = of_verb(verb)
        lines += [f".SS {escaped(usage(verb))}", formed(told.pop("")[0][1].partition(": ")[2].capitalize() + ".")]
        lines += [row for _, meaning in told.pop("ABOUT") for row in (".PP", formed(meaning))]
        for heading in ("FLAGS", "EXAMPLES", "EXIT CODES"):
            rows = told.get(heading, [])
            lines += [".PP", f".I {heading.capitalize()}", *entries(rows)] if rows else []
    lines += [row for heading in ("EXAMPLES", "ENVIRONMENT", "FILES", "SEE ALSO") for row in section(heading, general)]
    return "\n".join(lines) + "\n"


def section(heading: str, sections: Sections) -> Iterator[str]:
    """One section with its heading, if there is any such."""
    if heading in sections:
        yield f'.SH "{heading}"'
        yield from entries(sections[heading])


def entries(rows: list[tuple[str, str]]) -> Iterator[str]:
    """Terms with their meaning, and paragraphs."""
    for term, meaning in rows:
        yield from (".TP", f".B {escaped(term)}", formed(meaning)) if term else (".PP", formed(meaning))


def formed(text: str) -> str:
    """A paragraph; what stands in backticks is set in bold."""
    return re.sub(r"`([^`]*)`", r"\\fB\1\\fR", escaped(text))


def escaped(text: str) -> str:
    """Nothing in it is a command of roff."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...").replace("'", "\\(aq")
    return f"\\&{text}" if text.startswith((".", "\\(aq")) else text
