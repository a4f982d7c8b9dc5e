"""Whoever asks, clicks, waits or repeats: nothing runs without enough distinct people, and an end is an end."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bot import people
from bot.people import People
from core import engine as engine_module
from core.desk import Desk
from core.engine import Engine
from core.errors import Problem, Refused
from core.ledger import Ledger, Lost
from core.model import OPEN, Person, Request, Run, State
from core.passing import Passing
from core.redact import SecretStr
from core.refusals import Duplicate
from core.settings import BreakGlass, Settings, Target

PEOPLE = [Person(f"U{n}", f"Person {n}") for n in range(5)]
ALIASES = (("U1", "U2"),)
GLASS = BreakGlass(("U4",), wait=timedelta(minutes=4), countdown=timedelta(seconds=60))
TARGETS = {
    "one": Target("one", SecretStr("postgresql://"), approvals=1, approvers=("@on-call",), break_glass=GLASS),
    "two": Target("two", SecretStr("postgresql://"), approvals=2, reason="required", approvers=("@on-call",)),
}


def same(one: str, other: str) -> bool:
    return one == other or {one, other} == set(ALIASES[0])


class Directory:
    """The users and the group as Slack tells them, in the place of slack_sdk's client; and the time that both go by."""

    def __init__(self) -> None:
        self.now, self.away = datetime(2026, 1, 1, tzinfo=UTC), False
        self.members, self.gone = {person.id for person in PEOPLE}, {""}
        self.history = [(self.now, self.members, self.gone)]

    def change(self, members: set[str], gone: set[str]) -> None:
        self.members, self.gone = members, gone
        self.history.append((self.now, members, gone))

    def lately(self, user: str) -> bool:
        """Could the bot think so, who keeps what it has read for half a minute?"""
        since = self.now - timedelta(seconds=people.KEPT)
        known = [entry for entry in self.history if entry[0] <= since][-1:] + [e for e in self.history if e[0] > since]
        return any(user in members for _, members, _ in known) and any(user not in gone for *_, gone in known)

    def monotonic(self) -> float:
        return self.now.timestamp()

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def asked(self, told: Any) -> Any:
        if self.away:
            raise TimeoutError
        return told

    def users_info(self, user: str) -> Any:
        return self.asked({"user": {"id": user, "deleted": user in self.gone}})

    def usergroups_users_list(self, usergroup: str) -> Any:
        return self.asked({"users": sorted(self.members)})

    def usergroups_list(self) -> Any:
        return self.asked({"usergroups": [{"id": "S0ONCALL", "handle": "on-call"}]})


