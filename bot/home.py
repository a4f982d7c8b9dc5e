"""The App Home tab."""

from __future__ import annotations

import structlog
from slack_sdk import WebClient

from bot import messages
from bot.people import AWAY, People
from core import glass
from core.desk import Desk
from core.errors import Refused
from core.model import Person, Run, State
from core.settings import Target

log = structlog.get_logger()


def publish(client: WebClient, desk: Desk, people: People, user: str) -> None:
    """Draw the tab of one person."""
    person = people.person(user)
    targets = desk.settings.targets.values()
    ask = [target.name for target in targets if asks(people, person, target)]
    approve = [target.name for target in targets if approves(people, person, target)]
    open_runs = desk.ledger.open_runs()
    waiting = [run for run in open_runs if run.state is State.WAITING and waits_for(run, person, approve)]
    running = [run for run in open_runs if run not in waiting]
    last = desk.ledger.runs("ended_at IS NOT NULL AND state <> 'refused'", limit=5)
    owed = [run for run in glass.owed(desk.ledger) if run.target in approve]
    own = frozenset(run.id for run in owed if not closes(desk, run, person))
    shown = [*waiting, *running, *owed]
    links = {run.id: link for run in shown if (link := people.link(desk.ledger, run.id))}
    try:
        client.views_publish(user_id=user, view=messages.home(waiting, running, last, ask, approve, links, owed, own))
    except AWAY as error:
        log.warning("home not published", error=type(error).__name__)


def waits_for(run: Run, person: Person, approve: list[str]) -> bool:
    """Can this person decide on it, and has not yet?"""
    mine = {run.requester.id, *(approval.person.id for approval in run.approvals)}
    return run.target in approve and person.id not in mine


def closes(desk: Desk, run: Run, person: Person) -> bool:
    """May this approver close its review? Not who asked, nor who broke the glass."""
    try:
        glass.may_review(run, person, desk.same)
    except Refused:
        return False
    return True


def asks(people: People, person: Person, target: Target) -> bool:
    try:
        people.may_ask(person, target)
    except Refused:
        return False
    return True


def approves(people: People, person: Person, target: Target) -> bool:
    try:
        people.among_approvers(person, target)
    except Refused:
        return False
    return True
