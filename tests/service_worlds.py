"""One small world for each kind of services: a stand-in program on PATH, its state in a file, settings that fit."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from core.config import load
from core.errors import StepFailed
from core.services import Services, services_for
from core.settings import Target
from tests.service_programs.containers import container

ROOT = Path(__file__).parent.parent
PROGRAMS = Path(__file__).parent / "service_programs"
SECRET = "wrong-horse-9-staple"
COMPOSE = """
services:
  api:
    image: app/api
    environment: { DATABASE_URL: "${APP_DATABASE_URL:?the database}" }
    depends_on: [migrate]
  orchestrator: { image: app/orchestrator, depends_on: [api] }
  worker: { image: app/worker, scale: 2 }
  migrate: { image: app/api, command: migrate }
"""


class World:
    """`names` as the settings have them; `run` what runs of each at first; `verbs` what stops and starts it."""

    kind = program = looks = ""
    stops, starts = "stop", "start"
    settings: ClassVar[dict[str, str]] = {}
    run: ClassVar[dict[str, int]] = {"api": 1, "worker": 2, "orchestrator": 0}

    def __init__(self, folder: Path) -> None:
        self.folder, self.file, self.bin = folder, folder / "state.json", folder / "bin"
        self.bin.mkdir()
        self.more: dict[str, str] = {}
        common = {"faults": {}, "calls": [], "crash": -1, "count": 0, "engine": True, "broken": [], "linger": 0}
        self.write({**common, **self.first()})
        self.install(self.program)

    def first(self) -> dict[str, Any]:
        """The state at first."""
        raise NotImplementedError

    def running(self) -> dict[str, int]:
        """What really runs now, also what is only ending."""
        raise NotImplementedError

    def install(self, name: str, source: str = "", *words: str) -> None:
        """Put a program on PATH. `words` come before its own."""
        file = self.bin / name
        own = PROGRAMS / f"{source or name}.py"
        file.write_text(f'#!/bin/sh\nexec {sys.executable} -ES {own} {self.file} {" ".join(words)} "$@"\n')
        file.chmod(0o755)

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.file.read_text())
        return found

    def write(self, state: Mapping[str, Any]) -> None:
        self.file.write_text(json.dumps(state))

    def change(self, **changes: Any) -> None:
        self.write(self.state() | changes)

    def fault(self, verb: str, what: str, code: int = 0) -> None:
        """`hang`, `ignore` (say yes, do nothing), or an exit code and what it says on stderr."""
        self.change(faults={verb: [code, what] if code else what})

    def calls(self, verb: str) -> list[list[str]]:
        return [call for call in self.state()["calls"] if call[0] == verb]

    def target(self, **settings: str) -> Target:
        """A target with these settings, as they stand in a file."""
        names = ", ".join(f'"{name}"' for name in self.run)
        lines = {"kind": f'"{self.kind}"', "names": f"[{names}]", **self.settings, **self.more, **settings}
        table = "".join(f"{key} = {value}\n" for key, value in lines.items() if value)
        file = self.folder / "rollback.toml"
        file.write_text(
            f'[targets.production]\ndatabase_url = "postgresql://app:{SECRET}@db/app"\napprovals = 0\n'
            f"[targets.production.services]\n{table}"
        )
        return load(file, {"HOME": str(self.folder)}).target()

    def services(self, **settings: str) -> Services:
        return services_for(self.target(**settings))

    def in_a_process(self, verb: str, before: Mapping[str, int]) -> int:
        """`stop` or `start` in a process of its own; its exit code."""
        code = (
            "import json, sys\nfrom pathlib import Path\nfrom core.config import load\n"
            "from core.services import services_for\nfile, verb, before = sys.argv[1:]\n"
            "target = load(Path(file), {'HOME': '/'}).target()\n"
            "getattr(services_for(target), verb)(json.loads(before))\n"
        )
        self.target()
        words = [sys.executable, "-c", code, str(self.folder / "rollback.toml"), verb, json.dumps(before)]
        return subprocess.run(words, cwd=ROOT, env={"PATH": str(self.bin)}, timeout=60).returncode


class ComposeWorld(World):
    kind, program, looks = "compose", "docker", "ps"

    def first(self) -> dict[str, Any]:
        place = self.folder / "app"
        place.mkdir()
        (place / "compose.yaml").write_text(COMPOSE)
        (place / ".env").write_text("APP_DATABASE_URL=postgresql:///app\n")
        made = [("api", 1, "running"), ("worker", 1, "running"), ("worker", 2, "running")]
        made += [("orchestrator", 1, "exited"), ("migrate", 1, "exited")]
        containers = [container("app", *one) for one in made]
        packages = sysconfig.get_paths()["purelib"]
        more = {"plugin": True, "after_start": "running", "packages": packages}
        return {"containers": containers, **more}

    def running(self) -> dict[str, int]:
        live = [
            c["labels"]["com.docker.compose.service"] for c in self.state()["containers"] if c["state"] == "running"
        ]
        return {name: live.count(name) for name in self.run}

    def everything(self) -> dict[str, str]:
        """State of each container, by its name."""
        return {container["name"]: container["state"] for container in self.state()["containers"]}

    def alter(self, name: str, **changes: Any) -> None:
        containers = [c | (changes if c["name"] == name else {}) for c in self.state()["containers"]]
        self.change(containers=containers)

    def remove(self, *names: str) -> None:
        self.change(containers=[c for c in self.state()["containers"] if c["name"] not in names])

    def add(self, *containers: dict[str, Any]) -> None:
        self.change(containers=[*self.state()["containers"], *containers])

    @property
    def compose_file(self) -> str:
        return f'"{self.folder / "app" / "compose.yaml"}"'


class SystemdWorld(World):
    kind, program, looks = "systemd", "systemctl", "show"
    run: ClassVar[dict[str, int]] = {"api": 1, "worker@1.service": 1, "orchestrator": 0}

    def first(self) -> dict[str, Any]:
        states = {"api.service": "active", "worker@1.service": "active", "orchestrator.service": "inactive"}
        units = {name: {"LoadState": "loaded", "ActiveState": now, "TriggeredBy": ""} for name, now in states.items()}
        return {"units": units, "manager": "system", "after_stop": "inactive", "after_start": "active"}

    def running(self) -> dict[str, int]:
        units = self.state()["units"]
        full = {name: name if "." in name else f"{name}.service" for name in self.run}
        return {name: int(units[unit]["ActiveState"] not in ("inactive", "failed")) for name, unit in full.items()}

    def alter(self, name: str, **changes: Any) -> None:
        units = self.state()["units"]
        self.change(units=units | {name: units.get(name, {"LoadState": "loaded", "TriggeredBy": ""}) | changes})


class KubernetesWorld(World):
    kind, program, looks = "kubernetes", "kubectl", "get"
    stops = starts = "scale"
    settings: ClassVar[dict[str, str]] = {"namespace": '"shop"', "context": '"prod"'}
    run: ClassVar[dict[str, int]] = {"api": 3, "statefulset/worker": 2, "deploy/orchestrator": 0}

    def first(self) -> dict[str, Any]:
        full = {"deployment/api": 3, "statefulset/worker": 2, "deployment/orchestrator": 0}
        return {
            "workloads": {name: self.workload(name, count) for name, count in full.items()},
            "may_list": True,
            "lag": 0,
        }

    @staticmethod
    def workload(name: str, count: int) -> dict[str, Any]:
        plain = name.partition("/")[2]
        counts = {"replicas": count, "running": count, "ready": count, "ending": 0, "linger": 1}
        return {**counts, "generation": 4, "observed": 4, "sick": False, "selector": {"matchLabels": {"app": plain}}}

    def running(self) -> dict[str, int]:
        found = self.state()["workloads"]
        full = dict(zip(self.run, found, strict=False))
        return {name: found[one]["running"] + found[one]["ending"] for name, one in full.items()}

    def alter(self, name: str, **changes: Any) -> None:
        workloads = self.state()["workloads"]
        self.change(workloads=workloads | {name: workloads[name] | changes})


class CommandWorld(World):
    kind, program, looks = "command", "application", "status"
    settings: ClassVar[dict[str, str]] = {"names": "", "stop": '["application", "stop"]', "start": '["application", "start"]',
                "status": '["application", "status"]'}  # fmt: skip
    run: ClassVar[dict[str, int]] = {"application": 1}

    def first(self) -> dict[str, Any]:
        return {"running": 1, "next": 1, "while": 0, "stopped_code": 3, "revived": False}

    def running(self) -> dict[str, int]:
        return {"application": self.state()["running"]}


class NoWorld(World):
    kind, program = "none", "nothing"
    settings: ClassVar[dict[str, str]] = {"names": ""}
    run: ClassVar[dict[str, int]] = {}

    def first(self) -> dict[str, Any]:
        return {}

    def running(self) -> dict[str, int]:
        return {}


def build(kind: type[World], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A world whose programs are the only ones on PATH."""
    made = kind(folder)
    monkeypatch.setenv("PATH", str(made.bin))
    return made


def refused(act: Callable[[], object]) -> StepFailed:
    """What `act` is refused with: E-SERVICES, a next step, no secret, no path of this machine."""
    with pytest.raises(StepFailed) as caught:
        act()
    problem = caught.value
    assert problem.code == "E-SERVICES" and problem.hint
    assert SECRET not in problem.text and not re.search(r"(?<![\w/:])/\w", problem.text)
    return problem
