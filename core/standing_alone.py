"""Statements that cannot run in a transaction, and that the catalogs can be asked after: what they are, how else they run."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from core.script_tree import enum_name


@dataclass(frozen=True)
class Alone:
    """A statement that runs outside a transaction, and can be asked after. Names are quoted as SQL needs them.

    `kind`: create index, drop index, detach partition; `table`: the table, of "drop index" empty; `name`: the index
    (of "create index" bare, it lies in the table's schema) or the partition; `inside`: how it runs in a transaction.
    """

    kind: str
    table: str
    name: str
    inside: str


def alone(node: Any, sql: str) -> Alone | None:
    """What a statement is that runs by itself, outside a transaction; None for all others."""
    name = (node.WhichOneof("node") or "") if node is not None else ""
    tree: Any = getattr(node, name) if name else None
    if name == "index_stmt" and tree.concurrent:
        return Alone("create index", _qualified(tree.relation), tree.idxname, without_concurrently(sql))
    if name == "drop_stmt" and tree.concurrent:
        words = [part.string.sval for part in tree.objects[0].list.items]
        return Alone("drop index", "", ".".join(map(_quoted, words)), without_concurrently(sql))
    if name == "alter_table_stmt" and (child := _detached_concurrently(tree)) is not None:
        return Alone("detach partition", _qualified(tree.relation), _qualified(child), without_concurrently(sql))
    return None


def without_concurrently(sql: str) -> str:
    """The statement as it may run in a transaction: the same effect, under stronger locks."""
    postgast = import_module("postgast")
    raw = sql.encode()
    for token in postgast.scan(sql).tokens:
        if postgast.pg_query_pb2.Token.Name(token.token) == "CONCURRENTLY":
            return (raw[: token.start] + raw[token.end :].lstrip()).decode()
    return sql


def _qualified(relation: Any) -> str:
    return ".".join(_quoted(word) for word in (relation.schemaname, relation.relname) if word)


def _quoted(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'


def _detached_concurrently(tree: Any) -> Any:
    """The partition, or None. PostgreSQL lets such a command stand alone in its ALTER TABLE."""
    for command in (c.alter_table_cmd for c in tree.cmds):
        if enum_name(command, "subtype") == "AT_DetachPartition" and getattr(command, "def").partition_cmd.concurrent:
            return getattr(command, "def").partition_cmd.name
    return None
