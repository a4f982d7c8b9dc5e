"""What each verb of `rollback` does."""

from __future__ import annotations

import json
import os
import pwd
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from core import grammar, printing, transcript
from core.errors import EXIT, Refused
from core.grammar import Command
from core.model import Person, Request, Run, State
from core.redact import clean_all

if TYPE_CHECKING:  # a shell command must start fast: what a verb needs is imported when it asks for it
    from core.desk import Desk
    from core.ledger import Ledger
    from core.settings import Settings, Target

CODES = {State.DONE: 0, State.DENIED: 4, State.EXPIRED: 4, State.WITHDRAWN: 4, State.DECIDE: 6}
CODES |= {State.NEEDS_A_PERSON: 7, State.INTERRUPTED: 7, State.STOPPED: 1, State.REFUSED: 3}


def put(data: dict[str, Any]) -> None:
    """One object on stdout."""
    print(json.dumps(clean_all({"schema_version": 1, **data}), default=str, indent=2))


class Shell:
    """One command."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.command = grammar.parse_words(argv)

    def run(self) -> int:
        """Do it; the exit code."""
        command = self.command
        if command.verb in ("help", "form"):
            text = grammar.help_text(command.args[0] if command.args else None)
            return self.show([text], {"help": text}, 0 if command.verb == "help" else 2)
        verb = getattr(self, f"do_{command.verb.replace('-', '_')}", None)
        if verb is None:
            raise Refused("E-USAGE", f"`{command.verb}` is not in this version.", "`rollback help` lists what is.")
        code: int = verb(command)
        return code

    # what a verb needs is made when it asks for it: `help` reads no settings, `history` opens no database
    @property
    def settings(self) -> Settings:
        if not hasattr(self, "_settings"):
            from core.config import load

            self._settings = load()
        return self._settings

    @property
    def ledger(self) -> Ledger:
        if not hasattr(self, "_ledger"):
            from core.ledger import Ledger

            self._ledger = Ledger(self.settings.ledger)
        return self._ledger

    @property
    def desk(self) -> Desk:
        from core.desk import Desk

        return Desk(self.ledger, self.settings)

    @property
    def person(self) -> Person:
        """The operating system account, as the person whom the settings name for it."""
        account = account_name(self.settings.ledger)
        return Person(self.settings.people.get(account, f"shell:{account}"), account)

    def show(self, lines: list[str], data: dict[str, Any], code: int = 0) -> int:
        """Lines for people, or the object for machines."""
        if self.command.json:
            put({"ok": code == 0, **data})
        else:
            print(clean_all("\n".join(lines)))
        return code

    # -- looking -------------------------------------------------------------------------------------------

    def do_plan(self, command: Command) -> int:
        from core import survey
        from core.ledger import now

        target = self.settings.target(command.target)
        run = survey.preview(asked(command), target, self.settings, self.person, now())
        return self.show(transcript.plan(run, target), {"plan": printing.record(run)})

    def do_migrations(self, command: Command) -> int:
        from core import survey

        rows = survey.migrations(self.settings.target(command.target))
        return self.show(printing.migrations(rows), {"migrations": [vars(row) for row in rows]})

    def do_status(self, command: Command) -> int:
        if command.run:
            return self.do_show(command)
        from core import glass, survey

        owed = glass.owed(self.ledger)
        runs, targets, held = self.ledger.open_runs(), survey.targets(self.settings), survey.held(self.ledger)
        bot = self.ledger.held("bot")
        data = {"open": [printing.record(run) for run in runs], "targets": [vars(t) for t in targets], "bot": bot}
        data["held"] = {name: [run.id for run in mine] for name, mine in held.items()}
        data["owed"] = [printing.record(run) for run in owed]
        return self.show(printing.status(runs, targets, bot, self.ledger.head(), held, owed), data)

    def do_history(self, command: Command) -> int:
        runs = self.ledger.recent(command.target, command.by, command.count)
        return self.show(printing.history(runs), {"runs": [printing.record(run) for run in runs]})

    def do_show(self, command: Command) -> int:
        run = self.ledger.run(named(command))
        events = self.ledger.events(run.id)
        data = {"run": printing.record(run), "events": [printing.event(e) for e in events]}
        return self.show(printing.timeline(run, events), data)

    def do_report(self, command: Command) -> int:
        from core.report import command as packet

        made = packet.make(self.ledger, named(command), "html" in command.args, command.out)
        if made.written and not command.json:
            print(clean_all(made.written), file=sys.stderr)
            return made.code
        return self.show([made.text.rstrip("\n")], made.told, made.code)

    def do_audit(self, command: Command) -> int:
        if command.run:
            return self.do_show(command)
        if "export" in command.args:
            for event in self.ledger.db.table("events").rows_where(order_by="id"):
                print(json.dumps(event, separators=(",", ":")))
            return 0
        said = None
        if command.witness is not None:
            from core import ask_witness

            said = ask_witness.ask(command.witness)  # first: what is posted meanwhile is in the ledger already
        verdict = self.ledger.verify()
        held = self.ledger.held_against(said) if said else None
        data = {"events": verdict.events, "head": verdict.head, "faults": list(verdict.faults)}
        data["remarks"] = list(verdict.remarks)
        data |= {"witness": printing.held(held)} if held else {}
        sound = verdict.unbroken and not (held and held.faults)
        return self.show(printing.audit(verdict, held), data, 0 if sound else 3)

    def do_doctor(self, command: Command) -> int:
        from core import config, doctor

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
        from core import deciding

        return deciding.approve(self, named(command))

    def do_deny(self, command: Command) -> int:
        from core import deciding

        return deciding.deny(self, named(command), command.text)

    def do_totp(self, command: Command) -> int:
        from core import deciding

        return deciding.authenticator(self, command)

    def do_break_glass(self, command: Command) -> int:
        raise Refused(
            "E-SHELL-APPROVE",
            "In the shell nobody could stop it, and I cannot prove who you are.",
            "Break the glass in Slack.",
        )

    def do_withdraw(self, command: Command) -> int:
        run = self.desk.withdraw(self.agreed(named(command)).id, self.person, command.text)
        return self.show([f"{run.id} is {run.state}."], {"run": printing.record(run)})

    def do_stop(self, command: Command) -> int:
        run = self.desk.stop(self.own(named(command), "stop it").id, self.person)
        return self.show([f"{run.id} is stopped. Nothing was changed."], {"run": printing.record(run)})

    def do_resume(self, command: Command) -> int:
        return self.handle(command, self.desk.resume)

    def do_verify(self, command: Command) -> int:
        return self.handle(command, self.desk.verify_again)

    def do_keep(self, command: Command) -> int:
        return self.handle(command, self.desk.keep)

    def handle(self, command: Command, deed: Callable[[str, Person], Run]) -> int:
        """What the requester may say to a run that waits for a person; then it is walked here, or by the bot."""
        from core import driving

        run = self.own(named(command), "go on with it")
        run = driving.goes_on(self.desk, self.settings, deed(run.id, self.person))
        return self.show([f"{run.id} is {run.state.replace('_', ' ')}."], {"run": printing.record(run)}, code_of(run))

    def own(self, run_id: str, what: str) -> Run:
        """A run that this account has asked for. Raises Refused(E-NOT-YOURS)."""
        from core import driving

        run = self.agreed(run_id)
        if run.requester.id != self.person.id:
            raise Refused(
                "E-NOT-YOURS", f"Only who asked for *{run.id}* can {what} in the shell.", "Others do in Slack."
            )
        driving.ask_after(self.desk, self.settings)
        return self.ledger.run(run.id)

    def agreed(self, run_id: str) -> Run:
        """The run, where the running bot goes by what this shell does: else we might not be whom its settings name.

        Raises Refused(E-CONFIG).
        """
        from core import driving

        run = self.ledger.run(run_id)
        driving.agree(self.desk, run.target)
        return run

    # -- asking --------------------------------------------------------------------------------------------

    def do_request(self, command: Command) -> int:
        from core import driving

        target, request = self.settings.target(command.target), asked(command)

        def ask(reason: str) -> Run:
            return self.desk.ask(request, target, self.person, reason, command.incident)

        return self.drive(ask, target, driving)

    def drive(self, ask: Callable[[str], Run], target: Target, driving: ModuleType) -> int:
        """Follow the run to its end, or walk it here where nobody need agree."""
        if target.approvals == 0:
            run = driving.alone(self.desk, self.settings, ask, target, self.command)
        else:
            run = driving.with_the_bot(self.desk, ask, target, self.person, self.command)
        if self.command.json:
            put({"ok": run.state is State.DONE, "run": printing.record(run), "exit": code_of(run)})
        return code_of(run)

    def do_reapply(self, command: Command) -> int:
        return self.way_back("reapply", command)

    def do_restore(self, command: Command) -> int:
        if "drop-old" in command.args:
            return self.drop_old(command)
        return self.way_back("restore", command)

    def way_back(self, kind: Literal["reapply", "restore"], command: Command) -> int:
        """A new run that undoes the named one; who may: the target's requesters and approvers, as the bot checks."""
        from core import driving

        origin = self.ledger.run(named(command))
        target = self.settings.target(origin.target)

        def ask(reason: str) -> Run:
            return self.desk.way_back(kind, origin.id, target, self.person, reason)

        return self.drive(ask, target, driving)

    def drop_old(self, command: Command) -> int:
        """Drop the database that a restore has set aside, after its name was typed."""
        from core import dropping

        run = self.agreed(named(command))
        self.mapped()
        name = dropping.name_of(run)
        print(
            f"{name} holds what was written after the backup; it is the only copy. Type its name to drop it: ",
            end="",
            file=sys.stderr,
            flush=True,
        )
        if sys.stdin.readline().strip() != name:
            raise Refused("E-TYPED", f"That is not `{name}`.", "Nothing was dropped.")
        dropping.drop_old(self.desk, self.settings.target(run.target), run, self.person)
        return self.show([f"{name} is dropped."], {"dropped": name})

    def do_release(self, command: Command) -> int:
        from core import hold

        run = self.agreed(named(command))
        self.mapped()
        hold.let_go(self.settings.target(run.target), run)
        run = self.desk.release(run.id, self.person)
        return self.show([f"The migrations of {run.id} may be applied again."], {"run": printing.record(run)})

    def mapped(self) -> None:
        """Raises Refused(E-NOT-ALLOWED) for an account that is nobody here, where people have a say."""
        if self.person.id.startswith("shell:") and any(target.approvals for target in self.settings.targets.values()):
            raise Refused(
                "E-NOT-ALLOWED",
                f"The account {self.person.name} is not mapped to a person, so it may only look.",
                "Map it under [people].",
            )


def account_name(ledger: Path | None = None) -> str:
    """Who runs this, from the system's own list: variables like LOGNAME say whatever one likes.

    As the account that owns the ledger, through sudo, it is who called sudo, which tells in SUDO_UID whatever the caller
    has set (sudo(8), "ENVIRONMENT"). Only that account is believed: it could write the ledger without asking us.
    """
    user, caller = os.getuid(), os.environ.get("SUDO_UID", "")
    with suppress(OSError):  # no ledger yet: nothing to be somebody else for
        if ledger and caller.isdecimal() and ledger.stat().st_uid == user:
            user = int(caller)
    try:
        return pwd.getpwuid(user).pw_name
    except (KeyError, OverflowError):  # a container's arbitrary user id
        return str(user)


def asked(command: Command) -> Request:
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
    if run.state in (State.STOPPED, State.REFUSED) and run.ending:
        return EXIT.get(run.ending.data.get("code", ""), CODES[run.state])
    return CODES.get(run.state, 4)
