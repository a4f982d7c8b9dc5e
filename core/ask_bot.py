"""Runs the bot's own program for what only it can say: core knows no Slack.

The program is the one that this one came with. Python would look for it in the working directory first, and that may be
a repository of anybody's, with a package called `bot` of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def ask(*words: str, seconds: float | None = None, quiet: bool = False) -> subprocess.CompletedProcess[str]:
    """`python -m bot WORDS`, with our environment: it reads the same settings, with the same secrets.

    What it says on stderr is shown, unless `quiet`. Raises OSError, subprocess.TimeoutExpired.
    """
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-P", "-m", "bot", *words]
    stderr = subprocess.DEVNULL if quiet else None
    return subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=seconds,
        check=False,
    )  # fmt: skip
