"""A rollback, a forger with the ledger in hand, and a channel that remembers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing

from core.model import State
from tests.bench_fixtures import CHANNEL, Play
from tests.tampering_forging import derived, relinked


def forge(play: Play) -> int:
    """Somebody else approved; the chain and what follows from it are made anew, and the guards put back."""
    with closing(sqlite3.connect(play.ledger.path)) as db:
        guards = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            db.execute(f"DROP TRIGGER {name}")
        (number,) = db.execute("SELECT id FROM events WHERE kind = 'approved'").fetchone()
        db.execute("""UPDATE events SET actor = '{"id":"U0CHEN","name":"Chen Wu"}' WHERE id = ?""", [number])
        relinked(db, number, 10**6)
        derived(db)
        for _, sql in guards:
            db.execute(sql)
        db.commit()
        return int(number)


def verified(play: Play, *words: str) -> tuple[int, str]:
    done = play.bench.shell("audit", "verify", *words)
    assert done.stderr == "", done.stderr
    return done.returncode, done.stdout


def test_a_rebuilt_chain_looks_whole_and_the_channel_betrays_it(stage: Callable[..., Play]) -> None:
    play = stage()
    run = play.asks(f"latest --reason 'Audit #2 `{'f' * 16}`'")
    play.slack.say("U0DEE", CHANNEL, f"Audit #3 `{'f' * 16}`")
    play.approves(run)
    play.until(run.id, State.DONE)
    play.told()

    code, told = verified(play, "--witness")
    assert code == 0 and "in #incidents, #inc-418: all agree" in told and "the head (https://example.slack.com/" in told
    play.types("audit verify")
    play.slack.wait_for(lambda: any("that I posted agree" in m.text for m in play.everything()))

    number = forge(play)

    code, told = verified(play)
    assert code == 0 and "chain unbroken" in told
    code, told = verified(play, "--witness")
    assert code == 3 and f"event {number} was posted as" in told and "Keep the file as evidence." in told
    assert "up to event" in told and "newest witness: event" in told
    play.types("audit verify")
    found = play.slack.wait_for(lambda: next((m for m in play.everything() if "is not what I posted" in m.text), None))
    assert found and found.ephemeral_for == "U0ANA"

    play.slack.state.scopes.discard("channels:history")
    done = play.bench.shell("audit", "verify", "--witness")
    assert (
        done.returncode == 3 and "Install it again from manifest.yml." in done.stderr and "(E-CHANNEL)" in done.stderr
    )
    file = play.bench.folder / "pasted.txt"
    file.write_text(f"Audit #1 {'f' * 16}\n")
    done = play.bench.shell("audit", "verify", "--witness", str(file), "--json")
    data = json.loads(done.stdout)
    assert (done.returncode, data["ok"], data["faults"]) == (3, False, [])
    assert data["witness"]["faults"][0].startswith("event 1 was posted as ffff")
