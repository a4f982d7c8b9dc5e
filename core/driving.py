"""A request from the shell: followed to its end, or walked here where no approval is needed."""

from __future__ import annotations

import sys
from collections.abc import Callable

from core.desk import Desk
from core.engine import Engine, of_a_shell
from core.errors import Refused
from core.grammar import Command
from core.logs import set_up
from core.model import Person, Run
from core.roll_back import RUNBOOKS
from core.settings import Settings, Target, policy
from core.watching import Follower, asked


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
    return Follower(desk, target).follow(run.id)


def alone(desk: Desk, settings: Settings, ask: Ask, target: Target, command: Command) -> Run:
    """Walk it in this process, after a typed confirmation of exactly the plan that was shown."""
    follower = Follower(desk, target)
    set_up(settings)
    agree(desk, target.name)
    engine = Engine(RUNBOOKS, desk.ledger, settings, Nobody(), confirm=follower.confirm, told=follower.catch_up)
    follower.far = engine.far
    engine.close_abandoned()
    run = ask(reason(target, command))
    try:
        with follower.beside(run.id):
            engine.walk(run.id)
    except KeyboardInterrupt:
        engine.close_abandoned()
        follower.catch_up(run.id)
        raise
    return follower.catch_up(run.id)


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
        engine = Engine(RUNBOOKS, desk.ledger, settings, Nobody(), confirm=follower.confirm, told=follower.catch_up)
        follower.far = engine.far
        with follower.beside(run.id):
            engine.walk(run.id)
        return follower.catch_up(run.id)
    return follower.follow(run.id) if desk.ledger.held("bot") else run


def reason(target: Target, command: Command) -> str:
    """The reason, asked for on a terminal where the target requires one."""
    if command.reason or target.reason == "optional" or not sys.stdin.isatty():
        return command.reason
    return asked("Why? ")
