"""The second factor at the desk: what counts, once, for whom, how often, and after a restart."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core import grammar, second_factor, totp
from core.config import load
from core.desk import Desk
from core.doctor import authenticators, look
from core.engine import Engine
from core.errors import Problem, Refused
from core.ledger import Ledger, stamp
from core.model import Person, Request, Run, State
from core.redact import Redactor, SecretStr
from core.refusals import Duplicate
from core.runbook import Gate, Runbook, Step
from core.second_factor import Code
from core.settings import Settings, Target, policy
from core.shell import account_name
from demo.bench import ROOT
from tests.engine_stand import Anybody

ANA, BOB, CHEN = Person("U0ANA", "Ana"), Person("U0BOB", "Bob"), Person("U0CHEN", "Chen")
BOB_TOO = Person("U0BOB2", "Bob at home")
START = datetime(2026, 11, 27, 12, 0, 0, tzinfo=UTC)


class Office:
    """A desk whose clock stands still until somebody moves it."""

    def __init__(self, folder: Path) -> None:
        self.now = START
        target = Target("production", SecretStr("postgresql://"), approvals=2, approvers=("U0BOB", "U0CHEN"))
        self.settings = Settings(
            targets={"production": replace(target, approval_totp=True), "plain": replace(target, name="plain")},
            ledger=folder / "ledger.db",
            aliases=(("U0BOB", "U0BOB2"),),
        )
        self.secrets: dict[str, str] = {}
        self.start()

    def start(self) -> None:
        """A new process: nothing is remembered but the files."""
        self.ledger = Ledger(self.settings.ledger, lambda: self.now)
        self.desk = Desk(self.ledger, self.settings)

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)

    def code(self, who: Person, steps: int = 0) -> Code:
        """What the person's authenticator shows, so many steps from now."""
        return Code(totp.code(self.secrets[who.id], totp.counter(self.now) + steps))

    def enrolled(self, *people: Person) -> None:
        """Enrolled in the shell, confirmed in Slack; their next code counts."""
        for who in people:
            self.secrets[who.id] = totp.new_secret()
            assert not self.desk.factor.enroll(who, self.secrets[who.id], self.code(who))
            self.desk.factor.confirm(who, second_factor.fingerprint(self.secrets[who.id])[:8])
        self.later(seconds=30)

    def asked(self, target: str = "production") -> Run:
        """A request whose plan is shown."""
        run = self.desk.ask(Request("latest"), self.settings.target(target), ANA)
        until = stamp(self.now + timedelta(days=1))
        with self.ledger.transaction() as t:
            opened = {"digest": "d" * 64, "expires_at": until, "coded": self.settings.target(target).approval_totp}
            t.move(run, State.WAITING, "opened", opened, plan_digest="d" * 64, expires_at=until)
        return self.ledger.run(run.id)

    def approve(self, run: Run, who: Person, code: Code | None, delivery: str = "") -> Run:
        return self.desk.approve(run.id, who, 1, "d" * 64, "", delivery, code)

    def refused(self, run: Run, who: Person, code: Code | None) -> str:
        with pytest.raises(Refused) as no:
            self.approve(run, who, code)
        assert no.value.code == "E-TOTP"
        return no.value.text

    def kinds(self) -> list[str]:
        return [event.kind for event in self.ledger.events() if event.kind.startswith("totp")]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    yield office
    assert office.ledger.verify().unbroken
    office.ledger.close()


def test_each_code_counts_once_and_none_before_it_also_after_a_restart(office: Office) -> None:
    office.enrolled(BOB, CHEN)
    run, other = office.asked(), office.asked("plain")
    earlier, code = office.code(BOB, -1), office.code(BOB)
    given = office.approve(run, BOB, code).approvals[0]
    assert given.totp == totp.counter(office.now)
    office.ledger.close()
    office.start()
    assert "used already" in office.refused(other, BOB, code)
    assert "used already" in office.refused(other, BOB, earlier)
    assert "used already" in office.refused(other, BOB_TOO, code), "an alias is the same person"
    assert office.approve(other, BOB_TOO, office.code(BOB, 1)).approvals
    assert office.approve(run, CHEN, office.code(CHEN)).state is State.APPROVED, "codes of others are others"
    assert "used already" in office.refused(other, CHEN, office.code(CHEN))


def test_a_plan_that_needs_codes_takes_no_approval_without_one(office: Office) -> None:
    office.enrolled(BOB)
    run = office.asked()
    assert "6 digits" in office.refused(run, BOB, None)
    for text in ("", "12345", "abcdef", "1234567", "１２３４５６"):
        assert "6 digits" in office.refused(run, BOB, Code(text))
    assert "no authenticator enrolled" in office.refused(run, CHEN, Code("123456"))
    assert office.ledger.run(run.id).approvals == () and office.kinds() == ["totp_enrolled", "totp_confirmed"]
    shown = office.code(BOB).text
    assert office.approve(run, BOB, Code(f" {shown[:3]} {shown[3:]} ")).approvals
    plain = office.asked("plain")
    assert office.approve(plain, CHEN, None).approvals[0].totp is None, "elsewhere nobody is asked for one"


