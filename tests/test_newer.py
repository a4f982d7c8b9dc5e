"""Slack's newer blocks: used where a target asks for them, and left again by itself where Slack does not take them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from slack_bolt import Ack, Respond
from structlog.testing import capture_logs
from test_announcer import BOB, CHANNEL, INC, Office

from bot.commands import Commands
from bot.decisions import Decisions
from bot.newer import KINDS, Newer, used
from bot.reply import Reply
from core.engine import Engine
from core.model import Json, Run, State
from core.roll_back import RUNBOOKS
from demo.workspace import Workspace, blockkit
from demo.workspace.shapes import by_type
from tests.scenery import Stage


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with Workspace() as slack:
        made = Office(tmp_path, slack)
        targets: Any = made.settings.targets
        targets["production"] = replace(targets["production"], blocks="new")
        yield made
        made.ledger.close()


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Slack that knows none of the newer blocks."""
    for surface in ("message", "modal"):
        monkeypatch.setitem(blockkit.BLOCKS, surface, by_type(blockkit.EVERYWHERE, f"block in a {surface}"))  # type: ignore[arg-type]


class Now(Executor):
    """Runs a job at once."""

    def submit(self, fn: Any, /, *args: Any, **more: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **more))
        return done


def kinds(message: Any) -> set[str]:
    return {block["type"] for block in message.blocks}


def given_up(said: Any) -> list[list[str]]:
    """What the log says was given up."""
    return [one["blocks"] for one in said if "newer blocks" in one["event"]]


def reply(office: Office, body: Json, address: str | None = None) -> Reply:
    client = office.people.client
    return Reply(body, Ack(), Respond(response_url=address), client, lambda view: view, newer=office.people.newer)


def decisions(office: Office) -> Decisions:
    engine = Engine(RUNBOOKS, office.ledger, office.settings, office.people)
    return Decisions(office.desk, engine, office.people, Now())


def test_a_card_shows_its_steps_as_a_plan_and_is_edited_as_one(office: Office) -> None:
    run = office.asked()
    office.announcer.catch_up()
    card = office.new()[0]
    assert used({"blocks": card.blocks}) == {"plan"}
    office.desk.approve(run.id, BOB, 1, "d" * 64)
    office.announcer.catch_up()
    (plan,) = [block for block in card.blocks if block["type"] == "plan"]
    assert plan["title"].startswith("Approved, step 3 of 6")
    assert [task["status"] for task in plan["tasks"]] == ["complete"] * 2 + ["pending"] * 4


@pytest.mark.usefixtures("older")
def test_a_card_whose_plan_slack_does_not_take_is_posted_in_classic_blocks_and_no_other_is_tried(
    office: Office,
) -> None:
    with capture_logs() as said:
        run = office.asked()
        office.announcer.catch_up()
        office.desk.deny(run.id, BOB, "not today")
        office.announcer.catch_up()
        other = office.asked(INC)
        office.announcer.catch_up()
    (card,) = [m for m in office.new() if not m.thread_ts]
    assert not kinds(card) & KINDS and "denied" in card.text
    assert not kinds(office.new(INC)[0]) & KINDS and other.id in office.new(INC)[0].text
    assert given_up(said) == [["plan"]] and office.all_told()
    assert office.people.newer.of(office.settings.target()) == KINDS - {"plan"}


def test_an_edit_and_a_new_card_fall_back_where_slack_does_not_take_the_plan_any_more(
    office: Office, request: pytest.FixtureRequest
) -> None:
    run = office.asked()
    office.announcer.catch_up()
    card = office.new()[0]
    request.getfixturevalue("older")
    office.desk.approve(run.id, BOB, 1, "d" * 64)
    office.announcer.catch_up()
    assert not kinds(card) & KINDS and "approved" in card.text
    office.people.newer = Newer()  # as if it had not been tried
    with office.slack.state.changing():
        office.slack.state.messages[CHANNEL].remove(card)
    office.announcer._shown.clear()
    office.announcer.show(office.ledger.run(run.id))
    (other,) = [m for m in office.new() if not m.thread_ts]
    assert not kinds(other) & KINDS and "approved" in other.text


def open_review(office: Office, run: Run) -> list[str]:
    """The blocks of the form that somebody gets."""
    body = {"type": "block_actions", "trigger_id": office.slack.state.new_trigger("U0BOB"), "user": {"id": "U0BOB"}}
    decisions(office).review(run, BOB, reply(office, body))
    return [block["type"] for block in office.slack.state.modals["U0BOB"][-1].blocks]


def test_the_review_begins_with_an_alert_where_slack_takes_it(office: Office, request: pytest.FixtureRequest) -> None:
    run = office.asked()
    assert open_review(office, run)[0] == "alert"
    request.getfixturevalue("older")
    with capture_logs() as said:
        assert open_review(office, run)[0] == open_review(office, run)[0] == "section"
    assert given_up(said) == [["alert"]]


def look_back(office: Office, text: str) -> set[str]:
    """`/rollback history`: the blocks of its answer."""
    state = office.slack.state
    body = {"command": "/rollback", "text": text, "user_id": "U0BOB", "channel_id": CHANNEL, "trigger_id": "1"}
    answer = reply(office, body, state.new_response_url(CHANNEL, "U0BOB"))
    before = len(office.messages())
    ack = Commands(office.desk, office.people, Now(), decisions(office)).handle(body, answer)
    shown = office.messages()[before:]
    return kinds(shown[0]) if shown else {block["type"] for block in json.loads(ack.body)["blocks"]}


def test_the_history_is_a_table_where_the_named_or_the_default_target_says_so_and_slack_takes_it(
    office: Office, request: pytest.FixtureRequest
) -> None:
    office.asked()
    other: Any = office.settings.targets
    other["staging"] = replace(other["production"], name="staging", blocks="classic")
    assert "table" in look_back(office, "history") and "table" in look_back(office, "history --on production")
    assert not look_back(office, "history --on staging") & KINDS
    request.getfixturevalue("older")
    with capture_logs() as said:
        assert not look_back(office, "history") & KINDS
        assert not look_back(office, "history") & KINDS
    assert given_up(said) == [["table"]]


def test_classic_is_what_a_target_has_that_says_nothing(office: Office) -> None:
    assert (
        Newer().of(None) == frozenset()
        and Newer().of(replace(office.settings.target(), blocks="classic")) == frozenset()
    )


def test_a_whole_rollback_goes_through_newer_blocks(stage: Stage) -> None:
    play = stage('blocks = "new"\n')
    run = play.proven(play.asks("latest"))
    view = play.reviews(run)
    assert view.blocks[0]["type"] == "alert"
    play.approves(run)
    play.until(run.id, State.DONE)
    play.told()
    card = next(message for message in play.everything() if message.metadata and not message.thread_ts)
    assert "is done" in card.text
    play.types("history")
    play.slack.wait_for(lambda: "table" in kinds(play.everything()[-1]))
    log = play.bench.log.read_text()
    assert "newer blocks" not in log and "not posted" not in log and "not edited" not in log
