"""Settings of services, the programs that are run for them, and what these say; the real ones where they are installed."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

import pytest
from docs_reading import TEXT, blocks

from core import children
from core.config import ConfigError, load
from core.errors import StepFailed
from core.redact import Redactor
from core.services.runner import Runner, until
from tests.service_worlds import ComposeWorld, KubernetesWorld, build, refused


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (
            'kind = "compose", names = ["api"], namespace = "shop"',
            "services.namespace` has no effect with the kind `comp",
        ),
        ('names = ["api"]', "services.names` has no effect with the kind `none`"),
        ('kind = "systemd", names = ["api*"]', "services.names` holds what is no name for the kind `systemd`"),
        ('kind = "compose", names = ["--all"]', "services.names` holds what is no name for the kind `compose`"),
        ('kind = "kubernetes", names = ["daemonset/api"]', "services.names` holds what is no name for the kind `kube"),
        ('kind = "command", stop = ["a"], start = ["b"], timeout = 0', "services.timeout` must be more than 0"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path: Path, table: str, sentence: str) -> None:
    file = tmp_path / "rollback.toml"
    head = '[targets.production]\ndatabase_url = "postgresql:///app"\napprovals = 0\n'
    file.write_text(f"{head}services = {{ {table} }}\n")
    with pytest.raises(ConfigError) as caught:
        load(file, {"HOME": str(tmp_path)})
    assert sentence in str(caught.value)


def test_the_examples_of_the_page_load(tmp_path: Path) -> None:
    examples = blocks("docs/services.md", "toml")
    kinds = []
    for example in examples:
        file = tmp_path / "rollback.toml"
        file.write_text('[targets.production]\ndatabase_url = "postgresql:///app"\napprovals = 0\n' + example)
        kinds.append(load(file, {"HOME": str(tmp_path)}).target().services.kind)
    assert kinds == ["compose", "systemd", "kubernetes", "command"]


def test_the_variables_that_programs_see_are_those_of_the_page() -> None:
    part = TEXT["docs/services.md"].split("## What the programs see")[1].split("\n## ")[0]
    told = set(re.findall(r"`([A-Z_]+)`", part)) - {"DATABASE_URL"}
    assert set(children.CLOUDS) <= told <= {*children.PASSED, *children.CLOUDS}
    assert not any(re.search("TOKEN|PASSWORD|DATABASE|SLACK|ROLLBACK", name) for name in children.PASSED)


# -- what programs say -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("err", "told"),
    [
        ("Failed to stop api.service: Access denied\nSee system logs and 'systemctl status api.service' for details.",
         "Failed to stop api.service: Access denied"),
        (" Container app-api-1  Starting\n Container app-api-1  Error\nError response from daemon: no space left",
         "Error response from daemon: no space left"),
        ("Warning: something is deprecated\nError from server (Forbidden): deployments.apps \"api\" is forbidden",
         'Error from server (Forbidden): deployments.apps "api" is forbidden'),
        ('context "x": context not found: open /root/.docker/contexts/meta/ca37/meta.json: no such file',
         'context "x": context not found: open …: no such file'),
        ("Get \"http://docker.example.com/v1.50/containers/json\": dial unix /var/run/docker.sock: permission denied",
         'Get "http://docker.example.com/v1.50/containers/json": dial unix …: permission denied'),
        ("", "it gave no reason"),
        ("\n \n", "it gave no reason"),
        (" Container app-api-1  Stopping", "Container app-api-1 Stopping"),
        ("error: postgresql://app:hunter2@db/app", "error: postgresql://•••@db/app"),
        ("\x1b[31mboom\u202e", "\\u001b[31mboom\\u202e"),
        ("error " + "x" * 300, "error " + "x" * 193 + "…"),
    ],
)  # fmt: skip
def test_a_complaint_is_one_line_without_noise_paths_and_secrets(err: str, told: str) -> None:
    assert Runner(1, Redactor()).complaint(err) == told


def test_a_question_that_fails_once_is_asked_again_while_waiting() -> None:
    answers = iter([StepFailed("E-SERVICES", "A hiccup."), ["api"], []])

    def left() -> list[str]:
        answer = next(answers)
        if isinstance(answer, StepFailed):
            raise answer
        return answer

    assert until(left, time.monotonic() + 20) == []
    answers = iter([StepFailed("E-SERVICES", "Gone.")])
    with pytest.raises(StepFailed, match="Gone"):
        until(left, 0)


# -- the real clients, where they are installed, with nothing to talk to -----------------------------------


@pytest.mark.skipif(not shutil.which("docker"), reason="Docker's client is not installed")
def test_the_real_docker_client_without_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = os.environ["PATH"]
    world = build(ComposeWorld, tmp_path, monkeypatch)
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    told = refused(world.services().look).message
    assert told.lower().startswith("`docker ps` failed (exit code 1): ") and "docker daemon" in told.lower()


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_the_real_kubectl_without_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = os.environ["PATH"]
    world = build(KubernetesWorld, tmp_path, monkeypatch)
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("HOME", str(tmp_path))
    config = tmp_path / "kubeconfig"
    config.write_text(
        "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}]\n"
        "contexts: [{name: prod, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n"
    )
    monkeypatch.setenv("KUBECONFIG", str(config))
    told = refused(world.services().look).message
    assert told.startswith("`kubectl get` failed (exit code 1): The connection to the server 127.0.0.1:9 was refused")
