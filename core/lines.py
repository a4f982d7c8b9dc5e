"""Lines for a terminal: how wide they are, where they break, and which of their words mean something. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

OK, RUNNING, WARNING, FAILED, STRONG = "ok", "running", "warning", "failed", "strong"
"""What a word means; a colour repeats it where there are colours. STRONG only stresses it."""
Mark = tuple[str, str]
"""A text and what it means."""
LABELS = 48  # columns in which a line of ours may have its labels
CONTINUED = "   : "
"""Begins the rest of a line of SQL that was too long, where its first part began with `   | `."""
NARROW = 20  # columns; with less nothing can be read


class Line(str):
    """A text on one line. `tones`: what each character belongs to, empty for most; `cells`: of a table's row."""

    tones: tuple[str, ...]
    cells: tuple[Line, ...]

    def __new__(cls, text: str = "", tones: Iterable[str] = (), cells: Iterable[Line] = ()) -> Line:
        made = super().__new__(cls, text)
        made.tones = tuple(tones) or ("",) * len(text)
        made.cells = tuple(cells)
        return made


def line(*parts: str | Mark) -> Line:
    """A line from its parts; a part with a meaning is a pair."""
    text, tones = "", []
    for part in parts:
        said, tone = (part, "") if isinstance(part, str) else part
        text += said
        tones += list(part.tones) if isinstance(part, Line) else [tone] * len(said)
    return Line(text, tones)


def width(text: str) -> int:
    """Columns that a terminal needs for it. Source: Unicode, Standard Annex 11; what only joins others takes none."""
    if text.isascii() and "\t" not in text:
        return len(text)
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if character == "\t":
        return 8  # at most
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def padded(text: str, columns: int) -> str:
    """Filled up with blanks to a number of columns."""
    return text + " " * max(columns - width(text), 0)


def cut(text: Line, columns: int) -> Line:
    """What fits, with `…` where something was left out."""
    if width(text) <= columns:
        return text
    keep = _fits(text, columns - 1)
    return Line(text[:keep] + "…", (*text.tones[:keep], ""))


def table(rows: Sequence[Sequence[str | Mark]]) -> list[Line]:
    """Rows in columns; where they do not fit, `laid` gives each row lines of its own."""
    made = [[cell if isinstance(cell, Line) else line(cell) for cell in row] for row in rows]
    wide = [max(map(width, column)) for column in zip(*made, strict=True)]
    found = []
    for row in made:
        last = max((at for at, cell in enumerate(row) if cell), default=0)
        parts: list[str | Mark] = []
        for at, cell in enumerate(row[: last + 1]):
            parts += [cell, " " * (wide[at] - width(cell) + 2 if at < last else 0)]
        found.append(Line(one := line(*parts), one.tones, row))
    return found


def laid(lines: Iterable[str], columns: int | None) -> list[Line]:
    """The same for a screen of that many columns: nothing is cut off, words stay whole. None: as they are."""
    made = [part for one in lines for part in ([one] if isinstance(one, Line) else map(Line, one.split("\n")))]
    if columns is None:
        return made
    columns, found, at = max(columns, NARROW), [], 0
    while at < len(made):
        end = at + 1
        while made[at].cells and end < len(made) and made[end].cells:
            end += 1
        group = made[at:end]
        if made[at].cells and any(width(row) > columns for row in group):
            group = [part for row in group for part in _upright(row)]
        found += [part for one in group for part in fold(one, columns)]
        at = end
    return found


def _upright(row: Line) -> list[Line]:
    """A row that is too wide: its first cell, and below it the others."""
    first, *others = (cell for cell in row.cells if cell)
    parts: list[str | Mark] = [" " * (len(first) - len(first.lstrip(" ")) + 2)]
    for other in others:
        parts += [other, ", "]
    return [first, line(*parts[:-1])] if others else [first]


def fold(text: Line, columns: int, hang: int | None = None) -> list[Line]:
    """One line as several of at most that many columns, broken between words.

    `hang`: the column in which the rest begins; without it the rest stands below the line's value.
    """
    if width(text) <= columns:
        return [text]
    if text.startswith("   | "):
        return _chopped(text, columns)
    start = len(text) - len(text.lstrip(" "))
    lead = start if start <= columns // 2 else 4
    below = hang or _value(text, start, columns)
    if not below and hang is None:  # there is no room below the value: then there is none to waste on columns either
        text, below = _squeezed(text, start), min(lead + 4, columns // 2)
    found, indent = list[Line](), lead
    while start < len(text):
        end = start + _fits(text[start:], columns - indent)
        blank = text.rfind(" ", start, end + 1)
        if end < len(text) and blank > start:
            end = len(text[:blank].rstrip(" "))
        found.append(Line(" " * indent + text[start:end], ("",) * indent + text.tones[start:end]))
        start = end + len(text[end:]) - len(text[end:].lstrip(" "))
        indent = below
    return found


def _value(text: str, lead: int, columns: int) -> int:
    """Where a line's value stands, after our last gap of two blanks or more; 0 where that is too far to the right."""
    gap = text.rfind("  ", lead, LABELS) + 2
    return gap if lead + 2 < gap <= columns // 2 else 0


def _squeezed(text: Line, lead: int) -> Line:
    """Two blanks for each longer gap."""
    kept = [at for at in range(len(text)) if at < lead + 2 or text[at - 2 : at + 1] != "   "]
    return Line("".join(text[at] for at in kept), [text.tones[at] for at in kept])


def _chopped(text: Line, columns: int) -> list[Line]:
    """SQL that is too long: broken wherever the screen ends, since its blanks count; no part of it begins a line."""
    found, rest = [], text
    while width(rest) > columns:
        keep = max(_fits(rest, columns), len(CONTINUED) + 1)
        found.append(Line(rest[:keep], rest.tones[:keep]))
        rest = line(CONTINUED, Line(rest[keep:], rest.tones[keep:]))
    return [*found, rest]


def _fits(text: str, columns: int) -> int:
    """How many characters have room there; at least one."""
    keep, room = 0, columns
    while keep < len(text) and room >= _width(text[keep]):
        room -= _width(text[keep])
        keep += 1
    return max(keep, 1)
