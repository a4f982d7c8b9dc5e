"""Rows of the target that saved rows refer to, brought to a scratch copy of its schema: then a re-apply can be tried on it.

Only rows whose keys stand in the save are read, by those keys, in batches; the target is only read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, LiteralString

from psycopg import sql

from core import postgres
from core.save import archive
from core.save.items import item_of
from core.save.links import ForeignKey
from core.save.put_back import Save
from core.save.stage import Stage, every
from core.save.texts import columns, identifiers, listed, oid_of, whole

BATCH = 2_000  # keys in one question to the target
SUPERUSER: LiteralString = "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"


def may_bring(copy: postgres.Connection) -> bool:
    """Only a superuser of the scratch server can load rows without the rows that they refer to in turn."""
    return bool(postgres.scalar(copy, SUPERUSER))


def bring(target: postgres.Connection, copy: postgres.Connection, save: Save, keys: Sequence[ForeignKey]) -> int:
    """Parents that `keys` ask for, and rows that values, updates and deletions belong to; how many rows.

    `keys` are the foreign keys that there will be. Both connections are in no transaction. Raises psycopg.Error.
    """
    count = 0
    with copy.transaction(), target.transaction():
        copy.execute("SET LOCAL session_replication_role = replica")
        with postgres.printing(copy), postgres.printing(target), archive.reading(save.file) as saved:
            for n, part in enumerate(saved.parts):
                stage = Stage(copy, n, part, item_of(part), saved.rows(part))
                for table, names, sides in _wanted(stage, keys):
                    count += _bring(target, copy, stage, table, names, sides)
    return count


def _wanted(stage: Stage, keys: Sequence[ForeignKey]) -> Iterator[tuple[str, Sequence[str], Sequence[sql.Composable]]]:
    """A table as it is called now, columns of it, and what stands for them in the stage."""
    item, now = stage.item, stage.part["now"]
    for key in keys:
        if key.table in (item.table, item.family) and {*key.columns} <= {*item.columns}:
            yield key.parent, key.targets, [stage.old(name) for name in key.columns]
    if now:
        called = now["columns"]
        own = item.key if item.key else [name for name in item.columns if name in called]
        for side in (stage.old, stage.new):
            if {*own} <= called.keys():
                yield now["table"], [called[name] for name in own], [side(name) for name in own]


def _bring(
    target: postgres.Connection,
    copy: postgres.Connection,
    stage: Stage,
    table: str,
    names: Sequence[str],
    sides: Sequence[sql.Composable],
) -> int:
    there, here = columns(target, oid_of(target, table) or 0), oid_of(copy, table)
    if not here or not {*names} <= there.keys():
        return 0  # not there: the saved rows that need it will be told as orphans
    name = sql.SQL(table)
    stored = identifiers([own.name for own in there.values() if not own.generated])
    held = sql.Identifier("rollback_brought")
    empty = sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} LIMIT 0")
    copy.execute(empty.format(held, stored, name))
    for values in _keys(copy, stage, sides):
        # by the columns' own equality an index serves, by their text a NULL is found too
        keys = listed(sql.Literal([row[i] for row in values]) + sql.SQL("::text[]") for i in range(len(names)))
        alias = listed(sql.Identifier(f"k{i}") for i in range(len(names)))
        saved = [sql.SQL("k.") + sql.Identifier(f"k{i}") for i in range(len(names))]
        if stage.item.weak:
            match = sql.SQL("{} = {}").format(whole(there[one].text() for one in names), whole(saved))
        else:
            match = every(there[one].equals(k, there[one].type) for one, k in zip(names, saved, strict=True))
        query = sql.SQL("COPY (SELECT {} FROM {} t WHERE EXISTS (SELECT FROM unnest({}) AS k ({}) WHERE {})) TO STDOUT")
        into = sql.SQL("COPY {} ({}) FROM STDIN").format(held, stored)
        out = query.format(
            sql.SQL(", ").join(sql.SQL("t.") + sql.Identifier(own.name) for own in there.values() if not own.generated),
            name,
            keys,
            alias,
            match,
        )
        with target.cursor().copy(out) as given, copy.cursor().copy(into) as taken:
            for block in given:
                taken.write(block)
    put = sql.SQL("INSERT INTO {} ({c}) OVERRIDING SYSTEM VALUE SELECT {c} FROM {} ON CONFLICT DO NOTHING")
    done = copy.execute(put.format(name, held, c=stored)).rowcount
    copy.execute(sql.SQL("DROP TABLE {}").format(held))
    return done


def _keys(copy: postgres.Connection, stage: Stage, sides: Sequence[sql.Composable]) -> Iterator[list[Any]]:
    """Distinct keys, in batches; without NULLs where they are keys."""
    given = sql.SQL("true") if stage.item.weak else every(sql.SQL("{} IS NOT NULL").format(side) for side in sides)
    query = sql.SQL("SELECT DISTINCT {} FROM {} s WHERE {}").format(listed(sides), stage.table, given)
    with copy.cursor("rollback_keys") as cursor:
        cursor.execute(query)
        while rows := cursor.fetchmany(BATCH):
            yield rows
