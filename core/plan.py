"""Which migrations a request undoes, and in which order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core import schema
from core.errors import Refused
from core.layouts import Applied, Migration, file_missing, find, nearest, number
from core.ledger import canonical
from core.model import Json, Request, Run
from core.settings import Target

Item = tuple[Applied, Migration]
NOTHING = "Nothing was started."


@dataclass(frozen=True)
class Selection:
    """What goes and what stays. `undo` is newest first.

    `stays`: the newest migration afterwards, None for an empty history. `kept_after`: with `--only`, the names that
    stay applied after the one that goes. `also`: names that go besides the named one. `no_forward`: names that go
    although their forward file is missing.
    """

    undo: tuple[Item, ...]
    stays: Migration | None
    kept_after: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    no_forward: tuple[str, ...] = ()


def select(request: Request, migrations: Sequence[Migration], applied: Sequence[Applied]) -> Selection:
    """Find what a request undoes. `applied` is the history, oldest first; its order decides what "after" means.

    Raises Refused: E-MIGRATION-UNKNOWN, E-MIGRATION-AMBIGUOUS, E-NOT-APPLIED, E-NOTHING, E-NO-SCRIPT,
    E-FILE-MISSING (applied, but no file), E-HISTORY (two files for one row).
    """
    history = [(row, find(migrations, row.version)) for row in applied]
    if not history:
        raise Refused("E-NOTHING", "No migration is applied on this target.", NOTHING)
    at = _place(request, migrations, history)
    end = at + 1 if request.only else len(history)
    undo = _with_files(history[at:end][::-1])
    _each_has_a_script(undo)
    left = history[:at] + history[end:]
    stays = _stand_in(*left[-1]) if left else None
    named = None if request.what == "to" else undo[-1][1].name
    return Selection(
        undo,
        stays,
        kept_after=tuple(_stand_in(*pair).name for pair in history[end:]),
        also=tuple(migration.name for _, migration in undo if migration.name != named),
        no_forward=tuple(migration.name for _, migration in undo if migration.forward is None),
    )


def resolve(word: str, migrations: Sequence[Migration], command: str = "/rollback") -> Migration:
    """The migration that a word names: its full name or version, or a beginning that only one has.

    Raises Refused (E-MIGRATION-UNKNOWN, E-MIGRATION-AMBIGUOUS); `options` holds the commands that would do.
    """
    word = word.removesuffix(".sql")
    ways = (
        [m for m in migrations if m.name == word],
        [m for m in migrations if m.version == word],
        [m for m in migrations if m.name.partition("_")[0] == word],  # as the file writes it: 0011 for the version 11
        [m for m in migrations if m.name.lower() == word.lower()],
        [m for m in migrations if word and m.name.lower().startswith(word.lower())],
    )
    found = next((way for way in ways if way), [])
    if len(found) == 1:
        return found[0]
    raise _ambiguous(word, found, command) if found else _unknown(word, migrations, command)


def _place(request: Request, migrations: Sequence[Migration], history: list[tuple[Applied, Migration | None]]) -> int:
    """Where in the history the rollback ends: the index of the oldest row that goes."""
    if request.what == "latest":
        return len(history) - 1
    # A row without a file can be named too: the answer then says that the file is missing.
    known = [*migrations, *(_stand_in(row, None) for row, migration in history if migration is None)]
    command = "/rollback to" if request.what == "to" else "/rollback"
    wanted = resolve(request.migration or "", known, command)
    at = next((i for i, pair in enumerate(history) if _stand_in(*pair).name == wanted.name), None)
    newest = _stand_in(*history[-1]).name
    if at is None:
        raise Refused(
            "E-NOT-APPLIED",
            f"`{wanted.name}` is not applied; newest is `{newest}`.",
            f"`migrations` lists all. {NOTHING}",
        )
    if request.what == "from":
        return at
    if at == len(history) - 1:
        raise Refused("E-NOTHING", f"Nothing is applied after `{wanted.name}`.", NOTHING)
    return at + 1


def _with_files(pairs: Sequence[tuple[Applied, Migration | None]]) -> tuple[Item, ...]:
    """Raises Refused (E-FILE-MISSING) naming all rows that no file belongs to."""
    missing = [row.version for row, migration in pairs if migration is None]
    if missing:
        raise file_missing(missing)
    return tuple((row, migration) for row, migration in pairs if migration)


def _each_has_a_script(undo: Sequence[Item]) -> None:
    """Raises Refused naming all that lack one (E-NO-SCRIPT), or the first whose files cannot be read (E-SCRIPT)."""
    for _, migration in undo:
        if migration.refused:
            raise Refused("E-SCRIPT", f"{migration.refused}.", f"I cannot undo `{migration.name}`. {NOTHING}")
    lacking = [f"`{migration.name}`" for _, migration in undo if migration.rollback is None]
    if lacking:
        have = "have no rollback scripts" if len(lacking) > 1 else "has no rollback script"
        why = next((f" ({one.irreversible})" for _, one in undo if one.rollback is None and one.irreversible), "")
        message = f"{', '.join(lacking)} {have}{why}. I do not guess one."
        raise Refused("E-NO-SCRIPT", message, f"Write it, then ask again. {NOTHING}")


def only_the_newest(selection: Selection, layout: str) -> Refused:
    """`--only` where the history table keeps nothing but the current version."""
    alone, later = selection.undo[0][1].name, ", ".join(f"`{name}`" for name in selection.kept_after)
    return Refused(
        "E-ONLY-DEPENDS",
        f"`{alone}` cannot be undone alone: {layout} keeps one row, the current version, and {later} came later.",
        f"`/rollback {alone}` undoes them together. {NOTHING}",
        (f"/rollback {alone}",),
    )


def _stand_in(row: Applied, migration: Migration | None) -> Migration:
    """For a row whose files are gone: the row's own words."""
    name = row.version.removesuffix(".sql")
    return migration or Migration(name.partition("_")[0], name)


