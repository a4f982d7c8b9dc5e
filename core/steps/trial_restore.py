"""Step 4: prove that the backup can be put back, and run the scripts on what came back."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from psycopg.conninfo import conninfo_to_dict

from core import pgtools, postgres, schema, scratch_extensions, trial
from core.backups import dump
from core.backups.fingerprints import fingerprints
from core.errors import StepFailed
from core.model import Json
from core.parts import cut
from core.runbook import Work
from core.scratch_extensions import Lacking
from core.steps.rehearse import ownership, scratch, tools, without_owners
from core.steps.there_and_back import there_and_back
from core.trial_parts import for_real


def trial_restore(work: Work) -> Json:
    """Restore into a scratch database, compare every table and the schema, run the scripts on today's data."""
    archive = dump.Archive(work.settings.backup_dir, work.run.id)
    manifest = unharmed(archive, work.run.evidence["backup"])
    fit = scratch(work)
    bare = without_owners(work)
    with postgres.scratch(fit.scratch.url, work.run.id, "restored") as url, TemporaryDirectory() as folder:
        options = ownership(bare)
        options += scratch_extensions.only(tools(work), archive.file, fit.lacking, Path(folder))
        try:
            dump.restore(tools(work), archive.file, url, options, work.cancelled)
        except pgtools.ToolFailed as error:
            raise pgtools.stopped(error, "E-BACKUP", "The backup could not be restored") from None
        equal = same_rows(manifest["tables"], fingerprints(url, work.run.id, cancelled=work.cancelled))
        with postgres.connect(url, f"rollback-bot {work.run.id}", "the scratch server") as conn:
            same_schema(manifest["schema"], schema.snapshot(conn), bool(bare), fit.lacking)
        todo = trial.statements(work.run.evidence["identify"]["undo"])
        done = trial.run(work, url, todo, "E-TRIAL-RUN", "The script fails on the restored copy")
        done = in_parts(work, fit.scratch.url, url, done)
        surprise(work.run.evidence["rehearse"], done)
        way_back = there_and_back(work, url, done)
    left_out = [f"owners and privileges were left out: {bare}"] if bare else []
    return {
        "tables": len(manifest["tables"]),
        "equal": equal,
        "trial_seconds": round(done.seconds, 3),
        "rows_deleted": gone(work.run.evidence["rehearse"], manifest["tables"], done),
        "touched": {name: list(counts) for name, counts in sorted(done.touched.items())},
        "destroyed": done.destroyed.told(),
        "emptied": list(done.seen.emptied),
        "slowest": round(done.slowest, 3),
        "way_back": way_back,
        "notes": [*left_out, *fit.notes, *data_only(done)],
    }


def in_parts(work: Work, server: str, restored: str, done: trial.Done) -> trial.Done:
    """Where the scripts cannot run in one transaction: what they really do, on a copy of the restored one."""
    parts = cut(work.run.evidence["identify"]["undo"])
    if len(parts) == 1:
        return done
    template = str(conninfo_to_dict(restored)["dbname"])
    with postgres.scratch(server, work.run.id, "parts", template) as url:
        return for_real(work, url, parts, "E-TRIAL-RUN", "The script fails on the restored copy", done)[0]


def unharmed(archive: dump.Archive, evidence: Json) -> Json:
    """The manifest, after both files were found to be the ones that were written. Raises StepFailed(E-BACKUP)."""
    for file, digest in ((archive.file, evidence["sha256"]), (archive.manifest, evidence["manifest_sha256"])):
        if not file.exists() or dump.sha256(file) != digest:
            raise StepFailed(
                "E-BACKUP", "The backup is not the file that was written.", "Production was not changed. Ask again."
            )
    manifest: Json = json.loads(archive.manifest.read_text())
    return manifest


def same_rows(before: dict[str, list[str]], after: dict[str, list[str]]) -> int:
    """How many tables are equal: all of them, else StepFailed(E-BACKUP) names the first that is not."""
    for name, mark in before.items():
        other = after.get(name)
        if other != mark:
            what = "is missing" if other is None else f"has {other[0]} rows, was {mark[0]}"
            if other and other[0] == mark[0]:
                what = "has other rows"
            raise StepFailed(
                "E-BACKUP",
                f"The restored copy is not the original: table `{schema.plain(name)}` {what}.",
                "Production was not changed.",
            )
    return len(before)


def same_schema(before: list[list[str]], after: schema.Snapshot, without_roles: bool, lacking: Lacking) -> None:
    """Raises StepFailed(E-BACKUP) where the restored schema differs in effect; `lacking` is known and said already."""
    original = {schema.Key(kind, identity): text for kind, identity, text in before}
    aside = ("owner", "privileges", "settings") if without_roles or lacking.left_out else ("settings",)
    found = [
        change
        for change in schema.difference(schema.without(original, aside), schema.without(after, aside))
        if not lacking.explains(change)
    ]
    harmful = [change.message for change in found if change.severity == "harmful"]
    if harmful:
        more = f" and {len(harmful) - 3} more" if len(harmful) > 3 else ""
        raise StepFailed(
            "E-BACKUP",
            f"The restored schema is not the original: {'; '.join(harmful[:3])}{more}.",
            "Production was not changed.",
        )


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


def gone(rehearsed: Json, tables: dict[str, list[str]], done: trial.Done) -> int:
    """Rows that were there before and not after: of dropped tables, and deleted ones."""
    dropped = {
        change["table"]
        for change in rehearsed["changes"]
        if change["kind"] == "table" and change["change"] == "missing"
    }
    deleted = sum(counts[2] for name, counts in done.touched.items() if name not in dropped)
    return deleted + sum(int(tables[name][0]) for name in dropped if name in tables)
