"""The incident packet in a modal: its Markdown in pages, to be copied. Slack is given no file."""

from __future__ import annotations

from collections.abc import Iterator

from bot.messages.blocks import section
from bot.messages.full_plan import book, paged
from bot.messages.text import code, fence, split, sql_text
from core.model import Json
from core.report import Case, markdown, of

_PIECE = 2700  # of a section's 2,800 characters, with room for the fences


def report(case: Case, page: int = 1) -> Json:
    """One page of it; a page that is not there becomes the nearest one.

    The buttons to other pages carry `rb.report` and `RUN.revision`, as those of `full_plan` do. An open run moves on
    between two pages; what they show is as of the event that the first of them names.
    """
    run = case.run
    every = paged(section(fence(piece)) for piece in pieces(case))
    every[0].insert(0, section(_head(run.id)))
    return book(run, every, page, "rb.report", f"Report {run.id}")


def _head(run: str) -> str:
    page, file = (code(f"rollback report {run}{more}") for more in (f" --html --out {run}.html", f" --out {run}.md"))
    return f"Markdown for a postmortem, to be copied. In the shell {file} writes it, and {page} a page to print."


def pieces(case: Case) -> Iterator[str]:
    """The Markdown, escaped for Slack, as many of its parts together as a section holds.

    Its own code stands between tildes: three backticks would end Slack's block.
    """
    held = ""
    for part in markdown.parts(of(case), fence="~"):
        shown = sql_text(part)
        if held and len(held) + len(shown) + 2 > _PIECE:
            yield from split(held, _PIECE)
            held = ""
        held = f"{held}\n\n{shown}" if held else shown
    yield from split(held, _PIECE)
