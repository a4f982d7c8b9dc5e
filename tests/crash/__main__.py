"""The whole campaign: `make crash`, which writes its counts into docs/reliability.md where everything held.

KILLS (10,000), BACKENDS (500), SERVERS (100), FREEZES (100), DISKS (100): how often a bot is killed, its connection ended,
PostgreSQL stopped, the bot frozen, its disk full. WORLDS (20,000) of the simulator, TAMPERINGS (10,000) of the audit trail. SEED (1), JOBS (4).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "reliability.md"
WANTED = {"kill": "KILLS", "backend": "BACKENDS", "server": "SERVERS", "freeze": "FREEZES", "disk": "DISKS"}
NUMBERS = {
    "KILLS": 10_000, "BACKENDS": 500, "SERVERS": 100, "FREEZES": 100, "DISKS": 100, "WORLDS": 20_000, "TAMPERINGS": 10_000,
    "SEED": 1, "JOBS": 4,
}  # fmt: skip


LEAST = 1000
"""Kills. What is counted in a shorter campaign is not worth a page."""


def main() -> int:
    """0: everything held."""
    given = {name: int(os.environ.get(name, default)) for name, default in NUMBERS.items()}
    started = time.monotonic()
    crashes = campaign(given)
    seconds = {"crash": time.monotonic() - started}
    others = {}
    for name, words in (
        ("simulator", ["tests.simulator", "--worlds", given["WORLDS"], "--jobs", os.cpu_count() or 1]),
        ("tampering", ["tests.tampering", "--trials", given["TAMPERINGS"]]),
    ):
        started = time.monotonic()
        others[name] = beside(words, given["SEED"])
        seconds[name] = time.monotonic() - started
    broken = [*crashes["broken"], *(f"{name}: {one['failed']}" for name, one in others.items() if one["failed"])]
    for one in broken:
        print(one, file=sys.stderr)
    text = page(given, crashes, others, seconds)
    print(text)
    if not broken and given["KILLS"] >= LEAST:
        PAGE.write_text(re.sub(r"(?s)(?<=<!-- figures -->\n).*?(?=<!-- end -->)", lambda _: text, PAGE.read_text()))
    return 1 if broken else 0


def campaign(given: dict[str, int]) -> dict[str, Any]:
    """All stretches, side by side; their counts together."""
    jobs = given["JOBS"]
    running = []
    for job in range(jobs):
        want = {act: given[name] // jobs + (job < given[name] % jobs) for act, name in WANTED.items()}
        words = [sys.executable, "-m", "tests.crash.stretch"]
        child = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert child.stdin
        child.stdin.write(json.dumps({"seed": given["SEED"] * 1000 + job, "want": want}) + "\n")
        child.stdin.flush()
        running.append(child)
    together: dict[str, Any] = {"found": Counter(), "ended": Counter(), "broken": []}
    with ThreadPoolExecutor(jobs) as readers:
        for told in readers.map(heard, running):
            together["found"] += Counter(told["found"])
            together["ended"] += Counter(told["ended"])
            if told["broken"]:
                together["broken"].append(f"seed {told.get('seed')}:\n{told['broken']}")
    return together


def heard(child: subprocess.Popen[str]) -> dict[str, Any]:
    """What a stretch tells at its end; what did not hold is said at once, for nobody waits half an hour for it."""
    silent = '{"found": {}, "ended": {}, "broken": "a stretch ended without a word"}'
    told: dict[str, Any] = json.loads(child.communicate()[0] or silent)
    if told["broken"]:
        print(told["broken"], file=sys.stderr, flush=True)
    return told


def beside(words: list[Any], seed: int) -> dict[str, Any]:
    """Another campaign of ours; what it counted."""
    command = [sys.executable, "-m", *map(str, words), "--seed", str(seed), "--json", "-"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    counted: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    return {"counted": counted, "failed": "" if done.returncode == 0 else (done.stderr or done.stdout)[-4000:]}


def page(given: dict[str, int], crashes: dict[str, Any], others: dict[str, Any], seconds: dict[str, float]) -> str:
    """The part of docs/reliability.md that is measured."""
    found, ended = crashes["found"], crashes["ended"]
    names = {place.rpartition(" ")[0] for place in ended}
    lines = [
        f"`{' '.join(f'{name}={number}' for name, number in given.items())} make crash`: {seconds['crash'] / 60:.0f} min for the campaign, {seconds['simulator']:.0f} s for the simulator, "
        f"{seconds['tampering']:.0f} s for the tampering; {os.cpu_count()} cores.",
        "",
        "| what was done | how often |",
        "|---|---:|",
        *(f"| {words} | {found[act]:,} |" for act, words in ACTS.items()),
        *(
            f"| {name.replace('slack ', 'Slack in one life: ')} | {found[name]:,} |"
            for name in sorted(found)
            if name.startswith("slack ")
        ),
        f"| boundaries at which this happened, different ones | {len(names):,} |",
        f"| of these before, during and after the call | {len(ended):,} |",
        "",
        "| where a run stood when its bot was killed | how often |",
        "|---|---:|",
        *rows(found, "killed while "),
        "",
        "| how runs ended | how often |",
        "|---|---:|",
        *rows(found, "end "),
        f"| all | {found['runs']:,} |",
        "",
        f"People clicked or typed {found['clicks and commands']:,} times, {found['of these unanswered']:,} of these while the bot was away; "
        f"{found['told twice']:,} posts stand twice in the channel: the answer was lost, and Slack did not let the bot look.",
        "",
        *(f"{name.capitalize()}: " + told(one["counted"]) + "\n" for name, one in others.items()),
    ]
    return "\n".join(lines) + "\n"


ACTS = {
    "kill": "the bot was killed (SIGKILL)",
    "backend": "its connection to PostgreSQL was ended",
    "server": "PostgreSQL was stopped and started",
    "freeze": "the bot was frozen (SIGSTOP), another one refused, then woken or killed",
    "disk": "nothing could be written for 0.4 s",
}


def rows(found: Counter[str], start: str) -> list[str]:
    """Counts whose name begins so."""
    return [f"| {name.removeprefix(start)} | {found[name]:,} |" for name in sorted(found) if name.startswith(start)]


def told(counted: dict[str, Any]) -> str:
    """Numbers in one line."""
    return ", ".join(f"{name} {value:,}" for name, value in counted.items() if isinstance(value, int))


if __name__ == "__main__":
    sys.exit(main())
