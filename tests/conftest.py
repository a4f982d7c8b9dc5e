"""One throw-away PostgreSQL per test process, one fresh database per test, one bench per story."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest

from demo import postgres
from demo.app import sample
from demo.bench import Bench
from demo.postgres import Server
from tests import browsers, forks, page_world, save_bench
from tests.bench_fixtures import QUICK, Play, playing, settings_of
from tests.stand_ins import Narrow

TEMPLATE = "sample_template"
PROFILES = 300
EVENTS = """INSERT INTO stripe_events (event_id, type, payload)
    SELECT 'evt_' || g, 'invoice.paid', jsonb_build_object('text', repeat(md5(g::text), 30)) FROM generate_series(1, 12000) g"""
"""12 MB of rows that the rollback of the newest migration destroys."""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with in_memory() as memory:
        small = {"max_wal_size": "64MB", "min_wal_size": "32MB"}
        with postgres.start(memory or tmp_path_factory.mktemp("pg"), settings=small) as running:
            yield running


@contextmanager
def in_memory() -> Iterator[Path | None]:
    """A folder in memory, where there is enough: the tests make thousands of databases, and ext4 is slow to make files
    soon after many were removed."""
    shm = Path("/dev/shm")
    if not os.access(shm, os.W_OK) or shutil.disk_usage(shm).free < 4 << 30:
        yield None
        return
    with TemporaryDirectory(prefix="rollback-tests-", dir=shm) as folder:
        Path(folder).chmod(0o755)  # as root, the server runs as somebody else
        yield Path(folder) / "pg"


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """The URL of an empty database."""
    yield from fresh(server, "template0")


@pytest.fixture(scope="session")
def template(server: Server) -> str:
    """The name of a database with the sample application in it, migrated and filled; never connected to."""
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0")
    sample.migrate(server.url(TEMPLATE))
    sample.fill(server.url(TEMPLATE), PROFILES)
    return TEMPLATE


@pytest.fixture
def app(server: Server, template: str) -> Iterator[str]:
    """The URL of a database of the sample application."""
    yield from fresh(server, template)


@pytest.fixture
def line(server: Server) -> Iterator[Narrow]:
    """A line to the server that can be made narrow."""
    found = Narrow(server)
    yield found
    found.close()


@pytest.fixture
def full(app: str) -> str:
    """The sample application with something to back up."""
    with psycopg.connect(app) as conn:
        conn.execute(EVENTS.encode())  # type: ignore[arg-type]
    return app


@pytest.fixture
def stage(server: Server, app: str, tmp_path: Path) -> Iterator[Callable[..., Play]]:
    """`stage(settings=..., top=..., ...)` starts a bench with the real bot in it; it ends with the test."""
    with ExitStack() as ending:

        def start(settings: str = "", **more: Any) -> Play:
            env = QUICK | more.pop("env", {})
            more = {"processes": forks} | more
            bench = Bench(tmp_path / "bench", server, app, settings_of(settings), env=env, **more)
            return ending.enter_context(playing(bench))

        yield start


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One Chromium for all; each test opens windows of its own."""
    yield from browsers.chromium()


@pytest.fixture(scope="session")
def all_screens(browser: Any) -> Iterator[page_world.World]:
    """One workspace with one app for all tests of the page in this process."""
    with page_world.world(browser) as made:
        yield made


@pytest.fixture
def screens(all_screens: page_world.World) -> Iterator[page_world.World]:
    """Empty again after each test."""
    yield all_screens
    all_screens.reset()


@pytest.fixture(scope="session")
def saves(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[save_bench.Bench]:
    """Where migrations are undone and applied again, one case after the other."""
    bench = save_bench.Bench(server, tmp_path_factory.mktemp("saves"))
    yield bench
    bench.close()


def fresh(server: Server, template: str) -> Iterator[str]:
    name = f"t_{secrets.token_hex(5)}"
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")  # type: ignore[call-overload]
        yield server.url(name)
        conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")  # type: ignore[call-overload]
