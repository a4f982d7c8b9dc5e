"""Staging first: each plan says whether these very scripts ran there, and where it is required nothing is approved before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core import config, printed_plan, staging, survey
from core.errors import Refused
from core.ledger import now
from core.model import Json, Request, Run, State
from core.redact import SecretStr
from core.settings import BreakGlass, Settings, Target, policy
from demo.postgres import Server
from tests.bench_fixtures import copied
from tests.conftest import fresh
from tests.engine_stand import ANA, BOB, EngineStand

GLASS = BreakGlass(("U0ANA",))


class Both(EngineStand):
    """Production and staging, in one audit trail."""

    def __init__(self, server: Server, production: str, there: str, folder: Path) -> None:
        self.there = there
        super().__init__(server, production, folder / "state", copied(folder), staging="staging")

    def set(self, **more: object) -> None:
        super().set(**more)
        self.staging = replace(
            self.target,
            name="staging",
            database_url=SecretStr(self.there),
            staging=None,
            require="nothing",
            approvals=0,
        )
        self.staging = replace(self.staging, break_glass=BreakGlass())
        self.settings = replace(self.settings, targets={"production": self.target, "staging": self.staging})

    def ask(self, what: str = "012", target: Target | None = None) -> Run:
        """A rollback, as far as it goes by itself."""
        return self.walk(self.desk.ask(Request("from", what), target or self.target, ANA))

    def told(self, what: str = "012") -> Json:
        """What a plan for production says."""
        run = survey.preview(Request("from", what), self.target, self.settings, ANA, now(), ledger=self.ledger)
        found: Json = run.evidence["identify"]["staging"]
        return found

    def says(self, what: str = "012") -> str:
        return staging.sentence(self.told(what), str, lambda at: "TODAY")


@pytest.fixture
def both(server: Server, app: str, template: str, tmp_path: Path) -> Iterator[Both]:
    for there in fresh(server, template):
        yield Both(server, app, there, tmp_path)


def test_each_plan_says_when_these_very_scripts_ran_on_staging_and_how_that_ended(both: Both) -> None:
    assert both.says() == "never"
    first = both.ask(target=both.staging)
    assert first.state is State.DONE and both.says() == f"done, TODAY, by {first.id}"
    assert both.says("011") == f"012_stripe_events: done, TODAY, by {first.id}; 011_subscriptions: never"
    back = both.walk(both.desk.way_back("reapply", first.id, both.staging, ANA, "again"))
    assert back.state is State.DONE and both.says() == f"done, TODAY, by {first.id}"
    run = survey.preview(Request("latest"), both.target, both.settings, ANA, now(), ledger=both.ledger)
    assert f"on staging: done, {now():%Y-%m-%d}" in "\n".join(map(str, printed_plan.plan(run, both.target)))
    script = both.target.migrations / "rollback/012_stripe_events.sql"
    script.write_text(script.read_text() + "-- another\n")
    assert both.says() == "never", "other bytes are another script"


def test_what_did_not_end_verified_there_does_not_count(both: Both) -> None:
    both.settings = replace(
        both.settings,
        targets={
            **both.settings.targets,
            "staging": replace(both.staging, health_url="http://127.0.0.1:1/", health_tries=1),
        },
    )
    run = both.ask(target=both.settings.target("staging"))
    assert run.state is State.DECIDE
    assert both.says() == f"not verified, TODAY, by {run.id}" and staging.lacking(both.told()) == ["012_stripe_events"]
    both.desk.keep(run.id, ANA)
    assert both.says() == f"not verified, TODAY, by {run.id}"


def test_without_a_staging_target_nothing_is_said(both: Both) -> None:
    both.set(staging=None)
    run = both.ask()
    assert run.state is State.DONE and "staging" not in run.evidence["identify"]


def test_where_it_is_required_a_request_is_refused_until_all_its_scripts_have_run_there(both: Both) -> None:
    both.set(require="staging")
    run = both.ask("011")
    assert run.state is State.REFUSED and run.ending
    assert run.ending.data["code"] == "E-STAGING"
    assert "`012_stripe_events` and `011_subscriptions` have not run on *staging*" in run.ending.data["message"]
    assert run.ending.data["options"] == ["/rollback 011_subscriptions --on staging"]
    both.ask("012", both.staging)
    run = both.ask("011")
    assert run.state is State.REFUSED and run.ending
    assert "This script of `011_subscriptions` has not run" in run.ending.data["message"]
    both.ask("011", both.staging)
    assert both.ask("011").state is State.DONE


def test_where_break_glass_is_possible_the_plan_opens_and_only_that_can_start_it(both: Both) -> None:
    both.set(require="staging", approvals=1, break_glass=GLASS)
    run = both.ask()
    assert run.state is State.WAITING and staging.lacking(run.evidence["identify"]["staging"]) == ["012_stripe_events"]
    head = both.ledger.head()
    with pytest.raises(Refused) as caught:
        both.desk.approve(run.id, BOB, run.revision, run.digest)
    assert caught.value.code == "E-STAGING" and "Your click was not counted." in caught.value.hint
    assert both.ledger.head() == head
    shown = "\n".join(map(str, printed_plan.review(run)))
    assert (
        "not run there to a verified end: 012_stripe_events; approving is refused, only break-glass starts it" in shown
    )
    broken = both.desk.break_glass(
        run.id, ANA, (run.revision, run.digest), ("012_stripe_events", "payments are down and nobody answers"), True
    )
    assert broken.broken
    both.ask("012", both.staging)  # meanwhile it ran there: the look at the click is what counts
    assert both.desk.approve(run.id, BOB, run.revision, run.digest).state is State.APPROVED


def test_it_is_looked_up_again_right_before_execute_and_an_approval_from_before_it_was_required_is_void(
    both: Both,
) -> None:
    both.set(approvals=1, break_glass=GLASS)
    run = both.ask()
    assert both.desk.approve(run.id, BOB, run.revision, run.digest).state is State.APPROVED
    both.set(require="staging")  # another start of the bot
    run = both.walk(run)
    assert run.state is State.WAITING and both.kinds(run)[-1] == "unapproved" and not run.approvals
    (void,) = [event for event in both.ledger.events(run.id) if event.kind == "unapproved"]
    assert "has not run on *staging* to a verified end" in void.data["why"] and "click" not in void.data["why"]
    both.ask("012", both.staging)
    both.desk.approve(run.id, BOB, run.revision, run.digest)
    assert both.walk(run).state is State.DONE


def test_a_way_back_needs_no_staging(both: Both) -> None:
    rollback = both.ask()
    both.set(require="staging", approvals=1, break_glass=GLASS)
    back = both.walk(both.asks("reapply", rollback))
    assert back.state is State.WAITING
    assert both.desk.approve(back.id, BOB, back.revision, back.digest).state is State.APPROVED


def test_settings_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "rollback.toml"

    def faults(own: str) -> str:
        one = 'database_url = "postgresql://db/{}"\napprovals = 0\n'
        file.write_text(f"[targets.production]\n{one.format('a')}{own}\n[targets.staging]\n{one.format('b')}")
        try:
            config.load(file, {"HOME": str(tmp_path)})
        except config.ConfigError as error:
            return str(error)
        return ""

    assert faults('staging = "staging"\nrequire = "staging"') == ""
    assert "names a target that does not exist; did you mean `staging`?" in faults('staging = "stagin"')
    assert "names the target itself" in faults('staging = "production"')
    assert "needs the name of a target" in faults('require = "staging"')
    assert '"nothing" or "staging"' in faults('require = "tests"')


def test_a_shell_without_the_requirement_has_another_policy_than_the_bot() -> None:
    target = Target("production", SecretStr(""), staging="staging", require="staging")
    strict, loose = (Settings(targets={"production": one}) for one in (target, replace(target, require="nothing")))
    assert policy(strict)["staging"] == {"production": "staging"} and policy(strict) != policy(loose)


def test_in_the_world_of_a_drill_there_is_no_staging_and_it_is_not_asked_for(both: Both) -> None:
    both.set(require="staging")
    both.settings = replace(both.settings, targets={"production": both.target})
    assert both.ask().state is State.DONE
