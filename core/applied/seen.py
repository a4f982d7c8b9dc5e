"""What the audit trail says of one target's history: which migrations are applied, with which scripts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from core.model import Event

if TYPE_CHECKING:
    from core.ledger import Ledger

VERDICTS = ("no_way_back", "way_back_works")
KINDS = ("history_seen", "applied", "unapplied", "history_emptied", "script_edited", *VERDICTS)
"""All are of one target and of no run."""


class Seen:
    """Heard event by event. Each dictionary is by version, as the history table writes it, in the order of noting.

    `applied`: the newest event `applied` of what was in the table when it was looked at last. `untried`: of these, what is still
    to be tried. `kept`: whose scripts are used: `applied`, and what an emptied table had. `gone`: what was taken out of it, and
    by which run.
    `edits`: the scripts, by file and SHA-256, that were noted as edited.
    """

    def __init__(self, events: Iterable[Event]) -> None:
        self.looked = False
        self.applied: dict[str, Event] = {}
        self.untried: dict[str, Event] = {}
        self.kept: dict[str, Event] = {}
        self.gone: dict[str, tuple[Event, str | None]] = {}
        self.edits: set[tuple[str, str]] = set()
        self._found: set[str] = set()  # versions of the first look whose own event follows
        for event in events:
            self._hear(event)

    def _hear(self, event: Event) -> None:
        data = event.data
        match event.kind:
            case "history_seen":
                self.looked, self._found = True, set(data["versions"])
            case "applied":
                self._applied(event)
            case "unapplied":
                for version in data["versions"]:
                    self._out(version)
                    if event_of := self.kept.pop(version, None):
                        self.gone[version] = (event_of, data["by"])
            case "history_emptied":
                for version in data["versions"]:
                    self._out(version)
            case "script_edited":
                self.edits.add((data["name"], data["is"]))
            case "no_way_back" | "way_back_works":
                self.untried.pop(data["version"], None)

    def _applied(self, event: Event) -> None:
        version = event.data["version"]
        if version in self._found:
            self._found.discard(version)
        else:
            self.untried[version] = event
        self.applied[version] = self.kept[version] = event
        self.gone.pop(version, None)

    def _out(self, version: str) -> None:
        for those in (self.applied, self.untried):
            those.pop(version, None)
        self._found.discard(version)


def of(ledger: Ledger, target: str) -> Seen:
    """As of now."""
    return Seen(reversed(ledger.apart(KINDS, target)))
