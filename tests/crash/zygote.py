"""Starts bots quickly: everything is imported once, each bot is a fork of this process. `python -m tests.crash.zygote`.

A line on stdin, as JSON: {"env": ..., "log": ..., "plan": ...}; a line on stdout for each birth (`born PID`) and death
(`died PID STATUS`, the status as waitpid gives it). The bot itself is the product's own main(). It ends with us.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import traceback
from contextlib import suppress
from typing import Any

import bot.__main__
from tests.crash.boundaries import Boundaries, Plan

PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> None:
    """Until stdin ends."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    lines = os.fdopen(0, "rb", buffering=0)
    rest = b""
    while True:
        ready, _, _ = select.select([lines, woken], [], [])
        if woken in ready:
            os.read(woken, 1000)
            reap()
        if lines in ready:
            chunk = lines.read(1 << 20)
            if not chunk:
                return
            *orders, rest = (rest + chunk).split(b"\n")
            for order in orders:
                bear(json.loads(order))


def reap() -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            say(f"died {pid} {status}")


def bear(order: dict[str, Any]) -> None:
    pid = os.fork()
    if not pid:
        try:
            live(order)
        except BaseException:  # noqa: BLE001 - a fork must not come back into our own loop
            traceback.print_exc()
        finally:
            os._exit(99)
    say(f"born {pid}")


def live(order: dict[str, Any]) -> None:
    """A bot, as `python -m bot` starts it in this environment."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    nothing, log = (
        os.open(os.devnull, os.O_RDONLY),
        os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600),
    )
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.clear()
    os.environ.update(order["env"])
    Boundaries(Plan(**order["plan"])).install()
    code = bot.__main__.main([])
    sys.stderr.flush()
    os._exit(code)


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    main()
