"""Step 2: run the scripts on an empty copy of the schema, and say what they do."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from core import layouts, plan, postgres, schema, script, trial
from core.backups import foretelling
from core.errors import Refused, StepFailed
from core.forward import Forward, forward
from core.losses import losses
from core.model import Json
from core.parts import cut
from core.redact import pg_error
from core.runbook import Work
from core.scratch_copy import copy, scratch, target
from core.scratch_server import Fit
from core.stopping import stoppable
from core.trial_parts import for_real
from core.usage import Usage


def rehearse(work: Work) -> Json:
    """What would happen: changes, losses, locks, and whether the schema from before the migration comes back."""
    started, fit = time.monotonic(), scratch(work)
    with target(work) as conn, looking(work):
        foretelling.ready(work, conn)
        work.meter.doing("copying the schema")
        usage = Usage(conn)  # the first look; the second comes when the scripts have told what they touch
        done, shown = on_a_copy(work, fit)
        evidence = {
            **done.evidence(),
            "parts": shown,
            **goes_back(work, fit, done),
            "health_url": work.target.health_url is not None,
            "scratch": {"source": fit.scratch.source, "major": fit.scratch.major},
            "notes": [*fit.notes, *named_in_code(done)],
        }
        work.meter.doing("looking at the target")
        depended_on(work, evidence)
        evidence |= foretelling.foretold(work, conn, evidence)
        evidence |= on_the_target(work, conn, usage, done, evidence["changes"])
    return {**evidence, "seconds": round(time.monotonic() - started, 3)}


@contextmanager
def looking(work: Work) -> Iterator[None]:
    """A question to the target that fails, because of a lock or a right, ends the step in words."""
    try:
        yield
    except psycopg.Error as error:
        raise StepFailed(
            "E-REHEARSAL",
            f"I could not look at *{work.target.name}*: {pg_error(error)}.",
            "Production was not changed. Ask again when the lock or the right is there.",
        ) from None


def on_a_copy(work: Work, fit: Fit) -> tuple[trial.Done, list[Json]]:
    """Run the scripts on an empty copy; what they did, and what each part did where there are several.

    Raises StepFailed(E-REHEARSAL), Refused(E-ONLY-DEPENDS, E-NO-TX).
    """
    why, undo = ("E-REHEARSAL", "The script fails on an empty copy"), work.run.evidence["identify"]["undo"]
    parts = cut(undo)
    with copy(work, fit) as url:
        work.meter.doing("running the scripts on an empty copy")
        try:
            done = trial.run(work, url, trial.statements(undo), *why, forward_scripts(work))
            return for_real(work, url, parts, *why, done) if len(parts) > 1 else (done, [])
        except StepFailed as error:
            raise depends(work, error) or error from None


def on_the_target(work: Work, conn: postgres.Connection, usage: Usage, done: trial.Done, changes: list[Json]) -> Json:
    """What only the target can tell, read-only: rows that go, who uses the tables now, and what is approved."""
    identified, budget = work.run.evidence["identify"], work.target.count_budget.total_seconds()
    applied = [item["applied_at"] for item in work.run.going if item["applied_at"]]
    objects, lost = plan.objects(schema.snapshot(conn), changes), losses(conn, work, done)
    since_when = min(applied) if applied and len(applied) == len(work.run.going) else None
    used = usage.tell([table for table, _ in done.locks], since_when, budget)
    since = {schema.plain(one["table"]): one for one in used}
    for loss in lost:
        if loss["kind"] == "table" and loss["name"] in since:
            loss |= {"since": since[loss["name"]]["since"], "last_write": since[loss["name"]]["last_write"]}
    facts = plan.facts(work.run, work.target, identified, trial.effect(done.changes), objects)
    return {"losses": lost, "usage": used, "facts": facts, "digest": plan.digest(facts)}


def forward_scripts(work: Work) -> Forward | str:
    """The forward migrations of what goes; why not, where they cannot be run."""
    layout = layouts.of(work.target)
    try:
        return forward(layout, work.run.evidence["identify"]["undo"])
    except Refused as no:
        return no.message


def depends(work: Work, error: StepFailed) -> Refused | None:
    """With `--only`: the script fails since something of a later migration depends on it (SQLSTATE 2BP01)."""
    if "2BP01" not in error.message or not work.run.evidence["identify"]["kept_after"]:
        return None
    return not_alone(work, error.message)


def depended_on(work: Work, found: Json) -> None:
    """Raises Refused(E-ONLY-DEPENDS) where `--only` is not proven: later migrations need it, or something of theirs goes along."""
    if not work.run.evidence["identify"]["kept_after"]:
        return
    if found["restores"] == "unknown":
        raise not_alone(work, f"Without it, {found['why_unknown']}.")
    gone = [
        one["message"] for one in found["differences"] if one["change"] == "missing" and one["severity"] == "harmful"
    ]
    if gone:
        raise not_alone(work, f"It would take along what must stay: {'; '.join(gone[:3])}.")


def named_in_code(done: trial.Done) -> list[str]:
    """Functions that stay and name in their text what goes: no catalog knows of that. One sentence each, at most five."""
    gone = {
        schema.names(change.object.partition("(")[0])[-1]
        for change in done.changes
        if change.change == "missing" and change.kind in ("table", "view", "materialized view", "function", "type")
    }
    if not gone:
        return []
    word = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, sorted(gone, key=len, reverse=True)))})(?!\w)")
    code = [
        (key, found[1])
        for key, text in done.after.items()
        if key.kind in ("function", "procedure") and (found := word.search(text))
    ]
    return [
        f"`{schema.plain(key.identity)}` stays and names `{name}` in its text: it may fail afterwards"
        for key, name in sorted(code)[:5]
    ]


def not_alone(work: Work, why: str) -> Refused:
    """`--only` is refused."""
    identified = work.run.evidence["identify"]
    alone = identified["undo"][0]["name"]
    later = ", ".join(f"`{name}`" for name in identified["kept_after"])
    return Refused(
        "E-ONLY-DEPENDS",
        f"`{alone}` cannot be undone alone: {later} came later, and it is not proven that nothing there depends on it. {why}",
        f"`/rollback {alone}` undoes them together. Nothing was started.",
        (f"/rollback {alone}",),
    )


def goes_back(work: Work, fit: Fit, done: trial.Done) -> Json:
    """Is the schema afterwards the one that stood before the migration?

    Built from the forward migrations on a scratch database, once up to the ones that stay and once up to all that are
    applied: what differs already in the second is drift of the target's own, and not the script's fault.
    """
    work.meter.doing("building the schema from before")
    try:
        with postgres.scratch(fit.scratch.url, work.run.id, "before") as url:
            before, applied = built(work, url)
    except (StepFailed, psycopg.Error) as error:
        why = error.message if isinstance(error, StepFailed) else pg_error(error)
        return {"restores": "unknown", "why_unknown": why, "differences": []}
    history = work.run.evidence["identify"]["history_table"]
    drift = {trial.key(change) for change in compare(applied, done.before, history)}
    found = [change for change in compare(before, done.after, history) if trial.key(change) not in drift]
    harmful = any(change.severity == "harmful" for change in found)
    return {
        "restores": "differs" if harmful else "exact",
        "why_unknown": "",
        "differences": [trial.told(change) for change in found],
    }


def compare(one: schema.Snapshot, other: schema.Snapshot, history: str) -> list[schema.Change]:
    """Differences apart from the history table (its owner makes it, not the migrations), owners and privileges."""
    aside = ("owner", "privileges")
    found = schema.difference(schema.without(one, aside), schema.without(other, aside))
    return [change for change in found if history not in (change.table, change.object)]


def built(work: Work, url: str) -> tuple[schema.Snapshot, schema.Snapshot]:
    """Apply the forward migrations; the schema without those that go, and with them."""
    layout = layouts.of(work.target)
    undo = {item["name"] for item in work.run.evidence["identify"]["undo"]}
    applied = layouts.forward_of(layout, work.run.evidence["identify"]["applied"])
    with postgres.connect(url, f"rollback-bot {work.run.id}", "the scratch server") as conn:
        timeout(conn, work)
        with stoppable(conn, work.cancelled):
            for migration in applied:
                if migration.name not in undo:
                    apply(conn, migration)
            before = schema.snapshot(conn)
            for migration in applied:
                if migration.name in undo:
                    apply(conn, migration)
            after = schema.snapshot(conn)
        return before, after


def apply(conn: postgres.Connection, migration: layouts.Migration) -> None:
    """One forward migration. Raises StepFailed where its file is missing or fails."""
    if migration.forward is None:
        raise StepFailed("E-REHEARSAL", f"the forward migration of `{migration.name}` is missing")
    part = migration.forward
    text = part.data.decode("utf-8-sig")
    try:
        if part.transaction == "never" or "concurrently" in text.lower():  # as one message it would be one transaction
            for statement, _ in script.parsed(part.shown, part.data):
                conn.execute(statement.sql.encode(), binary=True)
        else:
            conn.execute(text.encode())
    except psycopg.Error as error:
        raise StepFailed(
            "E-REHEARSAL", f"`{migration.name}` does not apply to an empty database: {pg_error(error)}"
        ) from None


def timeout(conn: postgres.Connection, work: Work) -> None:
    """The target's statement timeout, for everything that runs on a scratch database."""
    conn.execute(f"SET statement_timeout = {int(work.target.statement_timeout.total_seconds() * 1000)}".encode())
