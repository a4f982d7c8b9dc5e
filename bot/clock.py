"""APScheduler: expire, count down and remind every second, look at holds twice and for drills once a minute, clean up every hour.

Schedules live in the settings and what was done lives in the ledger, so the scheduler's own memory may be lost: a
reminder is found by asking which period is due, and claimed in the ledger, once per period whatever happens.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from bot.countdown import Countdown
from bot.people import People
from core import hold, keeping, schedule
from core.desk import Desk
from core.errors import Refused
from core.ledger import Ledger, stamp
from core.model import Run
from core.settings import Drill, Target

log = structlog.get_logger()
REMEMBERED = timedelta(days=7)  # how long a request of Slack's is known again
LONGEST = timedelta(days=400)  # how far back a missed drill is looked for


def scheduler(
    desk: Desk, people: People, beat: Callable[[], None], unheard: Callable[[], float]
) -> BackgroundScheduler:
    """Everything that happens by the clock; not started yet. `unheard`: seconds since a click could last have reached us."""
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
    clock.add_job(guarded(beat), "interval", seconds=2, id="beat")
    clock.add_job(guarded(lambda: hold.watch(desk.ledger, desk.settings)), "interval", seconds=30, id="holds")
    clock.add_job(guarded(lambda: tidy(desk)), "interval", hours=1, id="clean", next_run_time=datetime.now(UTC))
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
    """Write down each drill that is due, once per period, also after downtime: then the newest missed one only."""
    for target in desk.settings.targets.values():
        if target.drill:
            due = newest_due(target.drill, since(desk.ledger, target), desk.ledger.clock())
            if due:
                claim(desk.ledger, target, target.drill, due)


def since(ledger: Ledger, target: Target) -> datetime:
    """When the target's drills were last looked at: its newest period, or when this schedule was first seen."""
    name = f"drill {target.name}"
    rows = ledger.reminders(name)
    if not rows:
        with ledger.transaction() as t:
            t.claim(name, stamp(t.now))  # a new schedule owes nothing for the time before it
        rows = ledger.reminders(name)
    return datetime.fromisoformat(max(row["period"] for row in rows))


def newest_due(drill: Drill, after: datetime, now: datetime) -> datetime | None:
    """The newest fire time in (after, now]; None: none."""
    trigger = trigger_of(drill)
    for back in (timedelta(hours=2), timedelta(days=8), timedelta(days=40), LONGEST):  # the newest is near, mostly
        found: datetime | None = None
        moment = max(after, now - back) + timedelta(seconds=1)
        while (fire := trigger.get_next_fire_time(None, moment)) and fire <= now:
            moment = fire.astimezone(UTC) + timedelta(seconds=1)
            if not fire.astimezone(UTC).astimezone(trigger.timezone).fold:  # an hour that comes twice counts once
                found = fire
        if found or now - back <= after:
            return found
    return None


def next_drill(drill: Drill, after: datetime) -> datetime | None:
    """When the schedule fires next; None: never."""
    return trigger_of(drill).get_next_fire_time(None, after + timedelta(seconds=1))  # type: ignore[no-any-return]


def trigger_of(drill: Drill) -> CronTrigger:
    """The schedule as APScheduler reads it."""
    return CronTrigger(timezone=ZoneInfo(drill.timezone), **schedule.parse(drill.schedule).fields)


def claim(ledger: Ledger, target: Target, drill: Drill, due: datetime) -> None:
    """One bot of all gets the period; the reminder and the claim are one transaction."""
    with ledger.transaction() as t:
        if t.claim(f"drill {target.name}", stamp(due)):
            turn = due.year * 12 + due.month
            owner = drill.owners[turn % len(drill.owners)] if drill.owners else ""
            period = f"{due:%a %-d %b %Y %H:%M}"
            t.append(None, "drill_due", {"target": target.name, "period": period, "owner": owner, "last": "never"})
