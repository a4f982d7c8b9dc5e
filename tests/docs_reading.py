"""The documentation, cut into what its tests hold against the code."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
OWN = (
    "README.md", "CHANGELOG.md", "docs/install.md", "docs/operating.md", "docs/commands.md", "docs/ledger.md",
    "docs/architecture.md", "docs/promises.md", "docs/writing-rollback-scripts.md", "docs/check.md", "docs/layouts.md",
    "docs/services.md", "docs/save.md", "docs/backups.md", "docs/performance.md", "docs/reliability.md",
    "docs/second-factor.md", "docs/demo.md", "docs/runbook.md", "docs/adapters.md", "docs/decisions.md",
    "docs/example-report.md",
    "docs/workspace.md", "docs/drills.md", "docs/readiness.md", "docs/numbers.md",
    "docs/watching.md",
)  # fmt: skip
EVERY = (*OWN, "CONTRIBUTING.md", "SECURITY.md", "docs/settings.md")
TEXT = {name: (ROOT / name).read_text(encoding="utf-8") for name in EVERY}
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")
CODE = re.compile(r"E-[A-Z]+(?:-[A-Z]+)*")
PATHS = re.compile(r"(?<![\w/.:$-])((?:core|bot|demo|docs|tests|scripts)/[\w./-]*\w)")


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT[name], re.MULTILINE | re.DOTALL)


def rows(name: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    part = TEXT[name].split(f"\n{heading}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", part, re.MULTILINE)
    assert table, heading
    return [[c.strip() for c in line.strip("|").split(" | ")] for line in table[0].splitlines()[2:]]


def headings(text: str) -> list[str]:
    """GitHub's anchors of the headings, in their order."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads]


def anchors(text: str) -> set[str]:
    """The same, to look one up."""
    return set(headings(text))
