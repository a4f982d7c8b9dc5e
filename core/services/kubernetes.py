"""Kind `kubernetes`: deployments and stateful sets, scaled to nothing and back.

Scaled to 0, a horizontal autoscaler leaves them alone; scaled back, it goes on. Source: kubernetes.io, "Horizontal Pod
Autoscaling", implicit maintenance-mode deactivation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, TypeAlias

from core.errors import StepFailed
from core.services.runner import Runner, both, failed, listed, unknown, until
from core.settings import Services

Workload: TypeAlias = dict[str, Any]
KINDS = {"deployment": "deployment", "deploy": "deployment", "statefulset": "statefulset", "sts": "statefulset"}
LIVE = "status.phase!=Succeeded,status.phase!=Failed"
OPERATORS = {
    "In": "{key} in ({values})",
    "NotIn": "{key} notin ({values})",
    "Exists": "{key}",
    "DoesNotExist": "!{key}",
}


class Kubernetes:
    """Workloads of one namespace. `look` gives how many pods each is to have, not how many are well."""

    def __init__(self, settings: Services, runner: Runner) -> None:
        self.names, self.run = settings.names, runner
        self.namespace = settings.namespace
        where = {"namespace": settings.namespace, "context": settings.context}
        self.where = [f"--{key}={value}" for key, value in where.items() if value]

    def look(self) -> dict[str, int]:
        return {name: replicas(workload) for name, workload in self._get(self.names).items()}

    def stop(self, before: Mapping[str, int]) -> None:
        names, deadline = both(self.names, before), self.run.deadline()
        scaled = [name for name, workload in self._get(names).items() if replicas(workload)]
        reason = self._scale(0, scaled, deadline) if scaled else ""
        if left := until(lambda: self._left(names), 0 if reason else deadline):
            why = reason or "; ".join(left.values())
            raise failed(f"{listed(left)} did not stop: {why}.", "`kubectl get pods` shows what is left.")

    def start(self, before: Mapping[str, int]) -> None:
        wanted = {name: before[name] for name in both(self.names, before) if before.get(name)}
        deadline, reason = self.run.deadline(), ""
        lower = [name for name, workload in self._get(wanted).items() if replicas(workload) < wanted[name]]
        for count, names in groupby(sorted(lower, key=wanted.__getitem__), wanted.__getitem__):
            reason = self._scale(count, names, deadline) or reason
        if left := until(lambda: self._unready(wanted), 0 if reason else deadline):
            why = reason or "; ".join(left.values())
            hint = f"`kubectl describe {resource(next(iter(left)))}` shows why."
            raise failed(f"{listed(left)} did not start: {why}.", hint)

    def _scale(self, count: int, names: Iterable[str], deadline: float) -> str:
        return self.run.order(["kubectl", "scale", f"--replicas={count}", *map(resource, names), *self.where], deadline)

    def _left(self, names: Iterable[str]) -> dict[str, str]:
        """What is not stopped. A workload's own count leaves out pods that are still ending: only their list tells."""
        left = {}
        for name, workload in self._get(names).items():
            if replicas(workload):
                left[name] = f"something scaled `{name}` to {replicas(workload)}"
            elif pods := self._pods(workload):
                left[name] = f"`{pods[0]}` has not ended" + (f", and {len(pods) - 1} more" if pods[1:] else "")
        return left

    def _pods(self, workload: Workload) -> list[str]:
        words = ["pods", f"--selector={selector(workload)}", f"--field-selector={LIVE}", "--output=name"]
        return self.run.ask(["kubectl", "get", *words, *self.where]).out.split()

    def _unready(self, wanted: Mapping[str, int]) -> dict[str, str]:
        left = {}
        for name, workload in self._get(wanted).items():
            status = workload.get("status", {})
            seen = status.get("observedGeneration", 0) >= workload["metadata"].get("generation", 0)
            ready = status.get("readyReplicas", 0) if seen else 0  # left out when 0
            if ready < wanted[name]:
                left[name] = f"{ready} of {wanted[name]} pods of `{name}` are ready"
        return left

    def _get(self, names: Iterable[str]) -> dict[str, Workload]:
        """Workloads by name. Raises StepFailed(E-SERVICES), also where one does not exist."""
        asked = {name: resource(name) for name in names}
        if not asked:
            return {}
        words = ["kubectl", "get", *asked.values(), "--output=json", "--ignore-not-found", *self.where]
        found = {f"{item['kind'].lower()}/{item['metadata']['name']}": item for item in items(self.run.ask(words).out)}
        lacking = [name for name, one in asked.items() if one not in found]
        if lacking:
            where = f" in the namespace `{self.namespace}`" if self.namespace else " in the context's namespace"
            raise unknown("deployment or stateful set", lacking, self._known(), where)
        return {name: found[one] for name, one in asked.items()}

    def _known(self) -> list[str]:
        """Names as people write them; nothing where they may not be listed: they only help with a slip."""
        words = ["kubectl", "get", "deployments,statefulsets", "--output=name", *self.where]
        try:
            rows = [line.partition("/")[::2] for line in self.run.ask(words).out.split()]
        except StepFailed:
            return []
        return [name if kind.startswith("deployment") else f"statefulset/{name}" for kind, name in rows]


def items(printed: str) -> list[Workload]:
    """What `kubectl get --output=json` prints: nothing, one object, or a list. Raises StepFailed(E-SERVICES)."""
    if not printed.strip():
        return []
    try:
        data = json.loads(printed)
        return list(data["items"]) if data["kind"] == "List" else [data]
    except (ValueError, KeyError, TypeError):
        raise failed("`kubectl get` printed what I cannot read.", "Is kubectl as new as the cluster?") from None


def resource(name: str) -> str:
    """`deployment/api` for `api`, `deploy/api` or itself."""
    kind, _, own = name.rpartition("/")
    return f"{KINDS.get(kind, 'deployment')}/{own}"


def replicas(workload: Workload) -> int:
    """How many pods it is to have; Kubernetes' own default is 1."""
    return int(workload["spec"].get("replicas", 1))


def selector(workload: Workload) -> str:
    """A workload's label selector, as `--selector` takes it."""
    own = workload["spec"]["selector"]
    parts = [f"{key}={value}" for key, value in own.get("matchLabels", {}).items()]
    for rule in own.get("matchExpressions", []):
        parts.append(OPERATORS[rule["operator"]].format(key=rule["key"], values=",".join(rule.get("values", []))))
    return ",".join(parts)