class Desks(RuleBasedStateMachine):
    """People click at random on what they have seen; the engine, the clock and restarts come in between."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Directory()
        self.modules = [(module, module.time) for module in (people, engine_module)]
        for module, _ in self.modules:
            module.time = self.directory  # type: ignore[assignment]
        self.folder = Path(tempfile.mkdtemp(prefix="desk"))
        self.config = Settings(targets=TARGETS, default_target="one", aliases=ALIASES)
        self.open()
        self.seen: list[tuple[str, int, str]] = []  # run, revision and digest as somebody's screen shows them
        self.ended: dict[str, Run] = {}
        self.plans = 0

    @property
    def now(self) -> datetime:
        return self.directory.now

    @now.setter
    def now(self, value: datetime) -> None:
        self.directory.now = value

    def open(self) -> None:
        self.ledger = Ledger(self.folder / "ledger.db", lambda: self.now)
        self.ledger.passing = Passing(self.ledger.clock, self.directory.monotonic)
        self.ledger.db.execute("PRAGMA synchronous = OFF")  # a machine of many steps; durability has its own test
        self.desk = Desk(self.ledger, self.config)
        self.people = People(self.directory, self.config)
        self.engine_ = Engine({}, self.ledger, self.config, self.people)

    def teardown(self) -> None:
        self.ledger.close()
        shutil.rmtree(self.folder)
        for module, time in self.modules:
            module.time = time

    def attempt(self, act: Callable[[], object]) -> None:
        """A refusal says why and leaves every table as it was."""
        before = self.content()
        try:
            act()
        except Problem as no:
            assert no.message and no.code.startswith("E-")
            assert self.content() == before, no

    def content(self) -> list[Any]:
        tables = ("rollbacks", "events", "seen", "reminders", "posts")
        return [self.ledger.db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables]

    def some(self, data: st.DataObject) -> tuple[str, int, str]:
        return data.draw(st.sampled_from(self.seen))

    # -- people --------------------------------------------------------------------------------------------

    @rule(who=st.sampled_from(PEOPLE), name=st.sampled_from(sorted(TARGETS)), why=st.sampled_from(["", "outage 7"]))
    def ask(self, who: Person, name: str, why: str) -> None:
        self.attempt(lambda: self.desk.ask(Request("latest"), TARGETS[name], who, why, delivery=f"d{self.now}"))

    @precondition(lambda self: self.seen)
    @rule(
        data=st.data(),
        who=st.sampled_from(PEOPLE),
        what=st.sampled_from(["approve", "approve", "deny", "withdraw", "stop", "resume", "keep", "verify_again", "not_me"]),
        twice=st.booleans(),
    )  # fmt: skip
    def click(self, data: st.DataObject, who: Person, what: str, twice: bool) -> None:
        run, revision, digest = self.some(data)
        arguments: dict[str, tuple[Any, ...]] = {"approve": (revision, digest), "deny": ("not now",)}
        before = self.ledger.run(run)
        delivery = f"click {self.ledger.head()[0]}"
        for _ in range(1 + twice):
            self.attempt(lambda: getattr(self.desk, what)(run, who, *arguments.get(what, ()), delivery=delivery))
        after = self.ledger.run(run)
        if what == "approve" and after.approvals != before.approvals:
            assert len(after.approvals) == len(before.approvals) + 1
            assert (before.revision, before.digest) == (revision, digest) and before.state is State.WAITING
            assert not before.expires_at or self.now < before.expires_at

    @precondition(lambda self: self.seen)
    @rule(
        data=st.data(),
        who=st.sampled_from(PEOPLE),
        wrong=st.sampled_from(["", "", "", "typed", "why"]),
        alone=st.booleans(),
    )
    def break_glass(self, data: st.DataObject, who: Person, wrong: str, alone: bool) -> None:
        waiting = [(r.id, r.revision, r.digest) for r in self.ledger.open_runs() if r.state is State.WAITING]
        run, revision, digest = data.draw(st.sampled_from([*waiting, *waiting, *self.seen]))
        words = (
            "011" if wrong == "typed" else "011_sub",
            "soon" if wrong == "why" else "nobody answers, payments fail",
        )
        before = self.ledger.run(run)
        self.attempt(lambda: self.desk.break_glass(run, who, (revision, digest), words, alone))
        after = self.ledger.run(run)
        if after.broken != before.broken:
            assert before.state is State.WAITING and (before.revision, before.digest) == (revision, digest)
            assert before.target == "one" and not wrong and before.opened_at
            assert alone or self.now >= before.opened_at + GLASS.wait

    @precondition(lambda self: any(run.broken for run in self.ledger.open_runs()))
    @rule(seconds=st.sampled_from([0, 61, 61, 1200]))
    def countdown(self, seconds: int) -> None:
        """The bot's clock looks, also too early or too late, and for a word that counts no more."""
        self.now += timedelta(seconds=seconds)
        for run in self.ledger.runs():
            for event in self.ledger.events(run.id):
                if event.kind == "glass_broken":
                    self.attempt(lambda run=run, event=event: self.desk.countdown_over(run.id, event.id))  # type: ignore[misc]

    @precondition(lambda self: any(run.broken for run in self.ledger.runs()))
    @rule(data=st.data(), who=st.sampled_from(PEOPLE), text=st.sampled_from(["fine", "it was right to do so"]))
    def review(self, data: st.DataObject, who: Person, text: str) -> None:
        run = data.draw(st.sampled_from([run for run in self.ledger.runs() if run.broken]))
        self.attempt(lambda: self.desk.review(run.id, who, text))
        after = self.ledger.run(run.id)
        if after.reviewed and not run.reviewed:
            assert run.owes_review and run.broken and len(text) >= 10
            assert not same(who.id, run.requester.id) and not same(who.id, run.broken.person.id)

    @precondition(lambda self: self.seen)
    @rule(data=st.data(), who=st.sampled_from(PEOPLE))
    def approves_as_in_slack(self, data: st.DataObject, who: Person) -> None:
        """The listener asks the rules about people first, as of now or of half a minute ago; then the desk."""
        shown = self.some(data)
        run = self.ledger.run(shown[0])
        self.attempt(lambda: self.people.may_approve(who, run, TARGETS[run.target]))
        before = run.approvals
        self.attempt(lambda: self.clicks(who, run, shown))
        if self.ledger.run(run.id).approvals != before:
            assert self.directory.lately(who.id)

    def clicks(self, who: Person, run: Run, shown: tuple[str, int, str]) -> None:
        self.people.may_approve(who, run, TARGETS[run.target])
        self.desk.approve(*shown[:1], who, *shown[1:])

    @rule(members=st.sets(st.sampled_from([person.id for person in PEOPLE])), gone=st.sampled_from(["", "U3", "U4"]))
    def the_directory_changes(self, members: set[str], gone: str) -> None:
        """Somebody leaves the group or the company; what the bot had read before it does not count at execution."""
        self.directory.change(members, {gone})

    @precondition(lambda self: any(r.state is State.APPROVED and r.approvals for r in self.ledger.open_runs()))
    @rule()
    def an_approver_leaves_right_before_it_would_run(self) -> None:
        run = next(run for run in self.ledger.open_runs() if run.state is State.APPROVED and run.approvals)
        leaves = run.approvals[0].person.id
        self.directory.change(self.directory.members - {leaves}, self.directory.gone)
        assert not self.may_execute(run)

    @rule(away=st.booleans())
    def slack_comes_and_goes(self, away: bool) -> None:
        self.directory.away = away

    @rule(minutes=st.sampled_from([0, 1, 5, 20]))
    def time_passes(self, minutes: int) -> None:
        self.directory.now += timedelta(minutes=minutes, seconds=1)
        self.desk.remind(lambda run: ["somebody"])
        for run in self.desk.expire():
            assert run.expires_at and run.expires_at <= self.now

    @rule()
    def restart(self) -> None:
        self.ledger.close()
        self.open()

    # -- the engine ----------------------------------------------------------------------------------------

    @precondition(lambda self: self.ledger.open_runs())
    @rule(data=st.data())
    def engine(self, data: st.DataObject) -> None:
        """One move that the engine could make, from what it read last."""
        run = data.draw(st.sampled_from(self.ledger.open_runs()))
        if run.state is State.PLANNING:
            self.opens(run)
            return
        moves: dict[State, list[tuple[State, str]]] = {
            State.APPROVED: [(State.EXECUTING, "executing")],
            State.EXECUTING: [(State.VERIFYING, "step_done"), (State.INTERRUPTED, "interrupted"), (State.PLANNING, "plan_changed")],
            State.VERIFYING: [(State.DONE, "done"), (State.DECIDE, "differs")],
        }  # fmt: skip
        if run.state not in moves:
            return
        if run.state is State.APPROVED and not self.may_execute(run):
            return
        to, kind = data.draw(st.sampled_from(moves[run.state]))
        told: dict[str, dict[str, Any]] = {
            "step_done": {"step": "execute", "evidence": {}},
            "plan_changed": {"what": ["it"]},
        }
        details = told.get(kind, {})
        columns: dict[str, Any] = {"revision": run.revision + 1} if kind == "plan_changed" else {}
        if (
            run.state is State.APPROVED
            and data.draw(st.sampled_from([False, False, True]))
            and (run.approvals or run.broken)
        ):
            given: Any = run.broken or run.approvals[0]  # its giver has lost the right
            more = {"broken": given.event} if run.broken else {}
            with self.ledger.transaction() as t:
                t.move(
                    run, State.WAITING, "unapproved", {"why": "x", "person": given.person.id, "by_rule": True, **more}
                )
            return
        with self.ledger.transaction() as t:
            t.move(run, to, kind, details, **columns)

    def opens(self, run: Run) -> None:
        """The plan is made and shown."""
        self.plans += 1
        digest, until = f"digest {self.plans}", (self.now + timedelta(minutes=15)).isoformat()
        with self.ledger.transaction() as t:
            t.append(run.id, "step_done", {"step": "identify", "evidence": {"undo": [{"name": "011_sub"}]}})
            opened = {"digest": digest, "expires_at": until}
            t.move(t.run(run.id), State.WAITING, "opened", opened, plan_digest=digest, expires_at=until)
        self.seen.append((run.id, run.revision, digest))

    def may_execute(self, run: Run) -> bool:
        """The engine's own check, right before it would execute: rights and age of each approval as of now."""
        yes = self.engine_._sound(run) and self.engine_._still_right(run, TARGETS[run.target])
        after = self.ledger.run(run.id)
        entitled = self.directory.members - self.directory.gone
        if yes:
            assert after.state is State.APPROVED and {given.person.id for given in after.approvals} <= entitled
            assert all(self.now - given.at <= TARGETS[run.target].approval_valid for given in after.approvals)
        elif not self.directory.away:
            assert after.state is State.WAITING
            assert len(after.approvals) < len(run.approvals) or (run.broken and not after.broken)
        return yes

    # -- what holds always ---------------------------------------------------------------------------------

    @invariant()
    def nothing_runs_without_enough_people(self) -> None:
        for run in self.ledger.runs():
            if run.state in (
                State.APPROVED,
                State.EXECUTING,
                State.VERIFYING,
                State.INTERRUPTED,
                State.DONE,
                State.DECIDE,
            ):
                given = [e for e in self.ledger.events(run.id) if e.kind == "approved" and e.actor]
                valid = [e for e in given if (e.data["revision"], e.data["digest"]) == (run.revision, run.digest)]
                people = {min(ALIASES[0]) if a.person.id in ALIASES[0] else a.person.id for a in run.approvals}
                assert len(people) == len(run.approvals)
                assert len(people) >= run.needed or self.broken_open(run)
                assert {a.person.id for a in run.approvals} <= {e.actor.id for e in valid if e.actor}
                assert not any(same(person, run.requester.id) for person in people)

    def broken_open(self, run: Run) -> bool:
        """Told by the events alone: this plan was broken open, and not before its countdown had passed."""
        events = self.ledger.events(run.id)
        over = next((e for e in reversed(events) if e.kind == "countdown_over"), None)
        glass = next((e for e in events if over and e.id == over.data["broken"]), None)
        if not over or not glass or any(e.id > over.id and e.state in (State.WAITING, State.PLANNING) for e in events):
            return False
        assert over.at >= glass.at + GLASS.countdown and over.actor == glass.actor and run.target == "one"
        assert (glass.data["revision"], glass.data["digest"]) == (run.revision, run.digest)
        return bool(run.expires_at and over.at < run.expires_at)

    @invariant()
    def what_has_ended_never_moves(self) -> None:
        for run in self.ledger.runs():
            if run.id in self.ended:
                then = self.ended[run.id]
                assert (run.state, run.ended_at, run.approvals) == (then.state, then.ended_at, then.approvals)
            elif not run.is_open:
                assert run.ended_at
                self.ended[run.id] = run

    @invariant()
    def a_target_has_one_open_rollback_and_the_chain_holds(self) -> None:
        targets = [run.target for run in self.ledger.runs() if run.state in OPEN]
        assert len(targets) == len(set(targets))
        assert self.ledger.verify().unbroken, self.ledger.verify().faults


