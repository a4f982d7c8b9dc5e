"""Break-glass replaces the second person, loudly, and nothing else."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.countdown import Countdown
from core import chain, glass, second_factor, totp
from core.desk import Desk
from core.driving import Nobody
from core.engine import Engine
from core.errors import Refused
from core.ledger import Ledger
from core.model import Person, Request, Run, State
from core.redact import SecretStr
from core.runbook import Gate, Runbook, Step, Work
from core.second_factor import Code
from core.settings import BreakGlass, Settings, Target, policy
from core.shell import Shell
from tests.messages_story import IDENTIFY, REDO
from tests.test_desk import refused

ANA, BOB, CHEN, DEE = (Person(f"U0{name.upper()}", name) for name in ("Ana", "Bob", "Chen", "Dee"))
WHY = "nobody answers and payments are down"
SHOWN = (1, "d")
GLASS = BreakGlass(("U0ANA", "U0DEE"))


class Night:
    """A request that waits, a clock that is set by hand, and a bot that can be started again."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.now, self.passed, self.unheard = datetime(2026, 1, 1, 3, tzinfo=UTC), 0.0, 0.0
        given = {"approvals": 1, "break_glass": GLASS, **more}
        self.target = Target("production", SecretStr("postgresql://"), approvers=("U0BOB", "U0CHEN"), **given)
        both = ("U0DEE", "U0DEE2")
        self.settings = Settings(
            targets={"production": self.target}, aliases=(both,), backup_dir=folder / "backups", ledger=folder / "l.db"
        )
        self.ledger = Ledger(self.settings.ledger, lambda: self.now)
        self.ledger.passing.steady = lambda: self.passed
        self.desk = Desk(self.ledger, self.settings)
        self.start()
        self.run_id = self.asks()

    def start(self) -> None:
        """A new process of the bot."""
        self.countdown = Countdown(self.desk, lambda: self.passed, lambda: self.unheard)

    def asks(self) -> str:
        run = self.desk.ask(Request("from", "011"), self.target, ANA, "an outage")
        self.opens(run.id, "d")
        return run.id

    def opens(self, run_id: str, digest: str) -> None:
        until = (self.now + self.target.approval_expires).isoformat()
        with self.ledger.transaction() as t:
            t.append(run_id, "step_done", {"step": "identify", "evidence": IDENTIFY})
            opened = {"digest": digest, "expires_at": until, "coded": self.target.approval_totp}
            t.move(t.run(run_id), State.WAITING, "opened", opened, plan_digest=digest, expires_at=until)

    @property
    def run(self) -> Run:
        return self.ledger.run(self.run_id)

    def breaks(self, who: Person = ANA, shown: Any = SHOWN, typed: str = "011_subscriptions", why: str = WHY,
               alone: bool = False) -> Run:  # fmt: skip
        return self.desk.break_glass(self.run_id, who, shown, (typed, why), alone)

    def broken(self) -> Run:
        """Broken as early as it can be, and shown in the channel."""
        self.passes(minutes=9)
        run = self.breaks()
        assert run.broken
        self.shown()
        return run

    def shown(self) -> None:
        """The channel shows the announcement."""
        assert self.run.broken
        with self.ledger.transaction() as t:
            t.post(self.run.broken.event, "call", channel="C0", ts="1.1", run=self.run_id)

    def passes(self, **span: float) -> Run:
        """Time passes, and the bot looks once a second; every half minute where it is about minutes."""
        left = timedelta(**span).total_seconds()
        while left > 0:
            step = min(30.0 if "minutes" in span else 1.0, left)
            self.now, self.passed, left = self.now + timedelta(seconds=step), self.passed + step, left - step
            self.countdown.look()
        self.desk.expire()
        return self.run

    def executes(self, to: State = State.DONE) -> Run:
        with self.ledger.transaction() as t:
            for state, kind in ((State.EXECUTING, "executing"), (State.VERIFYING, "step_done"), (to, "done")):
                evidence = {"step": "execute", "evidence": {}}
                t.move(t.run(self.run_id), state, kind, evidence if kind == "step_done" else {})
        return self.run


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Callable[..., Night]]:
    made: list[Night] = []

    def start(**more: Any) -> Night:
        made.append(Night(tmp_path / str(len(made)), **more))
        return made[-1]

    yield start
    for one in made:
        assert one.ledger.verify().unbroken, one.ledger.verify().faults
        one.ledger.close()


