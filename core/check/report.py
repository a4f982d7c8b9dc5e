"""The findings of a check: for people, for machines, and as JUnit XML for CI. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from xml.etree import ElementTree as Xml

from core.check import VERDICTS, Checked, Report
from core.check.baseline import Finding, Held
from core.lines import FAILED, OK, line, padded, width
from core.model import Json
from core.redact import visible

MOST = 10
"""Differences of one migration that the table shows."""
WIDEST = 48
"""Columns of a migration's name that a column is made for."""


NOTHING = Held(frozenset(), ())
"""No baseline: every finding is new."""


def lines(report: Report, held: Held = NOTHING) -> list[str]:
    """The table, and what it comes to. Findings that are known already are told shortly."""
    wide = min(max(width(shown(one.id)) for one in report.migrations), WIDEST)
    found = [line for one in report.migrations for line in _rows(one, wide, one.id in held.known)]
    if held.gone:
        found += [
            "",
            "gone, write the baseline anew with `--write-baseline`:",
            *(f"  {_gone(one)}" for one in held.gone),
        ]
    counts = Counter(one.verdict for one in report.migrations)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    where = f"layout {report.layout}, PostgreSQL {report.server}, {report.seconds:.1f} s"
    return [*found, "", f"{told} ({where})", conclusion(report, held)]


def conclusion(report: Report, held: Held = NOTHING) -> str:
    """The last line."""
    total, known = len(report.migrations), len(held.known)
    bad = report.harmful - known
    declared = sum(one.verdict == "irreversible" for one in report.migrations)
    if bad:
        new = " new" * bool(known)
        return line((f"{bad}{new} finding{'s' if bad > 1 else ''}", FAILED), f", {known} known" if known else "")
    if known:
        return line(("no new findings", OK), f", {known} known")
    if declared:
        return f"no findings: {total - declared} can be undone, {declared} declared irreversible"
    return line((f"all {total} can be undone" if total > 1 else "it can be undone", OK))


def _gone(one: Finding) -> str:
    kind = "does not apply again" if one.kind == "reapplies" else shown(one.kind)
    return f"{shown(one.migration)}  {kind}"


def _rows(one: Checked, wide: int, known: bool) -> Iterable[str]:
    """The verdict and its first sentence, then one line for each further sentence; one that is known has one line."""
    if known:
        yield f"{padded(shown(one.id), wide)}  {one.verdict:<12}  known"
        return
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


def data(report: Report, held: Held = NOTHING) -> Json:
    """The report for machines; docs/check.md describes it."""
    counts = Counter(one.verdict for one in report.migrations)
    return {
        "layout": report.layout,
        "server_version": report.server,
        "seconds": report.seconds,
        "findings": report.harmful,
        "known": len(held.known),
        "new": report.harmful - len(held.known),
        "gone": [{"migration": one.migration, "kind": one.kind} for one in held.gone],
        "counts": {verdict: counts[verdict] for verdict in VERDICTS},
        "migrations": [_migration(one, one.id in held.known) for one in report.migrations],
    }


def _migration(one: Checked, known: bool) -> Json:
    return {
        "id": one.id,
        "verdict": one.verdict,
        "harmful": one.harmful,
        "known": known,
        "problem": one.problem or None,
        "differences": [vars(change) for change in one.differences],
        "reapplies": one.reapplies,
        "reapply_problem": one.again or None,
        "notes": list(one.notes),
        "seconds": one.seconds,
        "forward_sha256": one.forward or None,
        "rollback_sha256": one.rollback or None,
    }


def junit(report: Report, held: Held = NOTHING) -> str:
    """One test case for each migration: a finding is a failure; what is known, or declared irreversible, is skipped.

    The form is the one that CI servers read: https://github.com/testmoapp/junitxml
    """
    harmless = [one for one in report.migrations if one.verdict == "irreversible" and not one.harmful]
    skipped = [*harmless, *(one for one in report.migrations if one.id in held.known)]
    bad = report.harmful - len(held.known)
    about = {"name": "rollback check", "tests": str(len(report.migrations)), "failures": str(bad)}
    about |= {"errors": "0", "skipped": str(len(skipped)), "time": f"{report.seconds:.3f}"}
    root = Xml.Element("testsuites", about)
    suite = Xml.SubElement(root, "testsuite", about)
    for one in report.migrations:
        name = {"classname": report.layout, "name": shown(one.id), "time": f"{one.seconds:.3f}"}
        case = Xml.SubElement(suite, "testcase", name)
        said = list(sentences(one))
        if one.harmful and one not in skipped:
            told = Xml.SubElement(case, "failure", {"type": one.verdict, "message": said[0] if said else one.verdict})
            told.text = "\n".join(said)
        elif one in skipped:
            Xml.SubElement(case, "skipped", {"message": said[0] if said else one.verdict})
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
