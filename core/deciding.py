"""Deciding in the shell, and the authenticator that this takes: it proves who you are where Slack does not.

A code is typed at a terminal, and nowhere else: arguments and variables of a process can be read by others.
"""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from core import ask_bot, driving, printed_plan, printing, staging
from core import totp as codes
from core.confirming import confirm_word
from core.errors import Refused
from core.grammar import Command
from core.model import Json, Person, Run
from core.screen import err
from core.second_factor import ENROLL, SHOWN, Code, Enrolment, fingerprint
from core.settings import Target
from core.shell import named
from core.values import spoken
from core.watching import asked, say

if TYPE_CHECKING:
    from core.shell import Shell

PATIENCE = 60
"""Seconds for the question to Slack; its client gives up earlier."""


def approve(shell: Shell, command: Command) -> int:
    """The plan, the typed number where data goes, the code: a yes to exactly what was shown."""
    run, target = decidable(shell, named(command))
    staging.may_approve(shell.ledger, shell.settings, run)
    err().tell(*printed_plan.review(run))
    word = confirm_word(run)
    if word and asked(f"Data will be lost. Type {printing.plain(word)} to confirm: ") != word:
        raise Refused("E-TYPED", f"That is not `{word}`.", "Nothing was approved.")
    code = ask("Code from your authenticator: ")
    run = shell.desk.approve(run.id, shell.person, run.revision, run.digest, code=code)
    goes_on = "the bot executes it when the proofs are complete"
    if not shell.ledger.held("bot"):
        goes_on = f"no bot is running: it executes when one starts within {spoken(target.approval_valid)}"
    if len(run.approvals) < run.needed:
        goes_on = f"{len(run.approvals)} of {run.needed} approvals"
    return shell.show([f"{run.id} is approved by you; {goes_on}."], {"run": printing.record(run)})


def deny(shell: Shell, command: Command) -> int:
    """One denial ends the run."""
    run_id, reason = named(command), command.text
    if len(reason.strip()) < 3:
        raise Refused("E-REASON", "Say why, in at least 3 characters: everyone in the channel sees it.")
    run, _ = decidable(shell, run_id)
    run = shell.desk.deny(run.id, shell.person, reason, code=ask("Code from your authenticator: "))
    return shell.show([f"{run.id} is denied. Nothing was changed."], {"run": printing.record(run)})


def break_glass(shell: Shell, command: Command) -> int:
    """Not here. Raises Refused(E-SHELL-APPROVE)."""
    told = "In the shell nobody could stop it, and I cannot prove who you are."
    raise Refused("E-SHELL-APPROVE", told, "Break the glass in Slack.")


def decidable(shell: Shell, run_id: str) -> tuple[Run, Target]:
    """A run that this person can decide on now, but for the code. Raises Refused."""
    try:
        shell.desk.factor.counts(shell.person.id)
    except Refused as no:
        told = f"In the shell a code of your authenticator proves who you are. {no.message}"
        raise Refused("E-SHELL-APPROVE", told, f"{no.hint} Or decide in Slack.") from None
    run = shell.ledger.run(run_id)
    target = shell.settings.target(run.target)
    driving.agree(shell.desk, target.name, always=True)
    shell.desk.may_decide(run, shell.person)
    may_approve(shell.person, run, target)
    at_a_terminal()
    return run, target


def may_approve(who: Person, run: Run, target: Target) -> None:
    """Approvers by id need no Slack; members of groups are looked up there. The bot asks again before it executes.

    Raises Refused(E-NOT-APPROVER, E-CANNOT-CHECK, E-GUEST).
    """
    if who.id in target.deciders:
        return
    groups = [name for name in target.deciders if name[:1] not in "UW"]
    if not groups:
        raise Refused("E-NOT-APPROVER", f"Only {', '.join(target.deciders)} may decide on *{run.id}*.")
    say(f"Asking Slack who is in {', '.join(groups)}.")
    try:
        done = ask_bot.ask("--may-approve", who.id, run.id, seconds=PATIENCE, quiet=True)
        no = json.loads(done.stdout or "{}") if done.returncode else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        no = {}
    if no is None:
        return
    if no.get("code") in ("E-NOT-APPROVER", "E-GUEST"):
        raise Refused(no["code"], no["message"], "Nothing was counted.")
    hint = "Approvers who are listed by user id can decide without Slack."
    raise Refused("E-CANNOT-CHECK", f"Slack did not tell me who is in {', '.join(groups)}.", hint)


