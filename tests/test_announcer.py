"""What is in the ledger gets told: in order, once, and whatever Slack does meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from slack_sdk import WebClient
from structlog.testing import capture_logs

from bot import announcer
from bot.announcer import TOLD, Announcer
from bot.deliveries import deliveries
from bot.notary import QUIET
from bot.pace import Pace
from bot.people import People
from bot.sending import SlackRefuses
from core.desk import Desk
from core.ledger import Ledger, now
from core.meter import HowFar
from core.model import Person, Request, Run, State
from core.redact import SecretStr
from core.settings import Settings, Target
from demo.workspace import Message, Workspace
from demo.workspace.methods import METHODS, Method
from tests.messages_story import COUNTED, EXECUTE, IDENTIFY, PUT_IN, REHEARSE, VERIFY, WHOLE
from tests.stand_ins import until

CHANNEL, INC = "C0INCIDENTS", "C0INC418"
ANA, BOB = Person("U0ANA", "Ana"), Person("U0BOB", "Bob")


@pytest.fixture(scope="module")
def workspace() -> Iterator[Workspace]:
    with Workspace() as running:
        yield running


class Office:
    """A ledger, a workspace, and an announcer that is started again at will."""

    def __init__(self, folder: Path, workspace: Workspace) -> None:
        self.slack = workspace
        target = Target(
            "production", SecretStr("postgresql://db/app"), channel="#incidents", approvers=("U0BOB", "U0CHEN")
        )
        self.settings = Settings(targets={"production": target}, ledger=folder / "ledger.db")
        self.ledger = Ledger(self.settings.ledger)
        self.desk = Desk(self.ledger, self.settings)
        self.before = {name: len(self.messages(name)) for name in (CHANNEL, INC)}
        self.start()

    def start(self) -> None:
        """A new process: nothing is remembered but the ledger."""
        client = WebClient(self.slack.bot_token, base_url=self.slack.api_url, retry_handlers=[], timeout=2)
        self.people = People(client, self.settings)
        self.announcer = Announcer(client, self.ledger, self.settings, self.people, Pace(0.0))

    def drills(self, *numbers: int) -> None:
        for number in numbers:
            data = {"target": "production", "period": f"period {number}", "owner": "", "last": "never"}
            self.ledger.append("drill_due", data)

    def asked(self, channel: str | None = CHANNEL) -> Run:
        run = self.desk.ask(Request("from", "011_subscriptions"), self.settings.target(), ANA, "why", channel=channel)
        until = (self.ledger.clock() + self.settings.target().approval_expires).isoformat()
        with self.ledger.transaction() as t:
            for step, evidence in (("identify", IDENTIFY), ("rehearse", REHEARSE)):
                t.append(run.id, "step_started", {"step": step, "revision": 1})
                t.append(run.id, "step_done", {"step": step, "evidence": evidence})
            opened = {"digest": "d" * 64, "expires_at": until}
            t.move(t.run(run.id), State.WAITING, "opened", opened, plan_digest="d" * 64, expires_at=until)
        return self.ledger.run(run.id)

    def messages(self, channel: str = CHANNEL) -> list[Message]:
        with self.slack.state.reading():
            return list(self.slack.state.messages.get(channel, []))

    def new(self, channel: str = CHANNEL) -> list[Message]:
        return self.messages(channel)[self.before[channel] :]

    def periods(self) -> list[int]:
        """The drills in the order in which the channel shows them."""
        return [
            n
            for m in self.new()
            for n in range(1, 60)
            if f"period {n}`" in str(m)
            or f"period {n}*" in str(m)
            or f"period {n} " in str(m)
            or f"period {n}'" in str(m)
            or f"period {n}." in str(m)
            or f"period {n}," in str(m)
        ]

    def all_told(self) -> bool:
        return self.announcer.told() == self.ledger.head()[0]


@pytest.fixture
def office(tmp_path: Path, workspace: Workspace) -> Iterator[Office]:
    office = Office(tmp_path, workspace)
    yield office
    faults = workspace.faults
    faults.down, faults.ratelimit, faults.lose_answer, faults.errors, faults.only = False, 0, 0, {}, set()
    office.ledger.close()


def test_nothing_is_posted_where_another_organisation_reads(office: Office) -> None:
    office.asked("C0SHARED")
    office.announcer.catch_up()
    assert office.messages("C0SHARED") == [] and office.all_told()
    assert office.messages("D0BOB"), "approvers are still asked"


def test_a_card_is_left_alone_once_its_channel_is_shared(office: Office) -> None:
    run = office.asked()
    office.announcer.catch_up()
    before = [(message.text, message.edited) for message in office.new()]
    office.slack.state.channels[CHANNEL].is_ext_shared = True
    try:
        office.people.forget()
        office.desk.deny(run.id, BOB, "not today")
        office.announcer.catch_up()
        assert [(message.text, message.edited) for message in office.new()] == before
    finally:
        office.slack.state.channels[CHANNEL].is_ext_shared = False


def test_events_are_told_in_order_and_once(office: Office) -> None:
    office.drills(*range(1, 10))
    office.announcer.catch_up()
    office.announcer.catch_up()
    assert len(office.new()) == 9 and office.all_told()
    texts = [message.text for message in office.new()]
    assert texts == sorted(texts) and len(set(texts)) == 9
    office.start()
    office.announcer.catch_up()
    assert len(office.new()) == 9


def test_a_restart_in_the_middle_of_an_event_goes_on_with_the_place_that_is_left(office: Office) -> None:
    run = office.asked()
    office.slack.faults.errors["conversations.open"] = "fatal_error"  # after the card, before the direct messages

    threading.Timer(0.3, office.announcer.stop.set).start()
    office.announcer.run()
    cards = [m for m in office.new() if not m.thread_ts]
    assert len(cards) == 1 and not office.all_told()
    office.slack.faults.errors.clear()
    office.start()
    before = len(office.slack.direct("U0BOB"))
    office.announcer.catch_up()
    assert office.all_told() and len([m for m in office.new() if not m.thread_ts]) == 1
    assert len(office.slack.direct("U0BOB")) == before + 1
    assert len({(p["event"], p["place"]) for p in office.ledger.posts("run = ?", (run.id,))}) == len(
        office.ledger.posts("run = ?", (run.id,))
    )


def test_a_restart_between_the_card_and_its_first_lines_loses_none_of_them(office: Office) -> None:
    run = office.asked()
    opened = next(event for event in office.ledger.events(run.id) if event.kind == "opened")
    office.announcer.note(opened.id - 1, TOLD)  # what came before had no card yet
    all_of_them = deliveries(opened, run, office.settings, office.people, office.ledger)
    for _ in range(2):  # the card, and the line of the first step
        office.announcer.deliver(opened, run, next(all_of_them))
    office.start()
    office.announcer.catch_up()
    lines = [m.text for m in office.new() if m.thread_ts]
    assert len(lines) == 2 and "identify" in lines[0] and "rehearse" in lines[1] and office.all_told()
    office.start()
    office.announcer.catch_up()
    assert len([m for m in office.new() if m.thread_ts]) == 2


def test_what_is_told_after_the_plan_has_changed_says_what_was_true_of_the_old_one(office: Office) -> None:
    row = {
        "id": "RB-W8ZE",
        "target": "production",
        "what": "restore",
        "migration": None,
        "only_one": 0,
        "reason": "why",
    }
    row |= {"requester": ANA.id, "requester_name": "Ana", "incident": "", "channel": CHANNEL, "needed": 1}
    with office.ledger.transaction() as t:
        t.create({**row, "origin": "RB-7K3M"}, ANA)
        for step, evidence in (("identify", WHOLE), ("rehearse", COUNTED)):
            t.append("RB-W8ZE", "step_done", {"step": step, "evidence": evidence})
        opened = {"digest": "d" * 64, "expires_at": "2099-01-01T00:00:00Z"}
        t.move(t.run("RB-W8ZE"), State.WAITING, "opened", opened, plan_digest="d" * 64)
    office.announcer.catch_up()
    office.desk.approve("RB-W8ZE", BOB, 1, "d" * 64)
    with office.ledger.transaction() as t:
        t.append("RB-W8ZE", "step_done", {"step": "prepare", "evidence": PUT_IN})
        t.move(t.run("RB-W8ZE"), State.EXECUTING, "executing", {"step": "execute"})
        t.move(t.run("RB-W8ZE"), State.PLANNING, "plan_changed", {"what": ["it"]}, revision=2)
    office.start()
    office.announcer.catch_up()
    lines = [m.text for m in office.new() if m.thread_ts]
    assert office.all_told() and any("exactly plan dddddddddddd, revision 1" in line for line in lines)
    assert any("step 3 of 5" in line and "done" in line for line in lines)


def test_while_the_trail_cannot_be_written_nothing_is_posted_twice_or_left_out(office: Office) -> None:
    office.drills(1, 2)
    conn = office.ledger.db.conn
    conn.execute("PRAGMA query_only = ON")
    threading.Timer(0.3, lambda: conn.execute("PRAGMA query_only = OFF")).start()
    office.announcer.catch_up()
    assert len(office.new()) == 2 and office.all_told()


def test_a_restart_right_before_an_event_is_marked_as_told_posts_nothing_again(office: Office) -> None:
    office.asked()
    office.announcer.catch_up()
    before = [office.messages(place) for place in (CHANNEL, "D0BOB", "D0CHEN")]
    office.ledger.db.execute("DELETE FROM posts WHERE place = 'told' AND event = ?", [office.ledger.head()[0]])
    office.ledger.db.conn.commit()
    assert not office.all_told() and all(before)
    office.start()
    office.announcer.catch_up()
    assert office.all_told() and [office.messages(place) for place in (CHANNEL, "D0BOB", "D0CHEN")] == before


def test_what_slack_did_not_take_before_the_end_is_told_after_the_next_start(office: Office) -> None:
    office.slack.faults.down = True
    office.drills(1, 2)
    threading.Timer(0.3, office.announcer.stop.set).start()
    office.announcer.run()
    assert office.announcer.told() == 0
    office.slack.faults.down = False
    office.start()
    office.announcer.catch_up()
    assert len(office.new()) == 2 and office.all_told()


def loses(office: Office, *methods: str, times: int = 1) -> None:
    """Slack does what it is asked, and its answer gets lost."""
    office.announcer.people.channel_id("#incidents")
    office.slack.faults.only, office.slack.faults.lose_answer = set(methods), times


def forgets(office: Office, event: int, place: str) -> None:
    """As if the process had died between a post and its row."""
    with office.ledger.transaction() as t:
        t.unpost(event, place)
        t.unpost(event, TOLD)


def test_where_the_answer_to_a_post_is_lost_it_is_looked_up_and_not_repeated(office: Office) -> None:
    run = office.asked()  # its card stands in the channel, its lines in a thread
    for _ in range(3):
        loses(office, "chat.postMessage")
        office.announcer.catch_up()
        assert office.slack.faults.lose_answer == 0 and office.all_told()
        if len(office.new()) == 3:
            office.drills(1)
        elif len(office.new()) == 4:
            office.desk.deny(run.id, BOB, "not today")
    card, *lines = office.new()
    assert [m.thread_ts for m in lines] == [card.ts, card.ts, None, card.ts] and "denied" in lines[3].text
    noted = {(post["channel"], post["ts"]) for post in office.ledger.posts("ts IS NOT NULL", ())}
    assert {(m.channel, m.ts) for m in (card, *lines)} <= noted


def test_where_it_cannot_be_looked_up_it_is_repeated_and_can_be_recognised(office: Office) -> None:
    for scope in ("channels:history", None):
        office.drills(1)
        if scope:
            office.slack.state.scopes.discard(scope)
            loses(office, "chat.postMessage")
        else:
            loses(office, "chat.postMessage", "conversations.history", times=2)
        before = len(office.new())
        try:
            office.announcer.catch_up()
        finally:
            office.slack.state.scopes.add("channels:history")
        first, second = office.new()[before:]
        assert (first.text, first.metadata) == (second.text, second.metadata) and office.all_told()
        office.announcer.catch_up()
        assert len(office.new()) == before + 2


def test_what_was_posted_right_before_the_process_died_is_found_by_the_next_one(office: Office) -> None:
    run = office.asked()
    office.announcer.catch_up()
    office.desk.deny(run.id, BOB, "not today")
    office.announcer.catch_up()
    before = [m.ts for m in office.new()]
    denied = office.ledger.head()[0]
    forgets(office, denied, "thread")
    office.start()
    office.announcer.catch_up()
    assert [m.ts for m in office.new()] == before and office.all_told()
    assert office.ledger.posts("event = ? AND place = 'thread'", (denied,))[0]["ts"] == before[-1]
    line = office.new()[-1]
    line.metadata = None  # an app that may not read metadata knows it by its words
    forgets(office, denied, "thread")
    office.start()
    office.announcer.catch_up()
    assert [m.ts for m in office.new()] == before
    line.user = "U0OTHER"  # nobody else's message counts, whatever stands in it
    forgets(office, denied, "thread")
    office.start()
    office.announcer.catch_up()
    assert len(office.new()) == len(before) + 1


def test_a_new_card_hides_nothing_that_the_process_before_has_posted(office: Office) -> None:
    run = office.asked()
    office.announcer.catch_up()
    office.desk.deny(run.id, BOB, "not today")
    office.announcer.catch_up()
    line = office.new()[-1]
    forgets(office, office.ledger.head()[0], "thread")
    office.slack.faults.errors["chat.update"] = "edit_window_closed"
    office.start()
    office.announcer.catch_up()
    assert [m.ts for m in office.new() if m.text == line.text] == [line.ts]
    assert "denied" in office.new()[-1].text and office.new()[-1].reply_broadcast  # a card, newer than the line


def test_a_new_card_and_an_aside_whose_answers_are_lost_stand_there_once(office: Office) -> None:
    run = office.asked()
    office.announcer.catch_up()
    with office.slack.state.changing():
        office.slack.state.messages[CHANNEL].remove(office.new()[0])
    office.desk.approve(run.id, BOB, 1, "d" * 64)
    loses(office, "chat.postMessage")
    office.announcer.catch_up()
    cards = [m for m in office.new() if not m.thread_ts]
    assert len(cards) == 1 and "approved" in cards[0].text
    office.announcer.aside(office.ledger.run(run.id))
    loses(office, "chat.postMessage")
    for _ in range(2):
        office.announcer.say_asides()
    assert len([m for m in office.new() if "cannot write it into my audit trail" in m.text]) == 1


@pytest.mark.parametrize("lacks", ["ts", "channel", "permalink", "user", "messages"])
def test_an_answer_that_lacks_what_was_asked_for_ends_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch, lacks: str
) -> None:
    def without(call: Any) -> Any:
        return lambda state, args: {key: value for key, value in call(state, args).items() if key != lacks}

    if lacks == "channel":
        kept = {"conversations.open": METHODS["conversations.open"]}
    else:
        kept = {name: one for name, one in METHODS.items() if name != "conversations.info"}
    for name, method in kept.items():
        monkeypatch.setitem(METHODS, name, Method(without(method.call), method.scope))
    before = len(office.slack.direct("U0BOB"))
    with capture_logs() as logged:
        run = office.asked()
        office.announcer.catch_up()
        office.desk.deny(run.id, BOB, "not today")
        loses(office, "chat.postMessage")
        office.announcer.catch_up()
    assert office.all_told() and "odd answer" in [one["event"] for one in logged]
    card, *lines = office.new()
    repeated = lacks == "messages"  # it could not be looked up
    assert [m.thread_ts for m in lines] == [card.ts] * (4 if repeated else 3) and "denied" in card.text
    noted = {post["ts"] for post in office.ledger.posts("channel = ?", (CHANNEL,))}
    assert {card.ts, lines[-1].ts} <= noted  # a post whose address Slack kept back is looked up too
    assert len(office.slack.direct("U0BOB")) - before == (0 if lacks == "channel" else 1)


def test_a_rate_limit_is_waited_for_as_long_as_slack_says(office: Office) -> None:
    office.announcer.people.channel_id("#incidents")
    office.slack.faults.only, office.slack.faults.ratelimit, office.slack.faults.retry_after = (
        {"chat.postMessage"},
        1,
        1,
    )
    started = office.ledger.clock()
    office.drills(1, 2)
    office.announcer.catch_up()
    assert (office.ledger.clock() - started).total_seconds() >= 1
    assert len(office.new()) == 2 and office.all_told()


def test_an_edit_that_only_shows_progress_is_dropped_where_slack_wants_fewer_and_holds_up_no_news(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcer, "PROGRESS", 0.0)
    run, faults = office.asked(), office.slack.faults
    with office.ledger.transaction() as t:
        t.append(run.id, "step_started", {"step": "backup", "revision": 1})
    office.announcer.catch_up()
    card = next(m for m in office.new() if not m.thread_ts)
    office.announcer.far = lambda _: HowFar("backup", "", 25.0, "read", "bytes", 412, done=254)
    faults.only, faults.ratelimit, faults.retry_after = {"chat.update"}, 2, 60
    started, before = time.monotonic(), str(card.blocks)
    office.announcer.catch_up()
    office.announcer.catch_up()
    assert time.monotonic() - started < 30 and faults.ratelimit == 1, "asked once, and not again before Slack allows it"
    assert str(card.blocks) == before
    faults.ratelimit = 0
    office.ledger.clock = lambda: now() + timedelta(minutes=2)
    office.desk.deny(run.id, BOB, "not today")
    office.announcer.catch_up()
    assert office.all_told() and "not today" in str([m.blocks for m in office.new() if m.thread_ts])
    assert not any("unreachable" in m.text for m in office.new()), "nothing was late"


def test_progress_is_shown_once_slack_takes_it_again(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcer, "PROGRESS", 0.0)
    run = office.asked()
    with office.ledger.transaction() as t:
        t.append(run.id, "step_started", {"step": "backup", "revision": 1})
    office.announcer.catch_up()
    card = next(m for m in office.new() if not m.thread_ts)
    office.announcer.far = lambda _: HowFar("backup", "", 25.0, "read", "bytes", 412, done=254)
    office.slack.faults.down = True
    office.announcer.show(office.ledger.run(run.id))
    office.slack.faults.down = False
    assert "61 %" not in str(card.blocks)
    until(lambda: (office.announcer.show(office.ledger.run(run.id)), "61 %" in str(card.blocks))[1])


def test_slack_that_does_not_tell_where_a_channel_is_delays_and_loses_nothing(office: Office) -> None:
    office.slack.faults.errors["conversations.list"] = "internal_error"
    office.asked(channel=None)  # from a shell: the card goes to the target's own channel
    told = threading.Thread(target=office.announcer.catch_up)
    told.start()
    told.join(0.4)
    assert told.is_alive() and office.new() == []
    office.slack.faults.errors.clear()
    told.join(10)
    assert office.all_told() and len([m for m in office.new() if not m.thread_ts]) == 1


def test_a_channel_that_is_gone_does_not_stop_the_others(office: Office) -> None:
    run = office.asked(channel="C0GONE")
    office.drills(1)
    office.announcer.catch_up()
    assert office.all_told() and len(office.new()) == 1
    assert office.ledger.posts("run = ? AND place = 'card'", (run.id,))[0]["ts"] is None


@pytest.mark.parametrize("error", ["invalid_auth", "token_revoked", "missing_scope"])
@pytest.mark.parametrize("method", ["chat.postMessage", "conversations.list"])
def test_a_token_that_is_refused_ends_it_loudly(office: Office, error: str, method: str) -> None:
    office.slack.faults.errors[method] = error
    office.drills(1)
    with pytest.raises(SlackRefuses, match=error):
        office.announcer.run()
    office.slack.faults.errors.clear()
    office.start()
    office.announcer.catch_up()
    assert len(office.new()) == 1  # and nothing is lost


def test_a_card_that_was_deleted_gets_a_new_one(office: Office) -> None:
    run = office.asked()
    office.announcer.catch_up()
    card = next(m for m in office.new() if not m.thread_ts)
    with office.ledger.transaction() as t:
        t.append(run.id, "notme", {}, BOB)
    office.announcer.catch_up()
    with office.slack.state.changing():
        office.slack.state.messages[CHANNEL].remove(card)
    office.desk.deny(run.id, BOB, "not today")
    office.announcer.catch_up()
    assert office.all_told()
    newest = office.ledger.posts("run = ? AND place = 'card' AND ts IS NOT NULL", (run.id,), newest=True)[0]
    assert newest["ts"] != card.ts and "denied" in str(next(m for m in office.new() if m.ts == newest["ts"])).lower()


def test_the_card_of_a_run_that_has_ended_shows_at_once_what_is_done_after_it(office: Office) -> None:
    run = office.desk.approve(office.asked().id, BOB, 1, "d" * 64)
    with office.ledger.transaction() as t:
        t.move(run, State.EXECUTING, "executing", {"step": "execute"})
        t.move(
            t.run(run.id), State.VERIFYING, "step_done", {"step": "execute", "evidence": {**EXECUTE, "hold": "refuse"}}
        )
        t.append(run.id, "step_done", {"step": "verify", "evidence": VERIFY})
        t.move(t.run(run.id), State.DONE, "done")
    office.announcer.catch_up()
    card = office.ledger.posts("run = ? AND place = 'card'", (run.id,))[0]["ts"]

    def shown() -> str:
        return str(next(m for m in office.messages() if m.ts == card))

    assert "rb.release" in shown()
    office.desk.release(run.id, BOB)
    office.announcer.catch_up()
    assert "rb.release" not in shown()


class Hands:
    """A clock that is moved by hand; stands in for the module `time`."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