def test_it_starts_once_the_countdown_has_passed_and_says_who_and_why(night: Callable[..., Night]) -> None:
    one = night()
    broken = one.broken().broken
    assert broken and (broken.person, broken.reason, broken.countdown) == (ANA, WHY, 60.0)
    assert one.passes(seconds=58).state is State.WAITING
    run = one.passes(seconds=4)
    assert run.state is State.APPROVED and run.without_second and not run.owes_review
    over = one.ledger.events(run.id)[-1]
    assert (over.kind, over.actor, over.data["broken"]) == ("countdown_over", ANA, broken.event)
    one.passes(seconds=5)
    assert [e.kind for e in one.ledger.events(run.id)].count("countdown_over") == 1


def test_what_is_missing_for_it_is_said_and_nothing_is_written(night: Callable[..., Night]) -> None:
    one = night()
    early = refused(one.breaks)
    assert early.code == "E-NOT-ALLOWED" and "until 03:09:00 UTC" in early.message
    one.passes(minutes=9)
    before = one.ledger.head()
    for wrong, code in (
        ({"why": "payments are down"}, "E-REASON"),
        ({"why": "p" + " " * 30 + "d"}, "E-REASON"),
        ({"typed": "011"}, "E-TYPED"),
        ({"typed": "012_stripe_events"}, "E-TYPED"),
        ({"typed": one.run_id}, "E-TYPED"),
        ({"shown": (2, "d")}, "E-STALE"),
        ({"shown": (1, "e")}, "E-STALE"),
    ):
        assert refused(lambda wrong=wrong: one.breaks(**wrong)).code == code, wrong  # type: ignore[misc]
    assert one.ledger.head() == before
    one.breaks()
    assert refused(lambda: one.breaks(DEE)).code == "E-ALREADY"


def test_where_no_approver_can_be_asked_nobody_waits_for_one(night: Callable[..., Night]) -> None:
    assert night().breaks(alone=True).broken


def test_it_is_off_unless_people_are_named(night: Callable[..., Night]) -> None:
    one = night(break_glass=BreakGlass())
    one.passes(minutes=10)
    assert "is off" in refused(one.breaks).message
    assert policy(one.settings)["break_glass"] == {}
    named = {"production": replace(one.target, break_glass=GLASS)}
    assert policy(replace(one.settings, targets=named))["break_glass"] == {
        "production": ["U0ANA", "U0DEE", "0:09:00", "0:01:00"]
    }


@pytest.mark.parametrize("how", ["deny", "withdraw", "stop", "expire", "approve"])
def test_what_is_decided_cannot_be_broken_open(night: Callable[..., Night], how: str) -> None:
    one = night()
    one.passes(minutes=9)
    decide(one, how)
    assert refused(one.breaks).code in ("E-CLOSED", "E-EXPIRED", "E-ALREADY")
    assert one.run.broken is None


@pytest.mark.parametrize("how", ["deny", "withdraw", "stop", "expire", "approve"])
def test_a_decision_during_the_countdown_wins(night: Callable[..., Night], how: str) -> None:
    one = night(approval_expires=timedelta(minutes=10, seconds=10))
    one.broken()
    one.passes(seconds=30)
    ended = decide(one, how)
    one.passes(minutes=3)
    assert one.run.state is ended.state and not one.run.without_second
    assert "countdown_over" not in [e.kind for e in one.ledger.events(one.run_id)]


def decide(one: Night, how: str) -> Run:
    match how:
        case "deny":
            return one.desk.deny(one.run_id, BOB, "wait for the replica")
        case "withdraw":
            return one.desk.withdraw(one.run_id, ANA)
        case "stop":
            return one.desk.stop(one.run_id, Person("U0EVE", "Eve, who may nothing else"))
        case "expire":
            one.now += timedelta(minutes=20)  # a jump: nobody has seen the countdown pass
            one.desk.expire()
            return one.passes(seconds=62)  # until the clock is believed again
        case _:
            return one.desk.approve(one.run_id, BOB, *SHOWN)


