"""Everything people may ask. Each answer is one transaction of the ledger: compare-and-set, event, done.

Rights are checked by the door that the person came through (Slack or shell) before the desk is asked; what the desk
checks itself is what must hold whoever asks: state, revision, digest, and that nobody approves a request of their own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from core import glass, grammar, staging
from core.config import Settings, Target
from core.errors import Refused
from core.ledger import Ledger, Lost, Transaction
from core.model import Json, Person, Request, Run, State
from core.refusals import WayBack, busy, closed, expired, goes, stale, too_late
from core.second_factor import Code, SecondFactor

STARTED = frozenset({State.EXECUTING, State.VERIFYING, State.DECIDE, State.NEEDS_A_PERSON})


class Desk:
    """Asked by listeners and by the shell. Every method returns the rollback as it then stands, or raises Refused."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self.ledger, self.settings = ledger, settings
        self.factor = SecondFactor(ledger, settings)

    def ask(
        self,
        request: Request,
        target: Target,
        who: Person,
        reason: str = "",
        incident: str = "",
        channel: str | None = None,
        delivery: str | None = None,
        thread: str | None = None,
    ) -> Run:
        """A new rollback, in state planning. `delivery` names Slack's delivery: the second of the same is refused.

        `thread`: ts of the message of `channel` in whose thread its card is to stand.
        """
        if target.reason == "required" and len(reason.strip()) < 5:
            raise Refused("E-REASON", "Say why, with `--reason`, in at least 5 characters. Nothing was started.")
        try:
            with self.ledger.transaction() as t:
                t.once(delivery)
                if request.origin and request.kind != "rollback":
                    goes(request.kind, t.run(request.origin))  # here, since another way back may have come first
                self.free(t, target.name, request.origin)
                run_id = grammar.new_run_id(t.taken)
                t.create(
                    {
                        "id": run_id,
                        "target": target.name,
                        "what": request.what,
                        "migration": request.migration,
                        "only_one": int(request.only),
                        "requester": who.id,
                        "requester_name": who.name,
                        "reason": reason.strip(),
                        "incident": incident.strip(),
                        "channel": channel,
                        "needed": target.approvals,
                        "origin": request.origin,
                    },
                    who,
                    thread=thread,
                )
        except sqlite3.IntegrityError:
            holder = next(run.id for run in self.ledger.open_runs() if run.target == target.name)
            raise busy(self.ledger.run(holder)) from None
        return self.ledger.run(run_id)

    def free(self, t: Transaction, target: str, but: str | None) -> None:
        """Raises Refused(E-BUSY) where another run than `but` holds the target; that one must not be in the middle of it."""
        for holder in t.open_runs(target):
            if holder != but or t.run(holder).state not in (State.DECIDE, State.NEEDS_A_PERSON):
                raise busy(t.run(holder))

    def way_back(
        self,
        kind: WayBack,
        run_id: str,
        target: Target,
        who: Person,
        reason: str = "",
        channel: str | None = None,
        delivery: str | None = None,
    ) -> Run:
        """A new run that undoes a rollback, with the same gate. Raises Refused."""
        origin = self.ledger.run(run_id)
        request = Request(kind, origin=origin.id)
        return self.ask(request, target, who, reason, origin.incident, channel or origin.channel, delivery)

    def release(self, run_id: str, who: Person, delivery: str = "") -> Run:
        """Its migrations may be applied again. The hold in the database, where there is one, has been released before."""

        def write(t: Transaction, run: Run) -> None:
            if run.kind != "rollback" or "execute" not in run.evidence or run.released:
                raise Refused("E-CLOSED", f"*{run.id}* holds nothing.", "`status` shows what is held.")
            t.append(run.id, "released", {}, who)

        return self._decide(run_id, write, delivery)

    def dropped_old(self, run_id: str, who: Person, name: str) -> Run:
        """The database that a restore had set aside is gone."""
        return self._decide(run_id, lambda t, run: t.append(run.id, "old_dropped", {"name": name}, who), "")

    def give_reason(self, run_id: str, who: Person, reason: str, delivery: str = "") -> Run:
        """The requester says why, where no reason was given with the request; once, and while it is open."""
        if len(reason.strip()) < grammar.SHORTEST_REASON:
            raise Refused("E-REASON", f"Say why in at least {grammar.SHORTEST_REASON} characters.")

        def write(t: Transaction, run: Run) -> None:
            if not self.same(run.requester, who):
                raise Refused("E-NOT-YOURS", f"Only {run.requester.name} can give the reason of *{run.id}*.")
            if not run.is_open:
                raise closed(run, who)
            if run.reason:
                raise Refused("E-ALREADY", f"*{run.id}* has a reason already.", "Nothing to do.")
            t.append(run.id, "reasoned", {"reason": reason.strip()}, who)

        return self._decide(run_id, write, delivery)

    def needs_code(self, run: Run) -> bool:
        """Does a yes to it need a code of the approver's authenticator?"""
        target = self.settings.targets.get(run.target)
        return run.coded or bool(target and target.approval_totp)

    def approve(
        self,
        run_id: str,
        who: Person,
        revision: int,
        digest: str,
        note: str = "",
        delivery: str = "",
        code: Code | None = None,
    ) -> Run:
        """One person's yes to exactly the plan that they were shown. Enough of them: approved.

        `code`: of the authenticator; it is looked at last, and used up in the same transaction.
        """

        def write(t: Transaction, run: Run) -> Refused | None:
            self.may_decide(run, who)
            if any(self.same(a.person, who) for a in run.approvals):
                raise Refused("E-ALREADY", f"You approved *{run.id}* already.", "Nothing to do.")
            if run.revision != revision or run.digest != digest:
                raise stale(run, revision)
            staging.may_approve(self.ledger, self.settings, run)
            complete = len(run.approvals) + 1 >= run.needed
            data: Json = {"note": note.strip(), "complete": complete, "revision": revision, "digest": digest}
            if code or self.needs_code(run):
                proof = self.factor.prove(t, who, code or Code(""), run.id)
                if isinstance(proof, Refused):
                    return proof
                data |= proof
            if complete:
                t.move(run, State.APPROVED, "approved", data, who)
            else:
                t.append(run.id, "approved", data, who)
            return None

        return self._decide(run_id, write, delivery)

    def may_decide(self, run: Run, who: Person) -> None:
        """Raises Refused where this person's yes or no cannot count now."""
        if self.same(run.requester, who):
            raise Refused(
                "E-SELF", f"You asked for *{run.id}*, so somebody else must approve it.", "Your click was not counted."
            )
        if run.state is not State.WAITING:
            raise closed(run, who)
        if self.waited_out(run):
            raise expired(run)

    def deny(self, run_id: str, who: Person, reason: str, delivery: str = "", code: Code | None = None) -> Run:
        """One denial ends the run. Only the shell asks for a code."""
        if len(reason.strip()) < 3:
            raise Refused("E-REASON", "Say why, in at least 3 characters: everyone in the channel sees it.")

        def write(t: Transaction, run: Run) -> Refused | None:
            self.may_decide(run, who)
            proof = self.factor.prove(t, who, code, run.id) if code else {}
            if isinstance(proof, Refused):
                return proof
            t.move(run, State.DENIED, "denied", {"reason": reason.strip(), **proof}, who)
            return None

        return self._decide(run_id, write, delivery)

    def withdraw(self, run_id: str, who: Person, reason: str = "", delivery: str = "") -> Run:
        """The requester takes the request back, an approver the approval: both until execution starts."""

        def write(t: Transaction, run: Run) -> None:
            if run.state in STARTED:
                raise too_late(run)
            if run.state not in (State.PLANNING, State.WAITING, State.APPROVED):
                raise closed(run, who)
            own = [a.person.id for a in run.approvals if self.same(a.person, who)]
            if self.same(run.requester, who):
                t.move(run, State.WITHDRAWN, "withdrawn", {"reason": reason.strip()}, who)
            elif own:
                data = {"why": reason.strip(), "person": own[0]}
                if run.state is State.APPROVED:
                    t.move(run, State.WAITING, "unapproved", data, who)
                else:
                    t.append(run.id, "unapproved", data, who)
            else:
                raise Refused(
                    "E-NOT-YOURS",
                    f"Only {run.requester.name} can withdraw *{run.id}*, and approvers their own approval.",
                    "Your click was not counted.",
                )

        return self._decide(run_id, write, delivery)

    def stop(self, run_id: str, who: Person, delivery: str = "") -> Run:
        """Stop safely: until the point of no return, or after an interruption that did not commit."""

        def write(t: Transaction, run: Run) -> None:
            if run.state in STARTED:
                raise too_late(run)
            if not run.is_open:
                raise closed(run, who)
            message = f"{who.name} stopped it"
            t.move(run, State.STOPPED, "stopped", {"code": "E-STOPPED", "message": message, "by_person": True}, who)

        return self._decide(run_id, write, delivery)

    def resume(self, run_id: str, who: Person, delivery: str = "") -> Run:
        """After an interruption: execute again what did not commit, or go on with the rest of what is half done.

        What did not commit starts only while its approval is still valid; what is half done may always be ended.
        """

        def write(t: Transaction, run: Run) -> None:
            if run.half_done:
                self.free(t, run.target, run.id)
                t.move(run, State.EXECUTING, "continued", {}, who)
            elif run.state is State.INTERRUPTED:
                t.move(run, State.APPROVED, "resumed", {}, who)
            else:
                raise closed(run, who)

        return self._decide(run_id, write, delivery)

    def verify_again(self, run_id: str, who: Person, delivery: str = "") -> Run:
        """Look once more: reads only."""

        def write(t: Transaction, run: Run) -> None:
            if run.state is not State.DECIDE:
                raise closed(run, who)
            self.free(t, run.target, run.id)
            t.move(run, State.VERIFYING, "checking_again", {}, who)

        return self._decide(run_id, write, delivery)

    def keep(self, run_id: str, who: Person, delivery: str = "") -> Run:
        """Accept a result whose verification differs, or what is half done."""

        def write(t: Transaction, run: Run) -> None:
            if run.state is not State.DECIDE and not run.half_done:
                raise closed(run, who)
            self.free(t, run.target, run.id)
            t.move(run, State.DONE, "kept", {"partly": True} if run.half_done else {}, who)

        return self._decide(run_id, write, delivery)

    def break_glass(
        self,
        run_id: str,
        who: Person,
        shown: tuple[int, str],
        words: tuple[str, str],
        alone: bool = False,
        delivery: str = "",
        code: Code | None = None,
    ) -> Run:
        """A named person starts the countdown (core/glass.py). `shown`: revision and digest; `words`: typed, and why.

        `code`: as for `approve`.
        """
        target = self.settings.target(self.ledger.run(run_id).target)

        def write(t: Transaction, run: Run) -> Refused | None:
            data = glass.broken(t.now, run, target, shown, words, alone)
            if code or self.needs_code(run):
                proof = self.factor.prove(t, who, code or Code(""), run.id)
                if isinstance(proof, Refused):
                    return proof
                data |= proof
            t.append(run.id, "glass_broken", data, who)
            return None

        return self._decide(run_id, write, delivery)

    def countdown_over(self, run_id: str, event: int) -> Run:
        """Nobody has stopped the break-glass of that event: the gate opens, once its time by the ledger's clock has come."""
        return self._decide(run_id, lambda t, run: glass.write_over(t, run, event), "")

    def review(self, run_id: str, who: Person, text: str, delivery: str = "") -> Run:
        """An approver closes the review that a break-glass owes; never who asked for it or broke it."""
        return self._decide(run_id, lambda t, run: glass.write_reviewed(t, run, who, self.same, text), delivery)

    def not_me(self, run_id: str, who: Person, delivery: str = "") -> Run:
        """An approver asks not to be reminded of this one."""
        return self._decide(run_id, lambda t, run: t.append(run.id, "notme", {}, who), delivery)

    def expire(self) -> list[Run]:
        """Close what has waited too long; by the stored time, so that a restart or a lost timer changes nothing.

        Not while the clock has just been set: see core.passing.
        """
        ended = []
        self.ledger.passing.tick()
        for run in self.ledger.open_runs():
            for given in run.approvals:
                self.ledger.age(given, given.at)  # from now on its age is known whatever the clock does
            if run.state is State.WAITING and self.waited_out(run) and self.ledger.passing.settled():
                try:
                    with self.ledger.transaction() as t:
                        t.move(run, State.EXPIRED, "expired")
                except Lost:
                    continue
                ended.append(self.ledger.run(run.id))
        return ended

    def waited_out(self, run: Run) -> bool:
        """Has it waited for as long as it may?"""
        if run.expires_at is None or run.opened_at is None:
            return False
        waited = self.ledger.age((run.id, run.opened_at), run.opened_at)
        return self.ledger.clock() >= run.expires_at or waited > run.expires_at - run.opened_at

    def remind(self, who_was_asked: Callable[[Run], list[str]]) -> None:
        """Write down the reminder that is due: the newest one, where several were missed, and once.

        `who_was_asked` names people for the last one. Nothing while the clock has just been set.
        """
        if not self.ledger.passing.settled():
            return
        for run in self.ledger.open_runs():
            known = run.target in self.settings.targets  # it may have left the settings since
            if run.state is State.WAITING and run.opened_at and known:
                waited = self.ledger.clock() - run.opened_at
                after = self.settings.target(run.target).remind_after
                number = sum(waited >= moment for moment in after)
                if number:
                    self._remind(run, number, number == len(after), who_was_asked)

    def _remind(self, run: Run, number: int, last: bool, who_was_asked: Callable[[Run], list[str]]) -> None:
        name = f"remind {run.id}.{run.revision}"
        if any(int(row["period"]) >= number for row in self.ledger.reminders(name)):
            return
        asked = who_was_asked(run)  # asks Slack, so never inside the transaction: it would keep all others out
        with self.ledger.transaction() as t:
            now = t.run(run.id)
            left = (now.expires_at - t.now).total_seconds() / 60 if now.expires_at else 0
            waiting = now.state is State.WAITING and now.revision == run.revision and left > 0
            if waiting and t.claim(name, str(number)):
                data: Json = {"minutes_left": max(1, round(left)), "asked": asked, "number": number, "last": last}
                t.append(run.id, "reminded", data)

    def same(self, one: Person, other: Person) -> bool:
        """Is it one person, also under another account that the settings name?"""
        return one.id == other.id or any({one.id, other.id} <= set(alias) for alias in self.settings.aliases)

    def _decide(self, run_id: str, write: Callable[[Transaction, Run], object], delivery: str) -> Run:
        try:
            with self.ledger.transaction() as t:
                t.once(delivery)
                no = write(t, t.run(run_id))
                if isinstance(no, Refused):
                    t.forget(delivery)
        except Lost as lost:
            raise closed(lost.run, None) from None
        if isinstance(no, Refused):
            raise no  # after the commit: the wrong try stays written down
        return self.ledger.run(run_id)
