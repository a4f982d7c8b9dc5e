"""What must hold after every death, and at the end of every run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bot.lookup import label_of
from core.model import Run, State
from demo.workspace import Message
from tests.bench_fixtures import CHANNEL
from tests.crash.world import FIRST, UNDONE, CrashBench

QUERY = """
    SELECT (SELECT array_agg(version ORDER BY version) FROM schema_migrations),
           (SELECT array_agg(relname::text ORDER BY 1) FROM pg_class
             WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace),
           (SELECT array_agg(what ORDER BY number) FROM ran),
           to_regclass('rollback_bot.marker') IS NOT NULL"""
TABLES = {"001": {"profiles", "ran", "schema_migrations"}, "002": {"subscriptions"}, "003": {"events"}}
ROWS = {
    "profiles": "SELECT id, handle, display_name, status, to_jsonb(p) ->> 'plan_hint' AS hint FROM profiles p",
    "subscriptions": "SELECT profile_id, plan FROM subscriptions",
    "events": "SELECT id, profile_id, payload FROM events",
}


@dataclass(frozen=True)
class Seen:
    """The target at one moment: applied versions, what the scripts have written down, runs with a marker."""

    applied: tuple[str, ...]
    ran: tuple[str, ...]
    markers: frozenset[str]


def look(url: str) -> Seen:
    """In one snapshot. Raises AssertionError where the target is neither as before nor rolled back whole."""
    with psycopg.connect(url) as conn:
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        (applied, tables, ran, marked), *_ = conn.execute(QUERY).fetchall()
        markers = conn.execute("SELECT run FROM rollback_bot.marker").fetchall() if marked else []
    whole = set().union(*(TABLES[version] for version in applied))
    assert set(tables) == whole, f"{applied} are applied, and the tables are {tables}: half done"
    return Seen(tuple(applied), tuple(ran or ()), frozenset(str(row[0]) for row in markers))


def content(url: str) -> dict[str, tuple[str, ...]]:
    """Every row of every table of the application that is there."""
    with psycopg.connect(url) as conn:
        there = {row[0] for row in conn.execute("SELECT relname FROM pg_class WHERE relkind = 'r'").fetchall()}
        return {
            table: tuple(sorted(str(row) for row in conn.execute(query.encode()).fetchall()))
            for table, query in ROWS.items()
            if table in there
        }


@dataclass
class Expected:
    """What one run may have done to the target: as `before`, or as `after`, and nothing between."""

    before: Seen
    run: str
    kind: str
    seen_after: bool = False

    def after_a_death(self, url: str, run: Run) -> None:
        """Untouched, or whole and with its marker, and never untouched again once it was whole."""
        if self.kind == "restore":
            return  # the names are swapped: `at_the_end` looks
        now = look(url)
        if now == self.before:
            assert not self.seen_after, f"{run.id} had taken effect, and has not any more"
            return
        assert self.run in now.markers, f"{run.id} has changed the target without its marker"
        assert now.markers == self.before.markers | {self.run}, "somebody else's marker"
        words = scripts(self.before.applied, now.applied)
        assert now.ran == (*self.before.ran, *words), f"{run.id} ran {now.ran[len(self.before.ran) :]}, not {words}"
        self.seen_after = True


def scripts(before: tuple[str, ...], after: tuple[str, ...]) -> tuple[str, ...]:
    """What the scripts write down that lead from one state to another."""
    undone = sorted(set(before) - set(after), reverse=True)
    done = sorted(set(after) - set(before))
    return (*(f"undo {one}" for one in undone), *(f"do {one}" for one in done))


def sound(bench: CrashBench, run: Run) -> None:
    """The audit trail: its chain holds, and nothing ran without a second person's yes to exactly this plan."""
    ledger = bench.ledger
    try:
        verdict = ledger.verify()
        assert verdict.unbroken, verdict.faults
        events = ledger.events(run.id)
        given: set[tuple[str, str]] = set()
        for event in events:
            if event.kind == "approved" and event.actor:
                assert event.actor.id != run.requester.id, "somebody has approved a request of their own"
                given.add((event.actor.id, event.data["digest"]))
            if event.kind in ("plan_changed", "unapproved"):
                given.clear()
            if event.kind == "executing":
                assert any(digest == run.digest for _, digest in given), f"{run.id} was executed without an approval"
        kinds = [event.kind for event in events]
        done = [event.data["step"] for event in events if event.kind == "step_done"]
        assert done.count("execute") <= 1, "executed twice"
        assert kinds.count("executing") - kinds.count("interrupted") - kinds.count("plan_changed") <= 1, kinds
    finally:
        ledger.close()


def untouched(before: Seen, url: str) -> None:
    """The end says that nothing was changed."""
    assert look(url) == before, "it is said that nothing was changed"


def told(bench: CrashBench, run: Run) -> int:
    """Each event is told in the thread, in order, and once; how many posts stand there twice, by their labels."""
    slack, ledger = bench.workspace, bench.ledger
    try:
        posts = ledger.posts("run = ? AND place LIKE 'thread%' AND ts IS NOT NULL", (run.id,))
    finally:
        ledger.close()
    with slack.state.reading():
        messages = [one for one in slack.state.messages.get(CHANNEL, []) if one.ephemeral_for is None]
    mine = [one for one in messages if one.metadata and one.metadata["event_payload"].get("event")]
    mine = [one for one in mine if one.metadata and one.metadata["event_payload"]["run"] == run.id]
    lines = [one for one in mine if one.thread_ts]
    there = {one.ts for one in lines}
    missing = [post["event"] for post in posts if post["ts"] not in there]
    assert not missing, f"the ledger says that {missing} were told, and the channel does not show them"
    first = {label_of(vars(one)): one for one in reversed(mine)}
    order = [event_of(one) for one in lines if one is first[label_of(vars(one))]]
    assert order == sorted(order), f"told out of order: {order}"
    return len(mine) - len(first)


def event_of(message: Message) -> int:
    """The number of the event that it tells."""
    assert message.metadata
    return int(message.metadata["event_payload"]["event"])


def clean(bench: CrashBench, run: Run) -> Iterator[str]:
    """What a run has left behind."""
    name = run.id.lower().replace("-", "_")
    with psycopg.connect(bench.server.url()) as conn:
        for (one,) in conn.execute("SELECT datname FROM pg_database").fetchall():
            if name in one and not ("_before_" in one and run.state in (State.DONE, State.DECIDE)):
                yield f"database {one}"
        query = "SELECT application_name, state FROM pg_stat_activity WHERE application_name LIKE %s"
        for who, state in conn.execute(query, [f"%{run.id}%"]).fetchall():
            yield f"connection {who} ({state})"
    state = bench.folder / "state"
    for file in [*state.rglob("*"), *(bench.folder / "tmp").rglob("*")]:
        if file.name.endswith((".partial", f".{run.id}.lock")) or (bench.folder / "tmp") in file.parents:
            yield f"file {file.relative_to(bench.folder)}"
    if (bench.folder / "down").exists():
        yield "the services are down"
    for place in Path("/proc").glob("[0-9]*"):
        if int(place.name) != (bench.bot and bench.bot.pid) and str(bench.folder) in environment(place):
            yield f"process {place.name} {(place / 'comm').read_text().strip()}"


def environment(place: Path) -> str:
    """Of a process; empty where it is not ours to read, or over."""
    try:
        return (place / "environ").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def known_versions() -> tuple[str, ...]:
    """All migrations, oldest first."""
    return (FIRST, *sorted(UNDONE))
