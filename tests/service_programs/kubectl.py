"""A stand-in for kubectl with a small cluster. Formats and messages are those of kubectl 1.32.

Tried against the real client with an API server that answers like this one. Fields that are zero are left out of a
status; a workload's status follows its spec a little later; pods that are ending are in no status.
"""

from __future__ import annotations

import json
import re

from stage import Failed, State, known, options, play

NO_CLUSTER = (
    'E0102 03:04:05.591397   13714 memcache.go:265] "Unhandled Error" err="couldn\'t get current server API group '
    'list: Get \\"http://localhost:8080/api?timeout=32s\\": dial tcp 127.0.0.1:8080: connect: connection refused"\n'
    "The connection to the server localhost:8080 was refused - did you specify the right host or port?"
)
USER = 'User "system:serviceaccount:shop:bot"'


def verb_of(words: list[str]) -> str:
    return "pods" if words[:2] == ["get", "pods"] else words[0]


def main(state: State, words: list[str]) -> str:
    given, rest = options(words[1:])
    if not state["engine"]:
        raise Failed(NO_CLUSTER)
    if given.get("context", ["prod"]) != ["prod"]:
        raise Failed(f"Error in configuration: context was not found for specified context: {given['context'][0]}")
    here = state["workloads"] if given.get("namespace") == ["shop"] else {}
    if words[0] == "scale":
        known(given, "replicas", "namespace", "context")
        return scale(state, here, rest, int(given["replicas"][0]))
    assert words[0] == "get"
    if rest == ["pods"]:
        known(given, "selector", "field-selector", "output", "namespace", "context")
        assert given["field-selector"] == ["status.phase!=Succeeded,status.phase!=Failed"]
        return pods(here, given["selector"][0])
    known(given, "output", "ignore-not-found", "namespace", "context")
    if rest == ["deployments,statefulsets"]:
        if not state["may_list"]:
            raise Failed(f"Error from server (Forbidden): deployments.apps is forbidden: {USER} cannot list resource")
        return "".join(f"{name.replace('/', '.apps/')}\n" for name in here)
    found = [thing(name, here[name]) for name in rest if name in here]
    state["lag"] -= 1
    if state["lag"] < 0:
        settle(here)
    if not found:
        return ""
    return json.dumps(found[0] if len(rest) == 1 else {"apiVersion": "v1", "items": found, "kind": "List"}, indent=4)


def thing(name: str, own: dict) -> dict:
    """A workload as the server shows it."""
    kind, _, plain = name.partition("/")
    status = {"observedGeneration": own["observed"], "replicas": own["running"], "readyReplicas": own["ready"]}
    return {
        "apiVersion": "apps/v1",
        "kind": {"deployment": "Deployment", "statefulset": "StatefulSet"}[kind],
        "metadata": {"name": plain, "namespace": "shop", "generation": own["generation"]},
        "spec": {"replicas": own["replicas"], "selector": own["selector"]},
        "status": {key: value for key, value in status.items() if value},
    }


def settle(here: dict) -> None:
    """The controllers: after each look a little more of what was asked for is so."""
    for own in here.values():
        own["observed"] = own["generation"]
        if own["running"] > own["replicas"]:
            own["ending"] += own["running"] - own["replicas"]
            own["running"] = own["ready"] = own["replicas"]
        elif own["ready"] < own["running"] and not own["sick"]:
            own["ready"] = own["running"]
        else:
            own["running"] = own["replicas"]


def pods(here: dict, selector: str) -> str:
    """Pods by selector; after some looks those that are ending have ended."""
    text = ""
    for name, own in here.items():
        labels = own["selector"]["matchLabels"].items()
        if selector.startswith(",".join(f"{key}={value}" for key, value in labels)):
            count = own["running"] + own["ending"]
            text += "".join(f"pod/{name.partition('/')[2]}-7d4b9c8f6-{number:05d}\n" for number in range(count))
            own["linger"] -= 1
            if own["linger"] < 0:
                own["ending"] = 0
    return text


def scale(state: State, here: dict, names: list[str], count: int) -> str:
    assert all(re.fullmatch(r"(deployment|statefulset)/[a-z0-9.-]+", name) for name in names)
    lacking = [name for name in names if name not in here]
    if lacking:
        kind, _, plain = lacking[0].partition("/")
        raise Failed(f'error: no objects passed to scale {kind}s.apps "{plain}" not found')
    for name in names:
        if here[name]["replicas"] != count:
            here[name] |= {"replicas": count, "generation": here[name]["generation"] + 1}
    return "".join(f"{name.replace('/', '.apps/')} scaled\n" for name in names)


if __name__ == "__main__":
    play(main, verb_of)
