"""A short form of the simulator's campaign; the same seed is the same world; and what it looks for, it finds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bot.announcer import TOLD, Announcer
from core.desk import Desk
from core.engine import Engine
from core.entry import Transaction, stamp
from core.model import OPEN, Event, Run, State
from core.settings import Settings
from tests.simulator.campaign import explore, prepared
from tests.simulator.slack import FAULTS
from tests.simulator.starts import Start
from tests.simulator.steps import Steps

HAPPENED = {
    "COMMIT answer lost", "COMMIT undone", "COMMIT late", "outcome unknown", "half done", "database down", "lock not available",
    "plan drift", "cancelled proof", "ledger full", "frozen", "clock set back", "clock set forward", "told to end",
    "ended: SlackRefuses", "a form did not open",
}  # fmt: skip
DIED = {
    "before a transaction", "before COMMIT", "after a transaction", "before Slack", "after Slack", "sleep", "under the lock",
    "the script has run", "COMMIT is under way", "COMMIT was answered", "look for the marker", "names are swapped",
}  # fmt: skip
REFUSED = {
    "E-SELF",
    "E-NOT-APPROVER",
    "E-GUEST",
    "E-ALREADY",
    "E-STALE",
    "E-EXPIRED",
    "E-BUSY",
    "E-CANNOT-CHECK",
    "E-TOO-LATE",
}


@pytest.fixture(scope="module")
def starts() -> Iterator[Mapping[str, Start]]:
    with prepared() as made:
        yield made


def test_in_some_hundred_worlds_nothing_is_lost_and_nobody_gets_past_the_rules(starts: Mapping[str, Start]) -> None:
    found = explore(range(1, 251), starts)
    assert not found.wrong
    seen = found.tables()
    assert set(seen["state"]) == set(State)
    assert set(seen["fault"]) >= HAPPENED and set(seen["crash"]) >= DIED and set(seen["refused"]) >= REFUSED
    assert set(seen["slack"]) == {*FAULTS, "away", "invalid_auth"}
    assert set(seen["script"]) == {"rollback", "reapply", "restore"} and set(seen["delivered"]) == {"late", "twice"}


def test_the_same_seed_is_the_same_world_in_every_process(starts: Mapping[str, Start]) -> None:
    trace: list[str] = []
    explore([23], starts, trace)
    env = {**os.environ, "PYTHONHASHSEED": "1"}
    words = [sys.executable, "-m", "tests.simulator", "--world", "23"]
    told = subprocess.run(words, cwd=Path(__file__).parent.parent, env=env, capture_output=True, check=True, text=True)
    assert len(trace) > 20 and told.stdout.splitlines()[:-1] == trace


# -- faults that are planted: each is found ------------------------------------------------------------------


def anybody_approves(patch: pytest.MonkeyPatch) -> None:
    """The desk and the rules about people forget that the requester is no second person."""
    patch.setattr(Desk, "same", lambda self, one, other: False)
    patch.setattr(Settings, "one_person", lambda self, user: object())


def rights_are_not_asked_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Engine, "_still_right", lambda self, run, target: True)


def an_old_plan_will_do(patch: pytest.MonkeyPatch) -> None:
    """Drift is not noticed under the lock."""
    patch.setattr(Steps, "same_plan", lambda self, work, base: None)


def nothing_was_found(patch: pytest.MonkeyPatch) -> None:
    """After an interruption nobody looks for the marker: it is thought not to be there."""
    patch.setattr(Engine, "_ask_the_database", lambda self, run: self._move(run, State.INTERRUPTED, "interrupted", {}))


def posts_are_not_noted(patch: pytest.MonkeyPatch) -> None:
    """Only that an event was told is noted, not where."""
    note = Announcer.note

    def forgets(self: Announcer, event: int, place: str, **columns: Any) -> None:
        if place == TOLD or place == "card":
            note(self, event, place, **columns)

    patch.setattr(Announcer, "note", forgets)


def told_before_it_is_posted(patch: pytest.MonkeyPatch) -> None:
    """An event counts as told when its telling begins."""
    tell = Announcer.tell

    def early(self: Announcer, event: Event) -> bool:
        self.note(event.id, TOLD)
        return tell(self, event)

    patch.setattr(Announcer, "tell", early)


def moves_without_comparing(patch: pytest.MonkeyPatch) -> None:
    """Whoever comes later overwrites the state, whatever it is by then."""

    def move(
        self: Transaction, run: Run, to: State, kind: str, data: Any = None, actor: Any = None, **more: Any
    ) -> Event:
        values = {"state": to, **more, **({"ended_at": stamp(self.now)} if to not in OPEN else {})}
        setters = ", ".join(f"{name} = ?" for name in values)
        self._db.conn.execute(f"UPDATE rollbacks SET {setters} WHERE id = ?", [*values.values(), run.id])
        return self.append(run.id, kind, data, actor, state=to)

    patch.setattr(Transaction, "move", move)


def tidies_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Engine, "tidy", lambda self, run: True)


PLANTED: list[tuple[Callable[[pytest.MonkeyPatch], None], str]] = [
    (anybody_approves, "unsound"),
    (rights_are_not_asked_again, "may not approve"),
    (an_old_plan_will_do, "another plan"),
    (nothing_was_found, "took effect"),
    (posts_are_not_noted, "not noted"),
    (told_before_it_is_posted, "never told"),
    (moves_without_comparing, "went from"),
    (tidies_nothing, "left"),
]


@pytest.mark.parametrize(("plant", "finding"), PLANTED, ids=[plant.__name__ for plant, _ in PLANTED])
def test_a_fault_that_is_planted_is_found(
    starts: Mapping[str, Start],
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[pytest.MonkeyPatch], None],
    finding: str,
) -> None:
    plant(monkeypatch)
    found = explore(range(1, 401), starts, enough=1)
    assert finding in str(found.wrong) and found.wrong, f"not found in {found.worlds} worlds"
