"""The incident packet: true of every run, the same in both forms, and nothing from outside can break out of it."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import messages_catalogue as catalogue
import messages_story as story
import pytest
import report_story
from docs_reading import ROOT, TEXT, rows
from markdown_reading import Page, Reader, text_of
from report_story import case, moved
from test_forgery import FORGED, LINE, UNSEEN, events

from bot.apart import APART
from core import redact, report
from core.applied import seen
from core.chain import Verdict
from core.model import UNCHANGED, State
from core.report import markdown, page
from core.report.case import Case, Told
from core.report.happened import BEGUN, called
from core.telling import KINDS
from core.zone import Zone, named

EXAMPLE = ROOT / "docs" / "example-report.md"
RUNS = {name: run for name, (run, _) in catalogue.CARDS.items()}
BROKEN = Verdict(2107, "3" * 64, ("event 2100 was changed after it was written",))


def written(of: Case) -> str:
    """Its Markdown, after both forms were read back and say the same as the model, word by word."""
    made = report.of(of)
    told = [text for text in text_of(made) if text]
    for fence in "`~":
        assert Reader(markdown.whole(made, fence)).texts == told
    found = Page(page.whole(made))
    assert found.texts == [text.strip() for text in told]
    assert all(link.startswith("#") or link == of.run.incident for link in found.links), found.links
    return markdown.whole(made)


def test_the_example_of_the_documentation_is_what_a_report_prints() -> None:
    text = written(report_story.packet())
    if os.environ.get("GOLDEN") == "write":
        EXAMPLE.write_text(text, encoding="utf-8")
    assert EXAMPLE.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", RUNS)
def test_a_packet_of_every_state_says_what_is_true_of_the_target(name: str) -> None:
    run = RUNS[name]
    text = written(report_story.of(run))
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        f"## {title}" for title, _ in report.SECTIONS
    ]
    (outcome,) = [line for line in text.splitlines() if line.startswith("- **Outcome:**")]
    changed = "is not changed yet" if run.is_open else "was not changed"
    assert (changed in outcome) == (run.state in UNCHANGED), outcome
    assert ("> **NOT ENDED:**" in text) == (run.is_open and run.state not in (State.DECIDE,)), text
    assert ("> **BREAK-GLASS:** Ana Diaz let it go" in text) == run.without_second


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("card_denied", "- **Denied by:** Bob Lee"),
        ("card_denied", "denied; production was not changed: wait for the replica to catch up"),
        ("card_stopped_proof", "Test restore and trial run failed: The script fails on the restored copy"),
        (
            "card_not_verified",
            "> **NOT VERIFIED:** it took effect, but the health check answers 503, 3 of 3 tries. A person must decide.",
        ),
        ("card_half_done", "> **HALF DONE:** It is half done: I was stopped in between."),
        ("card_half_done", "- **Part 1:** `DROP INDEX CONCURRENTLY stripe_events_type_idx`"),
        ("card_left_half_done", "- **Outcome:** left half done"),
        ("card_done_kept", "- **Outcome:** took effect, kept as it is, not verified"),
        ("card_done_review_owed", "without a second person. Its review is owed."),
        ("card_done_reviewed", "without a second person. Chen Wu has reviewed it."),
        ("card_needs_a_person", "needs a person: what is true is not known"),
        ("card_restored", "then undone by RB-W8ZE: its full backup was restored"),
        ("card_reapply_waiting_misfits", "- 3 rows of `subscriptions`: the row that they refer to is gone"),
        ("card_restore_done", "| `profiles` | 43 rows new or changed, 31 of the backup's changed or deleted |"),
        ("card_restore_done", "- **The database of before:** `app_before_rb_w8ze_20261110`"),
        ("card_restore_needs_a_person", "its services do not start"),
        ("card_waiting_schema_differs", "- **Schema from before:** does **not** come back"),
        ("card_refused", "has no rollback script. Add one."),
    ],
)
def test_what_a_postmortem_must_not_miss_stands_there(name: str, words: str) -> None:
    assert words in written(report_story.of(RUNS[name]))


def test_a_rollback_and_its_way_back_are_one_story() -> None:
    text = written(report_story.both_ways())
    timeline = [line for line in text.splitlines() if "`Audit #" in line]
    assert [line.split(" | ")[2] for line in timeline[-4:]] == ["RB-M4TQ", "RB-7K3M", "RB-M4TQ", "RB-M4TQ"]
    assert "| RB-M4TQ | run forward again" in text and "| Bob Lee | Chen Wu |" in text
    assert "`rollback reapply RB-7K3M`" not in text and "`rollback restore RB-7K3M`" in text
    back = case(report_story.REAPPLY, report_story.BACK, (Told(report_story.REAPPLIED, tuple(report_story.EVENTS)),))
    assert "- **Way back from:** RB-7K3M" in written(back) and "−3 min" in written(back)


def test_hashes_and_people_and_every_event_stand_there_whole() -> None:
    of = report_story.packet()
    text = written(of)
    for event in of.events:
        assert (f"`Audit #{event.id} {event.digest[:16]}`" in text) == (event.kind not in BEGUN)
    for item in of.run.going:
        assert item["script"]["sha256"] in text
    for found in (
        of.run.digest,
        of.head[1],
        of.run.evidence["backup"]["sha256"],
        of.run.evidence["execute"]["saved"]["sha256"],
    ):
        assert f"`{found}`" in text
    assert "| Bob Lee | `U0BOB` | 14:17:20 approved |" in text


def test_a_step_that_was_cut_short_is_told_although_nothing_ended_it() -> None:
    again = [
        replace(event, id=event.id + 100) for event in report_story.step(2099, "test restore", 60, 120, story.TRIAL)
    ]
    text = written(case(catalogue.APPROVED, [*report_story.PROVEN[:9], *again]))
    assert "Test restore and trial run: began; the trail has no end of it" in text
    assert text.count("| 4 Test restore and trial run |") == 2 and "no end in the trail" in text


def test_a_broken_trail_is_said_before_all_else() -> None:
    text = written(case(report_story.DONE, report_story.EVENTS, verdict=BROKEN))
    first = text.splitlines()[2]
    assert first.startswith("> **THE AUDIT TRAIL IS BROKEN:** do not rely on") and "event 2100 was changed" in first
    assert "- **Chain:** BROKEN" in text


def test_what_makes_no_sense_in_a_broken_trail_does_not_hide_the_rest() -> None:
    run = replace(
        report_story.DONE, evidence={**report_story.EVIDENCE, "rehearse": {"losses": "none of your business"}}
    )
    text = written(case(run, report_story.EVENTS, verdict=BROKEN))
    assert text.count("This part cannot be written") == 3 and "`Audit #2107" in text
    with pytest.raises((KeyError, TypeError)):
        report.of(case(run, report_story.EVENTS))


def test_every_kind_of_event_is_called_something() -> None:
    told = {row[0].strip("`") for row in rows("docs/ledger.md", "## Kinds of events")}
    apart = {
        "step_started",
        "step_done",
        "step_failed",
        "drill_stopped",
        *APART,
        *seen.KINDS,
        "totp_enrolled",
        "totp_confirmed",
        "totp_removed",
    }
    apart |= {kind for kind in told if kind.startswith(("backup_", "readiness"))}  # of no run
    assert told - apart <= KINDS.keys()
    assert called(story.event(1, "a_new_kind", 0)) == "a new kind"


# -- nothing breaks out ------------------------------------------------------------------------------------


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
def test_hostile_words_are_words_in_both_forms(forged: str) -> None:
    run = story.hostile_run(forged)
    told = [replace(one, state=State.WAITING if one.kind == "approved" else None) for one in events(run)]
    for state in (State.WAITING, State.STOPPED, State.DECIDE, State.NEEDS_A_PERSON, State.REAPPLIED):
        of = case(
            replace(run, state=state, changed=(forged,)), told, verdict=Verdict(7, "3" * 64, (forged,), (forged,))
        )
        text = written(of)
        assert not UNSEEN.search(text)
        begin = [line.lstrip("|>-*# ") for line in Reader(text).lines]
        assert forged == FORGED["very long"] or not [line for line in begin if line.startswith(LINE)]
    other = replace(story.way_back("restore", State.DONE), reason=forged, incident=forged)
    written(
        case(other, [moved(State.PLANNING, 1, "asked", 0, run.requester, reason=forged)], (Told(run, tuple(told)),))
    )


def test_a_secret_is_taken_out_before_its_signs_are_escaped() -> None:
    secret = "pa*ss<wo|rd>`&'x'_1"
    redact.install(redact.Redactor([secret]))
    try:
        text = written(case(story.hostile_run(f"see {secret} there"), report_story.BEGINNING))
        html = page.whole(report.of(case(story.hostile_run(f"see {secret} there"), report_story.BEGINNING)))
    finally:
        redact.install(redact.Redactor())
    assert "see ••• there" in text and "see ••• there" in html
    for word in ("wo|rd", "wo\\|rd", "&#x27;x&#x27;", "'x'"):
        assert word not in text and word not in html


def test_code_stands_between_longer_fences_than_any_in_it() -> None:
    for sign in "`~":
        sql = f"SELECT 1;\n{sign * 3}\n{sign * 7}sql\nDROP TABLE x;"
        shown = markdown.fenced(sql, "sql", sign)
        assert shown.startswith(sign * 8 + "sql\n") and shown.endswith("\n" + sign * 8)
        assert Reader(shown).texts == [sql]


def test_an_incident_is_a_link_only_where_it_is_what_it_seems() -> None:
    for address, linked in (
        ("https://example.com/inc/INC-418?a=1&b=2#x", True),
        ("https://example.com@evil.example/x", False),
        ("https://ex\u0430mple.com/x", False),
        ("https://example.com/a|b", False),
        ("https://example.com/>x", False),
        ("javascript:alert(1)", False),
    ):
        of = case(replace(report_story.DONE, incident=address), report_story.EVENTS)
        written(of)
        found = [link for link in Page(page.whole(report.of(of))).links if not link.startswith("#")]
        assert (found == [address]) == linked, address


def test_the_page_needs_nothing_from_anywhere_and_runs_nothing() -> None:
    text = page.whole(report.of(report_story.packet()))
    for word in ("<script", "<img", "<link", "<iframe", "url(", "@import", "http:"):
        assert word not in text.lower(), word
    assert "default-src 'none'" in text and "prefers-color-scheme: dark" in text and "@media print" in text


# -- times ---------------------------------------------------------------------------------------------------


def test_times_stand_in_utc_and_in_local_time_with_the_zones_name() -> None:
    text = written(report_story.packet())
    assert (
        "| UTC, 2026-11-10 | Local time, Europe/Berlin (CET), 2026-11-10 |" in text
        and "| 14:17:59 | 15:17:59 |" in text
    )
    assert "2026-11-10 14:16:04 UTC (15:16:04 CET)" in text
    far = written(case(report_story.DONE, report_story.EVENTS, zone=named("Pacific/Auckland")))
    assert "Pacific/Auckland (NZDT), 2026-11-11" in far and "(2026-11-11 03:16:04 NZDT)" in far
    same = written(case(report_story.DONE, report_story.EVENTS, zone=Zone("UTC", UTC)))
    assert "Local time is UTC too" in same and "| UTC, 2026-11-10 | After |" in same


def test_a_night_in_which_the_clocks_change_has_both_times() -> None:
    night = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    told = [replace(moved(State.PLANNING, n, "asked", 0, story.ANA), at=night + timedelta(hours=n)) for n in (0, 1)]
    text = written(case(replace(report_story.DONE, created_at=night), told))
    assert "(CEST/CET), 2026-10-25" in text
    assert "| 00:30:00 | 02:30:00 CEST |" in text and "| 01:30:00 | 02:30:00 CET |" in text


def test_the_example_is_shown_in_the_documentation() -> None:
    assert "(example-report.md)" in TEXT["docs/operating.md"]
