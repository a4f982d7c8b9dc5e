"""A request from the shell: followed to its end, or walked here where no approval is needed."""

from __future__ import annotations

import sys
from collections.abc import Callable

from core import transcript
from core.desk import Desk
from core.engine import Engine, of_a_shell
from core.errors import Refused
from core.grammar import Command
from core.logs import set_up
from core.model import Person, Run, State
from core.redact import clean_all
from core.roll_back import RUNBOOKS
from core.settings import Settings, Target, policy

SETTLED = frozenset({State.INTERRUPTED, State.DECIDE, State.NEEDS_A_PERSON})
"""Open, but waiting for a named person: the shell does not wait with them."""


class Nobody:
    """Rights where nobody besides the requester has a say."""

    def may_ask(self, person: Person, target: Target) -> None:
        """Whoever can run the shell command on a throw-away target may."""

    def forget(self) -> None:
        """Nothing was learnt."""

    def may_approve(self, person: Person, run: Run, target: Target) -> None:
        """Nobody approves here."""
        raise Refused("E-NOT-APPROVER", "No approval is needed here.")

    def may_break(self, person: Person, target: Target) -> None:
        """Nor is there a gate to break open."""
        raise Refused("E-NOT-ALLOWED", "No approval is needed here.")


def agree(desk: Desk, target: str, always: bool = False) -> None:
    """Raises Refused(E-CONFIG) where the running bot goes by another policy: a settings file of one's own is no way in.

    `always`: also where none is running; then that of the last one counts.
    """
    if not (always or desk.ledger.held("bot")):
        return
    told, mine = desk.ledger.declared("bot"), policy(desk.settings)
    if told and told != mine:
        raise Refused(
            "E-CONFIG",
            f"The {'running' if desk.ledger.held('bot') else 'last'} bot has other settings than this shell, "
            f"so I do nothing on *{target}*.",
            "Use the bot's own file: ROLLBACK_CONFIG names it. After a change, restart the bot.",
        )


Ask = Callable[[str], Run]
"""Writes the request into the ledger, with the reason that was given."""


def with_the_bot(desk: Desk, ask: Ask, target: Target, who: Person, command: Command) -> Run:
    """Write the request; the running bot shows it in Slack and walks it; print the steps until the end."""
    if who.id.startswith("shell:"):
        raise Refused(
            "E-NOT-ALLOWED",
            f"The account {who.name} is not mapped to a person, so it may look, not ask. Nothing was started.",
            "Map it to a Slack user id under [people] in the settings.",
        )
    if not desk.ledger.held("bot"):
        raise Refused(
            "E-NO-BOT",
            f"No bot is running on this audit trail, so nobody could approve on *{target.name}*. Nothing was started.",
            "Start it (`rollback-bot`), then ask again.",
        )
    agree(desk, target.name)
    run = ask(reason(target, command))
    follower = Follower(desk, target)
    try:
        return follower.follow(run.id)
    except KeyboardInterrupt:
        say(f"\nStopped watching. {run.id} goes on: `rollback status {run.id}`.")
        raise SystemExit(130) from None


def alone(desk: Desk, settings: Settings, ask: Ask, target: Target, command: Command) -> Run:
    """Walk it in this process, after a typed confirmation of exactly the plan that was shown."""
    follower = Follower(desk, target)
    set_up(settings)
    agree(desk, target.name)
    engine = Engine(RUNBOOKS, desk.ledger, settings, Nobody(), confirm=follower.confirm, told=follower.catch_up)
    engine.close_abandoned()
    run = ask(reason(target, command))
    try:
        run = engine.walk(run.id)
    except KeyboardInterrupt:
        engine.close_abandoned()
        raise
    follower.catch_up(run.id)
    return run


def ask_after(desk: Desk, settings: Settings) -> None:
    """Of what a shell left in the middle the database says what took effect; where a bot is running, it asks."""
    if not desk.ledger.held("bot"):
        set_up(settings)
        Engine(RUNBOOKS, desk.ledger, settings, Nobody(), confirm=lambda run: False).close_abandoned()


def goes_on(desk: Desk, settings: Settings, run: Run) -> Run:
    """After a decision in the shell: to its next halt, in this process where no bot walks it."""
    follower = Follower(desk, settings.target(run.target))
    follower.seen = run.last.id if run.last else 0
    if of_a_shell(run):
        set_up(settings)
        run = Engine(RUNBOOKS, desk.ledger, settings, Nobody(), confirm=follower.confirm, told=follower.catch_up).walk(
            run.id
        )
        follower.catch_up(run.id)
        return run
    return follower.follow(run.id) if desk.ledger.held("bot") else run


def reason(target: Target, command: Command) -> str:
    """The reason, asked for on a terminal where the target requires one."""
    if command.reason or target.reason == "optional" or not sys.stdin.isatty():
        return command.reason
    say("Why? ", end="")
    return sys.stdin.readline().strip()


def say(text: str, end: str = "\n") -> None:
    """Progress is for people: stderr."""
    print(clean_all(text), end=end, file=sys.stderr, flush=True)


class Follower:
    """Prints what the ledger says, as it says it."""

    def __init__(self, desk: Desk, target: Target, out: Callable[[str], None] = say) -> None:
        self.desk, self.target, self.out = desk, target, out
        self.seen = 0

    def follow(self, run_id: str) -> Run:
        """Until it has ended or waits for somebody else than an approver."""
        while True:
            run = self.catch_up(run_id)
            if not run.is_open or run.state in SETTLED:
                return run
            self.desk.ledger.wait(self.desk.ledger.head()[0], 1.0)

    def confirm(self, run: Run) -> bool:
        """Show the plan, and have the database's name typed."""
        self.catch_up(run.id)
        word = str(run.evidence["identify"]["database"]["name"])
        say(f"No approval is needed: throw-away target. Type the database's name to go on ({word}): ", end="")
        return sys.stdin.readline().strip() == word

    def catch_up(self, run_id: str) -> Run:
        """Print the new events."""
        run = self.desk.ledger.run(run_id)
        for event in self.desk.ledger.events(run_id, after=self.seen):
            for line in transcript.step_lines(event, run, self.target):
                self.out(line)
            self.seen = event.id
        return run
