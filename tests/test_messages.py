"""What people read: golden files for every message, Slack's limits, and the worst that may stand in a field.

`GOLDEN=write pytest tests/test_messages.py` writes `tests/golden/` anew; the diff is the review.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import messages_catalogue as catalogue
import messages_story as story
import pytest
from messages_reading import readable

from bot import messages as m
from bot.messages import text as words
from core.model import Request, State
from demo.workspace.blockkit import problems

GOLDEN = Path(__file__).parent / "golden"
MESSAGES, VIEWS = catalogue.messages(), catalogue.views()
HOSTILE, HUGE = story.hostile_run(), story.huge_run()
OURS = re.compile(
    r"<!date\^\d+\^[^|<>^]+\|[^<>|]+>|<@U0(?:ANA|BOB|CHEN|P\d)>|<!subteam\^S0DBONCALL>|<https://ex[^<>|\s]+\|[^<>|]+>"
)
UNSEEN = re.compile(r"[\u200b\u202e\u2066\x07]")
LITERAL = ("plan", "table", "data_visualization")
"""Blocks whose words Slack takes as they are."""


def strings(value: Any) -> Iterator[str]:
    """All strings of a payload."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def shown(value: Any) -> Any:
    """A payload without what nobody reads as markup: what a form carries, what is typed into it beforehand, literal blocks."""
    if isinstance(value, dict) and value.get("type") in LITERAL:
        return {}
    if isinstance(value, dict):
        hidden = ("private_metadata", "initial_value", *(("value",) if "action_id" not in value else ()))
        return {key: shown(inner) for key, inner in value.items() if key not in hidden}
    return [shown(inner) for inner in value] if isinstance(value, list) else value


def found(value: Any, kind: str) -> list[Any]:
    """All parts of a payload with that type."""
    if isinstance(value, dict):
        mine = [value] if value.get("type") == kind else []
        return mine + [one for inner in value.values() for one in found(inner, kind)]
    return [one for inner in value for one in found(inner, kind)] if isinstance(value, list) else []


def breaches(payload: Any, surface: Any) -> list[str]:
    """What a payload breaks of Slack's rules and of ours."""
    told = list(problems(payload, surface))
    buttons = found(payload, "button")
    for block in payload["blocks"]:
        if block["type"] == "section" and len(block.get("text", {}).get("text", "")) > 2800:
            told.append("a section above 2,800 characters")
    told += [f"{one['action_id']} has no label" for one in buttons if not one.get("accessibility_label")]
    told += [f"{one['text']['text']} is not in its label" for one in buttons if not named(one)]
    told += [f"{one['text']['text']} is long" for one in buttons if len(one["text"]["text"]) > 30]
    if sum(one.get("style") == "primary" for one in buttons) > 1:
        told.append("two primary buttons")
    if surface == "message":
        told += [] if 0 < len(payload["text"]) <= 400 else [f"text of {len(payload['text'])} characters"]
        told += [] if payload["blocks"][0]["type"] == "section" else ["the first block is no section"]
    return told


def named(button: Any) -> bool:
    """Are the words that stand on it in what a screen reader says? (WCAG 2.5.3)"""
    return str(button["text"]["text"]).rstrip("…") in str(button.get("accessibility_label"))


@pytest.mark.parametrize("name", sorted(MESSAGES | VIEWS))
def test_every_message_is_as_it_was_reviewed(name: str) -> None:
    payload = (MESSAGES | VIEWS)[name]
    as_json = json.dumps(payload, indent=1, ensure_ascii=False) + "\n"
    as_text = readable(payload)
    if os.environ.get("GOLDEN") == "write":
        (GOLDEN / f"{name}.json").write_text(as_json, encoding="utf-8")
        (GOLDEN / f"{name}.txt").write_text(as_text, encoding="utf-8")
    assert (GOLDEN / f"{name}.txt").read_text(encoding="utf-8") == as_text
    assert (GOLDEN / f"{name}.json").read_text(encoding="utf-8") == as_json


