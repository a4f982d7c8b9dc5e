"""The whole story by hand, as two people in two browser windows. `PICTURES=write` renews the README's pictures."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.model import State
from demo import accidents
from demo.bench import ROOT, Bench
from tests.bench_fixtures import Play, owe_a_drill

Stage = Callable[..., Play]
Window = Callable[[Bench, str, str], Any]


@pytest.fixture
def window(browser: Any) -> Iterator[Window]:
    """Opens the workspace's page as one person sees it; closed at the end."""
    pages = []

    def opened(bench: Bench, user: str, scheme: str) -> Any:
        page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme=scheme)
        page.goto(f"{bench.workspace.page_url}&as={user}#C0INCIDENTS")
        pages.append(page)
        return page

    yield opened
    for page in pages:
        page.close()


def picture(page: Any, name: str, tmp_path: Path) -> None:
    """Keep what this window shows: for the README where asked, else for looking at after a failure."""
    folder = ROOT / "docs" / "pictures" if os.environ.get("PICTURES") == "write" else tmp_path
    page.screenshot(path=folder / f"{name}.png")


def test_a_drill_is_started_and_finished_by_buttons_on_the_page(stage: Stage, window: Window, tmp_path: Path) -> None:
    owe_a_drill(tmp_path / "bench")
    drill = (
        'drill = { schedule = "daily 10:00", timezone = "Europe/Berlin", owners = ["U0CHEN"], second_person = true }\n'
    )
    bench = stage(drill).bench
    chen, bob = window(bench, "U0CHEN", "light"), window(bench, "U0BOB", "dark")
    start = chen.get_by_role("button", name=re.compile("^Start drill"))
    start.wait_for(timeout=30_000)
    picture(chen, "drill-due", tmp_path)
    start.click()
    chen.get_by_role("button", name="Start drill", exact=True).click()  # the question before it counts
    bob.get_by_role("button", name=re.compile("^Agree to the drill")).click(timeout=60_000)
    chen.get_by_text("Passed in").first.wait_for(timeout=90_000)
    chen.get_by_role("button", name=re.compile("replies")).first.click()
    chen.locator("#thread").get_by_text(re.compile("^Drill for production passed")).wait_for()
    picture(chen, "drill-passed", tmp_path)
    assert not bob.get_by_role("button", name=re.compile("^(Start|Agree|Skip)")).count(), "nothing is left to press"


def test_two_people_roll_back_by_clicking(stage: Stage, window: Window, tmp_path: Path) -> None:
    bench = stage().bench
    ana, bob = window(bench, "U0ANA", "light"), window(bench, "U0BOB", "dark")
    ana.get_by_label("Message #incidents").fill("/rollback 011_subscriptions --reason checkout 500s since the deploy")
    ana.keyboard.press("Enter")
    review = re.compile("^Review and approve rollback")
    ana.get_by_role("button", name=review).click(timeout=30_000)
    ana.get_by_text("somebody else must approve it").first.wait_for()
    bob.get_by_role("button", name=review).click()
    bob.get_by_label(re.compile("Type the migration number")).fill("11")
    bob.locator("#modal .dbody").evaluate("(el) => { el.scrollTop = el.scrollHeight; }")
    picture(bob, "review-dark", tmp_path)
    approve = bob.get_by_role("button", name="Approve rollback", exact=True)
    approve.click()
    bob.get_by_text("Type 011 exactly").first.wait_for()
    bob.get_by_label(re.compile("Type the migration number")).fill("011")
    approve.click()
    ana.get_by_text("is done and verified").first.wait_for(timeout=60_000)
    ana.get_by_role("button", name=re.compile("replies")).first.click()
    ana.get_by_text("6/6 Verify").last.wait_for()
    ana.get_by_role("button", name="Got it").click()
    ana.get_by_text("6/6 Verify").last.scroll_into_view_if_needed()
    picture(ana, "workspace", tmp_path)
    ana.get_by_role("button", name=re.compile("timeline", re.IGNORECASE)).first.click()
    ana.get_by_text("chain unbroken").first.wait_for()
    assert not bob.get_by_role("button", name=review).count(), "a decided card has no buttons"