def edits(office: Office) -> int:
    """How many edits Slack was asked for."""
    with office.slack.state.reading():
        return sum(name == "chat.update" for name, _ in office.slack.state.calls)


def test_a_card_that_slack_will_not_edit_holds_up_nothing_that_is_told(office: Office) -> None:
    run = office.asked()
    office.announcer.catch_up()
    office.slack.faults.errors["chat.update"] = "internal_error"
    office.desk.deny(run.id, BOB, "not today")
    other = office.asked(INC)
    office.drills(1)
    office.announcer.catch_up()
    assert office.all_told() and office.periods()
    card, *lines = office.new()[:4]
    assert "denied" not in card.text and "was denied by" in lines[2].text  # identify, rehearse, denied
    assert other.id in office.new(INC)[0].text and other.id in office.slack.direct("U0CHEN")[-1].text
    office.slack.faults.errors.clear()
    before = [m.ts for place in (CHANNEL, INC, "D0BOB", "D0CHEN") for m in office.messages(place)]
    office.start()  # the next start knows what is late, although this run has ended
    office.announcer.catch_up()
    assert "denied" in card.text and "rb.review" not in str(card.blocks)
    copies = [m for m in office.slack.direct("U0CHEN") if run.id in m.text]
    assert [("was denied" in m.text, "rb.review" in str(m.blocks)) for m in copies] == [(True, False)]
    assert [m.ts for place in (CHANNEL, INC, "D0BOB", "D0CHEN") for m in office.messages(place)] == before
    assert office.ledger.posts("place LIKE 'late%'", ()) == []