def _shown(word: str) -> str:
    return word[:60].replace("`", "?")


# -- what exactly is approved ------------------------------------------------------------------------------


def facts(run: Run, target: Target, identified: Json, effect: str, objects: str) -> Json:
    """Everything that an approval is bound to. `objects`: hash of the definitions that the scripts touch."""
    return {
        "database": {key: identified["database"][key] for key in ("name", "oid", "system_identifier")},
        "history table": identified["history_table"],
        "applied migrations": identified["applied"],
        "scripts": [
            [i["version"], i["name"], i["script"]["sha256"]] for i in identified.get("undo") or identified["redo"]
        ],
        "touched objects": objects,
        "effect": effect,
        "policy": {"target": target.name, "approvals": run.needed, "approvers": sorted(target.deciders)},
        "requester": run.requester.id,
        **({"saved rows": identified["saved"]["sha256"], "of": run.request.origin} if run.kind == "reapply" else {}),
    }


def objects(live: Mapping[Any, str], changes: Sequence[Json]) -> str:
    """SHA-256 over the definitions, on the target itself, of what the rehearsal changed, and of whole dropped tables."""
    touched = {(change["kind"], change["object"]) for change in changes if change["change"] != "added"}
    tables = {item for kind, item in touched if kind == "table"}
    held = sorted(
        [*key, text]
        for key, text in live.items()
        if tuple(key) in touched or schema.table_of(key.kind, key.identity, text) in tables
    )
    return hashlib.sha256(canonical(held).encode()).hexdigest()


def digest(approved: Json) -> str:
    """SHA-256 (64 hex digits) of the facts; its first 12 digits name the plan in messages."""
    return hashlib.sha256(canonical(approved).encode()).hexdigest()


def drift(approved: Json, found: Json) -> list[str]:
    """What changed between two sets of facts, one sentence each; empty where the digest is the same."""
    changed = [key for key in approved if approved[key] != found.get(key)]
    return [_sentence(key, approved[key], found.get(key)) for key in changed]


def _sentence(key: str, before: Any, after: Any) -> str:
    if key == "applied migrations":
        new = [f"`{v}` was applied" for v in after if v not in before]
        gone = [f"`{v}` is no longer applied" for v in before if v not in after]
        return "; ".join(new + gone) or "the order of the applied migrations changed"
    if key == "scripts":
        was, live = ({item[1]: item[2] for item in side} for side in (before, after))
        edited = [f"the rollback script of `{n}` was edited" for n in live if n in was and was[n] != live[n]]
        more = [f"`{n}` would be rolled back too" for n in live if n not in was]
        less = [f"`{n}` would no longer be rolled back" for n in was if n not in live]
        return "; ".join(edited + more + less) or "the order of the rollback scripts changed"
    if key == "touched objects":
        return "tables or other objects that the scripts touch were altered"
    return f"the {key} changed"


def _ambiguous(word: str, found: Sequence[Migration], command: str) -> Refused:
    few = ", ".join(f"`{m.name}`" for m in found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
    return Refused(
        "E-MIGRATION-AMBIGUOUS",
        f"{len(found)} migrations begin with `{_shown(word)}`: {few}.",
        f"Say which one. {NOTHING}",
        options=tuple(f"{command} {m.name}" for m in found[:5]),
    )


def _unknown(word: str, migrations: Sequence[Migration], command: str) -> Refused:
    """With near misses: the same number, a like name, or a like name without its number."""
    near = [m.name for m in migrations if number(word) is not None and number(m.version) == number(word)]
    near = near or nearest(word, [m.name for m in migrations])
    near = near or [m.name for m in migrations if nearest(word, [m.name.partition("_")[2]])]
    meant = f" Did you mean {' or '.join(f'`{name}`' for name in near[:3])}?" if near else ""
    return Refused(
        "E-MIGRATION-UNKNOWN",
        f"I know no migration `{_shown(word)}`.{meant}",
        NOTHING if near else f"`migrations` lists them. {NOTHING}",
        options=tuple(f"{command} {name}" for name in near[:3]),
    )
