"""The demo where something does not start: it says so, and leaves nothing behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from demo.bench import KEPT, ROOT, Bench
from demo.postgres import Server

BROKEN = """
import os, sys
if sys.orig_argv[-2:] == ["-m", "bot"]:
    os.write(2, b"this bot is broken\\n")
    os._exit(3)
"""


def answers(port: int | None) -> bool:
    """Does somebody listen on this port of the machine?"""
    with socket.socket() as there:
        return there.connect_ex(("127.0.0.1", port or 0)) == 0


def test_a_world_whose_bot_does_not_start_ends_whole(server: Server, app: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, server, app, settings="nonsense = 1\n")
    with pytest.raises(RuntimeError, match="the bot ended with 2"), bench:
        raise AssertionError("it has started")
    assert bench.bot and bench.bot.poll() == 2
    assert not answers(bench.workspace.port) and not answers(urlsplit(bench.health.url).port)


def test_the_demo_says_what_could_not_start(tmp_path: Path) -> None:
    code, left = tmp_path / "code", tmp_path / "left"
    for folder in (code, left):
        folder.mkdir()
    (code / "sitecustomize.py").write_text(BROKEN)
    before = (ROOT / ".demo").exists()  # somebody's own demo runs
    env = {name: os.environ[name] for name in KEPT if name in os.environ}
    env |= {"PYTHONPATH": str(code), "TMPDIR": str(left), "STORY": "only"}
    ended = subprocess.run(
        [sys.executable, "-m", "demo"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=100, check=False
    )
    assert ended.returncode == 69
    assert ended.stderr.startswith("The demo could not start: the bot ended with 3:\nthis bot is broken\n")
    assert "Traceback" not in ended.stderr
    assert not list(left.iterdir()) and (ROOT / ".demo").exists() == before
