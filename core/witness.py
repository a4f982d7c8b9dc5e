"""The outside witness: digests of events that were posted in a channel, held against the ledger.

Whoever can write the file can rebuild the whole chain, and all that follows from it. What was posted lies outside the
file; one digest vouches for its event and, through the chain, for every event before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from core.chain import Rows

EXACT = ("thread", "call", "drill", "due", "witness", "witness root")
"""Places (`posts.place`) whose message shows the digest of just the event that their row names; `due` until it is edited, then it counts no more."""
MOST = 20  # sentences of each sort


@dataclass(frozen=True)
class Witness:
    """A digest that was posted: the first 16 to 64 hex digits of event `number`.

    `where` tells a person where it stands. `channel`, `ts` and `run` are known where it was read from Slack itself.
    """

    number: int
    digest: str
    where: str
    channel: str = ""
    ts: str = ""
    run: str = ""


@dataclass(frozen=True)
class Posted:
    """What was read, and from where. `unread`: one sentence for each channel that could not be read.

    `edited`: messages of ours with a digest that do not count, since they were edited. `own`: every message of ours in
    the channels that were read whole, as (channel, ts); `oldest`: by channel, the ts of the oldest; `until`: the ts up
    to which nothing can have been posted while we read. These three are empty where a file was read.
    """

    witnesses: tuple[Witness, ...]
    places: tuple[str, ...]
    unread: tuple[str, ...] = ()
    edited: int = 0
    own: frozenset[tuple[str, str]] = frozenset()
    oldest: Mapping[str, str] = field(default_factory=dict)
    until: str = ""


@dataclass(frozen=True)
class Held:
    """What holding it against the ledger found. `faults` holds one sentence each, the lowest event first.

    `agree`: how many witnesses agree; `newest`: the newest of these; `since`: how many events come after it, which only
    the chain covers; `sound`: up to which event the ledger is as it was posted, where a fault was found.
    """

    witnesses: int
    agree: int
    newest: Witness | None
    since: int
    sound: int
    faults: tuple[str, ...]
    said: Posted


def hold(conn: Rows, said: Posted) -> Held:
    """Hold what was posted against the ledger. The chain itself is checked by `core.chain.verify`."""
    (head,) = conn.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()
    agree: list[Witness] = []
    against: list[tuple[int, str]] = []
    for one in sorted(said.witnesses, key=lambda each: (each.number, each.ts, each.where)):
        row = conn.execute("SELECT digest FROM events WHERE id = ?", [one.number]).fetchone()
        if row and isinstance(row[0], str) and row[0].startswith(one.digest):
            agree.append(one)
        else:
            against.append((one.number, _contradiction(one, row[0] if row else None, head)))
    faults = [sentence for _, sentence in against]
    if not agree and not against and head:
        faults.append(f"nothing that was read carries a digest, so that nothing vouches for {head} events")
    newest = agree[-1] if agree else None
    before = [one.number for one in agree if not against or one.number < against[0][0]]
    shown = [*faults[:MOST], *list(_posts(conn, said, {number for number, _ in against}))[:MOST]]
    since = head - newest.number if newest else head
    return Held(len(said.witnesses), len(agree), newest, since, max(before, default=0), tuple(shown), said)


def _contradiction(one: Witness, there: object, head: int) -> str:
    if there is None and one.number > head:
        return f"event {one.number} was posted, but the ledger ends with event {head}: its tail was cut ({one.where})"
    if there is None:
        return f"event {one.number} was posted, but is not in the ledger ({one.where})"
    return f"event {one.number} was posted as {one.digest[:16]}, but is now {str(there)[:16]} ({one.where})"


def _posts(conn: Rows, said: Posted, skip: set[int]) -> Iterator[str]:
    """Does the table `posts` tell what stands in the channels that were read? Direct messages were not."""
    (told,) = conn.execute("SELECT coalesce(max(event), 0) FROM posts WHERE place = 'told'").fetchone()
    rows = conn.execute("SELECT channel, ts, event, place, run FROM posts WHERE ts IS NOT NULL").fetchall()
    kept = {(str(channel), str(ts)): (event, str(place), run) for channel, ts, event, place, run in rows}
    for (channel, ts), (event, place, _) in kept.items():
        if channel in said.oldest and said.oldest[channel] <= ts <= said.until and (channel, ts) not in said.own:
            yield f"`posts` has a message for event {event} ({place}) in {channel} at {ts}, where none of ours stands"
    # a message whose answer was lost has no row, but stands beside one that has
    known = {(at[0], f"thread {event}") for at, (event, _, _) in kept.items() if at in said.own}
    known |= {(at[0], place) for at, (_, place, _) in kept.items() if at in said.own}
    for one in said.witnesses:
        row = kept.get((one.channel, one.ts))
        if not one.channel or one.number in skip:
            continue
        if row is None:
            if one.number <= told and (one.channel, f"thread {one.number}") not in known:
                yield f"event {one.number} was posted, but `posts` has no row for it ({one.where})"
        elif row[2] != (one.run or None) or not _names(one.number, row[0], row[1]):
            yield f"`posts` says event {row[0]} where event {one.number} was posted ({one.where})"


def _names(number: int, event: object, place: str) -> bool:
    """May a row of that event and place have the digest of event `number`? A new card tells its earlier events too."""
    if place.startswith("thread "):
        return place == f"thread {number}"
    return place not in EXACT or event == number
