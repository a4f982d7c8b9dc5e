"""What the shell prints of the board of what could be undone. Pure."""

from __future__ import annotations

from core.backups.programs import old
from core.board import Aged, Board
from core.lines import FAILED, OK, WARNING, Line, line, padded, width
from core.printing import plain
from core.readiness_words import BAD, SAID, summary, words

TONES = {"ready": OK, "not tried": WARNING, **dict.fromkeys(BAD, FAILED)}


def board(target: str, now: Board | None, aged: Aged | None) -> list[Line]:
    """One line for each migration, newest first; then the backup, and why the last look failed, where it did."""
    if now is None:
        lines = [Line(f"{target}: nobody has looked yet. `rollback readiness now` does.")]
    else:
        lines = _found(target, now)
    if aged:
        lines.append(Line(f"The newest proven backup is {aged.id}, {old(aged.age)} old."))
    else:
        lines.append(line("There is ", ("no proven backup", WARNING), ". `rollback backup` takes one."))
    if now and now.trouble:
        lines.append(line("The last look ", ("failed", FAILED), f": {plain(now.trouble)}"))
    return lines


def _found(target: str, now: Board) -> list[Line]:
    if not now.found:
        return [Line(f"{target}: nobody could look yet.")]
    on = f", tried on {now.found['backup']['id']}" if now.found["backup"] else ""
    lines = [Line(f"{target}: {summary(now.found)}; looked at {now.at:%-d %b %H:%M} UTC{on}")]
    names = [plain(one["name"]) for one in now.found["migrations"]]
    widest = max(map(width, names), default=0)
    for name, one in zip(names, now.found["migrations"], strict=True):
        word = SAID[one["state"]]
        rest = plain(words(one).removeprefix(word))
        apart = "" if rest.startswith((",", ":")) or not rest else " "
        lines.append(line(f"  {padded(name, widest)}  ", (word, TONES[one["state"]]), f"{apart}{rest}"))
    return lines
