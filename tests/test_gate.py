"""One gate before every listener: whatever is wrong with a request, no handler sees it, and it is answered."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gate_bodies as bodies
import messages_catalogue as catalogue
import pytest
from gate_bodies import BOB, INC, Json
from slack_bolt import Ack, BoltRequest, Respond
from slack_bolt.response import BoltResponse
from slack_sdk import WebClient
from structlog.testing import capture_logs

import bot.guard
from bot import messages
from bot.app import build_app
from bot.asking import Asking
from bot.decisions import Decisions
from bot.drilling import Drilling
from bot.forms import Forms
from bot.glass import Glass
from bot.guard import AT_HOME, OF_HOME, ONLY_SHOWN
from bot.people import People
from bot.rate import Rate
from bot.reply import Reply
from bot.vitals import Vitals
from core.desk import Desk
from core.engine import Engine
from core.ledger import Ledger
from core.model import Person
from core.redact import SecretStr
from core.roll_back import RUNBOOKS
from core.settings import BreakGlass, Settings, Target
from demo.workspace import Workspace
from demo.workspace.views import push_on

RUN, PLAN = "RB-7K3M", "plan-0123456789ab.1"
SHOWN = {"run": RUN, "rev": 1, "digest": "d" * 64}
BOLTS_OWN = ["SslCheck", "SingleTeamAuthorization", "IgnoringSelfEvents", "UrlVerification", "AttachingFunctionToken"]


class Gate:
    """The bot's own Bolt app over one workspace; its handlers are replaced by something that only notes it was reached."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self.slack = workspace
        client = WebClient(workspace.bot_token, base_url=workspace.api_url, retry_handlers=[])
        target = Target("production", SecretStr("postgresql://x@127.0.0.1:1/x"), channel=INC, approvers=(BOB,))
        settings = Settings(targets={"production": target}, ledger=folder / "l.db", backup_dir=folder)
        self.ledger, self.people = Ledger(settings.ledger), People(client, settings)
        self.desk = Desk(self.ledger, settings)
        engine = Engine(RUNBOOKS, self.ledger, settings, self.people)
        self.pool = ThreadPoolExecutor(1)
        self.app = build_app(client, self.desk, engine, self.people, self.pool, Vitals())
        self.decisions = decisions = Decisions(self.desk, engine, self.people, self.pool)
        glass = Glass(decisions)
        asking = Asking(decisions)
        drilling = Drilling(decisions)
        self.drills = [*drilling.actions()]
        self.actions = [*decisions.actions(), *glass.actions(), *asking.actions(), "rb.other"]
        self.callbacks = [
            *decisions.submissions(),
            *glass.submissions(),
            *asking.submissions(),
            *drilling.submissions(),
            "rb.other",
        ]
        self.shortcuts = asking.shortcuts()
        self.forms = Forms(workspace.bot_token)
        self.reached: list[int] = []
        for number, listener in enumerate(self.app._listeners):
            listener.ack_function = self.noting(number)
        self.asked()

    def noting(self, number: int) -> Callable[[], BoltResponse]:
        def note(**given: Any) -> BoltResponse:
            self.reached.append(number)
            return BoltResponse(status=200)

        return note

    def asked(self) -> None:
        """A run, and its card."""
        row = {"id": RUN, "target": "production", "what": "latest", "requester": "U0ANA", "needed": 1}
        with self.ledger.transaction() as t:
            event = t.create(row, Person("U0ANA", "Ana"))
            t.post(event.id, "card", channel=INC, ts="1.1", run=RUN)
            due = t.append(None, "drill_due", {"target": "production", "due": "2026-12-07T09:00:00.000Z"})
            t.post(due.id, "drill", channel=INC, ts="1.2")

    def sent(self, body: Json) -> tuple[list[int], BoltResponse, list[str]]:
        """Which listeners were reached, the answer, and the codes of refusals."""
        self.reached = []
        with capture_logs() as said:
            answer = self.app.dispatch(BoltRequest(mode="socket_mode", body=deepcopy(body)))
        assert not [each for each in said if each["log_level"] == "error"], said
        return self.reached, answer, [each["code"] for each in said if each["event"] == "refused"]

    def form(self, callback: str) -> Json:
        view = {"type": "modal", "callback_id": callback, "private_metadata": json.dumps(SHOWN)}
        return bodies.form(callback, self.forms.sealed(view, BOB)["private_metadata"])

    def page(self) -> Json:
        return bodies.click_in_view("rb.plan", self.form("rb.plan")["view"])

    def good(self) -> dict[str, Json]:
        """One request of each kind that the bot listens to, as Slack would send it."""
        shown = bodies.click("rb.ask", PLAN)
        shown["container"]["is_ephemeral"] = True
        found = {"/rollback": bodies.command(), "rb.ask": shown, "home": bodies.opened_home()}
        found |= {f"click {one}": bodies.click(one) for one in self.actions}
        found |= {f"drill {one}": bodies.click(one, "drill-2", "1.2") for one in self.drills}
        found["menu"] = bodies.click("drill.snooze", "", "1.2")
        found["menu"]["actions"][0] |= {"type": "static_select", "selected_option": {"value": "drill-2.3"}}
        found |= {f"form {one}": self.form(one) for one in self.callbacks}
        found |= {f"close {one}": bodies.closed(one) for one in self.callbacks}
        found |= {f"home {one}": bodies.click_in_view(one, {"type": "home"}, "home") for one in OF_HOME}
        found |= {f"shortcut {one}": bodies.shortcut(one) for one in (*self.shortcuts, "rb.other")}
        found |= {f"message {one}": bodies.message_shortcut(one) for one in self.shortcuts}
        sealed = self.form("rb.request")["view"]["private_metadata"]
        found["options"] = bodies.suggestion(sealed)
        found["page"], found["home click"] = self.page(), bodies.click_in_view("rb.review", {"type": "home"})
        return found


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    logging.getLogger("slack_bolt").setLevel(logging.CRITICAL)
    with pytest.MonkeyPatch.context() as patch, Workspace(people=bodies.PEOPLE, channels=bodies.CHANNELS) as workspace:
        patch.setattr(bot.guard, "Rate", lambda: Rate(burst=10**9))
        patch.setattr(bot.guard, "time", SimpleNamespace(sleep=lambda seconds: None))
        made = Gate(workspace, tmp_path_factory.mktemp("gate"))
        yield made
        made.pool.shutdown()
        made.ledger.close()


