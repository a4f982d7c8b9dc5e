"""Services are stopped and started as they ran, whatever runs them, and whatever goes wrong on the way."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from core import doctor
from core.services import runner
from tests import service_worlds as worlds
from tests.processes import gone
from tests.service_worlds import (
    SECRET,
    CommandWorld,
    ComposeWorld,
    KubernetesWorld,
    SystemdWorld,
    World,
    build,
    refused,
)

REAL = (ComposeWorld, SystemdWorld, KubernetesWorld, CommandWorld)


@pytest.fixture(params=[*REAL, worlds.NoWorld], ids=lambda world: world.kind)
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world of each kind."""
    return build(request.param, tmp_path, monkeypatch)


@pytest.fixture(params=REAL, ids=lambda world: world.kind)
def real(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world of each kind that runs programs."""
    return build(request.param, tmp_path, monkeypatch)


# -- the contract ------------------------------------------------------------------------------------------


def test_what_ran_is_stopped_and_started_again_as_it_was(world: World) -> None:
    services = world.services()
    before = json.loads(json.dumps(services.look()))
    assert before == dict(world.run) == world.running()
    assert tuple(before) == services.names
    services.stop(before)
    assert set(world.running().values()) <= {0}
    assert services.look() == dict.fromkeys(world.run, 0)
    services.start(before)
    assert services.look() == world.running() == dict(world.run)


def test_stopping_and_starting_twice_does_no_harm(world: World) -> None:
    services = world.services()
    before = services.look()
    for _ in range(2):
        services.stop(before)
        assert set(world.running().values()) <= {0}
    for _ in range(2):
        services.start(before)
        assert world.running() == dict(world.run)


@pytest.mark.parametrize("verb", ["stop", "start"])
def test_a_process_that_is_killed_at_any_point_is_finished_by_the_next(real: World, verb: str) -> None:
    before = real.services().look()
    if verb == "start":
        real.services().stop(before)
    for at in range(20):
        real.change(count=0, crash=at)
        if (code := real.in_a_process(verb, before)) == 0:
            break
        assert code == -9
    assert at > 1, "nothing was interrupted"
    assert real.running() == (dict(real.run) if verb == "start" else dict.fromkeys(real.run, 0))


def test_a_stop_that_was_cut_short_can_be_taken_back(real: World) -> None:
    before = real.services().look()
    real.change(count=0, crash=1)
    assert real.in_a_process("stop", before) == -9
    real.change(crash=-1)
    real.services().stop(before)
    real.services().start(before)
    assert real.running() == dict(real.run)


def test_stop_waits_until_nothing_is_left(real: World) -> None:
    """What is still ending is not stopped: it can still write."""
    real.change(linger=3)
    if isinstance(real, KubernetesWorld):
        real.alter("deployment/api", linger=3)
    services = real.services()
    services.stop(services.look())
    assert set(real.running().values()) == {0}


def test_what_the_record_names_is_stopped_and_started_though_the_settings_have_changed(real: World) -> None:
    before = real.services().look()
    if not isinstance(real, CommandWorld):
        real.more = {"names": f'["{list(real.run)[-1]}"]'}
    services = real.services()
    services.stop(before)
    assert set(real.running().values()) == {0}
    services.start(before)
    assert real.running() == dict(real.run)


def test_nothing_that_was_stopped_is_started(real: World) -> None:
    services = real.services()
    services.stop(services.look())
    before = services.look()
    assert set(before.values()) == {0}
    services.start(before)
    assert set(real.running().values()) == {0}
    assert real.starts == real.stops or real.calls(real.starts) == []


# -- faults of every kind ----------------------------------------------------------------------------------


def test_a_missing_program_is_named(real: World) -> None:
    (real.bin / real.program).unlink()
    problem = refused(real.services().look)
    assert problem.message == f"I cannot run `{real.program}`: no such file or directory."


def test_a_program_that_fails_is_quoted_without_secrets_and_paths(real: World) -> None:
    real.fault(real.looks, f"error: open /home/ana/.kube/{SECRET}: no user app:{SECRET}@db\nUsage: it", 4)
    problem = refused(real.services().look)
    assert "error: open …: no user" in problem.message
    if real.kind != "command":
        assert problem.message.startswith(f"`{real.program} {real.looks}` failed (exit code 4): ")


@pytest.mark.parametrize("verb", ["stop", "start"])
def test_an_order_that_is_refused_names_the_services(real: World, verb: str) -> None:
    services = real.services()
    before = services.look()
    if verb == "start":
        services.stop(before)
    real.fault(getattr(real, f"{verb}s"), "Access denied: you may not\nSee the manual.", 4)
    problem = refused(lambda: getattr(services, verb)(before))
    named = [name for name, count in before.items() if count]
    assert all(f"`{name}`" in problem.message for name in named)
    assert (
        f"did not {verb}: `" in problem.message
        and "failed (exit code 4): Access denied: you may not." in problem.message
    )


def test_an_order_that_hangs_is_ended_with_all_that_it_began(real: World) -> None:
    services = real.services(timeout='"1 s"')
    before = services.look()
    real.fault(real.stops, "hang")
    hangs(real, lambda: services.stop(before))


def test_a_question_that_hangs_is_ended_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = build(SystemdWorld, tmp_path, monkeypatch)
    monkeypatch.setattr(runner, "QUESTION", 1)
    world.fault(world.looks, "hang")
    hangs(world, world.services().look)


def hangs(world: World, act: Any) -> None:
    began = time.monotonic()
    assert "did not end within 1 s" in refused(act).message
    assert time.monotonic() - began < 10
    for pid in world.state()["hanging"]:
        gone(pid)


def test_a_stop_that_stops_nothing_names_what_still_runs(real: World) -> None:
    services = real.services(timeout='"300 ms"')
    before = services.look()
    real.fault(real.stops, "ignore")
    problem = refused(lambda: services.stop(before))
    assert all(f"`{name}`" in problem.message for name, count in before.items() if count)
    assert all(f"`{name}`" not in problem.message for name, count in before.items() if not count)
    assert " did not stop: " in problem.message


def test_a_start_that_starts_nothing_names_what_does_not_run(real: World) -> None:
    before = real.services().look()
    real.services().stop(before)
    real.fault(real.starts, "ignore")
    problem = refused(lambda: real.services(timeout='"300 ms"').start(before))
    assert all(f"`{name}`" in problem.message for name, count in before.items() if count)
    assert " did not start: " in problem.message


@pytest.mark.parametrize("kind", [ComposeWorld, SystemdWorld, KubernetesWorld], ids=lambda kind: kind.kind)
def test_an_unknown_name_is_told_with_the_nearest(
    kind: type[World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = build(kind, tmp_path, monkeypatch)
    problem = refused(world.services(names='["api", "orchestrato"]').look)
    assert "There is no " in problem.message and "`orchestrato`" in problem.message and "`api`" not in problem.message
    assert problem.hint == "Did you mean `orchestrator`? Correct `services.names`."


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (ComposeWorld, "`docker ps` failed (exit code 1): Cannot connect to the Docker daemon at …. Is the docker daemon running."),
        (SystemdWorld, "`systemctl show` failed (exit code 1): System has not been booted with systemd as init system (PID 1). Can't "
         "operate."),
        (KubernetesWorld, "`kubectl get` failed (exit code 1): The connection to the server localhost:8080 was refused - did you "
         "specify the right host or port."),
    ],
)  # fmt: skip
def test_what_does_not_answer_is_told_as_the_program_tells_it(
    kind: type[World], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = build(kind, tmp_path, monkeypatch)
    world.change(engine=False)
    assert refused(world.services().look).message == told


def test_no_program_sees_the_bots_secrets(real: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ.keys() - {"PATH"}:
        monkeypatch.delenv(name)
    for name in ("DATABASE_URL", "TEST_DATABASE_URL", "PGPASSWORD", "SLACK_BOT_TOKEN", "ROLLBACK_SLACK__APP_TOKEN"):
        monkeypatch.setenv(name, SECRET)
    for name in ("HOME", "DOCKER_HOST", "KUBECONFIG", "XDG_RUNTIME_DIR", "AWS_PROFILE"):
        monkeypatch.setenv(name, "needed")
    real.services().look()
    seen = set(real.state()["variables"])
    assert seen - {"PWD", "SHLVL", "_", "OLDPWD"} == {
        "PATH", "HOME", "DOCKER_HOST", "KUBECONFIG", "XDG_RUNTIME_DIR", "AWS_PROFILE", "LC_ALL"
    }  # fmt: skip


def test_the_doctor_says_what_runs_or_what_to_correct(world: World) -> None:
    told = {
        "compose": "compose: `api` runs (1), `worker` runs (2), `orchestrator` is stopped",
        "systemd": "systemd: `api` runs (1), `worker@1.service` runs (1), `orchestrator` is stopped",
        "kubernetes": "kubernetes: `api` runs (3), `statefulset/worker` runs (2), `deploy/orchestrator` is stopped",
        "command": "command: `application` runs (1)",
        "none": "none are set: nothing is stopped while a backup is put back",
    }
    assert doctor.services(world.target()) == told[world.kind]
    if world.kind not in ("command", "none"):
        (finding,) = doctor.look("services", lambda: doctor.services(world.target(names='["apo"]')))
        assert (finding.ok, finding.remedy) == (False, "Did you mean `api`? Correct `services.names`.")
