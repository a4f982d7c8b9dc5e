"""Is there a way back from what was applied since? Each new migration is rehearsed, as a rollback to before it would be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import psycopg

from core import layouts, survey, turns
from core.applied import seen, stored
from core.applied.look import read
from core.backups.kept import BOT
from core.errors import Problem
from core.layouts import Migration
from core.ledger import Ledger
from core.model import Event, Json, Request, Run, State
from core.pgtools import Cancelled
from core.readiness import blamed
from core.runbook import Work
from core.settings import Settings, Target

PATIENCE = timedelta(minutes=1)
"""How long the folder may lag behind the table: a deploy brings both, and not at the same moment."""


def try_back(ledger: Ledger, settings: Settings, name: str, ending: Callable[[], bool] = lambda: False) -> bool:
    """Try what is untried on one target, and write down what came of it, in one transaction. False: to be tried again later.

    A real rollback comes first: while the target has an open run nothing is begun, and what is under way is given up.
    `ending`: the process ends. Raises Refused(E-LEDGER).
    """
    ready = list(seen.of(ledger, name).untried.values())
    if not ready or any(not whole(e.data) and ledger.clock() - e.at < PATIENCE for e in ready):
        return True  # one that is waited for would be undone with those before it
    target = stored.into(ledger, settings.target(name))
    try:
        todo = in_order(target, {event.data["version"]: event for event in ready})
        verdicts = Trial(ledger, settings, target, ending).verdicts(todo)
    except (Problem, psycopg.Error, Cancelled):
        return False
    with ledger.transaction() as t:
        for data in verdicts:
            if "why" in data:
                t.append(None, "no_way_back", {"target": name, **data})
            else:
                t.append(None, "way_back_works", {"target": name, **data})
    return len(verdicts) == len(ready)


def whole(told: Json) -> bool:
    """Were both scripts there?"""
    return bool(told["forward"] and told["rollback"])


def in_order(target: Target, untried: dict[str, Event]) -> list[tuple[str, Migration | None]]:
    """Version and migration of what is still applied, newest first. Raises Refused."""
    layout = layouts.of(target)
    history, files = read(layout, target), layout.migrations()
    found = [(row.version, layouts.find(files, row.version)) for row in history.applied if row.version in untried]
    return found[::-1]


class Trial:
    """One turn over the new migrations of a target."""

    def __init__(self, ledger: Ledger, settings: Settings, target: Target, ending: Callable[[], bool]) -> None:
        self.ledger, self.settings, self.target, self.ending = ledger, settings, target, ending

    def verdicts(self, todo: Sequence[tuple[str, Migration | None]]) -> list[Json]:
        """What is told of each, newest first: all at once where the whole of them goes back, else one after the other.

        Those before one that has no way back cannot be tried. Ends early where a run was begun. Raises Problem.
        """
        if len(todo) > 1 and all(one and one.rollback for _, one in todo) and not self.busy():
            together = self.tried(*todo[-1])
            if "why" not in together:
                return [{**together, "version": version, "name": one.name if one else None} for version, one in todo]
        found: list[Json] = []
        for version, one in todo:
            if self.busy():
                break
            worst = next((told for told in found if "why" in told), None)
            found.append(behind(version, one, worst) if worst else self.tried(version, one))
        return found

    def busy(self) -> bool:
        return turns.given_up(self.ledger, self.target.name, self.ending)()

    def tried(self, version: str, one: Migration | None) -> Json:
        """Data of the event. Raises Problem where servers or settings are to blame: it is tried again later."""
        told: Json = {"version": version, "name": one.name if one else None}
        if one is None:
            return {**told, "code": "E-FILE-MISSING", "why": "The folder of the migrations holds no file of it."}
        request, at = Request("from", one.name), self.ledger.clock()
        like = Run(survey.PREVIEW, 1, State.PLANNING, self.target.name, request, BOT, at)
        try:
            work = Work(like, self.target, self.settings, turns.given_up(self.ledger, self.target.name, self.ending))
            run = survey.preview(request, self.target, self.settings, BOT, at, work)
        except Problem as problem:
            blamed(problem)
            return {**told, "code": problem.code, "why": problem.message}
        return {**told, **outcome(run)}


def outcome(run: Run) -> Json:
    """What a rehearsal says of the way back. Where the schema from before could not be built, that the script runs counts."""
    found = run.evidence["rehearse"]
    if found["restores"] != "differs":
        return {"seconds": found["seconds"]}
    harmful = [one["message"] for one in found["differences"] if one["severity"] == "harmful"]
    few = "; ".join(harmful[:3]) + (f"; and {len(harmful) - 3} more" if len(harmful) > 3 else "")
    return {"code": "E-DIFFERS", "why": f"Its rollback script does not restore the schema from before: {few}."}


def behind(version: str, one: Migration | None, worst: Json) -> Json:
    """It was applied before one that has no way back, so nothing can be undone down to it."""
    first = worst["name"] or worst["version"]
    why = f"`{first}`, which was applied after it, has no way back; it was not tried."
    return {"version": version, "name": one.name if one else None, "code": worst["code"], "why": why}
