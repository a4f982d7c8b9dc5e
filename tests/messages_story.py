"""One story for the golden messages: Tuesday 10 November 2026, Ana asks, Bob approves. And the same run gone bad."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.messages import Context
from core.model import Approval, Event, Json, Person, Request, Run, State

ANA, BOB, CHEN = Person("U0ANA", "Ana Diaz"), Person("U0BOB", "Bob Lee"), Person("U0CHEN", "Chen Wu")
NOON = datetime(2026, 11, 10, 14, 16, 4, tzinfo=UTC)
LINK = "https://example.slack.com/archives/C0INCIDENT/p1794320172000100"
CTX = Context("<!subteam^S0DBONCALL>", "@db-oncall", LINK, 30, True, NOON + timedelta(seconds=115))
ESTIMATED = replace(CTX, estimates={"backup": 40.0, "test restore": 60.0, "execute": 2.0, "verify": 5.0})
DIGEST = hashlib.sha256(b"plan").hexdigest()


def at(seconds: float) -> str:
    """RFC 3339, so many seconds into the story."""
    return (NOON + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def event(number: int, kind: str, seconds: float, actor: Person | None = None, **data: Any) -> Event:
    """One row of the audit trail."""
    digest = hashlib.sha256(f"event {number}".encode()).hexdigest()
    return Event(number, NOON + timedelta(seconds=seconds), "RB-7K3M", kind, actor, data, digest)


def script(file: str, *statements: str) -> Json:
    """A rollback script as `identify` found it."""
    body = "\n".join(statements)
    found = [{"sql": sql, "line": nth, "kind": sql.split()[0]} for nth, sql in enumerate(statements, 1)]
    digest = hashlib.sha256(body.encode("utf-8", "replace")).hexdigest()
    return {"file": file, "sha256": digest, "bytes": len(body), "statements": found}


def migration(name: str, *statements: str) -> Json:
    """A migration that goes."""
    version = name.split("_")[0]
    return {
        "version": version,
        "name": name,
        "applied_at": "2026-11-10T14:02:31Z",
        "script": script(f"{name}.sql", *statements),
        "warnings": [],
    }


IDENTIFY: Json = {
    "seconds": 0.2,
    "database": {
        "name": "app",
        "host": "db-1",
        "port": 5432,
        "server_version": "18.6",
        "system_identifier": "7431885512048760912",
        "oid": 16384,
    },
    "history_table": "public.schema_migrations",
    "undo": [
        migration("012_stripe_events", "DROP TABLE stripe_events;"),
        migration("011_subscriptions", "ALTER TABLE profiles DROP COLUMN plan;", "DROP TABLE subscriptions;"),
    ],
    "stays": "010_rate_limits",
    "kept_after": [],
    "named": "011_subscriptions",
}
REHEARSE: Json = {
    "seconds": 0.4,
    "statements": 3,
    "restores": "exact",
    "differences": [],
    "why_unknown": "",
    "losses": [
        {"kind": "table", "name": "subscriptions", "rows": 48213, "about": False},
        {"kind": "table", "name": "stripe_events", "rows": 9120, "about": False},
        {"kind": "column", "name": "profiles.plan", "rows": 1204, "about": False},
    ],
    "locks": [{"table": "public.subscriptions", "mode": "AccessExclusiveLock"}],
    "health_url": True,
    "digest": "d" * 64,
}
DIFFERS: Json = {
    **REHEARSE,
    "restores": "differs",
    "differences": [
        {
            "kind": "index",
            "object": "profiles_email_idx",
            "change": "missing",
            "severity": "harmful",
            "message": "missing afterwards: index `profiles_email_idx` on `profiles`",
        },
        {
            "kind": "type",
            "object": "plan_tier",
            "change": "left",
            "severity": "harmless",
            "message": "left over: type `plan_tier`",
        },
    ],
}
BACKUP: Json = {
    "seconds": 38.0,
    "bytes": 412_000_000,
    "sha256": hashlib.sha256(b"backup").hexdigest(),
    "format": "custom",
    "tables": 9,
    "taken_at": at(8),
}
WAY_BACK: Json = {
    "works": True, "why": "", "seconds": 5.8, "filled": {}, "bytes": 3_100_000, "save_seconds": 0.6, "rows": 57333,
    "values": 1204, "aside": [], "notes": [],
}  # fmt: skip
TRIAL: Json = {
    "seconds": 62.0, "tables": 9, "equal": 9, "trial_seconds": 1.9, "rows_deleted": 57333, "notes": [], "way_back": WAY_BACK,
}  # fmt: skip
SAVED: Json = {
    "file": "RB-7K3M.saved", "bytes": 3_100_000, "sha256": hashlib.sha256(b"saved").hexdigest(), "rows": 57333,
    "values": 1204, "sequences": 1, "parts": [], "since": ["1:1:", "1"],
}  # fmt: skip
EXECUTE: Json = {
    "seconds": 2.1,
    "statements": 3,
    "versions": ["012", "011"],
    "history_table": "public.schema_migrations",
    "committed_at": at(111),
    "lock_tries": 1,
    "saved": SAVED,
    "hold": "warn",
}
VERIFY: Json = {
    "seconds": 4.0,
    "newest": "010_rate_limits",
    "schema": "as rehearsed",
    "differences": [],
    "health": {"ok": 3, "tries": 3, "status": 200, "ms": 84},
}
SICK: Json = {**VERIFY, "differences": ["the health check answers 503, 3 of 3 tries"]}
SICK["health"] = {"ok": 0, "tries": 3, "status": 503, "ms": 12}
REDO: Json = {
    **{key: IDENTIFY[key] for key in ("seconds", "database", "history_table", "kept_after")},
    "redo": [
        migration(
            "011_subscriptions",
            "CREATE TABLE subscriptions (id bigint PRIMARY KEY);",
            "ALTER TABLE profiles ADD COLUMN plan text;",
        ),
        migration("012_stripe_events", "CREATE TABLE stripe_events (id text PRIMARY KEY);"),
    ],
    "stays": "012_stripe_events",
    "saved": {key: SAVED[key] for key in ("file", "sha256", "bytes", "rows", "values")},
}
ASIDE: Json = {
    "table": "public.subscriptions", "kind": "rows", "rows": 3, "why": "parent_gone",
    "reason": "the row that they refer to is gone (`subscriptions_profile_id_fkey`)",
}  # fmt: skip
BACK: Json = {"works": True, "why": "", "seconds": 5.8, "rows": 57333, "values": 1204, "aside": [], "notes": []}
TRIED: Json = {**{k: REHEARSE[k] for k in ("seconds", "statements", "differences", "why_unknown", "locks", "digest", "health_url")},
    "restores": "exact", "losses": [], "back": BACK}  # fmt: skip
AGAIN: Json = {
    "seconds": 5.9, "statements": 3, "versions": ["011", "012"], "history_table": "public.schema_migrations",
    "committed_at": at(600), "lock_tries": 1, "saved": {"rows": 0, "values": 0}, "released": [],
    "back": {"rows": 57333, "values": 1204, "aside": [], "notes": [], "file": None},
}  # fmt: skip
WHOLE: Json = {
    "seconds": 0.4, "database": IDENTIFY["database"], "history_table": "public.schema_migrations",
    "applied": ["001", "002", "003", "004", "010"], "will_apply": ["001", "002", "003", "004", "010", "011", "012"],
    "backup": {**{k: BACKUP[k] for k in ("sha256", "bytes", "taken_at", "tables")}, "file": "RB-7K3M.dump", "rows": 400_000},
    "new": "app_restore_rb_w8ze", "kept": "app_before_rb_w8ze_20261110",
    "services": {"kind": "compose", "names": ["api", "orchestrator"]}, "slots": ["billing_cdc"],
}  # fmt: skip
LOST: list[Json] = [
    {"table": "public.verifications", "new": 160, "gone": 0, "about": False, "rows": 4000},
    {"table": "public.profiles", "new": 43, "gone": 31, "about": False, "rows": 10_012},
    {"table": "public.audit_log", "new": None, "gone": None, "about": True, "rows": 9_000_000},
]
COUNTED: Json = {
    "seconds": 1.1, "losses": LOST, "restore_seconds": 62.0, "services": {"api": 2, "orchestrator": 1}, "health_url": True,
    "digest": "d" * 64, "facts": {},
}  # fmt: skip
PUT_IN: Json = {"seconds": 64.0, "oid": 17000, "tables": 9, "equal": 9}
SWAPPED: Json = {
    "seconds": 2.4, "losses": LOST, "versions": WHOLE["will_apply"], "kept": WHOLE["kept"],
    "services": {"api": 2, "orchestrator": 1}, "services_trouble": "", "down": 2.1,
}  # fmt: skip
HEALTHY: Json = {"seconds": 4.0, "newest": "012_stripe_events", "schema": "as rehearsed", "differences": [],
    "health": {"ok": 3, "tries": 3, "status": 200, "ms": 84}}  # fmt: skip
PLAN = {"identify": IDENTIFY, "rehearse": REHEARSE}
PROVEN = {**PLAN, "backup": BACKUP, "test restore": TRIAL}
EXECUTED = {**PROVEN, "execute": EXECUTE}
YES = (Approval(BOB, NOON + timedelta(seconds=76), "Looks right, payments are down"),)


def run(state: State, last: Event | None = None, **changes: Any) -> Run:
    """The run of the story in a state; its newest event led there unless said otherwise."""
    newest = last or event(2096, "opened", 8)
    base = Run(
        id="RB-7K3M",
        revision=1,
        state=state,
        target="production",
        request=Request("from", "011_subscriptions"),
        requester=ANA,
        created_at=NOON,
        channel="C0INCIDENT",
        reason="Checkout 500s since the 14:02 deploy",
        incident="https://example.com/inc/INC-418",
        digest=DIGEST,
        expires_at=NOON + timedelta(seconds=908),
        evidence=PLAN,
        ending=newest,
        last=newest,
    )
    return replace(base, **changes)


def way_back(kind: str, state: State, last: Event | None = None, **changes: Any) -> Run:
    """A way back from the run of the story, asked for by Bob."""
    name, plan = (
        ("RB-M4TQ", {"identify": REDO, "rehearse": TRIED})
        if kind == "reapply"
        else ("RB-W8ZE", {"identify": WHOLE, "rehearse": COUNTED})
    )
    why = "Old code cannot be deployed today" if kind == "reapply" else "Re-apply failed, data looks wrong"
    newest = replace(last or event(2110, "opened", 190), run=name)
    given: Any = {
        "id": name,
        "request": Request(kind, origin="RB-7K3M"),
        "requester": BOB,
        "reason": why,
        "evidence": plan,
    }  # type: ignore[arg-type]
    return run(state, newest, **{**given, "approvals": (), "created_at": NOON + timedelta(seconds=180), **changes})


FAILED = {
    "step": "test restore",
    "code": "E-TRIAL-RUN",
    "message": "The script fails on the restored copy: 2BP01 cannot drop table `subscriptions`, other objects depend on it.",
    "hint": "Add `invoices.subscription_id` to the rollback script, then ask again.",
}
LOCK = {
    "step": "execute",
    "code": "E-LOCK",
    "message": "The lock on `subscriptions` was not free, 3 tries. The transaction was undone.",
    "hint": "End the connection that holds it (pid 8123, idle in a transaction) or wait, then ask again.",
}
UNKNOWN = {
    "known": ["all 3 statements ran, COMMIT was sent at 14:17:55 UTC", "since then `db-1` refuses connections"],
    "unknown": ["whether it committed; only the database can tell"],
    "doing": ["ask again every 10 s; no other rollback can start on production"],
    "you": ["bring `db-1` back; change nothing by hand in `schema_migrations`"],
}

HOSTILE = "<!channel> *bold* ~gone~ `tick` ```fence``` :tada: <@U0EVE> & @here \u202egnp\u2066 a\u200bb\x07 https://evil.example/x"


def hostile_run(words: str = HOSTILE) -> Run:
    """Every field that comes from outside holds what would hurt."""
    undo = [{**migration("012_" + words, words + "; ```\nDROP TABLE x"), "version": words, "warnings": [words]}]
    identify = {**IDENTIFY, "undo": undo, "stays": words, "named": words, "history_table": words}
    identify["database"] = {**IDENTIFY["database"], "name": words, "host": words, "server_version": words}
    rehearse = {
        **DIFFERS,
        "losses": [{"kind": k, "name": words, "rows": 3, "about": True} for k in ("table", words)],
    }
    rehearse["differences"] = [{"kind": "x", "object": words, "change": words, "severity": "x", "message": words}]
    rehearse["locks"] = [{"table": words, "mode": words}]
    trial = {**TRIAL, "notes": [words]}
    execute = {**EXECUTE, "versions": [words], "history_table": words}
    verify = {**SICK, "newest": words, "differences": [words], "schema": "differs"}
    return run(
        State.WAITING,
        event(
            2096,
            "opened",
            8,
            Person(words, words),
            reason=words,
            message=words,
            what=[words],
            known=[words],
        ),
        target=words,
        reason=words,
        incident=words,
        requester=Person(words, words),
        request=Request("from", words),
        approvals=(Approval(Person(words, words), NOON, words),),
        failed={"step": "backup", "code": "E-BACKUP", "message": words, "hint": words},
        evidence={
            "identify": identify,
            "rehearse": rehearse,
            "backup": {**BACKUP, "format": words},
            "test restore": trial,
            "execute": execute,
            "verify": verify,
        },
    )


def huge_run() -> Run:
    """60 migrations, 400 dropped objects, names of 63 bytes, a script of 3 MB, the longest reason."""
    names = [f"{nth:03}_{'n' * 59}" for nth in range(70, 10, -1)]
    undo = [migration(name, f"DROP TABLE {'t' * 63};") for name in names]
    undo[0] = migration(names[0], "INSERT INTO big VALUES\n" + "(1, 'a < b & c > d'),\n" * 140_000 + "(2, 'e');")
    losses = [
        {"kind": "table", "name": f"{nth:03}{'t' * 60}", "rows": nth * 1000, "about": nth % 2 == 0}
        for nth in range(400)
    ]
    differences = [
        {**DIFFERS["differences"][0], "message": f"missing: index `{nth:03}{'i' * 60}`"} for nth in range(120)
    ]
    identify = {**IDENTIFY, "undo": undo, "named": names[-1]}
    rehearse = {**DIFFERS, "losses": losses, "differences": differences, "statements": 60}
    rehearse["locks"] = [{"table": f"{nth:03}{'t' * 60}", "mode": "AccessExclusiveLock"} for nth in range(400)]
    many = tuple(replace(YES[0], person=Person(f"U0P{nth}", "P" * 60)) for nth in range(2))
    return run(
        State.WAITING,
        target="p" * 60,
        reason="why " * 250,
        needed=3,
        approvals=many,
        revision=2,
        request=Request("from", names[-1]),
        evidence={**EXECUTED, "identify": identify, "rehearse": rehearse, "verify": SICK},
    )
