"""How the shell says no: the sentence on stderr, or an object on stdout."""

from __future__ import annotations

import os

from core import printing
from core.errors import Problem
from core.lines import FAILED, WARNING, line
from core.screen import err

REFUSALS = frozenset({2, 3, 4, 5})
"""Exit codes of what a rule, or a word that was not understood, has kept from starting."""


def complain(error: Exception, as_json: bool) -> int:
    """Tell a problem, or a fault of ours; the exit code."""
    problem = error if isinstance(error, Problem) else bug(error)
    if as_json:
        from core.shell import put

        told = {"code": problem.code, "message": problem.message, "hint": problem.hint, "options": problem.options}
        put({"ok": False, "error": told, "exit": problem.exit})
        return problem.exit
    *rows, last = printing.here(printing.paragraph(problem.text)).split("\n")
    tone = WARNING if problem.exit in REFUSALS else FAILED
    err().tell(*rows, line(f"{last} (", (problem.code, tone), ")"))
    for option in problem.options:
        err().tell(f"  {printing.plain(printing.here(option))}")
    return problem.exit


def bug(error: Exception) -> Problem:
    """A fault of our own: what kind, and where in our code."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace else "somewhere"  # noqa: PTH119
    hint = "`rollback status` says what stands. Please report it with that place."
    return Problem("E-BUG", f"Something broke on my side ({type(error).__name__} at {where}).", hint)
