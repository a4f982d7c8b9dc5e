"""What grows without us counting it, looked at now and then: a folder that pg_dump writes, a database that is filled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import psycopg

from core import postgres
from core.errors import Problem
from core.meter import Meter, Phase
from core.model import Json

EVERY = 2.0  # seconds between two looks


@contextmanager
def sampled(phase: Phase, look: Callable[[], int]) -> Iterator[None]:
    """While the block lasts, what is done of a phase is what `look` says, asked in a thread of its own.

    A look that fails is left out; one that hangs is not waited for.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(EVERY):
            with suppress(OSError, Problem, psycopg.Error):
                phase.done = look()

    with suppress(RuntimeError):  # no thread can be started: then nothing is told of it
        threading.Thread(target=watch, name="sampled", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def filled(meter: Meter, url: str, about: Json) -> AbstractContextManager[None]:
    """While the block lasts, the database at `url` is filled from a backup; `about`: as in its manifest.

    Its size is asked over a connection that is new each time, and so takes nobody's place for long.
    """

    def look() -> int:
        with postgres.connect(url, "rollback-bot looking") as conn:
            conn.execute("SET statement_timeout = '2s'")
            return int(postgres.scalar(conn, "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())"))

    return sampled(meter.show(Phase("restored", "bytes", int(about.get("size", 0)), about=True)), look)
