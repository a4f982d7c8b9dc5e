"""How long things may take under the lock: a script not much longer than in its trial, a save as long as it needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from core.commit import foretold
from core.engine import Engine
from core.model import Request, Run, State
from core.roll_back import RUNBOOKS
from demo.postgres import Server
from tests.bench_fixtures import copied
from tests.engine_stand import Anybody, EngineStand
from tests.execute_stand import ANA, Stand
from tests.scenery import SCRIPT_012, UNDO_012
from tests.stand_ins import Narrow

HANGS = "DO $$ BEGIN IF current_database() NOT LIKE 'rollback_scratch%' THEN PERFORM pg_sleep(30); END IF; END $$;\n"


def slowly(stand: EngineStand, run: Run, line: Narrow) -> Run:
    """Walked to its end, over a line that is narrow once the proofs are there."""

    def told(run_id: str) -> None:
        if "test restore" in stand.ledger.run(run_id).evidence:
            line.rate = 1.5e6

    done = Engine(
        RUNBOOKS, stand.ledger, stand.settings, Anybody(), confirm=lambda run: True, told=told
    ).walk(run.id)  # fmt: skip
    line.rate = 0
    return done


def test_a_save_may_take_longer_than_the_quickest_script(
    server: Server, full: str, line: Narrow, tmp_path: Path
) -> None:
    stand = EngineStand(server, full, tmp_path, through=line.url(full))
    done = slowly(stand, stand.desk.ask(Request("latest"), stand.target, ANA), line)
    assert done.state is State.DONE, done.failed
    assert done.evidence["execute"]["locked"] > 5 and done.evidence["test restore"]["slowest"] < 0.5
    assert done.evidence["execute"]["saved"]["rows"] > 12_000


def test_a_statement_of_the_script_is_cut_short_on_the_target(server: Server, app: str, tmp_path: Path) -> None:
    stand = EngineStand(server, app, tmp_path, copied(tmp_path, {UNDO_012: HANGS + SCRIPT_012}))
    run = stand.walk(stand.desk.ask(Request("latest"), stand.target, ANA))
    assert run.state is State.STOPPED and run.failed
    assert run.failed["code"] == "E-EXECUTE" and "57014" in run.failed["message"]
    assert stand.applied()[-1] == "012"


def test_the_save_has_ten_times_what_it_took_on_the_copy_or_is_said_to_take(
    server: Server, app: str, tmp_path: Path
) -> None:
    work = Stand(server, app, tmp_path).approved()
    evidence = {
        **work.run.evidence,
        "rehearse": {**work.run.evidence["rehearse"], "save": {"bytes": 1, "seconds": 40.0}},
    }
    said = replace(work, run=replace(work.run, evidence=evidence))
    tried = {"way_back": {"works": True, "save_seconds": 70.0}}
    seen = replace(work, run=replace(work.run, evidence={**evidence, "test restore": tried}))
    nothing = {**evidence, "rehearse": {**evidence["rehearse"], "save": None}}
    assert (foretold(said), foretold(seen)) == (40.0, 70.0)
    assert foretold(replace(work, run=replace(work.run, evidence=nothing))) == 0.0
