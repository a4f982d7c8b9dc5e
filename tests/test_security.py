"""SECURITY.md names a test for each defence, and each of them exists."""

from __future__ import annotations

import re

from docs_reading import ROOT, rows

TESTS = ROOT / "tests"


def test_every_defence_names_tests_that_exist() -> None:
    table = rows("SECURITY.md", "## Who, what, and what stands in the way")
    for who, attack, defence, tests in table:
        named = re.findall(r"`([^`]+)`", tests)
        assert who and attack and defence and named, (who, attack)
        for one in named:
            file, _, test = one.partition("::")
            assert f"\ndef {test}(" in (TESTS / file).read_text(encoding="utf-8"), one


def test_what_is_not_defended_says_so_of_a_stolen_session() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8").split("## What is not defended, and why")[1]
    assert "stolen Slack session" in text and "Root" in text
