"""The worker walks what is due, and cleans up after what has ended without a walk."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from bot.worker import Worker
from core.desk import Desk
from core.driving import Nobody
from core.engine import Engine
from core.ledger import Ledger
from core.model import Person, Request, State
from core.redact import SecretStr
from core.roll_back import RESTORE, RUNBOOKS
from core.runbook import Gate, Runbook, Step
from core.settings import Settings, Target

ANA, BOB = Person("U0ANA", "Ana"), Person("U0BOB", "Bob")


def test_a_run_that_a_person_closes_while_nobody_walks_it_leaves_nothing_behind(tmp_path: Path) -> None:
    target = Target("one", SecretStr("postgresql://"))
    settings = Settings(targets={"one": target}, ledger=tmp_path / "ledger.db", backup_dir=tmp_path / "backups")
    desk = Desk(Ledger(settings.ledger), settings)
    run = desk.ask(Request("latest"), target, ANA, channel="C1")
    holder = desk.ledger.hold(run.id)  # who walked it died in a proof
    assert holder
    holder.close()
    partial = settings.backup_dir / f"{run.id}.dump.partial"
    partial.parent.mkdir()
    partial.touch()
    with desk.ledger.transaction() as t:
        t.move(t.run(run.id), State.WAITING, "opened", {"digest": "d"}, plan_digest="d")
    desk.deny(run.id, BOB, "not now")
    assert desk.ledger.left("RB-") == [run.id]
    with ThreadPoolExecutor(1) as pool:
        Worker(Engine(RUNBOOKS, desk.ledger, settings, Nobody()), desk.ledger, pool).start_what_is_due()
    assert desk.ledger.left("RB-") == [] and not partial.exists()
    desk.ledger.close()


def test_what_cannot_be_tidied_now_is_tidied_later(tmp_path: Path) -> None:
    target = Target(
        "one", SecretStr("postgresql://"), scratch_url=SecretStr("postgresql://127.0.0.1:1/none?connect_timeout=1")
    )
    settings = Settings(targets={"one": target}, ledger=tmp_path / "ledger.db", backup_dir=tmp_path / "backups")
    desk = Desk(Ledger(settings.ledger), settings)
    run = desk.ask(Request("latest"), target, ANA, channel="C1")
    desk.withdraw(run.id, ANA)
    engine = Engine(RUNBOOKS, desk.ledger, settings, Nobody())
    assert engine.walk(run.id).state is State.WITHDRAWN and desk.ledger.left("RB-") == [run.id]
    object.__setattr__(target, "scratch_url", None)
    engine.walk(run.id)
    assert desk.ledger.left("RB-") == []
    desk.ledger.close()


def test_a_database_whose_answer_is_unknown_is_asked_again_and_what_it_says_is_written_down(tmp_path: Path) -> None:
    target = Target("one", SecretStr("postgresql://"), approvals=1)
    settings = Settings(targets={"one": target}, ledger=tmp_path / "ledger.db", backup_dir=tmp_path)
    ledger = Ledger(settings.ledger)
    run = Desk(ledger, settings).ask(Request("latest"), target, Person("U0ANA", "Ana"), channel="C1")
    with ledger.transaction() as t:
        for state, kind in (
            (State.APPROVED, "opened"),
            (State.EXECUTING, "executing"),
            (State.NEEDS_A_PERSON, "unknown"),
        ):
            told = {"digest": "", "expires_at": None} if kind == "opened" else {"code": "E-UNKNOWN"}
            t.move(t.run(run.id), state, kind, told)
    execute = Step("execute", lambda work: {}, "", needs="approve", found=lambda work: {"versions": ["012"]})
    runbook = Runbook(Gate("approve", ""), execute, Step("verify", lambda work: {"differences": []}, ""))
    with ThreadPoolExecutor(1) as pool:
        Worker(Engine({"rollback": runbook}, ledger, settings, Nobody()), ledger, pool).start_what_is_due()
    assert ledger.run(run.id).state is State.VERIFYING
    assert "found_committed" in [event.kind for event in ledger.events(run.id)]
    ledger.close()


def test_what_took_effect_is_written_down_also_where_what_it_undoes_has_ended_otherwise(tmp_path: Path) -> None:
    target = Target("one", SecretStr("postgresql://"))
    settings = Settings(targets={"one": target}, ledger=tmp_path / "ledger.db", backup_dir=tmp_path / "backups")
    desk, walked = Desk(Ledger(settings.ledger), settings), list[str]()
    run = desk.ask(Request("latest"), target, ANA, channel="C1")
    desk.withdraw(run.id, ANA)
    row = {"id": "RB-7K3M", "target": "one", "what": "restore", "origin": run.id, "needed": 1, "channel": "C1"}
    with desk.ledger.transaction() as t:
        t.create({**row, "requester": ANA.id, "requester_name": ANA.name}, ANA)
        for state, kind in ((State.WAITING, "opened"), (State.APPROVED, "approved"), (State.EXECUTING, "executing")):
            t.move(t.run("RB-7K3M"), state, kind, {"step": "execute"}, BOB)
    parts = [replace(part, found=lambda work: {}) if part == RESTORE.changing else part for part in RESTORE]

    def told(run_id: str) -> None:
        walked.append(run_id)
        assert len(walked) < 9, "it goes on and on"

    books = {**RUNBOOKS, "restore": Runbook(*parts)}
    after = Engine(books, desk.ledger, settings, Nobody(), told=told).walk("RB-7K3M")
    assert "execute" in after.evidence and after.state is State.DECIDE  # nobody answers, so it cannot be verified
    assert desk.ledger.run(run.id).state is State.WITHDRAWN and desk.ledger.verify().unbroken
    desk.ledger.close()
