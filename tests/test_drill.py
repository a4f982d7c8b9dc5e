"""A drill runs the runbook and both ways back on a copy, and the target is only read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from bot.driller import Driller
from core import drill_leftovers, drills, keeping, scratch_server
from core.desk import Desk
from core.drill import Walk
from core.errors import Refused
from core.ledger import Ledger
from core.model import Event, Person, Request
from core.redact import SecretStr
from core.scratch_copy import own_name
from core.settings import Backup, Drill
from core.under_way import estimates
from demo.postgres import Server
from tests.bench_fixtures import copied
from tests.engine_stand import ANA, BOB, EngineStand

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
    assert not drill_leftovers.abandoned(stand.settings) and stand.ledger.runs() == []
    told = [event.data["told"] for event in reversed(stand.ledger.apart(["drill_step"], "production"))]
    assert len(told) == len(end.data["steps"]) and all(told)
    assert drills.standing(stand.ledger, "production").streak == 1


def test_the_newest_backup_is_put_back_where_one_is_kept(stand: EngineStand) -> None:
    run = stand.rolled_back()
    end = walked(stand, started(stand))
    assert end.kind == "drill_passed", end.data
    assert names(end)[:2] == ["rollback copy", "rollback identify"]
    assert end.data["backup"] == {"id": run.id, "taken_at": run.evidence["backup"]["taken_at"], "fresh": False}
    assert end.data["migrations"] == ["012_stripe_events"], "as the backup has it, though the target is further back"


def failed(stand: EngineStand, **more: Any) -> tuple[str, str, str]:
    """Step, code and hint of a drill that must fail, with other settings; the target stays as it is."""
    stand.set(**more)
    before = stand.marks()
    end = walked(stand, started(stand))
    assert end.kind == "drill_failed", end.data
    assert stand.marks() == before and not drill_leftovers.abandoned(stand.settings)
    assert drills.standing(stand.ledger, "production").running is None
    assert end.data["hint"], "it says what to do"
    return end.data["step"], end.data["code"], end.data["message"]


def test_a_backup_of_another_database_is_refused(stand: EngineStand, database: str) -> None:
    stand.rolled_back()
    step, code, message = failed(stand, database_url=SecretStr(database))
    assert (step, code) == ("copy", "E-NO-BACKUP") and "another database" in message


def test_where_backups_hold_not_everything_there_is_nothing_to_drill_on(stand: EngineStand) -> None:
    scoped = Backup(kind="scoped", verified=("date", "+%s"))
    step, code, message = failed(stand, backup=scoped)
    assert (step, code) == ("copy", "E-NO-BACKUP") and "no backup of everything" in message


@pytest.mark.parametrize(
    ("text", "step", "code"),
    [
        (None, "identify", "E-NO-SCRIPT"),
        ("DROP TABLE nothing_of_the_kind;", "rehearse", "E-REHEARSAL"),
        (
            "DELETE FROM profiles WHERE 1 / (SELECT count(*) - 300 FROM profiles) = 1; DROP TABLE stripe_events;",
            "test restore",
            "E-TRIAL-RUN",
        ),
    ],
)
def test_what_would_stop_a_real_run_stops_the_drill_at_the_same_step(
    server: Server, app: str, tmp_path: Path, text: str | None, step: str, code: str
) -> None:
    folder = copied(tmp_path, {"rollback/012_stripe_events.sql": text})
    stand = EngineStand(server, app, tmp_path / "stand", folder, drill=DRILL)
    assert failed(stand)[:2] == (step, code)
    stand.ledger.close()


def test_a_full_scratch_server_is_said_and_leaves_nothing(server: Server, app: str, tmp_path: Path) -> None:
    no_room = (
        "DO $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;"
    )
    folder = copied(tmp_path, {"rollback/012_stripe_events.sql": f"{no_room}\nDROP TABLE stripe_events;"})
    stand = EngineStand(server, app, tmp_path / "stand", folder, drill=DRILL)
    before = databases(stand)
    step, _, message = failed(stand)
    assert step == "rehearse" and "disk of the scratch server is full" in message and databases(stand) == before
    stand.ledger.close()


def test_nobody_agrees_in_time(stand: EngineStand) -> None:
    alone = replace(DRILL, second_person=True)
    step, code, message = failed(stand, drill=alone, approval_expires=timedelta(seconds=1), remind_after=())
    assert (step, code, message) == ("execute", "E-EXPIRED", "Nobody agreed in time.")


def test_a_second_person_agrees_while_the_proofs_go_on(stand: EngineStand) -> None:
    stand.set(drill=replace(DRILL, second_person=True))
    start, desk = started(stand), drills.Drills(stand.ledger, stand.desk.same)
    with ThreadPoolExecutor(1) as pool:
        walk = pool.submit(walked, stand, start)
        while not drills.standing(stand.ledger, "production").asks:
            stand.ledger.wait(stand.ledger.head()[0], 1)
        with pytest.raises(Refused, match="somebody else must agree"):
            desk.agree("production", ANA)
        desk.agree("production", BOB)
        with pytest.raises(Refused, match="No drill of"):
            desk.agree("production", BOB)
        end = walk.result(60)
    assert end.kind == "drill_passed", end.data
    (person,) = end.data["people"]
    assert (person["who"], person["what"]) == ("U0BOB", "agree") and person["seconds"] >= 0


def test_a_process_that_is_told_to_end_ends_the_drill_and_leaves_nothing(stand: EngineStand) -> None:
    before, start = databases(stand), started(stand)
    ending = threading.Event()
    walk = Walk(stand.ledger, stand.settings, stand.target, start.id, ANA, ending.is_set)
    walk.told = lambda event: ending.set() if event.data.get("step") == "backup" else None
    end = walk.walk()
    assert (end.kind, end.data["code"]) == ("drill_failed", "E-STOPPED")
    assert databases(stand) == before and not drill_leftovers.abandoned(stand.settings)


def test_a_person_stops_a_drill_that_is_under_way(stand: EngineStand) -> None:
    stand.set(drill=replace(DRILL, second_person=True))
    before, start = databases(stand), started(stand)
    desk = drills.Drills(stand.ledger, stand.desk.same)
    with ThreadPoolExecutor(1) as pool:
        walk = pool.submit(walked, stand, start)
        while not drills.standing(stand.ledger, "production").asks:
            stand.ledger.wait(stand.ledger.head()[0], 1)
        desk.stop("production", BOB)
        end = walk.result(60)
    assert (end.kind, end.data["code"], end.data["message"]) == ("drill_failed", "E-STOPPED", "Bob stopped it.")
    assert databases(stand) == before and not drill_leftovers.abandoned(stand.settings)
    with pytest.raises(Refused, match="is under way"):
        desk.stop("production", BOB)


def test_a_role_that_may_not_end_sessions_is_named_before_anything_is_copied(stand: EngineStand) -> None:
    with psycopg.connect(stand.server.url(), autocommit=True) as conn:
        conn.execute("DROP ROLE IF EXISTS narrow")
        conn.execute("CREATE ROLE narrow LOGIN CREATEDB")
    url = SecretStr(make_conninfo(stand.server.url(), user="narrow"))
    step, code, message = failed(stand, scratch_url=url)
    assert (step, code) == ("copy", "E-RIGHTS") and "end sessions" in message


def test_the_next_real_run_foretells_its_steps_from_the_drill(stand: EngineStand) -> None:
    took = {"backup": 41.0, "test restore": 58.0, "execute": 1.9}
    steps = [{"kind": "rollback", "step": step, "seconds": seconds} for step, seconds in took.items()]
    data = {"target": "production", "drill": started(stand).id, "due": None, "seconds": 192.0, "steps": steps}
    end = stand.ledger.append("drill_passed", data)
    run = stand.planned(stand.desk.ask(Request("latest"), stand.target, ANA))
    told = {one["step"]: one["seconds"] for one in end.data["steps"] if one["kind"] == "rollback"}
    found = estimates(run, stand.ledger)
    assert found["test restore"] == told["test restore"] and found["execute"] == told["execute"]


def test_what_a_dead_process_left_is_removed_by_the_next_look(stand: EngineStand) -> None:
    start, target = started(stand), stand.target
    stand.ledger.append(
        "drill_step",
        {"target": "production", "drill": start.id, "kind": "rollback", "step": "copy", "seconds": 1.0, "told": ""},
    )
    folder = stand.settings.backup_dir / f"drill-{start.id}"
    folder.mkdir(parents=True)
    trail = Ledger(folder / "ledger.db")
    run = Desk(trail, stand.settings).ask(Request("latest"), target, ANA)
    trail.close()
    with psycopg.connect(stand.server.url(), autocommit=True) as conn:
        for name in (
            f"rollback_scratch_{own_name('DR', stand.settings, target).lower().replace('-', '_')}_restored_abc",
            f"rollback_scratch_{run.id.lower().replace('-', '_')}_copy_abc",
        ):
            conn.execute(f"CREATE DATABASE {name}".encode())
    with ThreadPoolExecutor(1) as pool:
        driller = Driller(stand.ledger, stand.settings, pool, lambda: False)
        driller.look()
    end = stand.ledger.apart(["drill_failed"])[0]
    assert (end.data["code"], end.data["step"]) == ("E-STOPPED", "copy")
    assert not folder.exists() and not [name for name in databases(stand) if name.endswith("_abc")]


def test_without_a_scratch_url_the_throw_away_server_is_left_empty_too(stand: EngineStand) -> None:
    stand.set(scratch_url=None)
    end = walked(stand, started(stand))
    assert end.kind == "drill_passed", end.data
    places = [one.url() for one in scratch_server._servers.values()]
    assert places
    for url in places:
        with psycopg.connect(url) as conn:
            names = [name for (name,) in conn.execute("SELECT datname FROM pg_database").fetchall()]
        assert not [name for name in names if "scratch_dr" in name], names
    scratch_server.stop()


def test_a_real_run_that_comes_while_the_copy_is_made_is_given_way_to(stand: EngineStand) -> None:
    start = started(stand)
    walk = Walk(stand.ledger, stand.settings, stand.target, start.id, ANA)
    seen: list[str] = []

    def told(event: Event) -> None:
        seen.append(event.data.get("step") or event.kind)
        if event.data.get("step") == "fresh backup":
            stand.desk.ask(Request("latest"), stand.target, ANA)
        if event.kind == "drill_waits":
            stand.desk.withdraw(event.data["for"], ANA)

    walk.told, walk.looked = told, 0.0
    real = walk.look
    walk.look = lambda: (setattr(walk, "looked", 0.0), real())[1]  # type: ignore[method-assign]  # no half second between two looks
    end = walk.walk()
    assert end.kind == "drill_passed", end.data
    assert seen[:4] == ["fresh backup", "drill_waits", "copy", "identify"], "the backup is not taken twice"


def test_what_cuts_the_drill_short_on_the_copy_says_nothing_about_the_scripts(stand: EngineStand) -> None:
    start, ending = started(stand), threading.Event()
    walk = Walk(stand.ledger, stand.settings, stand.target, start.id, ANA, ending.is_set)
    walk.told = lambda event: (
        ending.set() if (event.data.get("kind"), event.data.get("step")) == ("restore", "prepare") else None
    )
    end = walk.walk()
    assert (end.kind, end.data["code"], end.data["kind"]) == ("drill_failed", "E-STOPPED", "restore")


def test_the_hourly_clean_up_takes_nothing_from_a_drill(stand: EngineStand) -> None:
    stand.rolled_back()
    start, over = started(stand), threading.Event()
    walk = Walk(stand.ledger, stand.settings, stand.target, start.id, ANA)

    def sweeping() -> None:
        while not over.wait(0.005):
            keeping.clean(stand.ledger, stand.settings)

    with ThreadPoolExecutor(1) as pool:
        cleaning = pool.submit(sweeping)
        end = walk.walk()
        over.set()
        cleaning.result(10)
    assert end.kind == "drill_passed", end.data


def test_a_drill_whose_process_died_before_its_first_step_is_not_begun_again(stand: EngineStand) -> None:
    start = started(stand)
    (stand.settings.backup_dir / f"drill-{start.id}").mkdir(parents=True)
    with ThreadPoolExecutor(1) as pool:
        Driller(stand.ledger, stand.settings, pool, lambda: False).look()
    assert [event.data["code"] for event in stand.ledger.apart(["drill_failed"])] == ["E-STOPPED"]
    assert not drill_leftovers.abandoned(stand.settings)


def test_leftovers_of_a_drill_that_ended_and_of_a_target_that_is_gone_are_removed(stand: EngineStand) -> None:
    gone = stand.ledger.append("drill_started", {"target": "of-before", "due": None})
    done = started(stand)
    stand.ledger.append("drill_passed", {"target": "production", "drill": done.id, "due": None, "seconds": 1.0})
    for number in (gone.id, done.id):
        (stand.settings.backup_dir / f"drill-{number}").mkdir(parents=True)
    with ThreadPoolExecutor(1) as pool:
        Driller(stand.ledger, stand.settings, pool, lambda: False).look()
    assert not drill_leftovers.abandoned(stand.settings)
    assert stand.ledger.apart(["drill_failed"]) == []


def test_a_drill_that_has_ended_since_it_was_seen_is_not_ended_again(stand: EngineStand) -> None:
    start = started(stand)
    with ThreadPoolExecutor(1) as pool:
        driller = Driller(stand.ledger, stand.settings, pool, lambda: False)
        ask, calls = driller.open, iter((start,))
        driller.open = lambda target: next(calls, None) or ask(target)  # type: ignore[method-assign]
        stand.ledger.append("drill_passed", {"target": "production", "drill": start.id, "due": None, "seconds": 1.0})
        driller.look()
    assert [event.kind for event in stand.ledger.apart(["drill_passed", "drill_failed"])] == ["drill_passed"]
