"""Looking at processes."""

from __future__ import annotations

import os
import time
from pathlib import Path


def gone(pid: int) -> None:
    """Wait until a process is over: gone, or left for its parent to collect. Raises AssertionError."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.02)
    raise AssertionError(f"{pid} still runs")
