"""A stand-in for Docker's client with a small engine, and for Compose as its plugin or as `docker-compose`.

Formats and messages are those of Docker 28 and Compose 2; sources: docker/cli (cli/command/container), docker/compose
(cmd/compose, pkg/compose), and what the real client prints before an engine that answers like this one.
"""

from __future__ import annotations

import os
import re
import sys

from containers import container
from stage import Failed, State, known, options, play

NO_ENGINE = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
NO_PLUGIN = "docker: unknown command: docker compose\n\nRun 'docker --help' for more information"
PORT = "driver failed programming external connectivity on endpoint {}: Bind for 0.0.0.0:80 failed: port is already allocated"


def verb_of(words: list[str]) -> str:
    return words[0]


def main(state: State, words: list[str]) -> str:
    if words[0] == "docker-compose":
        return compose(state, words[1:])
    if words[0] == "compose":
        if not state["plugin"]:
            raise Failed(NO_PLUGIN)
        return compose(state, words[1:])
    if not state["engine"]:
        raise Failed(NO_ENGINE)
    return {"ps": ps, "stop": stop, "start": start}[words[0]](state, words[1:])


def ps(state: State, words: list[str]) -> str:
    given, rest = options(words)
    known(given, "all", "no-trunc", "filter", "format")
    assert not rest and "no-trunc" in given
    found = state["containers"]
    for kind, _, wanted in (text.partition("=") for text in given["filter"]):
        assert kind == "label"
        name, _, value = wanted.partition("=")
        found = [c for c in found if name in c["labels"] and value in ("", c["labels"][name])]
    if "all" not in given:
        found = [c for c in found if c["state"] in ("running", "paused", "restarting")]
    return "".join(row(container, given["format"][0]) + "\n" for container in reversed(found))


def row(container: dict, template: str) -> str:
    """A Go template, as far as it is used."""
    text = re.sub(r'{{\.Label "([^"]+)"}}', lambda m: container["labels"].get(m[1], ""), template)
    return text.replace("{{.ID}}", container["id"]).replace("{{.State}}", container["state"])


def stop(state: State, words: list[str]) -> str:
    return each(state, words, "stop")


def start(state: State, words: list[str]) -> str:
    return each(state, words, "start")


def each(state: State, ids: list[str], verb: str) -> str:
    """`docker stop` and `docker start`: all that can be done is done, what cannot is told at the end."""
    by_id = {container["id"]: container for container in state["containers"]}
    out, errors, wrong = "", [], []
    for one in ids:
        container = by_id.get(one)
        if container is None:
            errors.append(f"Error response from daemon: No such container: {one}")
        elif verb == "start" and container["labels"]["com.docker.compose.service"] in state["broken"]:
            errors.append(f"Error response from daemon: {PORT.format(container['name'])}")
        else:
            container["state"] = "exited" if verb == "stop" else state["after_start"]
            out += f"{one}\n"
            continue
        wrong.append(one)
    if wrong:
        more = f"\nError: failed to start containers: {', '.join(wrong)}" if verb == "start" else ""
        raise Failed("\n".join(errors) + more)
    return out


# -- Compose -----------------------------------------------------------------------------------------------


def compose(state: State, words: list[str]) -> str:
    if words == ["version"]:
        return "Docker Compose version v2.29.2\n"
    verbs = [at for at, word in enumerate(words) if not word.startswith("-")]
    before, verb, after = words[: verbs[0]], words[verbs[0]], words[verbs[0] + 1 :]
    globals_, _ = options(before)
    known(globals_, "file", "project-name")
    file = globals_["file"][0]
    services = read(state, file)
    given, names = options(after)
    if verb == "config":
        known(given, "services", "quiet")
        return "".join(f"{name}\n" for name in services) if "services" in given else ""
    assert verb == "up"
    known(given, "detach", "no-deps", "no-recreate", "no-build", "scale")
    assert "detach" in given, "without it Compose stays attached"
    project = globals_.get("project-name", [os.path.basename(os.path.dirname(file))])[0]  # noqa: PTH119, PTH120
    return up(state, services, project, given, names)


def read(state: State, file: str) -> dict:
    """The services of a compose file, interpolated from `.env` beside it and the environment, as Compose does."""
    sys.path.append(state["packages"])
    from pathlib import Path

    import yaml  # here, since most calls do without

    env = dict(os.environ)
    if (Path.cwd() / ".env").is_file():
        env |= dict(line.split("=", 1) for line in (Path.cwd() / ".env").read_text().split())

    def put(found: re.Match[str]) -> str:
        name, message = found[1], found[2]
        if env.get(name):
            return env[name]
        if message is not None:
            raise Failed(
                f"error while interpolating services.api.environment.X: required variable {name} is missing a value: "
                f"{message}"
            )
        sys.stderr.write(
            f'time="2026-01-02T03:04:05Z" level=warning msg="The \\"{name}\\" variable is not set. Defaulting to a '
            'blank string."\n'
        )
        return ""

    text = re.sub(r"\$\{(\w+)(?::\?([^}]*))?\}", put, Path(file).read_text())
    services: dict = yaml.safe_load(text)["services"]
    return services


def up(state: State, services: dict, project: str, given: dict[str, list[str]], names: list[str]) -> str:
    """Creates what is missing and starts what rests. Without --no-deps also what the services depend on."""
    scale = dict(text.split("=") for text in given.get("scale", []))
    todo = list(names)
    for name in todo:
        if name not in services:
            raise Failed(f"no such service: {name}")
        if "no-deps" not in given:
            todo += [other for other in services[name].get("depends_on", []) if other not in todo]
    for name in todo:
        own = [c for c in state["containers"] if c["name"].startswith(f"{project}-{name}-")]
        for number in range(len(own) + 1, int(scale.get(name, 1)) + 1):
            state["containers"].append(container(project, name, number, "running"))
        for one in own:
            one["state"] = "running"
    return ""


if __name__ == "__main__":
    play(main, verb_of)
