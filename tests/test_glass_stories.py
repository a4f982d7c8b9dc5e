"""Break-glass as the channel sees it: stopped by a bystander, and the other time waited out, done, and reviewed."""

from __future__ import annotations

from core.model import Run, State
from demo.workspace import Answer
from tests.bench_fixtures import ANA, BOB, CHEN, DEE, GUEST, Play, compare
from tests.scenery import Stage

GLASS = 'break_glass = { people = ["U0ANA"], wait = "1 s", countdown = "10 s" }\n'
WHY = "Nobody of the on-call group answers, checkout is down"


def sends(play: Play, word: str, why: str = WHY) -> Answer:
    """The open form of Ana's, sent off."""
    return play.slack.submit(ANA, {"reason": why, "confirm": word})


def breaks(play: Play, run: Run, word: str) -> Run:
    """Ana breaks the glass, and the channel shows it."""
    play.clicks(run, "rb.breakglass", ANA)
    wrong = sends(play, "012")
    assert "E-TYPED" in str(wrong.errors), wrong
    assert play.ledger.run(run.id).broken is None
    sends(play, word)
    play.with_button(run, "rb.stop")
    return play.ledger.run(run.id)


def test_a_bystander_stops_one_and_the_next_is_waited_out_done_and_reviewed(stage: Stage) -> None:
    play = stage(GLASS)
    run = play.proven(play.asks("latest"))
    play.clicks(run, "rb.breakglass", DEE)
    assert "without a second person" in play.hears("E-NOT-ALLOWED", DEE)
    assert breaks(play, run, "012_stripe_events").state is State.WAITING
    play.clicks(run, "rb.stop", GUEST)
    play.hears("E-GUEST", GUEST)
    play.clicks(run, "rb.stop", DEE)
    play.until(run.id, State.STOPPED)
    assert play.applied()[-1] == "012"
    run = play.proven(play.asks("011_subscriptions"))
    broken = breaks(play, run, "011_subscriptions").broken
    ended = play.until(run.id, State.DONE)
    assert broken and ended.owes_review and ended.approvals == ()
    over = next(event for event in play.ledger.events(run.id) if event.kind == "countdown_over")
    assert over.at >= broken.starts_at
    assert play.applied()[-1] == "010" and play.markers() == [run.id]
    play.told()
    reviewed(play, run)
    compare("break_glass", play.transcript(BOB))
    assert [remark.startswith(run.id) for remark in play.ledger.verify().remarks] == [True]
    play.left_clean()


def reviewed(play: Play, run: Run) -> None:
    """It stands on the Home tab of the approvers until one of them closes it; who broke the glass cannot."""
    play.clicks(run, "rb.owed", ANA)
    play.hears("E-SELF")
    for user, shown in ((BOB, True), (CHEN, True), (DEE, False)):
        assert ("Owed reviews (1)" in play.slack.view_text(play.slack.home(user))) == shown, user
    play.slack.click_view(BOB, "rb.owed", view_id=play.slack.home(BOB).id)
    assert "E-REASON" in str(play.slack.submit(BOB, {"text": "fine           !"}).errors)
    play.slack.submit(BOB, {"text": "Right to do so: the pager was down, it is mended"})
    play.when(run.id, lambda now: now.reviewed is not None)
    play.slack.wait_for(lambda: "Owed" not in play.slack.view_text(play.slack.state.homes[BOB]))
    assert "Owed" not in play.slack.view_text(play.slack.home(CHEN))
