"""Step, Gate, Runbook: what a runbook is made of. The engine walks it (`core.engine`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from core.meter import Meter
from core.model import Json, Run
from core.settings import Settings, Target


@dataclass(frozen=True)
class Work:
    """What a step gets: the run as it stands, its target, and a way to notice that it was closed.

    `origin`: of a way back, the rollback that it undoes; `between`: the re-apply that has undone that one before. `say` writes an event of this run while a step is under way.
    `staged` says of the scripts of a plan how they ran on the staging target; None where there is none.
    `cut`: the process ends now, so nothing more of this step may take effect. `meter`: what the step has done so far, for people.
    """

    run: Run
    target: Target
    settings: Settings
    cancelled: Callable[[], bool] = lambda: False
    clean: Callable[[], list[str]] = list  # removes files of earlier runs that are kept no longer; their names
    origin: Run | None = None
    between: Run | None = None
    say: Callable[[str, Json], bool] = lambda kind, data: True
    cut: Callable[[], bool] = lambda: False
    meter: Meter = field(default_factory=Meter)
    staged: Callable[[Sequence[Json]], Json | None] = lambda undo: None

    @property
    def undoes(self) -> Run:
        """The rollback that this way back undoes."""
        if self.origin is None:
            raise AssertionError("only a way back undoes a rollback")
        return self.origin


@dataclass(frozen=True)
class Step:
    """One line of the runbook. `act` returns its evidence, and raises when it cannot vouch for it.

    `after` names the gate without which it does not begin, though it changes nothing yet. `needs` does too, and marks
    the point of no return: such a step changes the target. Its `found` asks the database whether it took effect
    (evidence: yes; None: no) and raises NeedsAPerson when it cannot be told. `clean` removes what the step has left on
    the target's server, where the run ended without taking effect.
    """

    name: str
    act: Callable[[Work], Json]
    purpose: str
    after: str | None = None
    needs: str | None = None
    found: Callable[[Work], Json | None] | None = None
    clean: Callable[[Work], None] | None = None


@dataclass(frozen=True)
class Gate:
    """Opens for people when everything above it is done; the harmless steps below go on meanwhile."""

    name: str
    purpose: str


class Runbook(tuple[Step | Gate, ...]):
    """Steps and gates, top to bottom."""

    def __new__(cls, *parts: Step | Gate) -> Runbook:
        return super().__new__(cls, parts)

    @property
    def changing(self) -> Step:
        """The step that changes the target."""
        return next(part for part in self if isinstance(part, Step) and part.needs)
