"""The small engine that walks a runbook.

The ledger says how far a rollback is; the engine does what is missing and writes it down, before and after. It never
waits: where an approval is missing it returns, and is called again. Finished steps are never repeated. A step that
changes the target is never repeated blindly: after an interruption the database is asked (`Step.found`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import psycopg
import structlog

from core import git_folder, keeping, postgres, staging
from core.applied import stored
from core.backups import dump
from core.errors import NeedsAPerson, PlanChanged, Problem, Refused
from core.ledger import Ledger, Lost, Transaction, stamp
from core.meter import HowFar, Meter
from core.model import MOVES, Approval, Broken, Json, Kind, Person, Run, State
from core.pgtools import Cancelled
from core.redact import pg_error
from core.runbook import Gate, Runbook, Step, Work
from core.settings import Settings, Target

log = structlog.get_logger()
PROOFS = frozenset({State.PLANNING, State.WAITING, State.APPROVED})
PROVEN: Mapping[Kind, str] = {"rollback": "test restore", "reapply": "rehearse", "restore": "rehearse"}
"""The last step that goes on while people decide."""


class Rights(Protocol):
    """Who may ask and approve, as of now."""

    def may_ask(self, person: Person, target: Target) -> None:
        """Raises Refused."""

    def may_approve(self, person: Person, run: Run, target: Target) -> None:
        """Raises Refused."""

    def may_break(self, person: Person, target: Target) -> None:
        """Raises Refused where that person may not start a run without a second person."""

    def forget(self) -> None:
        """What was learnt before does not count: the next answers are as of now."""


@dataclass
class Engine:
    """Walks rollbacks over one ledger."""

    runbooks: Mapping[Kind, Runbook]
    ledger: Ledger
    settings: Settings
    rights: Rights
    draining: Callable[[], bool] = field(default=lambda: False)  # told to end: nothing is begun
    cut: Callable[[], bool] = field(default=lambda: False)  # and the time for what is under way is over
    confirm: Callable[[Run], bool] | None = None  # the shell's question where no second person is needed
    told: Callable[[str], object] = field(default=lambda run_id: None)  # called after each thing done
    stuck: Callable[[Run], object] = field(default=lambda run: None)  # it took effect, and cannot be written down
    unwritten: dict[str, Json] = field(default_factory=dict)  # what took effect and is not written down yet, by run
    meters: dict[str, Meter] = field(default_factory=dict)  # of the steps that are under way here, by run

    def walk(self, run_id: str) -> Run:
        """Do all that can be done now; the rollback as it then stands. One walker per run, also between processes."""
        holder = self.ledger.hold(run_id)
        if holder is None:
            return self.ledger.run(run_id)
        with holder:
            while True:
                run = self.ledger.run(run_id)
                todo = self._next(run)
                if todo is None or self.draining():
                    break
                todo()
                self.told(run_id)
            if not run.is_open and self.tidy(run):
                self.ledger.forget(run_id)
        return run

    def _next(self, run: Run) -> Callable[[], None] | None:
        """The next thing to do, if it can be done without people."""
        if not run.is_open:
            return None
        if run.state is State.EXECUTING and run.id in self.unwritten:
            return partial(self._committed, run, self.unwritten[run.id])
        if run.state is State.EXECUTING:
            goes_on = partial(self._take, run, self.runbooks[run.kind].changing)
            return goes_on if run.continuing else partial(self._ask_the_database, run)
        if run.state in (State.INTERRUPTED, State.DECIDE, State.NEEDS_A_PERSON):
            return None
        if not self.confirm and of_a_shell(run):
            return None
        for part in self.runbooks[run.kind]:
            if isinstance(part, Gate):
                if run.state is State.PLANNING:
                    return partial(self._open, run)
            elif part.name not in run.evidence:
                if (part.needs or part.after) and run.state is not State.APPROVED:
                    return None
                return partial(self._take, run, part)
        return None

    def _open(self, run: Run) -> None:
        """The plan is there: show it, and let people decide."""
        target = self.settings.target(run.target)
        digest = run.evidence["rehearse"]["digest"]
        until = stamp(self.ledger.clock() + target.approval_expires)
        state = State.WAITING if run.needed else State.APPROVED
        if self.confirm and not self.confirm(run):
            self._move(run, State.WITHDRAWN, "withdrawn", {"reason": "not confirmed"}, run.requester)
            return
        data = {"digest": digest, "expires_at": until, "coded": target.approval_totp}
        self._move(run, state, "opened", data, plan_digest=digest, expires_at=until)

    def _take(self, run: Run, step: Step) -> None:
        """One step: intent, act, outcome."""
        target = self.settings.target(run.target)
        if (step.needs or step.after) and not (self._sound(run) and (run.continuing or self._still_right(run, target))):
            return
        if not self._start(run, step):
            return
        work = self._work(self.ledger.run(run.id), target)
        self.meters[run.id], started = work.meter, time.monotonic()
        try:
            evidence = step.act(work)
        except Cancelled:
            return
        except PlanChanged as changed:
            self._move(self.ledger.run(run.id), State.PLANNING, "plan_changed", {"what": changed.what}, up=True)
        except Problem as problem:
            self._no(self.ledger.run(run.id), step, problem)
        except Exception as error:  # noqa: BLE001 - a fault of our own must not leave the run hanging
            self._broke(run, step, error)
        else:
            evidence.setdefault("seconds", round(time.monotonic() - started, 3))
            # a proof is of the plan that it began with
            self._done(self.ledger.run(run.id) if step.needs else run, step, evidence)
        finally:
            del self.meters[run.id]

    def far(self, run_id: str) -> HowFar | None:
        """How far the step is that this process has under way for that run; None where it has none."""
        meter = self.meters.get(run_id)
        return meter.how_far() if meter else None

    def publish(self) -> None:
        """Leave it where the shells that follow a run look. Nothing is lost where that fails."""
        for run_id, meter in self.meters.copy().items():
            self.ledger.leave(run_id, meter.how_far().told())

    def _work(self, run: Run, target: Target) -> Work:
        origin = self.ledger.run(run.request.origin) if run.request.origin else None
        between = self.ledger.run(origin.way_back) if origin and origin.way_back else None
        # one step reads one commit, and asks git for it before it locks anything
        target = replace(stored.into(self.ledger, target, origin), migrations=git_folder.once(target.migrations))
        closed, say = partial(self._closed, run), partial(self._say, run)
        return Work(
            run,
            target,
            self.settings,
            closed,
            partial(keeping.clean, self.ledger, self.settings),
            origin,
            between,
            say,
            self.cut,
            Meter(run.running or "", run.since.isoformat() if run.since else ""),
            partial(staging.told, self.ledger, self.settings, target),
        )

    def _say(self, run: Run, kind: str, data: Json) -> bool:
        """An event in the middle of a step; False where it cannot be written. Mostly the outcome is what counts."""
        with suppress(Refused), self.ledger.transaction() as t:
            t.append(run.id, kind, data)
            return True
        return False

    def _no(self, run: Run, step: Step, problem: Problem) -> None:
        """The step did not come to its end. Where we have cut it short ourselves, only the database knows how far it was."""
        if step.needs and self.cut():
            self._ask_the_database(run)
        elif isinstance(problem, NeedsAPerson):
            self._move(run, State.NEEDS_A_PERSON, "unknown", problem_data(problem))
        else:
            self._failed(run, step, problem)

    def _start(self, run: Run, step: Step) -> bool:
        if self.draining():  # what was looked up since may have taken its time
            return False
        try:
            with self.ledger.transaction() as t:
                if run.continuing:
                    still(t, run, State.EXECUTING)
                elif step.needs:
                    t.move(run, State.EXECUTING, "executing", {"step": step.name})
                else:
                    unchanged(t, run)
                t.append(run.id, "step_started", {"step": step.name, "revision": run.revision})
        except Lost:
            return False
        return True

    def _done(self, run: Run, step: Step, evidence: Json) -> None:
        data = {"step": step.name, "evidence": evidence}
        after = self.runbooks[run.kind][-1]
        if step.needs:
            self._committed(run, data)
        elif step is after:
            with self.ledger.transaction() as t:
                t.append(run.id, "step_done", data)
                if evidence["differences"]:
                    t.move(run, State.DECIDE, "differs", {"differences": evidence["differences"]})
                else:
                    t.move(run, State.DONE, "done")
        else:
            with suppress(Lost), self.ledger.transaction() as t:
                unchanged(t, run)
                t.append(run.id, "step_done", data)

    def _committed(self, run: Run, data: Json) -> None:
        """The target is changed. Whatever the ledger says meanwhile, this is written down."""
        try:
            with self._writing_down(run, data) as t:
                t.move(run, State.VERIFYING, "step_done", data)
                went_back(t, run)
        except Lost as lost:
            log.error("committed, but the ledger had moved on", run=run.id, state=lost.run.state)
            with self._writing_down(run, data) as t:
                t.append(run.id, "found_committed", {"since": stamp(t.now)})
                t.append(run.id, "step_done", data)
                went_back(t, run)

    @contextmanager
    def _writing_down(self, run: Run, data: Json) -> Iterator[Transaction]:
        """A transaction that says what took effect; where there is no room for it now, it is kept for the next try."""
        first = run.id not in self.unwritten
        self.unwritten[run.id] = data
        try:
            with self.ledger.transaction() as t:
                yield t
        except Refused as no:
            log.error("it took effect, and cannot be written down", run=run.id, code=no.code, problem=no.message)
            if first:
                self.stuck(run)
            raise
        except Lost:
            del self.unwritten[run.id]
            raise
        del self.unwritten[run.id]

    def _failed(self, run: Run, step: Step, problem: Problem) -> None:
        """The step could not vouch for its result: nothing was changed, so the rollback ends here."""
        refused = run.state is State.PLANNING and isinstance(problem, Refused)
        if run.state is State.VERIFYING:
            data = {"differences": [problem.message], "hint": problem.hint}
            self._move(run, State.DECIDE, "differs", data)
            return
        with suppress(Lost), self.ledger.transaction() as t:
            data = {"step": step.name, **problem_data(problem)}
            if refused:
                t.move(run, State.REFUSED, "refused", data)
            else:
                t.append(run.id, "step_failed", data)
                t.move(run, State.STOPPED, "stopped", {**data, "by_person": False})

    def _broke(self, run: Run, step: Step, error: Exception) -> None:
        """A database that goes away, or a fault of our own. In execute the database is asked; elsewhere nothing was changed."""
        if isinstance(error, psycopg.OperationalError) and not step.needs:
            gone = Problem("E-DB", f"A database broke off: {pg_error(error)}.", "Ask again once it is back.")
            self._failed(self.ledger.run(run.id), step, gone)
            return
        reference = os.urandom(3).hex()
        log.error("bug", ref=reference, run=run.id, step=step.name, exc_info=error)
        if step.needs:
            self._ask_the_database(self.ledger.run(run.id))
            return
        hint = "Look up the reference in the log of the bot."
        problem = Problem("E-BUG", f"Something broke on my side (ref {reference}).", hint)
        self._failed(self.ledger.run(run.id), step, problem)

    def _ask_the_database(self, run: Run) -> None:
        """Interrupted in a step that changes the target: never assume, never repeat."""
        step = self.runbooks[run.kind].changing
        work = self._work(run, self.settings.target(run.target))
        try:
            known = self.unwritten.get(run.id)  # asked again, a restore would stop and start its services again
            evidence = known["evidence"] if known else step.found(work) if step.found else None
        except (NeedsAPerson, Refused) as problem:
            known_better = problem.code == "E-PARTLY" and not (run.half_done and run.partly == problem_data(problem))
            if run.state is not State.NEEDS_A_PERSON or known_better:
                self._move(run, State.NEEDS_A_PERSON, "unknown", problem_data(problem))
            return
        since = stamp(run.last.at if run.last else run.created_at)
        if evidence is None and run.state is State.INTERRUPTED:
            return
        if evidence is None:
            self._move(run, State.INTERRUPTED, "interrupted", {"since": since})
        else:
            data = {"step": step.name, "evidence": evidence}
            with suppress(Lost), self._writing_down(run, data) as t:
                t.append(run.id, "found_committed", {"since": since})
                t.move(run, State.VERIFYING, "step_done", data)
                went_back(t, run)

    def look(self, run_id: str) -> Run:
        """Ask the database again about a rollback that was interrupted, or whose outcome is unknown."""
        holder = self.ledger.hold(run_id)
        if holder is not None:
            with holder:
                run = self.ledger.run(run_id)
                if run.state in (State.NEEDS_A_PERSON, State.INTERRUPTED):
                    self._ask_the_database(run)
        return self.ledger.run(run_id)

    def _sound(self, run: Run) -> bool:
        """Right before the point of no return: does the audit trail itself bear the approval?

        Somebody with a SQLite shell can write "approved" into a row. Then nothing runs, and the trail keeps saying why.
        """
        given = [a for a in run.approvals if a.digest == run.digest and (a.totp is not None or not run.coded)]
        people = {approval.person.id for approval in given}
        faults = list(self.ledger.verify(scripts=False).faults)
        alone = run.without_second and run.broken and (run.broken.totp is not None or not run.coded)
        if len(people) < run.needed and not alone:
            faults.append(f"{run.id} is marked approved with {len(people)} of {run.needed} approvals of this plan")
        if not faults:
            return True
        problem = Problem("E-LEDGER", f"The audit trail does not bear this: {faults[0]}.", "Keep the file as evidence.")
        log.error("unsound", run=run.id, faults=faults)
        if run.continuing and run.partly:
            data = {**run.partly, "code": "E-PARTLY", "message": problem.message, "hint": problem.hint}
            self._move(run, State.NEEDS_A_PERSON, "unknown", data)
            return False
        self._move(run, State.STOPPED, "stopped", {**problem_data(problem), "by_person": False})
        return False

    def _still_right(self, run: Run, target: Target) -> bool:
        """Right before the point of no return: is every approval, and every break-glass, still worth something?"""
        self.rights.forget()
        all_given: list[Approval | Broken] = [*run.approvals, *([run.broken] if run.broken else [])]
        for given in all_given:
            try:
                self._still_given(given, run, target)
            except Refused as no:
                if no.code == "E-CANNOT-CHECK" or (no.code == "E-EXPIRED" and not self.ledger.passing.settled()):
                    log.warning("rights unknown", run=run.id, code=no.code)
                    time.sleep(1)  # Slack is away, or the clock was set: do not void what was given in good faith
                    return False
                data = {"why": no.message, "person": given.person.id, "by_rule": True}
                data |= {"broken": given.event} if isinstance(given, Broken) else {}
                self._move(run, State.WAITING, "unapproved", data, actor=given.person)
                return False
        return True

    def _still_given(self, given: Approval | Broken, run: Run, target: Target) -> None:
        """Raises Refused where it was given too long ago, by somebody who may no longer, or before staging that is asked for."""
        since = given.starts_at if isinstance(given, Broken) else given.at
        if self.ledger.age(given, since) > target.approval_valid:
            raise Refused("E-EXPIRED", "It was given too long ago to start on.", "Approve again.")
        if target.approval_totp and given.totp is None:
            raise Refused("E-TOTP", "It was given without a code, and now one is needed.", "Approve again.")
        if isinstance(given, Broken):
            self.rights.may_break(given.person, target)
        else:
            self.rights.may_approve(given.person, run, target)
            if not run.without_second:  # who broke the glass has answered for that too
                staging.may_approve(self.ledger, self.settings, run)

    def _closed(self, run: Run) -> bool:
        """Was the rollback closed or replanned while a proof was running?"""
        row = self.ledger.db.execute("SELECT state, revision FROM rollbacks WHERE id = ?", [run.id]).fetchone()
        return self.draining() or State(row[0]) not in PROOFS or row[1] != run.revision

    def _move(
        self, run: Run, to: State, kind: str, data: Json, actor: Person | None = None, up: bool = False, **columns: str
    ) -> None:
        """A move of the engine's; a person who was faster wins."""
        extra: dict[str, object] = {**columns, **({"revision": run.revision + 1} if up else {})}
        with suppress(Lost), self.ledger.transaction() as t:
            t.move(run, to, kind, data, actor, **extra)

    def close_abandoned(self) -> None:
        """Close what a shell left behind when it ended before anything was changed; after that, ask the database about it."""
        for run in self.ledger.open_runs():
            if of_a_shell(run) and run.state not in PROOFS and run.target in self.settings.targets:
                self.look(run.id) if run.state is State.NEEDS_A_PERSON else self.walk(run.id)
            holder = self.ledger.hold(run.id) if of_a_shell(run) and run.state in PROOFS else None
            if holder is not None:
                with holder:
                    problem = Problem("E-STOPPED", "The shell that walked it has ended.", "Ask again.")
                    self._move(run, State.STOPPED, "stopped", {**problem_data(problem), "by_person": False})
                    self.tidy(run)

    def tidy(self, run: Run) -> bool:
        """Remove what a walk left behind: scratch databases, and what its steps have put on the target's server.

        False where something may still be there, since a server did not answer.
        """
        clean = True
        for part in self.runbooks[run.kind]:
            if isinstance(part, Step) and part.clean:
                try:
                    part.clean(self._work(run, self.settings.target(run.target)))
                except (Problem, psycopg.Error) as problem:
                    log.warning("not tidied", run=run.id, step=part.name, error=type(problem).__name__)
                    clean = False
        with suppress(OSError):
            dump.remove_leftovers(self.settings.backup_dir, lambda one: one == run.id)
        url = self.settings.target(run.target).scratch_url
        if url:
            try:
                for name in postgres.leftovers(url.get_secret_value(), run.id):
                    postgres.drop(url.get_secret_value(), name)
            except Problem as problem:
                log.warning("scratch databases not tidied", run=run.id, code=problem.code)
                clean = False
        return clean


