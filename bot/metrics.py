"""`/metrics`: what the ledger says, asked when Prometheus asks, and what only this process knows.

Counters of the ledger are folded from its events, which are never taken back, so that a restart loses nothing. Labels are
names of targets, kinds, states, steps, codes and methods: never a migration, a person or a text.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from bot.vitals import Vitals
from core.errors import Refused
from core.ledger import Ledger
from core.model import OPEN, State

CONTENT_TYPE = CONTENT_TYPE_LATEST
BOUNDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
"""Seconds of a step."""
PATIENCE = (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 14_400)
"""Seconds until an approval."""
KIND = "CASE r.what WHEN 'reapply' THEN 'reapply' WHEN 'restore' THEN 'restore' ELSE 'rollback' END"
NEWS = f"""
    SELECT e.id, r.target, {KIND}, e.kind, e.state, CASE e.kind WHEN 'step_done' THEN json_extract(e.data, '$.step') END,
           CASE e.kind WHEN 'step_done' THEN json_extract(e.data, '$.evidence.seconds') END, r.id, e.at
      FROM events e JOIN rollbacks r ON r.id = e.run WHERE e.id > ? ORDER BY e.id LIMIT 20000"""  # noqa: S608
NOW = f"SELECT r.target, {KIND}, r.state, count(*) FROM rollbacks r GROUP BY 1, 2, 3"  # noqa: S608
WAITING = """
    SELECT r.target, count(*), min((SELECT e.at FROM events e WHERE e.run = r.id AND e.kind = 'opened' ORDER BY e.id DESC LIMIT 1))
      FROM rollbacks r WHERE r.state = 'waiting' GROUP BY 1"""
UNTOLD = (
    "SELECT count(*), min(at) FROM events WHERE id > (SELECT coalesce(max(event), 0) FROM posts WHERE place = 'told')"
)


class Histogram:
    """Seconds by labels, in buckets."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts: dict[tuple[str, ...], list[float]] = defaultdict(lambda: [0.0] * (len(bounds) + 1))
        self.sums: dict[tuple[str, ...], float] = defaultdict(float)

    def add(self, key: tuple[str, ...], spent: float) -> None:
        """One more."""
        place = next((n for n, bound in enumerate(self.bounds) if spent <= bound), len(self.bounds))
        self.counts[key][place] += 1
        self.sums[key] += spent

    def metric(self, name: str, text: str, labels: Sequence[str]) -> Metric:
        """As Prometheus has it: each bucket holds those below it too."""
        found = HistogramMetricFamily(name, text, labels=labels)
        for key, counts in self.counts.items():
            sums = [sum(counts[: n + 1]) for n in range(len(counts))]
            buckets = [
                *((str(float(bound)), total) for bound, total in zip(self.bounds, sums, strict=False)),
                ("+Inf", sums[-1]),
            ]
            found.add_metric(list(key), buckets, self.sums[key])
        return found


class Told:
    """Counters over all events so far; each is read once."""

    def __init__(self) -> None:
        self.last = 0
        self.ended: Counter[tuple[str, str, str]] = Counter()  # target, kind, outcome
        self.steps, self.approvals = Histogram(BOUNDS), Histogram(PATIENCE)
        self.opened: dict[str, datetime] = {}  # run -> since when people are asked

    def hear(self, row: Sequence[object]) -> None:
        """One event, in order."""
        number, target, kind, what, state, step, seconds, run, at = row
        self.last = int(str(number))
        if state is not None:
            self.asked(str(run), str(target), str(what), State(str(state)), datetime.fromisoformat(str(at)))
            if State(str(state)) not in OPEN:
                self.ended[str(target), str(kind), str(state)] += 1
        if what == "step_done" and isinstance(seconds, (int, float)):
            self.steps.add((str(kind), str(step)), float(seconds))

    def asked(self, run: str, target: str, what: str, state: State, at: datetime) -> None:
        """How long people were asked: from the plan that they were shown to the approval that was enough."""
        if state is State.WAITING and what == "opened":
            self.opened[run] = at
        elif state is not State.WAITING:
            since = self.opened.pop(run, None)
            if since and state is State.APPROVED:
                self.approvals.add((target,), max(0.0, (at - since).total_seconds()))


