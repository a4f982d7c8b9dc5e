"""A target's database as a world has it: what is applied, markers, open transactions, services; and when it fails."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.errors import StepFailed
from core.model import Run

if TYPE_CHECKING:
    from tests.simulator.world import World

NEWER = ("011", "012")
LIMIT = 60.0  # seconds: idle_in_transaction_session_timeout of a transaction of ours


@dataclass
class Open:
    """A transaction on the server. `sent`: COMMIT is under way; `ends`: when the server notices that nobody is there."""

    mark: str
    run: Run
    began: float
    sent: bool = False
    killed: bool = False
    ends: float | None = None


@dataclass
class Database:
    """One target. `drift` stands for scripts and objects, `sick` for what verification finds."""

    world: World
    name: str
    parts: int = 1
    applied: list[str] = field(default_factory=lambda: list(NEWER))
    drift: int = 0
    down: bool = False
    locked: bool = False
    sick: bool = False
    serving: bool = True
    fails_after: int = 99  # parts of a run
    oid: int = 1
    markers: dict[str, str] = field(default_factory=dict)
    side: dict[str, int] = field(default_factory=dict)  # databases that restores have made beside it: run -> oid
    swapped: dict[str, int] = field(default_factory=dict)
    opened: list[Open] = field(default_factory=list)
    committed: Counter[str] = field(default_factory=Counter)

    def plan(self, run: Run) -> str:
        """The digest of what would run now."""
        bound = [
            self.name,
            self.drift,
            self.applied,
            self.oid,
            run.kind,
            run.request.origin,
            run.requester.id,
            run.needed,
        ]
        return hashlib.sha256(json.dumps(bound).encode()).hexdigest()

    def marks(self, run: Run) -> list[str]:
        """The markers that a run leaves, in order."""
        count = self.parts if run.kind == "rollback" else 1
        return [f"{run.id}+{part}" if count > 1 else run.id for part in range(1, count + 1)]

    def done(self, run: Run) -> list[str]:
        """Those that are there and of this plan."""
        return [mark for mark in self.marks(run) if self.markers.get(mark) == run.digest]

    # -- transactions ------------------------------------------------------------------------------------------

    def begin(self, run: Run, mark: str) -> Open:
        """Raises StepFailed(E-BUSY)."""
        self.notices()
        if self.opened:
            raise StepFailed("E-BUSY", "Another rollback is running on this database. It was undone.", "Wait.")
        one = Open(mark, run, self.world.clock.mono)
        self.opened.append(one)
        return one

    def alive(self, one: Open) -> None:
        """Raises StepFailed where the server has ended the session."""
        if one.killed or self.world.clock.mono - one.began > LIMIT:
            raise StepFailed("E-EXECUTE", "The transaction was undone: the session was ended.", "It was not changed.")

    def commit(self, one: Open) -> None:
        """It takes effect, whole, with its marker."""
        self.opened.remove(one)
        self.markers[one.mark] = one.run.digest
        self.committed[one.mark] += 1
        if len(self.done(one.run)) == len(self.marks(one.run)):
            self.applied = [] if one.run.kind == "rollback" else list(NEWER)
        self.world.note("committed", one.mark)

    def abandoned(self, one: Open, after: float) -> None:
        """Its client is gone; the server will notice."""
        one.ends = self.world.clock.mono + after

    def cut_short(self, run: str) -> int:
        """The run's sessions are ended by somebody of ours; how many."""
        mine = [one for one in self.opened if one.run.id == run]
        for one in mine:
            one.killed = True
        return len(mine)

    def notices(self) -> None:
        """What the server does with transactions whose clients are gone: undo, or end a COMMIT that had arrived."""
        for one in [one for one in self.opened if one.ends is not None and one.ends <= self.world.clock.mono]:
            if one.sent and not one.killed:
                self.commit(one)
            else:
                self.opened.remove(one)

    def fall(self) -> None:
        """The server goes away, and with it whatever was not committed."""
        self.down = True
        for one in self.opened:
            one.killed = True
        self.opened = [one for one in self.opened if one.ends is None]
