"""A rollback and its re-apply as the runbooks walk them, step by step, on the sample application."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core import commit
from core.bystander import Bystander
from core.model import Json, Request, Run, State
from core.roll_back import RE_APPLY, ROLL_BACK
from core.runbook import Runbook, Step
from demo.postgres import Server
from tests.execute_stand import ANA, Stand

NEW = "INSERT INTO profiles (handle, display_name, email) VALUES ('newcomer', 'New', 'new@example.com')"
ALL = Request("from", "010_rate_limits")


@pytest.fixture
def stand(server: Server, app: str, tmp_path: Path) -> Stand:
    return Stand(server, app, tmp_path)


def walked(
    stand: Stand, runbook: Runbook, request: Request, run_id: str, origin: Run | None = None, until: str = ""
) -> Run:
    """The steps of a runbook, one after the other; each gets what the ones before it found. Stops before `until`."""
    run = Run(run_id, 1, State.EXECUTING, "production", request, ANA, datetime.now(UTC))
    for step in runbook:
        if isinstance(step, Step) and step.name != "verify":
            if step.name == until:
                break
            evidence: Mapping[str, Json] = run.evidence
            found = json.loads(json.dumps(step.act(replace(stand.work(run), origin=origin))))
            run = replace(run, evidence={**evidence, step.name: found})
            run = replace(run, digest=run.evidence["rehearse"]["digest"] if "rehearse" in run.evidence else "")
    return run


def contents(stand: Stand) -> dict[str, Counter[Any]]:
    """Every row of every table of the application, by the names of the columns; the history's times apart."""
    tables = [
        row[0]
        for row in stand.sql(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_migrations'"
        )
    ]
    return {name: Counter(row[0] for row in stand.sql(f"SELECT to_jsonb(t)::text FROM {name} t")) for name in tables}


def test_what_a_rollback_saved_comes_back_with_a_re_apply(stand: Stand) -> None:
    before, history = contents(stand), stand.sql("SELECT * FROM schema_migrations ORDER BY 1")
    rollback = walked(stand, ROLL_BACK, ALL, "RB-2222")
    way_back = rollback.evidence["test restore"]["way_back"]
    assert way_back["works"], way_back["why"]
    assert rollback.evidence["execute"]["saved"]["rows"] > 0
    assert contents(stand).keys() < before.keys()
    stand.sql(NEW)
    reapply = walked(stand, RE_APPLY, Request("reapply", origin=rollback.id), "RB-3333", rollback)
    assert reapply.evidence["rehearse"]["back"]["works"] and not reapply.evidence["execute"]["back"]["aside"]
    after = contents(stand)
    assert sum((after.pop("profiles") - before.pop("profiles")).values()) == 1
    assert after == before
    assert stand.sql("SELECT * FROM schema_migrations ORDER BY 1") == history


def test_rows_whose_parent_is_gone_are_foretold_and_kept_aside(stand: Stand) -> None:
    rollback = walked(stand, ROLL_BACK, ALL, "RB-2222")
    stand.sql("DELETE FROM profiles WHERE id = (SELECT max(id) FROM profiles WHERE id < 250)")
    reapply = walked(stand, RE_APPLY, Request("reapply", origin=rollback.id), "RB-3333", rollback)
    foretold, kept = reapply.evidence["rehearse"]["back"]["aside"], reapply.evidence["execute"]["back"]["aside"]
    assert kept == foretold and {one["why"] for one in kept} <= {"parent_gone", "row_gone"} and kept
    assert (stand.settings.backup_dir / reapply.evidence["execute"]["back"]["file"]).exists()


def test_whatever_the_database_prefers_the_transaction_sees_what_was_committed_before_its_locks(stand: Stand) -> None:
    name = psycopg.conninfo.conninfo_to_dict(stand.url)["dbname"]
    for setting in ("default_transaction_isolation = 'repeatable read'", "default_transaction_read_only = on"):
        stand.sql(f"ALTER DATABASE {name} SET {setting}")
    with psycopg.connect(stand.url, autocommit=True) as conn:
        work = stand.work(walked(stand, ROLL_BACK, Request("latest"), "RB-2222", until="backup"))
        commit.lock(conn, work, {}, Bystander(work, conn))
        with psycopg.connect(stand.server.url(name), autocommit=True) as other:
            other.execute("SET default_transaction_read_only = off")
            other.execute(NEW)
        assert conn.execute("SELECT count(*) FROM profiles WHERE handle = 'newcomer'").fetchone() == (1,)
        conn.execute("CREATE TABLE writable ()")
        conn.execute("ROLLBACK")