def test_no_golden_file_is_left_from_a_message_that_is_gone() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(MESSAGES | VIEWS)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_every_message_keeps_slacks_limits_and_ours(name: str) -> None:
    assert breaches(MESSAGES[name], "message") == []
    if name.startswith("card"):
        assert len(MESSAGES[name]["blocks"]) <= 9
        assert re.search(r"RB-(7K3M|M4TQ|W8ZE)", MESSAGES[name]["text"])


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_every_view_keeps_slacks_limits(name: str) -> None:
    assert breaches(VIEWS[name], "home" if name.startswith("home") else "modal") == []


@pytest.mark.parametrize(
    "state", ["denied", "expired", "withdrawn", "stopped_proof", "stopped_execute", "stopped_by_person"]
)
def test_every_ending_before_the_change_says_that_the_target_was_not_changed(state: str) -> None:
    payload = MESSAGES[f"card_{state}"]
    assert "*production was not changed*" in list(strings(payload["blocks"]))
    assert "changed" in payload["text"]
    assert not {"rb.review", "rb.deny"} & {one["action_id"] for one in found(payload, "button")}


def test_no_way_back_is_offered_where_its_files_are_gone() -> None:
    offered = [{one["action_id"] for one in found(m.card(run, story.CTX), "button")} for run in
               (catalogue.DONE, replace(catalogue.DONE, cleaned=True))]  # fmt: skip
    assert offered[0] - offered[1] == {"rb.reapply", "rb.restore"}


@pytest.mark.parametrize("run", [HOSTILE, HUGE], ids=["hostile", "huge"])
def test_the_worst_runs_keep_all_limits_in_every_state(run: Any) -> None:
    told = {name: breaches(one, "message") for name, one in catalogue.of_run(run).items()}
    views = catalogue.views_of(run)
    told |= {name: breaches(one, "home" if name == "home" else "modal") for name, one in views.items()}
    told |= {f"page {n}": breaches(m.full_plan(run, n), "modal") for n in range(1, len(m.pages(run)) + 1, 29)}
    assert {name: wrong for name, wrong in told.items() if wrong} == {}


def test_hostile_words_mention_nobody_link_nowhere_and_hide_nothing() -> None:
    payloads = {**catalogue.of_run(HOSTILE), **catalogue.views_of(HOSTILE), "page": m.full_plan(HOSTILE)}
    for name, payload in payloads.items():
        for said in strings(shown(payload)):
            rest = OURS.sub("", said)
            assert "<" not in rest and not UNSEEN.search(rest), (name, said)
            assert said.count("```") % 2 == 0, (name, said)
            assert ":tada:" not in re.sub(r"```.*?```|`[^`]*`", "", said, flags=re.DOTALL), (name, said)
        assert all(one["verbatim"] for one in found(payload, "mrkdwn")), name
        literal = [block for block in payload["blocks"] if block["type"] in LITERAL]
        assert not any(map(UNSEEN.search, strings(literal))), name


def test_the_list_of_migrations_is_never_cut() -> None:
    payload = m.card(HUGE, story.CTX)
    said = "\n".join(strings(payload["blocks"]))
    assert all(f"{nth}. `{one['name']}`" in said for nth, one in enumerate(HUGE.evidence["identify"]["undo"], 1))


def test_lost_objects_are_cut_honestly_on_the_card_and_whole_in_the_full_plan() -> None:
    card = "\n".join(strings(m.card(HUGE, story.CTX)["blocks"]))
    assert "• and 385 more, the rest in *Full plan*" in card
    assert "0 of 60 statements, the rest in *Full plan*" in card
    plan = "\n".join(said for page in m.pages(HUGE) for said in strings(page))
    assert all(f"`{one['name']}`" in plan for one in HUGE.evidence["rehearse"]["losses"])


def test_the_full_plan_holds_every_character_of_every_statement() -> None:
    fenced = [said[3:-3] for page in m.pages(HUGE) for said in strings(page) if said.startswith("```")]
    whole = "\n".join(fenced).replace("\n", "")
    for one in HUGE.evidence["identify"]["undo"]:
        for statement in one["script"]["statements"]:
            assert words.sql_text(statement["sql"]).replace("\n", "") in whole


