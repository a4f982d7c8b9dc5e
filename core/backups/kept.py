"""Backups of everything that are still there, whoever took them: a rollback, or `rollback backup`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from core.backups import strategies
from core.backups.dump import Archive, disk, ours
from core.errors import Refused
from core.fold import moment
from core.ledger import Ledger, now
from core.model import Event, Json, Person, Request, Run, State
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

    Whether its files are unharmed is found when it is put back. None where there is none. Raises StepFailed(E-BACKUP) where the
    folder cannot be read, Refused(E-LEDGER).
    """
    there = (one for one in all_known(ledger, settings, target) if whole(one, settings))
    with disk():
        return next((one for one in there if one.proven_at or not proven), None)


def last_proven(ledger: Ledger, settings: Settings, target: Target) -> Kept | None:
    """The same of those that were proven, and of those that the team's own programs have taken and verified. Raises as `newest`."""
    known = (one for one in all_known(ledger, settings, target) if one.proven_at)
    with disk():
        return next((one for one in known if elsewhere(one) or whole(one, settings)), None)


def all_known(ledger: Ledger, settings: Settings, target: Target) -> Iterator[Kept]:
    """Every backup of a target that is still there, or is not ours to keep; the newest first, and read only as far as asked.

    Raises OSError, Refused(E-LEDGER).
    """
    names: set[str] = set()
    with suppress(FileNotFoundError, NotADirectoryError):  # nothing was backed up yet
        names |= {name for path, name in ours(settings.backup_dir) if path.name == f"{name}.json"}
    events = ledger.apart(["backup_taken", "backup_proven"], target.name)
    proofs = {event.data["backup"]: event.at for event in events if event.kind == "backup_proven"}
    alone = {
        one.id: one for one in map(partial(by_itself, proofs), events) if one and (one.id in names or elsewhere(one))
    }
    found = [(one.evidence["taken_at"], name) for name, one in alone.items()]
    found += [(at, run) for run, at in of_runs(ledger, target, names)]
    for _, name in sorted(found, reverse=True):
        if name in alone:
            yield alone[name]
        elif (
            "backup" in (run := ledger.run(name)).evidence
        ):  # else its plan has changed, and the backup was not taken again
            yield of_run(ledger, run)


def of_runs(ledger: Ledger, target: Target, names: Iterable[str]) -> list[tuple[str, str]]:
    """Those of `names` that are runs of this target and have taken a backup, each with the moment whose data it holds."""
    query = """
        SELECT e.run, max(json_extract(e.data, '$.evidence.taken_at')) FROM events e JOIN rollbacks r ON r.id = e.run
         WHERE r.target = ? AND e.kind = 'step_done' AND json_extract(e.data, '$.step') = 'backup'
           AND e.run IN (SELECT value FROM json_each(?)) GROUP BY 1"""
    return [(run, at) for run, at in ledger.look(query, target.name, json.dumps(sorted(names)))]


def of_run(ledger: Ledger, run: Run) -> Kept:
    """The backup that a run has taken. Of one that the team's own program has taken, only its verification is a proof."""
    tested = run.evidence.get("test restore")
    proves = tested is not None and (run.evidence["backup"]["format"] != "command" or tested.get("verified", False))
    proofs = ledger.told("run = ? AND kind = 'step_done'", [run.id]) if proves else []
    at = next((event.at for event in proofs if event.data["step"] == "test restore"), None)
    return Kept(run.id, run.target, run.evidence["backup"], run.evidence["identify"]["database"], at)


def by_itself(proofs: Mapping[str, datetime], event: Event) -> Kept | None:
    """The backup of an event `backup_taken`."""
    data = event.data
    if event.kind != "backup_taken":
        return None
    return Kept(data["backup"], data["target"], data["evidence"], data["database"], proofs.get(data["backup"]))


def elsewhere(kept: Kept) -> bool:
    """Is it one that the team's own programs have taken? Then everything lies with these."""
    return bool(kept.evidence["format"] == "command")


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