def test_after_five_wrong_codes_none_is_looked_at_for_a_quarter_of_an_hour(office: Office) -> None:
    office.enrolled(BOB, CHEN)
    run, kept = office.asked(), office.code(BOB, 400).text  # of a time that is not now
    for nth in range(5):
        said = office.refused(run, BOB, Code(kept))
        assert ("5th wrong" in said) == (nth == 4), said
        office.later(minutes=2)
    assert "12:23 UTC" in office.refused(run, BOB, office.code(BOB)), "the right one is not looked at either"
    office.ledger.close()
    office.start()
    assert "after 5 wrong codes" in office.refused(run, BOB_TOO, office.code(BOB)).lower()
    assert office.approve(run, CHEN, office.code(CHEN)).approvals, "nobody else is held up"
    wrong = [event for event in office.ledger.events() if event.kind == "totp_wrong"]
    assert [(e.run, e.data["why"], e.actor) for e in wrong] == [(run.id, "wrong", BOB)] * 5
    office.now = wrong[-1].at + timedelta(minutes=15, seconds=-1)
    office.refused(run, BOB, office.code(BOB))
    office.later(seconds=1)
    assert office.approve(run, BOB, office.code(BOB)).state is State.APPROVED


def test_four_wrong_codes_in_a_quarter_of_an_hour_lock_nobody_out(office: Office) -> None:
    office.enrolled(BOB)
    run = office.asked()
    for _ in range(9):
        office.refused(run, BOB, office.code(BOB, 400))
        office.later(minutes=4)
    assert office.approve(run, BOB, office.code(BOB)).approvals


def test_a_form_whose_code_was_wrong_may_be_sent_off_again_and_a_right_one_counts_once(office: Office) -> None:
    office.enrolled(BOB)
    run = office.asked()
    with pytest.raises(Refused):
        office.approve(run, BOB, office.code(BOB, 400), "view V1")
    assert office.approve(run, BOB, office.code(BOB), "view V1").approvals
    with pytest.raises(Duplicate):
        office.approve(run, BOB, office.code(BOB), "view V1")
    assert office.kinds().count("totp_wrong") == 1


def test_an_enrolment_counts_when_its_person_has_confirmed_it_in_slack(office: Office) -> None:
    secret = office.secrets[BOB.id] = totp.new_secret()
    with pytest.raises(Refused, match="not a code of the new secret"):
        office.desk.factor.enroll(BOB, secret, Code("000000" if office.code(BOB).text != "000000" else "111111"))
    assert office.kinds() == [] and not office.desk.factor.file.path.exists()
    office.desk.factor.enroll(BOB, secret, office.code(BOB))
    office.later(seconds=30)
    run = office.asked()
    assert "not confirmed" in office.refused(run, BOB, office.code(BOB))
    thief = totp.new_secret()  # somebody with Bob's shell account, before Bob has confirmed
    office.desk.factor.enroll(BOB, thief, Code(totp.code(thief, totp.counter(office.now))))
    with pytest.raises(Refused, match="not the word of the newest"):
        office.desk.factor.confirm(BOB, second_factor.fingerprint(secret)[:8])
    with pytest.raises(Refused, match="No authenticator of yours"):
        office.desk.factor.confirm(CHEN, second_factor.fingerprint(thief)[:8])
    office.desk.factor.remove(BOB, BOB.id, None)
    office.later(seconds=30)
    office.enrolled(BOB)
    assert office.approve(run, BOB, office.code(BOB)).approvals


def test_who_has_an_authenticator_replaces_it_with_a_code_of_it_and_who_lost_it_asks_another(office: Office) -> None:
    office.enrolled(BOB, CHEN)
    factor, new = office.desk.factor, totp.new_secret()
    shown = Code(totp.code(new, totp.counter(office.now)))
    with pytest.raises(Refused, match="a code of it is needed"):
        factor.enroll(BOB, new, shown)
    with pytest.raises(Refused, match="is wrong"):
        factor.enroll(BOB, new, shown, office.code(BOB, 400))
    with pytest.raises(Refused, match="6 digits"):
        factor.remove(ANA if factor.of(ANA.id) else BOB, BOB.id, None)
    with pytest.raises(Refused, match="no authenticator enrolled"):
        factor.remove(ANA, BOB.id, Code("123456"))
    assert factor.enroll(BOB, new, shown, office.code(BOB)), "it counts at once"
    office.secrets[BOB.id] = new
    assert len(factor.file.read()) == 2, "the old secret is gone"
    run = office.asked()
    assert "used already" in office.refused(run, BOB, office.code(BOB))
    factor.remove(CHEN, BOB.id, office.code(CHEN))
    assert factor.of(BOB.id) is None and list(factor.file.read()) == [factor.counts(CHEN.id).fingerprint]
    office.later(seconds=30)
    factor.remove(CHEN, CHEN.id, office.code(CHEN))
    assert factor.everybody() == [] and factor.file.read() == {}


