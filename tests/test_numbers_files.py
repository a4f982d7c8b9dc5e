"""What operators load elsewhere: every metric of the dashboard and of the alerts is one that /metrics really has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from docs_reading import ROOT, TEXT, rows
from numbers_story import BOB, Trail, at, year

from bot.metrics import Metrics
from bot.prepared_metrics import prepared
from bot.vitals import Vitals

DASHBOARD: dict[str, Any] = json.loads((ROOT / "docs/grafana.json").read_text(encoding="utf-8"))
RULES = [rule for group in yaml.safe_load((ROOT / "docs/alerts.yml").read_text())["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
METRIC = re.compile(r"\b(?:rollback|process)_[a-z_]+\b")
LABELS = re.compile(r"\b((?:rollback|process)_[a-z_]+)\{([^}]*)\}")


def metrics(trail: Trail) -> Metrics:
    """As the bot makes them."""
    return Metrics(trail.ledger, Vitals(), lambda: (True, 0.5), partial(prepared, trail.ledger, trail.settings))


def page(trail: Trail) -> str:
    return metrics(trail).text().decode()


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[Trail]:
    made = year(tmp_path / "ledger.db")
    yield made
    made.ledger.close()


@pytest.fixture
def made(trail: Trail) -> set[str]:
    """The names of all samples that the real code can give: of a trail with everything, and what has no sample yet."""
    text = page(trail)
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)", text, re.MULTILINE))
    found = set(re.findall(r"^(\w+)[{ ]", text, re.MULTILINE)) | types.keys()
    return found | {
        f"{name}{end}" for name, kind in types.items() if kind == "histogram" for end in ("_bucket", "_count", "_sum")
    }


def expressions() -> dict[str, str]:
    """Every query of the dashboard, the variables' too, and every alert."""
    found = {f"{panel['title']} {one['refId']}": one["expr"] for panel in PANELS for one in panel["targets"]}
    found |= {f"${one['name']}": one["definition"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"}
    return found | {rule["alert"]: rule["expr"] for rule in RULES}


def test_every_expression_names_metrics_that_there_are(made: set[str]) -> None:
    for what, expression in expressions().items():
        named = set(METRIC.findall(expression))
        assert named and named <= made, (what, named - made)


def test_every_label_that_is_asked_for_is_one_of_its_metric(trail: Trail) -> None:
    has: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(\w+)\{([^}]*)\}", page(trail), re.MULTILINE):
        has.setdefault(name, set()).update(re.findall(r"(\w+)=", labels))
    seen = 0
    for what, expression in expressions().items():
        for name, labels in LABELS.findall(expression):
            if name in has:
                asked = set(re.findall(r"(\w+)\s*[=!]", labels)) - {"job", "instance"}
                assert asked <= has[name], (what, name, asked - has[name])
                seen += 1
    assert seen > 12, "the search has lost its way"


def test_the_dashboard_fits_any_grafana_and_carries_no_ids_of_ours() -> None:
    assert DASHBOARD["id"] is None and DASHBOARD["uid"] is None and DASHBOARD["schemaVersion"] >= 39
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus"
    sources = set(re.findall(r'"uid": "([^"]*)"', (ROOT / "docs/grafana.json").read_text()))
    assert sources == {"${datasource}", "-- Grafana --"}
    used = set(re.findall(r"\$(\w+)", " ".join(expressions().values()))) - {"__all"}
    assert used <= variables.keys() | {"__range", "__interval"}


def test_its_panels_have_a_title_and_a_description_and_none_lies_on_another() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24 and not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or (
            panel["title"] and panel["description"] and panel["fieldConfig"]["defaults"]["unit"]
        )


def test_every_alert_is_described_and_says_what_to_do() -> None:
    names = [rule["alert"] for rule in RULES]
    assert [row[0].strip("`") for row in rows("docs/numbers.md", "## Alerts")] == names
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket"), rule
        assert rule["annotations"]["summary"] and rule["annotations"]["description"].endswith(".")
        named = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        assert named <= {"target", "state"}


@pytest.mark.parametrize("file", ["grafana.json", "alerts.yml"])
def test_the_page_leads_to_the_files(file: str) -> None:
    assert f"({file})" in TEXT["docs/numbers.md"]


# -- the metrics of drills and approvals


def samples(trail: Trail, name: str) -> dict[str, float]:
    """Labels as they stand -> value."""
    found = re.findall(rf"^{name}(?:\{{([^}}]*)\}})? (\S+)$", page(trail), re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def test_drills_have_an_age_a_result_and_a_count(trail: Trail) -> None:
    trail.now = at(2026, 11, 12, 10, 4, 40)
    ended = at(2026, 11, 2, 10, 4, 40)
    assert samples(trail, "rollback_drill_age_seconds") == {'target="production"': (trail.now - ended).total_seconds()}
    assert samples(trail, "rollback_drill_passed") == {'target="production"': 1}
    assert samples(trail, "rollback_drill_overdue") == {'target="production"': 0}
    assert samples(trail, "rollback_drills_total") == {
        'outcome="failed",target="production"': 1,
        'outcome="missed",target="production"': 2,
        'outcome="passed",target="production"': 2,
        'outcome="skipped",target="production"': 0,
        'outcome="stopped",target="production"': 0,
    }
    trail.due()
    trail.drilled(5, kind="drill_failed")
    trail.passes(hours=25)
    assert samples(trail, "rollback_drill_passed") == {'target="production"': 0}
    assert samples(trail, "rollback_drill_overdue") == {'target="production"': 1}, "one that failed answers for nothing"


def test_a_drill_that_was_stopped_is_counted_and_says_nothing_about_the_way_back(trail: Trail) -> None:
    before = trail.now - at(2026, 11, 2, 10, 4, 40)
    trail.drilled(5, kind="drill_failed", code="E-STOPPED")
    assert samples(trail, "rollback_drill_passed") == {'target="production"': 1}
    assert samples(trail, "rollback_drill_age_seconds") == {'target="production"': before.total_seconds() + 5}
    assert samples(trail, "rollback_drills_total")['outcome="stopped",target="production"'] == 1


def test_a_drill_that_nobody_answers_for_is_overdue_after_a_day(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "l.db", 2026, 11, 2)
    assert samples(trail, "rollback_drill_overdue") == {'target="production"': 0}
    assert samples(trail, "rollback_drill_age_seconds") == {}, "there was none"
    trail.due()
    trail.passes(hours=23)
    assert samples(trail, "rollback_drill_overdue") == {'target="production"': 0}
    trail.passes(hours=2)
    assert samples(trail, "rollback_drill_overdue") == {'target="production"': 1}
    trail.drills.skip("production", BOB, "release week")
    assert samples(trail, "rollback_drill_overdue") == {'target="production"': 0}
    trail.ledger.close()


def test_a_target_without_a_drill_in_the_settings_has_no_series_of_drills(trail: Trail) -> None:
    trail.drilled(3, target="staging")
    assert not [
        key
        for name in ("age_seconds", "passed", "overdue")
        for key in samples(trail, f"rollback_drill_{name}")
        if "staging" in key
    ]
    assert not [key for key in samples(trail, "rollback_drills_total") if "staging" in key]


def test_the_time_to_an_approval_is_a_histogram_that_a_restart_does_not_lose(trail: Trail) -> None:
    for _ in range(2):  # a second process reads the same trail
        count = samples(trail, "rollback_approval_seconds_count")
        assert count == {'target="production"': 7, 'target="staging"': 1}  # ways back are approved too
        assert samples(trail, "rollback_approval_seconds_sum")['target="staging"'] == 300
        buckets = samples(trail, "rollback_approval_seconds_bucket")
        assert buckets['le="120.0",target="production"'] == 4  # 1 and 2 minutes, and two ways back of a minute
        assert buckets['le="+Inf",target="production"'] == 7


def test_one_process_counts_each_event_once(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "l.db", 2026, 11, 2)
    mine, run = metrics(trail), trail.asked()
    mine.text()
    trail.executed(trail.approved(run, 3), 5)
    for _ in range(3):
        assert 'rollback_approval_seconds_sum{target="production"} 180.0' in mine.text().decode()
    assert not mine.told.opened, "a run that is decided is kept no longer"
    trail.ledger.close()
