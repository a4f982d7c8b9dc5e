"""A packet as one HTML file: nothing is loaded from anywhere, nothing runs, and it prints."""

from __future__ import annotations

import re
from html import escape
from importlib.resources import files

from core.report.model import Address, Block, Code, Facts, Items, Report, Table, Words, sentence, shown
from core.telling import MARKED

SHORT = 16  # characters
HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
"""
FOOT = "</main>\n</body>\n</html>\n"


def whole(report: Report) -> str:
    """The packet as one text."""
    title = inline(report.title)
    notices = [
        f'<p class="notice" role="note"><strong>{inline(label)}:</strong> {inline(text)}</p>'
        for label, text in report.notices
    ]
    links = [f'<li><a href="#{anchor(one.title)}">{inline(one.title)}</a></li>' for one in report.sections]
    body = [f"<h1>{title}</h1>", *notices, f'<nav aria-label="Sections"><ul>{"".join(links)}</ul></nav>']
    for section in report.sections:
        blocks = "\n".join(_block(block) for block in section.blocks)
        body.append(f'<section id="{anchor(section.title)}">\n<h2>{inline(section.title)}</h2>\n{blocks}\n</section>')
    head = HEAD.format(
        title=escape(sentence(report.title)), style=(files("core") / "report" / "style.css").read_text("utf-8")
    )
    return head + "\n".join(body) + "\n" + FOOT


def anchor(title: str) -> str:
    """Ways back -> ways-back"""
    return re.sub(r"[^a-z]+", "-", title.lower()).strip("-")


def _block(block: Block) -> str:
    match block:
        case Facts(rows, heading):
            lines = [f'<tr><th scope="row">{inline(label)}</th><td>{inline(text)}</td></tr>' for label, text in rows]
            return _headed(heading, tag('table class="facts"', tag("tbody", *lines)) if lines else "")
        case Table(head, rows):
            return _table(head, rows)
        case Items(items, heading):
            lines = [f"<li>{inline(one)}</li>" for one in items]
            return _headed(heading, tag("ul", *lines))
        case Words(text):
            return f"<p>{inline(text)}</p>"
        case Code(heading, text):
            return _headed(heading, f'<pre tabindex="0"><code>{escape(shown(text))}</code></pre>')


def _headed(heading: str, block: str) -> str:
    return f"<h3>{inline(heading)}</h3>\n{block}" if heading else block


def _table(head: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> str:
    heads = "".join(f'<th scope="col"{short(one)}>{inline(one)}</th>' for one in head)
    lines = ["<tr>" + "".join(f"<td{short(one)}>{inline(one)}</td>" for one in row) + "</tr>" for row in rows]
    table = tag("table", tag("thead", f"<tr>{heads}</tr>"), tag("tbody", *lines))
    return tag('div class="wide" tabindex="0"', table) if rows else ""


def short(text: str) -> str:
    """A time, an id or a name of one or two words stays on one line."""
    return ' class="short"' if len(text) <= SHORT else ""


def tag(name: str, *inside: str) -> str:
    """An element around others, on lines of their own."""
    return "\n".join([f"<{name}>", *inside, f"</{name.partition(' ')[0]}>"])


def inline(text: str) -> str:
    """One sentence: what is marked in it is code or bold, the rest is text."""
    if isinstance(text, Address):
        return f'<a href="{escape(text)}" rel="noreferrer noopener nofollow">{escape(text)}</a>'
    text = sentence(text)
    found, at = [], 0
    for match in MARKED.finditer(text):
        found.append(escape(text[at : match.start()]))
        found.append(f"<code>{escape(match[1])}</code>" if match[1] else f"<b>{escape(match[2])}</b>")
        at = match.end()
    return "".join([*found, escape(text[at:])])
