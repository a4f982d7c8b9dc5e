"""Whoever sees little, sees no colours, hears the page or uses no mouse can do what everybody can."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.page_reach import barriers
from tests.page_world import CARD, CHANNEL, EVERYTHING, World
from tests.test_page import expect, last


def thread(page: Any) -> None:
    page.get_by_role("button", name="1 reply").click()
    expect(page.locator("#replies")).to_contain_text("1/6 done")


def switches(page: Any) -> None:
    page.get_by_role("button", name="Break things").click()
    page.get_by_label("One message a second").check()
    expect(page.locator(".switch.on")).to_have_count(1)


def confirming(page: Any) -> None:
    page.get_by_role("button", name="Withdraw request RB-7K3M").click()


def refused(page: Any) -> None:
    """A form whose fields are wrong, with options offered in one of them."""
    page.get_by_role("button", name="Shortcuts").click()
    page.get_by_role("menuitem", name=re.compile("Plan a rollback")).click()
    page.get_by_role("button", name="Make the plan").click()
    expect(page.locator(".field .error:visible")).to_have_count(3)
    page.get_by_role("combobox", name="Migration").fill("011")
    expect(page.locator(".combo .option")).to_have_count(2)


def home(page: Any) -> None:
    page.evaluate("location.hash = 'home'")
    expect(page.locator("#home")).to_contain_text("Waiting for you")


def drawer(page: Any) -> None:
    page.get_by_role("button", name="Channels and people").click()
    expect(page.get_by_role("dialog", name="Workspace")).to_be_visible()


def as_it_is(page: Any) -> None:
    """Where every page begins."""


def typing(page: Any) -> None:
    page.locator("#composer textarea").fill("/")
    expect(page.locator("#composer").get_by_role("option")).to_be_visible()


Way = Callable[[Any], None]
WAYS: tuple[tuple[Way, str], ...] = (  # where to, and the keys that lead back
    (as_it_is, ""),
    (typing, "Escape"),
    (thread, "Escape"),
    (confirming, "Escape"),
    (switches, "Escape"),
    (refused, "Escape Escape"),
    (home, ""),
)


@pytest.mark.parametrize("width", [1280, 390])
def test_no_surface_keeps_anybody_out(screens: World, width: int) -> None:
    screens.post(EVERYTHING)
    root = screens.post(CARD)
    screens.client.chat_postMessage(channel=CHANNEL, text="1/6 done", thread_ts=root)
    screens.client.chat_postEphemeral(channel=CHANNEL, user="U0ANA", text="only `you` see <@U0BOB>")
    page = screens.open(width=width, color_scheme="light")
    found = {}
    for way, back in (*WAYS[:-1], *([(drawer, "Escape")] if width == 390 else []), WAYS[-1]):
        way(page)
        found[way.__name__] = barriers(page)
        for key in back.split():
            page.keyboard.press(key)
        expect(page.locator("dialog[open], #switches:popover-open")).to_have_count(0)
    assert {place: faults for place, faults in found.items() if faults} == {}


def test_the_look_at_a_page_finds_what_is_wrong_with_it(screens: World) -> None:
    page = screens.open()
    page.evaluate("""() => {
      const faint = Object.assign(document.createElement("p"), { textContent: "hardly to be read", id: "team" });
      const mute = Object.assign(document.createElement("button"), { className: "btn" });
      faint.style.color = "#999";
      mute.setAttribute("aria-describedby", "nowhere");
      document.getElementById("main").append(faint, mute);
    }""")
    told = "\n".join(barriers(page))
    for fault in (
        "button-name",
        "color-contrast",
        'light: 2.85 for "hardly to be read"',
        "twice: team",
        "broken: nowhere",
    ):
        assert fault in told


def test_the_tab_key_goes_through_the_page_in_its_order_and_is_seen(screens: World) -> None:
    screens.post(CARD)
    page = screens.open()
    page.evaluate("document.activeElement.blur()")
    order: list[tuple[str, bool]] = []
    while not order or (order[-1][0] != "Message #incidents" and len(order) < 40):
        page.keyboard.press("Tab")
        order.append(
            page.evaluate("""() => {
          const el = document.activeElement;
          const ring = getComputedStyle(el.closest(".box") && el.tagName === "TEXTAREA" ? el.closest(".box") : el);
          const seen = (ring.outlineStyle !== "none" && parseFloat(ring.outlineWidth) >= 2) || ring.boxShadow !== "none";
          return [el.getAttribute("aria-label") || el.textContent.trim().slice(0, 24) || el.id, seen && el.getClientRects().length > 0];
        }""")
        )
    assert [name for name, seen in order if not seen] == []
    names = [name for name, _ in order]
    assert names[:4] == ["Skip to the place to wri", "Break things", "Switch to dark colours", "incidents"]
    wanted = ["incidents", "Rollback Bot: Home", "Got it", "Message #incidents"]
    assert [name for name in names if name in wanted] == wanted
    assert names.index("Withdraw request RB-7K3M") < names.index("Message #incidents")


def test_the_skip_link_leads_to_the_place_to_write(screens: World) -> None:
    page = screens.open()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Message #incidents")).to_be_focused()


def test_the_tab_key_stays_in_an_open_dialog_and_the_focus_comes_back(screens: World) -> None:
    screens.post(CARD)
    page = screens.open()
    opener = page.get_by_role("button", name="Withdraw request RB-7K3M")
    opener.press("Enter")
    box = page.get_by_role("alertdialog", name="Withdraw it?")
    for _ in range(4):
        page.keyboard.press("Tab")
        expect(box.locator(":focus")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(opener).to_be_focused()
    page.get_by_role("button", name="Shortcuts").press("Enter")
    page.keyboard.press("Enter")
    form = page.get_by_role("dialog", name="Plan a rollback")
    expect(form).to_be_visible()
    page.get_by_role("button", name="Make the plan").focus()
    page.keyboard.press("Tab")
    expect(form.get_by_role("button", name="Close").first).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(form.get_by_role("button", name="Make the plan")).to_be_focused()


def test_messages_are_walked_by_arrow_keys_and_new_ones_are_read_aloud(screens: World) -> None:
    for word in ("first", "second"):
        screens.client.chat_postMessage(channel=CHANNEL, text=word)
    page = screens.open()
    last(page).focus()
    page.keyboard.press("ArrowUp")
    expect(page.locator(".msg", has_text="first")).to_be_focused()
    page.keyboard.press("Tab")  # what can be done with this one
    expect(page.locator(".msg", has_text="first").get_by_role("button", name="Reply in thread")).to_be_focused()
    heard = page.locator("#announcer")
    assert heard.get_attribute("aria-live") == "polite"
    expect(heard).to_be_empty()  # what was there before is not news
    screens.client.chat_postMessage(channel=CHANNEL, text="*third* :tada: by <@U0BOB>")
    expect(heard).to_have_text("rollback: third 🎉 by @Bob Lee")


def test_who_wants_no_motion_gets_none(screens: World) -> None:
    screens.post(EVERYTHING)
    page = screens.open(reduced_motion="reduce")
    expect(page.locator(".plan li").first).to_be_visible()
    moving = "() => document.getAnimations().length"
    assert page.evaluate(moving) == 0
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(moving) > 0  # a running step turns
