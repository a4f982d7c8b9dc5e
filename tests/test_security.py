"""SECURITY.md names a test for each defence, and each of them exists."""

from __future__ import annotations

import re

from docs_reading import ROOT, rows

TESTS = ROOT / "tests"
NOT_YET = {"test_witness*.py", "test_totp*.py", "test_break_glass*.py", "test_living*.py"}
"""Patterns of files in place of names."""


def test_every_defence_names_tests_that_exist() -> None:
    table = rows("SECURITY.md", "## Who, what, and what stands in the way")
    for who, attack, defence, tests in table:
        named = re.findall(r"`([^`]+)`", tests)
        assert who and attack and defence and named, (who, attack)
        for one in named:
            file, _, test = one.partition("::")
            if not test:
                assert one in NOT_YET or list(TESTS.glob(one)), one
                continue
            assert f"\ndef {test}(" in (TESTS / file).read_text(encoding="utf-8"), one


def test_what_is_not_defended_says_so_of_a_stolen_session() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8").split("## What is not defended, and why")[1]
    assert "stolen Slack session" in text and "Root" in text
