"""Step 4: prove that the backup can be put back, and run the scripts on what came back."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg.conninfo import conninfo_to_dict

from core import postgres, schema, trial
from core.backups import Copy, dump, partial_copy, strategies
from core.errors import StepFailed
from core.model import Json
from core.parts import cut
from core.runbook import Work
from core.scratch_copy import scratch_url
from core.steps.there_and_back import there_and_back
from core.trial_parts import for_real

FAILS = "The script fails on the restored copy"
PARENT_MISSING = " 23503 "
"""SQLSTATE foreign_key_violation: on a copy that has not all rows it says nothing about the script."""


def trial_restore(work: Work) -> Json:
    """Restore into a scratch database, compare every table of the backup, run the scripts on today's data."""
    backup = work.run.evidence["backup"]
    with strategies.named(backup["format"]).proven(work, dump.archive_of(work)) as copy:
        work.meter.doing("running the scripts on the copy")
        done, without_rows = tried(work, copy)
        surprise(work.run.evidence["rehearse"], done)
        lacks = without_rows or copy.lacks
        way_back = {"works": None, "why": lacks} if lacks else there_and_back(work, copy.url, done)
    return {
        "tables": len(copy.tables),
        "equal": len(copy.tables),  # else it would have failed
        "verified": backup["format"] != "command" or bool(work.target.backup.verify),
        "trial_seconds": round(done.seconds, 3),
        "rows_deleted": gone(work.run.evidence["rehearse"], copy.tables, done),
        "touched": {name: list(counts) for name, counts in sorted(done.touched.items())},
        "destroyed": done.destroyed.told(),
        "emptied": list(done.seen.emptied),
        "slowest": round(done.slowest, 3),
        "way_back": way_back,
        "notes": [*copy.notes, *([without_rows] if without_rows else []), *data_only(done)],
    }


def tried(work: Work, copy: Copy) -> tuple[trial.Done, str]:
    """What the scripts did, and why they had to run without rows; empty where they had them. Raises StepFailed(E-TRIAL-RUN)."""
    try:
        return in_parts(work, copy.url), ""
    except StepFailed as error:
        if copy.whole or PARENT_MISSING not in error.message:
            raise
    partial_copy.empty(copy.url)
    why = "the scripts ran without rows: they ask for rows of other tables, which are not in the backup"
    return in_parts(work, copy.url), why


def in_parts(work: Work, url: str) -> trial.Done:
    """What the scripts did; where they cannot run in one transaction, what they really do, on a copy of the copy."""
    undo = work.run.evidence["identify"]["undo"]
    done = trial.run(work, url, trial.statements(undo), "E-TRIAL-RUN", FAILS)
    parts = cut(undo)
    if len(parts) == 1:
        return done
    template = str(conninfo_to_dict(url)["dbname"])
    with postgres.scratch(scratch_url(work), work.run.id, "parts", template) as other:
        return for_real(work, other, parts, "E-TRIAL-RUN", FAILS, done)[0]


def surprise(rehearsed: Json, done: trial.Done) -> None:
    """Raises StepFailed(E-TRIAL-RUN) where the scripts did something else than in the rehearsal."""
    if trial.effect(done.changes) == rehearsed["effect"]:
        return
    known = {(change["kind"], change["object"], change["change"]) for change in rehearsed["changes"]}
    new = [change.message for change in done.changes if trial.key(change) not in known] or [
        "some changes did not happen"
    ]
    raise StepFailed(
        "E-TRIAL-RUN",
        f"With today's data the scripts do something else than in the rehearsal: {'; '.join(new[:3])}.",
        "Production was not changed. Read the script: it depends on the data.",
    )


def data_only(done: trial.Done) -> list[str]:
    """What an empty copy cannot show: rows that the scripts write in tables that stay, one sentence each."""
    stays = {key.identity for key in done.after if key.kind == "table"}
    words = ("adds", "changes", "deletes")
    return [
        f"with today's data the scripts {verb} {count:,} {'row' if count == 1 else 'rows'} of `{schema.plain(name)}`"
        for name, counts in sorted(done.touched.items())
        if name in stays
        for verb, count in zip(words, counts, strict=True)
        if count
    ]


def gone(rehearsed: Json, tables: Mapping[str, list[str]], done: trial.Done) -> int:
    """Rows that were there before and not after: of dropped tables, and deleted ones."""
    dropped = {
        change["table"]
        for change in rehearsed["changes"]
        if change["kind"] == "table" and change["change"] == "missing"
    }
    deleted = sum(counts[2] for name, counts in done.touched.items() if name not in dropped)
    return deleted + sum(int(tables[name][0]) for name in dropped if name in tables)
