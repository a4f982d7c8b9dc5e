"""The one transaction that changes a target: it commits whole with its marker, or not at all, and never twice.

The marker is a row written in the same transaction; the fence is an advisory lock that the transaction holds. Whoever
wants to know later takes the fence, which waits for a backend that is still at it, and reads the marker: then the answer
is final. The seal is a deferred trigger that refuses every COMMIT but ours. Nothing is guessed, nothing runs twice.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import sql

from core import layouts, locks, postgres
from core.bystander import Bystander
from core.errors import NeedsAPerson, PlanChanged, Problem, StepFailed
from core.ledger import canonical
from core.model import Json
from core.redact import pg_error
from core.runbook import Work

MARKER: LiteralString = """
    CREATE SCHEMA IF NOT EXISTS rollback_bot;
    CREATE TABLE IF NOT EXISTS rollback_bot.marker (
        run text PRIMARY KEY, digest text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(),
        evidence jsonb NOT NULL)"""
GONE = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.InvalidSchemaName)
T = TypeVar("T")
UNDONE = "The transaction was undone; production was not changed."
SHORTEST = 5.0  # seconds: a statement's limit is never shorter, however quick it was in the trial
ROOM = 10.0  # how many times longer than on the copy something may take: production is busier, and its disk slower


def once(
    work: Work,
    tables: Mapping[str, str],
    first: Callable[[postgres.Connection], object],
    body: Callable[[postgres.Connection], Json],
    part: str = "",
) -> Json:
    """Do `first`, then `body` under the locks of `tables`, and commit it together with its marker; its evidence.

    `part` names one of several transactions of a run. Raises PlanChanged (nothing ran), StepFailed (undone),
    NeedsAPerson (outcome unknown).
    """
    started = time.monotonic()
    url = work.target.database_url.get_secret_value()
    with postgres.target(url, work.run.id, work.target.name) as conn, Bystander(work, conn) as bystander:
        try:
            first(conn)
            tries = lock(conn, work, tables, bystander)
            locked = time.monotonic()
            before = marked(conn, work, part)
            if before:
                return before
            seal = Seal(conn)
            evidence = body(conn)
            now = time.monotonic()
            evidence |= {"lock_tries": tries, "seconds": round(now - started, 3), "locked": round(now - locked, 3)}
            leave_marker(conn, work, part, evidence)
            seal.open()
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
    committed = found(work, part)
    if committed is None:
        raise StepFailed("E-EXECUTE", "The database undid the transaction at COMMIT.", "Production was not changed.")
    return committed


def lock(conn: postgres.Connection, work: Work, tables: Mapping[str, str], bystander: Bystander) -> int:
    """BEGIN, the fence, the lock of the target, that of the migration tool, and the tables; the number of tries.

    Raises StepFailed(E-LOCK, E-BUSY), PlanChanged.
    """
    layout = layouts.of(work.target)
    keys = layout.lock_keys(conn, layout.history(conn))

    def begin() -> None:
        not_cut(work)
        # READ COMMITTED whatever the default is: what is saved must hold all that was written before the locks were there
        conn.execute("BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE")
        limits(conn, work)
        conn.execute("SELECT pg_advisory_xact_lock(%s)", [postgres.fence_key(work.run.id)])
        mine(conn, postgres.TARGET_KEY, "Another rollback is running on this database.")
        for key in keys:
            mine(conn, key, f"A migration is running on *{work.target.name}*: {layout.name} holds its lock.")

    patience = locks.Patience(work.target.lock_timeout.total_seconds(), work.target.lock_wait.total_seconds())
    try:
        return locks.politely(conn, tables, patience, begin, bystander.note)
    except GONE:
        raise PlanChanged(["a table that the scripts touch is gone"]) from None


def not_cut(work: Work) -> None:
    """Before something takes effect. Raises StepFailed(E-STOPPED) where the process is about to end."""
    if work.cut():
        raise StepFailed("E-STOPPED", f"I was told to end. {UNDONE}", "Ask again when I am back.")


def mine(conn: postgres.Connection, key: int, why: str) -> None:
    """An advisory lock of this transaction. Raises StepFailed(E-BUSY) where somebody else has it."""
    if not postgres.execute(conn, "SELECT pg_try_advisory_xact_lock(%s)", key)[0][0]:
        raise StepFailed("E-BUSY", f"{why} {UNDONE}", "Wait for its end and ask again.")


def limits(conn: postgres.Connection, work: Work) -> None:
    """Time limits of what we do in this transaction ourselves, and how times and names are printed.

    To save many rows, and to put them back, may take far longer than any statement of a script.
    """
    longest = work.target.statement_timeout.total_seconds()
    for name, value in (
        ("lock_timeout", work.target.lock_timeout.total_seconds()),
        ("statement_timeout", max(longest, ROOM * foretold(work))),
        ("idle_in_transaction_session_timeout", longest),
    ):
        limit(conn, name, value)
    conn.execute("SET LOCAL client_connection_check_interval = 500")
    conn.execute("SET LOCAL datestyle = 'ISO'")
    conn.execute("SET LOCAL quote_all_identifiers = off")


def limit(conn: postgres.Connection, name: str, seconds: float) -> None:
    """Until the transaction ends; in milliseconds."""
    conn.execute(f"SET LOCAL {name} = {max(1, int(seconds * 1000))}".encode())


def foretold(work: Work) -> float:
    """Seconds that the save, or putting it back, took on the copy or is said to take, whichever is longest."""
    rehearsed = work.run.evidence.get("rehearse", {})
    tried = work.run.evidence.get("test restore", {}).get("way_back", {})
    told = (
        tried.get("save_seconds"),
        (rehearsed.get("save") or {}).get("seconds"),
        rehearsed.get("back", {}).get("seconds"),
    )
    return max((float(seconds) for seconds in told if seconds), default=0.0)


def hurry(conn: postgres.Connection, work: Work) -> None:
    """From now on statements of a script run: none may take far longer than in the trial."""
    longest = work.target.statement_timeout.total_seconds()
    slowest = work.run.evidence.get("test restore", {}).get("slowest")
    limit(conn, "statement_timeout", longest if slowest is None else min(longest, max(SHORTEST, ROOM * slowest)))


def reset(conn: postgres.Connection, work: Work) -> None:
    """Whatever a script has set must not steer what follows."""
    for statement in ("RESET SESSION AUTHORIZATION", "RESET ROLE", "RESET ALL"):
        conn.execute(statement.encode())
    limits(conn, work)


class Seal:
    """Refuses every COMMIT but ours: a deferred trigger that raises unless a setting holds a token that only we know.

    It stops what the parser and the extended protocol should never have let through. Only the token's hash lies in the
    database. DISCARD, DROP and DISABLE TRIGGER fail on it, since its event is pending (tried on PostgreSQL 15 and 18).
    """

    def __init__(self, conn: postgres.Connection) -> None:
        self.conn, self.token = conn, secrets.token_hex(32)
        proof = hashlib.sha256(self.token.encode()).hexdigest()
        conn.execute("CREATE TEMP TABLE rollback_seal (held boolean) ON COMMIT DROP")
        conn.execute(
            sql.SQL(
                "CREATE FUNCTION pg_temp.rollback_seal() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS {}"
            ).format(
                "BEGIN IF encode(sha256(convert_to(coalesce(current_setting('rollback_bot.seal', true), ''), 'UTF8')), 'hex')"
                f" <> '{proof}' THEN RAISE EXCEPTION 'only the bot commits this transaction' USING ERRCODE = '2D000';"
                " END IF; RETURN NULL; END"
            )
        )
        conn.execute(
            "CREATE CONSTRAINT TRIGGER rollback_seal AFTER INSERT ON pg_temp.rollback_seal DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION pg_temp.rollback_seal()"
        )
        conn.execute("INSERT INTO pg_temp.rollback_seal VALUES (true)")

    def open(self) -> None:
        """Right before our own COMMIT."""
        self.conn.execute("SELECT set_config('rollback_bot.seal', %s, true)", [self.token])


def xid(conn: postgres.Connection) -> Any:
    """The transaction's own number: another one means that the script ended it."""
    return postgres.execute(conn, "SELECT pg_catalog.pg_current_xact_id()::text")[0][0]


