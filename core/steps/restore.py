"""Restore, the second way back: the full backup into a fresh database, which then takes the old one's name.

The application runs on while the backup is put in and compared; it is stopped for the swap only. The old database is kept
under another name, with everything that was written since the backup.
"""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime

import psycopg

from core import databases, layouts, postgres, schema
from core.backups import dump, strategies
from core.backups.full import Full
from core.backups.proof import unharmed
from core.errors import Refused, StepFailed
from core.ledger import canonical
from core.model import Json, Run
from core.redact import pg_error
from core.runbook import Work
from core.scratch_copy import target
from core.services import services_for
from core.steps.verify import ask
from core.written_since import losses

NOTHING = "Nothing was started."


# -- 1 identify ----------------------------------------------------------------------------------------------


def identify(work: Work) -> Json:
    """The backup, the database as it is now, and who uses it. Raises Refused."""
    origin = work.undoes
    taken = intact(work, origin)
    layout = layouts.of(work.target)
    with target(work) as conn:
        history, database = layout.history(conn), postgres.identity(conn)
    before = origin.evidence["identify"]
    if any(database[key] != before["database"][key] for key in ("system_identifier", "oid")):
        raise Refused(
            "E-NO-BACKUP",
            f"*{work.target.name}* is another database now than the one that {origin.id} backed up.",
            f"Put the backup back by hand, if you must. {NOTHING}",
        )
    day = f"{datetime.now(UTC):%Y%m%d}"
    new, kept = databases.names_of(database["name"], work.run.id, day)
    with databases.admin(work.target, work.run.id) as conn:
        databases.may_swap(conn, work.target, database["name"])
        slots = databases.slots(conn, database["name"])
    return {
        "database": database,
        "history_table": history.table,
        "applied": [row.version for row in history.applied],
        "will_apply": before["applied"],
        "backup": {key: taken[key] for key in ("file", "sha256", "bytes", "taken_at", "rows", "tables")},
        "new": new,
        "kept": kept,
        "services": {"kind": work.target.services.kind, "names": list(services_for(work.target).names)},
        "slots": slots,
    }


def intact(work: Work, origin: Run) -> Json:
    """What was told of the rollback's backup, after it was found to be everything, unharmed and readable. Raises Refused."""
    taken = origin.evidence["backup"]
    strategy, files = strategies.named(taken["format"]), dump.archive_of(work, origin.id)
    if not strategy.restores:
        raise Refused(
            "E-NO-BACKUP",
            f"The backup of *{origin.id}* holds only what its rollback destroyed. {strategy.whole(taken)} {NOTHING}",
            f"`reapply {origin.id}` puts the saved rows back.",
            (f"/rollback reapply {origin.id}",),
        )
    if not files.backup(taken["format"]).exists():
        raise Refused("E-NO-BACKUP", f"The backup of *{origin.id}* is no longer kept.", NOTHING)
    try:
        unharmed(files, taken)
        dump.readable(files.backup(taken["format"]))
    except StepFailed as error:
        raise Refused("E-NO-BACKUP", error.message, f"{error.hint} {NOTHING}") from None
    return taken


# -- 2 rehearse ----------------------------------------------------------------------------------------------


def rehearse(work: Work) -> Json:
    """What will be lost, by table, and how long it may take. Only reads."""
    started, found = time.monotonic(), work.run.evidence["identify"]
    work.meter.doing("counting what was written since the backup")
    with target(work) as conn:
        lost = losses(conn, work)
    before = work.undoes.evidence
    facts = {
        "database": {key: found["database"][key] for key in ("name", "oid", "system_identifier")},
        "backup": found["backup"]["sha256"],
        "applied migrations": found["applied"],
        "names": [found["new"], found["kept"]],
        "services": found["services"],
        "policy": {
            "target": work.target.name,
            "approvals": work.run.needed,
            "approvers": sorted(work.target.deciders),
        },
        "requester": work.run.requester.id,
        "of": work.run.request.origin,
    }
    return {
        "losses": lost,
        "restore_seconds": before.get("test restore", {}).get("seconds"),
        "services": services_for(work.target).look(),
        "health_url": work.target.health_url is not None,
        "facts": facts,
        "digest": hashlib.sha256(canonical(facts).encode()).hexdigest(),
        "seconds": round(time.monotonic() - started, 3),
    }


# -- 3 prepare -----------------------------------------------------------------------------------------------


def prepare(work: Work) -> Json:
    """The backup in a fresh database beside the target's, compared. The application does not notice. Raises StepFailed."""
    found, origin = work.run.evidence["identify"], work.undoes
    files = dump.archive_of(work, origin.id)
    work.meter.doing("checking the file")
    manifest = unharmed(files, origin.evidence["backup"])
    strategy = strategies.named(origin.evidence["backup"]["format"])
    if not isinstance(strategy, Full):
        raise AssertionError("only a backup of everything comes so far")
    url = (work.target.admin_url or work.target.database_url).get_secret_value()
    try:
        with databases.admin(work.target, work.run.id) as conn:
            databases.drop(conn, found["new"])
            databases.make_like(conn, found["new"], found["database"]["name"])
            number = databases.oid(conn, found["new"])
        fresh = postgres.with_database(url, found["new"])
        strategy.put(work, files, manifest, fresh)
        work.meter.doing("gathering statistics")
        with postgres.connect(fresh, f"rollback-bot {work.run.id}", work.target.name) as conn:
            conn.execute("SET statement_timeout = 0")
            conn.execute("ANALYZE")  # without statistics the first queries after the swap would be slow
    except psycopg.Error as error:
        raise StepFailed(
            "E-BACKUP", f"The new database could not be made: {pg_error(error)}.", "Production was not changed."
        ) from None
    return {"oid": number, "tables": len(manifest["tables"]), "equal": len(manifest["tables"])}


def tidy(work: Work) -> None:
    """Remove the new database of a restore that came to nothing."""
    found = work.run.evidence.get("identify")
    if found and "execute" not in work.run.evidence:
        with databases.admin(work.target, work.run.id) as conn:
            databases.drop(conn, found["new"])


# -- 5 verify ------------------------------------------------------------------------------------------------


def verify(work: Work) -> Json:
    """History table, schema, services, health. `differences` is empty where all is as in the backup."""
    origin, executed = work.undoes, work.run.evidence["execute"]
    manifest = unharmed(dump.archive_of(work, origin.id), origin.evidence["backup"])
    layout = layouts.of(work.target)
    with target(work) as conn:
        applied = [row.version for row in layout.history(conn).applied]
        live = schema.snapshot(conn)
    differences = [] if applied == executed["versions"] else ["the history table is not the one of the backup"]
    held = {schema.Key(kind, name): text for kind, name, text in manifest["schema"]}
    aside = ("settings",)  # of the database itself: it has those of the one that it replaced
    found = schema.difference(schema.without(held, aside), schema.without(live, aside))
    other = [change.message for change in found if change.severity == "harmful"]
    differences += other[:10]
    if executed["services_trouble"]:
        differences.append(executed["services_trouble"])
    health = ask(work.target)
    if health and health["ok"] < health["tries"]:
        differences.append(
            f"`/health` answered {health['status'] or 'nothing'}, {health['ok']} of {health['tries']} good"
        )
    newest = layouts.find(layout.migrations(), applied[-1]) if applied else None
    return {
        "newest": newest.name if newest else applied[-1] if applied else None,
        "schema": "as in the backup" if not other else "differs",
        "differences": differences,
        "health": health,
    }
