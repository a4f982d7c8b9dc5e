"""Findings that a team has already: written down once, so that only new ones fail the check.

A finding is known by its migration, its kind and the SHA-256 of both scripts: an edited script is judged anew. The file
names the folder relative to itself, so that it holds in every clone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.check import Checked, Report
from core.errors import Refused
from core.model import Json
from core.redact import visible

FORM = 1
WHAT = "findings of rollback check"
KEYS: dict[str, type | tuple[type, ...]] = {
    "migration": str,
    "kind": str,
    "forward": (str, type(None)),
    "rollback": (str, type(None)),
}
ANEW = "Write it anew with `--write-baseline`."


@dataclass(frozen=True, order=True)
class Finding:
    """`kind`: a harmful verdict, or `reapplies` where it does not apply again; the scripts' SHA-256, empty where there is none."""

    migration: str
    kind: str
    forward: str
    rollback: str


@dataclass(frozen=True)
class Baseline:
    """What is known. `folder` as the file names it: relative to the file, with `/`."""

    folder: str
    layout: str
    findings: frozenset[Finding]


@dataclass(frozen=True)
class Held:
    """A report held against a baseline. `known`: ids of the migrations whose findings all stand in it; `gone`: what it holds
    and was not found any more."""

    known: frozenset[str]
    gone: tuple[Finding, ...]


def findings(one: Checked) -> Iterator[Finding]:
    """What is harmful about one migration."""
    kinds = [one.verdict] if one.undone_wrong else []
    for kind in [*kinds, *(["reapplies"] if one.reapplies is False else [])]:
        yield Finding(one.id, kind, one.forward, one.rollback)


def place(folder: Path, file: Path) -> str:
    """The folder as a baseline in that file names it."""
    return Path(os.path.relpath(folder.resolve(), file.resolve().parent)).as_posix()


def hold(report: Report, known: Baseline, whole: bool) -> Held:
    """`whole`: were all migrations looked at? What was not looked at is not gone. Raises Refused(E-USAGE)."""
    if known.layout != report.layout:
        raise Refused(
            "E-USAGE", f"The baseline was made with the layout {shown(known.layout)}, not {report.layout}.", ANEW
        )
    harmful = [one for one in report.migrations if one.harmful]
    seen = {one.id for one in report.migrations}
    found = {finding for one in harmful for finding in findings(one)}
    gone = sorted(one for one in known.findings - found if whole or one.migration in seen)
    return Held(frozenset(one.id for one in harmful if {*findings(one)} <= known.findings), tuple(gone))


def read(file: Path, folder: Path) -> Baseline:
    """The baseline of that folder. Raises Refused(E-USAGE)."""
    data = parsed(file)
    if data["form"] != FORM:
        newer = isinstance(data["form"], int) and data["form"] > FORM
        why = "is of a newer form than I know" if newer else "has no form that I know"
        raise Refused("E-USAGE", f"{named(file)} {why}.", "Install a newer Rollback Bot." if newer else ANEW)
    rows = data.get("findings")
    if not (isinstance(data.get("folder"), str) and isinstance(data.get("layout"), str) and isinstance(rows, list)):
        raise broken(file)
    for row in rows:
        if not (isinstance(row, dict) and all(isinstance(row.get(key), kind) for key, kind in KEYS.items())):
            raise broken(file)
    if data["folder"] != place(folder, file):
        where = f"{named(file)} belongs to the folder `{shown(data['folder'])}`, seen from the file, not to this one."
        raise Refused("E-USAGE", where, ANEW)
    made = (Finding(row["migration"], row["kind"], row["forward"] or "", row["rollback"] or "") for row in rows)
    return Baseline(data["folder"], data["layout"], frozenset(made))


def write(report: Report, folder: Path, file: Path) -> int:
    """Everything that was found, as known from now on; how many findings. Raises Refused(E-USAGE)."""
    may_write(file)
    rows = sorted(finding for one in report.migrations if one.harmful for finding in findings(one))
    data: Json = {
        "what": WHAT,
        "form": FORM,
        "folder": place(folder, file),
        "layout": report.layout,
        "findings": [{key: getattr(row, key) or None for key in KEYS} for row in rows],
    }
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        why = (error.strerror or "not possible").lower()
        raise Refused("E-USAGE", f"I cannot write {named(file)}: {why}.", "Name another file.") from None
    return len(rows)


def may_write(file: Path) -> None:
    """A new file, or a baseline of ours: no other file is overwritten. Raises Refused(E-USAGE)."""
    if not file.absolute().parent.is_dir():
        raise Refused("E-USAGE", "The folder for the baseline does not exist.", "Nothing was started.")
    if file.exists():
        parsed(file)


def parsed(file: Path) -> Json:
    """A baseline's own words, whatever its form. Raises Refused(E-USAGE)."""
    try:
        data = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        hint = "Write it first: `--write-baseline` with the same name. Nothing was started."
        raise Refused("E-USAGE", f"There is no baseline {named(file)}.", hint) from None
    except OSError as error:
        why = (error.strerror or "not possible").lower()
        raise Refused("E-USAGE", f"I cannot read {named(file)}: {why}.", "Nothing was started.") from None
    except (ValueError, RecursionError):
        raise broken(file) from None
    if not isinstance(data, dict) or data.get("what") != WHAT or "form" not in data:
        raise broken(file)
    return data


def broken(file: Path) -> Refused:
    """It is another file, or somebody has edited it."""
    hint = "Name another file, or take it from version control again. Nothing was started."
    return Refused("E-USAGE", f"{named(file)} is no baseline of `rollback check`.", hint)


def named(file: Path) -> str:
    """The file's name, without its folders."""
    return f"`{shown(file.name)}`"


def shown(text: str) -> str:
    """On one line, short, with nothing invisible in it."""
    return visible(" ".join(text.split()))[:80]
