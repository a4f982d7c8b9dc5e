"""Step 5: run the scripts in one transaction that cannot half-happen.

Scripts, history rows and the marker commit together, by a COMMIT that is a message of its own. If its answer is lost,
the marker tells what happened: it is looked up behind the fence, an advisory lock that the transaction holds, so the
answer is final. Nothing is guessed, nothing runs twice.
"""

from __future__ import annotations

import json
import random
import time
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from core import layouts, plan, postgres, schema, trial
from core.backups import dump
from core.errors import NeedsAPerson, PlanChanged, Problem, Refused, StepFailed
from core.ledger import canonical
from core.losses import moved
from core.model import Json
from core.redact import pg_error
from core.runbook import Work
from core.steps.identify import identify
from core.trial import LeftTransaction, one, statements

MARKER: LiteralString = """
    CREATE SCHEMA IF NOT EXISTS rollback_bot;
    CREATE TABLE IF NOT EXISTS rollback_bot.marker (
        run text PRIMARY KEY, digest text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(),
        evidence jsonb NOT NULL)"""
GONE = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.InvalidSchemaName)
BLOCKERS: LiteralString = """
    SELECT DISTINCT coalesce(nullif(a.application_name, ''), a.backend_type, 'a session'), a.state,
           extract(epoch FROM now() - a.xact_start)::int
      FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE l.granted AND l.locktype = 'relation' AND l.relation = ANY(%s::regclass[]) AND a.pid <> pg_backend_pid()
     ORDER BY 3 DESC NULLS LAST LIMIT 3"""


def execute(work: Work) -> Json:
    """All or nothing. Raises PlanChanged (nothing ran), StepFailed (undone), NeedsAPerson (outcome unknown)."""
    started = time.monotonic()
    before = found(work) if work.run.executions > 1 else None
    if before:  # it was interrupted and had committed after all
        return before
    undo = same_scripts(work)
    with postgres.target(work.target.database_url.get_secret_value(), work.run.id, work.target.name) as conn:
        try:
            same_rows(conn, work)
            tries = begin(conn, work)
            before = marked(conn, work)
            if before:
                return before
            same_plan(conn, work)
            evidence = carry_out(conn, work, undo)
            evidence |= {"lock_tries": tries, "seconds": round(time.monotonic() - started, 3)}
            leave_marker(conn, work, evidence)
        except psycopg.Error as error:
            raise StepFailed(
                "E-EXECUTE", f"The transaction was undone: {pg_error(error)}.", "Production was not changed."
            ) from None
        try:
            done = conn.execute("COMMIT").statusmessage
        except psycopg.Error:
            done = None  # sent, but the answer is lost
    if done == "COMMIT":
        return evidence
    committed = found(work)
    if committed is None:
        raise StepFailed("E-EXECUTE", "The database undid the transaction at COMMIT.", "Production was not changed.")
    return committed


def begin(conn: postgres.Connection, work: Work) -> int:
    """Open the transaction and get every lock, politely: short waits, so that nobody queues behind us for long.

    Returns the number of tries. Raises StepFailed(E-LOCK) naming who is in the way, Refused(E-BUSY).
    """
    tables = [lock["table"] for lock in work.run.evidence["rehearse"]["locks"]]
    tries = work.target.lock_tries
    for attempt in range(1, tries + 1):
        try:
            conn.execute("BEGIN")
            limits(conn, work)
            conn.execute("SELECT pg_advisory_xact_lock(%s)", [postgres.fence_key(work.run.id)])
            if not postgres.execute(conn, "SELECT pg_try_advisory_xact_lock(%s)", postgres.TARGET_KEY)[0][0]:
                raise StepFailed(
                    "E-BUSY", "Another rollback is running on this database.", "Wait for its end and ask again."
                )
            for table in lockable(conn, tables):
                conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table))
            return attempt
        except psycopg.errors.LockNotAvailable:
            conn.execute("ROLLBACK")
            if attempt < tries:
                time.sleep(random.uniform(0.2, 0.6) * attempt)  # noqa: S311 - jitter, no secret
        except GONE:
            raise PlanChanged(["a table that the scripts touch is gone"]) from None
    raise StepFailed(
        "E-LOCK",
        f"The lock on {', '.join(f'`{schema.plain(t)}`' for t in tables)} was not free, {tries} tries{blockers(conn, tables)}. "
        "The transaction was undone; production was not changed.",
        "End what holds it, then ask again.",
    )