def test_an_approval_makes_it_ordinary_and_taken_back_the_glass_must_be_broken_again(
    night: Callable[..., Night],
) -> None:
    one = night()
    one.broken()
    assert one.desk.approve(one.run_id, BOB, *SHOWN).broken is None
    one.desk.withdraw(one.run_id, BOB)
    assert one.passes(seconds=90).state is State.WAITING
    assert one.breaks(DEE).broken
    two = night(approvals=2)
    two.broken()
    assert two.desk.approve(two.run_id, BOB, *SHOWN).broken, "one of two does not suffice"
    assert two.passes(seconds=62).without_second


def test_another_plan_voids_it(night: Callable[..., Night]) -> None:
    one = night()
    one.broken()
    with one.ledger.transaction() as t:
        t.move(t.run(one.run_id), State.PLANNING, "plan_changed", {"what": ["it"]}, revision=2)
    one.opens(one.run_id, "e")
    assert one.passes(seconds=90).broken is None and one.run.state is State.WAITING
    assert "until" in refused(lambda: one.breaks(shown=(2, "e"))).message, "the new plan has its own wait"
    one.passes(minutes=9)
    assert one.breaks(shown=(2, "e")).broken


def test_neither_a_clock_that_jumps_nor_a_restart_shortens_the_countdown(night: Callable[..., Night]) -> None:
    one = night(approval_expires=timedelta(hours=2))
    one.broken()
    one.passes(seconds=5)
    one.now += timedelta(minutes=30)
    assert one.passes(seconds=50).state is State.WAITING
    one.start()
    assert one.passes(seconds=58).state is State.WAITING, "a new process begins it anew"
    one.now -= timedelta(hours=1)
    assert one.passes(seconds=30).state is State.WAITING, "and not before the time that was announced"
    one.now += timedelta(hours=1)
    assert one.passes(seconds=2).without_second


def test_only_time_in_which_a_click_could_reach_the_bot_counts(night: Callable[..., Night]) -> None:
    one = night(approval_expires=timedelta(hours=2))
    one.broken()
    one.passes(seconds=50)
    one.unheard = math.inf  # ending, or without a way to Slack
    assert one.passes(seconds=90).state is State.WAITING
    one.unheard = 0.0
    one.passes(seconds=5)
    one.now, one.passed = one.now + timedelta(minutes=5), one.passed + 300  # frozen: neither bot nor click came through
    assert one.passes(seconds=4).state is State.WAITING
    one.unheard = 30.0  # a socket that has fallen silent
    assert one.passes(seconds=20).state is State.WAITING
    one.unheard = 0.0
    assert one.passes(seconds=4).state is State.WAITING, "and its first pong does not make up for it"
    assert one.passes(seconds=1).without_second


def test_the_time_before_the_announcement_was_seen_is_no_part_of_the_countdown(night: Callable[..., Night]) -> None:
    one = night()
    one.passes(minutes=9)
    one.unheard = 5.0  # the last pong came five seconds ago
    one.countdown.look()
    one.breaks()
    one.shown()
    one.now += timedelta(minutes=1)  # a jump, so that only our own clock is asked
    one.countdown.look()
    one.unheard = 0.0
    for _ in range(59):
        one.passed += 1
        one.countdown.look()
    assert one.run.state is State.WAITING
    one.passed += 1
    one.countdown.look()
    assert one.run.without_second


def test_the_desk_itself_opens_nothing_too_early_too_late_or_for_an_older_word(night: Callable[..., Night]) -> None:
    one = night()
    old = one.broken().broken
    one.desk.approve(one.run_id, BOB, *SHOWN)
    one.desk.withdraw(one.run_id, BOB)
    new = one.breaks(DEE).broken
    assert old and new and new.event != old.event
    one.now = new.starts_at - timedelta(milliseconds=1)
    assert one.desk.countdown_over(one.run_id, new.event).state is State.WAITING, "too early"
    one.now = new.starts_at
    assert one.desk.countdown_over(one.run_id, old.event).state is State.WAITING
    one.now = datetime(2026, 1, 1, 3, 15, tzinfo=UTC)
    assert one.run.expires_at == one.now
    assert one.desk.countdown_over(one.run_id, new.event).state is State.WAITING