class Nights(Desks):
    """The same, on a night on which the glass is broken at once: from here on it seldom comes to that by chance."""

    @initialize(
        asks=st.sampled_from(PEOPLE),
        breaks=st.sampled_from(PEOPLE),
        after=st.sampled_from([0, 830]),
        further=st.sampled_from([0, 0, 1, 4]),
    )
    def nobody_answers(self, asks: Person, breaks: Person, after: int, further: int) -> None:
        run = self.desk.ask(Request("latest"), TARGETS["one"], asks)
        self.opens(run)
        self.now += timedelta(seconds=after)
        words = ("011_sub", "nobody answers, payments fail")
        broken = self.desk.break_glass(run.id, breaks, self.seen[0][1:], words, alone=True).broken
        assert broken
        self.now += timedelta(seconds=60 if further else 59)
        self.desk.countdown_over(run.id, broken.event)
        told = {"step": "execute", "evidence": {}}
        ways = ((State.EXECUTING, "executing"), (State.VERIFYING, "step_done"), (State.DONE, "done"))
        for state, kind in ways[: max(0, further - 1)]:
            with self.ledger.transaction() as t:
                t.move(t.run(run.id), state, kind, told if kind == "step_done" else {})


Desks.TestCase.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
Nights.TestCase.settings = settings(Desks.TestCase.settings, max_examples=30, stateful_step_count=25)
test_people_who_click_at_random_never_get_past_the_rules = Desks.TestCase
test_nor_do_they_on_a_night_on_which_the_glass_is_broken = Nights.TestCase


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(Ledger(tmp_path / "ledger.db"), Settings(targets=TARGETS, default_target="one", aliases=ALIASES))


