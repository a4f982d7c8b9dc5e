"""Ends what a connection does once nobody wants it any more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg

from core import postgres
from core.errors import StepFailed
from core.pgtools import Cancelled

EACH = 0.2  # seconds between two looks


@contextmanager
def stoppable(conn: postgres.Connection, cancelled: Callable[[], bool]) -> Iterator[None]:
    """What the connection does in the block is ended where it was `cancelled` meanwhile. Raises Cancelled.

    Also where the block took the end of a statement for a failure of that statement.
    """
    over, closed = threading.Event(), threading.Event()

    def look() -> None:
        while not over.wait(EACH):
            if cancelled():
                closed.set()
                with suppress(psycopg.Error):  # the connection is gone, so is what it did
                    conn.cancel_safe(timeout=5)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield
    except (psycopg.errors.QueryCanceled, StepFailed):
        if not closed.is_set():
            raise
    finally:
        over.set()
        watcher.join()
    if closed.is_set():
        raise Cancelled
