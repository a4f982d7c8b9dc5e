"""Longer work on a target that is no run, such as a backup: one of a kind at a time, and a real rollback comes first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.errors import Refused
from core.ledger import Ledger

EACH = 0.5  # seconds between two tries


@contextmanager
def alone(ledger: Ledger, what: str, target: str, patience: float = 0.0) -> Iterator[None]:
    """Nobody else does the same on that target while the block lasts, in this process or another one on the ledger.

    `what`: a noun, such as `backup`; `patience`: seconds to wait for another one. Raises Refused(E-BUSY, E-LEDGER).
    """
    until = time.monotonic() + patience
    while (holder := ledger.hold(f"{what} {target}")) is None:
        if time.monotonic() >= until:
            raise Refused(
                "E-BUSY", f"Another {what} of *{target}* is under way. Nothing was started.", "Wait for its end."
            )
        time.sleep(EACH)
    with holder:
        yield


def free(ledger: Ledger, target: str, what: str) -> None:
    """Raises Refused(E-BUSY) where a run holds the target: `what`, a noun, would slow it down."""
    for run in ledger.open_runs():
        if run.target == target:
            raise Refused(
                "E-BUSY",
                f"*{run.id}* is open on *{target}*, and it comes first: no {what} beside it. Nothing was started.",
                f"Ask again when it has ended. `/rollback show {run.id}` says what it waits for.",
                (f"/rollback show {run.id}",),
            )


def given_up(ledger: Ledger, target: str, ending: Callable[[], bool]) -> Callable[[], bool]:
    """For `Work.cancelled`: is the process `ending`, or has a run begun on the target meanwhile?"""
    return lambda: ending() or any(run.target == target for run in ledger.open_runs())
