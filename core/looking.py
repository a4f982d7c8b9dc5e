"""The verbs that only look: what is, what was, and what would be."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from core import printing
from core.redact import clean_all
from core.screen import err
from core.shell import asked, named

if TYPE_CHECKING:
    from core.grammar import Command
    from core.ledger import Ledger
    from core.shell import Shell


def trail(shell: Shell) -> Ledger | None:
    """The audit trail, where there is one that this account may use: a plan can be looked at without."""
    return shell.ledger if os.access(shell.settings.ledger, os.R_OK | os.W_OK) else None


def plan(shell: Shell, command: Command) -> int:
    """What a rollback would do."""
    from core import printed_plan, survey
    from core.ledger import now

    target = shell.settings.target(command.target)
    run = survey.preview(asked(command), target, shell.settings, shell.person, now(), ledger=trail(shell))
    return shell.show(printed_plan.plan(run, target), {"plan": printing.record(run)})


def migrations(shell: Shell, command: Command) -> int:
    """What is applied, and what has a rollback script."""
    from core import survey

    rows = survey.migrations(shell.settings.target(command.target), trail(shell))
    return shell.show(printing.migrations(rows), {"migrations": [vars(row) for row in rows]})


def status(shell: Shell, command: Command) -> int:
    """What is open now, or the timeline of one run."""
    if command.run:
        return show(shell, command)
    from core import glass, survey

    ledger = shell.ledger
    owed = glass.owed(ledger)
    runs, targets, held = ledger.open_runs(), survey.targets(shell.settings, ledger), survey.held(ledger)
    bot = ledger.held("bot")
    data = {"open": [printing.record(run) for run in runs], "targets": [vars(t) for t in targets], "bot": bot}
    data["held"] = {name: [run.id for run in mine] for name, mine in held.items()}
    data["owed"] = [printing.record(run) for run in owed]
    return shell.show(printing.status(runs, targets, bot, ledger.head(), held, owed), data)


def history(shell: Shell, command: Command) -> int:
    """The newest runs."""
    runs = shell.ledger.recent(command.target, command.by, command.count)
    return shell.show(printing.history(runs), {"runs": [printing.record(run) for run in runs]})


def stats(shell: Shell, command: Command) -> int:
    """Rollbacks and drills by month."""
    from core import stats as numbers
    from core.errors import Refused
    from core.stats import printed

    if command.json and "csv" in command.args:
        raise Refused("E-USAGE", "`--json` and `--csv` do not go together.", "Take one of them.")
    months = numbers.of(shell.ledger, shell.settings, command.count, command.target)
    if "csv" in command.args:
        sys.stdout.write(printed.as_csv(months))
        return 0
    return shell.show(
        printed.lines(months, command.target),
        {"target": command.target, "months": [one.row() for one in months]},
    )


def show(shell: Shell, command: Command) -> int:
    """Everything about one run."""
    run = shell.ledger.run(named(command))
    events = shell.ledger.events(run.id)
    data = {"run": printing.record(run), "events": [printing.event(e) for e in events]}
    return shell.show(printing.timeline(run, events), data)


def report(shell: Shell, command: Command) -> int:
    """The incident packet of one run: as it is, since it is made for a file or a pipe."""
    from core.report import command as packet

    made = packet.make(shell.ledger, named(command), "html" in command.args, command.out)
    if command.json:
        return shell.show([], made.told, made.code)
    if made.written:
        err().tell(made.written)
    else:
        sys.stdout.write(f"{clean_all(made.text.rstrip())}\n")
    return made.code


def audit(shell: Shell, command: Command) -> int:
    """The audit trail: one run of it, its chain, or all of it."""
    if command.run:
        return show(shell, command)
    if "export" in command.args:
        for event in shell.ledger.db.table("events").rows_where(order_by="id"):
            sys.stdout.write(json.dumps(event, separators=(",", ":")) + "\n")
        return 0
    said = None
    if command.witness is not None:
        from core import ask_witness

        said = ask_witness.ask(command.witness)  # first: what is posted meanwhile is in the ledger already
    verdict = shell.ledger.verify()
    held = shell.ledger.held_against(said) if said else None
    data = {"events": verdict.events, "head": verdict.head, "faults": list(verdict.faults)}
    data["remarks"] = list(verdict.remarks)
    data |= {"witness": printing.held(held)} if held else {}
    sound = verdict.unbroken and not (held and held.faults)
    return shell.show(printing.audit(verdict, held), data, 0 if sound else 3)


def doctor(shell: Shell, command: Command) -> int:
    """Is everything in place?"""
    from core import config, doctor

    rows: list[dict[str, str]] = []
    try:
        rows = [{"key": key, "value": value, "from": where} for key, value, where in config.source(shell.settings)]
        found = doctor.examine(shell.settings)
        code = 0 if all(f.ok for f in found) else 3
    except config.ConfigError as error:
        found, code = doctor.faulty(error, os.environ), 2
    return shell.show(printing.doctor(found, rows), {"findings": [vars(f) for f in found], "settings": rows}, code)


def whoami(shell: Shell, command: Command) -> int:
    """Whom the settings take this account for."""
    who = shell.person
    mapped = not who.id.startswith("shell:")
    line = f"{who.name} is {who.id}." if mapped else f"{who.name} is nobody here: map the account under [people]."
    return shell.show([line], {"account": who.name, "person": who.id if mapped else None})