def test_a_secret_that_the_ledger_does_not_vouch_for_proves_nothing(office: Office) -> None:
    office.enrolled(BOB)
    run, path = office.asked(), office.desk.factor.file.path
    other = totp.new_secret()
    path.write_text(json.dumps({office.desk.factor.counts(BOB.id).fingerprint: other}))
    assert "not in the bot's file" in office.refused(run, BOB, Code(totp.code(other, totp.counter(office.now))))
    path.write_text("[1]")
    assert "damaged" in office.refused(run, BOB, office.code(BOB))
    path.write_text("{")
    assert "damaged" in office.refused(run, BOB, office.code(BOB))
    path.chmod(0o640)
    assert "Others can read" in office.refused(run, BOB, office.code(BOB))
    assert [(f.ok, "Others can read" in f.text) for f in look("", lambda: authenticators(office.settings))] == [
        (False, True)
    ]
    path.unlink()
    assert "Nobody has" in next(iter(look("", lambda: authenticators(office.settings)))).text
    assert "not in the bot's file" in office.refused(run, BOB, office.code(BOB))
    assert office.kinds() == ["totp_enrolled", "totp_confirmed"], "nobody is locked out by a lost file"
    office.enrolled(BOB)
    assert office.approve(run, BOB, office.code(BOB)).approvals, "who has lost it enrolls anew, and confirms in Slack"


def test_no_secret_and_no_code_is_anywhere_but_in_the_file_for_the_bots_account_alone(office: Office) -> None:
    office.enrolled(BOB)
    secret, code = office.secrets[BOB.id], office.code(BOB)
    office.refused(office.asked(), BOB, office.code(BOB, 400))
    office.approve(office.asked("plain"), BOB, code)
    told = json.dumps([[event.data, event.kind] for event in office.ledger.events()])
    assert secret not in told and code.text not in told and code.text not in repr(code)
    assert office.desk.factor.file.path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in office.settings.ledger.parent.iterdir() if secret.encode() in p.read_bytes()] == [
        "ledger.db.totp"
    ]
    funnel = Redactor.of(office.settings, {})
    assert secret not in funnel.redact(f"failed with {secret}")
    assert secret not in Redactor().redact(totp.address(secret, "Bob"))
    with pytest.raises(Refused) as no:
        office.desk.factor.enroll(BOB, secret, code)
    assert secret not in "".join(traceback.format_exception(no.value))


def test_two_processes_with_the_same_code_are_two_and_one_of_them_counts(tmp_path: Path) -> None:
    office = Office(tmp_path)
    office.now = datetime.now(UTC)
    office.enrolled(BOB)
    runs = [office.asked("production").id, office.asked("plain").id]
    office.ledger.close()
    program = (
        "import sys; from datetime import datetime; from tests.test_second_factor import *\n"
        "office = Office(Path(sys.argv[1])); office.now = datetime.fromisoformat(sys.argv[2])\n"
        "sys.stdin.readline()\n"
        "try: office.approve(office.ledger.run(sys.argv[3]), BOB, Code(sys.argv[4])); print('counted')\n"
        "except Refused as no: print(no)"
    )
    code = office.code(BOB).text
    racing = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path), office.now.isoformat(), run, code],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for run in runs
    ]  # fmt: skip
    for one in racing:
        assert one.stdin
        one.stdin.write("go\n")
        one.stdin.flush()
    said = sorted(one.communicate(timeout=30)[0] for one in racing)
    assert said[1] == "counted\n" and "used already" in said[0], said
    office.start()
    assert len([event for event in office.ledger.events() if event.kind == "approved"]) == 1


def test_a_shell_and_a_bot_must_agree_on_who_needs_a_code(office: Office) -> None:
    lax = replace(
        office.settings, targets={n: replace(t, approval_totp=False) for n, t in office.settings.targets.items()}
    )
    assert policy(lax) != policy(office.settings)
    run = office.asked()
    office.desk = Desk(office.ledger, lax)
    assert "no authenticator" in office.refused(run, BOB, None), "the plan was shown with the rule"