def refused(gate: Gate, body: Json, what: str, *codes: str) -> None:
    reached, answer, said = gate.sent(body)
    assert reached == [], f"{what}: a handler was reached"
    assert answer.status == 200, f"{what}: not answered"
    assert said and set(said) <= set(codes), f"{what}: {said}"


def test_every_listener_stands_behind_the_gate(gate: Gate) -> None:
    order = [type(one).__name__ for one in gate.app._middleware_list]
    assert order == [*BOLTS_OWN, "CustomMiddleware"], "something answers beside the gate"
    assert gate.app._middleware_list[-1].name == "CustomMiddleware(func=gate)"
    reached = {number for body in gate.good().values() for number in gate.sent(body)[0]}
    left = [str(gate.app._listeners[n].matchers) for n in range(len(gate.app._listeners)) if n not in reached]
    assert not left, "a listener that no request of this test reaches: add one to Gate.good, so that it is tried below"


@pytest.mark.parametrize("bad", bodies.BAD)
def test_whoever_is_none_of_ours_reaches_no_listener(gate: Gate, bad: str) -> None:
    tried = 0
    for kind, good in gate.good().items():
        for _, body in bodies.spoilt(good, {bad: bodies.BAD[bad]}):
            refused(gate, body, f"{kind}, {bad}", "E-GUEST", "E-STALE")
            tried += 1
    assert tried > 20


@pytest.mark.parametrize("bad", bodies.SHARED)
def test_nothing_comes_from_a_channel_that_others_read(gate: Gate, bad: str) -> None:
    for kind, good in gate.good().items():
        for _, body in bodies.spoilt(good, {bad: bodies.SHARED[bad]}):
            refused(gate, body, f"{kind}, {bad}", "E-EXTERNAL")


