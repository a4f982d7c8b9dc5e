"""Scripts of applied migrations as the audit trail keeps them: they are used where the folder no longer has them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from core.applied import seen
from core.errors import Refused
from core.layouts import Migration, Part
from core.model import Json, Run, State
from core.settings import Target

if TYPE_CHECKING:
    from core.ledger import Ledger


UNDONE = (State.REAPPLIED, State.RESTORED)
"""States of a rollback whose migrations are applied again."""


@dataclass(frozen=True)
class Stored:
    """`told`: the data of the events `applied` whose scripts count; `read`: the bytes that are kept under a SHA-256."""

    told: tuple[Json, ...]
    read: Callable[[str], bytes | None]

    def beside(self, found: Sequence[Migration], order: Callable[[Migration], Any]) -> list[Migration]:
        """The migrations of the folder, with what it lacks; `order` is the layout's. Raises Refused(E-LEDGER)."""
        made = {one.name: one for one in found}
        for told in self.told:
            own = [one for one in found if told["name"] == one.name or told["of"] == one.version]
            if not own:
                one = Migration(told["of"], told["name"], irreversible=told["irreversible"])
                made[one.name] = self._filled(one, told)
            elif len(own) == 1 and not own[0].refused:
                made[own[0].name] = self._filled(own[0], told)
        if len({one.name for one in found}) < len(found):
            return list(found)  # two files of one name: the layout has refused them
        return list(made.values()) if len(made) == len(found) else sorted(made.values(), key=order)

    def _filled(self, one: Migration, told: Json) -> Migration:
        """What the folder has stays; its scripts know when they are other ones than were applied."""
        forward, rollback = self._side(one.forward, told["forward"]), self._side(one.rollback, told["rollback"])
        return replace(one, forward=forward, rollback=rollback, irreversible="" if rollback else one.irreversible)

    def _side(self, part: Part | None, kept: Json | None) -> Part | None:
        if kept is None or (part and digest(part.data) == kept["sha256"]):
            return part
        return replace(part, was=kept["sha256"]) if part else self._part(kept)

    def _part(self, kept: Json) -> Part:
        data = self.read(kept["sha256"])
        if data is None or digest(data) != kept["sha256"]:
            why = "are missing" if data is None else "are not those that its event names"
            raise Refused(
                "E-LEDGER",
                f"The folder no longer has `{kept['file']}`, and the bytes of it in the audit trail {why}.",
                "Put the file back into the folder of the migrations; keep the audit trail as evidence. Nothing was started.",
            )
        return Part(kept["file"], data, kept["transaction"], stored=True)


def into(ledger: Ledger, target: Target, undone: Run | None = None) -> Target:
    """The target with what the audit trail keeps of its applied migrations. What a way back has applied again counts at once.

    `undone`: a rollback whose migrations count too, for its way back. Raises Refused(E-LEDGER).
    """
    found = seen.of(ledger, target.name)
    runs = {by for _, by in found.gone.values() if by}
    again = {run for run in runs if (undone and run == undone.id) or ledger.run(run).state in UNDONE}
    events = [*found.kept.values(), *(event for event, by in found.gone.values() if by in again)]
    told = tuple(
        {**event.data, "of": of(target.layout, event.data["version"], event.data["name"])}
        for event in events
        if event.data["name"]
    )
    return replace(target, stored=Stored(told, ledger.script)) if told else target


def of(layout: str, version: str, name: str) -> str:
    """The version of the files of a migration; only the history table of `paired` may hold it in another form."""
    return name.partition("_")[0] if layout == "paired" else version


def digest(data: bytes) -> str:
    """SHA-256, as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def remarks(one: Migration) -> list[str]:
    """What people should know of where its scripts are from, one sentence each."""
    found = []
    for part, which in ((one.rollback, "rollback"), (one.forward, "forward")):
        if part and part.stored:
            found.append(f"`{part.shown}`: the folder no longer has this {which} script; it is from the audit trail.")
        elif part and part.was:
            then = f"SHA-256 {part.was[:12]} then"
            found.append(f"`{part.shown}`: this {which} script was edited after it was applied ({then}).")
    return found
