"""The hold: after a rollback the history table refuses the versions that were undone, until somebody releases them.

A deploy that runs migrations at its start would otherwise apply them again by accident. With `hold = "refuse"` a trigger
of ours raises; with `hold = "warn"` nothing is put into the database, and the bot tells the channel when it sees one
applied again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

from psycopg import sql

from core import layouts, postgres
from core.errors import Refused
from core.layouts import History
from core.ledger import Ledger
from core.model import Run
from core.runbook import Work
from core.settings import Settings, Target

TABLES: tuple[LiteralString, ...] = (
    """CREATE TABLE IF NOT EXISTS rollback_bot.hold (
         version text PRIMARY KEY, run text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    """CREATE OR REPLACE FUNCTION rollback_bot.refuse_held() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
         SET search_path = pg_catalog AS $$
       DECLARE held rollback_bot.hold; written text := to_jsonb(NEW) ->> TG_ARGV[0];
       BEGIN
         SELECT * INTO held FROM rollback_bot.hold WHERE version = written;
         IF FOUND THEN
           RAISE EXCEPTION 'migration % was rolled back by % and is held', written, held.run
             USING HINT = format('Deploy code that does not need it, or release it: rollback release %s', held.run);
         END IF;
         RETURN NEW;
       END $$""",
)
TRIGGER = "rollback_bot_hold"


def put(conn: postgres.Connection, work: Work, history: History, versions: Sequence[str]) -> str:
    """In the rollback's own transaction; the kind of hold. Raises psycopg.Error."""
    column = layouts.of(work.target).column
    if work.target.hold == "refuse":
        conn.execute("CREATE SCHEMA IF NOT EXISTS rollback_bot")
        for statement in TABLES:
            conn.execute(statement)
        for version in versions:
            conn.execute(
                "INSERT INTO rollback_bot.hold (version, run) VALUES (%s, %s)"
                " ON CONFLICT (version) DO UPDATE SET run = excluded.run, at = excluded.at",
                [version, work.run.id],
            )
        table = sql.Identifier(history.schema, history.name)
        conn.execute(sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(TRIGGER), table))
        conn.execute(
            sql.SQL(
                "CREATE TRIGGER {} BEFORE INSERT OR UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION rollback_bot.refuse_held({})"
            ).format(sql.Identifier(TRIGGER), table, sql.Literal(column))
        )
    return work.target.hold


def release(conn: postgres.Connection, history: History, run: str) -> list[str]:
    """Let the versions of a run go, in the caller's transaction; which they were. The last one takes the trigger along."""
    if postgres.execute(conn, "SELECT to_regclass('rollback_bot.hold')")[0][0] is None:
        return []
    rows = postgres.execute(conn, "DELETE FROM rollback_bot.hold WHERE run = %s RETURNING version", run)
    if not postgres.execute(conn, "SELECT EXISTS (SELECT FROM rollback_bot.hold)")[0][0]:
        table = sql.Identifier(history.schema, history.name)
        conn.execute(sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(TRIGGER), table))
    return sorted(row[0] for row in rows)


def let_go(target: Target, run: Run) -> None:
    """Release what a rollback holds in the database, outside of any run. Raises Refused(E-CLOSED, E-DB, E-RIGHTS)."""
    if run.kind != "rollback" or "execute" not in run.evidence or run.released:
        raise Refused("E-CLOSED", f"*{run.id}* holds nothing.", "`status` shows what is held.")
    if run.evidence["execute"].get("hold") != "refuse":
        return
    layout = layouts.of(target)
    with postgres.target(target.database_url.get_secret_value(), run.id, target.name) as conn, conn.transaction():
        release(conn, layout.history(conn), run.id)


def watch(ledger: Ledger, settings: Settings) -> None:
    """Write down, once, each rollback of which a migration was applied again behind the bot's back."""
    from core import survey

    for name, runs in survey.held(ledger).items():
        target = settings.targets.get(name)
        recent = [run for run in runs if target and run.created_at > ledger.clock() - target.keep]
        if not target or not recent:
            continue
        layout = layouts.of(survey.known(ledger, target))
        with postgres.target(target.database_url.get_secret_value(), "watching", name) as conn:
            applied = {row.version for row in layout.history(conn).applied}
        for run in recent:
            again = [version for version in run.evidence["execute"]["versions"] if version in applied]
            if again:
                with ledger.transaction() as t:
                    if not t.run(run.id).released:
                        t.append(run.id, "applied_again", {"versions": again})
