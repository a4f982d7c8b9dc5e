"""How long backups and saved rows are kept."""

from __future__ import annotations

from core.backups import dump
from core.ledger import Ledger
from core.settings import Settings


def clean(ledger: Ledger, settings: Settings) -> list[str]:
    """Remove files of runs that ended longer ago than their target keeps them, and what ended runs left unfinished.

    Their names; written down for each run, so that nobody is offered a way back that is gone. Raises OSError, Refused.
    """
    folder = settings.backup_dir
    if not folder.is_dir():
        return []
    dump.remove_leftovers(folder, lambda run: any(not one.is_open for one in ledger.runs("id = ?", (run,))))
    gone: dict[str, list[str]] = {}
    for file, run in dump.clean(folder, lambda run: outlived(ledger, settings, run)):
        gone.setdefault(run, []).append(file)
    for run, files in gone.items():
        with ledger.transaction() as t:
            t.append(run, "files_removed", {"files": files})
    return [file for files in gone.values() for file in files]


def outlived(ledger: Ledger, settings: Settings, run_id: str) -> bool:
    """Of this ledger, ended longer ago than its target keeps backups, and no way back needs them; in doubt they are kept."""
    for run in ledger.runs("id = ?", (run_id,)):
        target = settings.targets.get(run.target)
        needed = run.is_open or any(other.request.origin == run.id for other in ledger.open_runs())
        if target and run.ended_at and not needed:
            return ledger.clock() - run.ended_at > target.keep
    return False
