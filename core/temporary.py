"""Temporary files that no end of the process can leave behind.

`tempfile` without a folder first writes a file with a name into each folder that it considers, to see whether it may:
a process that is killed in that moment leaves it there.
"""

from __future__ import annotations

import os
import tempfile
from typing import IO


def folder() -> str:
    """Where temporary files go: `TMPDIR`, else /tmp; what else `tempfile` finds where neither can be written."""
    named = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - as POSIX has it
    return named if os.access(named, os.W_OK | os.X_OK) else tempfile.gettempdir()


def nameless() -> IO[bytes]:
    """A file that is gone when it is closed, or the process ends. Raises OSError."""
    return tempfile.TemporaryFile(dir=folder())
