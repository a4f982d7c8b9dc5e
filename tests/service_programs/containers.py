"""A container as Compose makes it."""

from __future__ import annotations


def container(project: str, service: str, number: int, state: str, oneoff: bool = False) -> dict:
    """`docker ps` shows these things of it."""
    name = f"{project}-{service}-{'run-' if oneoff else ''}{number}"
    labels = {"project": project, "service": service, "oneoff": str(oneoff), "container-number": str(number)}
    named = {f"com.docker.compose.{key}": value for key, value in labels.items()}
    return {"id": name.encode().hex().ljust(64, "0")[:64], "name": name, "state": state, "labels": named}
