"""What became of each row that the scripts changed in a table that stays: the sum of all that was caught.

Rows are told apart by what they look like alone. Each change ends one image of a row and begins another, so the changes
form paths from image to image, in whatever order they were caught. A path that begins with an image nobody made is a row
that was there before; where it ends is what became of it. What the scripts made themselves is nobody's loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from psycopg import sql

from core import postgres
from core.save.items import Item
from core.save.texts import Own, columns, listed, name_of, whole
from core.save.watch import kept

LINKS = sql.SQL("""
    CREATE TEMP TABLE {links} ON COMMIT DROP AS
      WITH ends AS (
        SELECT seq, {was} AS image, row_number() OVER (PARTITION BY {was} ORDER BY seq) AS i FROM {kept} WHERE op <> 'I'
      ), begins AS (
        SELECT seq, {became} AS image, row_number() OVER (PARTITION BY {became} ORDER BY seq) AS i FROM {kept} WHERE op <> 'D'
      )
      SELECT begins.seq, ends.seq AS next FROM ends LEFT JOIN begins USING (image, i)""")
"""Which change comes after which; `seq` is NULL where a path begins. Steps of their own: a planner that guesses would join all with all."""
LOST = sql.SQL("""
    CREATE TEMP TABLE {lost} ON COMMIT DROP AS
      WITH RECURSIVE walk AS (
        SELECT next AS first, next AS seq FROM {links} WHERE seq IS NULL
         UNION ALL
        SELECT w.first, n.next FROM walk w JOIN {links} n ON n.seq = w.seq
      )
      SELECT w.first, w.seq AS last FROM walk w WHERE NOT EXISTS (SELECT FROM {links} n WHERE n.seq = w.seq)""")
FOUND = sql.SQL("""
    SELECT CASE WHEN t.now IS NULL THEN 'deleted' WHEN l.op = 'U' AND {moved} THEN 'moved' ELSE 'updated' END, f.o, t.now
      FROM {lost} x JOIN {kept} f ON f.seq = x.first JOIN {kept} l ON l.seq = x.last
      LEFT JOIN LATERAL (SELECT {now} AS now FROM {source} t WHERE {match}) t ON true""")
SEEN = sql.SQL("""
    SELECT CASE l.op WHEN 'U' THEN 'updated' ELSE 'deleted' END, f.o, l.n
      FROM {lost} x JOIN {kept} f ON f.seq = x.first JOIN {kept} l ON l.seq = x.last""")


def net(conn: postgres.Connection, n: int, item: Item) -> sql.Composed:
    """Rows (what, old, new) of what item `n` of the watch lost: `deleted`, `updated`, or `moved` to another key.

    `old` and `new` are arrays of texts, as long as `item.columns`. With a key `new` is the row as it is now, without one
    as it was caught.
    """
    now = standing(conn, item)
    places = [place for place, name in enumerate(item.columns) if name in now]
    every = len(places) == len(item.columns)
    was, became = (
        sql.SQL('{}::text COLLATE "C"').format(
            sql.SQL(side) if every else whole(sql.SQL(f"{side}[{place + 1}]") for place in places)
        )
        for side in "on"
    )
    links, lost = (sql.Identifier(f"rollback_{what}_{n}") for what in ("links", "lost"))
    analyze = sql.SQL("ANALYZE {}")
    conn.execute(analyze.format(kept(n)))
    conn.execute(LINKS.format(links=links, was=was, became=became, kept=kept(n)))
    conn.execute(analyze.format(links))
    conn.execute(LOST.format(links=links, lost=lost))
    conn.execute(analyze.format(lost))
    name = name_of(conn, item.oid)
    if item.weak or name is None or not now.keys() >= {*item.key}:
        return sql.SQL("({})").format(SEEN.format(kept=kept(n), lost=lost))
    keys = [item.columns.index(column) for column in item.key]
    olds, news = ([sql.SQL(f"{alias}[{place + 1}]") for place in keys] for alias in ("f.o", "l.n"))
    final = [
        sql.SQL("CASE l.op WHEN 'U' THEN {} ELSE {} END").format(new, old) for new, old in zip(news, olds, strict=True)
    ]
    match = sql.SQL(" AND ").join(
        now[column].equals(text, item.types[place]) for column, place, text in zip(item.key, keys, final, strict=True)
    )
    pieces = {
        "kept": kept(n),
        "lost": lost,
        "now": image(item, now),
        "source": replace(item, table=name).source,
        "match": match,
    }
    return sql.SQL("({})").format(FOUND.format(moved=sql.SQL("{} <> {}").format(whole(news), whole(olds)), **pieces))


def standing(conn: postgres.Connection, item: Item) -> Mapping[str, Own]:
    """The columns of an item as they are now, by the names that they had, whatever they are called now."""
    named = columns(conn, item.oid)
    there = {own.number: own for own in named.values()}
    found = {name: there[number] for name, number in zip(item.columns, item.numbers, strict=True) if number in there}
    return found | {name: named[name] for name in item.anew if name in named}


def image(item: Item, now: Mapping[str, Own]) -> sql.Composed:
    """The live row `t` as an array of texts, as long as the item's columns."""
    texts = [now[name].text() if name in now else sql.SQL("NULL") for name in item.columns]
    return sql.SQL("ARRAY[{}]::text[]").format(listed(texts))
