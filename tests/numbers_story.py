"""An audit trail with a known history, written by the real desk, ledger and drills, with a clock that is set by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.desk import Desk
from core.drills import Drills
from core.ledger import Ledger, stamp
from core.model import Json, Person, Request, Run, State
from core.redact import SecretStr
from core.settings import Drill, Settings, Target

ANA, BOB = Person("U0ANA", "Ana"), Person("U0BOB", "Bob")
PLAN = "d" * 64


def at(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=UTC)  # type: ignore[misc, arg-type]


class Trail:
    """Everything that happens, at `now`."""

    def __init__(self, path: Path, *start: int) -> None:
        self.now = at(*start)
        targets = {
            name: Target(name, SecretStr("postgresql://"), channel="#incidents", approvers=("U0BOB",), drill=drill)
            for name, drill in (("production", Drill("first monday 10:00")), ("staging", None))
        }
        self.ledger = Ledger(path, lambda: self.now)
        self.settings = Settings(targets=targets, ledger=path)
        self.desk = Desk(self.ledger, self.settings)
        self.drills = Drills(self.ledger, self.desk.same)

    def passes(self, **time: float) -> None:
        self.now += timedelta(**time)

    # -- rollbacks -----------------------------------------------------------------------------------------

    def asked(self, target: str = "production", request: Request | None = None, shown: bool = True) -> Run:
        run = self.desk.ask(request or Request("latest"), self.settings.target(target), ANA, "because")
        until = stamp(self.now + timedelta(hours=1))
        told: Json = {"digest": PLAN, "expires_at": until, "coded": False}
        return self.moves(run, State.WAITING, "opened", told, plan_digest=PLAN, expires_at=until) if shown else run

    def moves(self, run: Run, state: State, kind: str, data: Json | None = None, **columns: object) -> Run:
        with self.ledger.transaction() as t:
            t.move(t.run(run.id), state, kind, data, None, **columns)
        return self.ledger.run(run.id)

    def approved(self, run: Run, minutes: float) -> Run:
        self.passes(minutes=minutes)
        return self.desk.approve(run.id, BOB, 1, PLAN)

    def executed(self, run: Run, seconds: float, state: State = State.DONE) -> Run:
        """To its end, or to a result that differs."""
        backup = {"step": "backup", "evidence": {"restores": True, "format": "custom", "seconds": 1.0}}
        with self.ledger.transaction() as t:
            t.append(run.id, "step_done", backup)
        self.moves(run, State.EXECUTING, "executing", {"step": "execute"})
        self.passes(seconds=seconds)
        found: Json = {"step": "execute", "evidence": {"seconds": seconds, "saved": {}}}
        self.moves(run, State.VERIFYING, "step_done", found)
        return self.moves(run, state, "done" if state is State.DONE else "differs", {"differences": []})

    def done(self, minutes: float, seconds: float, target: str = "production") -> Run:
        return self.executed(self.approved(self.asked(target), minutes), seconds)

    def undone_again(self, run: Run, how: State) -> None:
        """By a way back that took effect."""
        kind = "reapply" if how is State.REAPPLIED else "restore"
        back = self.done_way_back(self.asked(run.target, Request(kind, origin=run.id)))  # type: ignore[arg-type]
        self.moves(run, how, str(how), {"by": back.id})
        assert back.state is State.DONE

    def done_way_back(self, back: Run) -> Run:
        return self.executed(self.approved(back, 1), 5)

    # -- drills --------------------------------------------------------------------------------------------

    def due(self, target: str = "production", missed: int = 0, again: bool = False) -> None:
        data: Json = {"target": target, "due": stamp(self.now), "again": again, "missed": ["x"] * missed, "owner": ""}
        self.ledger.append("drill_due", data)

    def drilled(self, seconds: float, target: str = "production", kind: str = "drill_passed", **more: object) -> None:
        start = self.drills.start(target, BOB)
        self.passes(seconds=seconds)
        steps = [
            {"kind": "rollback", "step": "identify", "seconds": 0.1},
            {"kind": "rollback", "step": "backup", "seconds": seconds / 2},
            {"kind": "rollback", "step": "execute", "seconds": 2.0},
            {"kind": "reapply", "step": "execute", "seconds": 1.0},
            {"kind": "restore", "step": "prepare", "seconds": seconds / 4},
        ]
        data: Json = {"target": target, "drill": start.id, "due": start.data["due"], "seconds": seconds, "steps": steps}
        self.ledger.append(kind, {**data, "people": [], "migrations": ["012"], **more})


def year(path: Path) -> Trail:
    """September: one rollback. October: nothing but a drill that nobody answers for. November: a bit of everything."""
    trail = Trail(path, 2026, 9, 7, 10)
    trail.due()
    trail.drilled(200)
    trail.done(2, 12)
    trail.now = at(2026, 10, 5, 10)
    trail.due()
    trail.now = at(2026, 11, 2, 10)
    trail.due(missed=1)
    trail.drilled(100, kind="drill_failed")
    trail.drilled(180)
    trail.now = at(2026, 11, 10, 9)
    first = trail.done(1, 10)
    differs = trail.executed(trail.approved(trail.asked(), 3), 20, State.DECIDE)
    trail.passes(hours=1)
    trail.desk.keep(differs.id, ANA)
    trail.undone_again(first, State.REAPPLIED)
    second = trail.done(11, 30)
    trail.undone_again(second, State.RESTORED)
    trail.desk.deny(trail.asked().id, BOB, "not today")
    trail.desk.withdraw(trail.asked().id, ANA, "no need")
    no = {"step": "identify", "code": "E-NOTHING", "message": "Nothing is applied.", "hint": "", "options": []}
    trail.moves(trail.asked(shown=False), State.REFUSED, "refused", no)
    trail.desk.stop(trail.approved(trail.asked(), 4).id, ANA)
    trail.done(5, 40, "staging")
    trail.asked("staging")
    return trail
