"""What only the compose file tells: the services that have no container, and how a removed container is made again."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from core.children import Done
from core.services.runner import Runner, failed, listed

BLANK = re.compile(r'The \\?"?(\w+)\\?"? variable is not set')
"""Compose 1 and 2 warn so, and go on with an empty value."""


class ComposeFile:
    """A compose file, read by Docker Compose: the plugin, else the program `docker-compose`, of version 1 or 2.

    Compose takes variables from `.env` beside the file; the bot's own environment is not handed on. So a file that
    needs more is refused by Compose (`${NAME:?}`), or by us where Compose would fill in nothing.
    """

    def __init__(self, file: Path, runner: Runner) -> None:
        self.file, self.run = file.absolute(), runner

    def services(self, project: str | None) -> set[str]:
        """Names of the services. Raises StepFailed(E-SERVICES): no Compose here, or it does not take the file."""
        return set(self._config(project, "--services").out.split())

    def make(self, lacking: Mapping[str, int], project: str | None, deadline: float) -> str:
        """Bring services to that many containers; why that failed, or nothing. Raises StepFailed(E-SERVICES)."""
        blank = BLANK.findall(self._config(project, "--quiet").err)
        if blank:
            return f"Compose finds no value for {listed(dict.fromkeys(blank))} here"
        scale = [f"--scale={name}={count}" for name, count in lacking.items()]
        # --no-deps: nothing else; --no-recreate: what exists stays as it is; --no-build: only what was deployed
        words = ["up", "--detach", "--no-deps", "--no-recreate", "--no-build", *scale, *lacking]
        return self.run.order([*self._compose(project), *words], deadline, "docker compose up", self.file.parent)

    def _config(self, project: str | None, option: str) -> Done:
        return self.run.ask([*self._compose(project), "config", option], "docker compose config", self.file.parent)

    def _compose(self, project: str | None) -> list[str]:
        if not self.file.is_file():
            raise failed("The compose file is not there.", "Correct `services.file`.")
        options = [f"--file={self.file}", *([f"--project-name={project}"] if project else [])]
        for program in (["docker", "compose"], ["docker-compose"]):
            if shutil.which(program[0]) and self.run.end([*program, "version"], " ".join(program), 10).code == 0:
                return [*program, *options]
        hint = "Install it where the bot runs (package docker-compose-plugin), or leave out `services.file`."
        raise failed("Docker Compose is not installed here.", hint)
