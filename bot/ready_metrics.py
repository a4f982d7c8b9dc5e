"""What Prometheus is told of backups and of what could be undone; by target, never by migration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from prometheus_client.core import GaugeMetricFamily, Metric

from core import board
from core.errors import StepFailed
from core.ledger import Ledger
from core.readiness_words import ready
from core.settings import Settings


def readiness(ledger: Ledger, settings: Settings) -> Iterator[Metric]:
    """Of each target what is known; a target without a backup, or without a board, has no line. Raises Refused(E-LEDGER)."""
    age = GaugeMetricFamily("rollback_backup_age_seconds", "Age of the newest proven backup's data", labels=["target"])
    able = GaugeMetricFamily("rollback_ready", "Newest migrations that could be undone, as tried", labels=["target"])
    of = GaugeMetricFamily("rollback_readiness_of", "Newest migrations that were looked at", labels=["target"])
    looked = GaugeMetricFamily("rollback_readiness_age_seconds", "Time since they were looked at", labels=["target"])
    for target in settings.targets.values():
        with suppress(StepFailed):  # the backup folder cannot be read: no line says so
            newest = board.newest_proven(ledger, settings, target)
            if newest:
                age.add_metric([target.name], newest.age.total_seconds())
        now = board.board(ledger, target.name)
        if now and now.found:
            able.add_metric([target.name], ready(now.found))
            of.add_metric([target.name], len(now.found["migrations"]))
            looked.add_metric([target.name], max(0.0, (ledger.clock() - now.at).total_seconds()))
    yield from (age, able, of, looked)
