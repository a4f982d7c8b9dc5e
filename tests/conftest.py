"""One throw-away PostgreSQL per test process, one fresh database per test."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import psycopg
import pytest

from demo import postgres
from demo.postgres import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with postgres.start(tmp_path_factory.mktemp("pg")) as running:
        yield running


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """The URL of an empty database."""
    yield from fresh(server, "template0")


def fresh(server: Server, template: str) -> Iterator[str]:
    name = f"t_{secrets.token_hex(5)}"
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {template}")  # type: ignore[call-overload]
        yield server.url(name)
        conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")  # type: ignore[call-overload]
