"""A shell command at a real terminal: what it shows, and what somebody types."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
import time
from types import TracebackType

from demo.bench import ROOT, Bench


class Terminal:
    """`rollback …` with a pty as its controlling terminal; `text` is all that it has shown."""

    def __init__(self, bench: Bench, *words: str, env: dict[str, str] | None = None) -> None:
        self.ours, theirs = pty.openpty()
        self.text = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "core", *words],
            cwd=ROOT,
            env={**bench.environment, **(env or {})},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.ours)

    def asked(self, prompt: str, answer: str) -> None:
        """Wait for a question and answer it. Raises AssertionError where it does not come."""
        seen = len(self.text)
        until = time.monotonic() + 30
        while prompt not in self.text[seen:]:
            assert self.more(until), f"{prompt!r} was not asked:\n{self.text}"
        os.write(self.ours, answer.encode())

    def ends(self) -> int:
        """Its exit code."""
        until = time.monotonic() + 60
        while self.more(until):
            pass
        return self.process.wait(10)

    def more(self, until: float) -> bool:
        """Read what has come; False at the end."""
        if not select.select([self.ours], [], [], max(0, until - time.monotonic()))[0]:
            return False
        try:
            new = os.read(self.ours, 65536)
        except OSError:  # Linux says the end of a terminal as EIO
            return False
        self.text += new.decode().replace("\r\n", "\n")
        return bool(new)
