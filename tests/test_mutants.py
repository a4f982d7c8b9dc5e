"""The faults of `make mutants` still fit the code, and the tests that are to find them are there; planting them is its business."""

from __future__ import annotations

import pytest

from tests.mutants import ROOT, Mutant, Unplantable, every, read

TABLE = "# for readers\n== it is broken\ncore/desk.py\n-a = 1\n-b = 2\n+\n> test_desk.py::test_one\n> test_gate.py\n"


def test_every_mutant_can_be_planted_and_names_tests_that_exist() -> None:
    found = every()  # raises where a text of theirs does not stand in the code exactly once: mend tests/mutants/*.txt
    assert len(found) > 150 and len({one.file for one in found}) > 30
    for mutant in found:
        assert mutant.planted((ROOT / mutant.file).read_text(encoding="utf-8")) and mutant.old != mutant.new
        for test in mutant.tests:
            file, _, name = test.partition("::")
            source = (ROOT / file).read_text(encoding="utf-8")
            assert f"def {name.partition('[')[0]}(" in source if name else source, f"{mutant.name}: {test}"


def test_a_mutant_is_read_as_a_patch_and_what_does_not_fit_is_said() -> None:
    (one,) = read(TABLE)
    assert one == Mutant(
        "it is broken", "core/desk.py", "a = 1\nb = 2", "", ("tests/test_desk.py::test_one", "tests/test_gate.py")
    )
    assert one.planted("x\na = 1\nb = 2\ny") == "x\n\ny"
    for text in ("a = 1", "a = 1\nb = 2\na = 1\nb = 2"):
        with pytest.raises(Unplantable, match=r"it is broken: its text stands \d times in core/desk\.py, not once"):
            one.planted(text)
    for line in ("core/desk.py\n", "+\n", "-a = 1\n-b = 2\n", "> test_desk.py::test_one\n> test_gate.py\n"):
        with pytest.raises(Unplantable, match="are needed"):
            list(read(TABLE.replace(line, "")))
