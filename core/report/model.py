"""What a packet is made of: sections of facts, tables, lists, sentences and code. It is built once and rendered twice.

Every text in it is a sentence as the core writes them: `code` and *one word* are marked, all else is text and nothing
more, whatever it looks like. The core's own sentences pass `sentence` first, what comes from outside `line` or `name`, so
that it marks nothing; the renderers escape everything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from core.model import Json
from core.redact import clean_all, visible

ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(?::\d{1,5})?(?:[/?#][!-;=?-_a-{}~]*)?")
"""An address that may become a link: plain ASCII, a host that is what it seems, no sign that ends a link."""


class Address(str):
    """A text that is nothing but an address (`ADDRESS`)."""

    __slots__ = ()


@dataclass(frozen=True)
class Facts:
    """Label and sentence, row by row. An empty label goes on with the one above. `heading` may be empty."""

    rows: tuple[tuple[str, str], ...]
    heading: str = ""


@dataclass(frozen=True)
class Table:
    """Cells under headings; every row has as many."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Items:
    """One sentence each. `heading` may be empty."""

    items: tuple[str, ...]
    heading: str = ""


@dataclass(frozen=True)
class Words:
    """One sentence, or a few."""

    text: str


@dataclass(frozen=True)
class Code:
    """Text that is shown as it is, below its heading."""

    heading: str
    text: str
    language: str = "sql"


Block = Facts | Table | Items | Words | Code


@dataclass(frozen=True)
class Section:
    """One heading and what stands below it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """`notices`: label and sentence of what must be seen before all else."""

    title: str
    notices: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]


def sentence(text: object) -> str:
    """A sentence of the core as one line, with nothing in it that cannot be seen. Its marks stay."""
    return shown(" ".join(str(text).split()))


def shown(text: str) -> str:
    """A text as it may be shown. Known secrets go here, since the renderers write what they consist of in other ways."""
    return visible(clean_all(text))


def line(text: object) -> str:
    """Somebody's words, or a value: the same, and the two signs that mark something become ones that mark nothing."""
    return sentence(text).replace("`", "ˋ").replace("*", "∗")


def name(text: object) -> str:
    """A name, marked as code."""
    return f"`{sentence(text).replace('`', 'ˋ') or ' '}`"


def names(items: Sequence[object]) -> str:
    """Names, one after the other."""
    return ", ".join(map(name, items))


def address(text: str) -> str:
    """An address as one where it is fit to be a link, else as text."""
    return Address(text) if ADDRESS.fullmatch(text) else line(text)


def data(report: Report) -> Json:
    """The same for machines."""
    sections = [{"title": one.title, "blocks": [_block(block) for block in one.blocks]} for one in report.sections]
    return {"title": report.title, "notices": [list(one) for one in report.notices], "sections": sections}


def _block(block: Block) -> Json:
    return {"kind": type(block).__name__.lower(), **vars(block)}
