"""Runs as they were read last. Events are never changed, so only those that are new are read and decoded."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from core import fold
from core.model import Event, Run

KEPT = 50  # runs


class Known:
    """What one ledger has read. Its row names a run's newest event: where the row is the same, so is the run."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Mapping[str, Any], Run, tuple[Event, ...]]] = {}
        self._guard = threading.Lock()

    def run(self, db: fold.Store, row: Mapping[str, Any]) -> Run:
        """The run of a row of `rollbacks`, as this connection sees it.

        What an open transaction has written is not kept: should it be undone, other events get these numbers.
        """
        kept = self._kept.get(row["id"])
        if kept and kept[0] == row:
            return kept[1]
        before = kept[2] if kept else ()
        after = before[-1].id if before else 0
        new = fold.select(db, "events WHERE run = ? AND id > ? ORDER BY id", [row["id"], after])
        events = (*before, *[fold.event(one) for one in new])
        run = fold.run(row, events)
        if not db.conn.in_transaction:
            with self._guard:  # who looks for the oldest must not meet somebody who adds one
                self._kept[run.id] = (row, run, events)
                if len(self._kept) > KEPT:
                    self._kept.pop(next(iter(self._kept)))
        return run