def test_while_slack_is_silent_nobody_gets_in(gate: Gate) -> None:
    good = gate.good()
    gate.people.forget()
    gate.slack.faults.down = True
    try:
        for kind, body in good.items():
            refused(gate, body, kind, "E-CANNOT-CHECK")
            refused(gate, {**body, "trigger_id": "1.2.x"}, kind, "E-CANNOT-CHECK")
    finally:
        gate.slack.faults.down = False


def test_while_slack_cannot_be_reached_nobody_gets_in(gate: Gate) -> None:
    nowhere = People(WebClient("xoxb-1", base_url="http://127.0.0.1:1/", retry_handlers=[]), gate.people.settings)
    with pytest.raises(bot.guard.Refused) as no:
        nowhere.may_act(BOB)
    assert no.value.code == "E-CANNOT-CHECK"


def test_only_who_is_named_approves_or_breaks_the_glass(gate: Gate) -> None:
    run, bob, chen = gate.ledger.run(RUN), Person(BOB, "Bob"), ("U0CHEN",)
    no_approver = Target("production", approvers=chen, break_glass=BreakGlass((BOB,)))
    not_named = Target("production", approvers=(BOB,), break_glass=BreakGlass(chen))
    for act, code in (
        (lambda: gate.people.may_approve(bob, run, no_approver), "E-NOT-APPROVER"),
        (lambda: gate.people.may_break(bob, not_named), "E-NOT-ALLOWED"),
        (lambda: gate.people.may_break(bob, Target("production", approvers=(BOB,))), "E-NOT-ALLOWED"),
    ):
        with pytest.raises(bot.guard.Refused) as no:
            act()
        assert no.value.code == code
    gate.people.may_approve(bob, run, not_named)
    gate.people.may_break(bob, no_approver)


def test_who_reads_a_channel_must_be_known(gate: Gate) -> None:
    gate.people.forget()
    gate.slack.faults.errors["conversations.info"] = "internal_error"
    try:
        refused(gate, bodies.command(), "a channel of which Slack does not tell", "E-CANNOT-CHECK")
    finally:
        gate.slack.faults.errors.clear()


@pytest.mark.parametrize("bad", bodies.ODD_CLICKS)
def test_a_button_counts_only_where_it_was_put(gate: Gate, bad: str) -> None:
    for action in ("rb.stop", "rb.review", "rb.plan", "rb.ask", "rb.other"):
        for _, body in bodies.spoilt(bodies.click(action), {bad: bodies.ODD_CLICKS[bad]}):
            refused(gate, body, f"{action}, {bad}", "E-STALE")


def test_what_one_person_alone_sees_and_the_home_tab_have_their_own_buttons_only(gate: Gate) -> None:
    for action in [one for one in gate.actions if one not in ONLY_SHOWN]:
        body = bodies.click(action, PLAN)
        body["container"]["is_ephemeral"] = True
        refused(gate, body, f"ephemeral {action}", "E-STALE")
    for action in [one for one in gate.actions if one not in AT_HOME]:
        refused(gate, bodies.click_in_view(action, {"type": "home"}), f"home {action}", "E-STALE")
    refused(gate, bodies.click_in_view("rb.review", {"type": "home"}, "RB-9XXX.1"), "home", "E-RUN-UNKNOWN")
    refused(gate, bodies.click_in_view("rb.plan", {"type": "modal"}), "no form of ours", "E-STALE")
    turned = gate.page()
    turned["actions"][0]["value"] = "RB-9XXX.1"
    refused(gate, turned, "a page of another run", "E-STALE")


def test_a_plan_that_was_only_shown_is_its_readers_alone(gate: Gate) -> None:
    shown = gate.decisions.keep(catalogue.WAITING)
    mine, theirs = bodies.click("rb.ask", f"{shown.id}.1"), bodies.click("rb.ask", f"{shown.id}.1")
    mine["user"]["id"] = catalogue.WAITING.requester.id
    assert gate.decisions.clicked(mine)[0] == shown
    with pytest.raises(bot.guard.Refused, match="I do not keep this plan"):
        gate.decisions.clicked(theirs)


