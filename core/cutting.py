"""Ends what a run still has under way on its target, when the process must end and cannot wait any longer."""

from __future__ import annotations

from typing import LiteralString

import psycopg
import structlog

from core import postgres
from core.errors import Problem
from core.settings import Target

log = structlog.get_logger()
END: LiteralString = """
    SELECT count(pg_catalog.pg_terminate_backend(pid)) FROM pg_catalog.pg_stat_activity
     WHERE application_name = %s AND usename = current_user"""


def cut_short(target: Target, run_id: str) -> int:
    """End the run's sessions on the target's server; their number. What they had not committed is undone.

    Ended, not cancelled: a session that waits for us between two statements has nothing to cancel, and would go on.
    Whether it took effect is not known from this: the database is asked afterwards (`Step.found`).
    """
    try:
        url = target.database_url.get_secret_value()
        with postgres.connect(url, f"rollback-bot {run_id} ending", target.name) as conn:
            return int(postgres.scalar(conn, END, f"rollback-bot {run_id}"))
    except (psycopg.Error, Problem) as error:
        log.warning("not cut short", run=run_id, error=type(error).__name__)  # it ends with the process
        return 0
