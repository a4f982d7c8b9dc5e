"""`stats`: numbers by month, counted from the audit trail, in the shell and in Slack."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs_reading import ROOT, rows
from numbers_story import ANA, BOB, PLAN, Trail, at, year

from core import stats
from core.errors import Refused
from core.model import Request, State
from core.stats import COLUMNS, COUNTS, Month, printed, sparkline


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[Trail]:
    made = year(tmp_path / "ledger.db")
    yield made
    made.ledger.close()


def months(trail: Trail, count: int = 12, target: str | None = None) -> dict[str, Month]:
    return {one.label: one for one in stats.months(trail.ledger, count, target)}


def counted(month: Month) -> dict[str, int]:
    """What is not zero."""
    return {name: month.counts[name] for name in COUNTS if month.counts[name]}


def test_each_run_counts_once_by_how_it_ended(trail: Trail) -> None:
    found = months(trail, 3)
    assert list(found) == ["2026-09", "2026-10", "2026-11"]
    assert counted(found["2026-09"]) == {"rollbacks": 1, "done": 1, "drills_passed": 1}
    assert counted(found["2026-10"]) == {}
    assert counted(found["2026-11"]) == {
        "rollbacks": 9, "done": 4, "refused": 1, "denied": 1, "withdrawn": 1, "stopped": 1, "open": 1, "differed": 1,
        "reapplies": 1, "restores": 1, "drills_passed": 1, "drills_failed": 1, "drills_missed": 2,
    }  # fmt: skip


def test_times_are_those_of_people_and_steps(trail: Trail) -> None:
    row = months(trail, 1, "production")["2026-11"].row()
    assert (row["approval_seconds_median"], row["approval_seconds_worst"]) == (210, 660)  # 1, 3, 4 and 11 minutes
    assert (row["after_approval_seconds_median"], row["after_approval_seconds_worst"]) == (30, 3620)
    assert (row["whole_seconds_median"], row["whole_seconds_worst"]) == (690, 3800)
    assert (row["drill_seconds_median"], row["drill_seconds_worst"]) == (180, 180)
    quiet = months(trail, 2)["2026-10"].row()
    assert [quiet[name] for name in COLUMNS if "seconds" in name] == [None] * 8


def test_a_target_alone_has_its_own_numbers(trail: Trail) -> None:
    here = months(trail, 1, "staging")["2026-11"]
    assert counted(here) == {"rollbacks": 2, "done": 1, "open": 1} and here.median("approval") == 300
    together = [months(trail, 3, name)["2026-11"].counts for name in ("staging", "production")]
    assert together[0] + together[1] == months(trail, 3)["2026-11"].counts


def test_an_approval_that_was_taken_back_does_not_count(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "l.db", 2026, 11, 1)
    run = trail.approved(trail.asked(), 2)
    trail.desk.withdraw(run.id, BOB, "not that plan")
    run = trail.approved(run, 5)
    trail.executed(run, 10)
    month = months(trail, 1)["2026-11"]
    assert month.times["approval"] == [420] and month.times["after_approval"] == [10]
    trail.ledger.close()


def test_expired_and_unattended_runs_are_counted_and_need_no_approval_time(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "l.db", 2026, 11, 1)
    late = trail.asked()
    trail.moves(late, State.EXPIRED, "expired")
    alone = trail.desk.ask(Request("latest"), trail.settings.target(), ANA, "because")
    shown = {"digest": PLAN, "expires_at": None, "coded": False}
    trail.moves(alone, State.APPROVED, "opened", shown, plan_digest=PLAN)  # a target without approvals
    trail.executed(alone, 3)
    month = months(trail, 1)["2026-11"]
    assert counted(month) == {"rollbacks": 2, "done": 1, "expired": 1}
    assert month.times["approval"] == [] and month.times["whole"] == [3]
    trail.ledger.close()


def test_a_run_counts_in_the_month_of_its_request_in_utc(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "l.db", 2026, 10, 31, 23, 59)
    trail.done(2, 1)
    assert {label: one.counts["done"] for label, one in months(trail, 2).items()} == {"2026-10": 1, "2026-11": 0}
    trail.ledger.close()


def test_a_drill_that_is_under_way_answers_for_its_period_and_one_due_again_is_none(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "l.db", 2026, 11, 2)
    trail.due()
    trail.passes(days=1)
    trail.due(again=True)
    trail.drills.start("production", BOB)
    trail.passes(days=1)
    trail.due()
    assert counted(months(trail, 1)["2026-11"]) == {}
    trail.ledger.close()


def test_a_drill_that_was_stopped_is_no_failed_one(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "l.db", 2026, 11, 2)
    trail.drilled(5, kind="drill_failed", code="E-STOPPED")
    trail.drilled(5, kind="drill_failed", code="E-BACKUP")
    assert counted(months(trail, 1)["2026-11"]) == {"drills_failed": 1, "drills_stopped": 1}
    trail.ledger.close()


def test_skipped_drills_are_counted(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "l.db", 2026, 11, 2)
    trail.due()
    trail.drills.skip("production", BOB, "release week")
    trail.passes(days=20)
    trail.due()
    assert counted(months(trail, 1)["2026-11"]) == {"drills_skipped": 1}
    trail.ledger.close()


def test_the_months_are_in_order_over_the_turn_of_the_year() -> None:
    assert stats.last(at(2026, 2, 28), 4) == ["2025-11", "2025-12", "2026-01", "2026-02"]
    assert stats.last(at(2026, 12, 31), 1) == ["2026-12"]


def test_a_hundred_thousand_events_are_counted_within_seconds(tmp_path: Path) -> None:
    """By columns, not by folding each run: its evidence is large and is not read."""
    trail = Trail(tmp_path / "l.db", 2026, 1, 1)
    big = {"step": "identify", "evidence": {"seconds": 1.0, "sql": "x" * 1000}}
    with trail.ledger.transaction() as t:
        for number in range(5000):
            t.now = trail.now = at(2026, 1 + number % 12, 1 + number % 28)
            run = f"RB-{number:04}"
            row = {"id": run, "target": f"t{number}", "what": "latest", "only_one": 0, "requester": "U0ANA"}
            t.create({**row, "requester_name": "Ana", "needed": 1}, ANA)
            for _ in range(15):
                t.append(run, "step_done", big)
            for state, kind in (
                ("waiting", "opened"),
                ("approved", "approved"),
                ("executing", "executing"),
                ("verifying", "x"),
                ("done", "done"),
            ):
                t.append(run, kind, {}, None, State(state))
    trail.now = at(2026, 12, 28)
    assert trail.ledger.head()[0] > 100_000
    began = time.process_time()
    found = stats.months(trail.ledger)
    spent = time.process_time() - began
    assert sum(one.counts["rollbacks"] for one in found) == 5000 and spent < 3, spent
    trail.ledger.close()


# -- told


def test_the_tables_leave_out_quiet_months_and_show_the_worst_in_brackets(trail: Trail) -> None:
    text = [str(line) for line in printed.lines(stats.months(trail.ledger, 3), None)]
    assert text == [
        "rollbacks of all targets, the last 3 months (UTC); median, and the worst in brackets",
        "month    asked  done  not done                                             differed  ways back              to approval     then to done",
        "2026-09  1      1     -                                                    -         -                      2 min           12 s",
        "2026-11  9      4     1 refused, 1 denied, 1 withdrawn, 1 stopped, 1 open  1         1 re-apply, 1 restore  4 min (11 min)  35 s (1 h)",
        "",
        "drills of all targets",
        "month    passed  failed  stopped  missed  skipped  took",
        "2026-09  1       -       -        -       -        3 min 20 s",
        "2026-11  1       1       -        2       -        3 min",
        "a drill took  ▇·▇",
        "to approval   ▃·▇",
    ]
    empty = [str(line) for line in printed.lines([Month("2026-11")], "production")]
    assert empty[1:] == ["No rollback was asked for.", "", "drills of production", "There was no drill."]


def test_a_sparkline_has_one_bar_for_each_value() -> None:
    assert sparkline([1, 2, 3, 4, 5]) == "▂▃▅▇▇" and sparkline([5, None, 1]) == "▇·▂"
    assert sparkline([0, 0]) == "▁▁" and sparkline([None, None]) == "" and sparkline([]) == ""
    assert sparkline([100, 0.001]) == "▇▁"


def test_each_column_is_described_in_its_order() -> None:
    cells = [cell for row in rows("docs/numbers.md", "## Columns") for cell in row[0].replace("`", "").split(", ")]
    assert tuple(cells) == COLUMNS


# -- at the doors


def shell(trail: Trail, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "rollback.toml").write_text(
        f'ledger = "{trail.ledger.path}"\n[targets.production]\ndatabase_url = "postgresql:///x"\nmigrations = "."\napprovals = 0\n'
    )
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "core", "stats", *words]
    return subprocess.run(line, capture_output=True, text=True, env=env, cwd=folder, timeout=60, check=False)


def test_the_shell_prints_tables_one_object_or_csv(trail: Trail, tmp_path: Path) -> None:
    done = shell(trail, tmp_path, "36")
    assert done.returncode == 0, done.stderr
    assert "2026-09  1      1" in done.stdout and "drills of all targets" in done.stdout
    found = json.loads(shell(trail, tmp_path, "36", "--on", "staging", "--json").stdout)
    assert found["ok"] and found["target"] == "staging" and len(found["months"]) == 36
    (month,) = [one for one in found["months"] if one["month"] == "2026-11"]
    assert tuple(month) == COLUMNS and month["rollbacks"] == 2 and month["drill_seconds_median"] is None
    table = list(csv.DictReader(io.StringIO(shell(trail, tmp_path, "36", "--csv").stdout)))
    assert len(table) == 36 and tuple(table[0]) == COLUMNS
    (november,) = [row for row in table if row["month"] == "2026-11"]
    assert (november["rollbacks"], november["restores"], november["drill_seconds_median"]) == ("9", "1", "180.0")
    assert {row["approval_seconds_median"] for row in table if row["rollbacks"] == "0"} == {""}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("0",), "`0` is no number from 1 to 36."),
        (("37",), "`37` is no number from 1 to 36."),
        (("--csv", "--json"), "`--json` and `--csv` do not go together. Take one of them."),
        (("--on", "nowhere"), "I know no target `nowhere`."),
        (("--csv=x",), "`--csv` takes no value."),
    ],
)
def test_the_shell_says_what_it_did_not_understand(
    trail: Trail, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    done = shell(trail, tmp_path, *words)
    told = json.loads(done.stdout) if "--json" in words else {}
    assert done.returncode == 2 and says in " ".join(done.stderr.split()) + " " + " ".join(
        map(str, told.get("error", {}).values())
    )


def test_a_target_that_the_settings_lost_keeps_its_numbers(trail: Trail) -> None:
    trail.settings.targets.pop("staging")  # type: ignore[attr-defined]
    assert stats.of(trail.ledger, trail.settings, 1, "staging")[0].counts["rollbacks"] == 2
    with pytest.raises(Refused, match="I know no target `stagin`"):
        stats.of(trail.ledger, trail.settings, 1, "stagin")