# -- the marker ------------------------------------------------------------------------------------------------


def leave_marker(conn: postgres.Connection, work: Work, part: str, evidence: Json) -> None:
    """The row that proves the commit, in the same transaction."""
    for statement in MARKER.split(";"):
        conn.execute(statement.encode())
    rows = postgres.execute(
        conn,
        """INSERT INTO rollback_bot.marker (run, digest, evidence) VALUES (%s, %s, %s)
           RETURNING to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')""",
        work.run.id + part,
        work.run.digest,
        canonical(evidence),
    )
    if len(rows) != 1:
        raise StepFailed(
            "E-EXECUTE", "The transaction was undone: its marker was not kept.", "Production was not changed."
        )
    evidence["committed_at"] = rows[0][0]


def found(work: Work, part: str = "") -> Json | None:
    """Did it commit? Behind the fence the marker is final: its evidence, or None. Raises NeedsAPerson."""
    return behind_the_fence(work, lambda conn: marked(conn, work, part))


def behind_the_fence(work: Work, ask: Callable[[postgres.Connection], T]) -> T:
    """The answer of `ask` when nothing of this run is under way any more. Raises NeedsAPerson."""
    known = ["all statements ran or were interrupted; the outcome is in the database alone"]
    try:
        with postgres.target(work.target.database_url.get_secret_value(), work.run.id, work.target.name) as conn:
            conn.execute("SET statement_timeout = '30s'")
            approved = work.run.evidence["identify"]["database"]
            if any(postgres.identity(conn)[key] != approved[key] for key in ("system_identifier", "oid")):
                raise unknown([*known, "the address now leads to another database"])
            if not fence(conn, work):
                raise unknown([*known, "a session of mine is still at it there"])
            return ask(conn)
    except NeedsAPerson:
        raise
    except (psycopg.Error, Problem) as error:
        why = error.message if isinstance(error, Problem) else pg_error(error)
        raise unknown([*known, why]) from None


def fence(conn: postgres.Connection, work: Work, seconds: float = 30.0) -> bool:
    """Take the run's lock for as long as this session lives; False where another session of the run keeps it.

    Asked again and again, never waited for: whoever waits holds a snapshot, and CREATE INDEX CONCURRENTLY waits for those.
    """
    until = time.monotonic() + seconds
    while not postgres.execute(conn, "SELECT pg_try_advisory_lock(%s)", postgres.fence_key(work.run.id))[0][0]:
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def marked(conn: postgres.Connection, work: Work, part: str = "") -> Json | None:
    """The evidence in the marker of this run, or None. Final only behind the fence."""
    if postgres.execute(conn, "SELECT to_regclass('rollback_bot.marker')")[0][0] is None:
        return None
    rows = postgres.execute(
        conn,
        """SELECT evidence || jsonb_build_object('committed_at',
                  to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
             FROM rollback_bot.marker WHERE run = %s AND digest = %s""",
        work.run.id + part,
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
