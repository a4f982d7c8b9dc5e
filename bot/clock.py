"""APScheduler: expire, count down and remind every second, look at holds twice and for drills once a minute, clean up every hour.

Schedules live in the settings and what was done lives in the ledger, so the scheduler's own memory may be lost: a
reminder is found by asking which period is due, and claimed in the ledger, once per period whatever happens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from bot.countdown import Countdown
from bot.people import People
from core import drills, hold, keeping, schedule
from core.desk import Desk
from core.errors import Refused
from core.ledger import Ledger, stamp
from core.model import Run
from core.settings import Drill, Target
from core.stats import monthly

log = structlog.get_logger()
REMEMBERED = timedelta(days=7)  # how long a request of Slack's is known again
LONGEST = timedelta(days=400)  # how far back a missed drill is looked for
MISSED = 12  # periods before the newest that are told as missed


def scheduler(
    desk: Desk, people: People, beat: Callable[[], None], unheard: Callable[[], float], drill: Callable[[], object]
) -> BackgroundScheduler:
    """Everything that happens by the clock; not started yet.

    `unheard`: seconds since a click could last have reached us. `drill`: begins the drills that were started.
    """
    clock = BackgroundScheduler(timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1})

    def asked(run: Run) -> list[str]:
        try:
            target = desk.settings.target(run.target)
            found = [user for user in people.reachable(run, target) if user not in target.quiet_approvers]
        except Refused:
            return []
        return [people.person(user).name for user in found]

    clock.add_job(guarded(desk.expire), "interval", seconds=1, id="expire")
    clock.add_job(guarded(Countdown(desk, unheard=unheard).look), "interval", seconds=1, id="countdown")
    clock.add_job(guarded(lambda: desk.remind(asked)), "interval", seconds=1, id="remind")
    clock.add_job(guarded(drill), "interval", seconds=1, id="drilling")
    clock.add_job(guarded(beat), "interval", seconds=2, id="beat")
    clock.add_job(guarded(lambda: hold.watch(desk.ledger, desk.settings)), "interval", seconds=30, id="holds")
    clock.add_job(guarded(lambda: tidy(desk)), "interval", hours=1, id="clean", next_run_time=datetime.now(UTC))
    months = guarded(lambda: monthly.look(desk.ledger, desk.settings))
    clock.add_job(months, "interval", minutes=1, id="months", next_run_time=datetime.now(UTC))
    clock.add_job(
        guarded(lambda: remind_of_drills(desk)),
        "interval",
        minutes=1,
        id="drills",
        next_run_time=datetime.now(ZoneInfo("UTC")),
    )
    return clock


def guarded(job: Callable[[], object]) -> Callable[[], None]:
    """A job that meets a locked or full ledger is tried again at its next turn."""

    def run() -> None:
        try:
            job()
        except Refused as problem:
            log.warning("clock", code=problem.code, problem=problem.message)

    return run


def tidy(desk: Desk) -> None:
    """Remove what is kept no longer."""
    with desk.ledger.transaction() as t:
        t.forget_deliveries(t.now - REMEMBERED)
    try:
        removed = keeping.clean(desk.ledger, desk.settings)
    except OSError as error:
        log.warning("clean-up", problem=error.strerror)
    else:
        if removed:
            log.info("removed", files=removed)


def remind_of_drills(desk: Desk) -> None:
    """Write down each drill that is due, once per period, also after downtime; and again where it was put off and is due again."""
    ledger = desk.ledger
    if not ledger.passing.settled():
        return  # the clock was set just now: a wrong time that is mended soon reminds of nothing
    for target in desk.settings.targets.values():
        if target.drill:
            due = newest_due(target.drill, since(ledger, target, target.drill), ledger.clock())
            if due:
                claim(ledger, target, target.drill, due)
            again(ledger, target)


def since(ledger: Ledger, target: Target, drill: Drill) -> datetime:
    """When the target's drills were last looked at: its newest period, or when this schedule was first seen, if that is later.

    Periods that lie ahead were claimed by a clock that went wrong: those before them are still owed.
    """
    name = f"drill {target.name} by {drill.schedule} {drill.timezone}"
    if not ledger.reminders(name):
        with ledger.transaction() as t:
            t.claim(name, stamp(t.now))  # a new schedule owes nothing for the time before it
    first = min(datetime.fromisoformat(row["period"]) for row in ledger.reminders(name))
    periods = [datetime.fromisoformat(row["period"]) for row in ledger.reminders(f"drill {target.name}")]
    return max((first, *(period for period in periods if period <= ledger.clock())))


def newest_due(drill: Drill, after: datetime, now: datetime) -> list[datetime]:
    """The newest fire times in (after, now], newest first, at most MISSED and one."""
    trigger = trigger_of(drill)
    found: deque[datetime] = deque(maxlen=MISSED + 1)
    for back in (timedelta(hours=2), timedelta(days=8), timedelta(days=40), LONGEST):  # the newest is near, mostly
        found.clear()
        moment = max(after, now - back) + timedelta(seconds=1)
        while (fire := trigger.get_next_fire_time(None, moment)) and fire <= now:
            moment = fire.astimezone(UTC) + timedelta(seconds=1)
            if not fire.astimezone(UTC).astimezone(trigger.timezone).fold:  # an hour that comes twice counts once
                found.append(fire)
        if len(found) > MISSED or now - back <= after:
            break
    return list(reversed(found))


def next_drill(drill: Drill, after: datetime) -> datetime | None:
    """When the schedule fires next; None: never."""
    return trigger_of(drill).get_next_fire_time(None, after + timedelta(seconds=1))  # type: ignore[no-any-return]


def trigger_of(drill: Drill) -> CronTrigger:
    """The schedule as APScheduler reads it."""
    return CronTrigger(timezone=ZoneInfo(drill.timezone), **schedule.parse(drill.schedule).fields)


def claim(ledger: Ledger, target: Target, drill: Drill, due: list[datetime]) -> None:
    """One bot of all gets the newest period; those before it are told as missed. Reminder and claims are one transaction."""
    newest, *before = due
    with ledger.transaction() as t:
        missed = [one for one in before if t.claim(f"drill {target.name}", stamp(one))]
        if not t.claim(f"drill {target.name}", stamp(newest)):
            return
        now = drills.after(t.apart(drills.KINDS, target.name, drills.READ))
        turn = sum(not event.data.get("again") for event in t.apart(["drill_due"], target.name))
        owners = drill.owners or target.approvers
        following = next_drill(drill, newest)
        data = {
            "target": target.name,
            "period": label(newest),
            "due": stamp(newest),
            "next": stamp(following) if following else None,
            "owner": owners[turn % len(owners)] if owners else "",
            "last": drills.told_last(now, t.now),
            "streak": 0 if now.due or missed else now.streak,
            "about": now.last.data["seconds"] if now.last and now.last.kind == "drill_passed" else None,
            "again": False,
            "first": None,
            "missed": [label(one) for one in missed],
        }
        t.append(None, "drill_due", data)


def again(ledger: Ledger, target: Target) -> None:
    """What was put off is due again: a reminder more, in the same period."""
    now = drills.standing(ledger, target.name)
    if not (now.due and now.snoozed) or now.running or now.snoozed > ledger.clock():
        return
    with ledger.transaction() as t:
        if t.claim(f"drill {target.name} again", stamp(now.snoozed)):
            last = drills.told_last(now, t.now)
            t.append(
                None, "drill_due", {**now.due.data, "again": True, "first": now.due.id, "last": last, "missed": []}
            )


def label(due: datetime) -> str:
    """A period, in the schedule's own time zone: `Mon 7 Dec 2026 10:00`."""
    return f"{due:%a %-d %b %Y %H:%M}"
