"""The ledger's tables, as sqlite-utils migrations: applied once, each in its own transaction."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

from core.model import OPEN, State

TABLES = Migrations("rollback-bot")
WAITING_FOR_A_DECISION = frozenset({State.DECIDE, State.NEEDS_A_PERSON})


@TABLES()
def ledger(db: Database) -> None:
    db.table("rollbacks").create(
        {
            "id": str,
            "state": str,
            "revision": int,
            "target": str,
            "what": str,
            "migration": str,
            "only_one": int,
            "requester": str,
            "requester_name": str,
            "reason": str,
            "incident": str,
            "channel": str,
            "needed": int,
            "plan_digest": str,
            "created_at": str,
            "expires_at": str,
            "ended_at": str,
            "last_event": int,
        },
        pk="id",
        not_null={"state", "revision", "target", "what", "requester", "created_at", "needed", "last_event"},
    )
    states = ", ".join(f"'{state}'" for state in sorted(OPEN))
    # one open rollback per target, decided by the file itself and not by a check before the insert
    db.execute(f"CREATE UNIQUE INDEX one_open_per_target ON rollbacks (target) WHERE state IN ({states})")
    db.table("events").create(
        {
            "id": int,
            "at": str,
            "run": str,
            "kind": str,
            "state": str,
            "actor": str,
            "data": str,
            "prev": str,
            "digest": str,
        },
        pk="id",
        not_null={"at", "kind", "data", "prev", "digest"},
    )
    db.table("events").create_index(["run", "id"])
    append_only(db)
    db.table("posts").create(
        {"event": int, "place": str, "channel": str, "ts": str, "run": str, "at": str}, pk=("event", "place")
    )
    db.table("posts").create_index(["run"])
    db.table("seen").create({"key": str, "at": str}, pk="key")
    db.table("reminders").create({"name": str, "period": str, "at": str}, pk=("name", "period"))


@TABLES()
def ways_back(db: Database) -> None:
    """A way back names the rollback that it undoes, and may begin while that one still waits for a decision."""
    db.table("rollbacks").add_column("origin", str)
    db.execute("DROP INDEX one_open_per_target")
    states = ", ".join(f"'{state}'" for state in sorted(OPEN - WAITING_FOR_A_DECISION))
    db.execute(f"CREATE UNIQUE INDEX one_open_per_target ON rollbacks (target) WHERE state IN ({states})")


@TABLES()
def apart(db: Database) -> None:
    """Events that belong to no run are few, and are asked for by kind: without an index each question would read all of them."""
    db.execute("CREATE INDEX events_apart ON events (kind, id) WHERE run IS NULL")


@TABLES()
def scripts(db: Database) -> None:
    """The bytes of scripts, by the SHA-256 that stands in the events `applied`."""
    db.table("scripts").create(
        {"sha256": str, "bytes": bytes, "at": str}, pk="sha256", not_null={"sha256", "bytes", "at"}
    )


def append_only(db: Database) -> None:
    """Three triggers: the third stops INSERT OR REPLACE from connections without recursive triggers."""
    for name, when in (
        ("events_no_update", "BEFORE UPDATE ON events"),
        ("events_no_delete", "BEFORE DELETE ON events"),
        ("events_no_replace", "BEFORE INSERT ON events WHEN EXISTS (SELECT 1 FROM events WHERE id = NEW.id)"),
    ):
        db.execute(f"CREATE TRIGGER {name} {when} BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END")
