"""A shell command at a real terminal: what it shows, and what somebody types."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from demo.bench import ROOT, Bench

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
WIPE = "\r\x1b[K"


def visible(text: str) -> list[str]:
    """The lines that stand on the screen in the end, without their colours: what was wiped, or written over, is gone."""
    lines = []
    for row in COLOUR.sub("", text).split("\n"):
        at, shown = 0, ""
        for piece in re.split(r"(\r|\x08|\x1b\[[JK])", row):
            if piece == "\r":
                at = 0
            elif piece == "\x08":
                at -= 1
            elif piece in ("\x1b[K", "\x1b[J"):
                shown = shown[:at]
            else:
                shown = shown[:at] + piece + shown[at + len(piece) :]
                at += len(piece)
        lines.append(shown)
    return lines


def updates(text: str) -> list[str]:
    """What the last line has said, one after the other, without its colours."""
    return [part.split("\r")[0] for part in COLOUR.sub("", text).split(WIPE)[1:] if "\r" in part]


class Terminal:
    """`rollback …` with a pty as its controlling terminal; `text` is all that it has shown.

    `command`: another program than that, in another folder; `columns`: the width of the terminal.
    """

    def __init__(
        self,
        bench: Bench | None,
        *words: str,
        env: dict[str, str] | None = None,
        columns: int = 80,
        command: Sequence[str] = (sys.executable, "-m", "core"),
        folder: Path = ROOT,
    ) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self.text = ""
        self.process = subprocess.Popen(
            [*command, *words],
            cwd=folder,
            env={**(bench.environment if bench else {}), **(env or {})},
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
        self.says(prompt)
        os.write(self.ours, answer.encode())

    def says(self, words: str) -> None:
        """Wait until it has shown these words, from now on. Raises AssertionError where they do not come."""
        seen = len(self.text)
        until = time.monotonic() + 30
        while words not in self.text[seen:]:
            assert self.more(until), f"{words!r} did not come:\n{self.text}"

    def quiet(self) -> None:
        """Wait until it has answered and says no more: a shell that has completed a word."""
        seen, until = len(self.text), time.monotonic() + 30
        while len(self.text) == seen and self.more(until):
            pass
        while self.more(time.monotonic() + 0.5):
            pass

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
        self.text += new.decode(errors="replace").replace("\r\n", "\n")
        return bool(new)
