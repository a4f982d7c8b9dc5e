"""Mutants: the safety code with one fault planted by hand, each of which the tests must find. `python -m tests.mutants`.

The faults stand in the `.txt` files beside this one, written as a patch is: a sentence that says what is broken, the
file, the text that must stand in it exactly once (`-`), what takes its place (`+`), and the tests that must fail (`>`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


class Unplantable(Exception):
    """The tables and the code do not fit together."""


@dataclass(frozen=True)
class Mutant:
    """One fault. `tests`: files or ids of tests, as pytest takes them."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def planted(self, text: str) -> str:
        """The file's text with the fault in it. Raises Unplantable."""
        if text.count(self.old) != 1:
            raise Unplantable(f"{self.name}: its text stands {text.count(self.old)} times in {self.file}, not once")
        return text.replace(self.old, self.new)


def every(folder: Path = HERE) -> list[Mutant]:
    """All mutants, in the order of the tables. Raises Unplantable where one of them is not complete, or does not fit the code."""
    found = [one for table in sorted(folder.glob("*.txt")) for one in read(table.read_text(encoding="utf-8"))]
    twice = {one.name for one in found if sum(one.name == other.name for other in found) > 1}
    if twice:
        raise Unplantable(f"named twice: {', '.join(sorted(twice))}")
    for one in found:
        one.planted((ROOT / one.file).read_text(encoding="utf-8"))
    return found


def read(table: str) -> Iterator[Mutant]:
    """The mutants of one table; `#` begins a line for readers."""
    lines = [line for line in table.splitlines() if not line.startswith("#")]
    for part in ("\n" + "\n".join(lines)).split("\n== ")[1:]:
        name, *rest = part.splitlines()
        by_mark = {mark: [line[1:] for line in rest if line[:1] == mark] for mark in "-+>"}
        files = [line for line in rest if line[:1] not in ("", "-", "+", ">")]
        if len(files) != 1 or not all(by_mark.values()):
            raise Unplantable(f"{name}: one file, `-`, `+` and `>` are needed")
        tests = tuple(f"tests/{line.strip()}" for line in by_mark[">"])
        yield Mutant(name, files[0], "\n".join(by_mark["-"]), "\n".join(by_mark["+"]), tests)
