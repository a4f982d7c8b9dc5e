"""Rows of the target that saved rows refer to, brought to a scratch copy of its schema: then a re-apply can be tried on it.

Only rows whose keys stand in the save are read, by those keys, in batches; the target is only read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, LiteralString

from psycopg import sql

from core import postgres, schema
from core.save import archive
from core.save.items import item_of
from core.save.links import ForeignKey
from core.save.put_back import Save
from core.save.stage import Stage
from core.save.take import columns

BATCH = 2_000  # keys in one question to the target
STORED: LiteralString = """
    SELECT array_agg(a.attname::text ORDER BY a.attnum), array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum)
      FROM pg_catalog.pg_attribute a
     WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''"""


def may_bring(copy: postgres.Connection) -> bool:
    """Only a superuser of the scratch server can load rows without the rows that they refer to in turn."""
    return bool(postgres.scalar(copy, "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"))


def bring(target: postgres.Connection, copy: postgres.Connection, save: Save, new: Sequence[ForeignKey]) -> int:
    """Parents that `new` foreign keys ask for, and rows that values, updates and deletions belong to; how many rows.

    Both connections are in no transaction. Raises psycopg.Error.
    """
    count = 0
    with copy.transaction(), target.transaction():
        copy.execute("SET LOCAL session_replication_role = replica")
        with postgres.printing(copy), postgres.printing(target), archive.reading(save.file) as parts:
            for n, (about, rows) in enumerate(parts):
                if "parts" in about:
                    continue
                item = item_of(about)
                stage = Stage(copy, n, item, rows)
                for table, keys, sides in _wanted(stage, new):
                    count += _bring(target, copy, stage, table, keys, sides)
    return count


def _wanted(stage: Stage, new: Sequence[ForeignKey]) -> Iterator[tuple[str, Sequence[str], Sequence[str]]]:
    """Table, its key columns, and the columns of the stage that hold such keys."""
    item = stage.item
    for key in new:
        if key.table == item.table and set(key.columns) <= {*item.columns}:
            yield key.parent, key.targets, [f"o{item.columns.index(column) + 1}" for column in key.columns]
    if item.kind in ("values", "retyped"):
        yield item.table, item.key, [f"k{n}" for n in range(1, len(item.key) + 1)]
    elif item.key and item.stays:
        for side in "on" if item.kind == "touched" else "o":
            yield item.table, item.key, [f"{side}{item.columns.index(column) + 1}" for column in item.key]


def _bring(
    target: postgres.Connection,
    copy: postgres.Connection,
    stage: Stage,
    table: str,
    keys: Sequence[str],
    sides: Sequence[str],
) -> int:
    name = sql.Identifier(*schema.names(table))
    stored = postgres.execute(target, STORED, name.as_string(target))[0]
    if stored[0] is None:
        return 0  # not there: the saved rows that need it will be told as orphans
    listed, types = stored[0], dict(zip(*stored, strict=True))
    held = sql.Identifier("rollback_brought")
    copy.execute(
        sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} LIMIT 0").format(held, columns(listed), name)
    )
    for values in _keys(copy, stage, sides):
        arrays = sql.SQL(", ").join(
            sql.SQL("{}::text[]::{}[]").format(sql.Literal([row[i] for row in values]), sql.SQL(types[key]))
            for i, key in enumerate(keys)
        )
        match = sql.SQL(" AND ").join(
            sql.SQL("t.{} = k.{}").format(sql.Identifier(key), sql.Identifier(f"k{i}")) for i, key in enumerate(keys)
        )
        names = sql.SQL(", ").join(sql.Identifier(f"k{i}") for i in range(len(keys)))
        chosen = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(column)) for column in listed)
        query = sql.SQL("COPY (SELECT {} FROM {} t JOIN unnest({}) AS k ({}) ON {}) TO STDOUT").format(
            chosen, name, arrays, names, match
        )
        into = sql.SQL("COPY {} ({}) FROM STDIN").format(held, columns(listed))
        with target.cursor().copy(query) as out, copy.cursor().copy(into) as taken:
            for block in out:
                taken.write(block)
    done = copy.execute(
        sql.SQL("INSERT INTO {} ({c}) OVERRIDING SYSTEM VALUE SELECT {c} FROM {} ON CONFLICT DO NOTHING").format(
            name, held, c=columns(listed)
        )
    ).rowcount
    copy.execute(sql.SQL("DROP TABLE {}").format(held))
    return done


def _keys(copy: postgres.Connection, stage: Stage, sides: Sequence[str]) -> Iterator[list[Any]]:
    """Distinct keys without NULLs, in batches."""
    names = sql.SQL(", ").join(map(sql.Identifier, sides))
    whole = sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(sql.Identifier(side)) for side in sides)
    query = sql.SQL("SELECT DISTINCT {} FROM {} WHERE {}").format(names, stage.table, whole)
    with copy.cursor("rollback_keys") as cursor:
        cursor.execute(query)
        while rows := cursor.fetchmany(BATCH):
            yield rows
