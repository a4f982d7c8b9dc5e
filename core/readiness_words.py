"""The board of what could be undone, in words that every door uses. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core import quantities
from core.model import Json

BAD = ("fails", "differs", "no script")
"""States of a migration in which there is no working way back."""
FAILS = "The script fails"
NO_BACKUP = "there is no backup of everything"
SAID: Mapping[str, str] = {
    "ready": "ready",
    "differs": "does not restore the schema",
    "fails": "script fails",
    "no script": "no rollback script",
    "not tried": "rehearsed, not tried",
}


def words(one: Json, why: bool = True) -> str:
    """`ready, 9 s, loses 25,000 rows`, `script fails: …`; of one line of the board, without its name. `why`: with the reason."""
    if why and one["why"].startswith(FAILS):
        return f"script fails{one['why'].removeprefix(FAILS)}"
    facts = [SAID[one["state"]]]
    if one["seconds"] is not None and one["state"] == "ready":
        facts.append(quantities.duration(one["seconds"]))
    if one["rows"] and one["state"] not in BAD:
        facts.append(f"loses {quantities.plural(one['rows'], 'row')}")
    reason = f": {one['why']}" if why and one["why"] else ""
    return ", ".join(facts) + reason


def listed(names: Sequence[str]) -> str:
    """Names as code: `a`, `b` and 3 more."""
    shown = [f"`{name}`" for name in names[:3]]
    left = len(names) - len(shown)
    return quantities.listed([*shown, *([f"{left} more"] if left else [])])


def changed(before: Json | None, now: Json) -> list[str]:
    """What the channel is told, one sentence each: what has no working way back, and had one, or has one again.

    `before`: the board of the last time; `now`: with what is `remembered` of it. That something could only be rehearsed is not told,
    but that there is no backup is.
    """
    earlier = {one["name"]: one for one in before["migrations"]} if before else {}
    told = [sentence for one in now["migrations"] if (sentence := _changed(earlier.get(one["name"]), one))]
    if now["migrations"] and not now["backup"] and (before is None or before["backup"]):
        told.append(f"{NO_BACKUP[0].upper()}{NO_BACKUP[1:]} of *{now['target']}*, so the scripts were only rehearsed.")
    unusable = _unusable(now)
    if unusable and not (before and _unusable(before)):
        told.append(f"{unusable[0].upper()}{unusable[1:]}")
    return told


def remembered(before: Json | None, lines: Sequence[Json]) -> list[Json]:
    """The lines of a new board: `was` tells how it stood when it was last known, where there was no working way back and now nobody knows."""
    bad = {one["name"]: was for one in (before or {}).get("migrations", ()) if (was := known(one)) in BAD}
    dark = {one["name"] for one in lines if one["state"] == "not tried"} & bad.keys()
    return [{**one, "was": bad[one["name"]]} if one["name"] in dark else one for one in lines]


def known(one: Json | None) -> str:
    """How a migration stood when that was last known."""
    return str(one.get("was", one["state"])) if one else ""


def _changed(before: Json | None, one: Json) -> str:
    was, is_ = known(before), known(one)
    if is_ in BAD and is_ != was:
        said = words(one)
        return f"`{one['name']}`: {said}{'' if said.endswith(('.', '…')) else '.'}"
    if was in BAD and is_ not in BAD:
        return f"`{one['name']}` can be undone again: {words(one, why=False)}."
    return ""


def _unusable(board: Json) -> str:
    """Why the newest backup could not be put back, where it could not."""
    found = [one["why"] for one in board["migrations"] if one["why"].startswith("the newest backup cannot be used")]
    return str(found[0]) if found else ""


def ready(board: Json) -> int:
    """How many could be undone: ready, or rehearsed."""
    return sum(one["state"] == "ready" for one in board["migrations"])


def summary(board: Json) -> str:
    """`2 of the last 3 migrations ready`"""
    of = len(board["migrations"])
    if not of:
        return "no migration is applied"
    if of == 1:
        return f"the newest migration: {SAID[board['migrations'][0]['state']]}"
    return f"{ready(board)} of the last {of} migrations ready"
