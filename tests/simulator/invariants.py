"""What holds in every world, whatever happened in it."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from bot.lookup import label_of
from core.model import MOVES, STEPS, UNCHANGED, Event, Run, State
from core.runbook import Work
from tests.simulator import glass
from tests.simulator.slack import Message

if TYPE_CHECKING:
    from tests.simulator.world import World

WAITS = {
    State.INTERRUPTED: {"rb.resume", "rb.stop"}, State.DECIDE: {"rb.verify", "rb.keep"},
    State.NEEDS_A_PERSON: {"rb.resume", "rb.keep", "rb.look"},
}  # fmt: skip
"""Who must act is named on the card, with these buttons."""
OVER = {"rb.review", "rb.deny", "rb.withdraw", "rb.breakglass", "rb.stop", *set().union(*WAITS.values())}
"""Buttons that no card shows once its run has ended."""
TOLD = {
    "approved", "unapproved", "plan_changed", "denied", "withdrawn", "expired", "resumed", "continued", "checking_again", "kept",
    "notme", "released", "reapplied", "restored", "done", "differs", "step_failed", "interrupted", "found_committed", "unknown",
    "step_done", "stopped", "glass_broken", "countdown_over", "reviewed",
}  # fmt: skip
"""Kinds of events that the channel hears of, where the run has a card."""
ROUNDS = 40
ALWAYS = ("countdown", "worker", "expire")


def allowed(world: World, work: Work, mark: str, plan: str) -> list[str]:
    """Right before a script runs: does a second, entitled person agree to exactly this plan, and does it run once?"""
    base, run, found = world.bases[work.target.name], work.run, []
    now = world.process.ledger.run(run.id)
    if now.state is not State.EXECUTING:
        found.append(f"{run.id} runs while it is {now.state}")
    if base.committed[mark]:
        found.append(f"{mark} runs a second time")
    continuing = run.partly is not None
    if not continuing and plan != run.digest:
        found.append(f"{run.id} runs another plan than the approved one")
    people = {world.settings.one_person(given.person.id) for given in now.approvals if given.digest == run.digest}
    if world.settings.one_person(run.requester.id) in people:
        found.append(f"{run.id}: the requester approved")
    asked = world.asked_anew.get(run.id, world.clock.mono)
    if len(people) < run.needed:
        found += glass.bears(world, now, work.target, asked)
    for given in now.approvals:
        if not continuing and not world.slack.entitled(given.person.id, asked, work.target.approvers):
            found.append(f"{run.id}: {given.person.id} may not approve (any more)")
        late = world.clock.now() - given.at > 2 * work.target.approval_valid
        if late and not continuing and not world.clock.jumps and world.clock.mono - asked < 600:
            found.append(f"{run.id}: the approval of {given.person.id} is too old")
    return found


def settle(world: World) -> None:
    """The end of time: no faults, everything answers, and the bot works until nothing more happens."""
    from tests.simulator.world import Crash

    world.calm = True
    world.slack.away_until = world.full_until = 0.0
    for base in world.bases.values():
        base.down = base.locked = base.sick = False
    try:
        for number in range(ROUNDS):
            if quiet_round(world, (*ALWAYS, "drills", "clean") if number == 1 else ALWAYS) and number > 1:
                return
            world.clock.mono += left_to_wait(world) if number % 10 == 1 else 40.0
    except Crash:
        world.restart()
    world.faults.append("no rest: the bot goes on and on")


def left_to_wait(world: World) -> float:
    """Seconds until everything that waits for people has expired."""
    until = [run.expires_at for run in world.process.ledger.open_runs() if run.expires_at]
    return max(20.0, *[(at - world.clock.now()).total_seconds() + 1 for at in until], 0.0)


def quiet_round(world: World, parts: tuple[str, ...]) -> bool:
    """One turn of everything; was there nothing to do?"""
    process = world.process
    if process.ending:
        world.faults.append("the bot ends by itself although nothing fails")
        world.restart()
    before = process.ledger.head()[0]
    for part in parts:
        process.part(part)
        while process.jobs.waiting:
            process.job()
    process.part("announcer")
    open_ones = [run.state for run in process.ledger.open_runs()]
    rest = all(state in WAITS for state in open_ones)
    return rest and process.ledger.head()[0] == before and process.announcer.told() == before


def hold(world: World) -> list[str]:
    """Everything that must be true at the end."""
    ledger = world.process.ledger
    runs, events = ledger.runs(), ledger.events()
    for run in runs:
        for event in (one for one in events if one.run == run.id and one.state):
            world.count("state", str(event.state))
    world.counters["events", "all"] += len(events)
    world.counters["runs", "all"] += len(runs)
    return [
        *chain(world, events),
        *moves(events),
        *endings(world, runs),
        *targets(world, runs),
        *left_behind(world, runs),
        *glass.reviews(world, runs),
        *told(world, runs, events),
    ]


def chain(world: World, events: list[Event]) -> list[str]:
    """Intact, and nothing that was acknowledged is missing."""
    digests = {event.id: event.digest for event in events}
    lost = [number for number, digest in world.acknowledged if number and digests.get(number) != digest]
    return [*world.process.ledger.verify().faults, *[f"event {number} was acknowledged and is gone" for number in lost]]


def moves(events: list[Event]) -> list[str]:
    """Each run went only where the table of moves leads."""
    found, at = [], {}
    for event in events:
        if event.run and event.state:
            before, at[event.run] = at.get(event.run), event.state
            if before and event.state not in MOVES.get(before, ()):
                found.append(f"{event.run} went from {before} to {event.state}")
    return found


def endings(world: World, runs: list[Run]) -> list[str]:
    """Each run has ended or waits for a person, whose buttons are on its card."""
    found = []
    for run in runs:
        if not run.is_open:
            found += [] if run.ended_at else [f"{run.id} is {run.state} without a time"]
            over = (world.buttons(run) or set()) & OVER
            found += [f"{run.id} is {run.state}, but its card still shows {sorted(over)}"] if over else []
        elif run.state not in WAITS or (run.state is State.NEEDS_A_PERSON and not run.half_done):
            found.append(f"{run.id} hangs, {run.state}")
        else:
            found += without_buttons(world, run)
    holders = Counter(
        run.target for run in runs if run.is_open and run.state not in (State.DECIDE, State.NEEDS_A_PERSON)
    )
    return found + [f"{count} runs hold {target}" for target, count in holders.items() if count > 1]


def without_buttons(world: World, run: Run) -> list[str]:
    """Where the card is, it shows what to do."""
    shown = world.buttons(run)
    wrong = shown is not None and not shown & WAITS[run.state]
    return [f"{run.id} is {run.state}, but its card shows {sorted(shown or ())}"] if wrong else []


def targets(world: World, runs: list[Run]) -> list[str]:
    """A target is untouched, or its run took effect whole and once; half of it is known and said to be half."""
    found = []
    for run in runs:
        base = world.bases[run.target]
        marks = [run.id] if run.kind == "restore" else base.marks(run)
        count = [base.committed[mark] for mark in marks]
        partly = run.half_done or (run.partly is not None and not run.is_open)
        if any(number > 1 for number in count):
            found.append(f"{run.id} took effect {max(count)} times")
        if run.state in UNCHANGED and any(count):
            found.append(f"{run.id} is {run.state}, but it took effect")
        unknown = run.state is State.RESTORED  # a restore also ends what nobody knows the outcome of
        if run.state not in UNCHANGED and not all(count) and not partly and not unknown:
            found.append(f"{run.id} is {run.state}, but it did not take effect")
        if (
            run.state is State.DONE
            and list(run.evidence) != list(STEPS[run.kind])
            and not partly
            and run.ending
            and run.ending.kind == "done"
        ):
            found.append(f"{run.id} is done with the steps {list(run.evidence)}")
    return found


def left_behind(world: World, runs: list[Run]) -> list[str]:
    """No transaction, no scratch database, no half restored database, no stopped service, no lock file."""
    still = {run.id for run in runs if run.is_open}
    found = [f"{name} is left on the scratch server" for name in sorted(world.scratch) if name[:7] not in still]
    for base in world.bases.values():
        base.notices()
        found += [f"a transaction of {one.mark} is open" for one in base.opened]
        found += [f"{run} has left a database" for run in base.side if run not in still]
        found += [] if base.serving else [f"the services of {base.name} are stopped"]
    ledger = world.settings.ledger
    locks = [
        file.name.removeprefix(f"{ledger.name}.") for file in sorted(ledger.parent.glob(f"{ledger.name}.RB-*.lock"))
    ]
    return found + [f"{name} is left" for name in locks if name.removesuffix(".lock") not in still]


def told(world: World, runs: list[Run], events: list[Event]) -> list[str]:
    """Each event that the channel must hear of was told there, in order, and once."""
    ledger, found = world.process.ledger, []
    noted = {(post["channel"], post["ts"]): str(post["place"]) for post in ledger.posts("ts IS NOT NULL", ())}
    found += [f"{row['place']} is still to be edited" for row in ledger.posts("place LIKE 'late %'", ())]
    # Slack would not have it: a channel or a thread that is gone
    no = ledger.posts("ts IS NULL AND place <> 'told' AND place NOT LIKE 'late %'", ())
    refused = {int(post["place"][7:]) if post["place"].startswith("thread ") else post["event"] for post in no}
    lines = defaultdict(list)
    labels = {label_of(vars(message)) for message in world.slack.messages if (message.channel, message.ts) in noted}
    for message in world.slack.messages:
        recorded = (message.channel, message.ts) in noted
        if (
            not recorded
            and not (message.lost and (unreadable(message) or label_of(vars(message)) in labels))
            and not message.gone
            and message.event
            and message.generation == world.generation
        ):
            found.append(f"{message.ts} was posted and not noted")
        if message.event and message.channel.startswith("C") and (message.thread or recorded):
            lines[message.event].append((message, recorded))
    found += repeated(world)
    cards = {post["run"] for post in ledger.posts("place = 'card' AND ts IS NOT NULL", ())}
    last: dict[str, int] = {}
    for event in events:
        must = event.kind in TOLD and (event.kind != "stopped" or event.data.get("by_person"))
        if must and event.run in cards and event.id not in lines and event.id not in refused:
            found.append(f"event {event.id} ({event.kind}) was never told")
        copies = Counter(message.text for message, recorded in lines.get(event.id, ()) if recorded and message.thread)
        found += [f"event {event.id} was told {count} times" for count in copies.values() if count > 1]
    by_number = {event.id: event for event in events}
    for message in world.slack.messages:
        event = by_number.get(message.event or 0)
        place = noted.get((message.channel, message.ts), "witness")
        line = message.thread and not place.startswith("witness") and not is_card(message)
        if event and event.run and line and "nobody who may approve" not in message.text:  # of no event of its own
            if event.id < last.get(event.run, 0):
                found.append(f"event {event.id} was told after {last[event.run]}")
            last[event.run] = max(event.id, last.get(event.run, 0))
    return found


def repeated(world: World) -> list[str]:
    """A post stands there twice only where Slack did not say whether it stood there already."""
    copies = defaultdict(list)
    for message in world.slack.messages:
        if message.event and not message.gone and "witness" not in label_of(vars(message)):
            copies[message.channel, message.thread, label_of(vars(message))].append(message)
    for several in copies.values():
        world.counters["told", "twice"] += len(several) - 1
    return [
        f"{label} stands twice in {channel}, at {several[-1].ts} too"
        for (channel, _, label), several in copies.items()
        if not all(map(unreadable, several[:-1]))
    ]


def unreadable(message: Message) -> bool:
    """Could nobody know that it stood there?"""
    return message.unread or message.channel.startswith("D")


def is_card(message: object) -> bool:
    """A card that took the place of one that could not be edited: it shows the run as it is now."""
    return any(block.get("block_id", "").count(":") == 2 for block in message.shown if block["type"] == "actions")  # type: ignore[attr-defined]
