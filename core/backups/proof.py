"""What came back from a backup is what was there, or it is named what is not."""

from __future__ import annotations

import json

from core import schema
from core.backups import dump
from core.backups.dump import Archive
from core.backups.fingerprints import Marks
from core.errors import StepFailed
from core.model import Json
from core.scratch_extensions import Lacking

UNCHANGED = "Production was not changed."


def unharmed(archive: Archive, evidence: Json) -> Json:
    """The manifest, after backup and manifest were found to be what was written. Raises StepFailed(E-BACKUP)."""
    backup = archive.backup(evidence["format"])
    for file, digest in ((backup, evidence["sha256"]), (archive.manifest, evidence["manifest_sha256"])):
        if not file.exists() or dump.sha256(file) != digest:
            raise StepFailed("E-BACKUP", "The backup is not the file that was written.", f"{UNCHANGED} Ask again.")
    manifest: Json = json.loads(archive.manifest.read_text())
    return manifest


def same_rows(before: Marks, after: Marks) -> int:
    """How many tables are equal: all of them, else StepFailed(E-BACKUP) names the first that is not."""
    for name, mark in before.items():
        other = after.get(name)
        if other != mark:
            what = "is missing" if other is None else f"has {other[0]} rows, was {mark[0]}"
            if other and other[0] == mark[0]:
                what = "has other rows"
            raise StepFailed(
                "E-BACKUP", f"The restored copy is not the original: table `{schema.plain(name)}` {what}.", UNCHANGED
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
            "E-BACKUP", f"The restored schema is not the original: {'; '.join(harmful[:3])}{more}.", UNCHANGED
        )
