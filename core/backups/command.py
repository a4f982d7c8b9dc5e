"""The team's own backup (pgBackRest, WAL-G, a snapshot of the cloud), and what the rollback destroys beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from core import postgres
from core.backups import Copy, programs
from core.backups.dump import Archive
from core.backups.scoped import Scoped
from core.model import Json
from core.runbook import Work
from core.settings import Target


class Command(Scoped):
    """`take` takes it, `verify` verifies it; where the server archives its log, a restore point is named after it."""

    name = "command"

    def ready(self, target: Target, conn: postgres.Connection) -> str:
        for words in (target.backup.take, target.backup.verify):
            if words:
                programs.may_run(words)
        why = no_point(conn) if target.backup.restore_point else "not wanted"
        return f"programs of your own, and what a rollback destroys; {f'no restore point ({why})' if why else 'with a restore point'}"

    def whole(self, evidence: Json) -> str:
        point = evidence["restore_point"]
        to = f", up to the restore point {point['name']} ({point['lsn']})" if point else ""
        return f"Everything is in your own backup `{evidence['name']}`; your own tool puts it back{to}."

    def elsewhere(self, work: Work) -> Json:
        work.meter.doing("your program takes its backup")
        chosen, told = work.target.backup, {"RB_RUN": work.run.id}
        limit = chosen.timeout.total_seconds()
        name = programs.last_line(work.target, programs.run(work.target, chosen.take, told, limit, work.cancelled))
        url = work.target.database_url.get_secret_value()
        with postgres.target(url, work.run.id, work.target.name) as conn:
            why = no_point(conn) if chosen.restore_point else "the settings want none"
            point = None if why else set_point(conn, work)
        note = [f"no restore point was named: {why}"] if why else []
        return {"name": name, "restore_point": point, "notes": note}

    def verified(self, work: Work) -> None:
        """By the team's program, where one is named. Raises StepFailed(E-BACKUP), Cancelled."""
        chosen, told = work.target.backup, {"RB_RUN": work.run.id, "RB_BACKUP": work.run.evidence["backup"]["name"]}
        if chosen.verify:
            work.meter.doing("your program verifies its backup")
            programs.run(work.target, chosen.verify, told, chosen.timeout.total_seconds(), work.cancelled)

    @contextmanager
    def proven(self, work: Work, archive: Archive) -> Iterator[Copy]:
        self.verified(work)
        with super().proven(work, archive) as copy:
            yield copy


def no_point(conn: postgres.Connection) -> str:
    """Why no restore point can be named; empty where one can."""
    if postgres.scalar(conn, "SELECT current_setting('archive_mode')") == "off":
        return "the server does not archive its log (`archive_mode` is off)"
    if not postgres.scalar(conn, "SELECT has_function_privilege('pg_create_restore_point(text)', 'EXECUTE')"):
        return "my role may not call pg_create_restore_point"
    return ""


def set_point(conn: postgres.Connection, work: Work) -> Json:
    """Name this moment in the server's log: `name` for recovery_target_name, `lsn` for recovery_target_lsn.

    Another revision of the plan gets a name of its own: recovery ends at the first point of a name.
    """
    name = work.run.id if work.run.revision == 1 else f"{work.run.id}.{work.run.revision}"
    return {"name": name, "lsn": postgres.scalar(conn, "SELECT pg_create_restore_point(%s)::text", name)}
