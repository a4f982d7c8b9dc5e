"""Step, Gate, Runbook: what a runbook is made of. The engine walks it (`core.engine`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.model import Json, Run
from core.settings import Settings, Target


@dataclass(frozen=True)
class Work:
    """What a step gets: the rollback as it stands, its target, and a way to notice that it was closed."""

    run: Run
    target: Target
    settings: Settings
    cancelled: Callable[[], bool] = lambda: False
    outlived: Callable[[str], bool] = lambda run: False  # did that rollback end longer ago than its files are kept?


@dataclass(frozen=True)
class Step:
    """One line of the runbook. `act` returns its evidence, and raises when it cannot vouch for it.

    `found` belongs to a step that changes the target: it asks the database whether the step took effect
    (evidence: yes; None: no) and raises NeedsAPerson when it cannot be told.
    """

    name: str
    act: Callable[[Work], Json]
    purpose: str
    needs: str | None = None
    found: Callable[[Work], Json | None] | None = None


@dataclass(frozen=True)
class Gate:
    """Opens for people when everything above it is done; the harmless steps below go on meanwhile."""

    name: str
    purpose: str


class Runbook(tuple[Step | Gate, ...]):
    """Steps and gates, top to bottom."""

    def __new__(cls, *parts: Step | Gate) -> Runbook:
        return super().__new__(cls, parts)
