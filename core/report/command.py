"""`rollback report`: the incident packet for stdout, or in a new file."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp

from core import printing, zone
from core.errors import Refused
from core.ledger import Ledger
from core.model import Json
from core.quantities import size
from core.redact import clean_all, visible
from core.report import gather, markdown, of, page
from core.report.model import data

PAGES = (".html", ".htm")


@dataclass(frozen=True)
class Made:
    """`written`: the sentence that says so, where it is in a file; `code`: 3 where the audit trail is broken."""

    text: str
    told: Json
    code: int
    written: str = ""


def make(ledger: Ledger, run_id: str, html: bool, out: str | None) -> Made:
    """The packet; `out` names a file, `-` is stdout. Raises Refused (E-RUN-UNKNOWN, E-LEDGER, E-USAGE)."""
    case = gather(ledger, run_id, zone.here())
    made = of(case)
    file = Path(out) if out and out != "-" else None
    text = page.whole(made) if html or (file and file.suffix.lower() in PAGES) else markdown.whole(made)
    told = {
        "report": data(made),
        "run": printing.record(case.run),
        "events": [printing.event(event) for event in case.events],
        "others": [printing.record(one.run) for one in case.others],
        "audit": {"events": case.verdict.events, "head": case.verdict.head, "faults": list(case.verdict.faults)},
        "zone": case.zone.name,
    }
    code = 0 if case.verdict.unbroken else 3
    if file is None:
        return Made(text, told, code)
    count = write(file, clean_all(text))
    sentence = f"{run_id} is written to {visible(file.name)}, {size(count)}."
    return Made(text, {**told, "file": file.name, "bytes": count}, code, sentence)


def write(file: Path, text: str) -> int:
    """Make a file, whole or not at all, for its owner alone; how many bytes. Raises Refused(E-USAGE), also where it exists."""
    shown, encoded = visible(file.name) or "it", text.encode("utf-8")
    try:
        opened, new = mkstemp(prefix=".rollback-report-", dir=file.absolute().parent)
        try:
            with os.fdopen(opened, "wb") as draft:
                draft.write(encoded)
                draft.flush()
                os.fsync(draft.fileno())
            os.link(new, file)  # unlike a renaming, it replaces nothing
        finally:
            with suppress(FileNotFoundError):
                Path(new).unlink()
    except FileExistsError:
        hint = "Name another one. Nothing was written."
        raise Refused("E-USAGE", f"`{shown}` exists already, and is not overwritten.", hint) from None
    except OSError as error:
        why = (error.strerror or "not possible").lower()
        hint = "Without `--out` it is printed, and `> FILE` takes it."
        raise Refused("E-USAGE", f"I cannot write `{shown}`: {why}.", hint) from None
    return len(encoded)
