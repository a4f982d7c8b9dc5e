"""The pages read the same on GitHub and on the site that `make docs` builds: links, anchors, lists, nothing from elsewhere."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docs_reading import EVERY, LINK, ROOT, TEXT, headings

from tests.site_links import faults

SITE = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
ITEM = re.compile(r" *(?:[-*]|\d+\.) ")


def listed(nav: Any) -> Iterator[str]:
    """Every page of the navigation."""
    for value in nav.values() if isinstance(nav, dict) else [nav] if isinstance(nav, str) else nav:
        if isinstance(value, str):
            yield value
        else:
            yield from listed(value)


def prose(name: str) -> Iterator[tuple[str, str]]:
    """Each line outside of fences, and the line before it."""
    fenced, before = False, ""
    for line in TEXT[name].splitlines():
        fence = line.startswith("```")
        if not fenced and not fence:
            yield before, line
        fenced, before = fenced is not fence, line


def test_every_page_is_read_by_these_tests_and_stands_in_the_navigation_once() -> None:
    pages = [
        *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
        *(path.name for path in ROOT.glob("*.md")),
    ]
    assert sorted(EVERY) == sorted(pages) == sorted(listed(SITE["nav"]))


@pytest.mark.parametrize("name", EVERY)
def test_what_a_page_links_to_is_copied_into_the_site(name: str) -> None:
    found = re.search(r"^PAGES := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    copied = found[1].split()
    for match in LINK.finditer(TEXT[name]):
        link = (match[1] or match[2]).partition("#")[0]
        if link and "://" not in link and not link.startswith("mailto:"):
            path = os.path.relpath((ROOT / name).parent / link, ROOT)
            assert path.split("/")[0] in copied, link


@pytest.mark.parametrize("name", EVERY)
def test_no_two_headings_of_a_page_have_the_same_anchor(name: str) -> None:
    found = headings(TEXT[name])
    assert sorted(set(found)) == sorted(found), "GitHub and the site would number them in ways of their own"


@pytest.mark.parametrize("name", EVERY)
def test_a_list_or_table_begins_after_an_empty_line(name: str) -> None:
    for before, line in prose(name):
        if ITEM.match(line) and not ITEM.match(before):
            assert not before.strip() or before.startswith("  "), f"the site takes this for more of the text: {line}"
        if line.startswith("|"):
            assert not before.strip() or before.startswith("|"), f"the site takes this for more of the text: {line}"


@pytest.mark.parametrize("name", EVERY)
def test_every_picture_says_in_words_what_it_shows(name: str) -> None:
    for words, picture in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", TEXT[name]):
        assert len(words) > 20, picture


@pytest.mark.parametrize("name", EVERY)
def test_nothing_of_a_page_comes_from_elsewhere(name: str) -> None:
    assert not re.search(r"!\[[^\]]*\]\(\w+:", TEXT[name]), "a picture of another site"
    assert "```mermaid" not in TEXT[name], "the site would fetch what draws it"


def test_nothing_of_the_site_comes_from_elsewhere() -> None:
    assert SITE["theme"]["font"] is False
    assert {"extra_css", "extra_javascript", "plugins", "extra"} & SITE.keys() == set()


def test_a_built_site_is_searched_for_links_that_lead_nowhere_and_for_what_it_loads_from_elsewhere(
    tmp_path: Path,
) -> None:
    (tmp_path / "docs/install").mkdir(parents=True)
    (tmp_path / "LICENSE").write_text("MIT")
    (tmp_path / "docs/install/index.html").write_text('<h2 id="5-check">Check</h2><a href="../../LICENSE">x</a>')
    start = tmp_path / "index.html"
    start.write_text('<a href="docs/install/#5-check">x</a> <a href="https://example.com/">x</a> <img src="data:,x">')
    assert faults(tmp_path) == []
    start.rename(tmp_path / "other.html")
    start.write_text(
        '<a href="docs/install/#6-check">x</a> <a href="docs/none/">x</a> <a href="#here">x</a> <img src="none.png">'
        '<script src="https://unpkg.com/mermaid"></script> <link rel="stylesheet" href="//fonts.example.com/css">'
    )
    assert faults(tmp_path) == [
        "index.html: docs/install/#6-check names no place on that page",
        "index.html: docs/none/ leads nowhere",
        "index.html: #here names no place on that page",
        "index.html: none.png leads nowhere",
        "index.html: loads https://unpkg.com/mermaid, which is not of this site",
        "index.html: loads //fonts.example.com/css, which is not of this site",
    ]
