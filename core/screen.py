"""Where the shell prints: what the stream can show, and how. Off a terminal every line stays as it is.

Colours only repeat what a word says. `NO_COLOR` with any value switches them off (no-color.org), `TERM=dumb` too;
`FORCE_COLOR` or `CLICOLOR_FORCE` switches them on where there is no terminal. `COLUMNS` counts before the terminal's own width.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TextIO

from core.lines import FAILED, OK, RUNNING, STRONG, WARNING, Line, cut, laid

COLOURS = {OK: "32", RUNNING: "36", WARNING: "33", FAILED: "1;31", STRONG: "1"}
"""ECMA-48, Select Graphic Rendition: each shows on a light and on a dark background."""
WIPE = "\r\x1b[K"  # to the line's beginning, and erase it


class Screen:
    """One stream. `moves`: a line can be updated in place."""

    def __init__(self, stream: TextIO, env: Mapping[str, str] = os.environ) -> None:
        self.stream, self.env = stream, env
        self.terminal = stream.isatty()
        able = self.terminal and env.get("TERM", "") not in ("", "dumb")
        self.moves = able
        self.colours = not env.get("NO_COLOR") and (able or forced(env))
        self._drawn: Line | None = None

    @property
    def columns(self) -> int | None:
        """Its width now; None off a terminal, where nothing is broken."""
        if not self.terminal:
            return None
        return wanted(self.env) or measured(self.stream) or 80

    def tell(self, *lines: str, end: str = "\n") -> None:
        """Lines through the funnel for secrets; where one was taken out there are no colours."""
        from core.redact import clean_all  # not for help, which must be there at once

        said = "\n".join(lines)
        told: str = clean_all(said)
        self.put(*(lines if told == said else told.split("\n")), end=end)

    def put(self, *lines: str, end: str = "\n", columns: int | None = None) -> None:
        """Lines of ours that stay, in place of the one that is updated. `columns`: instead of the screen's own."""
        text = "\n".join(map(self.painted, laid(lines, columns or self.columns)))
        wipe, self._drawn = WIPE if self._drawn else "", None
        self._write(f"{wipe}{text}{end}")

    def update(self, text: Line | None) -> None:
        """Show this as the last line, in place of what was shown so before; None: nothing. Only where it `moves`."""
        if self.moves and (text != self._drawn):
            self._drawn = text  # first: Ctrl-C may come in the middle of the next line
            # the cursor goes back to the beginning, so that a log line or an echo takes its place
            self._write(WIPE + (self.painted(cut(text, (self.columns or 80) - 1)) + "\r" if text else ""))

    def painted(self, text: Line) -> str:
        """The line with its colours, where there are any."""
        if not self.colours or not any(text.tones):
            return text
        shown, before = "", ""
        for character, tone in zip(text, text.tones, strict=True):
            if tone != before:
                shown += ("\x1b[0m" if before else "") + (f"\x1b[{COLOURS[tone]}m" if tone else "")
            shown, before = shown + character, tone
        return shown + ("\x1b[0m" if before else "")

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()


class Aside(Screen):
    """For what is told beside the work itself: that nobody reads it any more is no reason to break off."""

    def _write(self, text: str) -> None:
        try:
            super()._write(text)
        except OSError:  # what is left in the buffer must go somewhere, or the interpreter's end changes the exit code
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())


def forced(env: Mapping[str, str]) -> bool:
    """Are colours wanted off a terminal too? `0` says no."""
    return any(env.get(name, "0") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE"))


def wanted(env: Mapping[str, str]) -> int:
    """The width that COLUMNS says; 0 where it says none."""
    said = env.get("COLUMNS", "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 5 else 0


def measured(stream: TextIO) -> int:
    """The terminal's own width; 0 where it does not tell."""
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 0


def out() -> Screen:
    """Standard output: data."""
    return Screen(sys.stdout)


def err() -> Screen:
    """Standard error: progress, questions, refusals."""
    return Screen(sys.stderr)


def aside() -> Screen:
    """Standard error, of work that must come to its end whoever looks on."""
    return Aside(sys.stderr)
