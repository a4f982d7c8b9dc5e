"""A deploy behind the bot's back, in the channel: what has no way back is told, and the rest is kept for a rollback."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import psycopg

from core.model import State
from tests.bench_fixtures import Play, compare, copied
from tests.scenery import LATER, Stage

INDEXED = "CREATE TABLE plans (id int);\nCREATE INDEX profiles_created_idx ON profiles (created_at);\n"


def deploys(play: Play, folder: Path, name: str, up: str, down: str) -> None:
    """Files, schema and row, by somebody else."""
    (folder / f"{name}.sql").write_text(up)
    (folder / f"rollback/{name}.sql").write_text(down)
    with psycopg.connect(play.bench.database) as conn:
        conn.execute(up.encode())
        conn.execute("INSERT INTO schema_migrations VALUES (%s, clock_timestamp())", [name[:3]])


def noted(play: Play, *kinds: str) -> None:
    """Wait until there is an event of each kind."""
    play.slack.wait_for(lambda: all(play.ledger.apart([kind], "production") for kind in kinds), 40)


def test_a_deploy_behind_the_bots_back_is_told_of_and_rolled_back_after_the_folder_was_emptied(
    stage: Stage, tmp_path: Path
) -> None:
    folder = copied(tmp_path)
    play = stage(migrations=folder)
    noted(play, "history_seen")
    play.bench.kill_bot()
    deploys(play, folder, "005_late", INDEXED, "DROP TABLE plans;\n")
    deploys(play, folder, "013_refunds", "CREATE TABLE refunds (id int);\n", "DROP TABLE refunds;\n")
    play.bench.start_bot()  # what was applied meanwhile is found at once
    noted(play, "no_way_back", "way_back_works")
    shutil.rmtree(folder)
    folder.mkdir()
    found = play.transcript()
    run = play.proven(play.asks("latest"))
    waiting = play.transcript()
    play.approves(run)
    play.until(run.id, State.DONE)
    told = found + LATER + waiting + LATER + play.transcript()
    compare("behind_the_bots_back", re.sub(r"\d+ bytes", "SIZE", told))
    assert "refunds" not in play.tables() and play.applied()[-1] == "012"
    packet = play.bench.shell("report", run.id).stdout
    assert "the folder no longer has this rollback script; it is from the audit trail" in packet
    play.left_clean()


def test_an_emptied_history_table_is_told_loudly_and_once(stage: Stage) -> None:
    play = stage()
    noted(play, "history_seen")
    play.bench.kill_bot()
    with psycopg.connect(play.bench.database) as conn:
        conn.execute("TRUNCATE schema_migrations")
    for _ in range(2):
        play.bench.start_bot()
        noted(play, "history_emptied")
        play.told()
        play.bench.kill_bot()
    play.bench.start_bot()
    play.types("history")  # the bot is up and its clock has looked
    compare("history_emptied", play.transcript())
    assert len(play.ledger.apart(["history_emptied"], "production")) == 1