def lockable(conn: postgres.Connection, tables: list[str]) -> list[sql.Identifier]:
    """The tables by name; without materialized views, for which PostgreSQL has no LOCK: the script itself locks them."""
    names = [sql.Identifier(*schema.names(table)) for table in tables]
    query = "SELECT relkind <> 'm' FROM pg_class WHERE oid = %s::regclass"
    return [name for name in names if postgres.execute(conn, query, name.as_string(conn))[0][0]]


def limits(conn: postgres.Connection, work: Work) -> None:
    """Time limits of this transaction, in milliseconds, and how times are printed."""
    for name, value in (
        ("lock_timeout", work.target.lock_timeout),
        ("statement_timeout", work.target.statement_timeout),
        ("idle_in_transaction_session_timeout", work.target.statement_timeout),
    ):
        conn.execute(f"SET LOCAL {name} = {int(value.total_seconds() * 1000)}".encode())
    conn.execute("SET LOCAL client_connection_check_interval = 500")
    conn.execute("SET LOCAL datestyle = 'ISO'")


def blockers(conn: postgres.Connection, tables: list[str]) -> str:
    """Who holds the tables, by application name; no queries, they can hold data."""
    names = [sql.Identifier(*schema.names(table)).as_string(conn) for table in tables]
    rows = postgres.execute(conn, BLOCKERS, names)
    held = ", ".join(f"{name} ({state or 'active'}{f' for {age} s' if age else ''})" for name, state, age in rows)
    return f" (held by {held})" if held else ""


def same_scripts(work: Work) -> list[Json]:
    """What is to be undone, with the scripts as they were read just now: these run, not what was noted before.

    Raises PlanChanged where the files, the history or the database are not what was approved.
    """
    try:
        identified = identify(work)
    except Refused as no:
        if no.code in ("E-DB", "E-DIRECT"):
            raise StepFailed(no.code, no.message, no.hint) from None
        raise PlanChanged([no.message]) from None
    compare(work, identified)
    undo: list[Json] = identified["undo"]
    return undo


def same_rows(conn: postgres.Connection, work: Work) -> None:
    """Raises PlanChanged where far more or fewer rows would go than the approver was shown; counted before the locks."""
    try:
        changed = moved(conn, work)
    except GONE:
        changed = ["a table that the scripts touch is gone"]
    if changed:
        raise PlanChanged(changed)


def same_plan(conn: postgres.Connection, work: Work) -> None:
    """The same again under the lock, with the definitions of everything that the scripts touch."""
    layout = layouts.of(work.target)
    identified = work.run.evidence["identify"]
    applied = [row.version for row in layout.history(conn).applied]
    live = {**identified, "applied": applied, "database": postgres.identity(conn)}
    objects = plan.objects(schema.snapshot(conn), work.run.evidence["rehearse"]["changes"])
    compare(work, live, objects)


def compare(work: Work, identified: Json, objects: str | None = None) -> None:
    """Raises PlanChanged with what changed since the plan was made."""
    approved = work.run.evidence["rehearse"]["facts"]
    live = plan.facts(work.run, work.target, identified, approved["effect"], objects or approved["touched objects"])
    if plan.digest(live) != work.run.digest:
        raise PlanChanged(plan.drift(approved, live) or ["the approved plan is not the one in the audit trail"])


def carry_out(conn: postgres.Connection, work: Work, undo: list[Json]) -> Json:
    """Statements, history rows, and the proof that this is what was rehearsed; not committed yet."""
    before, transaction = schema.snapshot(conn), xid(conn)
    todo = statements(undo)
    for file, statement in todo:
        try:
            one(conn, file, statement, "E-EXECUTE", "The transaction was undone")
            inside = xid(conn) == transaction
        except LeftTransaction:
            inside = False
        if not inside:
            raise unknown([f"`{file}`, line {statement['line']} ended the transaction although nothing in it says so"])
    for reset in ("RESET SESSION AUTHORIZATION", "RESET ROLE", "RESET ALL"):
        conn.execute(reset)  # whatever the script has set must not steer what follows
    limits(conn, work)
    layout = layouts.of(work.target)
    history = layout.history(conn)
    rows = [layout.untrack(conn, history, item["version"]) for item in undo]
    after = schema.snapshot(conn)
    as_rehearsed(work, schema.difference(before, after))
    keep_schema(work, after)
    return {
        "statements": len(todo),
        "versions": [item["version"] for item in undo],
        "history_table": work.run.evidence["identify"]["history_table"],
        "history_rows": rows,
        "schema": schema.fingerprint(after),
    }


