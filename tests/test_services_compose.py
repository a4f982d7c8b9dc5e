"""Compose's services: exactly the containers that ran, and nothing that they depend on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.service_programs.containers import container
from tests.service_worlds import ComposeWorld, build, refused


@pytest.fixture
def compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ComposeWorld:
    world: ComposeWorld = build(ComposeWorld, tmp_path, monkeypatch)
    return world


def test_what_a_service_depends_on_is_not_started_with_it(compose: ComposeWorld) -> None:
    """`docker compose start api` would run `migrate` again, on the database that was just put back."""
    services = compose.services()
    before = services.look()
    services.stop(before)
    services.start(before)
    assert compose.everything() == {
        "app-api-1": "running", "app-worker-1": "running", "app-worker-2": "running",
        "app-orchestrator-1": "exited", "app-migrate-1": "exited",
    }  # fmt: skip
    assert compose.calls("compose") == []


def test_services_are_started_in_the_order_of_the_settings(compose: ComposeWorld) -> None:
    services = compose.services(names='["worker", "api"]')
    before = services.look()
    services.stop(before)
    services.start(dict(sorted(before.items())))
    ids = [container("app", *one, "")["id"] for one in (("worker", 1), ("worker", 2), ("api", 1))]
    assert compose.calls("start") == [["start", "start", *ids]]


def test_as_many_containers_of_a_service_run_again_as_ran(compose: ComposeWorld) -> None:
    compose.alter("app-worker-1", state="exited")
    services = compose.services()
    before = services.look()
    assert before["worker"] == 1
    services.stop(before)
    services.start(before)
    assert compose.running()["worker"] == 1


def test_a_container_of_compose_run_is_stopped_and_not_started_again(compose: ComposeWorld) -> None:
    compose.add(container("app", "api", 7, "running", oneoff=True))
    services = compose.services()
    before = services.look()
    assert before["api"] == 1
    services.stop(before)
    assert compose.everything()["app-api-run-7"] == "exited"
    services.start(before)
    assert compose.everything()["app-api-run-7"] == "exited"


@pytest.mark.parametrize("state", ["paused", "restarting"])
def test_a_container_that_is_paused_or_crashes_again_and_again_is_stopped_too(
    compose: ComposeWorld, state: str
) -> None:
    compose.alter("app-api-1", state=state)
    services = compose.services()
    before = services.look()
    assert before["api"] == 1
    services.stop(before)
    assert compose.everything()["app-api-1"] == "exited"


def test_the_same_names_in_two_projects_are_refused_until_one_is_named(compose: ComposeWorld) -> None:
    compose.add(container("staging", "api", 1, "running"))
    problem = refused(compose.services().look)
    assert problem.message == "2 Compose projects have services of these names: `app` and `staging`."
    assert problem.hint == "Say which is meant: `services.project`."
    services = compose.services(project='"app"')
    services.stop(services.look())
    assert compose.everything()["staging-api-1"] == "running"


def test_a_container_that_ends_at_once_did_not_start(compose: ComposeWorld) -> None:
    services = compose.services()
    before = services.look()
    services.stop(before)
    compose.change(after_start="exited")
    problem = refused(lambda: services.start(before))
    assert problem.message == "`api` and `worker` did not start: it ended right after its start."


def test_what_can_start_is_started_though_something_else_cannot(compose: ComposeWorld) -> None:
    services = compose.services()
    before = services.look()
    services.stop(before)
    compose.change(broken=["api"])
    problem = refused(lambda: services.start(before))
    assert problem.message.startswith(
        "`api` did not start: `docker start` failed (exit code 1): Error response from daemon: driver"
    )
    assert "port is already allocated" in problem.message
    assert compose.running() == {"api": 0, "worker": 2, "orchestrator": 0}


def test_a_removed_container_is_left_to_people_without_the_compose_file(compose: ComposeWorld) -> None:
    services = compose.services()
    before = services.look()
    services.stop(before)
    compose.remove("app-api-1")
    problem = refused(lambda: services.start(before))
    assert "its containers were removed, and I cannot make them: `services.file` is not set." in problem.message
    assert problem.hint == "Make them the way you deploy: `docker compose up --detach --no-deps api`."
    assert compose.running()["worker"] == 2


@pytest.mark.parametrize("program", ["the plugin", "docker-compose"])
def test_a_removed_container_is_made_again_from_the_compose_file(compose: ComposeWorld, program: str) -> None:
    if program == "docker-compose":
        compose.change(plugin=False)
        compose.install("docker-compose", "docker", "docker-compose")
    services = compose.services(file=compose.compose_file)
    before = services.look()
    services.stop(before)
    compose.remove("app-api-1", "app-worker-1", "app-worker-2")
    services.start(before)
    assert compose.running() == dict(compose.run)
    assert compose.everything()["app-migrate-1"] == "exited" and compose.everything()["app-orchestrator-1"] == "exited"


def test_all_containers_may_be_gone_when_the_compose_file_is_known(compose: ComposeWorld) -> None:
    services = compose.services(file=compose.compose_file)
    before = services.look()
    services.stop(before)
    compose.change(containers=[])
    assert services.look() == {"api": 0, "worker": 0, "orchestrator": 0}
    services.start(before)
    assert compose.running() == dict(compose.run)
    assert sorted(compose.everything()) == ["app-api-1", "app-worker-1", "app-worker-2"]


def test_no_container_is_made_with_an_empty_value_for_a_variable(compose: ComposeWorld) -> None:
    file = compose.folder / "app" / "compose.yaml"
    file.write_text(file.read_text().replace("APP_DATABASE_URL:?the database", "SENTRY_DSN"))
    services = compose.services(file=compose.compose_file)
    before = services.look()
    services.stop(before)
    compose.remove("app-api-1")
    problem = refused(lambda: services.start(before))
    assert "and I cannot make them: Compose finds no value for `SENTRY_DSN` here." in problem.message
    assert "app-api-1" not in compose.everything()


def test_a_variable_that_compose_requires_is_named_before_anything_is_stopped(compose: ComposeWorld) -> None:
    (compose.folder / "app" / ".env").unlink()
    problem = refused(compose.services(file=compose.compose_file).look)
    assert "required variable APP_DATABASE_URL is missing a value" in problem.message


def test_a_compose_file_or_a_compose_that_is_not_there_is_said_at_once(compose: ComposeWorld) -> None:
    assert refused(compose.services(file='"gone.yaml"').look).message == "The compose file is not there."
    compose.change(plugin=False)
    problem = refused(compose.services(file=compose.compose_file).look)
    assert problem.message == "Docker Compose is not installed here." and "docker-compose-plugin" in problem.hint
