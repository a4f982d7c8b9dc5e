"""The verbs that ask for something: a rollback, a way back, or that a run stops, goes on or is closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from core import driving, printing
from core.errors import Refused
from core.grammar import Command
from core.model import Person, Run, State
from core.settings import Target
from core.shell import Shell, asked, code_of, named, put


def request(shell: Shell, command: Command) -> int:
    """A rollback, followed to its end."""
    target, wanted = shell.settings.target(command.target), asked(command)

    def ask(reason: str) -> Run:
        return shell.desk.ask(wanted, target, shell.person, reason, command.incident)

    return drive(shell, ask, target)


def drive(shell: Shell, ask: Callable[[str], Run], target: Target) -> int:
    """Follow the run to its end, or walk it here where nobody need agree."""
    if target.approvals == 0:
        run = driving.alone(shell.desk, shell.settings, ask, target, shell.command)
    else:
        run = driving.with_the_bot(shell.desk, ask, target, shell.person, shell.command)
    if shell.command.json:
        put({"ok": run.state is State.DONE, "run": printing.record(run), "exit": code_of(run)})
    return code_of(run)


def reapply(shell: Shell, command: Command) -> int:
    """The first way back."""
    return way_back(shell, "reapply", command)


def restore(shell: Shell, command: Command) -> int:
    """The second way back, or the end of what it has set aside."""
    if "drop-old" in command.args:
        return drop_old(shell, command)
    return way_back(shell, "restore", command)


def way_back(shell: Shell, kind: Literal["reapply", "restore"], command: Command) -> int:
    """A new run that undoes the named one; who may: the target's requesters and approvers, as the bot checks."""
    origin = shell.ledger.run(named(command))
    target = shell.settings.target(origin.target)

    def ask(reason: str) -> Run:
        return shell.desk.way_back(kind, origin.id, target, shell.person, reason)

    return drive(shell, ask, target)


def drop_old(shell: Shell, command: Command) -> int:
    """Drop the database that a restore has set aside, after its name was typed."""
    from core import dropping
    from core.watching import asked as typed

    run = shell.agreed(named(command))
    shell.mapped()
    name = dropping.name_of(run)
    question = f"{name} holds what was written after the backup; it is the only copy. Type its name to drop it: "
    if typed(question) != name:
        raise Refused("E-TYPED", f"That is not `{name}`.", "Nothing was dropped.")
    dropping.drop_old(shell.desk, shell.settings.target(run.target), run, shell.person)
    return shell.show([f"{name} is dropped."], {"dropped": name})


def release(shell: Shell, command: Command) -> int:
    """End the hold of a rollback."""
    from core import hold, survey

    run = shell.agreed(named(command))
    shell.mapped()
    hold.let_go(survey.known(shell.ledger, shell.settings.target(run.target)), run)
    run = shell.desk.release(run.id, shell.person)
    return shell.show([f"The migrations of {run.id} may be applied again."], {"run": printing.record(run)})


def withdraw(shell: Shell, command: Command) -> int:
    """Take back the request, or an approval."""
    run = shell.desk.withdraw(shell.agreed(named(command)).id, shell.person, command.text)
    return shell.show([f"{run.id} is {run.state}."], {"run": printing.record(run)})


def stop(shell: Shell, command: Command) -> int:
    """Before anything is changed."""
    run = shell.desk.stop(own(shell, named(command), "stop it").id, shell.person)
    return shell.show([f"{run.id} is stopped. Nothing was changed."], {"run": printing.record(run)})


def resume(shell: Shell, command: Command) -> int:
    """Execute again what did not commit, or end what is half done."""
    return handle(shell, command, shell.desk.resume)


def verify(shell: Shell, command: Command) -> int:
    """Look at a result that differed once more."""
    return handle(shell, command, shell.desk.verify_again)


def keep(shell: Shell, command: Command) -> int:
    """Accept a result that differs, or what is half done."""
    return handle(shell, command, shell.desk.keep)


def handle(shell: Shell, command: Command, deed: Callable[[str, Person], Run]) -> int:
    """What the requester may say to a run that waits for a person; then it is walked here, or by the bot."""
    run = own(shell, named(command), "go on with it")
    run = driving.goes_on(shell.desk, shell.settings, deed(run.id, shell.person))
    return shell.show([f"{run.id} is {run.state.replace('_', ' ')}."], {"run": printing.record(run)}, code_of(run))


def own(shell: Shell, run_id: str, what: str) -> Run:
    """A run that this account has asked for. Raises Refused(E-NOT-YOURS)."""
    run = shell.agreed(run_id)
    if run.requester.id != shell.person.id:
        raise Refused("E-NOT-YOURS", f"Only who asked for *{run.id}* can {what} in the shell.", "Others do in Slack.")
    driving.ask_after(shell.desk, shell.settings)
    return shell.ledger.run(run.id)
