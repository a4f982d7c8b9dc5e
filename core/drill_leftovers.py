"""What a drill leaves behind whose process has died: found again, ended in the trail, and removed."""

from __future__ import annotations

import shutil
from contextlib import suppress

import structlog

from core import postgres
from core.engine import problem_data
from core.errors import Problem, Refused
from core.ledger import Ledger
from core.model import Event
from core.scratch_copy import own_name
from core.settings import Settings, Target

log = structlog.get_logger()
FOLDER = "drill-"
"""How the folders of drills begin, below `backup_dir`; the number of the drill follows."""


def sweep(settings: Settings, target: Target | None, number: int, server: str = "") -> None:
    """Remove what a drill has left: its databases and its folder.

    `server`: the conninfo of the scratch server, where the process that walked it still runs; else that of `scratch_url`, since a
    throw-away one has ended with its process. Without a target, which has left the settings, nobody knows where databases are.
    """
    folder = settings.backup_dir / f"{FOLDER}{number}"
    server = server or (target.scratch_url.get_secret_value() if target and target.scratch_url else "")
    names = [own_name("DR", settings, target)] if target else []
    if (folder / "ledger.db").is_file():
        with suppress(Refused):
            trail = Ledger(folder / "ledger.db")
            names += [run.id for run in trail.runs()]
            trail.close()
    try:
        for name in names if server else []:
            for left in postgres.leftovers(server, name):
                postgres.drop(server, left)
    except Problem as problem:
        log.warning("scratch databases of a drill not tidied", drill=number, code=problem.code)
        return  # the folder names them: the next sweep finds them
    with suppress(OSError):
        shutil.rmtree(folder)


def abandoned(settings: Settings) -> list[int]:
    """Drills whose folder is still there."""
    with suppress(OSError):
        names = [
            path.name.removeprefix(FOLDER) for path in settings.backup_dir.iterdir() if path.name.startswith(FOLDER)
        ]
        return sorted(int(name) for name in names if name.isdecimal())
    return []


def begun(ledger: Ledger, settings: Settings, start: Event) -> bool:
    """Has somebody begun to walk it? Then, where nobody holds it, whoever did has ended in the middle."""
    if (settings.backup_dir / f"{FOLDER}{start.id}").exists():
        return True
    kinds = ["drill_step", "drill_waits", "drill_asks"]
    return any(event.data.get("drill") == start.id for event in ledger.apart(kinds, start.data["target"], 1))


def interrupted(ledger: Ledger, start: Event) -> Event:
    """The end of a drill whose process has died."""
    steps = [
        {name: event.data[name] for name in ("kind", "step", "seconds")}
        for event in reversed(ledger.apart(["drill_step"], start.data["target"]))
        if event.data["drill"] == start.id
    ]
    data = {
        "target": start.data["target"],
        "drill": start.id,
        "due": start.data["due"],
        "seconds": round(max(0.0, (ledger.clock() - start.at).total_seconds()), 3),
        "steps": steps,
        "people": [],
        "migrations": [],
        "backup": None,
        "before": None,
        "kind": steps[-1]["kind"] if steps else "rollback",
        "step": steps[-1]["step"] if steps else "copy",
        **problem_data(Problem("E-STOPPED", "The process that walked it has ended in the middle.", "Start it again.")),
    }
    with ledger.transaction() as t:
        return t.append(None, "drill_failed", data)
