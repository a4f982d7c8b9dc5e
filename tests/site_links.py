"""`make docs`, at its end: every link of the built site leads somewhere, and nothing of it is loaded from elsewhere.

zensical looks at links between pages; files, and what its own theme adds, are looked at here, in what was built.
"""

from __future__ import annotations

import os
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """One built page: its anchors, where its links lead, and what it loads by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors = {""}
        self.links, self.loads = list[str](), list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        loaded = "href" if tag == "link" and found.get("rel") in ("stylesheet", "icon", "preload") else "src"
        if loaded in found:
            self.loads.append(found[loaded])


def faults(site: Path) -> list[str]:
    """What is wrong with the site in that folder, a sentence each. Links to other sites are not followed."""
    pages = {file: Page(file.read_text(encoding="utf-8")) for file in sorted(site.rglob("*.html"))}
    found = []
    for file, page in pages.items():
        where = file.relative_to(site)
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loads and parts.scheme != "data":
                    found.append(f"{where}: loads {link}, which is not of this site")
                continue
            start = site if link.startswith("/") else file.parent
            target = Path(os.path.normpath(start / unquote(parts.path).lstrip("/"))) if parts.path else file
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                found.append(f"{where}: {link} leads nowhere")
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{where}: {link} names no place on that page")
    return found


if __name__ == "__main__":
    wrong = faults(Path(sys.argv[1]))
    print("\n".join(wrong), file=sys.stderr) if wrong else print(f"{sys.argv[1]}: every link leads somewhere")
    sys.exit(bool(wrong))