class Walked(Office):
    """The engine over this desk, with a runbook that has nothing to do but execute."""

    def walk(self, run: Run) -> Run:
        executed: list[str] = []
        steps = Runbook(
            Step("rehearse", lambda work: {}, ""),
            Gate("approve", ""),
            Step("execute", lambda work: executed.append(work.run.id) or {}, "", needs="approve"),
            Step("verify", lambda work: {"differences": []}, ""),
        )
        walked = Engine({"rollback": steps, "reapply": steps, "restore": steps}, self.ledger, self.settings, Anybody())
        with self.ledger.transaction() as t:
            t.append(run.id, "step_done", {"step": "rehearse", "evidence": {}})
        ended = walked.walk(run.id)
        assert bool(executed) == (ended.state is State.DONE)
        return ended


@pytest.fixture
def walked(tmp_path: Path) -> Iterator[Walked]:
    office = Walked(tmp_path)
    production = replace(office.settings.target(), approvals=1)
    office.settings = replace(office.settings, targets={"production": production})
    office.start()
    office.enrolled(BOB)
    yield office
    office.ledger.close()


def test_an_approval_without_a_code_that_was_written_by_hand_runs_nothing_and_is_found(walked: Walked) -> None:
    run = walked.asked()
    with walked.ledger.transaction() as t:
        t.move(run, State.APPROVED, "approved", {"complete": True, "revision": 1, "digest": "d" * 64}, BOB)
    ended = walked.walk(run)
    assert ended.state is State.STOPPED and ended.ending and ended.ending.data["code"] == "E-LEDGER"
    with walked.ledger.transaction() as t:
        t.append(run.id, "executing", {"step": "execute"})
    assert walked.ledger.verify().faults == (f"{run.id} was executed with 0 of 1 approvals",)


def test_an_approval_with_a_code_runs_and_one_from_before_the_rule_is_given_again(walked: Walked) -> None:
    run = walked.asked()
    walked.approve(run, BOB, walked.code(BOB))
    assert walked.walk(run).state is State.DONE and walked.ledger.verify().unbroken
    strict = walked.settings
    walked.settings = replace(strict, targets={"production": replace(strict.target(), approval_totp=False)})
    walked.start()
    run = walked.asked()
    walked.approve(run, BOB, None)
    walked.settings = strict
    walked.start()
    waiting = walked.walk(run)
    assert waiting.state is State.WAITING and "without a code" in walked.ledger.events(run.id)[-1].data["why"]
    walked.later(seconds=30)
    walked.approve(run, BOB, walked.code(BOB))
    assert walked.walk(run).state is State.DONE and walked.ledger.verify().unbroken


def test_who_called_sudo_is_believed_only_as_the_account_that_owns_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, nobody, me = tmp_path / "ledger.db", pwd.getpwnam("nobody"), account_name()
    monkeypatch.setenv("SUDO_UID", str(nobody.pw_uid))
    assert account_name(ledger) == me, "there is no ledger yet"
    ledger.touch()
    assert (account_name(ledger), account_name()) == ("nobody", me)
    for text in ("", "-1", "nobody", "0x10", " 1"):
        monkeypatch.setenv("SUDO_UID", text)
        assert account_name(ledger) == me, text
    monkeypatch.setenv("SUDO_UID", "9" * 30)
    assert account_name(ledger) == "9" * 30, "nobody whom [people] would map"
    monkeypatch.setenv("SUDO_UID", str(nobody.pw_uid))
    if os.geteuid() == 0:
        os.chown(ledger, nobody.pw_uid, -1)
    else:
        ledger = Path("/etc/passwd")
    assert account_name(ledger) == me


def test_the_words_of_totp_are_understood_or_refused() -> None:
    for line, args, text, by in (
        ("totp", "status", "", None),
        ("totp Enrol", "enroll", "", None),
        ("totp confirm 3f9a1c07", "confirm", "3f9a1c07", None),
        ("totp remove", "remove", "", None),
        ("totp remove @U0BOB", "remove", "", "U0BOB"),
    ):
        command = grammar.parse(line)
        assert (command.verb, command.args, command.text, command.by) == ("totp", (args,), text, by), line
    for line in (
        "totp confirm",
        "totp confirm a b",
        "totp remove a b",
        "totp enroll bob",
        "totp 123456",
        "totp --on x",
    ):
        with pytest.raises(Refused, match="E-USAGE"):
            grammar.parse(line)


def test_a_code_where_nobody_need_agree_is_a_fault_of_the_settings() -> None:
    env = {"DATABASE_URL": "postgresql:///app", "ROLLBACK_APPROVALS": "0", "ROLLBACK_APPROVAL_TOTP": "true"}
    with pytest.raises(Problem, match="has no effect where `approvals` is 0"):
        load(None, {**env, "HOME": "/nowhere"}, check_paths=False)