def test_an_edit_is_tried_again_after_pauses_that_grow(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    hands = Hands()
    monkeypatch.setattr("bot.edits.time", hands)
    run = office.asked()
    office.announcer.catch_up()
    office.slack.faults.errors["chat.update"] = "internal_error"
    office.desk.deny(run.id, BOB, "not today")
    tried = []
    for _ in range(120):
        before = edits(office)
        office.announcer.catch_up()
        tried += [hands.now - 1000] if edits(office) > before else []
        hands.now += 1
    assert tried == [0, 1, 3, 7, 15, 31, 61, 91]
    office.slack.faults.errors.clear()
    hands.now += 30
    office.announcer.catch_up()
    before = edits(office)
    hands.now += 300
    office.announcer.catch_up()
    assert edits(office) == before and "denied" in office.new()[0].text


def test_where_slack_limits_edits_all_of_them_wait_and_lines_do_not(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands = Hands()
    monkeypatch.setattr("bot.edits.time", hands)
    run = office.asked()
    office.announcer.catch_up()
    office.slack.faults.only, office.slack.faults.ratelimit = {"chat.update"}, 1
    office.slack.faults.retry_after = 20
    office.desk.deny(run.id, BOB, "not today")
    office.announcer.catch_up()
    assert office.all_told() and "was denied by" in office.new()[-1].text
    assert office.slack.faults.ratelimit == 0
    before = edits(office)
    hands.now += 19
    office.announcer.catch_up()
    assert edits(office) == before and "denied" not in office.new()[0].text
    hands.now += 1
    office.announcer.catch_up()
    assert edits(office) == before + 3 and "denied" in office.new()[0].text  # the card, and a copy for each approver


def test_a_target_that_left_the_settings_does_not_stop_the_others(office: Office) -> None:
    office.asked()
    office.drills(1)
    other: Any = office.settings.targets
    known = other.pop("production")
    office.announcer.catch_up()
    assert office.all_told() and office.new() == []
    other["production"] = known
    office.drills(2)
    office.announcer.catch_up()
    assert len([m for m in office.new() if "period 2" in str(m)]) == 1


def test_without_a_card_those_concerned_are_told_directly_and_can_decide(office: Office) -> None:
    before = {user: len(office.slack.direct(user)) for user in ("U0ANA", "U0BOB", "U0CHEN")}
    run = office.asked(channel="C0GONE")
    office.announcer.catch_up()
    told = {user: [m.text for m in office.slack.direct(user)[count:]] for user, count in before.items()}
    assert "I cannot post in the channel of production" in told["U0ANA"][0]
    assert all(run.id in told[user][0] and "approve" in told[user][0] for user in ("U0BOB", "U0CHEN"))
    office.desk.deny(run.id, BOB, "not now")
    office.announcer.catch_up()
    assert "was denied by" in office.slack.direct("U0CHEN")[-1].text, "the copies lose their buttons"
    assert office.all_told()


def test_what_no_message_shows_is_witnessed_in_one_quiet_thread(office: Office) -> None:
    def later(seconds: float = QUIET) -> list[Message]:
        office.announcer.notary.since -= seconds
        office.announcer.catch_up()
        office.announcer.witness()
        return [m for m in office.new() if "no other message shows it" in m.text]

    assert later() == []  # an empty trail
    office.drills(1)
    assert later() == []  # its own line shows it
    office.ledger.append("files_removed", {"files": 1})
    assert later(QUIET - 60) == []
    (first,) = later()
    number, digest = office.ledger.head()
    told = {"run": "", "event": number, "digest": digest, "post": f"{digest[:16]} witness root"}
    assert first.metadata and first.metadata["event_payload"] == told
    assert f"Audit #{number} `{digest[:16]}`" in str(first.blocks)
    assert len(later()) == 1  # once
    for _ in range(2):
        office.ledger.append("files_removed", {"files": 1})
        later()
    assert [m.thread_ts for m in later()] == [None, first.ts, first.ts]
    with office.slack.state.changing():
        office.slack.state.messages[CHANNEL].remove(first)
    office.ledger.append("files_removed", {"files": 1})
    assert [m.thread_ts for m in later()] == [first.ts, first.ts, None]  # the thread is gone: another begins


def test_a_bot_that_has_just_started_witnesses_the_head_that_it_found(office: Office) -> None:
    office.drills(1)
    office.announcer.catch_up()
    office.start()
    office.announcer.notary.since -= QUIET
    office.announcer.witness()
    assert f"Audit #{office.ledger.head()[0]} " in str(office.new()[-1].blocks) and len(office.new()) == 2
    office.slack.faults.errors["chat.postMessage"] = "not_in_channel"
    office.start()
    office.announcer.notary.since -= QUIET
    office.announcer.witness()
    assert office.announcer.notary.due(office.announcer.told()) is None and len(office.new()) == 2  # asked again later