def went_back(t: Transaction, run: Run) -> None:
    """A way back has taken effect: the rollback that it undoes ends by it, in the same transaction.

    Where that one has ended otherwise, it stays so: what took effect must be written down all the same.
    """
    if not run.request.origin:
        return
    origin, by, again = t.run(run.request.origin), {"by": run.id}, run.kind == "reapply"
    possible = MOVES.get(origin.state, ())
    if again and State.REAPPLIED in possible:
        t.move(origin, State.REAPPLIED, "reapplied", by, run.requester)
    elif not again and State.RESTORED in possible:
        t.move(origin, State.RESTORED, "restored", by, run.requester)
    else:
        log.error("it took effect, and what it undoes had ended", run=run.id, origin=origin.id, state=origin.state)


def still(t: Transaction, run: Run, state: State) -> None:
    """Raises Lost where the run is no longer in that state."""
    current = t.run(run.id)
    if current.state is not state:
        raise Lost(current)


def unchanged(t: Transaction, run: Run) -> None:
    """Raises Lost where the rollback was closed or replanned meanwhile; an approval in between is welcome."""
    current = t.run(run.id)
    if not current.is_open or current.revision != run.revision or current.state in (State.INTERRUPTED, State.DECIDE):
        raise Lost(current)


def of_a_shell(run: Run) -> bool:
    """Asked in a shell, and nobody else need agree: only that shell walks it."""
    return run.needed == 0 and run.channel is None


def problem_data(problem: Problem) -> Json:
    """A problem as it is kept in an event."""
    data = {"code": problem.code, "message": problem.message, "hint": problem.hint, "options": list(problem.options)}
    return {**data, **problem.lists} if isinstance(problem, NeedsAPerson) else data


def due(run: Run) -> bool:
    """Is there anything for the engine to do?"""
    if of_a_shell(run) and run.state in PROOFS:
        return False
    return run.state in (State.PLANNING, State.EXECUTING, State.VERIFYING) or (
        run.state in PROOFS and (run.state is State.APPROVED or PROVEN[run.kind] not in run.evidence)
    )
