"""Which event is told where: card, thread, channel, direct messages, or one person only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bot import messages
from bot.apart import APART
from bot.apart_ready import READY
from bot.context import context_of
from bot.delivery import Delivery
from bot.people import People
from core import fold
from core.errors import Problem, Refused
from core.ledger import Ledger
from core.model import Event, Run, State
from core.settings import Settings

DECIDED = {
    "approved",
    "denied",
    "withdrawn",
    "expired",
    "stopped",
    "executing",
    "plan_changed",
    "unapproved",
    "countdown_over",
}
TELLERS = APART | READY


def deliveries(event: Event, run: Run | None, settings: Settings, people: People, ledger: Ledger) -> Iterator[Delivery]:
    """Everything that is to be sent for one event, in order. Read lazily: a thread line needs the card's address."""
    if event.kind.startswith("totp_"):
        yield from authenticators(event, settings, people)
        return
    if run is None:
        if event.kind in TELLERS:
            yield from TELLERS[event.kind](event, settings.target(event.data["target"]), people, ledger)
        return
    target = settings.target(run.target)
    if event.kind not in DECIDED and not messages.tells(event.kind):
        return
    ctx = context_of(run, target, people, ledger)
    if event.kind == "opened" and first_card(ledger, run.id) in (None, event.id):
        where = run.channel or home(settings, run, people)
        yield Delivery(
            "card",
            messages.card(run, ctx),
            where,
            thread=run.thread,
            broadcast=bool(run.thread),
            classic=lambda: messages.card(run, replace(ctx, newer=frozenset())),
        )
        for earlier in ledger.events(run.id):
            line = messages.thread(as_of(earlier, run, ledger), earlier, ctx) if earlier.id < event.id else None
            if line:
                yield from in_thread(f"thread {earlier.id}", line, run, ledger, settings)
    elif event.kind in ("refused", "stopped") and card_of(ledger, run.id) is None:
        yield from privately(event, run)
        return
    if card_of(ledger, run.id) is None:
        yield from without_a_card(event, run, ctx, people, settings, ledger)
        return
    line = messages.thread(as_of(event, run, ledger), event, ctx)
    if line:
        yield from in_thread("thread", line, run, ledger, settings)
    if event.kind == "reminded":
        yield from reminders(event, run, ctx, people, settings, ledger)
        return
    call = messages.broadcast(run, event, ctx)
    if call:
        yield from in_thread("call", call, run, ledger, settings, broadcast=True)
    if event.kind == "opened" and run.state is State.WAITING:
        yield from ask_approvers(run, ctx, people, settings, ledger)
    if event.kind == "glass_broken":
        yield from tell_approvers(event, run, ctx, people, settings, ledger)
    if event.kind in DECIDED:
        yield from direct_updates(event, run, ctx, ledger)


def authenticators(event: Event, settings: Settings, people: People) -> Iterator[Delivery]:
    """In the channel of every target and to its person, so that nobody's authenticator is changed unseen."""
    person = str(event.data["person"])
    if event.kind == "totp_wrong":
        if event.data["locks"]:
            yield Delivery("totp person", messages.tried(event), user=person)
        return
    message = messages.authenticator(event)
    names = dict.fromkeys(target.channel for target in settings.targets.values() if target.channel)
    channels = dict.fromkeys(people.channel_id(name) for name in names)
    for channel in channels:
        if channel and message:
            yield Delivery(f"totp {channel}", message, channel=channel)
    pending = event.kind == "totp_enrolled" and not event.data["replaces"]
    direct = messages.confirm_yours(event) if pending else message
    if direct:
        yield Delivery("totp person", direct, user=person)


def as_of(event: Event, run: Run, ledger: Ledger) -> Run:
    """The run with what was found up to a step that is told late: when a plan has changed, nothing of it is left."""
    if event.kind != "step_done" or run.revision == 1:
        return run
    told = fold.Told()
    for earlier in ledger.events(run.id):
        if earlier.id <= event.id:
            told.hear(earlier)
    return replace(run, evidence=told.evidence)


def card_of(ledger: Ledger, run_id: str) -> tuple[str, str] | None:
    """Channel and ts of the first card: the thread's root."""
    posts = ledger.posts("run = ? AND place = 'card' AND ts IS NOT NULL", (run_id,))
    return (posts[0]["channel"], posts[0]["ts"]) if posts else None


def first_card(ledger: Ledger, run_id: str) -> int | None:
    """The event with which the run's first card was posted: its thread begins with what was done before."""
    posts = ledger.posts("run = ? AND place = 'card' AND ts IS NOT NULL", (run_id,))
    return posts[0]["event"] if posts else None


def home(settings: Settings, run: Run, people: People) -> str | None:
    """The target's own channel: for requests from the shell."""
    channel = settings.target(run.target).channel
    return people.channel_id(channel) if channel else None


def in_thread(
    place: str, message: messages.Message, run: Run, ledger: Ledger, settings: Settings, broadcast: bool = False
) -> Iterator[Delivery]:
    """A reply in the card's thread."""
    card = card_of(ledger, run.id)
    if card:
        shown = broadcast or settings.target(run.target).steps == "channel"
        yield Delivery(
            place, message, channel=card[0], thread=run.thread or card[1], otherwise=card[1], broadcast=shown
        )


def privately(event: Event, run: Run) -> Iterator[Delivery]:
    """A request that came to nothing before it had a card: only who asked hears of it."""
    if run.channel and not run.requester.id.startswith("shell:"):
        data = event.data
        problem = Problem(data["code"], data["message"], data.get("hint", ""), tuple(data.get("options", ())))
        yield Delivery("ephemeral", messages.refusal(problem), channel=run.channel, only=run.requester.id)


