"""Step 5: save what goes, run the scripts, take the history rows out: one transaction that cannot half-happen.

How it commits, and how it is known afterwards whether it did: `core.commit`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from core import commit, hold, layouts, plan, postgres, schema, trial
from core.backups import dump
from core.commit import GONE, UNDONE, once, unknown, xid
from core.errors import PlanChanged, Refused, StepFailed
from core.locks import EXCLUSIVE, SHARED
from core.losses import moved
from core.meter import Phase
from core.model import Json
from core.parts import Part, cut
from core.runbook import Work
from core.save.archive import Writer
from core.save.inventory import Destroyed, Inventory, destroyed, inventory, unsaved
from core.save.take import Taking
from core.save.wanted import going, merged, to_save
from core.steps.identify import identify
from core.temporary import nameless
from core.trial import LeftTransaction, one


def execute(work: Work) -> Json:
    """All or nothing. Raises PlanChanged (nothing ran), StepFailed (undone), NeedsAPerson (outcome unknown)."""
    before = commit.found(work) if work.run.executions > 1 else None
    if before:  # it was interrupted and had committed after all
        return before
    (whole,) = cut(same_scripts(work))
    return once(work, tables(work), partial(same_rows, work=work), partial(carry_out, work=work, part=whole))


def tables(work: Work) -> dict[str, str]:
    """What must be locked, and how: all that the scripts lock out, and all whose rows they change: a trigger of ours can
    only be dropped again where nobody reads.

    The history table too: not every migration tool takes a lock, but each writes a row there.
    """
    rehearsed, tried = work.run.evidence["rehearse"], work.run.evidence.get("test restore", {})
    out = {*rehearsed["writes"], *tried.get("touched", ()), *(lock["table"] for lock in rehearsed["locks"])}
    return {work.run.evidence["identify"]["history_table"]: SHARED, **dict.fromkeys(out, EXCLUSIVE)}


# -- is it still what was approved? --------------------------------------------------------------------------


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


def same_plan(conn: postgres.Connection, work: Work, live: schema.Snapshot) -> None:
    """The same again under the lock, with the definitions of everything that the scripts touch."""
    layout = layouts.of(work.target)
    identified = work.run.evidence["identify"]
    applied = [row.version for row in layout.history(conn).applied]
    now = {**identified, "applied": applied, "database": postgres.identity(conn)}
    compare(work, now, plan.objects(live, work.run.evidence["rehearse"]["changes"]))


def compare(work: Work, identified: Json, objects: str | None = None) -> None:
    """Raises PlanChanged with what changed since the plan was made."""
    approved = work.run.evidence["rehearse"]["facts"]
    live = plan.facts(work.run, work.target, identified, approved["effect"], objects or approved["touched objects"])
    if plan.digest(live) != work.run.digest:
        raise PlanChanged(plan.drift(approved, live) or ["the approved plan is not the one in the audit trail"])


# -- the transaction -----------------------------------------------------------------------------------------


def carry_out(conn: postgres.Connection, work: Work, part: Part) -> Json:
    """Save, statements, history rows, and the proof that this is what was rehearsed; not committed yet."""
    before = schema.snapshot(conn)
    if part.number == 1:
        same_plan(conn, work, before)
    rehearsed = work.run.evidence["rehearse"]
    expected = (
        rehearsed["parts"][part.number - 1] if rehearsed["parts"] else {"effect": rehearsed["effect"], "saves": True}
    )
    archive = dump.archive_of(work)
    with dump.disk(), archive.writing(archive.saved) if expected["saves"] else nameless() as out:
        held = inventory(conn)
        evidence = work.run.evidence if expected["saves"] else None
        taking = begin(conn, evidence, held, Writer(out, saving(work) if expected["saves"] else None))
        run_all(conn, work, part.statements, taking)
        destroys_only_what_is_saved(work, held, inventory(conn), expected["saves"])
        layout = layouts.of(work.target)
        history = layout.history(conn)
        rows = [layout.untrack(conn, history, version) for version in part.versions]
        after = schema.snapshot(conn)
        as_rehearsed(work, schema.difference(before, after), expected["effect"])
        saved = taking.finish(work.run.id, before, after)
        # the schema as it must be afterwards: verify can then name each difference
        dump.write(archive.schema, json.dumps([[*key, text] for key, text in sorted(after.items())]))
    return {
        "statements": len(part.statements),
        "versions": list(part.versions),
        "history_table": work.run.evidence["identify"]["history_table"],
        "history_rows": rows,
        "schema": schema.fingerprint(after),
        **(
            {"saved": {"file": archive.saved.name, **saved, **archive.lies(archive.saved)}} if expected["saves"] else {}
        ),
        "hold": hold.put(conn, work, history, part.versions),
    }


def saving(work: Work) -> Phase:
    """What the save takes, as it was on the restored copy, else as it was foretold."""
    tried = work.run.evidence.get("test restore", {}).get("way_back", {}).get("bytes")
    foretold = (work.run.evidence["rehearse"].get("save") or {}).get("bytes", 0)
    return work.meter.show(Phase("saved", "bytes", int(tried or foretold), about=True))


def begin(conn: postgres.Connection, evidence: Any, held: Inventory, writer: Writer) -> Taking:
    """Copy out what goes before the scripts run, and watch what they change. `evidence`: by step; None: nothing may go."""
    if evidence is None:
        return Taking(conn, [], held, writer, [], [])
    found, scripts = to_save(conn, evidence, held), trial.statements(going(evidence))
    return Taking(conn, found, held, writer, [one["sql"] for _, one in scripts], evidence["rehearse"]["changes"])


def run_all(conn: postgres.Connection, work: Work, todo: Sequence[tuple[str, Json]], taking: Taking) -> None:
    """Run the statements one by one, and save what they have changed.

    Raises NeedsAPerson where a statement has ended the transaction, StepFailed where one fails.
    """
    transaction, ran = xid(conn), work.meter.show(Phase("run", "statement", len(todo)))
    commit.hurry(conn, work)
    for file, statement in todo:
        one_inside(conn, file, statement, transaction)
        taking.watch.again(statement["sql"])
        ran.add()
    commit.reset(conn, work)
    work.meter.show(taking.writer.phase)
    taking.through()
    work.meter.doing("comparing the schema")


def one_inside(conn: postgres.Connection, file: str, statement: Json, transaction: Any) -> None:
    """One statement; afterwards the transaction is still the same."""
    try:
        one(conn, file, statement, "E-EXECUTE", "The transaction was undone")
        inside = xid(conn) == transaction
    except LeftTransaction:
        inside = False
    if not inside:
        raise unknown([f"`{file}`, line {statement['line']} ended the transaction although nothing in it says so"])


def destroys_only_what_is_saved(work: Work, before: Inventory, after: Inventory, saves: bool = True) -> None:
    """Raises StepFailed(E-DIFFERS) where more has gone than the proofs have seen, whatever the schema says."""
    rehearsed, tried = work.run.evidence["rehearse"], work.run.evidence.get("test restore", {})
    known = merged(rehearsed["destroyed"], tried.get("destroyed", {})) if saves else Destroyed().told()
    other = unsaved(destroyed(before, after), known, rehearsed["rewritten"])
    if other:
        raise StepFailed(
            "E-DIFFERS",
            f"Before COMMIT more was gone than was saved ({'; '.join(other[:3])}). {UNDONE}",
            "Ask again: the new plan shows it.",
        )


def as_rehearsed(work: Work, changes: list[schema.Change], effect: str) -> None:
    """Raises StepFailed(E-DIFFERS) before COMMIT where the target changed in another way than the copy."""
    rehearsed = work.run.evidence["rehearse"]
    if trial.effect(changes) == effect:
        return
    known = {(c["kind"], c["object"], c["change"]) for c in rehearsed["changes"]}
    other = [c.message for c in changes if trial.key(c) not in known] or ["a rehearsed change did not happen"]
    raise StepFailed(
        "E-DIFFERS",
        f"Before COMMIT the schema was not the rehearsed one ({'; '.join(other[:3])}). {UNDONE}",
        "Ask again: the new plan shows it.",
    )
