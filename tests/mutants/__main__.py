"""Plant one mutant after the other and see whether the tests find it: `make mutants`, which writes docs/reliability.md.

`python -m tests.mutants [WORD ...]` tries those whose name or file holds one of the words. JOBS (2): how many at a time.
Each is planted in a copy of the tree, never in the tree itself. The exit code is 1 where one survives, 2 where the tables
do not fit the code or the tests fail without any mutant.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory

from tests.mutants import ROOT, Mutant, Unplantable, every

PAGE = ROOT / "docs" / "reliability.md"
LEFT_OUT = (
    ".git",
    ".venv",
    ".venv-*",
    "build",
    ".rollback",
    ".demo",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".hypothesis",
)
FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/\S+?\.py::\w+)", re.MULTILINE)
LONGEST = 100  # seconds for one test: what a mutant lets hang is found by that
OVERALL = 900  # seconds for the tests of one mutant


@dataclass(frozen=True)
class Outcome:
    """`by`: the test that failed, empty where none did; `said`: what pytest printed."""

    mutant: Mutant
    by: str
    seconds: float
    said: str


def main(words: Sequence[str]) -> int:
    """See the module."""
    started, jobs = time.monotonic(), int(os.environ.get("JOBS", "2"))
    try:
        all_of_them = every()
        chosen = [one for one in all_of_them if not words or any(word in f"{one.name} {one.file}" for word in words)]
        if not chosen:
            raise Unplantable(f"no mutant is called {' or '.join(words)}")
        with TemporaryDirectory(prefix="mutants-") as folder:
            trees = [tree(Path(folder) / str(number)) for number in range(jobs)]
            without_any(trees[0], chosen, jobs)
            outcomes = list(tried(trees, chosen))
    except Unplantable as no:
        print(no, file=sys.stderr)
        return 2
    told = page(outcomes, time.monotonic() - started)
    print(f"\n{told}")
    survived = [one for one in outcomes if not one.by]
    for one in survived:
        print(f"SURVIVED: {one.mutant.name} ({one.mutant.file})", file=sys.stderr)
    if len(chosen) == len(all_of_them) and not survived:
        between = r"(?s)(?<=<!-- mutants -->\n).*?(?=<!-- end mutants -->)"
        PAGE.write_text(re.sub(between, lambda _: told, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 1 if survived else 0


def tree(place: Path) -> Path:
    """A copy of the tree as it is now, with whatever is not committed."""
    shutil.copytree(ROOT, place, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
    (place / ".venv").symlink_to((ROOT / ".venv").resolve())
    return place


def without_any(place: Path, chosen: Sequence[Mutant], jobs: int) -> None:
    """The named tests pass without any mutant, each once: else a failure would prove nothing. Raises Unplantable."""
    tests = list(dict.fromkeys(test for one in chosen for test in one.tests))
    print(f"{len(chosen)} mutants; {len(tests)} tests without any of them ...", flush=True)
    code, said = pytest(place, tests, "-n", str(jobs if jobs > 1 else 0))
    if code:
        raise Unplantable(f"the tests fail without any mutant:\n{said[-5000:]}")


def tried(trees: Sequence[Path], chosen: Sequence[Mutant]) -> Iterator[Outcome]:
    """Each mutant, several at a time, in the order of the tables. Raises Unplantable."""
    free: Queue[Path] = Queue()
    for place in trees:
        free.put(place)

    def one(mutant: Mutant) -> Outcome:
        place = free.get()
        try:
            return planted(place, mutant)
        finally:
            free.put(place)

    with ThreadPoolExecutor(len(trees)) as pool:
        for outcome in pool.map(one, chosen):
            verdict = f"killed by {outcome.by}" if outcome.by else "SURVIVED"
            print(f"{outcome.seconds:5.1f} s  {outcome.mutant.name}: {verdict}", flush=True)
            yield outcome


def planted(place: Path, mutant: Mutant) -> Outcome:
    """One mutant. Raises Unplantable where it is found by something else than a failing test."""
    started = time.monotonic()
    with changed(place / mutant.file, mutant):
        code, said = pytest(place, mutant.tests, "-n", "0", "-x")
    found = FAILED.search(said)
    if code not in (0, 1) or (code == 1 and not found):
        raise Unplantable(f"{mutant.name}: the tests did not run (exit code {code}):\n{said[-5000:]}")
    return Outcome(mutant, found[1] if code == 1 and found else "", time.monotonic() - started, said)


@contextmanager
def changed(file: Path, mutant: Mutant) -> Iterator[None]:
    """The mutant in its file. Bytecode goes too: Python tells two versions apart by size and second only."""
    before = file.read_text(encoding="utf-8")
    try:
        file.write_text(mutant.planted(before), encoding="utf-8")
        Path(cache_from_source(str(file))).unlink(missing_ok=True)
        yield
    finally:
        file.write_text(before, encoding="utf-8")
        Path(cache_from_source(str(file))).unlink(missing_ok=True)


def pytest(place: Path, tests: Sequence[str], *words: str) -> tuple[int, str]:
    """Exit code and output of the tests in that copy of the tree."""
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=short", "-p", "no:cacheprovider"]
    # a folder of its own: the common one is cleared by every pytest, under the feet of others
    command += [f"--timeout={LONGEST}", f"--basetemp={place}-temp", *words, *tests]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    running = subprocess.Popen(
        command, cwd=place, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        said, _ = running.communicate(timeout=OVERALL)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        said, _ = running.communicate()
    return running.returncode, said


def page(outcomes: Sequence[Outcome], seconds: float) -> str:
    """The part of docs/reliability.md that is measured."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    killed = sum(bool(one.by) for one in outcomes)
    lines = [
        f"{len(outcomes)} mutants, {killed} killed; {seconds / 60:.0f} min on {os.cpu_count()} cores, "
        f"{(used.ru_utime + used.ru_stime) / 60:.0f} min of CPU.",
        "",
        "| what is broken | in | found by |",
        "|---|---|---|",
        *(
            f"| {one.mutant.name} | `{one.mutant.file}` | {f'`{one.by}`' if one.by else '**nothing**'} |"
            for one in outcomes
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
