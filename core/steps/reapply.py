"""Re-apply, the first way back: the forward migrations and the saved rows in one transaction. It keeps every write made since."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg

from core import commit, hold, layouts, postgres, schema, trial
from core.applied import stored
from core.backups import dump, encryption
from core.commit import UNDONE, once
from core.errors import PlanChanged, Refused, StepFailed
from core.forward import Forward, forward
from core.layouts import History, Layout
from core.locks import SHARED
from core.model import Json
from core.parts import inside
from core.redact import pg_error
from core.runbook import Work
from core.save import archive, links, rights
from core.save.archive import Writer
from core.save.bring import bring, may_bring
from core.save.inventory import inventory
from core.save.put_back import Back, Save, putting_back
from core.save.take import Taking
from core.scratch_copy import copy, scratch, target
from core.steps.execute import (
    as_rehearsed,
    begin,
    compare,
    destroys_only_what_is_saved,
    run_all,
    same_plan,
    saving,
    tables,
)
from core.steps.rehearse import looking, on_the_target
from core.usage import Usage

NOTHING = "Nothing was started."
INSIDE = (
    "`{}`, line {}: `{}` runs without CONCURRENTLY here, in the one transaction: writers of its table wait meanwhile."
)


# -- 1 identify ----------------------------------------------------------------------------------------------


def identify(work: Work) -> Json:
    """What is applied again, with the forward scripts as they are now, and the save. Raises Refused."""
    origin = work.undoes
    layout = layouts.of(work.target)
    with target(work) as conn:
        history = layout.history(conn)
        database = postgres.identity(conn)
    same_database(work, database)
    applied = [row.version for row in history.applied]
    undone = origin.evidence["identify"]["undo"]
    again = [item["name"] for item in undone if item["version"] in applied]
    if again:
        names = ", ".join(f"`{name}`" for name in again)
        raise Refused("E-NOTHING", f"{names} is applied on *{work.target.name}* already: nothing to re-apply.", NOTHING)
    saved = saved_file(work)
    encryption.check(work.target)  # this run saves rows too, under a lock
    files = layout.migrations()
    return {
        "database": database,
        **({"commit": layout.commit} if layout.commit else {}),
        "history_table": history.table,
        "applied": applied,
        "redo": [told(version, script, undone, files) for version, script in scripts(work).scripts],
        "stays": undone[0]["name"],
        "kept_after": [],
        "saved": {name: saved[name] for name in ("file", "sha256", "bytes", "rows", "values")},
    }


def same_database(work: Work, database: Json) -> None:
    """Raises Refused(E-NO-SAVED) where the rollback was of another database than the one that is there now."""
    before = work.undoes.evidence["identify"]["database"]
    if any(database[key] != before[key] for key in ("system_identifier", "oid")):
        raise Refused(
            "E-NO-SAVED",
            f"*{work.target.name}* is another database now than the one that {work.undoes.id} changed.",
            f"Its saved rows do not belong there. {NOTHING}",
        )


def saved_file(work: Work) -> Json:
    """What the rollback told of its save, after the file was found to be the one that was written. Raises Refused."""
    origin = work.undoes
    saved: Json = origin.evidence["execute"]["saved"]
    file = save_of(work).file
    if not file.exists():
        raise Refused("E-NO-SAVED", f"The saved rows of *{origin.id}* are no longer kept.", NOTHING)
    if dump.sha256(file) != saved["sha256"]:
        raise Refused("E-NO-SAVED", f"The saved rows of *{origin.id}* are not the file that was written.", NOTHING)
    return saved


def save_of(work: Work) -> Save:
    """The save, and what its rollback has learnt for the way back."""
    evidence = work.undoes.evidence
    file = dump.archive_of(work, work.undoes.id).saved
    rehearsed, since = evidence["rehearse"], evidence["execute"]["saved"]["since"]
    exact = evidence.get("test restore", {}).get("way_back", {}).get("exact", ())
    return Save(file, rehearsed["seeds"], rehearsed["derived"], exact, tuple(since))


def scripts(work: Work) -> Forward:
    """The forward scripts of what was undone, oldest first. Raises Refused."""
    layout = layouts.of(work.target)
    return forward(layout, work.undoes.evidence["identify"]["undo"])


def told(version: str, script: Any, undone: Sequence[Json], files: Sequence[layouts.Migration]) -> Json:
    """One migration that comes back, with its script whole."""
    found = layouts.find(files, version)
    where = stored.remarks(replace(found, rollback=None)) if found else []
    return {
        "version": version,
        "name": next(item["name"] for item in undone if item["version"] == version),
        "applied_at": None,
        "script": {
            "file": script.name,
            "sha256": script.sha256,
            "bytes": script.size,
            "statements": [s.told() for s in script.statements],
        },
        "warnings": [*where, *(INSIDE.format(script.name, s.line, s.kind) for s in script.statements if s.alone)],
    }


# -- 2 rehearse ----------------------------------------------------------------------------------------------


def rehearse(work: Work) -> Json:
    """What would happen, tried on a copy of the schema with the rows that the saved ones refer to."""
    started, fit = time.monotonic(), scratch(work)
    with target(work) as conn, looking(work), copy(work, fit) as url:
        usage = Usage(conn)
        todo = trial.statements(work.run.going)
        work.meter.doing("running the scripts on a copy")
        done = trial.run(work, url, todo, "E-REHEARSAL", "The migration fails on a copy")
        back = tried(work, conn, url)
        work.meter.doing("looking at the target")
        evidence = {
            **done.evidence(),
            **comes_back(work, done),
            "back": back,
            "health_url": work.target.health_url is not None,
            "scratch": {"source": fit.scratch.source, "major": fit.scratch.major},
            "notes": list(fit.notes),
        }
        evidence |= on_the_target(work, conn, usage, done, evidence["changes"])
    return {**evidence, "seconds": round(time.monotonic() - started, 3)}


def comes_back(work: Work, done: trial.Done) -> Json:
    """Is the schema afterwards the one from before the rollback? Rights given by hand come back apart from the scripts."""
    manifest = dump.archive_of(work, work.undoes.id).manifest
    if not manifest.exists():
        return {"restores": "unknown", "why_unknown": "the backup's manifest is no longer kept", "differences": []}
    before = {schema.Key(kind, name): text for kind, name, text in json.loads(manifest.read_text())["schema"]}
    aside = ("owner", "privileges", "settings")
    found = schema.difference(schema.without(before, aside), schema.without(done.after, aside))
    harmful = any(change.severity == "harmful" for change in found)
    return {
        "restores": "differs" if harmful else "exact",
        "why_unknown": "",
        "differences": [trial.told(change) for change in found],
    }


def tried(work: Work, conn: postgres.Connection, url: str) -> Json:
    """Forward scripts and saved rows on the copy: what comes back and what does not fit. Raises StepFailed(E-REHEARSAL)."""
    run, save, files = scripts(work), save_of(work), dump.archive_of(work)
    try:
        with postgres.connect(url, f"rollback-bot {work.run.id}", "the scratch server") as scratched:
            if not may_bring(scratched):
                return {"works": None, "why": "my role on the scratch server is no superuser"}
            work.meter.doing("bringing the rows that the saved ones refer to")
            bring(conn, scratched, save, keys_afterwards(scratched, run))
            started = time.monotonic()
            with (
                files.room() as room,
                scratched.transaction(),
                aside(replace(files, folder=room)) as open_aside,
                putting_back(scratched, save, open_aside, work.meter) as back,
            ):
                for _, statement in run.statements:
                    scratched.execute(inside(statement), binary=True)
    except psycopg.Error as error:
        raise StepFailed(
            "E-REHEARSAL", f"The saved rows do not go back on a copy: {pg_error(error)}.", "Production was not changed."
        ) from None
    except archive.Damaged as error:
        raise StepFailed(
            "E-REHEARSAL", f"The saved rows cannot be read: {error}.", "Production was not changed."
        ) from None
    return {"works": True, "why": "", "seconds": round(time.monotonic() - started, 3), **back.told()}


def keys_afterwards(conn: postgres.Connection, run: Forward) -> list[links.ForeignKey]:
    """The foreign keys that there are when the forward scripts have run."""
    with conn.transaction(force_rollback=True):
        for _, statement in run.statements:
            conn.execute(inside(statement), binary=True)
        return links.foreign_keys(conn)


# -- 3 execute -----------------------------------------------------------------------------------------------


def execute(work: Work) -> Json:
    """All or nothing. Raises PlanChanged (nothing ran), StepFailed (undone), NeedsAPerson (outcome unknown)."""
    before = commit.found(work) if work.run.executions > 1 else None
    if before:
        return before
    try:
        identified = identify(work)
    except Refused as no:
        if no.code in ("E-DB", "E-DIRECT"):
            raise StepFailed(no.code, no.message, no.hint) from None
        raise PlanChanged([no.message]) from None
    compare(work, identified)
    parts = work.undoes.evidence["execute"]["saved"]["parts"]
    rows = {part["table"]: SHARED for part in parts}  # those that are there; the others come with the scripts
    with target(work) as conn:
        there = {table.name for table in inventory(conn).values()}
    wanted = {**{table: mode for table, mode in rows.items() if table in there}, **tables(work)}
    return once(work, wanted, lambda conn: None, partial(carry_out, work=work))


def carry_out(conn: postgres.Connection, work: Work) -> Json:
    """Forward scripts, saved rows, rights, history rows; not committed yet."""
    before = schema.snapshot(conn)
    same_plan(conn, work, before)
    files = dump.archive_of(work)
    layout = layouts.of(work.target)
    history = layout.history(conn)
    released = hold.release(conn, history, work.undoes.id)
    with dump.disk(), files.writing(files.saved) as out:
        held = inventory(conn)
        taking = begin(conn, work.run.evidence, held, Writer(out, saving(work)))
        back = put_back(conn, work, files, taking)
        as_foreseen(work, back)
        destroys_only_what_is_saved(work, held, inventory(conn))
        track(conn, work, layout, history)
        after = schema.snapshot(conn)
        as_rehearsed(work, schema.difference(before, after), work.run.evidence["rehearse"]["effect"])
        saved = taking.finish(work.run.id, before, after)
        back.notes += rights.give_back(conn, back.manifest["rights"], after)
        after = schema.snapshot(conn)
        dump.write(files.schema, json.dumps([[*key, text] for key, text in sorted(after.items())]))
    return {
        "statements": len(trial.statements(work.run.going)),
        "versions": [item["version"] for item in work.run.going],
        "history_table": history.table,
        "schema": schema.fingerprint(after),
        "saved": {"file": files.saved.name, **saved, **files.lies(files.saved)},
        "back": {**back.told(), "file": files.aside.name if back.aside else None},
        "released": released,
    }


def put_back(conn: postgres.Connection, work: Work, files: dump.Archive, taking: Taking) -> Back:
    """The forward scripts, with the saved rows around them. Raises StepFailed, psycopg.Error."""
    try:
        with aside(files) as open_aside, putting_back(conn, save_of(work), open_aside, work.meter) as back:
            run_all(conn, work, trial.statements(work.run.going), taking)
    except archive.Damaged as error:
        raise StepFailed("E-REAPPLY", f"The saved rows cannot be read: {error}. {UNDONE}", "Keep the file.") from None
    return back


@contextmanager
def aside(files: dump.Archive) -> Iterator[Any]:
    """What opens the file for rows that do not fit."""
    with files.where_needed(files.aside) as opened:
        yield lambda: Writer(opened())


def as_foreseen(work: Work, back: Back) -> None:
    """Raises StepFailed(E-REAPPLY) where more rows do not fit than the approver was told."""
    known = sum(one["rows"] for one in work.run.evidence["rehearse"]["back"].get("aside", ()))
    left = sum(one["rows"] for one in back.aside)
    if left > known:
        why = "; ".join(f"{one['rows']:,} of `{schema.plain(one['table'])}`: {one['reason']}" for one in back.aside[:3])
        raise StepFailed(
            "E-REAPPLY",
            f"{left:,} saved rows no longer fit, {known:,} were foreseen ({why}). The re-apply was undone; production was not changed.",
            "Ask again: the new plan names them.",
        )


def track(conn: postgres.Connection, work: Work, layout: Layout, history: History) -> None:
    """The rows of the history table as they were, oldest migration first."""
    executed = work.undoes.evidence["execute"]
    for version, row in reversed(list(zip(executed["versions"], executed["history_rows"], strict=True))):
        layout.track(conn, history, version, row)