def test_a_button_of_the_full_plan_leads_to_the_next_page() -> None:
    first = m.full_plan(HUGE, 1)
    (row,) = [block for block in first["blocks"] if block["type"] == "actions"]
    assert m.page_of(row["block_id"]) == 2
    assert json.loads(m.full_plan(HUGE, 10**9)["private_metadata"])["page"] == len(m.pages(HUGE))
    assert m.page_of("RB-7K3M:2096:gate") is None


def test_the_typed_number_is_asked_only_when_data_goes() -> None:
    assert m.confirm_word(catalogue.WAITING) == "011"
    empty = [{"kind": "table", "name": "t", "rows": 0, "about": False}, {"kind": "view", "name": "v"}]
    guess = [{"kind": "table", "name": "t", "rows": 0, "about": True}]
    for losses, expected in ((empty, None), (guess, "011"), ([], None)):
        rehearse = {**story.REHEARSE, "losses": losses}
        assert m.confirm_word(story.run(State.WAITING, evidence={**story.PLAN, "rehearse": rehearse})) == expected


def test_a_failure_is_told_once_and_a_stop_by_a_person_in_the_thread() -> None:
    stopped = catalogue.STOPPED
    assert stopped.ending is not None
    assert m.broadcast(stopped, catalogue.FAIL, story.CTX) is not None
    assert m.thread(stopped, catalogue.FAIL, story.CTX) is None
    assert m.broadcast(stopped, stopped.ending, story.CTX) is None
    assert m.thread(stopped, stopped.ending, story.CTX) is None


def test_an_event_nobody_need_hear_of_makes_no_message() -> None:
    started = story.event(2097, "step_started", 8, step="backup")
    assert m.thread(catalogue.WAITING, started, story.CTX) is None
    assert m.broadcast(catalogue.WAITING, started, story.CTX) is None


def test_my_own_approval_can_be_taken_back_only_until_execution_starts() -> None:
    approved = m.direct_decided(catalogue.APPROVED, story.CTX, own=True)
    executing = m.direct_decided(story.run(State.EXECUTING, approvals=story.YES), story.CTX, own=True)
    assert [one["action_id"] for one in found(approved, "button")] == ["rb.unapprove"]
    assert found(executing, "button") == []


def test_asking_again_repeats_what_was_typed() -> None:
    request = Request("to", "010_rate_limits", False)
    run = story.run(State.DENIED, catalogue.DENIED.ending, request=request, target="staging")
    other = m.Context("x", "x", None, 30, False, story.NOON)
    assert "`/rollback to 010_rate_limits --on staging` asks again" in list(strings(m.card(run, other)["blocks"]))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "under 0.1 s"),
        (0.4, "0.4 s"),
        (4.0, "4 s"),
        (9.97, "10 s"),
        (59.6, "1 min"),
        (115, "1 min 55 s"),
        (3840, "1 h 4 min"),
    ],
)
def test_durations_are_words(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (412_000_000, "412 MB"),
        (2_100_000_000, "2.1 GB"),
        (999_600, "1 MB"),
    ],
)
def test_sizes_have_a_unit(count: int, said: str) -> None:
    assert words.size(count) == said


def test_a_cut_never_splits_an_escaped_sign() -> None:
    assert words.cut("a &amp; b", 6) == "a…"
    assert words.cut("x\\u202ey" * 3, 9) == "x\\u202ey…"
    assert all("&" not in re.sub("&lt;", "", piece) for piece in words.split("&lt;" * 100, 33))


def test_sql_cannot_leave_its_fence() -> None:
    said = words.fence(words.sql_text("SELECT '```' AS x; -- `"))
    assert said.startswith("```") and said.endswith("```") and "```" not in said[3:-3]


def test_the_shortest_text_still_says_run_loss_expiry_and_what_to_do() -> None:
    for run in (HUGE, catalogue.WAITING):
        text = m.card(run, story.CTX)["text"]
        assert "RB-7K3M" in text and "Deletes" in text and "Expires 14:31 UTC. Open it to review." in text
