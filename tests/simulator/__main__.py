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
    words.add_argument("--json", type=Path, help="where the counters go")
    words.add_argument("--world", type=int, help="only this seed, with its trace")
    told = words.parse_args()
    if told.world is not None:
        trace: list[str] = []
        with prepared() as starts:
            found = explore([told.world], starts, trace)
        print("\n".join(trace))
    else:
        started = time.monotonic()
        found = campaign(told.worlds, told.seed, told.jobs)
        took = time.monotonic() - started
        print(
            f"{found.worlds} worlds in {took:.1f} s, {found.worlds / took:.0f} a second; {1000 * found.cpu / found.worlds:.1f} ms CPU each"
        )
        for what, table in found.tables().items():
            print(f"{what}: " + ", ".join(f"{which} {number}" for which, number in table.items()))
    if told.json:
        told.json.write_text(
            json.dumps({"worlds": found.worlds, "wrong": found.wrong, "counters": found.tables()}, indent=1)
        )
    for seed, faults in found.wrong.items():
        print(f"world {seed}: {'; '.join(faults)}", file=sys.stderr)
    print(f"{len(found.wrong)} of {found.worlds} worlds had something wrong")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
