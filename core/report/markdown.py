"""A packet as Markdown (CommonMark with GitHub's tables), in which nothing from outside is more than text.

Backslashes stand before what Markdown is made of. Some words act without any markup once they are pasted somewhere:
`@name` notifies people, an address becomes a link, `#12` another issue, `:tada:` a picture. They stand as code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from core.report.model import Address, Block, Code, Facts, Items, Report, Table, Words, sentence, shown
from core.telling import MARKED

ACTS = re.compile(r"(?i)@\w|#\d|\bgh-\d|://|www\.|mailto:|xmpp:|:(?=[\w+'-]*[a-z+-])[\w+'-]+:|(?<!\d):\d+:")
"""What forges and chats act on although no sign marks it. Source: GitHub Flavored Markdown, "Autolinks (extension)"."""
SIGNS = re.compile(r"[\\*\[\]<>|~&$#]|(?<![^\W_])_|_(?![^\W_])")
"""What has a meaning anywhere in a line; an underscore between letters has none."""
ALONE = re.compile(r"[\s.,;:!?()]|$")
"""Beside what a bold word is one in every reader of Markdown."""
BEGINS = re.compile(r"^(\d{1,9})(?=[.)](?:\s|$))|^(?=[-+](?:\s|$)|--|=)")
"""What has one at the beginning of a block only: lists and lines."""


def whole(report: Report, fence: str = "`") -> str:
    """The packet as one text. `fence`: the sign that code stands between, ` or ~."""
    return "\n\n".join(parts(report, fence)) + "\n"


def parts(report: Report, fence: str = "`") -> list[str]:
    """The same in pieces: the head, then each section."""
    head = [f"# {inline(report.title)}", *(f"> **{inline(label)}:** {inline(text)}" for label, text in report.notices)]
    found = ["\n\n".join(head)]
    for section in report.sections:
        blocks = [text for block in section.blocks if (text := _block(block, fence))]
        found.append("\n\n".join([f"## {inline(section.title)}", *blocks]))
    return found


def _block(block: Block, fence: str) -> str:
    match block:
        case Facts(rows, heading):
            lines = [
                f"- **{inline(label)}:** {inline(text)}" if label else f"  - {_begin(text)}" for label, text in rows
            ]
            return "\n".join([*([f"### {inline(heading)}", ""] if heading else []), *lines])
        case Table(head, rows):
            return "\n".join([_row(head), _row(["---"] * len(head), rule=True), *map(_row, rows)]) if rows else ""
        case Items(items, heading):
            lines = [f"- {_begin(one)}" for one in items]
            return "\n".join([*([f"### {inline(heading)}", ""] if heading else []), *lines])
        case Words(text):
            return _begin(text)
        case Code(heading, text, language):
            return f"### {inline(heading)}\n\n{fenced(text, language, fence)}"


def _row(cells: Sequence[str], rule: bool = False) -> str:
    return f"| {' | '.join(one if rule else inline(one, cell=True) for one in cells)} |"


def inline(text: str, cell: bool = False) -> str:
    """One sentence: what is marked in it is code or bold, the rest is text. `cell`: it stands in a table."""
    if isinstance(text, Address):
        return f"<{text}>"
    pieces = [piece for one in _marked(sentence(text)) for piece in one]
    found = []
    for is_code, group in groupby(pieces, key=lambda piece: piece[0]):
        joined = "".join(piece for _, piece in group)  # two spans side by side would be read as one with other marks
        found.append(code(joined, cell) if is_code else joined)
    return "".join(found)


Piece = tuple[bool, str]
"""Is it code; code as it is, else Markdown."""


def _marked(text: str) -> Iterator[list[Piece]]:
    """What is marked and what stands between."""
    at = 0
    for match in MARKED.finditer(text):
        yield _words(text[at : match.start()])
        if match[1]:
            yield [(True, match[1])]
        elif all(ALONE.match(beside) for beside in (text[: match.start()][-1:], text[match.end() :][:1])):
            yield [(False, "**"), *_words(match[2]), (False, "**")]
        else:
            yield _words(match[2])
        at = match.end()
    yield _words(text[at:])


def _begin(text: str) -> str:
    """The same where a block begins."""
    return BEGINS.sub(lambda m: f"{m[1] or ''}\\", inline(text))


def _words(text: str) -> list[Piece]:
    return [
        (True, word) if ACTS.search(word) else (False, SIGNS.sub(r"\\\g<0>", word).replace("`", "&#96;"))
        for word in re.split(r"(\s+)", text)
        if word
    ]


def code(text: str, cell: bool = False) -> str:
    """A span of code, with marks that nothing in it can end. A bar ends a cell of a table even there."""
    marks = "`" * (_longest(text, "`") + 1)
    stripped = text[:1] == text[-1:] == " " and text.strip()  # then a reader takes one away at each end
    pad = " " if text.startswith("`") or text.endswith("`") or stripped else ""
    inside = text.replace("|", r"\|") if cell else text
    return f"{marks}{pad}{inside}{pad}{marks}"


def fenced(text: str, language: str, sign: str) -> str:
    """A block of code, between fences longer than anything in it."""
    fence = sign * max(3, _longest(text, sign) + 1)
    return f"{fence}{language}\n{shown(text)}\n{fence}"


def _longest(text: str, sign: str) -> int:
    return max((len(run) for run in re.findall(f"{re.escape(sign)}+", text)), default=0)
