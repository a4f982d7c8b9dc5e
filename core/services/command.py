"""Kind `command`: the team's own programs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from core.services.runner import BY_HAND, QUESTION, Runner, failed, listed, until
from core.settings import Services

STOPPED = (1, 3)
"""Exit codes of `status` for "it does not run": pgrep's and grep's 1, LSB's and systemctl's 3. Others tell nothing."""


class Command:
    """One program stops all, one starts all; with a third, `status`, it is known whether they run.

    Without `status` they are taken for running, and the exit codes are believed.
    """

    def __init__(self, settings: Services, runner: Runner) -> None:
        self.names, self.run = settings.names or ("application",), runner
        self.programs = {"stop": settings.stop, "start": settings.start}
        self.status = settings.status

    def look(self) -> dict[str, int]:
        runs = self._runs() if self.status else True
        return dict.fromkeys(self.names, int(runs))

    def stop(self, before: Mapping[str, int]) -> None:
        self._do("stop", False)

    def start(self, before: Mapping[str, int]) -> None:
        if any(before.values()) and not (self.status and self._runs()):  # a second start could run them twice
            self._do("start", True)

    def _do(self, verb: str, runs: bool) -> None:
        deadline = self.run.deadline()
        reason = self.run.order(self.programs[verb], deadline, Path(self.programs[verb][0]).name)
        if self.status:
            other = until(lambda: self._runs() is not runs, 0 if reason else deadline)
            reason = (reason or f"`{Path(self.status[0]).name}` says so") if other else ""
        if reason:
            raise failed(f"{listed(self.names)} did not {verb}: {reason}.", BY_HAND)

    def _runs(self) -> bool:
        program = Path(self.status[0]).name
        done = self.run.end(self.status, program, QUESTION)
        if done.code not in (0, *STOPPED):
            message = f"{self.run.failure(program, done)}."
            raise failed(message, "Its exit code must be 0 (running), 1 or 3 (stopped); others tell nothing.")
        return done.code == 0
