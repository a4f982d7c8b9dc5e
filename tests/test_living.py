"""The bot as a process: it ends in order, says how it is, and ends loudly where it cannot go on."""

from __future__ import annotations

import re
import resource
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from core.model import State
from demo.bench import ROOT
from tests.bench_fixtures import ANA, BOB, Play
from tests.scenery import Stage, holding, waits_for_lock

PORT = {"ROLLBACK_HEALTH_LISTEN": "127.0.0.1:0"}
READER = "SELECT count(*) FROM stripe_events"


def page(play: Play, path: str) -> tuple[int, str]:
    """Status and body of a page of the bot's own port."""
    number = play.slack.wait_for(lambda: re.findall(r"health and metrics +port=(\d+)", play.bench.log.read_text()), 10)[
        -1
    ]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{number}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def ends(play: Play, seconds: float = 40) -> int:
    """The exit code of the bot, once it has ended."""
    assert play.bench.bot
    return play.bench.bot.wait(seconds)


def send(play: Play, *signals: int) -> None:
    assert play.bench.bot
    for number in signals:
        play.bench.bot.send_signal(number)


def test_told_to_end_it_takes_back_what_does_not_end_in_time_and_finishes_what_does(stage: Stage) -> None:
    play = stage('lock_wait = "30 s"\n', env=PORT, top='grace = "6 s"')
    run = play.proven(play.asks("latest"))
    with holding(play.bench.database, READER):
        play.approves(run)
        play.until(run.id, State.EXECUTING)
        waits_for_lock(play)
        send(play, signal.SIGTERM)
        assert ends(play) == 0
        assert play.ledger.run(run.id).state is State.INTERRUPTED and play.markers() == []
        assert "it did not commit, production is unchanged" in str([m.text for m in play.everything()]), (
            "told before it ended"
        )
        play.bench.start_bot()
        assert page(play, "/readyz") == page(play, "/healthz") == (200, "ok\n")
        play.clicks(run, "rb.resume", ANA)
        play.until(run.id, State.EXECUTING)
        play.slack.wait_for(lambda: "held_up" in play.kinds(run)[play.kinds(run).index("resumed") :])
        send(play, signal.SIGTERM, signal.SIGINT, signal.SIGTERM)
        play.slack.wait_for(lambda: page(play, "/readyz") == (503, "ending: nothing new is taken\n"), 5)
        play.types("latest", BOB)
        assert "Try again in a minute" in play.hears("E-ENDING", BOB)
        assert page(play, "/healthz")[0] == 200 and "rollback_draining 1.0" in page(play, "/metrics")[1]
    assert ends(play) == 0
    assert play.ledger.run(run.id).state is State.VERIFYING and play.markers() == [run.id]
    assert [r.id for r in play.ledger.runs()] == [run.id]
    play.bench.start_bot()
    play.until(run.id, State.DONE)
    play.told()
    tells_what_the_ledger_says(page(play, "/metrics")[1])
    play.left_clean()


def tells_what_the_ledger_says(metrics: str) -> None:
    """After two restarts the counters of the ledger are whole; no migration, person or text is in a label."""
    here = 'kind="rollback"'
    for line in (
        f'rollback_runs{{{here},state="done",target="production"}} 1.0',
        f'rollback_ended_total{{{here},outcome="done",target="production"}} 1.0',
        f'rollback_step_seconds_count{{{here},step="backup"}} 1.0',
        "rollback_socket_connected 1.0",
        "rollback_announcer_lag_events 0.0",
        "rollback_clock_settled 1.0",
        "rollback_draining 0.0",
        'rollback_slack_calls_total{method="chat.update",outcome="ok"}',
        "process_resident_memory_bytes",
    ):
        assert line in metrics, metrics
    labels = set(re.findall(r'="([^"]*)"', metrics))
    assert not [label for label in labels if re.search(r"\d{3}_|U0|xox|/", label)], labels


def test_a_socket_that_falls_silent_and_a_token_that_is_revoked_end_it_loudly(stage: Stage) -> None:
    play = stage(env={**PORT, "ROLLBACK_SLACK__SILENCE": "3 s"})
    before = play.bench.bot
    for _ in range(2):
        play.types("help")
        with pytest.raises(subprocess.TimeoutExpired):
            ends(play, 2.5)  # pongs are frames
    assert page(play, "/readyz")[0] == 200
    play.slack.faults.silent = True
    play.slack.wait_for(lambda: page(play, "/readyz")[0] == 503, 10)
    assert ends(play) == 69 and "slack's socket is silent" in play.bench.log.read_text()
    play.slack.faults.silent = False
    play.bench.start_bot()
    assert play.bench.bot is not before
    play.slack.faults.errors = {"users.info": "account_inactive"}
    play.types("status", BOB)
    assert ends(play) == 69
    said = [line for line in play.bench.log.read_text().splitlines() if "slack refuses this app" in line]
    assert len(said) == 1 and "account_inactive" in said[0] and "install the app again" in said[0]


def test_a_bot_whose_lock_file_was_removed_keeps_others_out_while_it_sleeps_and_ends_when_it_notices(
    stage: Stage,
) -> None:
    play = stage()
    send(play, signal.SIGSTOP)
    Path(f"{play.ledger.path}.bot.lock").unlink()
    second = subprocess.run(
        [sys.executable, "-m", "bot"], cwd=ROOT, env=play.bench.environment, capture_output=True, text=True, timeout=30
    )
    assert second.returncode == 1 and "Another bot works on this audit trail" in second.stderr
    send(play, signal.SIGCONT)
    assert ends(play) == 1 and "the audit trail is not mine any more" in play.bench.log.read_text()


def grows(play: Play, may: bool) -> None:
    """Whether the bot's files may grow: the kernel refuses what goes beyond the ledger's log as it is."""
    assert play.bench.bot
    size = Path(f"{play.ledger.path}-wal").stat().st_size if not may else resource.RLIM_INFINITY
    resource.prlimit(play.bench.bot.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_full_disk_starts_nothing_and_after_the_commit_it_is_said_and_written_down_later(stage: Stage) -> None:
    play = stage('lock_wait = "30 s"\n', env=PORT)
    grows(play, False)
    play.types("latest")
    assert "free the disk" in play.hears("E-LEDGER").lower()
    assert play.ledger.runs() == [] and "ledger: " in page(play, "/readyz")[1]
    grows(play, True)
    run = play.proven(play.asks("latest"))
    play.told()
    grows(play, False)
    view = play.reviews(run)
    play.slack.submit(BOB, {"confirm": "012"} if "confirm" in str(view.body) else {})
    assert play.ledger.run(run.id).state is State.WAITING
    grows(play, True)
    with holding(play.bench.database, READER):
        play.approves(run)
        play.until(run.id, State.EXECUTING)
        waits_for_lock(play)
        play.told()
        grows(play, False)
    play.slack.wait_for(lambda: "cannot write it into my audit trail" in str([m.text for m in play.everything()]), 20)
    assert play.markers() == [run.id] and play.ledger.run(run.id).state is State.EXECUTING
    grows(play, True)
    play.until(run.id, State.DONE)
    play.told()
    kinds = play.kinds(run)
    assert (kinds.count("executing"), kinds.count("found_committed")) == (1, 0)
    told = [m.text for m in play.everything()]
    assert len([text for text in told if "cannot write it into" in text]) == 1
    assert len(told) == len({(m.thread_ts, str(m.blocks)) for m in play.everything()}), "nothing was posted twice"
    play.left_clean()
