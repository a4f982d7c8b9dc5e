"""Have these very scripts run on the staging target before? Looked up in the audit trail, by their SHA-256."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from core.errors import Refused
from core.model import Json, Run, State
from core.quantities import listed
from core.telling import STATES

if TYPE_CHECKING:
    from core.ledger import Ledger
    from core.settings import Settings, Target

ENDED = frozenset({State.DONE, State.REAPPLIED, State.RESTORED, State.DECIDE})
"""States of a rollback that has taken effect."""
RAN = """
    SELECT r.id FROM rollbacks r
     WHERE r.target = ? AND r.what NOT IN ('reapply', 'restore')
       AND EXISTS (SELECT 1 FROM events e WHERE e.run = r.id AND e.kind = 'executing')
       AND EXISTS (SELECT 1 FROM events e WHERE e.run = r.id AND e.kind = 'step_done' AND instr(e.data, ?))
     ORDER BY r.created_at DESC LIMIT 20"""
"""The newest rollbacks of a target that were executed, and whose plan or result names a SHA-256."""
Mark = Callable[[str], str]


def told(ledger: Ledger, settings: Settings, target: Target, undo: Sequence[Json]) -> Json | None:
    """Of each script of a plan, when it last ran on the staging target and how that ended; None where there is no such target,
    as in the world of a drill.

    `scripts`: each `name`, `sha256`, `run` (null: never), `at`, `ended`, `verified`. One that ended verified goes before a newer one.
    """
    if target.staging is None or target.staging not in settings.targets:
        return None
    found = [last(ledger, target.staging, item["name"], item["script"]["sha256"]) for item in undo]
    return {"target": target.staging, "required": target.require == "staging", "scripts": found}


def last(ledger: Ledger, staging: str, name: str, sha256: str) -> Json:
    """The run of one script there that counts most."""
    runs = [ledger.run(run) for (run,) in ledger.look(RAN, staging, sha256)]
    ran = [run for run in runs if sha256 in [item["script"]["sha256"] for item in run.going]]
    run = next((run for run in ran if verified(run)), ran[0] if ran else None)
    about: Json = {"name": name, "sha256": sha256, "run": None, "at": None, "ended": "never", "verified": False}
    if run is None:
        return about
    at = run.ended_at or run.created_at
    return {**about, "run": run.id, "at": at.isoformat(), "ended": ended(run), "verified": verified(run)}


def verified(run: Run) -> bool:
    """Did it come to an end that was compared and found right, whatever way back was taken since?"""
    return run.state in ENDED and run.evidence.get("verify", {}).get("differences") == []


def ended(run: Run) -> str:
    """In a word."""
    return "done" if verified(run) else "not verified" if run.state in ENDED else STATES[run.state]


def lacking(found: Json | None) -> list[str]:
    """Names of the migrations whose scripts did not run there to a verified end."""
    return [one["name"] for one in found["scripts"] if not one["verified"]] if found else []


def may_plan(target: Target, found: Json | None) -> None:
    """Raises Refused(E-STAGING) where nobody could start the plan: its scripts did not run there, and nobody may break the glass."""
    if found and found["required"] and lacking(found) and not target.break_glass.people:
        raise refusal(found, "Nothing was started.")


def may_approve(ledger: Ledger, settings: Settings, run: Run) -> None:
    """Raises Refused(E-STAGING) where scripts of the plan have not run there by now. A way back needs none of it."""
    target = settings.targets.get(run.target)
    found = told(ledger, settings, target, run.going) if target and run.kind == "rollback" else None
    if found and found["required"] and lacking(found):
        raise refusal(found, "Your click was not counted.")


def refusal(found: Json, effect: str) -> Refused:
    """They must run there first."""
    names, on = lacking(found), found["target"]
    which = listed([f"`{name}`" for name in names[:5]]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    have = "have" if len(names) > 1 else "has"
    scripts = "These scripts" if len(names) > 1 else "This script"
    oldest = names[-1]
    return Refused(
        "E-STAGING",
        f"{scripts} of {which} {have} not run on *{on}* to a verified end, and `require` asks for it.",
        f"Roll back there first: `/rollback {oldest} --on {on}`. {effect}",
        (f"/rollback {oldest} --on {on}",),
    )


def sentence(found: Json, name: Mark, when: Mark) -> str:
    """When and how they ran there: `done, 25 Nov, by RB-7K3M`, or `never`; one by one where they differ."""
    scripts = found["scripts"]
    if len({one["run"] for one in scripts}) == 1:
        return _one(scripts[0], when)
    lines = [f"{name(one['name'])}: {_one(one, when)}" for one in scripts[:5]]
    return "; ".join([*lines, *([f"and {len(scripts) - 5} more"] if len(scripts) > 5 else [])])


def _one(one: Json, when: Mark) -> str:
    return f"{one['ended']}, {when(one['at'])}, by {one['run']}" if one["run"] else "never"
