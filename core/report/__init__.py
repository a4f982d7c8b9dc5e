"""The incident packet: all that the audit trail knows of one run, fit to be pasted into a postmortem.

`of` builds it once, out of the ledger alone; `markdown` and `page` write it down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.report import happened, outcome, people, planned, proven
from core.report.case import BROKEN, Case, gather
from core.report.model import Block, Report, Section, Words

__all__ = ["Case", "Report", "gather", "of"]

SECTIONS: tuple[tuple[str, Callable[[Case], Sequence[Block]]], ...] = (
    ("Summary", outcome.summary),
    ("Timeline", happened.timeline),
    ("Plan", planned.plan),
    ("Losses", planned.losses),
    ("Proofs", proven.proofs),
    ("Durations", happened.durations),
    ("People", people.people),
    ("Ways back", outcome.ways_back),
    ("Scripts", planned.scripts),
    ("Audit trail", outcome.audit),
)


def of(case: Case) -> Report:
    """The packet of one run."""
    sections = tuple(Section(title, tuple(written(make, case))) for title, make in SECTIONS)
    return Report(outcome.title(case.run), tuple(noticed(case)), sections)


def noticed(case: Case) -> list[tuple[str, str]]:
    """What must be seen first; of a broken trail at least that it is one."""
    broken = outcome.broken(case)
    try:
        return [*broken, *outcome.notices(case)]
    except BROKEN:
        if case.verdict.unbroken:
            raise
        return broken


def written(make: Callable[[Case], Sequence[Block]], case: Case) -> Sequence[Block]:
    """One section. Of a trail that somebody has tampered with, what makes no sense is said to make none."""
    try:
        return make(case)
    except BROKEN:
        if case.verdict.unbroken:
            raise
        return [Words("This part cannot be written: what the audit trail says of it makes no sense.")]
