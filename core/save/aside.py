"""Saved rows that do not fit, in a file of their own, each with the reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from psycopg import sql

from core import postgres
from core.model import Json
from core.save.archive import Writer
from core.save.items import Item
from core.save.stage import REASONS, Stage, any_of
from core.save.take import copy
from core.save.texts import listed


class Aside:
    """`told`: {"table", "kind", "rows", "why", "reason"} of each part. The file is opened for the first of them."""

    def __init__(self, conn: postgres.Connection, first: Callable[[], Writer]) -> None:
        self.conn, self.first = conn, first
        self.writer: Writer | None = None
        self.told: list[Json] = []

    def put(self, stage: Stage) -> None:
        """The rows of a stage that have a reason."""
        for why, rule in stage.left():
            query = sql.SQL("(SELECT {} FROM {} WHERE why = {} AND rule IS NOT DISTINCT FROM {})")
            self._copy(stage.item, query.format(listed(stage.listed), stage.table, why, rule), why, rule)

    def put_columns(self, stage: Stage, names: Sequence[str]) -> None:
        """Values for which there is no column, of rows that otherwise go back."""
        item, columns = stage.item, [*stage.item.key, *(name for name in names if name not in stage.item.key)]
        some = any_of(sql.SQL("{} IS NOT NULL").format(stage.old(name)) for name in names)
        if stage.count(some):
            types = dict(zip(item.columns, item.types, strict=True))
            numbers = dict(zip(item.columns, item.numbers, strict=True))
            part = replace(
                item, kind="values", columns=tuple(columns), lost=tuple(names), types=tuple(types[c] for c in columns),
                numbers=tuple(numbers[c] for c in columns),
            )  # fmt: skip
            query = sql.SQL("(SELECT {} FROM {} s WHERE s.why IS NULL AND {})")
            self._copy(part, query.format(listed(map(stage.old, columns)), stage.table, some), "no_place", None)

    def close(self) -> None:
        """On disk for good, where there is anything."""
        if self.writer:
            self.writer.close({"aside": self.told})

    def _copy(self, item: Item, query: sql.Composable, why: str, rule: str | None) -> None:
        self.writer = self.writer or self.first()
        count = copy(self.conn, item, self.writer, query, why=why)
        reason = REASONS[why] + (f" (`{rule}`)" if rule else "")
        self.told.append({"table": item.table, "kind": item.kind, "rows": count, "why": why, "reason": reason})
