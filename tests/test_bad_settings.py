"""Settings that cannot be used: every fault at once, in bot and shell alike."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from demo.bench import ROOT
from tests.bench_fixtures import compare

PASSWORD = "wrong-horse-9-staple"
FAULTY = f"""
default_target = "nowhere"
[targets.production]
database_url = "postgresql://u:{PASSWORD}@/app"
aprovals = 1
approvals = 9
approval_expires = "soon"
channel = "incidents"
"""


def test_faulty_settings_are_listed_at_once_by_bot_and_shell(tmp_path: Path) -> None:
    file = tmp_path / "rollback.toml"
    file.write_text(FAULTY)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ROLLBACK_CONFIG": str(file)}
    told = []
    for module, *words in (["bot"], ["core", "status"]):
        done = subprocess.run(
            [sys.executable, "-m", module, *words], cwd=ROOT, env=env, capture_output=True, text=True, timeout=30
        )
        assert (done.returncode, done.stdout) == (2, "")
        told.append(done.stderr)
    assert told[0] == told[1]
    assert PASSWORD not in told[0]
    compare("faulty_settings", told[0])


def test_the_bot_says_why_it_cannot_start_and_waits_for_a_slack_that_does_not_answer(tmp_path: Path) -> None:
    (tmp_path / "rollback.toml").write_text('[targets.production]\napprovers = ["U0BOB"]\nchannel = "#incidents"\n')
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    env |= {"DATABASE_URL": "postgresql:///app", "SLACK_BOT_TOKEN": "xoxb-1"}
    run = [sys.executable, "-m", "bot"]
    done = subprocess.run(run, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30)
    assert (done.returncode, "Set SLACK_APP_TOKEN" in done.stderr) == (2, True), done.stderr
    env |= {"SLACK_APP_TOKEN": "xapp-1", "SLACK_API_URL": "http://127.0.0.1:9/api/"}
    with subprocess.Popen(run, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr
        for line in waiting.stderr:  # until its second try: the first did not end it
            if "slack does not answer" in line and "seconds=1.0" in line:
                break
        waiting.terminate()
        assert waiting.wait(30) == 0