def without_a_card(
    event: Event, run: Run, ctx: messages.Context, people: People, settings: Settings, ledger: Ledger
) -> Iterator[Delivery]:
    """The channel is gone, or the bot is not in it: those concerned hear of it directly, and the run goes on."""
    if event.kind == "opened":
        where = f"I cannot post in the channel of *{run.target}*, so the approvers of {run.id} are asked directly."
        problem = Problem("E-CHANNEL", where, "Invite me there: `/invite @rollback`. Nothing was changed.")
        yield from to_requester(messages.refusal(problem), run)
        if run.state is State.WAITING:
            yield from ask_approvers(run, ctx, people, settings, ledger)
    if event.kind in DECIDED:
        yield from direct_updates(event, run, ctx, ledger)
    call = messages.broadcast(run, event, ctx)
    if call:
        yield from to_requester(call, run)


def to_requester(message: messages.Message, run: Run) -> Iterator[Delivery]:
    """A direct message to who asked, if that is a Slack user."""
    if not run.requester.id.startswith("shell:"):
        yield Delivery("requester", message, user=run.requester.id)


def ask_approvers(
    run: Run, ctx: messages.Context, people: People, settings: Settings, ledger: Ledger
) -> Iterator[Delivery]:
    """A direct message to each approver; nobody reachable is said at once, not at expiry."""
    try:
        asked = people.reachable(run, settings.target(run.target))
    except Refused:
        return  # Slack does not tell who is in the group; the card's mention reaches them
    for user in asked:
        if user not in settings.target(run.target).quiet_approvers:
            yield Delivery(f"dm {user}", messages.direct(run, ctx), user=user)
    if not asked and run.last:
        why = "none is active besides the requester"
        event = Event(run.last.id, run.last.at, run.id, "no_approvers", None, {"why": why}, run.last.digest)
        call = messages.broadcast(run, event, ctx)
        if call:
            yield from in_thread("no approvers", call, run, ledger, settings, broadcast=True)


def tell_approvers(
    event: Event, run: Run, ctx: messages.Context, people: People, settings: Settings, ledger: Ledger
) -> Iterator[Delivery]:
    """Break-glass: a direct message to each approver, also to those who have said that they cannot look.

    The next group hears of it where it was asked already.
    """
    escalated = any(one.kind == "reminded" and one.data.get("last") for one in ledger.events(run.id))
    try:
        told = people.reachable(run, settings.target(run.target), escalated)
    except Refused:
        return  # Slack does not tell who is in the group; the mention in the channel reaches them
    for user in told:
        yield Delivery(f"dm {user}", messages.direct_broken(run, event, ctx), user=user)


def broken_updates(broken: list[Event], run: Run, ctx: messages.Context, ledger: Ledger) -> Iterator[Delivery]:
    """The announcement of a break-glass loses its button once nothing can be stopped any more."""
    for event in broken:
        for post in ledger.posts("event = ? AND place = 'call' AND ts IS NOT NULL", (event.id,)):
            message = messages.broken(run, event, ctx)
            yield Delivery(f"edit {event.id} call", message, channel=post["channel"], update=post["ts"])


def reminders(
    event: Event, run: Run, ctx: messages.Context, people: People, settings: Settings, ledger: Ledger
) -> Iterator[Delivery]:
    """Direct messages first, the channel and the next group at last; only while it still waits."""
    if run.state is not State.WAITING or (run.expires_at and ledger.clock() >= run.expires_at):
        return
    if event.data.get("last"):
        call = messages.broadcast(run, event, ctx)
        if call:
            yield from in_thread("call", call, run, ledger, settings, broadcast=True)
    target = settings.target(run.target)
    try:
        asked = people.reachable(run, target)
        if event.data.get("last"):
            asked = [user for user in people.reachable(run, target, escalated=True) if user not in asked]
    except Refused:
        return
    not_me = {e.actor.id for e in ledger.events(run.id) if e.kind == "notme" and e.actor}
    for user in asked:
        if user not in not_me and user not in target.quiet_approvers:
            yield Delivery(f"dm {user}", messages.direct(run, ctx, reminder=not event.data.get("last")), user=user)


def direct_updates(event: Event, run: Run, ctx: messages.Context, ledger: Ledger) -> Iterator[Delivery]:
    """The moment it is decided: every copy loses its buttons; the approver's own can still be taken back."""
    mine = {approval.person.id for approval in run.approvals}
    again = run.state is State.WAITING
    broken = [one for one in ledger.events(run.id) if one.kind == "glass_broken"]
    counting = {one.id: one for one in broken if messages.counts(run, one)}
    yield from broken_updates(broken, run, ctx, ledger)
    for post in ledger.posts("run = ? AND place LIKE 'dm %' AND ts IS NOT NULL", (run.id,)):
        user = post["place"].removeprefix("dm ")
        own = user in mine
        message = messages.direct(run, ctx) if again and not own else messages.direct_decided(run, ctx, own, user)
        if post["event"] in counting:
            message = messages.direct_broken(run, counting[post["event"]], ctx)
        yield Delivery(f"edit {post['event']} {post['place']}", message, channel=post["channel"], update=post["ts"])
    if event.kind in ("unapproved", "plan_changed"):
        for user in voided(event, ledger):
            yield Delivery(f"void {user}", messages.direct_void(run, event, ctx), user=user)


def voided(event: Event, ledger: Ledger) -> list[str]:
    """Whose approval ended with this event, apart from who took it back himself."""
    if event.kind == "unapproved":
        person = event.data.get("person", "")
        itself = event.actor is not None and event.actor.id == person and not event.data.get("by_rule")
        return [] if itself or not person else [person]
    given = [e.actor.id for e in ledger.events(event.run) if e.kind == "approved" and e.actor and e.id < event.id]
    return list(dict.fromkeys(given))
