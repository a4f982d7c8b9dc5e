"""Two people and their authenticators: in two shells while Slack is away, and in the form of the real bot."""

from __future__ import annotations

import os
import pwd
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from core import deciding, totp
from core.config import load
from core.desk import Desk
from core.errors import Refused
from core.model import Person, Run, State
from core.second_factor import Code, fingerprint
from tests.bench_fixtures import ANA, BOB, CHANNEL, CHEN, DEE, Play, compare, stable
from tests.scenery import Stage
from tests.terminal import Terminal

OTHER = pwd.getpwnam("nobody")
AS_DEE = {"SUDO_UID": str(OTHER.pw_uid)}
PROMPT = "Code from your authenticator: "
SETTINGS = 'approvers = ["U0DEE", "@db-oncall"]\napproval_totp = true\n'


def shown(secret: str, steps: int = 0) -> str:
    """What the authenticator shows, so many steps from now."""
    return totp.code(secret, totp.counter(datetime.now(UTC)) + steps)


def enrolls(play: Play) -> str:
    """Dee, in the shell and in Slack; her secret."""
    play.slack.wait_for(
        lambda: time.time() % totp.STEP < totp.STEP - 3, 5
    )  # a step that ends now is no step to type in
    with Terminal(play.bench, "totp", "enroll", env=AS_DEE) as terminal:
        terminal.asked("Code of the new one: ", "")
        secret = re.findall(r"secret=([A-Z2-7]+)&", terminal.text)[0]
        code = shown(secret, -1)
        os.write(terminal.ours, f"{code[:3]} {code[3:]}\n".encode())
        assert terminal.ends() == 0, terminal.text
    assert code not in terminal.text and terminal.text.count(secret) == 1
    word = terminal.text.split()[-1]
    assert word == fingerprint(secret)[:8]
    play.told()
    assert "E-TOTP" in str(play.types("totp confirm 0000000", DEE).raw)
    play.types(f"totp confirm {word}", DEE)
    play.told()
    return secret


def decides(play: Play, run: Run, typed: str, code: str) -> tuple[int, str]:
    """Dee's approval at a terminal: exit code, and what it has shown."""
    with Terminal(play.bench, "approve", run.id, env=AS_DEE) as terminal:
        terminal.asked("to confirm: ", f"{typed}\n")
        if typed != "012":
            terminal.asked(PROMPT, f"{code}\n" if code else "\x04")
        return terminal.ends(), terminal.text


def test_two_people_roll_back_in_two_shells_while_slack_is_away_and_in_the_form_while_it_is_not(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = stage(SETTINGS, people={OTHER.pw_name: DEE})
    assert "(E-SHELL-APPROVE)" in play.bench.shell("approve", "RB-2222", env=AS_DEE).stderr
    assert "at a terminal" in play.bench.shell("totp", "enroll", env=AS_DEE).stderr
    secret = enrolls(play)
    play.slack.faults.down = True
    in_two_shells(play, secret)
    form(play, monkeypatch, secret)
    without_a_bot(play, secret)
    kept = "".join(str(event.data) for event in play.ledger.events()) + play.bench.log.read_text()
    assert secret not in kept


def in_two_shells(play: Play, secret: str) -> None:
    """Ana asks, Dee approves, the bot executes; Slack hears of it afterwards."""
    with ThreadPoolExecutor(1) as pool:
        shell = pool.submit(play.bench.shell, "011_subscriptions", "--reason", "the shop is down, and Slack too")
        run = play.slack.wait_for(lambda: next(iter(play.ledger.open_runs()), None), 20)
        assert run
        run = play.proven(play.until(run.id, State.WAITING))
        right = shown(secret)
        code, text = decides(play, run, "011", right)
        assert code == 0 and right not in text, text
        asked = shell.result(60)
    assert asked.returncode == 0, asked.stderr
    assert play.applied()[-1] == "010" and play.ledger.run(run.id).approvals[0].totp
    play.slack.faults.down = False
    told = f"{text}\n======== who asked ========\n\n{asked.stderr}\n======== Slack is back ========\n\n"
    told = stable(told + play.transcript(DEE, viewer=ANA))
    for account, name in ((play.bench.account, "ACCOUNT"), (OTHER.pw_name, "OTHER")):
        told = re.sub(rf"\b{account}\b", name, told)
    compare("two_shells", told)
    play.left_clean()


def form(play: Play, monkeypatch: pytest.MonkeyPatch, dees: str) -> None:
    """What is wrong with a code is said under its field; who has no authenticator is told how to get one."""
    desk, secret = Desk(play.ledger, load(play.bench.file, play.bench.environment)), totp.new_secret()
    desk.factor.enroll(Person(BOB, "bob"), secret, Code(shown(secret, -1)))
    desk.factor.confirm(Person(BOB, "Bob"), fingerprint(secret)[:8])
    run = play.proven(play.asks("latest"))
    play.clicks(run, "rb.review", CHEN)
    assert "rollback totp enroll" in play.hears("E-TOTP", CHEN)
    play.reviews(run)
    wrong = play.slack.submit(BOB, {"confirm": "010", "code": shown(secret, 400)})
    assert list(wrong.errors) == ["code"] and "is wrong" in wrong.errors["code"], wrong
    for typed, code, said in (("012", "", "E-TYPED"), ("010", "", "6 digits"), ("010", shown(dees, 400), "is wrong")):
        ended, text = decides(play, run, typed, code)
        assert ended == 3 and said in text, text
    piped = play.bench.shell("deny", run.id, "no need", env=AS_DEE, stdin="123456\n")
    assert piped.returncode == 3 and "at a terminal" in piped.stderr
    assert play.ledger.run(run.id).approvals == ()
    groups_are_read_live(play, monkeypatch, run)
    play.slack.submit(BOB, {"confirm": "010", "code": shown(secret)})
    play.until(run.id, State.DONE)
    play.told()
    assert f"{run.id} approved* by @Bob Lee with a code" in play.slack.transcript(CHANNEL)


def groups_are_read_live(play: Play, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """Members of groups are looked up in Slack, as it is now; people who are listed by id need no Slack."""
    for name, value in play.bench.environment.items():
        monkeypatch.setenv(name, value)
    target = load(play.bench.file, play.bench.environment).target()
    deciding.may_approve(Person(CHEN, "Chen"), run, target)
    play.slack.state.groups["S0DBONCALL"].users.remove(CHEN)
    with pytest.raises(Refused, match="E-NOT-APPROVER"):
        deciding.may_approve(Person(CHEN, "Chen"), run, target)
    play.slack.faults.down = True
    deciding.may_approve(Person(DEE, "Dee"), run, target)
    with pytest.raises(Refused, match="E-CANNOT-CHECK"):
        deciding.may_approve(Person(BOB, "Bob"), run, target)
    play.slack.faults.down = False


def without_a_bot(play: Play, secret: str) -> None:
    """The approval is written down, and it is said who goes on."""
    run = play.proven(play.asks("latest"))
    play.told()
    play.bench.kill_bot()
    play.bench.file.write_text(play.bench.file.read_text().replace("approval_totp = true", "approval_totp = false"))
    assert "The last bot has other settings" in play.bench.shell("approve", run.id, env=AS_DEE).stderr
    play.bench.write_settings()
    code, text = decides(play, run, "004", shown(secret, 1))
    assert (code, play.ledger.run(run.id).state) == (0, State.APPROVED) and "no bot is running" in text, text