def test_a_button_of_no_run_counts_only_on_the_message_that_tells_its_event(gate: Gate) -> None:
    good = gate.good()["drill drill.start"]
    assert gate.sent(good)[0]
    for value, ts in (
        ("drill-2", "9.9"),
        ("drill-1", "1.2"),
        ("drill-3", "1.2"),
        ("drill-2.x", "1.2"),
        ("drill-02", "1.2"),
        ("due-2", "1.2"),
    ):
        refused(gate, bodies.click("drill.start", value, ts), f"{value} at {ts}", "E-STALE")
    shown = bodies.click("drill.start", "drill-2", "1.2")
    shown["container"]["is_ephemeral"] = True
    refused(gate, shown, "an answer that only one person sees", "E-STALE")


def test_these_are_all_the_buttons_that_answers_and_the_home_tab_have(gate: Gate) -> None:
    def buttons(payload: Any) -> set[str]:
        return {line.split('"')[0] for line in json.dumps(payload).split('"action_id": "')[1:]} - {"v"}

    answers = {name: make() for name, make in catalogue.ANSWERS.items()}
    assert set().union(*(buttons(made) for name, made in answers.items() if not name.startswith("dm_"))) <= set(
        ONLY_SHOWN
    )
    views = catalogue.views()
    assert set().union(*(buttons(view) for name, view in views.items() if name.startswith("home"))) <= {
        *AT_HOME,
        *OF_HOME,
    }
    assert set().union(*(buttons(view) for name, view in views.items() if not name.startswith("home"))) <= {
        "rb.plan", "rb.report",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "other"), [("run", "RB-9XXX"), ("rev", 2), ("digest", "e" * 64), ("seal", "0" * 64), ("more", 1)]
)
def test_a_form_counts_only_as_it_was_opened(gate: Gate, name: str, other: object) -> None:
    for callback in gate.callbacks:
        body = gate.form(callback)
        private = json.loads(body["view"]["private_metadata"])
        body["view"]["private_metadata"] = json.dumps({**private, name: other})
        refused(gate, body, f"{callback} with another {name}", "E-STALE")


def test_a_form_counts_only_for_whom_and_as_what_it_was_opened(gate: Gate) -> None:
    asks = gate.form("rb.deny")
    refused(gate, {**asks, "view": {**asks["view"], "callback_id": "rb.review"}}, "another form", "E-STALE")
    view = {"type": "modal", "callback_id": "rb.deny", "private_metadata": json.dumps(SHOWN)}
    for user in ("U0CHEN", ""):
        theirs = gate.forms.sealed(view, user)
        refused(gate, bodies.form("rb.deny", theirs["private_metadata"]), "somebody else's form", "E-STALE")
    of_another_bot = Forms("xoxb-other").sealed(view, BOB)
    refused(gate, bodies.form("rb.deny", of_another_bot["private_metadata"]), "another bot's form", "E-STALE")
    for odd in ("", "{", "null", "[]", '"x"', "{}", json.dumps(SHOWN), json.dumps({**SHOWN, "seal": 7}), "[" * 900):
        refused(gate, bodies.form("rb.review", odd), odd, "E-STALE")


def test_the_list_of_migrations_is_for_whom_the_form_was_opened(gate: Gate) -> None:
    sealed = json.loads(gate.form("rb.request")["view"]["private_metadata"])
    for odd in ("{}", json.dumps({**sealed, "seal": "0" * 64}), json.dumps({**sealed, "channel": "C0RANDOM"})):
        refused(gate, bodies.suggestion(odd), "a list for a form that was not opened so", "E-STALE")
    theirs = bodies.suggestion(json.dumps(sealed))
    theirs["user"]["id"] = "U0CHEN"
    refused(gate, theirs, "somebody else's list", "E-STALE", "E-GUEST")
    _, answer, _ = gate.sent(bodies.suggestion("{}"))
    assert json.loads(answer.body) == {"options": []}, "Slack would show an error"


def test_a_request_is_of_one_kind_and_of_one_that_slack_sends(gate: Gate) -> None:
    for kind, good in gate.good().items():
        for more in ({"event": {}}, {"event": good.get("event"), "type": "block_actions"}, {"command": "/rollback"}):
            if {**good, **more} != good:
                refused(gate, {**good, **more}, f"{kind} and {list(more)}", "E-STALE", "E-GUEST")
    for old in (
        "interactive_message",
        "dialog_submission",
        "dialog_cancellation",
        "dialog_suggestion",
        "workflow_step_edit",
    ):
        for callback in (*gate.actions, "v"):
            body = {**bodies.interaction(old), "callback_id": callback, "actions": [{"value": f"{RUN}.1", "name": "x"}]}
            refused(gate, body, f"{old} {callback}", "E-STALE")


