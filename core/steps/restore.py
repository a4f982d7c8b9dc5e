"""Restore, the second way back: the full backup into a fresh database, which then takes the old one's name.

The application runs on while the backup is put in and compared; it is stopped for the swap only. The old database is kept
under another name, with everything that was written since the backup.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

import psycopg

from core import databases, layouts, postgres, schema
from core.backups import dump, strategies
from core.backups.full import Full
from core.backups.proof import unharmed
from core.commit import unknown
from core.errors import NeedsAPerson, PlanChanged, Problem, Refused, StepFailed
from core.ledger import canonical
from core.model import Json, Run
from core.redact import pg_error
from core.runbook import Work
from core.services import services_for
from core.steps.rehearse import target
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
            "approvers": sorted(work.target.approvers),
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


# -- 4 swap --------------------------------------------------------------------------------------------------


def swap(work: Work) -> Json:
    """Stop services, swap names, start services. Raises PlanChanged, StepFailed (not swapped), NeedsAPerson."""
    before = found(work) if work.run.executions > 1 else None
    if before:
        return before
    same_plan(work)
    services = services_for(work.target)
    ran = services.look()
    started = time.monotonic()
    work.say("services_stopping", {"before": ran})
    try:
        services.stop(ran)
        stopped = time.monotonic()
        with target(work) as conn:
            lost = losses(conn, work)
        still_stopped(services.look())
        swapped = exchange(work)
    except (StepFailed, Refused) as problem:
        heal(work)
        running_again(work, ran)
        raise StepFailed(problem.code, problem.message, problem.hint) from None
    if not swapped:
        done = found(work)
        if done is None:
            raise StepFailed("E-EXECUTE", "The names were not swapped.", "Production was not changed.")
        return done
    evidence = {"losses": lost, **after_the_swap(work, ran, cut_short=False)}
    return {**evidence, "down": round(time.monotonic() - stopped, 3), "seconds": round(time.monotonic() - started, 3)}


def still_stopped(now: Mapping[str, int]) -> None:
    """Raises StepFailed(E-SERVICES) where something has started a service again right before the swap."""
    running = [f"`{name}`" for name, count in now.items() if count]
    if running:
        raise StepFailed(
            "E-SERVICES",
            f"{', '.join(running)} runs again: something brings it back. The names were not swapped.",
            "Keep an autoscaler or a deploy from starting it, then ask again.",
        )


def running_again(work: Work, ran: Mapping[str, int]) -> None:
    """The services as they ran before. Raises NeedsAPerson where they do not start: the database is well, they are not."""
    services = services_for(work.target)
    with suppress(StepFailed):  # a stop that was cut short may still be at work, and would win over the start
        services.stop(ran)
    try:
        services.start(ran)
    except StepFailed as problem:
        raise NeedsAPerson(
            "E-SERVICES",
            f"Production's database was not changed, but its services do not start: {problem.message}",
            "I try again every 10 s.",
            known=["the database was not changed, and takes connections"],
            unknown=["why the services do not start"],
            doing=["start them again every 10 s"],
            you=[f"start them by hand: {', '.join(ran)}"],
        ) from None


def same_plan(work: Work) -> None:
    """Raises PlanChanged where the target is not what was approved, or the new database is not the one that was compared."""
    try:
        now = identify(work)
    except Refused as no:
        if no.code in ("E-DB", "E-DIRECT"):
            raise StepFailed(no.code, no.message, no.hint) from None
        raise PlanChanged([no.message]) from None
    shown = work.run.evidence["identify"]
    changed = [f"the {name.replace('_', ' ')} changed" for name in ("applied", "services") if now[name] != shown[name]]
    with databases.admin(work.target, work.run.id) as conn:
        if databases.oid(conn, shown["new"]) != work.run.evidence["prepare"]["oid"]:
            changed.append("the new database is not the one that was compared")
    if changed:
        raise PlanChanged(changed)


def exchange(work: Work) -> bool:
    """The swap itself; False where its outcome must be looked up. Raises StepFailed: not swapped."""
    names = work.run.evidence["identify"]
    own = names["database"]["name"]
    try:
        with databases.admin(work.target, work.run.id) as conn:
            conn.execute("SET lock_timeout = '10s'")
            conn.execute("SELECT pg_advisory_lock(%s)", [postgres.fence_key(work.run.id)])  # until the connection ends
            databases.allow(conn, own, False)
            databases.empty(conn, own)
            databases.empty(conn, names["new"])
            return databases.swap(conn, own, names["new"], names["kept"])
    except psycopg.Error as error:
        raise StepFailed(
            "E-EXECUTE", f"The names were not swapped: {pg_error(error)}.", "Production was not changed."
        ) from None


def heal(work: Work) -> bool:
    """Everybody may connect again, whatever happened; were the names swapped? Raises Refused, psycopg.Error."""
    names = work.run.evidence["identify"]
    own, old, new = names["database"]["name"], names["database"]["oid"], work.run.evidence["prepare"]["oid"]
    with databases.admin(work.target, work.run.id) as conn:
        conn.execute("SET lock_timeout = 0")
        conn.execute("SET statement_timeout = '30s'")
        with conn.transaction():  # behind the fence: a swap that is still under way has ended
            conn.execute("SELECT pg_advisory_xact_lock(%s)", [postgres.fence_key(work.run.id)])
        there = databases.allowed(conn)
        for name, (number, open_to_all) in there.items():
            if number in (old, new) and not open_to_all:
                databases.allow(conn, name, True)
    if there.get(own, (None,))[0] not in (old, new):
        raise unknown([f"the database `{own}` is neither the old one nor the restored one"])
    return bool(there[own][0] == new)


def found(work: Work) -> Json | None:
    """After an interruption: were the names swapped? Either way people may connect and the services run. Raises NeedsAPerson."""
    ran = work.run.stopped or {}  # what ran before the services were stopped, from the audit trail
    try:
        swapped = heal(work)
        if not swapped:
            running_again(work, ran)
    except NeedsAPerson:
        raise
    except (psycopg.Error, Problem) as error:
        why = error.message if isinstance(error, Problem) else pg_error(error)
        raise unknown(["the bot was stopped while it restored", why]) from None
    return after_the_swap(work, ran, cut_short=True) if swapped else None


def after_the_swap(work: Work, ran: Mapping[str, int], cut_short: bool) -> Json:
    """People may connect, services run; a service that does not start does not undo the swap: verification will tell."""
    heal(work)
    services = services_for(work.target)
    try:
        if cut_short:
            services.stop(ran)
        services.start(ran)
        trouble = ""
    except StepFailed as problem:
        trouble = problem.message  # the swap stands: verification tells
    names = work.run.evidence["identify"]
    return {"versions": names["will_apply"], "kept": names["kept"], "services": dict(ran), "services_trouble": trouble}


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
