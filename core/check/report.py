"""The findings of a check: for people, for machines, and as JUnit XML for CI. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from xml.etree import ElementTree as Xml

from core.check import VERDICTS, Checked, Report
from core.lines import FAILED, OK, line, padded, width
from core.model import Json
from core.redact import visible

MOST = 10
"""Differences of one migration that the table shows."""
WIDEST = 48
"""Columns of a migration's name that a column is made for."""


def lines(report: Report) -> list[str]:
    """The table, and what it comes to."""
    wide = min(max(width(shown(one.id)) for one in report.migrations), WIDEST)
    found = [line for one in report.migrations for line in _rows(one, wide)]
    counts = Counter(one.verdict for one in report.migrations)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    where = f"layout {report.layout}, PostgreSQL {report.server}, {report.seconds:.1f} s"
    return [*found, "", f"{told} ({where})", conclusion(report)]


def conclusion(report: Report) -> str:
    """The last line."""
    total, bad = len(report.migrations), report.harmful
    declared = sum(one.verdict == "irreversible" for one in report.migrations)
    if bad:
        return line((f"{bad} finding{'s' if bad > 1 else ''}", FAILED))
    if declared:
        return f"no findings: {total - declared} can be undone, {declared} declared irreversible"
    return line((f"all {total} can be undone" if total > 1 else "it can be undone", OK))


def _rows(one: Checked, wide: int) -> Iterable[str]:
    """The verdict and its first sentence, then one line for each further sentence."""
    said = list(sentences(one))
    more = len(said) - MOST
    if more > 0:
        said = [*said[:MOST], f"and {more} more (--json lists all)"]
    said += [f"note: {shown(note)}" for note in one.notes]
    tone = FAILED if one.harmful else OK if one.verdict in ("exact", "cosmetic") else ""
    rest = f"{'':<{12 - len(one.verdict)}}  {said[0]}" if said else ""
    yield line(f"{padded(shown(one.id), wide)}  ", (one.verdict, tone), rest)
    yield from (f"{'':<{wide}}  {'':<12}  {sentence}" for sentence in said[1:])


def sentences(one: Checked) -> Iterable[str]:
    """What was found, harmful things first."""
    if one.problem:
        yield shown(one.problem)
    if one.again:
        yield shown(one.again)
    for change in sorted(one.differences, key=lambda change: change.severity == "cosmetic"):
        yield shown(change.message) + (" (cosmetic)" if change.severity == "cosmetic" else "")


def shown(text: str) -> str:
    """On one line, with nothing invisible in it."""
    return visible(" ".join(text.split()))


def data(report: Report) -> Json:
    """The report for machines; docs/check.md describes it."""
    counts = Counter(one.verdict for one in report.migrations)
    return {
        "layout": report.layout,
        "server_version": report.server,
        "seconds": report.seconds,
        "findings": report.harmful,
        "counts": {verdict: counts[verdict] for verdict in VERDICTS},
        "migrations": [_migration(one) for one in report.migrations],
    }


def _migration(one: Checked) -> Json:
    return {
        "id": one.id,
        "verdict": one.verdict,
        "harmful": one.harmful,
        "problem": one.problem or None,
        "differences": [vars(change) for change in one.differences],
        "reapplies": one.reapplies,
        "reapply_problem": one.again or None,
        "notes": list(one.notes),
        "seconds": one.seconds,
    }


def junit(report: Report) -> str:
    """One test case for each migration: a finding is a failure, what is declared irreversible is skipped.

    The form is the one that CI servers read: https://github.com/testmoapp/junitxml
    """
    skipped = [one for one in report.migrations if one.verdict == "irreversible" and not one.harmful]
    about = {"name": "rollback check", "tests": str(len(report.migrations)), "failures": str(report.harmful)}
    about |= {"errors": "0", "skipped": str(len(skipped)), "time": f"{report.seconds:.3f}"}
    root = Xml.Element("testsuites", about)
    suite = Xml.SubElement(root, "testsuite", about)
    for one in report.migrations:
        name = {"classname": report.layout, "name": shown(one.id), "time": f"{one.seconds:.3f}"}
        case = Xml.SubElement(suite, "testcase", name)
        said = list(sentences(one))
        if one.harmful:
            told = Xml.SubElement(case, "failure", {"type": one.verdict, "message": said[0] if said else one.verdict})
            told.text = "\n".join(said)
        elif one in skipped:
            Xml.SubElement(case, "skipped", {"message": said[0] if said else one.verdict})
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
