"""What is wrong around the bot is said in words, and nothing stays half done."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from core.model import State
from demo.postgres import Server
from tests import stand_ins
from tests.bench_fixtures import BOB, CHEN, Play
from tests.refusals import kept, nothing_half_done, raw_click, refused


def test_a_click_on_an_expired_request_is_told_so(stage: object) -> None:
    play: Play = stage('approval_expires = "2 s"\n')  # type: ignore[operator]
    run = play.asks("latest")
    card = play.with_button(run, "rb.review")
    play.reviews(run, BOB)
    play.until(run.id, State.EXPIRED)
    answer = play.slack.submit(BOB, {"confirm": "012"})
    assert answer.view and "E-EXPIRED" in play.slack.view_text(answer.view)
    raw_click(play, card, "rb.deny", f"{run.id}.1", CHEN)
    assert "expired at" in play.hears("E-EXPIRED", CHEN)
    nothing_half_done(play)


def test_every_delivery_twice_counts_once(stage: object) -> None:
    play: Play = stage()  # type: ignore[operator]
    play.slack.faults.deliver_twice = True
    run = play.proven(play.asks("latest"))
    play.approves(run)
    play.until(run.id, State.DONE)
    assert len(play.ledger.runs()) == 1
    assert [kind for kind in play.kinds(run) if kind in ("asked", "approved")] == ["asked", "approved"]
    play.clicks(run, "rb.report", CHEN)
    opened = play.slack.wait_for(lambda: (one := play.slack.open_view(CHEN)) and one.callback_id == "rb.report", 20)
    assert opened and not [m.text for m in play.everything() if "E-SLACK" in str(m.blocks)]


def test_a_form_that_slack_does_not_open_is_said(stage: object) -> None:
    play: Play = stage()  # type: ignore[operator]
    run = play.asks("latest")
    play.slack.faults.errors["views.open"] = "internal_error"
    play.clicks(run, "rb.review", BOB)
    kept("slack does not open the form", play.hears("E-SLACK", BOB))
    play.types(f"report {run.id}", CHEN)
    assert play.hears("E-SLACK", CHEN) == play.hears("E-SLACK", BOB)
    play.types(f"withdraw {run.id}")
    nothing_half_done(play)


def test_older_client_programs_are_refused(server: Server, stage: object, tmp_path: Path) -> None:
    env = {"ROLLBACK_PG_BIN": str(stand_ins.older_tools(server, tmp_path / "old", 15))}
    play: Play = stage(env=env)  # type: ignore[operator]
    kept("older client programs", refused(play, "latest"))
    nothing_half_done(play)


def test_a_backup_folder_that_is_none_or_is_full_is_said_before_anybody_is_asked(stage: object, tmp_path: Path) -> None:
    folder, small = tmp_path / "backups", tmp_path / "small"
    folder.write_text("a file")
    small.mkdir()
    play: Play = stage(top=f'backup_dir = "{folder}"')  # type: ignore[operator]
    kept("a backup folder that is none", refused(play, "latest"))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)], capture_output=True).returncode:
        pytest.skip("a full disk needs the right to mount a small one")
    try:
        folder.unlink()
        folder.symlink_to(small)
        kept("a full disk", re.sub(r"\d+\.\d+ [GM]B", "SIZE", refused(play, "latest")))
        nothing_half_done(play)
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_nobody_may_approve_while_slack_does_not_tell_who_is_in_the_group(stage: object) -> None:
    play: Play = stage()  # type: ignore[operator]
    play.slack.faults.errors = {"usergroups.users.list": "internal_error"}
    run = play.proven(play.asks("latest"))
    play.clicks(run, "rb.review", BOB)
    kept("slack does not tell who is in the group", play.hears("E-CANNOT-CHECK", BOB))
    assert play.ledger.run(run.id).state is State.WAITING