def test_what_the_channel_does_not_show_does_not_start(night: Callable[..., Night]) -> None:
    one = night()
    one.passes(minutes=9)
    one.breaks()
    assert one.passes(minutes=2).state is State.WAITING
    one.shown()
    assert one.passes(seconds=58).state is State.WAITING
    assert one.passes(seconds=4).without_second


def test_it_is_refused_where_the_request_would_expire_first(night: Callable[..., Night]) -> None:
    one = night()
    one.passes(minutes=14, seconds=1)
    assert "before the countdown would end" in refused(one.breaks).message


def test_a_review_is_owed_and_closed_by_somebody_else(night: Callable[..., Night]) -> None:
    one = night()
    one.passes(minutes=9)
    one.breaks(DEE)
    one.shown()
    one.passes(seconds=62)
    assert refused(lambda: one.desk.review(one.run_id, BOB, "it was right to do so")).code == "E-CLOSED"
    assert one.executes().owes_review
    assert [run.id for run in glass.owed(one.ledger)] == [one.run_id]
    assert one.ledger.verify().remarks == (
        f"{one.run_id} was executed by break-glass of Dee, with 0 of 1 approvals; not reviewed",
    )
    for who in (ANA, DEE, Person("U0DEE2", "Dee's other account")):
        assert refused(lambda who=who: one.desk.review(one.run_id, who, "it was right to do so")).code == "E-SELF"  # type: ignore[misc]
    assert refused(lambda: one.desk.review(one.run_id, BOB, "fine       ")).code == "E-REASON"
    one.desk.review(one.run_id, BOB, "it was right to do so")
    assert glass.owed(one.ledger) == [] and not one.run.owes_review
    assert refused(lambda: one.desk.review(one.run_id, CHEN, "it was right to do so")).code == "E-ALREADY"
    assert one.ledger.verify().remarks[0].endswith("reviewed by Bob")


def test_the_trail_accepts_no_execution_whose_break_glass_does_not_hold(
    night: Callable[..., Night], tmp_path: Path
) -> None:
    one = night()
    one.broken()
    one.passes(seconds=62)
    one.executes()
    assert one.ledger.verify().unbroken
    for number, edit in enumerate((
        "DELETE FROM events WHERE kind = 'countdown_over'",
        "DELETE FROM events WHERE kind = 'glass_broken'",
        "UPDATE events SET data = json_set(data, '$.digest', 'e') WHERE kind = 'glass_broken'",
        "UPDATE events SET data = json_set(data, '$.starts_at', '2027-01-01T00:00:00.000Z') WHERE kind = 'glass_broken'",
        """UPDATE events SET actor = '{"id":"U0EVE","name":"Eve"}' WHERE kind = 'countdown_over'""",
        "UPDATE events SET data = json_set(data, '$.broken', 1) WHERE kind = 'countdown_over'",
    )):  # fmt: skip
        copy = tmp_path / f"{number}.db"
        with sqlite3.connect(one.ledger.path) as source, sqlite3.connect(copy) as file:
            source.backup(file)
            for guard in ("update", "delete"):
                file.execute(f"DROP TRIGGER events_no_{guard}")
            file.execute(edit)
            verdict = chain.verify(file)
        assert any("executed with 0 of 1 approvals" in fault for fault in verdict.faults), edit
        assert verdict.remarks == (), edit


