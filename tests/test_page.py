"""The page of the local workspace, in a real browser, with a real Bolt app behind it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from demo.workspace import Workspace
from tests import page_world
from tests.page_world import CARD, CHANNEL, World

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


def expect(what: Any) -> Any:
    return sync_api.expect(what)


def last(page: Any) -> Any:
    return page.locator("#messages .msg").last


def box(page: Any) -> Any:
    return page.locator("#composer textarea")


def test_what_the_app_sends_is_shown_as_text_and_never_as_markup(screens: World) -> None:
    text = "<b>x</b> <img src=x onerror=fail()> &lt;i&gt; <javascript:fail()|y>"
    screens.client.chat_postMessage(channel=CHANNEL, text=text)
    page = screens.open()
    expect(last(page)).to_contain_text("<b>x</b> <img src=x onerror=fail()> <i> <javascript:fail()|y>")
    assert page.locator(".msg img, .msg a").count() == 0


def test_a_wrong_field_is_told_under_the_field_and_the_rest_is_kept(screens: World) -> None:
    page = screens.open()
    box(page).fill("/rollback")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.locator("#modal .error").first).to_contain_text("complete this required field")
    page.get_by_label("Note").fill("looks right")
    page.get_by_label("Type 011").fill("012")
    page.keyboard.press("Enter")
    expect(page.locator("#modal .error").first).to_contain_text("Type 011 exactly.")
    expect(page.get_by_label("Type 011")).to_be_focused()
    page.get_by_label("Type 011").fill("011")
    page.keyboard.press("Enter")
    expect(last(page)).to_contain_text("approved, note: looks right")
    expect(page.locator("#modal")).to_be_hidden()


def test_what_somebody_is_typing_survives_new_messages(screens: World) -> None:
    page = screens.open()
    box(page).press_sequentially("half a sen")
    screens.workspace.say("U0BOB", CHANNEL, "hello")
    expect(last(page)).to_contain_text("hello")
    page.keyboard.type("tence")
    assert box(page).input_value() == "half a sentence"


def test_the_time_beside_a_grouped_message_keeps_clear_of_its_words(screens: World) -> None:
    for words in ("it is down", "since 14:02"):
        screens.workspace.say("U0BOB", CHANNEL, words)
    for width in (1280, 400):
        page = screens.open(width=width)
        expect(last(page)).to_have_class(re.compile("compact"))
        time = last(page).locator("time")
        right = time.evaluate("""e => { e.textContent = "12:58 PM";
            const words = document.createRange();
            words.selectNodeContents(e);
            return words.getBoundingClientRect().right; }""")
        assert last(page).locator(".body").bounding_box()["x"] - right > 5


def test_a_command_that_nobody_answers_fails_as_in_slack(screens: World) -> None:
    with Workspace() as nobody_there:
        page = screens.open(address=nobody_there.page_url)
        box(page).fill("/rollback latest")
        page.keyboard.press("Enter")
        expect(last(page)).to_contain_text("/rollback failed with the error “dispatch_failed”")
        screens.reset()


def test_a_slash_offers_the_command_with_its_hint_and_a_wrong_one_is_refused(screens: World) -> None:
    page = screens.open()
    box(page).press_sequentially("/")
    offer = page.locator("#composer").get_by_role("option")
    expect(offer).to_contain_text("/rollback <migration> | latest")
    page.keyboard.press("Tab")
    assert box(page).input_value() == "/rollback "
    expect(page.locator("#composer .usage")).to_contain_text("<migration> | latest | to <migration>")
    page.keyboard.type("history")
    page.keyboard.press("Enter")
    expect(last(page)).to_contain_text("heard history")
    expect(last(page)).to_contain_text("Only visible to you")
    box(page).fill("/deploy now")
    page.keyboard.press("Enter")
    expect(last(page)).to_contain_text("/deploy is not a valid command")


def test_a_click_is_sent_only_after_the_confirm_box(screens: World) -> None:
    screens.post(CARD)
    page = screens.open()
    button = page.get_by_role("button", name="Withdraw request RB-7K3M")
    button.click()
    expect(page.get_by_role("button", name="Keep it")).to_be_focused()  # the harmless answer
    page.keyboard.press("Escape")
    expect(page.locator("#ask")).to_be_hidden()
    expect(button).to_be_focused()
    assert len(screens.workspace.messages(CHANNEL)) == 1
    button.click()
    page.get_by_role("button", name="Yes, withdraw").click()
    expect(last(page)).to_contain_text("withdrawn")


def test_a_thread_opens_by_its_replies_and_escape_closes_it(screens: World) -> None:
    root = screens.post(CARD)
    screens.client.chat_postMessage(channel=CHANNEL, text="1/6 done", thread_ts=root)
    page = screens.open()
    page.get_by_role("button", name="1 reply").click()
    page.keyboard.type("thank you")
    page.keyboard.press("Enter")
    expect(page.locator("#replies .msg").last).to_contain_text("thank you")
    page.keyboard.press("Escape")
    expect(page.locator("#thread")).to_be_hidden()


def test_another_person_in_a_second_window_sees_it_at_once(screens: World) -> None:
    ana = screens.open()
    with ana.context.expect_page() as second:
        ana.get_by_role("link", name="Second window, as Bob Lee").click()
    bob = second.value
    expect(bob.get_by_label("You are")).to_have_value("U0BOB")
    box(ana).fill("@Bob Lee please look & approve")
    ana.keyboard.press("Enter")
    expect(last(bob)).to_contain_text("@Bob Lee please look & approve")
    expect(last(bob).locator(".at.me")).to_have_text("@Bob Lee")
    expect(bob.locator("#announcer")).to_contain_text("Ana Diaz: @Bob Lee please look")


def test_who_one_is_can_be_changed_and_so_is_what_one_sees(screens: World) -> None:
    screens.client.chat_postEphemeral(channel=CHANNEL, user="U0ANA", text="for Ana alone")
    page = screens.open()
    expect(page.locator("#guide")).to_contain_text("You are Ana Diaz. Type /rollback in the box below.")
    expect(last(page)).to_contain_text("for Ana alone")
    page.get_by_label("You are").select_option("U0CHEN")
    expect(page.locator("#guide")).to_contain_text("You are Chen Wu.")
    expect(page.locator("#messages .msg")).to_have_count(0)
    page.get_by_role("button", name="Got it").click()
    page.reload()
    expect(page.locator("#place-name")).to_have_text("#incidents")
    expect(page.locator("#guide")).to_be_hidden()


def test_a_time_is_shown_in_the_readers_own_zone(screens: World) -> None:
    blocks = [
        {
            "type": "section",
            "text": {"type": "mrkdwn", "text": "until <!date^1794321072^{date_short} {time}|14:31 UTC>"},
        }
    ]
    screens.post(blocks)
    tokyo = screens.open(timezone_id="Asia/Tokyo", locale="en-GB")
    expect(last(tokyo).locator("time").last).to_have_text("10 Nov 2026 23:31")
    assert last(tokyo).locator("time").last.get_attribute("title").endswith("(14:31 UTC)")


def test_home_and_direct_messages_are_places_of_their_own(screens: World) -> None:
    screens.client.chat_postMessage(channel="D0ANA", text="please decide")
    page = screens.open()
    page.get_by_role("button", name="Rollback Bot: Home").click()
    expect(page.locator("#home")).to_contain_text("Waiting for you")
    page.locator("#home").get_by_role("button", name="Go").click()
    assert screens.sent("block_actions")[0]["view"]["type"] == "home"
    page.locator("#tabs").get_by_role("button", name="Messages").click()
    expect(last(page)).to_contain_text("please decide")
    expect(page.locator("#readonly")).to_be_visible()
    expect(box(page)).to_be_hidden()


def test_a_direct_message_elsewhere_is_shown_as_a_notice_that_leads_to_it(screens: World) -> None:
    page = screens.open()
    screens.client.chat_postMessage(channel="D0ANA", text="please decide")
    page.locator(".toast").click()
    expect(page.locator("#place-name")).to_have_text("rollback")
    expect(last(page)).to_contain_text("please decide")


def test_a_phone_shows_everything_without_scrolling_sideways(screens: World) -> None:
    screens.post(page_world.EVERYTHING)
    screens.post(CARD)
    page = screens.open(width=390, has_touch=True, is_mobile=True)
    expect(page.get_by_role("button", name="Withdraw request RB-7K3M")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("[...document.querySelectorAll('.msg')].every((el) => el.scrollWidth <= el.clientWidth)")
    page.get_by_role("button", name="Channels and people").tap()
    page.locator("#lists").get_by_role("button", name="random").tap()
    expect(page.locator("#place-name")).to_have_text("#random")
    page.get_by_role("button", name="Shortcuts").tap()
    page.get_by_role("menuitem", name=re.compile("Plan a rollback")).tap()
    expect(page.get_by_role("heading", name="Plan a rollback")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#modal").bounding_box()["width"] == 390
