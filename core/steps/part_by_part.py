"""Step 5 where a statement cannot run in a transaction: part by part, each whole or not begun, or said to be begun.

Every part asks the database first how far it is. So an interruption loses nothing: what is done stays done, and a person
says whether the rest follows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import psycopg

from core import commit, layouts, locks, plan, postgres, schema
from core.bystander import Bystander
from core.errors import NeedsAPerson, PlanChanged, Problem, Refused, StepFailed
from core.layouts import Applied
from core.locks import EXCLUSIVE, SHARED
from core.model import Json
from core.parts import Part, Progress, cut, probe, to_run
from core.redact import pg_error
from core.runbook import Work
from core.scratch_copy import target
from core.steps import execute as at_once
from core.steps.identify import undone


@dataclass(frozen=True)
class Seen:
    """How far a part is; `marker`: the evidence of a transaction that committed."""

    part: Part
    progress: Progress
    marker: Json | None = None


def execute(work: Work) -> Json:
    """In one transaction where that can be, else part by part.

    Raises PlanChanged, StepFailed (nothing was changed), NeedsAPerson (something was, or it is unknown).
    """
    if len(cut(work.run.evidence["identify"]["undo"])) == 1:
        return at_once.execute(work)
    if work.run.partly:  # a person has said that the rest may follow
        return go_on(work, approved_parts(work))
    before = found(work) if work.run.executions > 1 else None
    if before:
        return before
    parts = cut(at_once.same_scripts(work))
    with target(work) as conn:
        at_once.same_rows(conn, work)
        at_once.same_plan(conn, work, schema.snapshot(conn))
    return go_on(work, parts)


def found(work: Work) -> Json | None:
    """Is everything done? Its evidence; None where nothing is. Raises NeedsAPerson where some is, or it cannot be told."""
    parts = cut(work.run.evidence["identify"]["undo"])
    if len(parts) == 1:
        return commit.found(work)
    now = behind_the_fence(work, parts)
    if all(one.progress == "done" for one in now):
        return whole(now)
    if all(one.progress == "left" for one in now):
        return None
    raise partly(now, "I was stopped in between")


def go_on(work: Work, parts: Sequence[Part]) -> Json:
    """What is left. Raises PlanChanged, StepFailed (nothing is done), NeedsAPerson (something is, or it is unknown)."""
    for seen in behind_the_fence(work, parts):
        if seen.progress == "done":
            continue
        part = seen.part
        work.say("part_started", {"part": part.number, "of": part.of, "about": str(part)})
        started = time.monotonic()
        try:
            commit.not_cut(work)
            if part.alone:
                by_itself(work, part)
            else:
                together(work, part)
        except (Problem, PlanChanged) as problem:
            if isinstance(problem, NeedsAPerson):
                raise
            now = behind_the_fence(work, parts)
            if all(one.progress == "left" for one in now):
                raise
            raise partly(now, problem.message if isinstance(problem, Problem) else "; ".join(problem.what)) from None
        seconds = round(time.monotonic() - started, 3)
        work.say("part_done", {"part": part.number, "of": part.of, "about": str(part), "seconds": seconds})
    return whole(behind_the_fence(work, parts))


def behind_the_fence(work: Work, parts: Sequence[Part]) -> list[Seen]:
    """How far each part is, when nothing of this run is under way any more. Raises NeedsAPerson."""
    return commit.behind_the_fence(work, lambda conn: [look(conn, work, part) for part in parts])


def look(conn: postgres.Connection, work: Work, part: Part) -> Seen:
    """Ask the database about one part."""
    if part.alone:
        return Seen(part, probe(conn, part.alone)[0])
    marker = commit.marked(conn, work, part.mark)
    return Seen(part, "done" if marker else "left", marker)


def whole(now: Sequence[Seen]) -> Json:
    """One evidence out of those of the parts."""
    marks = [one.marker for one in now if one.marker]
    last = marks[-1]
    return {
        **last,
        **next(({"saved": mark["saved"]} for mark in marks if "saved" in mark), {}),
        "statements": sum(len(one.part.statements) for one in now),
        "versions": [version for mark in marks for version in mark["versions"]],
        "history_rows": [row for mark in marks for row in mark["history_rows"]],
        "seconds": round(sum(mark["seconds"] for mark in marks), 3),
        "locked": max(mark["locked"] for mark in marks),
        "parts": len(now),
    }


def partly(now: Sequence[Seen], why: str) -> NeedsAPerson:
    """Exactly what is done and what is left."""
    begun = {"drop index": "it is no longer used", "create index": "it is not used yet", "detach partition": "pending"}
    done = [str(one.part) for one in now if one.progress == "done"]
    left = [str(one.part) for one in now if one.progress == "left"]
    half = [
        f"{one.part}, which was begun ({begun[one.part.alone['kind']]})"
        for one in now
        if one.progress == "begun" and one.part.alone
    ]
    return NeedsAPerson(
        "E-PARTLY",
        f"It is half done: {why.removesuffix(commit.UNDONE).rstrip('. ')}.",
        "Continue with the rest, or put the full backup back.",
        done=done,
        left=[*half, *left],
    )


# -- one part ------------------------------------------------------------------------------------------------


def together(work: Work, part: Part) -> None:
    """A transaction of its own, with a marker of its own."""
    rehearsed = work.run.evidence["rehearse"]["parts"][part.number - 1]
    tried = work.run.evidence.get("test restore", {}).get("touched", ()) if rehearsed["saves"] else ()
    written = {*rehearsed["writes"], *tried, work.run.evidence["identify"]["history_table"]}
    wanted = {**dict.fromkeys(written, SHARED), **{lock["table"]: EXCLUSIVE for lock in rehearsed["locks"]}}
    commit.once(work, wanted, lambda conn: None, partial(at_once.carry_out, work=work, part=part), part.mark)


def by_itself(work: Work, part: Part) -> None:
    """One statement outside a transaction: ends what was begun, and does nothing where it is done. Raises StepFailed."""
    alone = part.alone or {}
    file, statement = part.statements[0]
    with target(work) as conn, Bystander(work, conn) as bystander:
        guard(conn, work)
        progress, table, own = probe(conn, alone)
        patience = locks.Patience(work.target.lock_timeout.total_seconds(), work.target.lock_wait.total_seconds())
        if progress != "done" and table:
            locks.quiet(conn, table, patience, bystander.note)
        conn.execute("SET lock_timeout = 0")  # nobody waits behind it, and cut short it would be half done
        conn.execute(f"SET statement_timeout = {int(work.target.statement_timeout.total_seconds() * 1000)}".encode())
        try:
            for sql in to_run(alone, statement["sql"], progress, own) if progress != "done" else []:
                conn.execute(sql.encode())
        except psycopg.Error as error:
            raise StepFailed(
                "E-EXECUTE",
                f"`{file}`, line {statement['line']}: {pg_error(error, statement['sql'])}.",
                "Production was not changed.",
            ) from None
        if probe(conn, alone)[0] != "done":
            raise StepFailed("E-EXECUTE", f"{part} ran, but is not done.", "Look at the database.")


def guard(conn: postgres.Connection, work: Work) -> None:
    """The fence, the target's lock and the migration tool's, for as long as the session lives. Raises StepFailed(E-BUSY)."""
    layout = layouts.of(work.target)
    keys = [postgres.TARGET_KEY, *layout.lock_keys(conn, layout.history(conn))]
    if not commit.fence(conn, work) or not all(
        postgres.execute(conn, "SELECT pg_try_advisory_lock(%s)", key)[0][0] for key in keys
    ):
        raise StepFailed(
            "E-BUSY", f"A migration or another rollback is running on *{work.target.name}*.", "Wait for its end."
        )


def approved_parts(work: Work) -> list[Part]:
    """The parts to go on with, of the scripts as they were read just now. Raises NeedsAPerson where those are not the approved ones."""
    approved, identified = work.run.evidence["rehearse"]["facts"], work.run.evidence["identify"]
    try:
        if plan.digest(approved) != work.run.digest:
            raise Refused("E-STALE", "the approved plan is not the one in the audit trail")
        files = layouts.forward_of(layouts.of(work.target), [version for version, _, _ in approved["scripts"]])
        table = identified["history_table"].rpartition(".")[2].strip('"')
        undo = [
            undone(Applied(version), migration, table)
            for (version, *_), migration in zip(approved["scripts"], files, strict=True)
        ]
        if [[item["version"], item["name"], item["script"]["sha256"]] for item in undo] != approved["scripts"]:
            raise Refused("E-STALE", "a rollback script was edited since")
    except Refused as no:
        raise partly(behind_the_fence(work, cut(identified["undo"])), no.message) from None
    return cut(undo)
