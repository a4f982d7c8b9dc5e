"""Before anything is wrong, at both doors: a proven backup, and what people hear of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from core.model import Event
from demo.app import sample
from demo.postgres import Server
from tests.backup_worlds import program
from tests.bench_fixtures import ANA, CHANNEL, CHEN, Play
from tests.scenery import Stage


def newest(play: Play, kind: str) -> Event | None:
    found = play.ledger.apart([kind])
    return found[0] if found else None


def said(play: Play, words: str) -> str:
    """The newest message of the channel with these words, once it is there."""
    found = play.slack.wait_for(lambda: [m for m in play.everything() if words in f"{m.text} {m.blocks}"], 60)
    return f"{found[-1].text} {found[-1].blocks}"


def test_a_backup_is_asked_for_at_both_doors_and_the_channel_hears_of_slacks(stage: Stage) -> None:
    play = stage('requesters = ["U0ANA"]\n')
    done = play.bench.shell("backup", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["backup"]
    assert told["id"].startswith("BK-") and told["target"] == "production" and told["tables"] > 5 and told["bytes"] > 0
    assert [word in done.stderr for word in ("back up", "test restore", "running", "done")] == [True] * 4
    play.types("backup", ANA)
    text = said(play, "is taken and proven")
    second = newest(play, "backup_proven")
    assert second and second.data["backup"] in text and told["id"] not in text and "<@U0ANA>" in text
    play.types("backup", CHEN)
    assert "E-NOT-ALLOWED" in play.hears("E-NOT-ALLOWED", CHEN)
    run = play.asks("latest")
    busy = play.bench.shell("backup")
    assert (busy.returncode, run.id in busy.stderr, "Nothing was started" in busy.stderr) == (5, True, True)
    play.types("backup", ANA)
    assert run.id in play.hears("E-BUSY")
    assert len(play.ledger.apart(["backup_taken"])) == 2 and not play.ledger.apart(["backup_failed"])
    play.types(f"stop {run.id}")
    assert CHANNEL in str(play.ledger.posts("event = ?", (second.id,)))


def test_whoever_waits_for_backups_is_still_answered_what_takes_a_moment(
    stage: Stage, server: Server, app: str, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "tape")
    slow = program(tmp_path / "take", f'until read -r it < {tmp_path}/tape; do :; done; echo "$it"')
    own = f'backup = {{ kind = "command", take = ["{slow}"], verify = ["/bin/true"] }}\n'
    other = f'[targets.other]\ndatabase_url = "{app}"\nscratch_url = "{server.url()}"\nchannel = "#incidents"\n'
    play = stage(f'{own}{other}approvers = ["@db-oncall"]\nmigrations = "{sample.MIGRATIONS}"\n{own}')
    play.types("backup", ANA)
    play.types("backup --on other", ANA)
    play.slack.wait_for(lambda: len(play.ledger.apart(["backup_begun"])) == 2)
    assert "E-RATE" in str(play.types("backup", ANA))
    assert "E-RATE" not in str(play.types("migrations", ANA))
    play.hears("012_stripe_events", ANA)
    for _ in range(2):
        (tmp_path / "tape").write_text("nightly-7\n")
        play.slack.wait_for(lambda: newest(play, "backup_proven"))
    play.slack.wait_for(lambda: len(play.ledger.apart(["backup_proven"])) == 2)
