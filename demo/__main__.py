"""`make demo`: a whole rollback on this machine, on a real PostgreSQL and the real Slack protocol.

Everything lives below `.demo` in the checkout and is removed at the end. `STORY=only` ends after the story.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

import psycopg

from core.errors import Problem
from demo import accidents, postgres
from demo.app import sample
from demo.bench import ROOT, Bench
from demo.story import Story

DRILL = 'drill = { schedule = "first monday 10:00", owners = ["U0BOB", "U0CHEN"], second_person = true }\n'


def main() -> int:
    """0: the story ended verified (or Ctrl-C after it); 1: it did not; 69: something could not start, or does not answer."""
    signal.signal(signal.SIGTERM, interrupted)
    folder = state_folder()
    try:
        return play(folder)
    except KeyboardInterrupt:
        print("\nStopped. Nothing is left behind.")
        return 0
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 69
    except RuntimeError as error:
        print(f"The demo could not start: {error}", file=sys.stderr)
        return 69
    except TimeoutError:
        print("The demo could not go on: the bot did not answer in time. Try it on a quieter machine.", file=sys.stderr)
        return 69
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def interrupted(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends the demo as Ctrl-C does."""
    raise KeyboardInterrupt


def state_folder() -> Path:
    """`.demo` in the checkout, or a temporary folder where that cannot be written or is in use."""
    folder = ROOT / ".demo"
    try:
        folder.mkdir()
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="rollback-demo-"))
    return folder


def play(folder: Path) -> int:
    """Start everything, play the story, stay until Ctrl-C."""
    started = time.monotonic()
    print("Starting a throw-away PostgreSQL, the sample application, a local Slack workspace and the bot …")
    with postgres.start(folder / "pg") as server:
        database = prepare(server)
        with Bench(folder / "bot", server, database, DRILL) as bench:
            print(f"Ready after {time.monotonic() - started:.1f} s.\n")
            good = Story(bench, lambda line: print(line, flush=True)).play()
            print(
                f"\nThe story {'ended verified' if good else 'DID NOT END VERIFIED'} after {time.monotonic() - started:.1f} s."
            )
            if os.environ.get("STORY") != "only":
                stay(bench)
    return 0 if good else 1


def prepare(server: postgres.Server) -> str:
    """The sample application's database, migrated and filled."""
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute("CREATE DATABASE app")
    url = server.url("app")
    sample.migrate(url)
    sample.fill(url)
    return url


def stay(bench: Bench) -> None:
    """Until Ctrl-C, for a person to go on by hand."""
    for switch in accidents.of(bench):
        bench.workspace.switches.add(switch)
    print("\nGo on by hand, as any of the workspace's people (try /rollback latest):")
    print(f"  {bench.workspace.page_url}")
    print("Break things there, at the top right. Kill the bot if you like: it is started again.")
    print("Ctrl-C ends it and removes everything.", flush=True)
    supervise(bench)


def supervise(bench: Bench) -> None:
    """Start the bot again whenever it ends, until Ctrl-C."""
    while bench.bot:
        code = bench.bot.wait()
        print(f"The bot ended ({code}). As a supervisor would, I start it again.", flush=True)
        try:
            bench.start_bot()
        except TimeoutError:
            print("It has not reached Slack yet, and goes on trying.", flush=True)
        except RuntimeError:
            print("It ended at once: Slack refuses it, or is broken. Again in 2 s.", flush=True)
            time.sleep(2)


if __name__ == "__main__":
    sys.exit(main())
