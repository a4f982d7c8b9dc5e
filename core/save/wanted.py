"""What must be saved, by what the proofs have seen go."""

from __future__ import annotations

from typing import Any

from core import postgres, trial
from core.model import Json
from core.save.inventory import Inventory
from core.save.items import Item, items, without_nulls


def to_save(conn: postgres.Connection, evidence: Any, held: Inventory) -> list[Item]:
    """What the proofs have seen go, as it stands on this database. `evidence`: by step."""
    rehearsed, tried = evidence["rehearse"], evidence.get("test restore", {})
    gone = merged(rehearsed["destroyed"], tried.get("destroyed", {}))
    emptied = {*rehearsed["emptied"], *tried.get("emptied", ())}
    if rehearsed["blind"]:  # nobody could tell whether these were written anew or emptied
        emptied |= {*gone["moved"]}
    written = {*rehearsed["writes"], *tried.get("touched", ())}
    found = items(conn, held, gone, emptied, written, [one["sql"] for _, one in trial.statements(going(evidence))])
    back = tried.get("way_back", {})
    return without_nulls(found, back["filled"]) if "filled" in back and not rehearsed["derived"] else found


def going(evidence: Any) -> list[Json]:
    """What runs: of a rollback the migrations that go, of a re-apply those that come."""
    identified = evidence["identify"]
    return list(identified.get("undo") or identified.get("redo") or [])


def merged(one: Json, other: Json) -> Json:
    """What either of two proofs saw destroyed."""
    return {key: [*one[key], *(each for each in other.get(key, ()) if each not in one[key])] for key in one}
