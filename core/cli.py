"""The shell door: `rollback`. The same words and the same core as in Slack.

Data goes to stdout, progress to stderr; `--json` prints one object. Exit codes: core/errors.py.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from core import config, grammar, printing
from core.desk import Desk
from core.errors import Problem, Refused
from core.grammar import Command
from core.ledger import Ledger
from core.model import Person, Run, State
from core.settings import Settings

CODES = {State.DONE: 0, State.DENIED: 4, State.EXPIRED: 4, State.WITHDRAWN: 4, State.DECIDE: 6}
CODES |= {State.NEEDS_A_PERSON: 7, State.INTERRUPTED: 7, State.STOPPED: 1, State.REFUSED: 3}


def main(words: Sequence[str] | None = None) -> int:
    """Exit code of the shell."""
    argv = sys.argv[1:] if words is None else list(words)
    as_json = "--json" in argv
    try:
        return Shell(argv).run()
    except Problem as problem:
        return complain(problem, as_json)
    except KeyboardInterrupt:
        print("\nStopped watching. The run goes on: `rollback status`.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def complain(problem: Problem, as_json: bool) -> int:
    """A refusal: the sentence on stderr, or an object on stdout."""
    if as_json:
        error = {"code": problem.code, "message": problem.message, "hint": problem.hint, "options": problem.options}
        put({"ok": False, "error": error, "exit": problem.exit})
    else:
        print(printing.plain(f"{problem.text} ({problem.code})"), file=sys.stderr)
        for option in problem.options:
            print(f"  {printing.plain(option.replace('/rollback', 'rollback'))}", file=sys.stderr)
    return problem.exit


def put(data: dict[str, Any]) -> None:
    """One object on stdout."""
    print(json.dumps({"schema_version": 1, **data}, default=str, indent=2))


class Shell:
    """One command."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.command = grammar.parse_words(argv)

    def run(self) -> int:
        """Do it; the exit code."""
        command = self.command
        if command.verb in ("help", "form"):
            print(grammar.help_text(command.args[0] if command.args else None))
            return 0 if command.verb == "help" else 2
        verb = getattr(self, f"do_{command.verb}", None)
        if verb is None:
            raise Refused("E-USAGE", f"`{command.verb}` is not in this version.", "`rollback help` lists what is.")
        code: int = verb(command)
        return code

    # what a verb needs is made when it asks for it: `help` reads no settings, `history` opens no database
    @property
    def settings(self) -> Settings:
        if not hasattr(self, "_settings"):
            self._settings = config.load()
        return self._settings

    @property
    def ledger(self) -> Ledger:
        if not hasattr(self, "_ledger"):
            self._ledger = Ledger(self.settings.ledger)
        return self._ledger

    @property
    def desk(self) -> Desk:
        return Desk(self.ledger, self.settings)

    @property
    def person(self) -> Person:
        """The operating system account, as the person whom the settings name for it."""
        account = getpass.getuser()
        return Person(self.settings.people.get(account, f"shell:{account}"), account)

    def show(self, lines: list[str], data: dict[str, Any], code: int = 0) -> int:
        """Lines for people, or the object for machines."""
        if self.command.json:
            put({"ok": code == 0, **data})
        else:
            print("\n".join(lines))
        return code

    # -- looking -------------------------------------------------------------------------------------------

    def do_plan(self, command: Command) -> int:
        from core import survey

        target = self.settings.target(command.target)
        run = survey.preview(asked(command), target, self.settings, self.person, self.now())
        return self.show(printing.plan(run, target), {"plan": printing.record(run)})

    def do_migrations(self, command: Command) -> int:
        from core import survey

        rows = survey.migrations(self.settings.target(command.target))
        return self.show(printing.migrations(rows), {"migrations": [vars(row) for row in rows]})

    def do_status(self, command: Command) -> int:
        if command.run:
            return self.do_show(command)
        from core import survey

        runs, targets = self.ledger.open_runs(), survey.targets(self.settings)
        bot = self.ledger.held("bot")
        data = {"open": [printing.record(run) for run in runs], "targets": [vars(t) for t in targets], "bot": bot}
        return self.show(printing.status(runs, targets, bot, self.ledger.head()), data)

    def do_history(self, command: Command) -> int:
        from core.survey import history

        runs = history(self.ledger, command)
        return self.show(printing.history(runs), {"runs": [printing.record(run) for run in runs]})

    def do_show(self, command: Command) -> int:
        run = self.ledger.run(named(command))
        events = self.ledger.events(run.id)
        data = {"run": printing.record(run), "events": [printing.event(e) for e in events]}
        return self.show(printing.timeline(run, events), data)

    def do_audit(self, command: Command) -> int:
        if command.run:
            return self.do_show(command)
        if "export" in command.args:
            for event in self.ledger.db.table("events").rows_where(order_by="id"):
                print(json.dumps(event, separators=(",", ":")))
            return 0
        verdict = self.ledger.verify()
        data = {"events": verdict.events, "head": verdict.head, "faults": list(verdict.faults)}
        return self.show(printing.audit(verdict), data, 0 if verdict.unbroken else 3)

    def do_doctor(self, command: Command) -> int:
        from core import doctor

        found = doctor.examine(self.settings)
        rows = [{"key": key, "value": value, "from": where} for key, value, where in config.source(self.settings)]
        code = 0 if all(f.ok for f in found) else 3
        return self.show(printing.doctor(found, rows), {"findings": [vars(f) for f in found], "settings": rows}, code)

    def do_whoami(self, command: Command) -> int:
        who = self.person
        mapped = not who.id.startswith("shell:")
        line = f"{who.name} is {who.id}." if mapped else f"{who.name} is nobody here: map the account under [people]."
        return self.show([line], {"account": who.name, "person": who.id if mapped else None})

    # -- deciding ------------------------------------------------------------------------------------------

    def do_approve(self, command: Command) -> int:
        raise Refused("E-SHELL-APPROVE", "In the shell I cannot prove who you are.", "Decide in Slack.")

    do_deny = do_approve

    def do_withdraw(self, command: Command) -> int:
        run = self.desk.withdraw(named(command), self.person, command.text)
        return self.show([f"{run.id} is {run.state}."], {"run": printing.record(run)})

    def do_stop(self, command: Command) -> int:
        run = self.ledger.run(named(command))
        if run.requester.id != self.person.id:
            raise Refused(
                "E-NOT-YOURS", f"Only who asked for *{run.id}* can stop it in the shell.", "Others do in Slack."
            )
        run = self.desk.stop(run.id, self.person)
        return self.show([f"{run.id} is stopped. Nothing was changed."], {"run": printing.record(run)})

    # -- asking --------------------------------------------------------------------------------------------

    def do_request(self, command: Command) -> int:
        from core import driving

        target = self.settings.target(command.target)
        if target.approvals == 0:
            run = driving.alone(self.desk, self.settings, asked(command), target, self.person, command)
        else:
            run = driving.with_the_bot(self.desk, asked(command), target, self.person, command)
        if self.command.json:
            put({"ok": run.state is State.DONE, "run": printing.record(run), "exit": code_of(run)})
        return code_of(run)

    def now(self) -> Any:
        from core.ledger import now

        return now()


def asked(command: Command) -> Any:
    """What a request asks for. Raises Refused(E-USAGE)."""
    if command.request is None:
        raise Refused("E-USAGE", "Say which migration. Nothing was started.", "For example: rollback latest")
    return command.request


def named(command: Command) -> str:
    """The run that was named. Raises Refused(E-USAGE)."""
    if not command.run:
        raise Refused("E-USAGE", "Say which run.", "For example: rollback show RB-7K3M; `rollback history` lists them.")
    return command.run


def code_of(run: Run) -> int:
    """How a run ended, as an exit code."""
    from core.errors import EXIT

    if run.state in (State.STOPPED, State.REFUSED) and run.ending:
        return EXIT.get(run.ending.data.get("code", ""), CODES[run.state])
    return CODES.get(run.state, 4)


if __name__ == "__main__":
    sys.exit(main())
