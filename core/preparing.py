"""The verbs for before anything is wrong: a proven backup, a guarded deploy, and whether the newest migrations could be undone."""

from __future__ import annotations

from core import board, printed_board
from core.backups import taking
from core.errors import Refused
from core.grammar import Command
from core.logs import set_up
from core.model import Person
from core.quantities import duration
from core.readiness_words import BAD
from core.screen import aside
from core.shell import Shell, put
from core.watched import Onlooker


def backup(shell: Shell, command: Command) -> int:
    """Take one by the target's strategy, and prove it."""
    target = shell.settings.target(command.target)
    set_up(shell.settings)
    made = taking.take(shell.ledger, shell.settings, target, account(shell), Onlooker(aside()))
    line = f"{made.kept.id} is a backup of {target.name}, taken and proven in {duration(made.seconds)}."
    return shell.show([line], {"backup": made.told()})


def guard(shell: Shell, command: Command) -> int:
    """Run the command between a proven backup and a look at what it has applied. Stdout is the command's: we speak on stderr."""
    from core import guarding

    if not shell.guarded:
        raise Refused(
            "E-USAGE", "Say the command after `--`. Nothing was started.", "For example: rollback guard -- make migrate"
        )
    target, done, screen = shell.settings.target(command.target), guarding.Guarded(), aside()
    set_up(shell.settings)
    guarding.guard(shell.ledger, shell.settings, target, account(shell), shell.guarded, Onlooker(screen), done)
    screen.tell(*printed_board.guarded(target.name, done))
    if command.json:
        put({"ok": done.code == 0, **done.told()})
    return done.code


def readiness(shell: Shell, command: Command) -> int:
    """The board of what could be undone; `now`: look first, and write it down. 3 where a migration has no working way back."""
    target = shell.settings.target(command.target)
    if "now" in command.args:
        from core import readiness as looking

        set_up(shell.settings)
        found = looking.look(shell.ledger, shell.settings, target, None, Onlooker(aside()))
        board.keep(shell.ledger, target.name, found, account(shell))
    now = board.board(shell.ledger, target.name)
    aged = board.newest_proven(shell.ledger, shell.settings, target)
    bad = any(one["state"] in BAD for one in now.found.get("migrations", ())) if now else False
    told = {"target": target.name, **(now.found if now else {}), "at": now.at if now else None}
    told |= {"trouble": now.trouble if now else "", "newest_proven_backup": vars(aged) if aged else None}
    return shell.show(printed_board.board(target.name, now, aged), {"readiness": told}, 3 if bad else 0)


def account(shell: Shell) -> Person:
    """Who does it, as an account of this machine: no right of a person's is used, and the channel hears nothing of it."""
    name = shell.person.name
    return Person(f"shell:{name}", name)
