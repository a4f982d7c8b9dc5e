"""The App Home tabs: what they are filled with, when they are drawn again, and when that is given up."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_announcer import BOB, Office
from test_newer import Now

import bot.home
from bot.home import Homes
from core.model import State
from core.redact import SecretStr
from core.settings import BreakGlass, Drill
from demo.workspace import Workspace
from tests.messages_story import EXECUTE
from tests.stand_ins import Mute

PUBLISH = "views.publish"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with Workspace() as slack:
        made = Office(tmp_path, slack)
        yield made
        made.ledger.close()


@pytest.fixture
def homes(office: Office, monkeypatch: pytest.MonkeyPatch) -> Homes:
    """Bob has opened his; a turn draws at once what has changed."""
    monkeypatch.setattr(bot.home, "APART", 0.0)
    made = Homes(office.people.client, office.desk, office.people, Now())
    made.publish(BOB.id, anyway=True)
    return made


def drawn(office: Office, user: str = BOB.id) -> int:
    """How often somebody's tab was drawn."""
    with office.slack.state.reading():
        return office.slack.state.homes[user].published


def test_a_tab_holds_what_the_ledger_and_the_settings_say(office: Office, homes: Homes) -> None:
    targets: Any = office.settings.targets
    glass, drill = BreakGlass(people=(BOB.id,)), Drill("first monday 10:00")
    targets["production"] = replace(targets["production"], break_glass=glass, drill=drill)
    run = office.asked()
    office.desk.approve(run.id, BOB, run.revision, run.digest)
    with office.ledger.transaction() as t:
        t.move(t.run(run.id), State.EXECUTING, "executing", {"step": "execute"})
        t.append(run.id, "step_done", {"step": "execute", "evidence": EXECUTE})
        t.move(t.run(run.id), State.VERIFYING, "verifying", {})
        t.move(t.run(run.id), State.DONE, "done", {})
    tab = homes.tab(BOB, [])
    assert {name: [one.id for one in runs] for name, runs in tab.held.items()} == {"production": [run.id]}
    assert [one.target for one in tab.drills] == ["production"] and tab.drills[0].next
    assert (list(tab.ask), list(tab.approve), list(tab.alone)) == (["production"],) * 3
    ana = homes.tab(run.requester, [])
    assert (list(ana.ask), list(ana.approve), list(ana.alone)) == (["production"], [], [])
    office.desk.release(run.id, BOB)
    assert not homes.tab(BOB, []).held


def test_a_tab_that_slack_did_not_take_is_drawn_at_the_next_turn(office: Office, homes: Homes) -> None:
    office.asked()
    office.slack.faults.errors[PUBLISH] = "internal_error"
    homes.turn()
    assert drawn(office) == 1
    office.slack.faults.errors.clear()
    homes.turn()  # nothing else has happened meanwhile
    assert drawn(office) == 2
    homes.turn()
    assert drawn(office) == 2


def test_the_tab_of_who_has_left_is_not_drawn_again_before_it_is_opened(office: Office, homes: Homes) -> None:
    run = office.asked()
    office.slack.faults.errors[PUBLISH] = "user_not_found"
    homes.turn()
    office.slack.faults.errors.clear()
    homes.turn()
    office.desk.withdraw(run.id, run.requester)
    homes.turn()
    assert drawn(office) == 1
    homes.publish(BOB.id, anyway=True)
    office.asked()
    homes.turn()
    assert drawn(office) == 3


def test_the_targets_are_asked_once_however_many_open_their_tabs(office: Office, homes: Homes) -> None:
    targets: Any = office.settings.targets
    with closing(Mute()) as mute, ThreadPoolExecutor(3) as pool:
        targets["production"] = replace(targets["production"], database_url=SecretStr(mute.url))
        opening = {pool.submit(homes.opened, user) for user in ("U0ANA", "U0BOB", "U0CHEN")}
        while len(opening) > 1:
            done, opening = wait(opening, 20, FIRST_COMPLETED)
            assert done, "they wait for the target that does not answer"
        office.slack.wait_for(lambda: len(mute.connections) == 1)
        mute.hang_up()
        wait(opening, 20)
        homes.opened("U0DEE")
        assert len(mute.connections) == 1, "what was told is good for a minute"
        assert "could not be asked" in office.slack.view_text(office.slack.state.homes["U0DEE"])


def test_backups_are_looked_for_once_however_many_tabs_are_drawn(office: Office, homes: Homes) -> None:
    for user in ("U0ANA", "U0CHEN"):
        homes.publish(user, anyway=True)
    office.asked()
    asked: list[str] = []
    office.ledger.conn.set_trace_callback(asked.append)
    homes.turn()
    office.ledger.conn.set_trace_callback(None)
    assert [drawn(office, user) for user in ("U0ANA", BOB.id, "U0CHEN")] == [2, 2, 2]
    assert sum("$.evidence.taken_at" in query for query in asked) == 1
