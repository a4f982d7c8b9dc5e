"""The report of a month: due at 09:00 UTC on the first, told once, with the times of the drills as a chart or in text."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from numbers_story import Trail, at, year
from test_announcer import CHANNEL, Office
from test_newer import kinds, older

from bot.newer import used
from core.ledger import Ledger, now
from core.model import Event
from core.settings import Drill
from core.stats import COLUMNS, last, monthly
from demo.workspace import Workspace, blockkit
from tests.bench_fixtures import Play

__all__ = ["older"]


def told(trail: Trail) -> list[Event]:
    return trail.ledger.apart(["month"])[::-1]


def look(trail: Trail) -> list[str]:
    """The months that were told by this look."""
    before = len(told(trail))
    monthly.look(trail.ledger, trail.settings)
    return [event.data["month"] for event in told(trail)[before:]]


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[Trail]:
    made = Trail(tmp_path / "ledger.db", 2026, 10, 20)
    look(made)
    yield made
    made.ledger.close()


def test_a_month_is_told_on_the_first_at_nine_and_not_before(trail: Trail) -> None:
    assert told(trail) == [], "a bot that is new owes nothing for the time before it"
    trail.now = at(2026, 11, 1, 8, 59)
    assert look(trail) == []
    trail.now = at(2026, 11, 1, 9)
    assert look(trail) == ["2026-10"] and look(trail) == []
    trail.now = at(2026, 12, 1, 9, 1)
    assert look(trail) == ["2026-11"]


def test_only_a_target_that_has_drills_is_told_of(trail: Trail) -> None:
    trail.now = at(2026, 11, 1, 9)
    look(trail)
    assert [event.data["target"] for event in told(trail)] == ["production"]


def test_after_a_long_downtime_only_the_newest_month_is_told(trail: Trail) -> None:
    trail.now = at(2027, 2, 14)
    assert look(trail) == ["2027-01"]
    trail.now = at(2026, 12, 14)  # the machine's clock was set back
    monthly.look(trail.ledger, trail.settings)
    assert look(trail) == []


def test_a_year_of_restarts_and_two_bots_tells_each_month_once(tmp_path: Path) -> None:
    trail, chance = Trail(tmp_path / "l.db", 2026, 1, 10), random.Random(7)  # noqa: S311 - a fixed order, no secret
    bots = [trail.ledger, Ledger(tmp_path / "l.db", lambda: trail.now)]
    while trail.now < at(2027, 1, 2):
        for ledger in chance.sample(bots, 2):
            monthly.look(ledger, trail.settings)
        trail.passes(hours=chance.choice((1, 7, 30)))
    assert [event.data["month"] for event in told(trail)] == last(at(2026, 12, 31), 12)
    for ledger in bots:
        ledger.close()


def test_a_clock_that_was_set_just_now_tells_of_nothing(trail: Trail) -> None:
    trail.ledger.passing.tick()
    trail.now = at(2026, 11, 1, 9)
    trail.ledger.passing.tick()
    assert look(trail) == []


def test_the_event_holds_the_row_of_the_month_and_the_drills_up_to_its_end(tmp_path: Path) -> None:
    trail = year(tmp_path / "l.db")
    with trail.ledger.transaction() as t:
        t.claim("month production", "2026-08")
    trail.now = at(2026, 12, 1, 8)
    trail.drilled(99)  # of December already
    trail.now = at(2026, 12, 1, 10)
    assert look(trail) == ["2026-11"]
    (event,) = told(trail)
    assert set(event.data) == {"target", "chart", *COLUMNS}
    assert (event.data["rollbacks"], event.data["drills_passed"], event.data["drills_missed"]) == (7, 1, 2)
    chart = event.data["chart"]
    assert chart["whole"] == [200.0, 180.0] and [at_[:10] for at_ in chart["at"]] == ["2026-09-07", "2026-11-02"]
    named = [(one["kind"], one["step"], one["seconds"]) for one in chart["steps"]]
    assert named == [
        ("rollback", "backup", [100.0, 90.0]),
        ("restore", "prepare", [50.0, 45.0]),
        ("rollback", "execute", [2.0, 2.0]),
        ("reapply", "execute", [1.0, 1.0]),
    ]
    trail.ledger.close()


def test_the_chart_shows_twelve_drills_and_only_steps_that_all_of_them_have(trail: Trail) -> None:
    for number in range(14):
        trail.drilled(100 + number)
        trail.passes(hours=1)
    odd = {"target": "production", "drill": 1, "due": None, "seconds": 5.0, "people": [], "migrations": []}
    trail.ledger.append("drill_passed", {**odd, "steps": [{"kind": "rollback", "step": "backup", "seconds": 2.0}]})
    chart = monthly.numbers(trail.ledger, "production", "2026-10")["chart"]
    assert chart["whole"] == [*map(float, range(103, 114)), 5.0]
    assert [one["step"] for one in chart["steps"]] == ["backup"]


# -- in Slack


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with Workspace() as slack:
        made = Office(tmp_path, slack)
        targets: Any = made.settings.targets
        drill = Drill("first monday 10:00")
        targets["production"] = replace(targets["production"], blocks="new", drill=drill)
        yield made
        made.ledger.close()


def reported(office: Office, path: Path) -> None:
    """The event of November, as a bot writes it."""
    trail = year(path)
    office.ledger.append("month", monthly.numbers(trail.ledger, "production", "2026-11"))
    trail.ledger.close()
    office.announcer.catch_up()


def test_the_channel_gets_a_chart_where_its_target_takes_new_blocks(office: Office, tmp_path: Path) -> None:
    reported(office, tmp_path / "other.db")
    (message,) = office.new()
    assert used({"blocks": message.blocks}) == {"data_visualization"}
    assert "7 asked for, 3 done" in message.text and message.thread_ts is None
    (chart,) = [block for block in message.blocks if block["type"] == "data_visualization"]
    assert chart["chart"]["axis_config"]["categories"] == ["7 Sep", "2 Nov"]
    assert office.all_told()
    assert (
        "[line chart] The last 2 drills of production\n  whole drill: 7 Sep 200.0, 2 Nov 180.0"
        in office.slack.transcript(CHANNEL)
    )


def test_the_channel_gets_bars_where_slack_refuses_the_chart(office: Office, older: None, tmp_path: Path) -> None:
    reported(office, tmp_path / "other.db")
    (message,) = office.new()
    assert kinds(message) == {"section", "context"} and "▇▇ whole drill, 3 min the last time" in str(message.blocks)
    assert "data_visualization" not in office.people.newer.of(office.settings.target())


def test_the_channel_gets_bars_where_its_target_has_classic_blocks(office: Office, tmp_path: Path) -> None:
    targets: Any = office.settings.targets
    targets["production"] = replace(targets["production"], blocks="classic")
    reported(office, tmp_path / "other.db")
    assert kinds(office.new()[0]) == {"section", "context"}


def test_the_real_bot_tells_the_month_that_it_owes_once(stage: Callable[..., Play], tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "bench" / "state" / "rollback-bot" / "ledger.db")
    with ledger.transaction() as t:
        t.claim("month production", "2000-01")
        t.claim("drill production", (now() - timedelta(minutes=1)).isoformat())
    ledger.close()
    play = stage('drill = { schedule = "daily 10:00", owners = ["U0CHEN"] }\n')
    label = monthly.over(now())

    def shown() -> list[str]:
        return [m.text for m in play.everything() if m.text.startswith("Rollbacks and drills of production in ")]

    assert len(play.slack.wait_for(shown, 30)) == 1
    (event,) = play.ledger.apart(["month"])
    assert event.data["month"] == label and "There was no drill." in str(play.everything())
    play.types("stats 2 --on production")
    (answer,) = play.slack.wait_for(lambda: [m for m in play.everything() if "the last 2 months" in m.text], 20)
    assert answer.ephemeral_for and "No rollback was asked for." in str(answer.blocks)
    refused = play.types("stats --csv")
    assert "CSV is printed in the shell only." in str(refused.text)
    play.bench.stop_bot()
    play.bench.start_bot()
    play.types("status")
    assert len(play.ledger.apart(["month"])) == len(shown()) == 1


# -- Slack's rules for the chart

POINTS = [{"label": "Mon", "value": 1}, {"label": "Tue", "value": 2.5}]
AXES = {"categories": ["Mon", "Tue"], "x_label": "day", "y_label": "seconds"}
LINE = {"type": "line", "series": [{"name": "drill", "data": POINTS}], "axis_config": AXES}
PIE = {"type": "pie", "segments": [{"label": "a", "value": 3}]}


def block(chart: Any, **more: Any) -> dict[str, Any]:
    return {"type": "data_visualization", "title": "Drills", "chart": chart, **more}


def test_a_chart_is_taken_in_a_message_and_nowhere_else() -> None:
    charts = [block(LINE), block(PIE, block_id="b")]
    assert blockkit.problems({"blocks": charts}, "message") == []
    modal = {"type": "modal", "title": {"type": "plain_text", "text": "x"}, "blocks": charts[:1]}
    assert "unsupported type of block in a modal: data_visualization" in str(blockkit.problems(modal, "modal"))
    assert "no more than 2 data_visualization" in str(blockkit.problems({"blocks": [block(PIE)] * 3}, "message"))


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (block(LINE, title="x" * 51), "at most 50 characters"),
        (block({**LINE, "type": "radar"}), "unsupported type of chart: radar"),
        (block({**LINE, "series": []}), "at least 1 items needed"),
        (block({**LINE, "series": [{"name": str(n), "data": POINTS} for n in range(7)]}), "no more than 6 items"),
        (block({**LINE, "series": LINE["series"] * 2}), "names of series must be unique"),
        (block({**LINE, "series": [{"name": "x" * 21, "data": POINTS}]}), "at most 20 characters"),
        (block({**LINE, "series": [{"name": "x", "data": POINTS[:1]}]}), "labels must match the categories"),
        (block({**LINE, "axis_config": {"categories": ["Mon", "Mon"]}}), "categories must be unique"),
        (block({**LINE, "axis_config": {**AXES, "y_label": "x" * 51}}), "at most 50 characters"),
        (block({**LINE, "series": [{"name": "x", "data": [{"label": "Mon", "value": "1"}]}]}), "must be a number"),
        (block({"type": "pie", "segments": [{"label": "a", "value": 0}]}), "must be greater than 0"),
        (block({"type": "line", "series": LINE["series"]}), "missing required field: axis_config"),
    ],
)
def test_a_chart_that_slack_would_refuse_is_told_why(made: Any, says: str) -> None:
    assert any(says in one for one in blockkit.problems({"blocks": [made]}, "message"))
