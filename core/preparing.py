"""The verbs for before anything is wrong: a proven backup, a guarded deploy, and whether the newest migrations could be undone."""

from __future__ import annotations

from core.backups import taking
from core.grammar import Command
from core.logs import set_up
from core.model import Person
from core.quantities import duration
from core.screen import err
from core.shell import Shell
from core.watched import Onlooker


def backup(shell: Shell, command: Command) -> int:
    """Take one by the target's strategy, and prove it."""
    target = shell.settings.target(command.target)
    set_up(shell.settings)
    made = taking.take(shell.ledger, shell.settings, target, account(shell), Onlooker(err()))
    line = f"{made.kept.id} is a backup of {target.name}, taken and proven in {duration(made.seconds)}."
    return shell.show([line], {"backup": made.told()})


def account(shell: Shell) -> Person:
    """Who does it, as an account of this machine: no right of a person's is used, and the channel hears nothing of it."""
    name = shell.person.name
    return Person(f"shell:{name}", name)
