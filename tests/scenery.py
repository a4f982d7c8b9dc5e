"""What several stories share: a slow script, somebody else's lock, waiting for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from tests.bench_fixtures import Play

Stage = Callable[..., Play]
REASON = "payments fail since the deploy of this afternoon"
LATER = "\n======== later ========\n\n"
UNDO_012 = "rollback/012_stripe_events.sql"
SCRIPT_012 = "DROP FUNCTION claim_stripe_event(text, text, jsonb);\nDROP TABLE stripe_events;\n"
SLOW_TRIAL = (
    "DO $$ BEGIN IF current_database() LIKE '%_restored_%' THEN PERFORM pg_sleep(1); END IF; END $$;\n" + SCRIPT_012
)
"""Takes its time on the restored copy only, so that people can act while the proofs go on."""


@contextmanager
def holding(url: str, statement: str, name: str = "nightly-report") -> Iterator[None]:
    """Somebody else's open transaction."""
    with psycopg.connect(url, application_name=name) as conn:
        conn.execute(statement.encode())
        yield
        conn.rollback()


def waits_for_lock(play: Play) -> None:
    """Wait until a run says that somebody is in its way."""
    play.slack.wait_for(lambda: any(run.held_up for run in play.ledger.open_runs()))
