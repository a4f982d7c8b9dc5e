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
from bot.countdown import Countdown
from bot.glass import Glass
from bot.lookup import Lookup
from bot.people import People
from core import glass
from core.desk import Desk
from core.engine import Engine
from core.entry import Transaction, stamp
from core.model import OPEN, Event, Run, State
from core.settings import Settings
from tests.simulator.campaign import explore, prepared
from tests.simulator.people import EAGER
from tests.simulator.slack import FAULTS
from tests.simulator.starts import Start
from tests.simulator.steps import Steps

HAPPENED = {
    "COMMIT answer lost", "COMMIT undone", "COMMIT late", "outcome unknown", "half done", "database down", "lock not available",
    "plan drift", "cancelled proof", "ledger full", "ledger full for a while", "frozen", "clock set back", "clock set forward",
    "ended: SIGTERM", "ended: invalid_auth", "drained",
}  # fmt: skip
DIED = {
    "before a transaction", "before COMMIT", "after a transaction", "before Slack", "after Slack", "sleep", "under the lock",
    "the script has run", "COMMIT is under way", "COMMIT was answered", "look for the marker",
    "the drain took too long",
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
    "E-ENDING",
    "E-NOT-ALLOWED",
}


@pytest.fixture(scope="module")
def starts() -> Iterator[Mapping[str, Start]]:
    with prepared() as made:
        yield made


def test_in_some_hundred_worlds_nothing_is_lost_and_nobody_gets_past_the_rules(starts: Mapping[str, Start]) -> None:
    found = explore(range(201, 401), starts)
    assert not found.wrong
    seen = found.tables()
    assert set(seen["state"]) == set(State)
    assert set(seen["fault"]) >= HAPPENED and set(seen["crash"]) >= DIED and set(seen["refused"]) >= REFUSED
    assert set(seen["glass"]) >= {"runs", "owed", "reviewed"} and "form not opened" in seen["log"]
    assert set(seen["slack"]) == {*FAULTS, "away", "edits nothing", "invalid_auth"}
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


def a_countdown_that_nobody_sees(patch: pytest.MonkeyPatch) -> None:
    """It is over when the clock says so, whatever the channel has shown."""
    patch.setattr(Countdown, "look", lambda self: [
        self.desk.countdown_over(run.id, run.broken.event) for run in self.desk.ledger.open_runs() if run.broken
    ])  # fmt: skip


def whoever_broke_it_may_review_it(patch: pytest.MonkeyPatch) -> None:
    """The review is closed by the person who owes it."""
    patch.setattr(glass, "may_review", lambda run, who, same: None)
    patch.setattr(Glass, "may_review", lambda self, run, person: None)


def nobody_asks_who_is_named(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(People, "may_break", lambda self, person, target: None)
    patch.setitem(EAGER, "rb.breakglass", 300)  # so that it happens soon


def break_glass_waits_for_nobody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(People, "alone", lambda self, run, target: True)
    patch.setitem(EAGER, "rb.breakglass", 300)


def nobody_looks_whether_it_stands_there(patch: pytest.MonkeyPatch) -> None:
    """A post whose answer was lost is posted again."""
    patch.setattr(Lookup, "find", lambda self, channel, thread, message, since: None)


def asks_for_ever(patch: pytest.MonkeyPatch) -> None:
    """What the database has said leads nowhere, and is asked again at once."""
    patch.setattr(Engine, "_ask_the_database", lambda self, run: None)


PLANTED: list[tuple[Callable[[pytest.MonkeyPatch], None], str, str]] = [
    (anybody_approves, "unsound", "parts"),
    (rights_are_not_asked_again, "may not approve", "agreed"),
    (an_old_plan_will_do, "another plan", "broken"),
    (nothing_was_found, "took effect", "parts"),
    (asks_for_ever, "does not end", "agreed"),
    (posts_are_not_noted, "not noted", "done"),
    (nobody_looks_whether_it_stands_there, "stands twice", "done"),
    (told_before_it_is_posted, "never told", "restore"),
    (moves_without_comparing, "went from", "proven"),
    (tidies_nothing, "left", "restore"),
    (a_countdown_that_nobody_sees, "has not shown its countdown", "broken"),
    (whoever_broke_it_may_review_it, "whose own it is", "owed"),
    (nobody_asks_who_is_named, "may not break the glass", "proven"),
    (break_glass_waits_for_nobody, "although approvers could be asked", "proven"),
]
"""The fault, what it is found by, and where the worlds begin in which it is found soon."""


@pytest.mark.parametrize(("plant", "finding", "start"), PLANTED, ids=[one[0].__name__ for one in PLANTED])
def test_a_fault_that_is_planted_is_found(
    starts: Mapping[str, Start],
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[pytest.MonkeyPatch], None],
    finding: str,
    start: str,
) -> None:
    plant(monkeypatch)
    found = explore(range(1, 401), {name: starts[name] for name in ("empty", start)}, enough=1)
    assert finding in str(found.wrong) and found.wrong, f"not found in {found.worlds} worlds"
