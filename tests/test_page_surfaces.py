"""Shortcuts, forms, menus and newer blocks on the page, used by keyboard as a person would."""

from __future__ import annotations

import re
from typing import Any

from tests.page_world import CHANNEL, EVERYTHING, World
from tests.test_page import expect, last


def plan(screens: World) -> Any:
    """A window in which Ana has opened the form by the global shortcut, without the mouse."""
    page = screens.open()
    page.get_by_role("button", name="Shortcuts").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name=re.compile("Plan a rollback"))).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Plan a rollback")).to_be_visible()
    return page


def test_a_form_is_opened_filled_in_and_sent_by_keyboard_alone(screens: World) -> None:
    page = plan(screens)
    assert screens.sent("shortcut")[0]["callback_id"] == "plan"
    search = page.get_by_role("combobox", name="Migration")
    expect(search).to_have_value("010_old")  # the initial option
    search.focus()
    page.keyboard.type("0")
    expect(page.locator(".combo .none")).to_have_text("Type at least 2 characters")
    page.keyboard.type("11")
    expect(page.get_by_role("group", name="Newest").get_by_role("option")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option", name=re.compile("011_subscriptions"))).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(search).to_have_value("011_subscriptions")
    expect(page.locator(".combo .hint")).to_have_text("also rolls back 012")
    page.keyboard.press("Tab")
    page.keyboard.type("stag")  # a menu of groups
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")  # radio buttons
    page.get_by_label("team").press("Space")
    page.get_by_label("Reason").fill("why not")
    page.get_by_label("Reason").press("Tab")
    page.get_by_role("button", name="Make the plan").press("Enter")
    expect(last(page)).to_contain_text("011_subscriptions")
    (sent,) = screens.sent("view_submission")
    values = {block: next(iter(entries.values())) for block, entries in sent["view"]["state"]["values"].items()}
    assert values["target"]["selected_option"]["value"] == "staging"
    assert [each["value"] for each in values["tell"]["selected_options"]] == ["team"]
    assert values["far"]["selected_option"]["value"] in ("all", "one")
    assert values["migration"]["selected_option"]["value"] == "011_subscriptions"


def test_what_somebody_types_to_find_an_option_survives_new_messages(screens: World) -> None:
    page = plan(screens)
    search = page.get_by_role("combobox", name="Migration")
    search.focus()
    page.keyboard.type("01")  # over the initial option, which is selected
    expect(page.locator("#modal").get_by_role("option").first).to_contain_text("012_stripe_events")
    screens.workspace.say("U0BOB", CHANNEL, "hello")
    expect(last(page)).to_contain_text("hello")
    assert search.input_value() == "01"
    page.keyboard.type("1")
    assert search.input_value() == "011"
    page.locator("#modal").get_by_role("option", name=re.compile("011_subscriptions")).click()
    assert search.input_value() == "011_subscriptions"


def test_what_is_wrong_is_said_at_each_field_and_the_first_of_them_has_the_focus(screens: World) -> None:
    page = plan(screens)
    page.get_by_role("button", name="Make the plan").click()
    expect(page.locator(".field .error:visible")).to_have_count(3)
    expect(page.get_by_label("Target")).to_be_focused()
    page.get_by_label("Target").select_option("production")
    page.get_by_role("radio", name="all").check()
    page.get_by_label("Reason").fill("just because")
    page.get_by_role("button", name="Make the plan").click()
    expect(page.locator("#modal")).to_contain_text("Only one is allowed.")
    expect(page.locator("#modal")).to_contain_text("Say more.")
    expect(page.get_by_role("radio", name="all")).to_be_focused()
    described = page.get_by_label("Reason").get_attribute("aria-describedby").split()[-1]
    assert page.locator(f"#{described}").text_content() == "⚠ Say more."


def test_each_character_is_told_and_the_answer_does_not_disturb_the_typing(screens: World) -> None:
    page = plan(screens)
    field = page.get_by_label("Watch")
    field.press_sequentially("stripe")
    expect(page.locator("#modal")).to_contain_text("You typed stripe")
    expect(field).to_be_focused()
    expect(field).to_have_value("stripe")
    page.keyboard.type("!")
    expect(page.locator("#modal")).to_contain_text("You typed stripe!")
    told = screens.sent("block_actions")[-1]
    assert told["view"]["state"]["values"]["watch"]["typed"]["value"] == "stripe!"
    assert told["view"]["state"]["values"]["migration"]["v"]["selected_option"]["value"] == "010_old"


def test_three_views_lie_on_one_another_and_are_closed_one_by_one_or_together(screens: World) -> None:
    page = plan(screens)
    page.get_by_label("Reason").fill("kept below")
    page.get_by_role("button", name="More").click()
    expect(page.get_by_role("heading", name="View 2")).to_be_visible()
    page.get_by_role("button", name="More").click()
    expect(page.get_by_role("heading", name="View 3")).to_be_visible()
    page.get_by_role("button", name="Back", exact=True).click()
    expect(page.get_by_role("heading", name="View 2")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Plan a rollback")).to_be_visible()
    expect(page.get_by_label("Reason")).to_have_value("kept below")
    page.get_by_role("button", name="More").click()
    expect(page.get_by_role("heading", name="View 2")).to_be_visible()
    page.get_by_role("button", name="Close all").click()
    expect(page.locator("#modal")).to_be_hidden()
    assert [body["is_cleared"] for body in screens.sent("view_closed", 4)] == [False, False, True, True]


def test_a_message_has_the_apps_own_actions_and_menus(screens: World) -> None:
    root = screens.workspace.say("U0CHEN", CHANNEL, "checkout is broken")
    screens.workspace.say("U0BOB", CHANNEL, "since the deploy", root.ts)
    screens.post(EVERYTHING)
    page = screens.open()
    page.get_by_role("button", name="1 reply").click()
    page.locator("#replies .msg").last.hover()
    page.locator("#replies .msg").last.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name=re.compile("Plan for this")).press("Enter")
    expect(last(page)).to_contain_text("About: since the deploy")
    shortcut = screens.sent("message_action")[0]
    assert (shortcut["message"]["thread_ts"], shortcut["channel"]["id"]) == (root.ts, CHANNEL)
    card = page.locator("#messages .msg", has=page.get_by_role("heading", name="Every block"))
    card.get_by_label("Pick one").select_option("b")
    card.locator('[data-action="other"]').press("Enter")
    expect(page.get_by_role("menuitem", name="Timeline")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    picked, other = screens.sent("block_actions", 2)
    assert picked["actions"][0]["selected_option"]["value"] == "b"
    assert other["actions"][0]["selected_option"]["value"] == "Audit"
    assert other["state"]["values"]["tools"]["pick"]["selected_option"]["value"] == "b"


def test_the_newer_blocks_are_drawn_with_words_and_not_by_colour_alone(screens: World) -> None:
    screens.post(EVERYTHING)
    page = screens.open()
    tasks = page.locator(".plan li")
    expect(tasks).to_have_count(4)
    assert [each.split("\n")[1] for each in tasks.all_inner_texts()] == ["done", "running", "not yet", "failed"]
    table = page.get_by_role("region", name="Table")
    expect(table.get_by_role("columnheader")).to_have_text(["Run", "Took"])
    expect(table.get_by_role("cell", name="55 s")).to_have_css("text-align", "right")
    chart = page.get_by_role("region", name="Chart: The last 2 drills")
    expect(chart.get_by_role("columnheader")).to_have_text(["drill", "7 Sep", "2 Nov"])
    expect(chart.get_by_role("row", name="back up")).to_contain_text(re.compile(r"61\.5\s*41"))
    expect(chart.locator("caption")).to_have_text("The last 2 drills, seconds")
    expect(page.locator("pre")).to_have_text("DROP TABLE subscriptions;")
    expect(page.locator("ul.rich li")).to_have_text("412 MB in 38 s")
    expect(page.locator("blockquote.rich")).to_have_text("since the deploy")


def test_switches_break_and_mend_while_the_channel_stays_in_sight(screens: World) -> None:
    page = screens.open()
    page.get_by_role("button", name="Break things").press("Enter")
    panel = page.get_by_role("dialog", name="Break things")
    expect(panel.get_by_role("heading", name="Break things")).to_be_focused()
    down = panel.get_by_role("switch", name="Slack is down")
    described = page.locator(f"#{down.get_attribute('aria-describedby')}")
    expect(described).to_have_text("Every call of the bot is refused, and so is a new connection.Switch it off.")
    down.press("Space")
    expect(page.get_by_role("button", name="Break things")).to_contain_text("1 on")
    assert screens.workspace.faults.down
    panel.get_by_label("Slack is slow").fill("2.5")
    panel.get_by_label("Slack is slow").press("Tab")
    expect(panel.get_by_label("Slack is slow")).to_have_value("2.5")
    panel.get_by_label("Too many requests").fill("99999")
    panel.get_by_label("Too many requests").press("Tab")
    expect(panel.get_by_role("alert").filter(has_text="⚠")).to_contain_text("not taken (invalid_arguments)")
    page.locator("#composer textarea").click()  # a click elsewhere does not close it
    expect(panel).to_be_visible()
    panel.get_by_role("button", name="Mend everything").click()
    expect(panel.get_by_role("button", name="Mend everything")).to_be_hidden()
    assert (screens.workspace.faults.down, screens.workspace.faults.slow) == (False, 0.0)
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(page.get_by_role("button", name="Break things")).to_be_focused()
