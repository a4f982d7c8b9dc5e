"""A drill runs the runbook and both ways back on a copy, and the target is only read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from core import drill, drills
from core.drill import Walk
from core.model import Event, Person
from core.settings import Drill
from demo.postgres import Server
from tests.engine_stand import ANA, EngineStand

DRILL = Drill("first monday 10:00", owners=("U0BOB",))
STEPS = [
    "rollback identify", "rollback rehearse", "rollback backup", "rollback test restore", "rollback execute", "rollback verify",
    "reapply identify", "reapply rehearse", "reapply execute", "reapply verify",
    "restore identify", "restore rehearse", "restore prepare", "restore execute", "restore verify",
]  # fmt: skip


@pytest.fixture
def stand(server: Server, app: str, tmp_path: Path) -> Iterator[EngineStand]:
    made = EngineStand(server, app, tmp_path, drill=DRILL)
    yield made
    made.ledger.close()


def started(stand: EngineStand, who: Person = ANA) -> Event:
    return drills.Drills(stand.ledger, stand.desk.same).start("production", who)


def walked(stand: EngineStand, start: Event) -> Event:
    return Walk(stand.ledger, stand.settings, stand.target, start.id, ANA).walk()


def names(end: Event) -> list[str]:
    return [f"{step['kind']} {step['step']}" for step in end.data["steps"]]


def databases(stand: EngineStand) -> list[str]:
    with psycopg.connect(stand.server.url()) as conn:
        return sorted(name for (name,) in conn.execute("SELECT datname FROM pg_database") if "scratch" in name)


def test_a_drill_walks_the_runbook_and_both_ways_back_and_leaves_nothing(stand: EngineStand) -> None:
    before, marks = databases(stand), stand.marks()
    end = walked(stand, started(stand))
    assert end.kind == "drill_passed", end.data
    assert names(end) == ["rollback fresh backup", "rollback copy", *STEPS]
    assert end.data["migrations"] == ["012_stripe_events"] and end.data["seconds"] > 0
    assert stand.marks() == marks and databases(stand) == before
    assert not drill.abandoned(stand.settings) and stand.ledger.runs() == []
    told = [event.data["told"] for event in reversed(stand.ledger.apart(["drill_step"], "production"))]
    assert len(told) == len(end.data["steps"]) and all(told)
    assert drills.standing(stand.ledger, "production").streak == 1
