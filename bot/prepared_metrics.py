"""What `/metrics` says of how well one is prepared: drills here, backups and readiness in bot/ready_metrics.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from bot.ready_metrics import readiness
from core import drills, stats
from core.ledger import Ledger
from core.settings import Settings


def prepared(ledger: Ledger, settings: Settings) -> Iterator[Metric]:
    """All of it, of the targets of the settings. Raises Refused(E-LEDGER)."""
    yield from drilled(ledger, settings)
    yield from readiness(ledger, settings)


def drilled(ledger: Ledger, settings: Settings) -> Iterator[Metric]:
    """Of targets that the settings give a drill, so that no alert stays of one that is gone. The last drill is the last that came
    to its end: one that was stopped says nothing. Raises Refused(E-LEDGER)."""
    age = GaugeMetricFamily("rollback_drill_age_seconds", "Time since the last drill ended", labels=["target"])
    passed = GaugeMetricFamily("rollback_drill_passed", "1 where the last drill passed, 0 where not", labels=["target"])
    overdue = GaugeMetricFamily("rollback_drill_overdue", "1 where one is due for more than a day", labels=["target"])
    ended = CounterMetricFamily("rollback_drills", "Drills by how they came out", labels=["target", "outcome"])
    for name, target in settings.targets.items():
        if not target.drill:
            continue
        events, now = ledger.apart(drills.KINDS, name), ledger.clock()
        overdue.add_metric([name], int(drills.after(events).overdue(now)))
        ends = [one for one in events if one.kind in ("drill_passed", "drill_failed") and not stats.stopped(one)]
        if ends:
            age.add_metric([name], max(0.0, (now - ends[0].at).total_seconds()))
            passed.add_metric([name], int(ends[0].kind == "drill_passed"))
        outcomes = Counter(outcome for _, outcome, _ in stats.drilled(events))
        for outcome in stats.OUTCOMES:
            ended.add_metric([name, outcome], outcomes[outcome])
    yield from (age, passed, overdue, ended)
