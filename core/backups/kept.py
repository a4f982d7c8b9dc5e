"""Backups of everything that are still there, whoever took them: a rollback, or `rollback backup`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from core.backups import strategies
from core.backups.dump import Archive, ours
from core.errors import Refused
from core.fold import moment
from core.ledger import Ledger, now
from core.model import Json, Person, Request, Run, State
from core.runbook import Work
from core.settings import Settings, Target

BOT = Person("bot", "Rollback Bot")


@dataclass(frozen=True)
class Kept:
    """A backup whose files lie in the backup folder. `id`: `RB-…` of the run, or `BK-…`, that they are named after.

    `evidence`: what `Strategy.take` gave; `database`: `postgres.identity` of what was backed up; `proven_at`: when it was
    restored and compared, None where that was not done.
    """

    id: str
    target: str
    evidence: Json
    database: Json
    proven_at: datetime | None

    @property
    def taken_at(self) -> datetime:
        """The moment whose data it holds."""
        return datetime.fromisoformat(self.evidence["taken_at"])


def newest(ledger: Ledger, settings: Settings, target: Target, proven: bool = False) -> Kept | None:
    """The newest backup of everything of a target, by the moment whose data it holds; `proven`: of those that were proven.

    Whether its files are unharmed is found when it is put back. None where there is none. Raises OSError, Refused(E-LEDGER).
    """
    found = [one for one in all_kept(ledger, settings, target) if one.proven_at or not proven]
    return max(found, key=lambda one: one.taken_at, default=None)


def all_kept(ledger: Ledger, settings: Settings, target: Target) -> list[Kept]:
    """Every backup of everything of a target. Raises OSError, Refused(E-LEDGER)."""
    folder = settings.backup_dir
    if not folder.is_dir():
        return []
    names = {name for path, name in ours(folder) if path.name == f"{name}.json"}
    runs = [run for name in sorted(names) if name.startswith("RB-") for run in ledger.runs("id = ?", (name,))]
    found = [of_run(ledger, run) for run in runs if run.target == target.name and "backup" in run.evidence]
    return [one for one in (*found, *by_themselves(ledger, target, names)) if whole(one, settings)]


def of_run(ledger: Ledger, run: Run) -> Kept:
    """The backup that a run has taken."""
    proofs = ledger.told("run = ? AND kind = 'step_done'", [run.id]) if "test restore" in run.evidence else []
    at = next((event.at for event in proofs if event.data["step"] == "test restore"), None)
    return Kept(run.id, run.target, run.evidence["backup"], run.evidence["identify"]["database"], at)


def by_themselves(ledger: Ledger, target: Target, names: set[str]) -> list[Kept]:
    """Those of `names` that belong to no run, and were taken of this target."""
    if not any(name.startswith("BK-") for name in names):
        return []
    where = "run IS NULL AND kind IN ('backup_taken', 'backup_proven') AND json_extract(data, '$.target') = ?"
    events = [event for event in ledger.told(where, [target.name]) if event.data["backup"] in names]
    proofs = {event.data["backup"]: event.at for event in events if event.kind == "backup_proven"}
    return [
        Kept(data["backup"], target.name, data["evidence"], data["database"], proofs.get(data["backup"]))
        for data in (event.data for event in events if event.kind == "backup_taken")
    ]


def whole(kept: Kept, settings: Settings) -> bool:
    """Is it a backup of everything, and are its files there?"""
    form = kept.evidence["format"]
    return strategies.named(form).restores and Archive(settings.backup_dir, kept.id).backup(form).exists()


def work_of(kept: Kept, target: Target, settings: Settings, run_id: str) -> Work:
    """What `Strategy.proven` needs to put it into a scratch database, whose name `run_id` is part of. It is no run of the ledger."""
    at = moment(kept.evidence["taken_at"]) or now()
    evidence = {"identify": {"database": kept.database, "undo": []}, "backup": kept.evidence}
    return Work(
        Run(run_id, 1, State.PLANNING, target.name, Request("latest"), BOT, at, evidence=evidence), target, settings
    )


def fits(kept: Kept, database: Json) -> None:
    """Raises Refused(E-NO-BACKUP) where it is of another database than `database`, a `postgres.identity`."""
    if any(kept.database[key] != database[key] for key in ("system_identifier", "oid")):
        raise Refused(
            "E-NO-BACKUP",
            f"*{kept.target}* is another database now than the one that {kept.id} backed up. Nothing was started.",
            "Take a backup of this one: `rollback backup`.",
            ("/rollback backup",),
        )
