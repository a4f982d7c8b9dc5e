"""What people are told of the step under way, in Slack and in the shell: how much is done, and how long it may still take.

Pure but for what asks the ledger. Everything is rounded, so that a text stays the same for a while: a card is edited only where it
differs.
"""

from __future__ import annotations

from datetime import datetime
from math import ceil
from typing import TYPE_CHECKING

from core.meter import HowFar, heard
from core.model import Run
from core.quantities import plural as many
from core.quantities import size

if TYPE_CHECKING:
    from core.ledger import Ledger

QUIET = 3.0
"""Seconds: a step that has just begun may be over before anybody has read how far it is."""
TELLING = 0.05
"""The part of the work from which on its pace tells something."""


def phrase(run: Run, step: str, far: HowFar | None, estimate: float | None, now: datetime) -> str:
    """How far a step is, to be put after `running`; empty where there is nothing to say yet.

    `far`: of the run's meter, if any; `estimate`: seconds, of an earlier run.
    """
    mine = far if far and far.step == step else None
    if mine:
        return words(mine, estimate, mine.elapsed)
    return words(None, estimate, (now - run.since).total_seconds()) if run.running == step and run.since else ""


def of_run(run: Run, ledger: Ledger, far: HowFar | None = None) -> str:
    """How far the step under way is, for a shell; empty where none is. `far`: of a run that this process walks itself."""
    step = run.running or ""
    return phrase(run, step, far or told_beside(run, ledger), estimates(run, ledger).get(step), ledger.clock())


def told_beside(run: Run, ledger: Ledger) -> HowFar | None:
    """What the process that walks a run has left beside the ledger, if it is of the step under way."""
    far = heard(ledger.declared(run.id)) if run.running and run.since else None
    of_now = far and run.since and (far.step, far.since) == (run.running, run.since.isoformat())
    return far if of_now else None


def words(far: HowFar | None, estimate: float | None, elapsed: float) -> str:
    """`254 MB of about 412 MB read, 61 %, about 24 s left`; what is not known is left out. `estimate`, `elapsed`: seconds."""
    if elapsed < QUIET:
        return ""
    left, told = time_left(far, estimate, elapsed), counted(far) if far else ""
    if left is None:
        late = f", longer than the last time ({spoken(estimate)})" if estimate is not None else ""
        return ", ".join([*([told] if told else []), f"{rough(elapsed)} so far"]) + late
    if not told and estimate:
        told = percent(elapsed, estimate)
    return f"{told}, about {rough(left, up=True)} left"


def counted(far: HowFar) -> str:
    """`254 MB of about 412 MB read, 61 %`, `7 of 9 tables compared`, `checking the file`, or nothing."""
    what, done, total = far.what, far.done, far.total
    if not far.unit:
        return what
    if far.unit != "bytes":
        return f"{min(done, total)} of {many(total, far.unit)} {what}" if total else f"{many(done, far.unit)} {what}"
    if not 0 <= done < total:  # the estimate was too low, or nobody had one
        return f"{size(done)} {what}"
    shown = size(total * (done * 100 // total) // 100)  # changes as the percentage does
    return f"{shown} of {'about ' if far.about else ''}{size(total)} {what}, {percent(done, total)}"


def percent(done: float, total: float) -> str:
    """Rounded down, and never more than 99: what is still running is not done."""
    return f"{min(int(done * 100 / total), 99)} %"


def time_left(far: HowFar | None, estimate: float | None, elapsed: float) -> float | None:
    """Seconds: what the earlier run still took, or what the pace of this one says, whichever is longer; None: neither tells."""
    ends = [estimate - elapsed] if estimate is not None else []
    if far and far.whole and far.unit and TELLING * far.total <= far.done < far.total:
        ends.append(elapsed * (far.total / max(far.done, 1) - 1))
    left = max(ends, default=0.0)
    return left if left > 0 else None


def rough(value: float, up: bool = False) -> str:
    """Seconds in words, the longer the coarser: `8 s`, `25 s`, `1 min 15 s`, `1 h 4 min`."""
    grain = next((grain for grain, below in ((1, 10), (5, 60), (15, 300)) if value < below), 60)
    return spoken(int(ceil(value / grain) if up else value // grain) * grain)


def spoken(value: float) -> str:
    """Seconds in words: `0.3 s`, `38 s`, `1 min 2 s`, `1 h 4 min`."""
    if value < 9.95:
        return f"{value:.1f} s".replace(".0 ", " ")
    minutes, rest = divmod(round(value), 60)
    if not minutes:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min" + (f" {rest} s" if rest else "")
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def practised(run: Run, ledger: Ledger) -> tuple[dict[str, float], datetime | None]:
    """Seconds by step of the newest drill of the target that passed, and when that was."""
    for drill in ledger.apart(["drill_passed"], run.target)[:1]:
        return {one["step"]: one["seconds"] for one in drill.data["steps"] if one["kind"] == run.kind}, drill.at
    return {}, None


def estimates(run: Run, ledger: Ledger) -> dict[str, float]:
    """Seconds by step: of the last finished run of the same kind on the target, or of its last drill if that is newer, and what the plan foretells of its own."""
    kind = "what = ?" if run.request.origin else "what NOT IN ('reapply', 'restore') AND ? <> ''"
    where = f"target = ? AND state IN ('done', 'reapplied', 'restored') AND id <> ? AND {kind}"
    found, since = practised(run, ledger)
    for earlier in ledger.runs(where, (run.target, run.id, run.request.what), limit=1):
        known = {step: evidence["seconds"] for step, evidence in earlier.evidence.items() if "seconds" in evidence}
        later = since is None or (earlier.ended_at is not None and earlier.ended_at > since)
        found = {**found, **known} if later else {**known, **found}
    rehearsed = run.evidence.get("rehearse", {})
    foretold = {
        "backup": (rehearsed.get("foretold") or {}).get("seconds"),  # in proportion to the database of now
        "prepare": rehearsed.get("restore_seconds"),  # of this very backup
    }
    return {**found, **{step: float(seconds) for step, seconds in foretold.items() if seconds}}
