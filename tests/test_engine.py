"""The engine over a runbook that does nothing: what it never begins, never repeats and never takes for granted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.desk import Desk
from core.engine import Engine
from core.errors import PlanChanged, StepFailed
from core.ledger import Ledger, stamp
from core.model import Json, Person, Request, Run, State
from core.redact import SecretStr
from core.runbook import Gate, Runbook, Step, Work
from core.settings import Settings, Target
from tests.engine_stand import Anybody

ANA, BOB = Person("U0ANA", "Ana"), Person("U0BOB", "Bob")
Act = Callable[[Work], Json]


class Walk:
    """A rollback whose plan waits, and an engine over steps that a test gives: `execute`, `found`, `backup`."""

    def __init__(self, folder: Path) -> None:
        self.target = Target("one", SecretStr("postgresql://"), approvers=(BOB.id,))
        self.settings = Settings(targets={"one": self.target}, backup_dir=folder, ledger=folder / "l.db")
        self.ledger = Ledger(self.settings.ledger)
        self.desk = Desk(self.ledger, self.settings)
        self.done: list[str] = []
        run = self.desk.ask(Request("latest"), self.target, ANA)
        until = stamp(self.ledger.clock() + timedelta(minutes=15))
        with self.ledger.transaction() as t:
            opened = {"digest": "d", "expires_at": until, "coded": False}
            t.move(t.run(run.id), State.WAITING, "opened", opened, plan_digest="d", expires_at=until)
        self.run_id = run.id

    @property
    def run(self) -> Run:
        return self.ledger.run(self.run_id)

    def approved(self) -> None:
        self.desk.approve(self.run_id, BOB, 1, "d")

    def engine(self, rights: Any = None, draining: Callable[[], bool] = lambda: False, **acts: Any) -> Engine:
        def step(name: str, **more: Any) -> Step:
            def act(work: Work) -> Json:
                self.done.append(name)
                return dict(acts[name](work)) if name in acts else {"differences": []}

            return Step(name, act, "", **more)

        rehearse, *proofs = (step(name) for name in ("rehearse", "backup", "test restore"))
        execute = step("execute", needs="approve", found=acts.get("found", lambda work: None))
        short = Runbook(rehearse, Gate("approve", ""), *proofs, execute, step("verify"))
        return Engine({"rollback": short}, self.ledger, self.settings, rights or Anybody(), draining=draining)

    def walks(self, **given: Any) -> Run:
        return self.engine(**given).walk(self.run_id)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.ledger.events(self.run_id)]


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    made = Walk(tmp_path)
    yield made
    made.ledger.close()


def breaks(work: Work) -> Json:
    raise ValueError("a fault of our own")


def test_after_a_fault_of_our_own_in_execute_the_database_says_whether_it_took_effect(walk: Walk) -> None:
    walk.approved()
    ended = walk.walks(execute=breaks, found=lambda work: {"versions": ["012"]})
    assert ended.state is State.DONE and ended.evidence["execute"] == {"versions": ["012"]}
    assert "found_committed" in walk.kinds() and walk.done.count("execute") == 1


def test_after_a_fault_of_our_own_in_execute_that_took_no_effect_a_person_decides(walk: Walk) -> None:
    walk.approved()
    assert walk.walks(execute=breaks).state is State.INTERRUPTED
    assert walk.walks(execute=breaks).state is State.INTERRUPTED and walk.done.count("execute") == 1


def test_told_to_end_while_it_asks_who_may_it_executes_nothing(walk: Walk) -> None:
    ending: list[bool] = []

    class Slow(Anybody):
        def may_approve(self, person: Person, run: Run, target: Target) -> None:
            ending.append(True)  # SIGTERM comes while Slack is asked

    walk.approved()
    left = walk.walks(rights=Slow(), draining=lambda: bool(ending))
    assert ending and left.state is State.APPROVED and "execute" not in walk.done
    assert "executing" not in walk.kinds()


def test_a_rollback_has_one_walker(walk: Walk) -> None:
    walk.approved()
    other = Ledger(walk.ledger.path)
    holder = other.hold(walk.run_id)
    assert holder
    with holder:
        assert walk.walks().state is State.APPROVED and walk.done == []
    assert walk.walks().state is State.DONE
    other.close()


def test_evidence_of_a_plan_that_was_replaced_meanwhile_does_not_count_for_the_new_one(walk: Walk) -> None:
    def replaced(work: Work) -> Json:
        with walk.ledger.transaction() as t:
            t.move(t.run(walk.run_id), State.PLANNING, "plan_changed", {"what": ["it"]}, revision=2)
        return {"file": "of the first plan"}

    engine = walk.engine(backup=replaced)
    engine._take(walk.run, next(part for part in engine.runbooks["rollback"] if part.name == "backup"))  # type: ignore[arg-type]
    assert (walk.run.revision, walk.run.evidence, walk.kinds()[-1]) == (2, {}, "plan_changed")


def test_an_approval_of_another_plan_that_was_written_by_hand_executes_nothing(walk: Walk) -> None:
    with walk.ledger.transaction() as t:
        other = {"note": "", "complete": True, "revision": 1, "digest": "of another plan"}
        t.move(t.run(walk.run_id), State.APPROVED, "approved", other, BOB)
    ended = walk.walks()
    assert ended.state is State.STOPPED and "execute" not in walk.done
    assert ended.ending and "0 of 1 approvals of this plan" in ended.ending.data["message"]


def test_a_chain_that_somebody_has_broken_executes_nothing(walk: Walk) -> None:
    walk.approved()
    walk.ledger.db.execute("DROP TRIGGER events_no_update")
    walk.ledger.db.execute("UPDATE events SET data = json_set(data, '$.reason', 'another') WHERE kind = 'asked'")
    walk.ledger.db.conn.commit()
    ended = walk.walks()
    assert ended.state is State.STOPPED and "execute" not in walk.done
    assert ended.ending and "was changed after it was written" in ended.ending.data["message"]


def test_right_before_execute_slack_is_asked_anew_about_each_approver(walk: Walk) -> None:
    asked: list[str] = []

    class Noting(Anybody):
        def forget(self) -> None:
            asked.append("forget")

        def may_approve(self, person: Person, run: Run, target: Target) -> None:
            asked.append(person.id)

    walk.approved()
    assert walk.walks(rights=Noting(), execute=lambda work: asked.append("execute") or {}).state is State.DONE
    assert asked == ["forget", BOB.id, "execute"]


def test_a_plan_that_changes_in_execute_has_a_new_number_and_begins_with_no_approval(walk: Walk) -> None:
    def changes(work: Work) -> Json:
        raise PlanChanged(["a script was edited"])

    def changed(work: Work) -> Json:
        return {"digest": "e"}

    walk.approved()
    left = walk.walks(execute=changes, rehearse=changed)
    assert (left.state, left.revision, left.digest, left.approvals) == (State.WAITING, 2, "e", ())
    assert walk.done.count("execute") == 1 and walk.done.count("rehearse") == 2


def test_a_verification_that_differs_waits_for_a_person(walk: Walk) -> None:
    walk.approved()
    assert walk.walks(verify=lambda work: {"differences": ["an index is missing"]}).state is State.DECIDE


def test_a_step_that_fails_before_execute_ends_it_with_nothing_changed(walk: Walk) -> None:
    def fails(work: Work) -> Json:
        raise StepFailed("E-BACKUP", "The disk is full.", "Production was not changed.")

    walk.approved()
    assert walk.walks(backup=fails).state is State.STOPPED and "execute" not in walk.done