class Metrics(Collector):
    """One registry of our own. `silence` is the age of Slack's last frame and whether it is connected; None over HTTP."""

    def __init__(
        self,
        ledger: Ledger,
        vitals: Vitals,
        socket: Callable[[], tuple[bool, float] | None],
        more: Callable[[], Iterable[Metric]] = tuple,
    ) -> None:
        """`more`: what else the ledger says; raises Refused(E-LEDGER)."""
        self.ledger, self.vitals, self.socket, self.more = ledger, vitals, socket, more
        self.told = Told()
        self._guard = threading.Lock()
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def describe(self) -> list[Metric]:
        """Nothing is asked before somebody scrapes."""
        return []

    def text(self) -> bytes:
        """The page in Prometheus' text format."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """Everything; what the ledger says is left out where it cannot be read."""
        with self._guard:
            try:
                found = [*self.of_the_ledger()]
                readable = 1
            except Refused:
                found, readable = [], 0
        yield from found
        yield gauge("rollback_ledger_readable", "1 where the audit trail can be read", readable)
        yield from self.of_the_process()

    def of_the_ledger(self) -> Iterator[Metric]:
        """Raises Refused(E-LEDGER)."""
        while news := self.ledger.look(NEWS, self.told.last):
            for row in news:
                self.told.hear(row)
        runs = GaugeMetricFamily("rollback_runs", "Runs by their present state", labels=["target", "kind", "state"])
        for target, kind, state, count in self.ledger.look(NOW):
            runs.add_metric([target, kind, state], count)
        ended = CounterMetricFamily("rollback_ended", "Runs that came to an end", labels=["target", "kind", "outcome"])
        for key, count in self.told.ended.items():
            ended.add_metric(list(key), count)
        steps = self.told.steps.metric("rollback_step_seconds", "Duration of finished steps", ["kind", "step"])
        approvals = self.told.approvals.metric(
            "rollback_approval_seconds", "From the plan that was shown to its approval", ["target"]
        )
        yield from (runs, ended, steps, approvals, *self.waiting(), *self.more())
        ((untold, oldest),) = self.ledger.look(UNTOLD)
        yield gauge("rollback_announcer_lag_events", "Events that Slack was not told yet", untold)
        yield gauge("rollback_announcer_lag_seconds", "Age of the oldest of them", self.age(oldest))
        yield gauge("rollback_ledger_head", "Number of the newest event", self.ledger.head()[0])

    def waiting(self) -> Iterator[Metric]:
        """Approvals that people are asked for."""
        count = GaugeMetricFamily("rollback_waiting", "Runs that wait for an approval", labels=["target"])
        oldest = GaugeMetricFamily("rollback_waiting_seconds", "How long the oldest has waited", labels=["target"])
        for target, many, since in self.ledger.look(WAITING):
            count.add_metric([target], many)
            oldest.add_metric([target], self.age(since))
        yield from (count, oldest)

    def age(self, at: str | None) -> float:
        """Seconds since a stored time; 0 without one, and where the clock was set back."""
        if not at:
            return 0.0
        return max(0.0, (self.ledger.clock() - datetime.fromisoformat(at)).total_seconds())

    def of_the_process(self) -> Iterator[Metric]:
        """What a restart forgets."""
        calls = CounterMetricFamily("rollback_slack_calls", "Calls of Slack's Web API", labels=["method", "outcome"])
        for (method, outcome), count in sorted(self.vitals.calls.items()):
            calls.add_metric([method, outcome], count)
        refusals = CounterMetricFamily("rollback_refusals", "People who were told no in Slack", labels=["code"])
        for code, count in sorted(self.vitals.refusals.items()):
            refusals.add_metric([code], count)
        yield from (calls, refusals)
        socket = self.socket()
        if socket:
            yield gauge("rollback_socket_connected", "1 while Socket Mode is connected", int(socket[0]))
            yield gauge("rollback_socket_last_frame_seconds", "Seconds since Slack's last frame, pongs too", socket[1])
        yield gauge("rollback_draining", "1 once the bot was told to end", int(self.vitals.ending.is_set()))
        yield gauge(
            "rollback_clock_settled", "0 for a minute after the clock was set", int(self.ledger.passing.settled())
        )
        leaps = CounterMetricFamily("rollback_clock_leaps", "How often the machine's clock was set")
        leaps.add_metric([], self.ledger.passing.leaps)
        yield leaps


def gauge(name: str, text: str, value: float) -> Metric:
    """One number without labels."""
    return GaugeMetricFamily(name, text, value=value)
