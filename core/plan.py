"""Which migrations a request undoes, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import Refused
from core.layouts import Applied, Migration, file_missing, find, nearest, number
from core.model import Request

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
    undo = tuple(_item(row, migration) for row, migration in reversed(history[at:end]))
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
        [m for m in migrations if m.name.lower() == word.lower()],
        [m for m in migrations if number(word) is not None and number(m.version) == number(word)],
        [m for m in migrations if word and m.name.lower().startswith(word.lower())],
    )
    found = next((way for way in ways if way), [])
    if len(found) == 1:
        return found[0]
    if found:
        few = ", ".join(f"`{m.name}`" for m in found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
        raise Refused(
            "E-MIGRATION-AMBIGUOUS",
            f"{len(found)} migrations begin with `{_shown(word)}`: {few}.",
            f"Say which one. {NOTHING}",
            options=tuple(f"{command} {m.name}" for m in found[:5]),
        )
    near = nearest(word, [m.name for m in migrations]) or [
        m.name for m in migrations if nearest(word, [m.name.partition("_")[2]])
    ]
    meant = f" Did you mean {' or '.join(f'`{name}`' for name in near[:3])}?" if near else ""
    raise Refused(
        "E-MIGRATION-UNKNOWN",
        f"I know no migration `{_shown(word)}`.{meant}",
        f"`migrations` lists them. {NOTHING}" if not near else NOTHING,
        options=tuple(f"{command} {name}" for name in near[:3]),
    )


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
        raise Refused("E-NOT-APPLIED", f"`{wanted.name}` is not applied; newest is `{newest}`.", NOTHING)
    if request.what == "from":
        return at
    if at == len(history) - 1:
        raise Refused("E-NOTHING", f"Nothing is applied after `{wanted.name}`.", NOTHING)
    return at + 1


def _item(row: Applied, migration: Migration | None) -> Item:
    if migration is None:
        raise file_missing([row.version])
    return row, migration


def _each_has_a_script(undo: Sequence[Item]) -> None:
    """Raises Refused (E-NO-SCRIPT) naming all that lack one: people should not find them one at a time."""
    lacking = [f"`{migration.name}`" for _, migration in undo if migration.rollback is None]
    if lacking:
        have = "have no rollback scripts" if len(lacking) > 1 else "has no rollback script"
        raise Refused("E-NO-SCRIPT", f"{', '.join(lacking)} {have}. I do not guess one.", NOTHING)


def _stand_in(row: Applied, migration: Migration | None) -> Migration:
    """For a row whose files are gone: the row's own words."""
    name = row.version.removesuffix(".sql")
    return migration or Migration(name.partition("_")[0], name, None, None)


def _shown(word: str) -> str:
    return word[:60].replace("`", "?")
