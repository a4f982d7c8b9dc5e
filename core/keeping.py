"""How long backups and saved rows are kept."""

from __future__ import annotations

from core.backups import dump
from core.ledger import Ledger
from core.model import Event
from core.settings import Settings


def clean(ledger: Ledger, settings: Settings) -> list[str]:
    """Remove files of runs that ended longer ago than their target keeps them, and what ended runs left unfinished.

    Their names; written down for each run, so that nobody is offered a way back that is gone. Raises OSError, Refused.
    """
    folder = settings.backup_dir
    if not folder.is_dir():
        return []
    dump.remove_leftovers(folder, lambda name: begun_and_over(ledger, name))
    gone: dict[str, list[str]] = {}
    for file, run in dump.clean(folder, lambda run: outlived(ledger, settings, run)):
        gone.setdefault(run, []).append(file)
    for run, files in gone.items():
        with ledger.transaction() as t:
            event = by_itself(ledger, run) if run.startswith("BK-") else None
            if event:
                t.append(None, "backup_removed", {"target": event.data["target"], "backup": run, "files": files})
            else:
                t.append(run, "files_removed", {"files": files})
    return [file for files in gone.values() for file in files]


def begun_and_over(ledger: Ledger, name: str) -> bool:
    """Has the run of this ledger ended? Of a backup by itself: is it of this ledger, and none being taken?"""
    if name.startswith("BK-"):
        return by_itself(ledger, name) is not None and not any(map(ledger.held, ledger.left("backup ")))
    return any(not one.is_open for one in ledger.runs("id = ?", (name,)))


def outlived(ledger: Ledger, settings: Settings, run_id: str) -> bool:
    """Of this ledger, ended longer ago than its target keeps backups, and no way back needs them; in doubt they are kept."""
    if run_id.startswith("BK-"):
        event = by_itself(ledger, run_id)
        return event is not None and outlived_itself(ledger, settings, event)
    for run in ledger.runs("id = ?", (run_id,)):
        target = settings.targets.get(run.target)
        needed = run.is_open or any(other.request.origin == run.id for other in ledger.open_runs())
        if target and run.ended_at and not needed:
            return ledger.clock() - run.ended_at > target.keep
    return False


def outlived_itself(ledger: Ledger, settings: Settings, event: Event) -> bool:
    """Was a backup by itself taken, or begun and not written down, longer ago than its target keeps backups?

    The newest proven one stays for ever.
    """
    target = settings.targets.get(event.data["target"])
    proven = ledger.apart(["backup_proven"], event.data["target"])
    if target is None or (proven and proven[0].data["backup"] == event.data["backup"]):
        return False
    return ledger.clock() - event.at > target.keep


def by_itself(ledger: Ledger, name: str) -> Event | None:
    """The newest event that tells of a backup by itself, which may have come to nothing; None where this ledger does not know it."""
    kinds = ["backup_begun", "backup_taken"]
    return next((event for event in ledger.apart(kinds) if event.data["backup"] == name), None)
