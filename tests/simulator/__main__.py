"""`python -m tests.simulator`: many worlds, or one with everything that happened in it. Exit code 1: something was wrong."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from tests.simulator.campaign import campaign, explore, prepared


def main() -> int:
    """Exit code."""
    words = argparse.ArgumentParser(prog="python -m tests.simulator")
    words.add_argument("--worlds", type=int, default=1000)
    words.add_argument("--seed", type=int, default=1, help="of the first world; the next ones follow")
    words.add_argument("--jobs", type=int, default=2, help="processes")
    words.add_argument("--json", help="where the counters go; `-`: to stdout, and nothing else does")
    words.add_argument("--world", type=int, help="only this seed, with its trace")
    told = words.parse_args()
    people = sys.stderr if told.json == "-" else sys.stdout
    if told.world is not None:
        trace: list[str] = []
        with prepared() as starts:
            found = explore([told.world], starts, trace)
        print("\n".join(trace), file=people)
    else:
        started = time.monotonic()
        found = campaign(told.worlds, told.seed, told.jobs)
        took, each = time.monotonic() - started, 1000 * found.cpu / found.worlds
        speed = f"{found.worlds / took:.0f} a second; {each:.1f} ms CPU each"
        print(f"{found.worlds} worlds in {took:.1f} s, {speed}", file=people)
        for what, table in found.tables().items():
            print(f"{what}: " + ", ".join(f"{which} {number}" for which, number in table.items()), file=people)
    for seed, faults in found.wrong.items():
        print(f"world {seed}: {'; '.join(faults)}", file=sys.stderr)
    print(f"{len(found.wrong)} of {found.worlds} worlds had something wrong", file=people)
    if told.json:
        text = json.dumps({**found.totals(), "seeds": found.wrong, "counters": found.tables()}, indent=1) + "\n"
        if told.json == "-":
            print(text, end="")
        else:
            Path(told.json).write_text(text, encoding="utf-8")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