def test_where_a_yes_needs_a_code_so_does_breaking_the_glass(night: Callable[..., Night]) -> None:
    one, secret = night(approval_totp=True), totp.new_secret()

    def code() -> Code:
        return Code(totp.code(secret, totp.counter(one.now)))

    assert not one.desk.factor.enroll(ANA, secret, code())
    one.desk.factor.confirm(ANA, second_factor.fingerprint(secret)[: second_factor.SHOWN])
    one.passes(minutes=9)
    words = ("011_subscriptions", WHY)
    for wrong in (None, Code("000000" if code().text != "000000" else "111111")):
        no = refused(lambda w=wrong: one.desk.break_glass(one.run_id, ANA, SHOWN, words, code=w))  # type: ignore[misc]
        assert no.code == "E-TOTP" and one.run.broken is None
    one.desk.break_glass(one.run_id, ANA, SHOWN, words, code=code())
    one.shown()
    one.passes(seconds=62)
    assert walks(one, Door())[1] == [one.run_id]
    with sqlite3.connect(":memory:") as file, sqlite3.connect(one.ledger.path) as source:
        source.backup(file)
        file.execute("DROP TRIGGER events_no_update")
        file.execute("UPDATE events SET data = json_remove(data, '$.totp') WHERE kind = 'glass_broken'")
        assert any("executed with 0 of 1 approvals" in fault for fault in chain.verify(file).faults)


def test_the_shell_leaves_it_to_slack_where_everybody_can_stop_it() -> None:
    no = refused(lambda: Shell(["break-glass", "RB-7K3M"]).run())
    assert no.code == "E-SHELL-APPROVE" and "in Slack" in no.text


def test_the_migration_that_is_typed_is_the_one_that_was_asked_for(night: Callable[..., Night]) -> None:
    one = night()
    assert glass.word(one.run) == "011_subscriptions"
    again = replace(one.run, request=Request("reapply", origin="RB-7K3M"), evidence={"identify": REDO})
    assert glass.word(again) == "011_subscriptions"
    assert glass.word(replace(again, request=Request("restore", origin="RB-7K3M"))) == "production"


class Door(Nobody):
    """Who may break the glass, as Slack says at that moment."""

    def __init__(self, *no: Refused) -> None:
        self.no = list(no)

    def may_break(self, person: Person, target: Target) -> None:
        """Raises what Slack would lead to."""
        if self.no:
            raise self.no.pop(0)


def walks(one: Night, rights: Door) -> tuple[Run, list[str]]:
    """The engine from the open gate on; what was executed."""
    done: list[str] = []

    def execute(work: Work) -> dict[str, Any]:
        done.append(work.run.id)
        return {}

    short = Runbook(
        Gate("approve", ""),
        *(Step(name, lambda work: {}, "") for name in ("rehearse", "backup", "test restore")),
        Step("execute", execute, "", needs="approve"),
        Step("verify", lambda work: {"differences": []}, ""),
    )
    return Engine({"rollback": short}, one.ledger, one.settings, rights).walk(one.run_id), done


def test_right_before_execute_it_is_asked_whether_that_person_still_may(night: Callable[..., Night]) -> None:
    one = night()
    one.broken()
    assert walks(one, Door())[1] == [], "not during the countdown"
    one.passes(seconds=62)
    left, done = walks(one, Door(Refused("E-CANNOT-CHECK", "Slack is away."), Refused("E-NOT-ALLOWED", "You may not.")))
    assert (left.state, left.broken, done) == (State.WAITING, None, [])
    assert left.ending and left.ending.actor == ANA and "broken" in left.ending.data
    one.breaks()
    one.shown()
    one.passes(seconds=62)
    ended, done = walks(one, Door())
    assert (ended.state, done) == (State.DONE, [one.run_id]) and ended.owes_review


def test_a_break_glass_does_not_hold_for_ever_while_proofs_run(night: Callable[..., Night]) -> None:
    one = night()
    one.broken()
    one.passes(seconds=62)
    one.passes(minutes=61)
    left, done = walks(one, Door())
    assert (left.state, done) == (State.WAITING, []) and left.ending and "too long ago" in left.ending.data["why"]


def test_a_row_marked_approved_during_the_countdown_runs_nothing(night: Callable[..., Night]) -> None:
    one = night()
    one.broken()
    one.passes(seconds=5)
    with sqlite3.connect(one.ledger.path) as file:
        file.execute("UPDATE rollbacks SET state = 'approved'")
    ended, done = walks(one, Door())
    assert (ended.state, done) == (State.STOPPED, []) and ended.ending and ended.ending.data["code"] == "E-LEDGER"