def waiting(desk: Desk, target: str = "one", who: Person = PEOPLE[0]) -> Run:
    run = desk.ask(Request("latest"), TARGETS[target], who, "an outage")
    until = (desk.ledger.clock() + timedelta(minutes=15)).isoformat()
    with desk.ledger.transaction() as t:
        opened = {"digest": "d", "expires_at": until}
        t.move(t.run(run.id), State.WAITING, "opened", opened, plan_digest="d", expires_at=until)
    return desk.ledger.run(run.id)


def refused(act: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as caught:
        act()
    return caught.value


def test_two_accounts_of_one_person_count_once(desk: Desk) -> None:
    run = waiting(desk, "two")
    desk.approve(run.id, PEOPLE[1], 1, "d")
    assert refused(lambda: desk.approve(run.id, PEOPLE[2], 1, "d")).code == "E-ALREADY"
    assert desk.approve(run.id, PEOPLE[3], 1, "d").state is State.APPROVED
    own = waiting(desk, "one", PEOPLE[1])
    assert refused(lambda: desk.approve(own.id, PEOPLE[2], 1, "d")).code == "E-SELF"


def test_the_other_account_of_a_person_can_take_back_what_the_first_gave(desk: Desk) -> None:
    run = waiting(desk, "two")
    desk.approve(run.id, PEOPLE[1], 1, "d")
    assert desk.withdraw(run.id, PEOPLE[2]).approvals == ()
    own = waiting(desk, "one", PEOPLE[1])
    assert desk.withdraw(own.id, PEOPLE[2]).state is State.WITHDRAWN


def test_a_second_click_is_told_who_was_first(desk: Desk) -> None:
    run = waiting(desk)
    desk.approve(run.id, PEOPLE[3], 1, "d")
    no = refused(lambda: desk.approve(run.id, PEOPLE[4], 1, "d"))
    assert no.code == "E-ALREADY" and "already approved by Person 3 at" in no.message


def test_a_delivery_counts_once(desk: Desk) -> None:
    run = waiting(desk, "two")
    desk.approve(run.id, PEOPLE[3], 1, "d", delivery="click 1")
    with pytest.raises(Duplicate):
        desk.approve(run.id, PEOPLE[4], 1, "d", delivery="click 1")
    assert len(desk.ledger.run(run.id).approvals) == 1


def test_a_yes_to_an_older_plan_is_not_counted(desk: Desk) -> None:
    run = waiting(desk)
    for revision, digest in ((1, "other"), (2, "d"), (0, "d")):
        assert refused(lambda r=revision, d=digest: desk.approve(run.id, PEOPLE[3], r, d)).code == "E-STALE"  # type: ignore[misc]


def test_what_was_read_before_somebody_else_moved_it_is_lost(desk: Desk) -> None:
    run = waiting(desk)
    desk.deny(run.id, PEOPLE[3], "not now")
    with pytest.raises(Lost) as lost, desk.ledger.transaction() as t:
        t.move(replace(run), State.APPROVED, "approved", {})
    assert lost.value.run.state is State.DENIED


def half_done(desk: Desk) -> Run:
    """A rollback of which a part took effect, and whose backup is there."""
    run = desk.approve(waiting(desk).id, PEOPLE[3], 1, "d")
    partly = {"code": "E-PARTLY", "message": "It is half done.", "done": ["one"], "left": ["two"]}
    with desk.ledger.transaction() as t:
        t.append(run.id, "step_done", {"step": "backup", "evidence": {}})
        t.move(t.run(run.id), State.EXECUTING, "executing", {"step": "execute"})
        t.move(t.run(run.id), State.NEEDS_A_PERSON, "unknown", partly)
    return desk.ledger.run(run.id)


def test_what_is_half_done_does_not_go_on_while_its_way_back_is_open(desk: Desk) -> None:
    run = half_done(desk)
    back = desk.way_back("restore", run.id, TARGETS["one"], PEOPLE[0])
    assert refused(lambda: desk.resume(run.id, PEOPLE[3])).code == "E-BUSY"
    # and the engine, which may learn meanwhile that it took effect after all, leaves the target to the way back
    with pytest.raises(Lost), desk.ledger.transaction() as t:
        t.move(t.run(run.id), State.VERIFYING, "step_done", {"step": "execute", "evidence": {}})
    desk.stop(back.id, PEOPLE[0])
    assert desk.resume(run.id, PEOPLE[3]).state is State.EXECUTING


def test_what_was_read_of_an_older_plan_is_lost_although_the_state_is_the_same_again(desk: Desk) -> None:
    run = waiting(desk)
    with desk.ledger.transaction() as t:
        t.move(run, State.PLANNING, "plan_changed", {"what": ["it"]}, revision=2)
        t.move(t.run(run.id), State.WAITING, "opened", {"digest": "d", "expires_at": None}, plan_digest="d")
    with pytest.raises(Lost), desk.ledger.transaction() as t:
        t.move(run, State.APPROVED, "approved", {})
    assert desk.ledger.run(run.id).state is State.WAITING


def test_only_what_waits_is_decided_and_what_has_begun_is_not_stopped(desk: Desk) -> None:
    run = waiting(desk)
    desk.approve(run.id, PEOPLE[3], 1, "d")
    head = desk.ledger.head()
    assert refused(lambda: desk.deny(run.id, PEOPLE[4], "too late")).code in ("E-CLOSED", "E-ALREADY")
    assert (desk.ledger.run(run.id).state, desk.ledger.head()) == (State.APPROVED, head)
    told = {"step": "execute", "evidence": {}, "differences": [], "code": "E-UNKNOWN"}
    for state, kind in (
        (State.EXECUTING, "executing"),
        (State.NEEDS_A_PERSON, "unknown"),
        (State.VERIFYING, "step_done"),
        (State.DECIDE, "differs"),
    ):
        with desk.ledger.transaction() as t:
            t.move(t.run(run.id), state, kind, told)
        for act in (lambda: desk.stop(run.id, PEOPLE[3]), lambda: desk.withdraw(run.id, PEOPLE[0])):
            assert refused(act).code == "E-TOO-LATE", state
        assert desk.ledger.run(run.id).state is state


def test_a_target_whose_outcome_is_unknown_takes_no_other_rollback(desk: Desk) -> None:
    run = waiting(desk)
    desk.approve(run.id, PEOPLE[3], 1, "d")
    for state, kind in ((State.EXECUTING, "executing"), (State.NEEDS_A_PERSON, "unknown")):
        with desk.ledger.transaction() as t:
            t.move(t.run(run.id), state, kind, {"code": "E-UNKNOWN"})
    assert refused(lambda: desk.ask(Request("latest"), TARGETS["one"], PEOPLE[3])).code == "E-BUSY"
    assert [one.id for one in desk.ledger.open_runs()] == [run.id]


def test_what_has_expired_is_not_approved_although_nobody_has_closed_it_yet(tmp_path: Path) -> None:
    moment = [datetime(2026, 1, 1, tzinfo=UTC)]
    ledger = Ledger(tmp_path / "ledger.db", lambda: moment[0])
    desk = Desk(ledger, Settings(targets=TARGETS, default_target="one"))
    run = waiting(desk)
    moment[0] += timedelta(minutes=15)
    assert refused(lambda: desk.approve(run.id, PEOPLE[3], 1, "d")).code == "E-EXPIRED"
    assert refused(lambda: desk.deny(run.id, PEOPLE[3], "too late")).code == "E-EXPIRED"
    assert ledger.run(run.id).state is State.WAITING
    ledger.close()


def test_a_rollback_goes_back_once_also_where_two_have_asked_for_it(desk: Desk) -> None:
    run = half_done(desk)
    back = desk.way_back("restore", run.id, TARGETS["one"], PEOPLE[0])
    with desk.ledger.transaction() as t:
        t.move(t.run(run.id), State.RESTORED, "restored", {"by": back.id})
    desk.stop(back.id, PEOPLE[0])  # the target is free again, and the other one had looked before
    second = Request("restore", origin=run.id)
    assert refused(lambda: desk.ask(second, TARGETS["one"], PEOPLE[3])).code == "E-CLOSED"
