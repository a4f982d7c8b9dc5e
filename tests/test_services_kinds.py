"""What is special to systemd, Kubernetes and a team's own programs: sockets, pods that are still ending, exit codes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from core import doctor
from core.errors import StepFailed
from core.services import kubernetes
from tests.service_worlds import CommandWorld, KubernetesWorld, SystemdWorld, build, refused


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SystemdWorld:
    world: SystemdWorld = build(SystemdWorld, tmp_path, monkeypatch)
    return world


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KubernetesWorld:
    world: KubernetesWorld = build(KubernetesWorld, tmp_path, monkeypatch)
    return world


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandWorld:
    world: CommandWorld = build(CommandWorld, tmp_path, monkeypatch)
    return world


# -- systemd -----------------------------------------------------------------------------------------------


def test_a_socket_that_would_start_a_stopped_service_must_be_named(systemd: SystemdWorld) -> None:
    systemd.alter("api.service", TriggeredBy="api.socket")
    systemd.alter("api.socket", ActiveState="active")
    problem = refused(systemd.services().look)
    assert problem.message == "`api.socket` is active and would start `api` again while it must be stopped."
    assert problem.hint == "Add `api.socket` to `services.names`."
    services = systemd.services(names='["api", "api.socket"]')
    before = services.look()
    services.stop(before)
    assert systemd.state()["units"]["api.socket"]["ActiveState"] == "inactive"
    services.start(before)
    assert systemd.state()["units"]["api.socket"]["ActiveState"] == "active"


def test_a_socket_that_is_stopped_harms_nobody(systemd: SystemdWorld) -> None:
    systemd.alter("api.service", TriggeredBy="api.socket")
    systemd.alter("api.socket", ActiveState="inactive")
    assert systemd.services().look()["api"] == 1


def test_a_unit_that_fails_is_told_without_waiting(systemd: SystemdWorld) -> None:
    services = systemd.services(timeout='"60 s"')
    before = services.look()
    services.stop(before)
    systemd.change(broken=["api.service"])
    began = time.monotonic()
    problem = refused(lambda: services.start(before))
    assert problem.message.startswith(
        "`api` did not start: `systemctl start` failed (exit code 1): Job for api.service failed"
    )
    systemd.change(broken=[], after_start="failed")
    problem = refused(lambda: services.start({"api": 1}))
    assert problem.message == "`api` did not start: it is not active."
    assert time.monotonic() - began < 20


def test_a_unit_in_a_loop_of_crashes_counts_as_running_one_that_is_ending_does_not(systemd: SystemdWorld) -> None:
    systemd.alter("api.service", ActiveState="activating")
    systemd.alter("worker@1.service", ActiveState="deactivating")
    assert systemd.services().look() == {"api": 1, "worker@1.service": 0, "orchestrator": 0}


def test_units_of_the_bots_own_account_are_reached(systemd: SystemdWorld) -> None:
    systemd.change(manager="user")
    services = systemd.services(manager='"user"')
    before = services.look()
    services.stop(before)
    services.start(before)
    assert all("--user" in call for call in systemd.state()["calls"])


def test_no_suggestion_is_made_where_the_units_cannot_be_listed(systemd: SystemdWorld) -> None:
    systemd.fault("list-unit-files", "Failed to list unit files: Access denied", 1)
    assert refused(systemd.services(names='["apii"]').look).hint == "Correct `services.names`."


# -- kubernetes --------------------------------------------------------------------------------------------


def test_pods_that_are_still_ending_are_waited_for_and_named(cluster: KubernetesWorld) -> None:
    cluster.alter("deployment/api", linger=10_000)
    services = cluster.services(timeout='"2 s"')
    problem = refused(lambda: services.stop(services.look()))
    assert problem.message == "`api` did not stop: `pod/api-7d4b9c8f6-00000` has not ended, and 2 more."


def test_what_is_scaled_up_again_by_something_else_is_told(cluster: KubernetesWorld) -> None:
    services = cluster.services(timeout='"300 ms"')
    before = services.look()
    cluster.fault("scale", "ignore")
    assert "something scaled `api` to 3" in refused(lambda: services.stop(before)).message


def test_a_pod_that_does_not_become_ready_is_told_with_its_number(cluster: KubernetesWorld) -> None:
    before = cluster.services().look()
    cluster.services().stop(before)
    cluster.alter("statefulset/worker", sick=True)
    problem = refused(lambda: cluster.services(timeout='"2 s"').start(before))
    assert problem.message == "`statefulset/worker` did not start: 0 of 2 pods of `statefulset/worker` are ready."
    assert problem.hint == "`kubectl describe statefulset/worker` shows why."


def test_readiness_from_before_the_stop_is_not_believed(cluster: KubernetesWorld) -> None:
    """The status lags: until the controller has seen the new number, it shows the pods of before."""
    cluster.alter("deployment/api", replicas=0, generation=5, observed=4, ready=3, running=3)
    cluster.change(lag=3)
    services = cluster.services(names='["api"]')
    services.start({"api": 3})
    assert cluster.state()["workloads"]["deployment/api"]["observed"] == 6


def test_what_an_autoscaler_has_added_since_is_left_alone(cluster: KubernetesWorld) -> None:
    services = cluster.services()
    cluster.alter("deployment/api", replicas=5, running=5, ready=5)
    services.start({"api": 3})
    assert cluster.calls("scale") == [] and cluster.running()["api"] == 5


def test_a_context_or_namespace_that_is_not_there_is_told(cluster: KubernetesWorld) -> None:
    assert "context was not found for specified context: prd" in refused(cluster.services(context='"prd"').look).message
    told = refused(cluster.services(namespace='"elsewhere"', names='["api"]').look).message
    assert told == "There is no deployment or stateful set `api` in the namespace `elsewhere`."


def test_no_suggestion_is_made_where_workloads_may_not_be_listed(cluster: KubernetesWorld) -> None:
    cluster.change(may_list=False)
    assert refused(cluster.services(names='["apii"]').look).hint == "Correct `services.names`."


def test_a_selector_is_handed_on_whole() -> None:
    rules = [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "old", "operator": "DoesNotExist"},
        {"key": "new", "operator": "Exists"},
        {"key": "zone", "operator": "NotIn", "values": ["x"]},
    ]
    workload = {"spec": {"selector": {"matchLabels": {"app": "api"}, "matchExpressions": rules}}}
    assert kubernetes.selector(workload) == "app=api,tier in (a,b),!old,new,zone notin (x)"


@pytest.mark.parametrize("printed", ["<html>", "{}", "[1]", '{"kind": "List"}'])
def test_an_answer_that_is_none_is_refused(printed: str) -> None:
    with pytest.raises(StepFailed, match="printed what I cannot read"):
        kubernetes.items(printed)


# -- a team's own programs ---------------------------------------------------------------------------------


def test_without_a_status_program_services_are_taken_for_running_and_exit_codes_believed(own: CommandWorld) -> None:
    services = own.services(status="")
    before = services.look()
    assert before == {"application": 1}
    services.stop(before)
    services.start(before)
    assert [call[0] for call in own.state()["calls"]] == ["stop", "start"]
    own.fault("stop", "it would not", 7)
    assert refused(lambda: services.stop(before)).message == (
        "`application` did not stop: `application` failed (exit code 7): it would not."
    )
    assert doctor.services(own.target(status="")) == "they are taken for running: `services.status` is not set"


@pytest.mark.parametrize("code", [1, 3])
def test_status_says_stopped_with_1_or_3(own: CommandWorld, code: int) -> None:
    own.change(running=0, next=0, stopped_code=code)
    assert own.services().look() == {"application": 0}


@pytest.mark.parametrize("code", [2, 4, 127, 255])
def test_another_exit_code_of_status_tells_nothing(own: CommandWorld, code: int) -> None:
    own.change(running=0, next=0, stopped_code=code)
    assert f"`application` failed (exit code {code}): it gave no reason." in refused(own.services().look).message


def test_what_runs_already_is_not_started_a_second_time(own: CommandWorld) -> None:
    own.services().start({"application": 1})
    assert own.running() == {"application": 1} and own.calls("start") == []


def test_a_stop_program_that_complains_is_believed_only_if_it_still_runs(own: CommandWorld) -> None:
    own.change(running=0, next=0)
    own.fault("stop", "it is stopped already", 1)
    own.services().stop({"application": 1})
