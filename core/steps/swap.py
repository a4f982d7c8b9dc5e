"""Step 4 of a restore: services stop, the names are swapped, services start; and what was true if that was interrupted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress

import psycopg

from core import databases, postgres
from core.commit import not_cut, unknown
from core.errors import NeedsAPerson, PlanChanged, Problem, Refused, StepFailed
from core.model import Json
from core.redact import pg_error
from core.runbook import Work
from core.scratch_copy import target
from core.services import services_for
from core.steps.restore import identify
from core.written_since import losses


def swap(work: Work) -> Json:
    """Stop services, swap names, start services. Raises PlanChanged, StepFailed (not swapped), NeedsAPerson."""
    before = found(work) if work.run.executions > 1 else None
    if before:
        return before
    same_plan(work)
    services = services_for(work.target)
    ran = services.look()
    started = time.monotonic()
    work.meter.doing("stopping services")
    if not work.say("services_stopping", {"before": ran}):
        raise StepFailed(
            "E-LEDGER",
            "I cannot write down which services run, so I stop none. Production was not changed.",
            "Free the disk of the audit trail, or mend its folder.",
        )
    try:
        services.stop(ran)
        stopped = time.monotonic()
        work.meter.doing("counting what is lost")
        with target(work) as conn:
            lost = losses(conn, work)
        work.meter.doing("swapping the names")
        still_stopped(services.look())
        not_cut(work)
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
    """The services as they ran before. Raises NeedsAPerson where they do not start: the database is well, they are not.

    Where nothing says what ran, none was stopped yet: they are left alone.
    """
    if not ran:
        return
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
    work.meter.doing("starting services")
    try:
        if cut_short:
            services.stop(ran)
        services.start(ran)
        trouble = ""
    except StepFailed as problem:
        trouble = problem.message  # the swap stands: verification tells
    names = work.run.evidence["identify"]
    return {"versions": names["will_apply"], "kept": names["kept"], "services": dict(ran), "services_trouble": trouble}
