"""A packet read back, as CommonMark with GitHub's tables has it read; what has a meaning and is none of ours is an error.

Markdown: spec.commonmark.org 0.31 (backslash escapes, code spans, fenced code) and the table extension of GFM 0.29.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from core.report.model import Address, Block, Code, Facts, Items, Report, Table, Words, sentence, shown
from core.telling import MARKED

ACTS = re.compile(r"@\w|#\d|://|www\.\w|:[a-z_]+:|\bGH-\d", re.IGNORECASE)
"""What forges act on although no sign marks it."""
FENCE = re.compile(r"^(`{3,}|~{3,})(\w*)$")


def text_of(report: Report) -> list[str]:
    """Every text of a packet in the order in which it stands, without its marks."""
    found = [bare(report.title), *(f"{bare(label)}: {bare(text)}" for label, text in report.notices)]
    for section in report.sections:
        found += [section.title, *(text for block in section.blocks for text in _texts(block))]
    return [text for text in found if text]


def _texts(block: Block) -> Iterator[str]:
    match block:
        case Facts(rows, heading):
            yield from (bare(heading), *(bare(text) for row in rows for text in row))
        case Table(head, rows):
            yield from (bare(text) for row in (head, *rows) for text in row) if rows else ()
        case Items(items, heading):
            yield from map(bare, (heading, *items))
        case Words(text):
            yield bare(text)
        case Code(heading, text):
            yield from (bare(heading), shown(text))


def bare(text: str) -> str:
    """As it is read: no marks, one line."""
    return str(text) if isinstance(text, Address) else MARKED.sub(lambda m: m[1] or m[2], sentence(text)).strip()


class Reader:
    """Reads Markdown of ours. `texts`: every text, in order; `lines`: as they stand, without code. Raises AssertionError where something has broken out."""

    def __init__(self, markdown: str) -> None:
        self.texts: list[str] = []
        self.lines: list[str] = []
        lines = iter(markdown.split("\n"))
        for text in lines:
            if fence := FENCE.match(text):
                self.fenced(fence[1], lines)
            elif text:
                self.one(text)

    def fenced(self, opened: str, lines: Iterator[str]) -> None:
        """Code goes on to a line of at least as many of the same sign."""
        inside = []
        for text in lines:
            if re.fullmatch(rf" {{0,3}}{opened[0]}{{{len(opened)},}} *", text):
                break
            inside.append(text)
        self.add("\n".join(inside))

    def one(self, text: str) -> None:
        """A line outside of code."""
        self.lines.append(text)
        if text.startswith("|"):
            cells = re.split(r"(?<!\\)\|", text)
            assert cells[0] == cells[-1] == "", text
            if set(text) - set("|- "):
                self.width = getattr(self, "width", None) or len(cells)
                assert len(cells) == self.width, text
                for cell in cells[1:-1]:
                    self.add(inline(cell.strip().replace("\\|", "|"), cell=True))
            return
        self.width = None
        head, rest = re.fullmatch(r"(#{1,3} |> \*\*|- \*\*|  - |- |)(.*)", text).groups()  # type: ignore[union-attr]
        if head == "- **":
            label, _, rest = rest.partition(":** ")
            self.add(inline(label))
        elif head == "> **":
            rest = rest.replace(":** ", ": ", 1)
        elif not head:
            assert not re.match(r"[-+=>#]|\d+[.)](\s|$)|    |\t", rest), text
        self.add(inline(rest))

    def add(self, text: str) -> None:
        if text:
            self.texts.append(text)


def inline(text: str, cell: bool = False) -> str:
    """What a line says. Raises AssertionError at a sign that has a meaning and is none of ours."""
    if re.fullmatch(r"<https?://[^\s<>]+>", text):
        return text[1:-1]
    found, outside, at = [], [""], 0
    while at < len(text):
        if text[at] == "\\" and text[at + 1 : at + 2] in set("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"):
            found.append(text[at + 1])
            at += 2
        elif text.startswith("&#96;", at):
            found.append("`")
            at += 5
        elif text[at] == "`":
            marks = re.match("`+", text[at:])[0]  # type: ignore[index]
            end = re.search(rf"(?<!`){marks}(?!`)", text[at + len(marks) :])
            assert end, text
            inner = text[at + len(marks) :][: end.start()]
            padded = inner[:1] == inner[-1:] == " " and inner.strip()
            found.append(inner[1:-1] if padded else inner)
            at += 2 * len(marks) + len(inner)
            outside.append("")
            continue
        elif text.startswith("**", at):
            at += 2
            continue
        else:
            assert text[at] not in "`*[]<>~&$#" and (cell or text[at] != "|"), text
            assert text[at] != "_" or (text[at - 1 : at].isalnum() and text[at + 1 : at + 2].isalnum()), text
            found.append(text[at])
            at += 1
        outside[-1] += found[-1]
    assert not any(map(ACTS.search, outside)), text
    return "".join(found).strip()


OURS = {
    "html": {"lang"}, "head": set(), "meta": {"charset", "http-equiv", "content", "name"}, "title": set(), "style": set(),
    "body": set(), "main": set(), "h1": set(), "h2": set(), "h3": set(), "p": {"class", "role"}, "strong": set(),
    "nav": {"aria-label"}, "ul": set(), "li": set(), "a": {"href", "rel"}, "section": {"id"}, "div": {"class", "tabindex"},
    "table": {"class"}, "thead": set(), "tbody": set(), "tr": set(), "th": {"scope", "class"}, "td": {"class"}, "code": set(),
    "b": set(), "pre": {"tabindex"},
}  # fmt: skip
WHOLE = {"h1", "h2", "h3", "p", "li", "th", "td", "pre"}


class Page(HTMLParser):
    """Reads the page. `texts` as of Reader. Raises AssertionError at an element or attribute that is none of ours."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.texts: list[str] = []
        self.links: list[str] = []
        self.held = ""
        self.feed(text)
        self.close()
        assert self.open == [], self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in OURS and {name for name, _ in attrs} <= OURS[tag], (tag, attrs)
        self.links += [str(value) for name, value in attrs if name == "href"]
        if tag != "meta":
            self.open.append(tag)
        if tag in WHOLE:
            self.held = ""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag in WHOLE and "nav" not in self.open and self.held.strip():
            self.texts.append(self.held.strip())

    def handle_data(self, data: str) -> None:
        self.held += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)