def test_an_odd_form_is_answered(gate: Gate) -> None:
    for odd in (None, [], "x", {}, {"private_metadata": 7}):
        refused(gate, {**gate.form("rb.deny"), "view": odd}, f"view {odd}", "E-STALE")


def test_a_person_asks_as_fast_as_people_do_and_others_are_not_held_up() -> None:
    now = [0.0]
    rate = Rate(burst=3, per_second=1.0, clock=lambda: now[0])
    assert [rate.left("U0BOB") for _ in range(5)] == [True, True, True, False, False]
    assert rate.left("U0CHEN")
    now[0] = 1.5
    assert [rate.left("U0BOB") for _ in range(2)] == [True, False]
    now[0] = 100.0
    assert [rate.left("U0BOB") for _ in range(4)] == [True, True, True, False]


def test_who_asks_too_fast_is_told_so(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = bot.guard.Guard(gate.people, gate.ledger, gate.slack.team_id, gate.slack.app_id, gate.forms)
    monkeypatch.setattr(slow, "rate", Rate(burst=2))
    codes = []
    for _ in range(3):
        try:
            slow.check(bodies.command())
        except bot.guard.Refused as no:
            codes.append(no.code)
    assert codes == ["E-RATE"]


def test_deliveries_are_known_again_after_a_restart_and_forgotten_in_time(tmp_path: Path) -> None:
    moment = [datetime(2026, 11, 10, tzinfo=UTC)]
    ledger = Ledger(tmp_path / "l.db", clock=lambda: moment[0])
    assert ledger.first_time("click 1") and not ledger.first_time("click 1")
    ledger.close()
    again = Ledger(tmp_path / "l.db", clock=lambda: moment[0])
    assert not again.first_time("click 1")
    moment[0] += timedelta(days=8)
    assert again.first_time("click 2")
    from bot.clock import tidy

    tidy(Desk(again, Settings(ledger=tmp_path / "l.db", backup_dir=tmp_path / "none")))
    assert [row["key"] for row in again.db.table("seen").rows] == ["click 2"]
    again.close()


def test_an_approver_whom_slack_does_not_know_any_more_loses_what_he_approved(gate: Gate) -> None:
    run, target = gate.ledger.run(RUN), gate.people.settings.target("production")
    gone = Target("production", approvers=("U0NOBODY",))
    with pytest.raises(bot.guard.Refused) as no:
        gate.people.may_approve(Person("U0NOBODY", "Nobody"), run, gone)
    assert no.value.code == "E-GUEST"
    gate.people.may_approve(Person(BOB, "Bob"), run, target)


def test_a_page_that_slack_does_not_turn_is_answered_and_no_fault_of_ours(gate: Gate) -> None:
    slack, body = gate.slack, gate.page()
    plan = messages.full_plan(gate.ledger.run(RUN))
    opened = push_on(slack.state, BOB, gate.forms.sealed(plan, BOB), on_top=False)
    body["view"] |= {"id": opened.id, "hash": opened.hash}
    body["actions"][0]["block_id"] = "page:1"
    told = []
    for error, title in (
        ("", plan["title"]["text"]),
        ("hash_conflict", plan["title"]["text"]),
        ("internal_error", "Not done"),
    ):
        slack.faults.errors = {"views.update": error} if error else {}
        body["trigger_id"] = slack.state.new_trigger(BOB, opened.id)
        reply = Reply(body, Ack(), Respond(response_url=None), gate.people.client, lambda view: view)
        with capture_logs() as said:
            assert reply.answer(gate.decisions.full_plan).status == 200
        told.append([one["event"] for one in said])
        assert slack.state.modals[BOB][-1].title == title
        body["view"]["hash"] = opened.hash
    assert told == [[], ["form not changed"], ["form not changed", "refused"]]
    slack.faults.errors = {"views.update": "internal_error", "views.push": "internal_error"}
    assert reply.answer(gate.decisions.full_plan).status == 200  # nobody can be told, and nothing breaks
    slack.faults.errors = {}
