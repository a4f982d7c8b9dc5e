"""Every message and view of the story, by the name of its golden file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import messages_drills as d
import messages_numbers as numbers
import messages_ready as ready
import messages_story as s
import report_story

from bot import messages as m
from bot.newer import KINDS
from core import fold, staging
from core.doctor import Finding
from core.errors import NeedsAPerson, Refused, StepFailed
from core.meter import HowFar
from core.model import Person, Request, State
from core.witness import Held, Posted, Witness

S = State
CLICKED = s.event(2100, "approved", 76, s.BOB, note="Looks right, payments are down", complete=True)
WAITING = s.run(S.WAITING, running="backup")
APPROVED = s.run(S.APPROVED, CLICKED, approvals=s.YES, evidence={**s.PLAN, "backup": s.BACKUP}, running="test restore")
DONE = s.run(
    S.DONE,
    s.event(2106, "done", 115),
    approvals=s.YES,
    evidence={**s.EXECUTED, "verify": s.VERIFY},
    ended_at=s.NOON + timedelta(seconds=115),
)
DIFFER = s.event(2105, "differs", 115, differences=s.SICK["differences"])
DECIDE = s.run(S.DECIDE, DIFFER, approvals=s.YES, evidence={**s.EXECUTED, "verify": s.SICK})
FAIL = s.event(2101, "step_failed", 96, **s.FAILED)
STOPPED = s.run(
    S.STOPPED,
    s.event(2102, "stopped", 96, by_person=False, **s.FAILED),
    failed=s.FAILED,
    approvals=s.YES,
    evidence={**s.PLAN, "backup": s.BACKUP},
)
UNKNOWN = s.event(2104, "unknown", 121, **s.UNKNOWN)
LOST = s.run(S.NEEDS_A_PERSON, UNKNOWN, approvals=s.YES, evidence=s.PROVEN)
CUT_OFF = s.event(2104, "interrupted", 118, since=s.at(110))
INTERRUPTED = s.run(S.INTERRUPTED, CUT_OFF, approvals=s.YES, evidence=s.PROVEN)
YES_AGAIN = (replace(s.YES[0], person=s.CHEN),)
BACK_CTX = replace(s.CTX, origin=s.LINK)
MISFITS = {**s.TRIED, "back": {**s.BACK, "aside": [s.ASIDE]}}
REAPPLYING = s.way_back("reapply", S.WAITING)
RESTORING = s.way_back("restore", S.WAITING)
REAPPLIED_RUN = s.way_back(
    "reapply",
    S.DONE,
    s.event(2116, "done", 620),
    approvals=YES_AGAIN,
    evidence={"identify": s.REDO, "rehearse": s.TRIED, "execute": s.AGAIN, "verify": s.HEALTHY},
    ended_at=s.NOON + timedelta(seconds=620),
)
RESTORED_RUN = s.way_back(
    "restore",
    S.DONE,
    s.event(2130, "done", 700),
    approvals=YES_AGAIN,
    evidence={
        "identify": s.WHOLE,
        "rehearse": s.COUNTED,
        "prepare": s.PUT_IN,
        "execute": s.SWAPPED,
        "verify": {**s.HEALTHY, "schema": "as in the backup"},
    },
    ended_at=s.NOON + timedelta(seconds=700),
)
NO_SERVICE = s.event(
    2131,
    "unknown",
    650,
    code="E-SERVICES",
    message="Production's database was not changed, but its services do not start: `api` does not run after 60 s.",
    known=["the database was not changed, and takes connections"],
    unknown=["why the services do not start"],
    doing=["start them again every 10 s"],
    you=["start them by hand: api, orchestrator"],
)
STUCK = s.way_back("restore", S.NEEDS_A_PERSON, NO_SERVICE, approvals=YES_AGAIN)
HALF = s.event(
    2104,
    "unknown",
    121,
    code="E-PARTLY",
    message="It is half done: I was stopped in between.",
    hint="Continue with the rest, or put the full backup back.",
    done=["`DROP INDEX CONCURRENTLY stripe_events_type_idx`"],
    left=["a transaction: 2 statements and history row `012`"],
)
PARTS = [{"about": "`DROP INDEX CONCURRENTLY stripe_events_type_idx`"}, {"about": HALF.data["left"][0]}]
IN_PARTS = {**s.PROVEN, "rehearse": {**s.PROVEN["rehearse"], "parts": PARTS}}
HALF_DONE = s.run(S.NEEDS_A_PERSON, HALF, approvals=s.YES, evidence=IN_PARTS, partly=HALF.data)
LEFT = s.run(
    S.DONE, s.event(2106, "kept", 300, s.BOB, partly=True), approvals=s.YES, evidence=IN_PARTS, partly=HALF.data,
    ended_at=s.NOON + timedelta(seconds=300),
)  # fmt: skip
BEGAN = s.run(
    S.EXECUTING, s.event(2103, "executing", 110), approvals=s.YES, evidence=IN_PARTS, running="execute",
    part={"part": 1, "of": 2, "about": PARTS[0]["about"]},
)  # fmt: skip
PART_DONE = s.event(2104, "part_done", 112)
PART_DONE = replace(PART_DONE, data={"part": 1, "of": 2, "about": PARTS[0]["about"], "seconds": 1.4})
GLASS = s.event(
    2107, "glass_broken", 548, s.ANA, reason="No approver answered for 9 minutes; payments are down; runbook DB-7 step 4",
    revision=1, digest=s.DIGEST, countdown=60.0, starts_at=s.at(608),
)  # fmt: skip
BROKEN = fold.broken(s.ANA, GLASS)
COUNTING = s.run(S.WAITING, GLASS, evidence=s.PROVEN, broken=BROKEN)
OVER = s.event(2108, "countdown_over", 608, s.ANA, broken=2107, revision=1, digest=s.DIGEST)
ALONE = s.run(S.APPROVED, OVER, evidence=s.PROVEN, broken=replace(BROKEN, over=True))
OWED = replace(DONE, approvals=(), broken=ALONE.broken)
VOID = s.event(2109, "unapproved", 640, s.ANA, why="Ana Diaz may not", person="U0ANA", by_rule=True, broken=2107)
REVIEWED = s.event(
    2160, "reviewed", 40_000, s.CHEN, text="Right to do so: nobody of us was reachable. The pager is fixed."
)
DENIED = s.run(S.DENIED, s.event(2100, "denied", 76, s.BOB, reason="wait for the replica to catch up"))
TYPED = {
    "latest": Request("latest"),
    "to": Request("to", "010_rate_limits"),
    "only": Request("from", "011_subscriptions", True),
}


def _held(newest: int, *faults: str) -> Held:
    said = Posted((), ("#incidents",), ("#inc-418: I am not in it. `/invite @rollback` there.",), 3)
    return Held(48, 48 - len(faults), Witness(newest, "3" * 64, s.LINK), 2106 - newest, newest, faults, said)


def _only() -> Any:
    identify = {
        **s.IDENTIFY,
        "undo": s.IDENTIFY["undo"][1:],
        "kept_after": ["012_stripe_events"],
        "stays": "012_stripe_events",
    }
    return s.run(S.WAITING, request=TYPED["only"], evidence={**s.PLAN, "identify": identify})


def _latest() -> Any:
    identify = {**s.IDENTIFY, "undo": s.IDENTIFY["undo"][:1], "stays": "011_subscriptions", "named": None}
    rehearse = {**s.REHEARSE, "losses": [], "statements": 1, "health_url": False}
    evidence = {"identify": identify, "rehearse": rehearse}
    return s.run(S.WAITING, request=TYPED["latest"], reason="", incident="", evidence=evidence)


def _far(step: str, elapsed: float, what: str, unit: str = "", **counted: Any) -> m.Context:
    """So far is the step under way, and this long the last run took."""
    return replace(s.ESTIMATED, far=HowFar(step, "", elapsed, what, unit, **counted))


THERE = {
    "target": "staging",
    "required": False,
    "scripts": [
        {"name": name, "sha256": "5" * 64, "run": "RB-9X2P", "at": s.at(-3 * 86_400), "ended": "done", "verified": True}
        for name in ("012_stripe_events", "011_subscriptions")
    ],
}
NEVER = {"run": None, "at": None, "ended": "never", "verified": False}
NOT_THERE = {**THERE, "required": True, "scripts": [THERE["scripts"][0], {**THERE["scripts"][1], **NEVER}]}


def _identified(**more: Any) -> Any:
    """The plan, with more of what `identify` has found."""
    return {**s.PLAN, "identify": {**s.IDENTIFY, **more}}


STORED = [
    {
        **one,
        "warnings": [
            f"`{one['script']['file']}`: the folder no longer has this rollback script; it is from the audit trail."
        ],
    }
    for one in s.IDENTIFY["undo"]
]
CARDS = {
    "card_waiting_progress": (
        WAITING,
        _far("backup", 25, "read", "bytes", total=412_000_000, about=True, whole=True, done=254_000_000),
    ),
    "card_approved_progress": (
        APPROVED,
        _far("test restore", 37, "restored", "bytes", total=1_120_000_000, about=True, done=690_000_000),
    ),
    "card_approved_late": (APPROVED, _far("test restore", 97, "compared", "table", total=9, done=7)),
    "card_executing_progress": (
        s.run(S.EXECUTING, s.event(2102, "executing", 108), approvals=s.YES, evidence=s.PROVEN, running="execute"),
        _far("execute", 4.2, "run", "statement", total=3, done=1),
    ),
    "card_verifying_progress": (
        s.run(S.VERIFYING, s.event(2103, "step_done", 111), approvals=s.YES, evidence=s.EXECUTED, running="verify"),
        _far("verify", 3.1, ""),
    ),
    "card_waiting_from_git": (
        s.run(S.WAITING, running="backup", evidence=_identified(commit="c0ffee" * 6 + "abcd", staging=THERE)),
        s.CTX,
    ),
    "card_waiting_not_on_staging": (
        s.run(S.WAITING, running="backup", evidence=_identified(staging=NOT_THERE)),
        replace(s.CTX, may_break=True),
    ),
    "card_waiting_from_the_audit_trail": (
        s.run(S.WAITING, running="backup", evidence=_identified(undo=STORED)),
        s.CTX,
    ),
    "card_waiting": (WAITING, s.ESTIMATED),
    "card_waiting_proven": (s.run(S.WAITING, evidence=s.PROVEN), replace(s.CTX, reading=("Bob Lee",))),
    "card_waiting_schema_differs": (s.run(S.WAITING, evidence={**s.PLAN, "rehearse": s.DIFFERS}), s.CTX),
    "card_waiting_two_approvals": (s.run(S.WAITING, CLICKED, needed=2, approvals=s.YES), s.CTX),
    "card_waiting_latest": (_latest(), s.CTX),
    "card_waiting_only": (_only(), s.CTX),
    "card_waiting_to": (s.run(S.WAITING, request=TYPED["to"]), s.CTX),
    "card_stale": (
        s.run(
            S.WAITING,
            s.event(2102, "opened", 90),
            revision=2,
            digest="a08d55e1903c" * 5,
            changed=("rows in `subscriptions`: 48,213 → 51,940", "the table `invoices` is new"),
        ),
        s.CTX,
    ),
    "card_waiting_again": (s.run(S.WAITING, s.event(2101, "unapproved", 90, s.BOB, why="Bob Lee took it back")), s.CTX),
    "card_approved_throw_away": (s.run(S.APPROVED, needed=0, target="scratch", evidence=s.PROVEN), s.CTX),
    "card_replanning": (
        s.run(
            S.PLANNING, s.event(2101, "plan_changed", 88, what=["`013_refunds` was applied"]), revision=2, evidence={}
        ),
        s.CTX,
    ),
    "card_waiting_break_glass": (s.run(S.WAITING, evidence=s.PROVEN), replace(s.CTX, may_break=True)),
    "card_counting_down": (COUNTING, s.CTX),
    "card_approved_break_glass": (ALONE, s.CTX),
    "card_done_review_owed": (OWED, s.CTX),
    "card_done_reviewed": (replace(OWED, reviewed=REVIEWED, last=REVIEWED), s.CTX),
    "card_reapplied_review_owed": (
        replace(
            OWED, state=S.REAPPLIED, ending=s.event(2114, "reapplied", 700, s.BOB, by="RB-M4TQ"), way_back="RB-M4TQ"
        ),
        s.CTX,
    ),
    "card_approved": (APPROVED, s.ESTIMATED),
    "card_approved_plan_block": (APPROVED, replace(s.ESTIMATED, newer=KINDS)),
    "card_waiting_plan_block": (
        s.run(S.WAITING, evidence={**s.PLAN, "rehearse": s.DIFFERS}, running="backup"),
        replace(s.CTX, newer=KINDS),
    ),
    "card_stopped_plan_block": (STOPPED, replace(s.CTX, newer=KINDS)),
    "card_not_known_plan_block": (LOST, replace(s.CTX, newer=KINDS)),
    "card_executing": (
        s.run(S.EXECUTING, s.event(2102, "executing", 108), approvals=s.YES, evidence=s.PROVEN),
        s.ESTIMATED,
    ),
    "card_interrupted": (INTERRUPTED, s.CTX),
    "card_verifying": (
        s.run(S.VERIFYING, s.event(2103, "step_done", 111), approvals=s.YES, evidence=s.EXECUTED),
        s.CTX,
    ),
    "card_verifying_again": (replace(DECIDE, state=S.VERIFYING), s.CTX),
    "card_done": (DONE, s.CTX),
    "card_done_kept": (replace(DECIDE, state=S.DONE, ending=s.event(2107, "kept", 300, s.ANA)), s.CTX),
    "card_not_verified": (DECIDE, s.CTX),
    "card_stopped_proof": (STOPPED, s.CTX),
    "card_stopped_execute": (
        s.run(
            S.STOPPED,
            s.event(2103, "stopped", 130, by_person=False, **s.LOCK),
            failed=s.LOCK,
            approvals=s.YES,
            evidence=s.PROVEN,
        ),
        s.CTX,
    ),
    "card_stopped_by_person": (
        s.run(S.STOPPED, s.event(2101, "stopped", 90, s.CHEN, by_person=True), approvals=s.YES, evidence=s.PROVEN),
        s.CTX,
    ),
    "card_denied": (DENIED, s.CTX),
    "card_expired": (
        s.run(S.EXPIRED, s.event(2108, "expired", 908), evidence=s.PROVEN, opened_at=s.NOON + timedelta(seconds=8)),
        replace(s.CTX, asked=("Bob Lee", "Chen Wu")),
    ),
    "card_withdrawn": (s.run(S.WITHDRAWN, s.event(2099, "withdrawn", 40, s.ANA)), s.CTX),
    "card_needs_a_person": (LOST, s.CTX),
    "card_half_done": (HALF_DONE, s.CTX),
    "card_left_half_done": (LEFT, s.CTX),
    "card_left_half_done_review_owed": (replace(LEFT, approvals=(), broken=OWED.broken), s.CTX),
    "card_waiting_break_glass_void": (s.run(S.WAITING, VOID), s.CTX),
    "card_waiting_in_parts": (replace(WAITING, evidence={**s.PLAN, "rehearse": IN_PARTS["rehearse"]}), s.CTX),
    "card_executing_in_parts": (BEGAN, s.CTX),
    "card_executing_held_up": (
        s.run(
            S.EXECUTING,
            s.event(2102, "executing", 108),
            approvals=s.YES,
            evidence=s.PROVEN,
            held_up=tuple(
                {
                    "who": "app worker",
                    "state": "idle in transaction",
                    "seconds": 660.0,
                    "pid": 8123,
                    "table": f"public.{table}",
                }
                for table in ("subscriptions", "stripe_events")
            ),
        ),
        s.ESTIMATED,
    ),
    "card_waiting_no_way_back": (
        s.run(
            S.WAITING,
            evidence={
                **s.PROVEN,
                "test restore": {
                    **s.TRIAL,
                    "way_back": {
                        **s.WAY_BACK,
                        "works": False,
                        "why": "the rows of `subscriptions` are not the same afterwards",
                    },
                },
            },
        ),
        s.CTX,
    ),
    "card_done_held": (replace(DONE, evidence={**DONE.evidence, "execute": {**s.EXECUTE, "hold": "refuse"}}), s.CTX),
    "card_reapply_waiting": (REAPPLYING, BACK_CTX),
    "card_reapply_waiting_misfits": (
        s.way_back("reapply", S.WAITING, evidence={"identify": s.REDO, "rehearse": MISFITS}),
        BACK_CTX,
    ),
    "card_reapply_executing": (
        s.way_back("reapply", S.EXECUTING, s.event(2112, "executing", 590), approvals=YES_AGAIN),
        BACK_CTX,
    ),
    "card_reapply_done": (REAPPLIED_RUN, BACK_CTX),
    "card_restore_waiting": (RESTORING, BACK_CTX),
    "card_restore_approved": (
        s.way_back(
            "restore", S.APPROVED, s.event(2115, "approved", 300, s.CHEN), approvals=YES_AGAIN, running="prepare"
        ),
        BACK_CTX,
    ),
    "card_restore_executing": (
        s.way_back("restore", S.EXECUTING, s.event(2116, "executing", 590), approvals=YES_AGAIN),
        BACK_CTX,
    ),
    "card_restore_done": (RESTORED_RUN, BACK_CTX),
    "card_restore_needs_a_person": (STUCK, BACK_CTX),
    "card_reapplied": (
        replace(
            DONE, state=S.REAPPLIED, ending=s.event(2114, "reapplied", 600, s.BOB, by="RB-M4TQ"), way_back="RB-M4TQ"
        ),
        s.CTX,
    ),
    "card_restored": (
        replace(DONE, state=S.RESTORED, ending=s.event(2128, "restored", 690, s.BOB, by="RB-W8ZE"), way_back="RB-W8ZE"),
        s.CTX,
    ),
    "card_refused": (
        s.run(
            S.REFUSED, s.event(2102, "refused", 60, message="`013_refunds` has no rollback script.", hint="Add one.")
        ),
        s.CTX,
    ),
}


def _done(number: int, seconds: float, step: str, evidence: Any) -> Any:
    return s.event(number, "step_done", seconds, step=step, evidence=evidence)


THREAD = {
    "thread_identify": (WAITING, _done(2093, 1, "identify", s.IDENTIFY)),
    "thread_rehearse": (WAITING, _done(2095, 7, "rehearse", s.REHEARSE)),
    "thread_backup": (WAITING, _done(2098, 46, "backup", s.BACKUP)),
    "thread_approved": (APPROVED, CLICKED),
    "thread_test_restore": (
        APPROVED,
        _done(2101, 108, "test restore", {**s.TRIAL, "notes": ["1 sequence was not compared"]}),
    ),
    "thread_execute": (DONE, _done(2103, 111, "execute", s.EXECUTE)),
    "thread_verify": (DONE, _done(2105, 115, "verify", s.VERIFY)),
    "thread_verify_differs": (DECIDE, _done(2105, 115, "verify", s.SICK)),
    "thread_reapply_identify": (REAPPLYING, _done(2108, 181, "identify", s.REDO)),
    "thread_reapply_rehearse": (REAPPLYING, _done(2109, 187, "rehearse", MISFITS)),
    "thread_reapply_execute": (
        REAPPLIED_RUN,
        _done(
            2113,
            600,
            "execute",
            {**s.AGAIN, "released": ["011", "012"], "back": {**s.AGAIN["back"], "aside": [s.ASIDE]}},
        ),
    ),
    "thread_restore_identify": (RESTORING, _done(2120, 181, "identify", s.WHOLE)),
    "thread_restore_rehearse": (RESTORING, _done(2121, 182, "rehearse", s.COUNTED)),
    "thread_restore_prepare": (RESTORED_RUN, _done(2125, 370, "prepare", s.PUT_IN)),
    "thread_restore_execute": (RESTORED_RUN, _done(2127, 373, "execute", s.SWAPPED)),
    "thread_released": (DONE, s.event(2140, "released", 900, s.ANA)),
    "thread_reapplied": (replace(DONE, state=S.REAPPLIED), s.event(2114, "reapplied", 600, s.BOB, by="RB-M4TQ")),
    "thread_restored": (replace(DONE, state=S.RESTORED), s.event(2128, "restored", 690, s.BOB, by="RB-W8ZE")),
    "thread_old_dropped": (RESTORED_RUN, s.event(2150, "old_dropped", 9000, s.ANA, name="app_before_rb_w8ze_20261110")),
    "thread_checking_again": (DECIDE, s.event(2106, "checking_again", 200, s.ANA)),
    "thread_unapproved": (WAITING, s.event(2101, "unapproved", 90, s.BOB, why="Bob Lee took it back")),
    "thread_reviewed": (replace(OWED, reviewed=REVIEWED), REVIEWED),
    "thread_unapproved_break_glass": (WAITING, VOID),
    "thread_plan_changed": (WAITING, s.event(2101, "plan_changed", 90, what=["`013_refunds` was applied"])),
    "thread_denied": (DENIED, DENIED.ending),
    "thread_expired": (s.run(S.EXPIRED), s.event(2108, "expired", 908)),
    "thread_withdrawn": (s.run(S.WITHDRAWN), s.event(2099, "withdrawn", 40, s.ANA, reason="wrong target")),
    "thread_stopped": (s.run(S.STOPPED), s.event(2101, "stopped", 90, s.CHEN, by_person=True)),
    "thread_part_done": (BEGAN, PART_DONE),
    "thread_continued": (BEGAN, s.event(2105, "continued", 140, s.ANA)),
    "thread_left_half_done": (LEFT, LEFT.ending),
    "thread_resumed": (APPROVED, s.event(2105, "resumed", 140, s.ANA)),
    "thread_kept": (DONE, s.event(2107, "kept", 300, s.ANA)),
    "thread_reasoned": (WAITING, s.event(2098, "reasoned", 60, s.ANA, reason="checkout 500s since the 14:02 deploy")),
    "thread_notme": (WAITING, s.event(2097, "notme", 60, s.CHEN)),
}
CALLS = {
    "break_glass": (COUNTING, GLASS),
    "break_glass_stopped": (s.run(S.STOPPED, s.event(2108, "stopped", 570, s.CHEN, by_person=True)), GLASS),
    "break_glass_void": (s.run(S.WAITING, VOID), GLASS),
    "break_glass_executing": (replace(ALONE, state=S.EXECUTING), GLASS),
    "break_glass_over": (ALONE, OVER),
    "attention_done_review_owed": (OWED, OWED.ending),
    "attention_done": (DONE, DONE.ending),
    "attention_not_verified": (DECIDE, DIFFER),
    "thread_step_failed": (STOPPED, FAIL),
    "attention_reapply_done": (REAPPLIED_RUN, REAPPLIED_RUN.ending),
    "attention_restore_done": (RESTORED_RUN, RESTORED_RUN.ending),
    "restore_needs_a_person": (STUCK, NO_SERVICE),
    "restore_interrupted": (
        s.way_back("restore", S.INTERRUPTED, s.event(2126, "interrupted", 373, since=s.at(371)), approvals=YES_AGAIN),
        s.event(2126, "interrupted", 373, since=s.at(371)),
    ),
    "applied_again": (DONE, s.event(2145, "applied_again", 4000, versions=["011", "012"])),
    "attention_stopped": (
        s.run(S.STOPPED),
        s.event(2101, "stopped", 90, code="E-BUG", message="Something broke on my side.", hint=""),
    ),
    "interrupted_not_committed": (INTERRUPTED, CUT_OFF),
    "interrupted_committed": (LOST, s.event(2104, "found_committed", 119, since=s.at(111))),
    "needs_a_person": (LOST, UNKNOWN),
    "half_done": (HALF_DONE, HALF),
    "reminder": (WAITING, s.event(2097, "reminded", 548, minutes_left=6, asked=["Bob Lee", "Chen Wu"])),
    "no_approvers": (WAITING, s.event(2097, "no_approvers", 9, why="2 of 2 deactivated")),
}
AMBIGUOUS = Refused(
    "E-MIGRATION-AMBIGUOUS",
    "2 migrations begin with `01`.",
    "Say which one:",
    ("010_rate_limits", "rollback 011_subscriptions"),
)
SELF = Refused("E-SELF", "You asked for *RB-7K3M*, so somebody else must approve it.", "Waiting for @db-oncall.")
NOT_HERE = Refused(
    "E-CHANNEL",
    "Rollbacks of *production* are posted in #incidents. Nothing was started.",
    "Continue with the button, or type it there.",
)
DEPENDS = Refused(
    "E-ONLY-DEPENDS",
    "`011_subscriptions` cannot be undone alone: `012_stripe_events` depends on it (`stripe_events_profile_id_fkey`). Nothing was started.",
    "",
    ("011_subscriptions",),
)
BACKUP_FAILED = StepFailed(
    "E-BACKUP", "The backup could not be restored: out of memory.", "Look at the scratch server."
)
NOT_KNOWN = NeedsAPerson("E-UNKNOWN", "I do not know whether *RB-7K3M* took effect.", "Do not start anything by hand.")
TARGETS = [m.TargetNow("production", True, "012_stripe_events"), m.TargetNow("staging", problem="connection refused")]
EVENTS = [
    s.event(2091, "asked", 0, s.ANA, reason="Checkout 500s"),
    _done(2093, 1, "identify", s.IDENTIFY),
    s.event(2096, "opened", 8),
    CLICKED,
    s.event(2106, "done", 115),
]
ROWS = [m.MigrationRow("012_stripe_events", s.NOON, True), m.MigrationRow("001_init", None, False)]
PRIVATE = s.run(S.PLANNING, id="")

YOURS: dict[str, Any] = {"person": "U0BOB", "account": "bob", "fingerprint": "5" * 64}
TOTP = {
    "enrolled": s.event(2001, "totp_enrolled", 0, s.BOB, replaces=False, **YOURS),
    "replaced": s.event(2001, "totp_enrolled", 0, s.BOB, replaces=True, **YOURS),
    "confirmed": s.event(2002, "totp_confirmed", 0, s.BOB, person="U0BOB"),
    "removed": s.event(2004, "totp_removed", 0, s.CHEN, person="U0BOB"),
}
NO_WAY_BACK = [
    s.event(number, "no_way_back", 0, target="production", version=name[:3], name=name, code=code, why=why)
    for number, (name, code, why) in enumerate(
        (
            ("014_refunds", "E-NO-SCRIPT", "`014_refunds` has no rollback script. I do not guess one."),
            (
                "013_plans",
                "E-NO-SCRIPT",
                "`014_refunds`, which was applied after it, has no way back; it was not tried.",
            ),
        ),
        2151,
    )
]
OUT_OF_ORDER = s.event(2151, "applied", 0, target="production", version="005", name="005_late", out_of_order=True)
ANSWERS: Mapping[str, Callable[[], m.Message]] = {
    "planning": lambda: m.planning(s.run(S.PLANNING, evidence={})),
    "plan_private_from_git": lambda: m.plan_private(
        replace(PRIVATE, evidence=_identified(commit="c0ffee" * 6 + "abcd", staging=THERE)), s.CTX
    ),
    "error_staging": lambda: m.refusal(staging.refusal(NOT_THERE, "Nothing was started.")),
    "plan_private": lambda: m.plan_private(PRIVATE, s.CTX),
    "dm_approver": lambda: m.direct(WAITING, s.CTX),
    "dm_reminder": lambda: m.direct(WAITING, s.CTX, reminder=True),
    "dm_break_glass": lambda: m.direct_broken(COUNTING, GLASS, s.CTX),
    "dm_decided_break_glass": lambda: m.direct_decided(replace(ALONE, state=S.EXECUTING), s.CTX, own=False),
    "status_owed": lambda: m.status([], TARGETS, "d" * 64, {"RB-7K3M": s.LINK}, [OWED]),
    "audit_remarks": lambda: m.audit(
        2106, "3" * 64, remarks=["RB-7K3M was executed by break-glass of Ana Diaz, with 0 of 1 approvals; not reviewed"]
    ),
    "whoami_break_glass": lambda: m.whoami(s.ANA, ["production"], [], ["production"]),
    "help_break_glass": lambda: m.help_("break-glass"),
    "dm_restore": lambda: m.direct(RESTORING, s.CTX),
    "planning_reapply": lambda: m.planning(s.way_back("reapply", S.PLANNING, evidence={})),
    "status_held": lambda: m.status([], [m.TargetNow("production", True, "010_rate_limits", held=(DONE,))], "d" * 64),
    "dm_decided": lambda: m.direct_decided(APPROVED, s.CTX, own=False),
    "dm_decided_denied": lambda: m.direct_decided(DENIED, s.CTX, own=False),
    "dm_decided_by_you": lambda: m.direct_decided(APPROVED, s.CTX, own=True, person="U0BOB"),
    "dm_void": lambda: m.direct_void(WAITING, s.event(2101, "unapproved", 90, None, why="You left @db-oncall"), s.CTX),
    "unwritten": lambda: m.unwritten(s.run(S.EXECUTING, approvals=s.YES, evidence=s.PROVEN, running="execute")),
    "slack_was_away": lambda: m.slack_was_away(s.NOON, s.NOON + timedelta(minutes=7), 3),
    "no_way_back": lambda: m.no_way_back(NO_WAY_BACK),
    "applied_by_hand": lambda: m.no_way_back(
        [
            s.event(
                2151,
                "no_way_back",
                0,
                target="production",
                version="013",
                name=None,
                code="E-FILE-MISSING",
                why="The folder of the migrations holds no file of it.",
            )
        ]
    ),
    "out_of_order": lambda: m.out_of_order([OUT_OF_ORDER]),
    "unapplied": lambda: m.unapplied(
        s.event(2151, "unapplied", 0, target="production", versions=["011", "012"], by=None)
    ),
    "history_emptied": lambda: m.history_emptied(
        s.event(2151, "history_emptied", 0, target="production", versions=["010", "011", "012"]), "<!subteam^S0DB>"
    ),
    "history_gone": lambda: m.history_emptied(
        s.event(2151, "history_emptied", 0, target="production", versions=["010", "011"], no_table=True),
        "<!subteam^S0DB>",
    ),
    "error_ambiguous": lambda: m.refusal(AMBIGUOUS),
    "error_self": lambda: m.refusal(SELF),
    "error_only_depends": lambda: m.refusal(DEPENDS),
    "error_channel": lambda: m.elsewhere(NOT_HERE, "plan-0123456789ab", "#incidents"),
    "error_backup": lambda: m.refusal(BACKUP_FAILED),
    "error_unknown": lambda: m.refusal(NOT_KNOWN),
    "checkup": lambda: m.checkup(
        [
            Finding("audit trail", True, "2,106 events, 1.2 MB"),
            Finding(
                "production: database",
                False,
                "I cannot reach *production*: connection refused.",
                "Start it, or mend `database_url`.",
            ),
        ]
    ),
    "help": lambda: m.help_(),
    "help_deny": lambda: m.help_("deny"),
    "status": lambda: m.status([APPROVED], TARGETS, "d" * 64, {"RB-7K3M": s.LINK}),
    "status_idle": lambda: m.status([], TARGETS, "d" * 64),
    "history": lambda: m.history([DONE, DENIED, STOPPED], "production"),
    "history_table": lambda: m.history([DONE, OWED, DENIED, STOPPED], "production", KINDS),
    "timeline": lambda: m.timeline(DONE, EVENTS, intact=True),
    "audit": lambda: m.audit(2106, "3" * 64, last=("RB-7K3M", "3" * 64, s.LINK)),
    "audit_broken": lambda: m.audit(2106, "3" * 64, broken="event 1,204 does not follow from 1,203"),
    "audit_witnessed": lambda: m.audit(2106, "3" * 64, held=_held(2104)),
    "audit_contradicted": lambda: m.audit(
        2106,
        "3" * 64,
        held=_held(57, "event 60 was posted as 2cfb99a842b46aa9, but is now 4cd7423dc90932c5 (https://example)"),
    ),
    "audit_not_held": lambda: m.audit(2106, "3" * 64, not_held="Slack does not answer. Try again in a minute."),
    "witness": lambda: m.witness(s.event(2107, "files_removed", 0, files=3)),
    "whoami": lambda: m.whoami(s.ANA, ["production", "staging"], ["staging"]),
    "migrations": lambda: m.migrations(ROWS, "production", s.NOON),
    **{f"authenticator_{name}": lambda one=one: m.authenticator(one) for name, one in TOTP.items()},
    "confirm_yours": lambda: m.confirm_yours(TOTP["enrolled"]),
    "tried": lambda: m.tried(s.event(2003, "totp_wrong", 0, s.BOB, person="U0BOB", why="wrong", locks=True)),
}
VIEWS: Mapping[str, Callable[[], dict[str, Any]]] = {
    **d.VIEWS,
    "review": lambda: m.review(WAITING, s.CTX),
    "review_proven": lambda: m.review(replace(WAITING, evidence=s.PROVEN), s.CTX),
    "review_alert_block": lambda: m.review(WAITING, replace(s.CTX, newer=KINDS)),
    "review_no_data_alert_block": lambda: m.review(_latest(), replace(s.CTX, newer=KINDS)),
    "review_totp": lambda: m.review(WAITING, s.CTX, coded=True),
    "review_no_data": lambda: m.review(_latest(), s.CTX),
    "review_reapply": lambda: m.review(
        s.way_back("reapply", S.WAITING, evidence={"identify": s.REDO, "rehearse": MISFITS}), BACK_CTX
    ),
    "review_restore": lambda: m.review(RESTORING, BACK_CTX),
    "reapply_form": lambda: m.reapply_form(DONE),
    "restore_form": lambda: m.restore_form(DONE),
    "full_plan_reapply": lambda: m.full_plan(REAPPLYING, 1),
    "report": lambda: m.report(report_story.packet(), 1),
    "reason": lambda: m.reason(WAITING),
    "break_glass_form": lambda: m.break_glass_form(s.run(S.WAITING), timedelta(seconds=60)),
    "owed_form": lambda: m.owed_form(OWED),
    "home_owed": lambda: m.home(
        m.Tab(
            s.NOON,
            running=[COUNTING],
            last=[OWED],
            approve=["production"],
            alone=["production"],
            links={"RB-7K3M": s.LINK},
            owed=[OWED, replace(OWED, id="RB-9X2P")],
            own=frozenset({"RB-9X2P"}),
        )
    ),
    "home_held": lambda: m.home(
        m.Tab(
            s.NOON,
            ask=["production"],
            held={"production": [DONE, replace(DONE, id="RB-9X2P")]},
            drills=[m.DrillNow("production", s.NOON + timedelta(days=27), d.STANDING)],
            targets=[*TARGETS, m.TargetNow("archive", problem="I cannot reach *archive*: connection refused.")],
            checked=s.NOON - timedelta(minutes=2),
            health=["Backup disk 61 % free", "Socket connected"],
        )
    ),
    "request": lambda: m.request(["production", "staging"], m.Asked("production", channel="C0INCIDENT")),
    "request_filled": lambda: m.request(
        ["staging", "production"],
        m.Asked(
            "production",
            "011_subscriptions",
            "only",
            "checkout 500s since the 14:02 deploy",
            "INC-418",
            "C0INCIDENT",
            "1794319800.000900",
            "Rollbacks of production need a reason.",
        ),
    ),
    "request_follows": lambda: m.follows(WAITING, "#incidents"),
    "reason_afterwards": lambda: m.why(replace(WAITING, reason="")),
    "answer": lambda: m.answer("Last rollbacks", m.history([DONE, DENIED], None)["blocks"]),
    "refused": lambda: m.refused(
        Refused("E-STALE", "The plan changed while you read it.", "Review revision 2."), "RB-7K3M"
    ),
    "full_plan": lambda: m.full_plan(s.run(S.WAITING, evidence={**s.PLAN, "rehearse": s.DIFFERS}), 1),
    "full_plan_from_git": lambda: m.full_plan(
        s.run(S.WAITING, evidence=_identified(commit="c0ffee" * 6 + "abcd", staging=NOT_THERE)), 1
    ),
    "loading": lambda: m.loading("RB-7K3M"),
    "home": lambda: m.home(
        m.Tab(
            s.NOON,
            [WAITING, s.run(S.WAITING)],
            [APPROVED],
            [DONE, DENIED],
            ask=["production"],
            links={"RB-7K3M": s.LINK},
            health=["Backup disk 61 % free", "Socket connected"],
        )
    ),
    "home_ready": lambda: m.home(m.Tab(s.NOON, ready=ready.HOME)),
    "home_empty": lambda: m.home(m.Tab(s.NOON)),
}


def messages() -> dict[str, Any]:
    """Every message, by name."""
    made: dict[str, Any] = {name: m.card(run, ctx) for name, (run, ctx) in CARDS.items()}
    made |= {name: m.thread(run, event, s.CTX) for name, (run, event) in THREAD.items() if event}
    made |= {name: m.broadcast(run, event, s.CTX) for name, (run, event) in CALLS.items() if event}
    return made | {name: make() for name, make in (ANSWERS | d.MESSAGES | ready.MESSAGES | numbers.MESSAGES).items()}


def views() -> dict[str, Any]:
    """Every modal and Home, by name."""
    return {name: make() for name, make in VIEWS.items()}


def of_run(run: Any, ctx: m.Context | None = None) -> dict[str, Any]:
    """Whatever can be said of one run, in every state and for every event: for hostile and huge ones."""
    run = replace(run, changed=(run.reason,) * 20)
    ctx = ctx or replace(s.CTX, asked=(run.reason,), reading=(run.reason,))
    one = run.last
    made: dict[str, Any] = {f"card {state}": m.card(replace(run, state=state), ctx) for state in S}
    made |= {f"card {state} newer": m.card(replace(run, state=state), replace(ctx, newer=KINDS)) for state in S}
    kinds = [*m.__dict__["thread"].__globals__["_LINES"], *[event.kind for _, event in CALLS.values() if event]]
    for kind in kinds:
        data = {**one.data, "note": run.reason, "why": run.reason, "asked": list(ctx.asked), "minutes_left": 6}
        happened = replace(one, kind=kind, data={**data, "differences": [run.reason], "by_person": kind != "stopped"})
        for step in run.evidence if kind == "step_done" else ["rehearse"]:
            told = replace(happened, data={**happened.data, "step": step, "evidence": run.evidence[step]})
            made[f"thread {kind} {step}"] = m.thread(run, told, ctx)
            made[f"call {kind} {step}"] = m.broadcast(replace(run, ending=told), told, ctx)
    alone = replace(
        run,
        broken=replace(
            BROKEN, person=run.requester, reason=run.reason, revision=run.revision, digest=run.digest, over=True
        ),
    )
    made |= {f"card {state} alone": m.card(replace(alone, state=state), ctx) for state in S}
    glass = replace(one, id=BROKEN.event, kind="glass_broken", data={**GLASS.data, "reason": run.reason})
    made |= {"glass": m.broadcast(alone, glass, ctx), "glass dm": m.direct_broken(alone, glass, ctx)}
    made |= {"plan": m.plan_private(run, ctx)} if run.kind == "rollback" else {}
    made["dm"], made["void"] = m.direct(run, ctx), m.direct_void(run, one, ctx)
    made |= {f"decided {state}": m.direct_decided(replace(run, state=state), ctx, own=True) for state in S}
    made["history"], made["timeline"] = m.history([run] * 20, run.target), m.timeline(run, [one] * 90)
    made["history newer"] = m.history([alone, run] * 10, run.target, KINDS)
    made |= numbers.of(run.target, run.reason)
    made["refusal"] = m.refusal(Refused("E-USAGE", run.reason, run.reason, (run.reason,) * 20))
    made["status"] = m.status([run] * 20, [m.TargetNow(run.target, True, run.reason, run.reason)] * 50, "d" * 64)
    made["owed"] = m.status([], [], "d" * 64, {}, [alone] * 30)
    made["whoami"] = m.whoami(Person(run.reason, run.reason), [run.target] * 20, [run.target])
    made["migrations"] = m.migrations([m.MigrationRow(run.reason, None, False)] * 90, run.target, s.NOON)
    return {name: said for name, said in made.items() if said}


def views_of(run: Any, ctx: m.Context = s.CTX) -> dict[str, Any]:
    """Every view of one run."""
    refusal = Refused("E-USAGE", run.reason, run.reason, (run.reason,) * 20)
    alone = replace(run, state=S.DONE, broken=replace(BROKEN, person=run.requester, reason=run.reason))
    many = [run] * 30
    home = m.home(
        m.Tab(
            s.NOON, many, many, many, [alone] * 30, frozenset(), [run.target] * 40, [run.target] * 40, [run.target] * 40,
            held={f"{run.target}{n}": [run] * 2 for n in range(10)},
            drills=[m.DrillNow(run.target, s.NOON, d.STANDING)] * 40,
            targets=[m.TargetNow(run.target, newest=run.reason), m.TargetNow(run.target, problem=run.reason)] * 20,
            checked=s.NOON, health=[run.reason] * 2,
        )
    )  # fmt: skip
    asked = m.Asked(run.target, run.reason, "from", run.reason, run.reason, note=run.reason)
    return {
        "break glass": m.break_glass_form(run, timedelta(days=1)),
        "owed": m.owed_form(alone),
        "review": m.review(run, ctx, coded=True),
        "review newer": m.review(run, replace(ctx, newer=KINDS), coded=True),
        "report": m.report(report_story.of(run)),
        "reason": m.reason(run),
        "home": home,
        "request": m.request([run.target] * 200 + [f"{run.target}{n}" for n in range(200)], asked),
        "follows": m.follows(run, run.reason),
        **({"reapply": m.reapply_form(run), "restore": m.restore_form(run)} if run.kind == "rollback" else {}),
        "why": m.why(run),
        "refused": m.refused(refusal, run.id),
    }
