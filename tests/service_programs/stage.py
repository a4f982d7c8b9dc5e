"""What the stand-ins for docker, kubectl, systemctl and a team's own programs share: a state in a file, and faults.

Each is started by the tests as `program STATE ARGUMENT ...`, with nothing but Python's standard library, and little of it:
most of what a stand-in costs are its imports, so no typing and no pathlib.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable

State = dict


class Failed(Exception):
    """Ends the program with a message on stderr and an exit code."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.text, self.code = text, code


def play(main: Callable[[State, list[str]], str], verb_of: Callable[[list[str]], str]) -> None:
    """Run a stand-in: faults first, then its own work, then the state is written, then it prints."""
    file, words = sys.argv[1], sys.argv[2:]
    with open(file) as kept:  # noqa: PTH123
        state = json.load(kept)
    verb = verb_of(words)
    state["calls"].append([verb, *words])
    state["variables"] = sorted(os.environ)
    fault = state["faults"].get(verb)
    code, out, err = 0, "", ""
    if fault == "hang":
        hang(file, state)
    if isinstance(fault, list):
        code, err = fault
    else:
        try:
            out = main(state, words) if fault != "ignore" else ""
        except Failed as failed:
            code, err = failed.code, failed.text
    crash = state["crash"] == state["count"]
    state["count"] += 1
    save(file, state)
    if crash:
        os.kill(os.getppid(), signal.SIGKILL)
    sys.stdout.write(out)
    sys.stderr.write(err + "\n" if err else "")
    sys.exit(code)


def hang(file: str, state: State) -> None:
    """Never end, with a child that never ends either."""
    import subprocess  # here, since it takes longer than all else

    child = subprocess.Popen([sys.executable, "-ISc", "import time; time.sleep(600)"])
    state["hanging"] = [os.getpid(), child.pid]
    save(file, state)
    time.sleep(600)


def save(file: str, state: State) -> None:
    with open(f"{file}.partial", "w") as partial:  # noqa: PTH123
        partial.write(json.dumps(state))
    os.replace(f"{file}.partial", file)  # noqa: PTH105


def options(words: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """`--name=value` and `--name` by name, and the other words; after `--` there are only words."""
    found: dict[str, list[str]] = {}
    rest = []
    for at, word in enumerate(words):
        if word == "--":
            return found, rest + words[at + 1 :]
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            found.setdefault(name, []).append(value)
        else:
            rest.append(word)
    return found, rest


def known(given: dict[str, list[str]], *names: str) -> None:
    """Refuse options that are not expected here, as the real program refuses those that it does not have."""
    for name in given:
        if name not in names:
            raise Failed(f"unknown flag: --{name}")
