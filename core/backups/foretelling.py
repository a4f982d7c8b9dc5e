"""What a backup and a save will take, told before anybody is asked: by what the last one took, else by sizes."""

from __future__ import annotations

from dataclasses import replace

from core import postgres
from core.backups import encryption
from core.backups.sizes import PACE, REMEDY, SQUEEZED, free_in, short, usable, weight
from core.backups.strategies import of
from core.errors import Refused
from core.model import Json
from core.runbook import Work
from core.save.inventory import inventory
from core.save.wanted import to_save


def foretold(work: Work, conn: postgres.Connection, rehearsed: Json) -> Json:
    """For the plan. `foretold`: `bytes` that the backup will take, bytes that are `free`, and `seconds` (null: nothing tells);
    `save`: `bytes` and `seconds` of the save under the lock, null where no rows go.

    Raises Refused: E-DISK where they cannot fit, E-TOOLS.
    """
    known = replace(work, run=replace(work.run, evidence={**work.run.evidence, "rehearse": rehearsed}))
    strategy, free = of(work.target), free_in(work.settings.backup_dir)
    need = strategy.need(known, conn)
    goes = weight(conn, to_save(conn, known.run.evidence, inventory(conn)))
    save = {"bytes": int(goes * SQUEEZED), "seconds": round(goes / PACE, 2)} if goes else None
    needed = need.room + int(save["bytes"] if save else 0)
    if needed > free:
        raise Refused("E-DISK", f"{short(needed, free)} Nothing was started.", REMEDY)
    return {"foretold": {"bytes": need.bytes, "free": free, "seconds": need.seconds}, "save": save}


def ready(work: Work, conn: postgres.Connection) -> None:
    """Could a backup be taken, encrypted and written? Raises Refused(E-BACKUP, E-TOOLS)."""
    usable(work.settings.backup_dir)
    encryption.check(work.target)
    of(work.target).ready(work.target, conn)