def at_a_terminal() -> None:
    """Raises Refused(E-TOTP)."""
    if not sys.stdin.isatty():
        raise Refused("E-TOTP", "A code is typed by a person, at a terminal. Nothing was counted.", "Not from a pipe.")


def ask(prompt: str) -> Code:
    """A code, without echo."""
    at_a_terminal()
    try:
        return Code(getpass.getpass(prompt, stream=sys.stderr), "shell")
    except EOFError:
        say("")
        return Code("", "shell")


# -- authenticators ----------------------------------------------------------------------------------------


def totp(shell: Shell, command: Command) -> int:
    """`rollback totp …`."""
    verbs: dict[str, Callable[[Shell, Command], int]] = {"enroll": enroll, "remove": remove, "status": status}
    word = command.args[0]
    if word not in verbs:
        raise Refused(
            "E-USAGE", "An authenticator is confirmed in Slack.", "Type in Slack: `/rollback totp confirm WORD`."
        )
    return verbs[word](shell, command)


def enroll(shell: Shell, command: Command) -> int:
    """A new secret, shown once on a terminal; it counts when its person has confirmed it in Slack."""
    shell.mapped()
    driving.agree(shell.desk, shell.settings.target().name, always=True)
    at_a_terminal()
    if not sys.stdout.isatty() or command.json:
        raise Refused(
            "E-TOTP", "A secret is shown on a terminal only. Nothing was enrolled.", "Without pipe or `--json`."
        )
    factor, who, secret = shell.desk.factor, shell.person, codes.new_secret()
    before = factor.of(who.id)
    spaced = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
    shell.show(["Take this into your authenticator. It is shown once.", "", f"  {spaced}"], {})
    shell.show([f"  {codes.address(secret, who.name)}", ""], {})
    shown = ask("Code of the new one: ")
    old = ask("Code of the old one: ") if before and before.confirmed else None
    if factor.enroll(who, secret, shown, old):
        return shell.show(["Enrolled. It counts, and the old one does not any more."], {})
    word = fingerprint(secret)[:SHOWN]
    return shell.show([f"Enrolled. It counts when you have typed in Slack: /rollback totp confirm {word}"], {})


def remove(shell: Shell, command: Command) -> int:
    """One's own, or that of somebody who has lost it."""
    shell.mapped()
    driving.agree(shell.desk, shell.settings.target().name, always=True)
    factor, who = shell.desk.factor, shell.person
    whose = shell.settings.people.get(command.by, command.by) if command.by else who.id
    found = factor.of(whose)
    own = found is not None and found.person == shell.settings.one_person(who.id)
    needed = found is not None and (found.confirmed or not own)
    factor.remove(who, whose, ask("Code from your authenticator: ") if needed else None)
    return shell.show([f"The authenticator of {whose} is removed."], {"removed": whose})


def status(shell: Shell, command: Command) -> int:
    """Who has one."""
    factor, me = shell.desk.factor, shell.settings.one_person(shell.person.id)
    everybody = factor.everybody()

    def line(one: Enrolment) -> str:
        state = "counts" if one.confirmed else "is not confirmed in Slack"
        until = factor.locked(one.person)
        held = f"; after wrong codes not looked at until {until:%H:%M} UTC" if until else ""
        return f"{one.person}: {state}, enrolled {one.at:%Y-%m-%d} by the account {one.account}{held}"

    own = [] if any(one.person == me for one in everybody) else [f"You have none. {ENROLL}"]
    data: Json = {"authenticators": [{**vars(one), "fingerprint": one.fingerprint[:SHOWN]} for one in everybody]}
    return shell.show([*map(line, everybody), *own], data)
