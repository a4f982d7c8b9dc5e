"""What the shell prints of the board of what could be undone. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.backups.programs import old
from core.board import Aged, Board
from core.lines import FAILED, OK, WARNING, Line, line, padded, width
from core.model import Json
from core.printing import here, plain
from core.readiness_words import BAD, SAID, summary, words

if TYPE_CHECKING:
    from core.guarding import Guarded

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
    return lines + _rows(now.found["migrations"])


def _rows(migrations: Sequence[Json]) -> list[Line]:
    names, lines = [plain(one["name"]) for one in migrations], []
    widest = max(map(width, names), default=0)
    for name, one in zip(names, migrations, strict=True):
        word = SAID[one["state"]]
        rest = plain(words(one).removeprefix(word))
        apart = "" if rest.startswith((",", ":")) or not rest else " "
        lines.append(line(f"  {padded(name, widest)}  ", (word, TONES[one["state"]]), f"{apart}{rest}"))
    return lines


def guarded(target: str, done: Guarded) -> list[Line]:
    """What came of `guard`: how the command ended, and whether what it has applied can be undone."""
    child, why = done.child, f"{plain(here(done.problem.text))} ({done.problem.code})" if done.problem else ""
    if child is None:
        return [line(why), line(("The command was not run", FAILED), ": there is no proven backup of now.")]
    if child.why:
        return [line(("The command could not be started", FAILED), f": {child.why}.")]
    ended = f"ended with {child.code}" if child.code else "has succeeded"
    lines = [
        line(
            "The command ",
            (ended, FAILED if child.code else OK),
            f"; the backup of before is {done.backup.kept.id}." if done.backup else ".",
        )
    ]
    if child.signal:
        return [*lines, line(("A signal was passed on to it", WARNING), ", so I did not look at what it has applied.")]
    if done.problem:
        return [*lines, line("Whether what it has applied can be undone is ", ("not known", FAILED), f": {why}")]
    if not done.found:
        return [*lines, Line(f"No migration was applied on {target}.")]
    lines += _rows(done.found["migrations"])
    if done.bad:
        names = ", ".join(plain(one["name"]) for one in done.bad)
        lines.append(
            line((f"No working way back: {names}", FAILED), ". Mend the rollback script before anybody needs it.")
        )
    return lines
