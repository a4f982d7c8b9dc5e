"""Asking by the form, from a message, from the Home tab and from another channel; who reads, and who is asked next."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from bot.reading import Reading
from core.model import Person, Run, State
from demo.bench import Bench
from demo.postgres import Server
from demo.workspace import Message, View
from tests import forks
from tests.bench_fixtures import ANA, BOB, CHANNEL, CHEN, DEE, FAST, QUICK, Play, playing

RANDOM = "C0RANDOM"
STRICT = (
    'reason = "required"\nremind_after = ["200 ms", "400 ms"]\nescalation = ["U0DEE"]\nquiet_approvers = ["U0CHEN"]\n'
)
DOWN = '[targets.down]\ndatabase_url = "postgresql://postgres@/app?host=/nowhere"\nscratch_url = "{0}"\n'
CHENS = 'requesters = ["U0CHEN"]\napproval_expires = "3 s"\n'
OTHERS = 'channel = "#incidents"\napprovers = ["@db-oncall"]\nmigrations = "{0}"\n'


@pytest.fixture(scope="module")
def play(server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    from demo.app import sample
    from tests.conftest import fresh

    made = fresh(server, template)
    url = next(made)
    more = OTHERS.format(sample.MIGRATIONS)
    settings = FAST + DOWN.format(server.url()) + more
    settings += f'[targets.chens]\ndatabase_url = "{url}"\nscratch_url = "{server.url()}"\n{more}{CHENS}'
    settings += f'[targets.strict]\ndatabase_url = "{url}"\nscratch_url = "{server.url()}"\n{more}{FAST}{STRICT}'
    with playing(
        Bench(tmp_path_factory.mktemp("asking"), server, url, settings, env=dict(QUICK), processes=forks)
    ) as play:
        yield play
    next(made, None)


@pytest.fixture(autouse=True)
def nothing_open(play: Play) -> Iterator[None]:
    yield
    for run in play.ledger.open_runs():
        play.types(f"withdraw {run.id}", run.requester.id)
    play.slack.wait_for(lambda: not play.ledger.open_runs(), 20)


def form(play: Play, user: str = ANA) -> View:
    view = play.slack.open_view(user)
    assert view and view.body["callback_id"] == "rb.request"
    return view


def filled(play: Play, migration: str = "011_subscriptions", user: str = ANA, **more: str) -> None:
    """Choose from what the bot offers, and send it off."""
    offered = play.slack.suggest(user, "migration", "v", migration[:3]).options
    assert migration in [one["value"] for one in offered]
    play.slack.submit(user, {"migration": migration, "reason": "checkout 500s since the deploy", **more})


def card(play: Play, run: Run, *words: str) -> Message:
    """The card, once it says all of this."""

    def look() -> Message | None:
        posts = play.ledger.posts("run = ? AND place = 'card' AND ts IS NOT NULL", (run.id,))
        found = [m for m in play.everything() if posts and m.ts == posts[0]["ts"]]
        return (
            found[0]
            if found and all(word in json.dumps(found[0].blocks, ensure_ascii=False) for word in words)
            else None
        )

    found = play.slack.wait_for(look, 20)
    assert found
    return found


def test_the_bare_command_opens_a_form_that_lists_what_is_applied(play: Play) -> None:
    play.types("")
    shown = json.dumps(form(play).body)
    assert all(name in shown for name in ("production", "strict", "down"))
    offered = play.slack.suggest(ANA, "migration", "v").options
    assert [one["value"] for one in offered][:3] == ["012_stripe_events", "011_subscriptions", "010_rate_limits"]
    assert offered[1]["description"]["text"] == "also rolls back 012_stripe_events"
    assert [one["value"] for one in play.slack.suggest(ANA, "migration", "v", "SUBS").options] == ["011_subscriptions"]
    filled(play, extent="to", incident="INC-418")
    assert play.slack.open_view(ANA) is None
    run = play.until(play.newest().id, State.WAITING)
    assert (run.request.what, run.request.migration, run.incident) == ("to", "011_subscriptions", "INC-418")
    assert (run.channel, run.reason, run.requester.id) == (CHANNEL, "checkout 500s since the deploy", ANA)
    card(play, run, "Undo everything after `011_subscriptions`")


def test_a_message_s_shortcut_puts_the_card_into_its_thread(play: Play) -> None:
    said = play.slack.say(BOB, CHANNEL, "checkout answers 500 since 14:02")
    play.slack.shortcut(ANA, "rb.shortcut.message", channel=CHANNEL, ts=said.ts)
    filled(play, "012_stripe_events", extent="only")
    run = play.until(play.newest().id, State.WAITING)
    shown = card(play, run, "rb.review")
    assert (shown.thread_ts, shown.reply_broadcast, run.thread) == (said.ts, True, said.ts)
    play.slack.click(CHEN, CHANNEL, shown.ts, "rb.deny")
    play.slack.submit(CHEN, {"reason": "it is the cache"})
    play.until(run.id, State.DENIED)
    play.told()
    thread = [m.text for m in play.slack.thread(CHANNEL, said.ts)]
    assert any("was denied by Chen" in text for text in thread) and any("identify" in text for text in thread)
    assert play.slack.thread(CHANNEL, shown.ts) == [], "a thread has one root"


def test_where_the_message_is_deleted_meanwhile_the_card_stands_by_itself(play: Play) -> None:
    said = play.slack.say(BOB, CHANNEL, "nothing to see here")
    play.slack.shortcut(ANA, "rb.shortcut.message", channel=CHANNEL, ts=said.ts)
    with play.slack.state.changing():
        play.slack.state.messages[CHANNEL] = [m for m in play.slack.state.messages[CHANNEL] if m.ts != said.ts]
    filled(play, "012_stripe_events")
    run = play.until(play.newest().id, State.WAITING)
    shown = card(play, run, "rb.review")
    assert shown.thread_ts is None
    play.slack.wait_for(lambda: [m for m in play.slack.thread(CHANNEL, shown.ts) if "rehearse" in m.text], 20)


def test_a_form_opened_elsewhere_says_where_its_card_stands(play: Play) -> None:
    said = play.slack.say(ANA, RANDOM, "is this the place?")
    play.slack.shortcut(ANA, "rb.shortcut.message", channel=RANDOM, ts=said.ts)
    filled(play, "012_stripe_events")
    view = play.slack.open_view(ANA)
    assert view and "#incidents" in play.slack.view_text(view)
    run = play.newest()
    assert (run.channel, run.thread) == (CHANNEL, None)


def test_a_command_in_another_channel_goes_on_there_with_one_click(play: Play) -> None:
    known = len(play.ledger.runs())
    play.types("latest --reason checkout is down", ANA, RANDOM)
    play.hears("E-CHANNEL", ANA, RANDOM)
    answer = [m for m in play.everything(RANDOM) if "rb.elsewhere" in str(m.blocks)][-1]
    assert len(play.ledger.runs()) == known
    play.slack.click(ANA, RANDOM, answer.ts, "rb.elsewhere")
    run = play.until(play.newest().id, State.WAITING)
    assert (run.channel, run.reason, run.request.what) == (CHANNEL, "checkout is down", "latest")


def test_where_a_reason_is_required_the_form_asks_for_it_filled_in(play: Play) -> None:
    play.types("to 011_subscriptions --on strict")
    assert "Rollbacks of strict need a reason." in play.slack.view_text(form(play))
    answer = play.slack.submit(ANA, {"reason": "no"})
    assert "reason" in answer.errors and not play.ledger.open_runs()
    play.slack.submit(ANA, {"reason": "checkout 500s"})
    run = play.until(play.newest().id, State.WAITING)
    assert (run.target, run.request.what, run.request.migration) == ("strict", "to", "011_subscriptions")
    # the next group is asked with the last reminder, who wants no direct messages is not, and both may approve
    dee = play.slack.wait_for(lambda: [m for m in play.slack.direct(DEE) if run.id in str(m.blocks)], 20)
    assert any("rb.review" in str(m.blocks) for m in dee)
    assert any(run.id in str(m.blocks) for m in play.slack.direct(BOB))
    assert not any(run.id in str(m.blocks) for m in play.slack.direct(CHEN))
    reminded = play.slack.wait_for(
        lambda: [m for m in play.everything() if "you are asked now too" in str(m.blocks)], 20
    )
    assert "<@U0DEE>, you are asked now too" in str(reminded[-1].blocks)
    assert "Bob Lee" in str(reminded[-1].blocks) and "Chen" not in str(reminded[-1].blocks), "who was not asked"
    play.proven(run)
    play.approves(run, DEE)
    play.when(run.id, lambda now: bool(now.approvals))
    assert [one.person.id for one in play.ledger.run(run.id).approvals] == [DEE]
    play.until(run.id, State.DONE)
    reapplied = play.asks(f"reapply {run.id} --reason enough of it")
    play.approves(reapplied)
    play.until(reapplied.id, State.DONE)


def chosen(play: Play, target: str, user: str = ANA) -> None:
    """The target is chosen in the open form."""
    state = {"target": {"v": {"type": "static_select", "selected_option": {"value": target}}}}
    with play.slack.state.changing():
        play.slack.state.modals[user][-1].state.update(state)


def test_who_may_not_ask_on_a_target_sees_no_list_and_starts_nothing(play: Play) -> None:
    known = len(play.ledger.runs())
    play.types("")
    (any_one, *_) = play.slack.suggest(ANA, "migration", "v").options
    chosen(play, "chens")
    assert play.slack.suggest(ANA, "migration", "v").options == []
    with play.slack.state.changing():
        play.slack.state.modals[ANA][-1].options["migration"] = [any_one]
    play.slack.submit(ANA, {"target": "chens", "migration": any_one["value"], "reason": "checkout 500s"})
    view = play.slack.open_view(ANA)
    assert view and "You may not ask for rollbacks on" in play.slack.view_text(view)
    play.slack.close_view(ANA)
    play.types("", CHEN)
    chosen(play, "chens", CHEN)
    filled(play, "012_stripe_events", CHEN, target="chens")
    run = play.until(play.newest().id, State.EXPIRED)
    assert len(play.ledger.runs()) == known + 1
    again = card(play, run, "rb.again")
    play.slack.click(ANA, CHANNEL, again.ts, "rb.again")
    play.hears("E-NOT-ALLOWED")
    assert len(play.ledger.runs()) == known + 1


def test_from_a_reply_the_card_stands_in_the_thread_of_its_first_message(play: Play) -> None:
    root = play.slack.say(BOB, CHANNEL, "checkout answers 500")
    reply = play.slack.say(CHEN, CHANNEL, "since 14:02", thread_ts=root.ts)
    play.slack.shortcut(ANA, "rb.shortcut.message", channel=CHANNEL, ts=reply.ts)
    filled(play, "012_stripe_events")
    assert play.newest().thread == root.ts


def test_what_is_wrong_with_a_field_is_said_beside_it(play: Play) -> None:
    play.asks("latest --reason checkout is down")
    play.types("")
    offered = play.slack.suggest(ANA, "migration", "v").options
    answer = play.slack.submit(ANA, {"migration": offered[0]["value"], "reason": "checkout 500s"})
    assert "E-BUSY" in answer.errors["target"]
    play.slack.close_view(ANA)


def test_a_database_that_is_down_is_said_in_the_list(play: Play) -> None:
    play.types("")
    view = form(play)
    chosen(play, "down")
    (only,) = play.slack.suggest(ANA, "migration", "v").options
    assert only["text"]["text"] == "down could not be asked: type the command"
    assert view.body["callback_id"] == "rb.request"
    answer = play.slack.submit(ANA, {"target": "down", "migration": only["value"], "reason": "checkout 500s"})
    assert "E-USAGE" in answer.errors["migration"]
    play.slack.close_view(ANA)


def test_from_a_direct_message_the_card_goes_to_the_channel_and_into_no_thread(play: Play) -> None:
    play.slack.wait_for(lambda: play.slack.direct(BOB), 20)
    direct = play.slack.direct(BOB)[-1]
    play.slack.shortcut(BOB, "rb.shortcut.message", channel=direct.channel, ts=direct.ts)
    filled(play, "012_stripe_events", BOB)
    run = play.until(play.newest().id, State.WAITING)
    assert (run.channel, run.thread, run.requester.id) == (CHANNEL, None, BOB)
    assert card(play, run, "rb.review").thread_ts is None


def test_who_is_not_in_the_channel_hears_directly_that_the_request_came_to_nothing(play: Play) -> None:
    play.types("")
    play.slack.faults.errors["chat.postEphemeral"] = "user_not_in_channel"
    try:
        filled(play, "012_stripe_events", extent="to")
        play.slack.wait_for(lambda: any("E-NOTHING" in str(m.blocks) for m in play.slack.direct(ANA)), 20)
    finally:
        play.slack.faults.errors.clear()


def test_the_reason_may_follow_by_who_asked_only(play: Play) -> None:
    run = play.asks("latest")
    shown = card(play, run, "rb.reason", "none given")
    play.slack.click(BOB, CHANNEL, shown.ts, "rb.reason")
    play.hears("E-NOT-YOURS", BOB)
    play.slack.click(ANA, CHANNEL, shown.ts, "rb.reason")
    play.slack.submit(ANA, {"reason": "checkout <500s>"})
    shown = card(play, run, "checkout &lt;500s&gt;")
    assert "rb.reason" not in str(shown.blocks)
    play.told()
    assert any("gives the reason" in m.text for m in play.slack.thread(CHANNEL, shown.ts))
    assert play.ledger.verify().unbroken and "reasoned" in play.kinds(run)


def test_the_card_says_who_reads_the_plan(play: Play) -> None:
    run = play.asks("latest --reason checkout is down")
    play.reviews(run, BOB)
    card(play, run, "Bob Lee is reading the plan")
    play.slack.close_view(BOB)
    play.slack.wait_for(lambda: "is reading" not in str(card(play, run).blocks), 20)
    view = play.reviews(run, CHEN)
    card(play, run, "Chen Wu is reading the plan")
    play.slack.submit(CHEN, {"confirm": "999"})
    assert view and "is reading" in str(card(play, run).blocks), "still at it"


def test_who_reads_is_forgotten_after_a_minute_and_when_the_form_is_sent_off() -> None:
    now = [0.0]
    reading = Reading(lambda: now[0])
    reading.opened("RB-7K3M", Person(BOB, "Bob Lee"))
    reading.opened("RB-7K3M", Person(CHEN, "Chen Wu"))
    reading.opened("RB-9X2P", Person(CHEN, "Chen Wu"))
    assert reading.names("RB-7K3M") == ("Bob Lee", "Chen Wu")
    reading.closed("RB-7K3M", BOB)
    assert reading.names("RB-7K3M") == ("Chen Wu",) == reading.names("RB-9X2P")
    now[0] = 61.0
    assert reading.names("RB-7K3M") == () == reading.names("RB-9X2P")


def test_the_home_tab_changes_with_what_happens_and_opens_forms(play: Play) -> None:
    home = play.slack.home(BOB)
    assert "Nothing waits for you." in play.slack.view_text(home)
    run = play.asks("latest --reason checkout is down")
    play.slack.wait_for(lambda: "Waiting for you (1)" in play.slack.view_text(play.slack.state.homes[BOB]), 20)
    assert run.id in play.slack.view_text(play.slack.state.homes[BOB])
    home = play.slack.home(BOB)
    assert "Socket connected" in play.slack.view_text(home)
    play.slack.click_view(BOB, "rb.history", view_id=home.id)
    assert "Last rollbacks" in play.slack.view_text(play.slack.open_view(BOB))  # type: ignore[arg-type]
    play.slack.close_view(BOB)
    play.slack.click_view(BOB, "rb.doctor", view_id=home.id)
    play.slack.wait_for(lambda: (view := play.slack.open_view(BOB)) and "Check setup" in play.slack.view_text(view), 30)
    play.slack.close_view(BOB)
    play.slack.click_view(BOB, "rb.open", view_id=home.id)
    form(play, BOB)
    play.slack.close_view(BOB)
