"""The steps of the three runbooks over a simulated database: the order of `core.commit` and `core.steps`, and their faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from core.commit import not_cut, unknown
from core.errors import NeedsAPerson, PlanChanged, Refused, StepFailed
from core.model import Json, Kind
from core.pgtools import Cancelled
from core.roll_back import RUNBOOKS
from core.runbook import Gate, Runbook, Step, Work
from tests import messages_story as story
from tests.simulator.database import LIMIT, Database

if TYPE_CHECKING:
    from tests.simulator.world import World

UNDONE = "The transaction was undone; production was not changed."
STATEMENT = {"sql": "DROP TABLE subscriptions;", "line": 1, "kind": "DROP"}
SCRIPT = {"file": "011.sql", "sha256": "5" * 64, "bytes": 25, "statements": [STATEMENT]}
GOES = {"version": "011", "name": "011_subscriptions", "applied_at": None, "script": SCRIPT, "warnings": []}
IDENTIFIED: Mapping[Kind, Json] = {
    "rollback": {**story.IDENTIFY, "undo": [GOES], "stays": "010_rate_limits", "named": "011_subscriptions"},
    "reapply": {**story.REDO, "redo": [GOES]},
    "restore": story.WHOLE,
}
REHEARSED: Mapping[Kind, Json] = {
    "rollback": {**story.REHEARSE, "losses": story.REHEARSE["losses"][:1]},
    "reapply": story.TRIED,
    "restore": {**story.COUNTED, "losses": story.LOST[:1]},
}


class Steps:
    """What a world's engine walks."""

    def __init__(self, world: World) -> None:
        self.world = world
        acts: dict[str, Callable[[Work], Json]] = {
            "identify": self.identify, "rehearse": self.rehearse, "backup": self.backup, "test restore": self.trial,
            "prepare": self.prepare, "verify": self.verify,
        }  # fmt: skip
        self.runbooks = {kind: self.simulated(kind, book, acts) for kind, book in RUNBOOKS.items()}

    def simulated(self, kind: Kind, book: Runbook, acts: Mapping[str, Callable[[Work], Json]]) -> Runbook:
        """The same steps and gates, with simulated acts."""
        parts: list[Step | Gate] = []
        for part in book:
            if isinstance(part, Step) and part.needs:
                act = self.swap if kind == "restore" else self.execute
                part = replace(part, act=act, found=self.swap_found if kind == "restore" else self.found)
            elif isinstance(part, Step):
                part = replace(part, act=acts[part.name], clean=self.tidy if part.clean else None)
            parts.append(part)
        return Runbook(*parts)

    # -- proofs ------------------------------------------------------------------------------------------------

    def reached(self, work: Work, what: str, failure: type[Refused] | type[StepFailed] = StepFailed) -> Database:
        """The target's database, reachable. Raises a problem E-DB."""
        self.world.at(what)
        base = self.world.bases[work.target.name]
        if base.down:
            self.world.count("fault", "database down")
            raise failure("E-DB", "The database does not answer.", "Bring it back, then ask again.")
        return base

    def proof(self, work: Work, what: str, fails: str) -> None:
        """Some time on the scratch server. Raises Cancelled, StepFailed."""
        world, name = self.world, f"{work.run.id}_{what}"
        world.scratch.add(name)
        try:
            world.sleep(world.rng.choice((0.2, 3.0, 40.0)))
            if work.cancelled():
                world.count("fault", "cancelled proof")
                raise Cancelled
            if world.odds("proof"):
                raise StepFailed(fails, f"The {what} failed.", "Mend it, then ask again.")
        except (Cancelled, StepFailed):
            world.scratch.discard(name)
            raise
        world.scratch.discard(name)

    def identify(self, work: Work) -> Json:
        base = self.reached(work, "identify", Refused)
        if work.run.kind != "restore" and bool(base.applied) == (work.run.kind == "reapply"):
            raise Refused("E-NOT-APPLIED", "`011_subscriptions` is not what is applied.", "Nothing was started.")
        return dict(IDENTIFIED[work.run.kind])

    def rehearse(self, work: Work) -> Json:
        base = self.reached(work, "rehearse")
        digest = base.plan(work.run)
        self.proof(work, "rehearsal", "E-REHEARSAL")
        more = {"parts": [{"about": "a part"}] * base.parts} if work.run.kind == "rollback" and base.parts > 1 else {}
        return {**REHEARSED[work.run.kind], **more, "digest": digest}

    def backup(self, work: Work) -> Json:
        self.reached(work, "backup")
        self.proof(work, "backup", "E-BACKUP")
        return dict(story.BACKUP)

    def trial(self, work: Work) -> Json:
        self.proof(work, "test restore", "E-TRIAL-RUN")
        return dict(story.TRIAL)

    def prepare(self, work: Work) -> Json:
        base = self.reached(work, "prepare")
        base.side[work.run.id] = 1000 + len(self.world.bases[work.target.name].swapped) + base.oid
        self.proof(work, "restore", "E-BACKUP")
        return {**story.PUT_IN, "oid": base.side[work.run.id]}

    def tidy(self, work: Work) -> None:
        """What a restore that did not take effect has put beside the target."""
        self.reached(work, "tidy").side.pop(work.run.id, None)

    def verify(self, work: Work) -> Json:
        base = self.reached(work, "verify")
        self.world.sleep(1.0)
        return dict(story.SICK if base.sick else story.VERIFY)

    # -- one transaction, or some -----------------------------------------------------------------------------

    def found(self, work: Work) -> Json | None:
        """Behind the fence: all done, nothing done, or half done. Raises NeedsAPerson."""
        world, base, until = self.world, self.world.bases[work.target.name], self.world.clock.mono + 30.0
        world.at("look for the marker")
        base.notices()
        while any(one.run.id == work.run.id for one in base.opened):
            if base.down or world.clock.mono > until:
                break
            world.sleep(2.0)
            base.notices()
        if base.down or any(one.run.id == work.run.id for one in base.opened):
            world.count("fault", "outcome unknown")
            raise unknown(["it does not answer, or a session of mine is still at it"])
        done, wanted = base.done(work.run), base.marks(work.run)
        if done and len(done) < len(wanted):
            raise self.partly(work, "I was stopped in between.")
        return self.evidence(work) if done else None

    def partly(self, work: Work, why: str) -> NeedsAPerson:
        self.world.count("fault", "half done")
        base = self.world.bases[work.target.name]
        done = base.done(work.run)
        left = [mark for mark in base.marks(work.run) if mark not in done]
        return NeedsAPerson("E-PARTLY", f"It is half done: {why}", "Continue with the rest.", done=done, left=left)

    def evidence(self, work: Work) -> Json:
        return dict(story.EXECUTE if work.run.kind == "rollback" else story.AGAIN)

    def execute(self, work: Work) -> Json:
        """All that is left, part by part. Raises PlanChanged, StepFailed, NeedsAPerson."""
        if not work.run.partly:
            before = self.found(work) if work.run.executions > 1 else None
            if before:
                return before
            self.same_plan(work, self.reached(work, "compare the plan"))
        base = self.world.bases[work.target.name]
        for mark in base.marks(work.run):
            if mark in base.done(work.run):
                continue
            try:
                self.once(work, mark)
            except (StepFailed, PlanChanged) as problem:
                if not base.done(work.run):
                    raise
                raise self.partly(work, str(problem)) from None
        return self.evidence(work)

    def same_plan(self, work: Work, base: Database) -> None:
        if base.plan(work.run) != work.run.digest and not work.run.partly:
            self.world.count("fault", "plan drift")
            raise PlanChanged(["tables or other objects that the scripts touch were altered"])

    def once(self, work: Work, mark: str) -> None:
        """One transaction with its marker, as `core.commit.once`. Raises PlanChanged, StepFailed, NeedsAPerson."""
        from tests.simulator.world import Crash

        world, base = self.world, self.reached(work, "connect")
        self.locks(work, base)
        not_cut(work)
        one = base.begin(work.run, mark)
        try:
            world.at("under the lock")
            base.alive(one)
            self.same_plan(work, base)
            if mark in base.done(work.run):
                base.opened.remove(one)
                return
            world.runs_script(work, mark)
            world.at("the script has run")
            base.alive(one)
            if world.odds("script") or len(base.done(work.run)) >= base.fails_after:
                raise StepFailed("E-EXECUTE", f"A statement failed. {UNDONE}", "Mend the script.")
            one.sent = True
            world.at("COMMIT is under way")
        except Crash:
            base.abandoned(one, world.rng.choice((0.0, 0.5, 20.0, 60.0)))
            raise
        except (StepFailed, PlanChanged):
            if one in base.opened:
                base.opened.remove(one)
            raise
        self.answered(work, base, mark)

    def locks(self, work: Work, base: Database) -> None:
        """Raises StepFailed(E-LOCK)."""
        if base.locked:
            self.world.count("fault", "lock not available")
            work.say("held_up", {"by": [{"who": "psql", "state": "idle in transaction", "seconds": 9, "pid": 7}]})
            self.world.sleep(30.0)
        if base.locked:
            raise StepFailed("E-LOCK", f"The lock was not free, 3 tries. {UNDONE}", "Wait, then ask again.")

    def answered(self, work: Work, base: Database, mark: str) -> None:
        """What became of COMMIT. Raises StepFailed, NeedsAPerson."""
        world = self.world
        one = next((one for one in base.opened if one.mark == mark), None)
        if one and (one.killed or world.clock.mono - one.began > LIMIT):
            base.opened.remove(one)
        elif one and world.odds("commit undone"):
            world.count("fault", "COMMIT undone")
            base.opened.remove(one)
        elif one and world.odds("commit late"):
            world.count("fault", "COMMIT late")
            base.abandoned(one, world.rng.choice((0.5, 10.0, 45.0)))
        elif one:
            base.commit(one)
            if not world.odds("commit answer"):
                world.at("COMMIT was answered")
                return
            world.count("fault", "COMMIT answer lost")
        try:
            self.found(work)
        except NeedsAPerson as problem:
            if problem.code != "E-PARTLY" or mark in base.done(work.run):
                if problem.code != "E-PARTLY":
                    raise
                return
        if mark not in base.done(work.run):
            raise StepFailed("E-EXECUTE", "The database undid the transaction at COMMIT.", UNDONE)

    # -- restore -----------------------------------------------------------------------------------------------

    def swap(self, work: Work) -> Json:
        """As `core.steps.swap`. Raises PlanChanged, StepFailed, NeedsAPerson."""
        world = self.world
        before = self.swap_found(work) if work.run.executions > 1 else None
        if before:
            return before
        base = self.reached(work, "compare the plan")
        plan = base.plan(work.run)
        if plan != work.run.digest or base.side.get(work.run.id) != work.run.evidence["prepare"]["oid"]:
            world.count("fault", "plan drift")
            raise PlanChanged(["the new database is not the one that was compared"])
        work.say("services_stopping", {"before": {"api": 2}})
        base.serving = False
        world.at("services are stopped")
        if base.down or work.cut() or world.odds("script"):
            base.serving = True
            raise StepFailed("E-EXECUTE", "The names were not swapped.", "Production was not changed.")
        # what drifts while services stop is not compared again: the backup takes the place of all of it
        world.runs_script(work, work.run.id, plan)
        self.exchange(work, base)
        world.at("names are swapped")
        base.serving = True
        return dict(story.SWAPPED)

    def exchange(self, work: Work, base: Database) -> None:
        """The backup takes the name of what is there; it holds no marker that was left since."""
        base.oid = base.swapped[work.run.id] = base.side.pop(work.run.id)
        base.markers, base.applied = {}, ["011", "012"]
        base.committed[work.run.id] += 1
        self.world.note("swapped", work.run.id)

    def swap_found(self, work: Work) -> Json | None:
        base = self.world.bases[work.target.name]
        self.world.at("look for the names")
        if base.down:
            self.world.count("fault", "outcome unknown")
            raise unknown(["the bot was stopped while it restored"])
        base.serving = True
        return dict(story.SWAPPED) if work.run.id in base.swapped else None
