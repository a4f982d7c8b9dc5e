"""Programs that the bot runs: they know no secret, read nothing, end in time, and hold nobody up."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from core import children
from core.children import Done
from tests.processes import gone


def test_a_program_knows_where_to_go_and_no_secret() -> None:
    secret = ("DATABASE_URL", "PGPASSWORD", "SLACK_BOT_TOKEN", "ROLLBACK_SLACK__APP_TOKEN", "TEST_DATABASE_URL")
    needed = ("PATH", "HOME", "DOCKER_HOST", "KUBECONFIG", "AWS_PROFILE", "HTTPS_PROXY")
    passed = children.environment(dict.fromkeys((*secret, *needed), "x"))
    assert set(passed) == {*needed, "LC_ALL"}


def test_a_program_that_is_out_of_time_is_ended_with_its_children() -> None:
    done = children.run(["/bin/sh", "-c", "sleep 60 & echo $!; wait"], 0.3)
    assert done.code is None
    gone(int(done.out))


def test_a_program_that_nobody_waits_for_any_more_is_ended_with_its_children(tmp_path: Path) -> None:
    started = tmp_path / "started"
    body = f"sleep 60 & echo $!; touch {started}; echo $MORE; wait"
    done = children.run(["/bin/sh", "-c", body], 60, more={"MORE": "told"}, given_up=started.exists)
    assert done.code is None and done.out.split()[1] == "told"
    gone(int(done.out.split()[0]))


def test_a_program_that_writes_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "LARGEST", 1000)
    began = time.monotonic()
    done = children.run(["/bin/sh", "-c", "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done"], 30)
    assert done.code is None and len(done.out) == 1000 and time.monotonic() - began < 20


def test_what_a_program_leaves_in_the_background_holds_nobody_up() -> None:
    began = time.monotonic()
    done = children.run(["/bin/sh", "-c", "sleep 30 & echo $!"], 20)
    assert done.code == 0 and time.monotonic() - began < 10
    assert children.run(["/bin/kill", "-9", done.out.strip()], 20).code == 0, "it lives on: services are started so"


def test_a_program_has_nothing_to_read() -> None:
    ours, theirs = os.pipe()
    os.write(theirs, b"typed by somebody")
    os.close(theirs)
    kept = os.dup(0)
    os.dup2(ours, 0)
    try:
        assert children.run(["/bin/cat"], 20) == Done(0, "", "")
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(ours)