def xid(conn: postgres.Connection) -> Any:
    """The transaction's own number: another one means that the script ended it."""
    return postgres.execute(conn, "SELECT pg_catalog.pg_current_xact_id()::text")[0][0]


def as_rehearsed(work: Work, changes: list[schema.Change]) -> None:
    """Raises StepFailed(E-DIFFERS) before COMMIT where the target changed in another way than the copy."""
    rehearsed = work.run.evidence["rehearse"]
    if trial.effect(changes) == rehearsed["effect"]:
        return
    known = {(c["kind"], c["object"], c["change"]) for c in rehearsed["changes"]}
    other = [c.message for c in changes if trial.key(c) not in known] or ["a rehearsed change did not happen"]
    raise StepFailed(
        "E-DIFFERS",
        f"Before COMMIT the schema was not the rehearsed one ({'; '.join(other[:3])}). "
        "The transaction was undone; production was not changed.",
        "Ask again: the new plan shows it.",
    )


def keep_schema(work: Work, after: schema.Snapshot) -> None:
    """What the schema must look like afterwards, beside the backup: verify can name each difference."""
    archive = dump.Archive(work.settings.backup_dir, work.run.id)
    with dump.disk():
        dump.write(archive.schema, json.dumps([[*key, text] for key, text in sorted(after.items())]))


def leave_marker(conn: postgres.Connection, work: Work, evidence: Json) -> None:
    """The row that proves the commit, in the same transaction."""
    for statement in MARKER.split(";"):
        conn.execute(statement.encode())
    rows = postgres.execute(
        conn,
        """INSERT INTO rollback_bot.marker (run, digest, evidence) VALUES (%s, %s, %s)
           RETURNING to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')""",
        work.run.id,
        work.run.digest,
        canonical(evidence),
    )
    if len(rows) != 1:
        raise StepFailed(
            "E-EXECUTE", "The transaction was undone: its marker was not kept.", "Production was not changed."
        )
    evidence["committed_at"] = rows[0][0]


def found(work: Work) -> Json | None:
    """Did it commit? Behind the fence the marker is final: its evidence, or None. Raises NeedsAPerson."""
    known = ["all statements ran or were interrupted; the outcome is in the database alone"]
    try:
        with postgres.target(work.target.database_url.get_secret_value(), work.run.id, work.target.name) as conn:
            conn.execute("SET statement_timeout = '30s'")
            conn.execute("SET lock_timeout = 0")  # an orphan is waited for as long as the line above says
            approved = work.run.evidence["identify"]["database"]
            if any(postgres.identity(conn)[key] != approved[key] for key in ("system_identifier", "oid")):
                raise unknown([*known, "the address now leads to another database"])
            with conn.transaction():
                conn.execute("SELECT pg_advisory_xact_lock(%s)", [postgres.fence_key(work.run.id)])
                return marked(conn, work)
    except NeedsAPerson:
        raise
    except (psycopg.Error, Problem) as error:
        why = error.message if isinstance(error, Problem) else pg_error(error)
        raise unknown([*known, why]) from None


def marked(conn: postgres.Connection, work: Work) -> Json | None:
    """The evidence in the marker of this run, or None. Final only behind the fence."""
    if postgres.execute(conn, "SELECT to_regclass('rollback_bot.marker')")[0][0] is None:
        return None
    rows = postgres.execute(
        conn,
        """SELECT evidence || jsonb_build_object('committed_at',
                  to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
             FROM rollback_bot.marker WHERE run = %s AND digest = %s""",
        work.run.id,
        work.run.digest,
    )
    return rows[0][0] if rows else None


def unknown(known: list[str]) -> NeedsAPerson:
    """Exactly what is known, and what is not."""
    return NeedsAPerson(
        "E-UNKNOWN",
        "I do not know whether it took effect. Do not start anything by hand.",
        "Bring the database back; I ask it again every 10 s.",
        known=known,
        unknown=["whether it committed; only the database can tell"],
        doing=["ask again every 10 s and say so here; no other rollback can start on this target"],
        you=["bring the database back; change nothing by hand in the history table"],
    )
