"""Kind `compose`: the containers that Docker Compose made, found by its labels, stopped and started one by one.

Compose itself starts more than it is told to: `docker compose start api` and `up api` also start what `api` depends
on, such as a job that applies the migrations again (docker/compose, issue 10061). They need all variables of the
compose file too, and fill in nothing for those that are missing. A container that is only started again, as the
engine does at every boot, has its settings already. Compose is asked only where its file is set, and makes only what
was removed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from core.services.compose_file import ComposeFile
from core.services.runner import Runner, both, failed, listed, unknown, until
from core.settings import Services

LABELS = ("project", "service", "oneoff", "container-number")
"""com.docker.compose.…, the same in Compose 1 and 2. Source: docker/compose, pkg/api/labels.go."""
COLUMNS = "\t".join(["{{.ID}}", "{{.State}}", *(f'{{{{.Label "com.docker.compose.{label}"}}}}' for label in LABELS)])
LIVE = ("running", "restarting", "paused")
"""States in which a container has connections, or will have again. Source: docs.docker.com, `docker ps`, filters."""
RESTING = ("created", "exited")


@dataclass(frozen=True)
class Container:
    """One container. `oneoff`: of `docker compose run`; such a one is stopped, but never counted nor started."""

    id: str
    state: str
    project: str
    service: str
    oneoff: bool
    number: int


class Compose:
    """Services of one Compose project."""

    def __init__(self, settings: Services, runner: Runner) -> None:
        self.names, self.project, self.run = settings.names, settings.project, runner
        self.file = ComposeFile(settings.file, runner) if settings.file else None

    def look(self) -> dict[str, int]:
        containers = self._of(self.names)
        known = {c.service for c in containers} | (self.file.services(self.project) if self.file else set())
        lacking = [name for name in self.names if name not in known]
        if lacking:
            where = f" in the project `{self.project}`" if self.project else ""
            raise unknown("container of a Compose service", lacking, known | {c.service for c in self._all()}, where)
        return {name: len(having(containers, name, LIVE)) for name in self.names}

    def stop(self, before: Mapping[str, int]) -> None:
        names, deadline = both(self.names, before), self.run.deadline()

        def live() -> list[Container]:
            return [c for c in self._of(names) if c.state in LIVE]

        ids = [c.id for c in live()]
        reason = self.run.order(["docker", "stop", *ids], deadline) if ids else ""
        if left := {c.service for c in until(live, 0 if reason else deadline)}:
            message = f"{listed(sorted(left))} did not stop: {reason or 'containers of it run on'}."
            raise failed(message, "`docker ps` shows its containers, `docker stop` stops one.")

    def start(self, before: Mapping[str, int]) -> None:
        wanted = {name: before[name] for name in both(self.names, before) if before.get(name)}
        deadline = self.run.deadline()
        containers = self._of(wanted)
        short = {name: count - len(having(containers, name, LIVE)) for name, count in wanted.items()}
        resting = {name: having(containers, name, RESTING)[: max(short[name], 0)] for name in wanted}
        ids = [c.id for name in wanted for c in resting[name]]
        reason = self.run.order(["docker", "start", *ids], deadline) if ids else ""
        lacking = {name: count for name, count in wanted.items() if len(resting[name]) < short[name]}
        if lacking:
            self._make(lacking, next((c.project for c in containers), self.project), deadline)
        containers = self._of(wanted)
        left = [name for name, count in wanted.items() if len(having(containers, name, LIVE)) < count]
        if left:
            message = f"{listed(left)} did not start: {reason or 'it ended right after its start'}."
            raise failed(message, f"`docker compose logs {left[0]}` shows why.")

    def _make(self, lacking: Mapping[str, int], project: str | None, deadline: float) -> None:
        """Make containers that were removed while they were stopped. Raises StepFailed(E-SERVICES)."""
        reason = self.file.make(lacking, project, deadline) if self.file else "`services.file` is not set"
        if reason:
            raise failed(
                f"{listed(lacking)} did not start: its containers were removed, and I cannot make them: {reason}.",
                f"Make them the way you deploy: `docker compose up --detach --no-deps {' '.join(lacking)}`.",
            )

    def _of(self, names: Collection[str]) -> list[Container]:
        """The containers of these services, those that are stopped too. Raises StepFailed(E-SERVICES)."""
        found = [c for c in self._all() if c.service in names]
        projects = sorted({c.project for c in found})
        if len(projects) > 1:
            message = f"{len(projects)} Compose projects have services of these names: {listed(projects)}."
            raise failed(message, "Say which is meant: `services.project`.")
        return found

    def _all(self) -> list[Container]:
        label = f"com.docker.compose.project={self.project}" if self.project else "com.docker.compose.project"
        words = ["docker", "ps", "--all", "--no-trunc", f"--filter=label={label}", f"--format={COLUMNS}"]
        rows = [line.split("\t") for line in self.run.ask(words).out.splitlines()]
        return [container(row) for row in rows if len(row) == 6]


def container(row: Sequence[str]) -> Container:
    """A line of `docker ps`."""
    number = int(row[5]) if row[5].isdecimal() else 0
    return Container(row[0], row[1], row[2], row[3], row[4] == "True", number)


def having(containers: Sequence[Container], name: str, states: Collection[str]) -> list[Container]:
    """A service's containers in one of these states, by their number."""
    found = [c for c in containers if c.service == name and c.state in states and not c.oneoff]
    return sorted(found, key=lambda c: c.number)
