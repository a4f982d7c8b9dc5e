"""Stories: what the channel shows, whole, as text files in `stories/`; the diff is the review."""

from __future__ import annotations

from collections.abc import Callable

from core.model import State
from tests.bench_fixtures import ANA, BOB, CHEN, Play, compare

Stage = Callable[..., Play]
REASON = "checkout 500s since the 14:02 deploy"


def test_a_rollback_of_011_is_planned_proven_approved_executed_and_verified(stage: Stage) -> None:
    play = stage()
    play.types(f"011_subscriptions --reason {REASON}")
    run = play.until(play.newest().id, State.WAITING)
    play.clicks(run, "rb.review", ANA)
    assert "E-SELF" in play.hears("E-SELF")
    play.proven(run)
    play.approves(run, BOB, "Looks right, payments are down")
    play.until(run.id, State.DONE)
    compare("approved", play.transcript(BOB, CHEN))
    assert play.applied() == ["001", "002", "003", "004", "010"]
    assert play.markers() == [run.id]
    play.left_clean()