def test_what_is_asked_for_under_a_message_is_denied_there_and_everyone_reads_why(stage: Stage, window: Window) -> None:
    bench = stage().bench
    said = bench.workspace.say("U0CHEN", "C0INCIDENTS", "checkout is broken since the deploy")
    ana, bob = window(bench, "U0ANA", "light"), window(bench, "U0BOB", "light")
    ana.locator(".msg", has_text="checkout is broken").hover()
    ana.get_by_role("button", name="More actions").click()
    ana.get_by_role("menuitem", name=re.compile("Plan a rollback for this")).click()
    ana.get_by_role("combobox", name="Migration").fill("stripe")
    ana.get_by_role("option", name=re.compile("^012_stripe_events")).click()
    ana.get_by_label(re.compile("^Why")).fill("checkout 500s since the deploy")
    ana.get_by_role("button", name="Make the plan").click()
    bob.get_by_role("button", name=re.compile("^Deny rollback")).click(timeout=30_000)
    bob.get_by_label(re.compile("Why")).fill("wait for the replica")
    bob.get_by_role("button", name="Deny", exact=True).click()
    ana.get_by_text("wait for the replica").first.wait_for(timeout=20_000)
    ana.get_by_role("button", name=re.compile("^Deny rollback")).first.wait_for(state="detached", timeout=20_000)
    assert all(message.thread_ts == said.ts for message in bench.workspace.messages("C0INCIDENTS")[1:])


def test_the_way_back_is_taken_by_clicking(stage: Stage, window: Window) -> None:
    play = stage()
    bench = play.bench
    ana, bob = window(bench, "U0ANA", "light"), window(bench, "U0BOB", "light")
    ana.get_by_label("Message #incidents").fill("/rollback 011_subscriptions --reason checkout 500s since the deploy")
    ana.keyboard.press("Enter")
    bob.get_by_role("button", name=re.compile("^Review and approve rollback")).click(timeout=30_000)
    bob.get_by_label(re.compile("Type the migration number")).fill("011")
    bob.get_by_role("button", name="Approve rollback", exact=True).click()
    ana.get_by_role("button", name=re.compile("^Re-apply RB-")).click(timeout=60_000)
    ana.get_by_label(re.compile("Why")).fill("the old code needs it")
    ana.get_by_role("button", name="Ask for approval", exact=True).click()
    bob.get_by_role("button", name=re.compile("^Review and approve re-apply")).click(timeout=30_000)
    bob.get_by_role("button", name="Approve re-apply", exact=True).click()
    play.until(next(run.id for run in play.ledger.runs() if run.kind == "reapply"), State.DONE)
    ana.get_by_text("no write was lost").first.wait_for(timeout=20_000)


def test_what_is_broken_on_the_page_is_told_and_the_bot_goes_on(stage: Stage, window: Window) -> None:
    bench = stage('lock_wait = "30 s"\n').bench
    for switch in accidents.of(bench):
        bench.workspace.switches.add(switch)
    ana, bob = window(bench, "U0ANA", "dark"), window(bench, "U0BOB", "light")
    ana.get_by_label("Message #incidents").fill("/rollback latest --reason checkout 500s since the deploy")
    ana.keyboard.press("Enter")
    bob.get_by_role("button", name=re.compile("^Review and approve rollback")).wait_for(timeout=30_000)
    ana.get_by_role("button", name="Break things").click()
    ana.get_by_role("button", name="Kill the bot").click()
    assert bench.bot and bench.bot.wait(10) < 0
    bench.start_bot()  # as the demo does
    for switch in ("Lock the tables", "Fail the health check"):
        ana.get_by_role("switch", name=switch).check()
    bob.get_by_role("button", name="Rollback Bot: Home").click()
    bob.get_by_text("Waiting for you (1)").wait_for(timeout=20_000)
    bob.locator("#home").get_by_role("button", name=re.compile("^Review and approve")).click()
    bob.get_by_label(re.compile("Type the migration number")).fill("012")
    bob.get_by_role("button", name="Approve rollback", exact=True).click()
    ana.get_by_text(f"held by {accidents.APPLICATION}").first.wait_for(timeout=30_000)
    ana.get_by_role("switch", name="Lock the tables").uncheck()
    ana.get_by_role("button", name=re.compile("^Check again")).wait_for(timeout=30_000)
    ana.get_by_role("button", name="Mend everything").click()
    ana.get_by_role("button", name=re.compile("^Check again")).click()
    ana.get_by_text("is done and verified").first.wait_for(timeout=30_000)
