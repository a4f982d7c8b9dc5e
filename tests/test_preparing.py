"""Before anything is wrong, at both doors: a proven backup, and what people hear of it."""

from __future__ import annotations

import json

from core.model import Event
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
