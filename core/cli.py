"""The shell door: `rollback`. The same words and the same core as in Slack.

Data goes to stdout, progress to stderr; `--json` prints one object. Exit codes: core/errors.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from core import __version__, printing
from core.errors import Problem
from core.model import State
from core.shell import Shell, put

if TYPE_CHECKING:  # a shell command must start fast: what a verb needs is imported when it asks for it
    pass

CODES = {State.DONE: 0, State.DENIED: 4, State.EXPIRED: 4, State.WITHDRAWN: 4, State.DECIDE: 6}
CODES |= {State.NEEDS_A_PERSON: 7, State.INTERRUPTED: 7, State.STOPPED: 1, State.REFUSED: 3}


def main(words: Sequence[str] | None = None) -> int:
    """Exit code of the shell."""
    argv = sys.argv[1:] if words is None else list(words)
    as_json = "--json" in argv
    try:
        if argv[:1] == ["check"] and not {"-h", "--help"} & set(argv):
            return check(argv[1:], as_json)
        if argv == ["--version"]:
            print(f"rollback-bot {__version__}")
            return 0
        return Shell(argv).run()
    except Problem as problem:
        return complain(problem, as_json)
    except KeyboardInterrupt:
        print("\nStopped watching. The run goes on: `rollback status`.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:  # noqa: BLE001 - a traceback can hold an address with its password
        return complain(bug(error), as_json)


def check(words: Sequence[str], as_json: bool) -> int:
    """`rollback check`: the shell's alone, and needs no settings, so it has a parser of its own."""
    from core.check import command, report

    asked = command.parse(words)
    try:
        found = command.run(asked)
    except KeyboardInterrupt:
        print("Stopped. The scratch databases are gone.", file=sys.stderr)
        return 130
    if as_json:
        put({"ok": not found.harmful, **report.data(found)})
    else:
        print("\n".join(report.lines(found)))
    return 3 if found.harmful else 0


def bug(error: Exception) -> Problem:
    """A fault of our own: what kind, and where in our code."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace else "somewhere"  # noqa: PTH119
    hint = "`rollback status` says what stands. Please report it with that place."
    return Problem("E-BUG", f"Something broke on my side ({type(error).__name__} at {where}).", hint)


def complain(problem: Problem, as_json: bool) -> int:
    """A refusal: the sentence on stderr, or an object on stdout."""
    if as_json:
        error = {"code": problem.code, "message": problem.message, "hint": problem.hint, "options": problem.options}
        put({"ok": False, "error": error, "exit": problem.exit})
    else:
        print(printing.paragraph(f"{problem.text} ({problem.code})"), file=sys.stderr)
        for option in problem.options:
            print(f"  {printing.plain(option.replace('/rollback', 'rollback'))}", file=sys.stderr)
    return problem.exit


if __name__ == "__main__":
    sys.exit(main())
