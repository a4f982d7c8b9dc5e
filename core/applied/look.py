"""Looks at a target's history table, and notes what has changed in it since the last look: its scripts go into the audit trail."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import structlog

from core import layouts, postgres
from core.applied import seen, stored
from core.applied.seen import Seen
from core.errors import Refused
from core.layouts import Applied, History, Migration, Part
from core.layouts.table import Missing
from core.ledger import Ledger, Transaction, stamp
from core.model import Json, Run, State
from core.redact import holds_secret, pg_error
from core.settings import Settings, Target

log = structlog.get_logger()
CHANGING = frozenset({State.EXECUTING, State.NEEDS_A_PERSON})
"""States of a run in which the table may be changed and the audit trail not yet say so."""
TOOK_OUT = """
    SELECT run, max(id) FROM events
     WHERE (kind = 'step_done' AND json_extract(data, '$.step') = 'execute' OR kind = 'kept')
       AND run IN (SELECT id FROM rollbacks WHERE target = ? AND what <> 'reapply')
     GROUP BY run ORDER BY 2 DESC"""
"""Runs that have changed a target's history, wholly or left half done, and with which event this was known."""
KEPT = "SELECT 1 FROM scripts WHERE sha256 = ? AND bytes = ?"


def look(ledger: Ledger, settings: Settings, name: str) -> None:
    """One look at one target; what has changed is one transaction. The first one takes down all that is there.

    By one process at a time, under the lock `watch NAME`. Raises Refused: the target or its folder cannot be read now.
    """
    target = stored.into(ledger, settings.target(name))
    layout, before = layouts.of(target), seen.of(ledger, name)
    try:
        history, gone = read(layout, target), False
    except Missing:
        if not before.applied:
            raise
        history, gone = History("", "", "", ()), True
    files = [] if gone else layout.migrations()
    if any(run.target == name and run.state in CHANGING for run in ledger.open_runs()):
        return  # read before: what it has changed by now may be in no event yet
    with ledger.transaction() as t:
        if not before.looked:
            t.append(None, "history_seen", {"target": name, "versions": [row.version for row in history.applied]})
        note_gone(t, ledger, target, before, history, gone)
        note_new(t, ledger, target, before, history, files, layout.row_each)
        note_edits(t, target, before, history, files)
        put_back(t, ledger, target, before, files)


def read(layout: layouts.Layout, target: Target) -> History:
    """The history table, but not for long: a migration that is running may lock it. Raises Refused."""
    try:
        with postgres.target(target.database_url.get_secret_value(), "watching", target.name) as conn:
            conn.execute("SET statement_timeout = '5s'")
            return layout.history(conn)
    except psycopg.Error as error:
        raise Refused("E-DB", f"*{target.name}* broke off: {pg_error(error)}.", "It is looked at again.") from None


# -- what is new ---------------------------------------------------------------------------------------------


def note_new(
    t: Transaction,
    ledger: Ledger,
    target: Target,
    before: Seen,
    history: History,
    files: Sequence[Migration],
    row_each: bool,
) -> None:
    """Each migration that was not there, and each that lacked a script which the folder has by now.

    `row_each`: as the layout says. Where the table names the newest one alone, an older one is new in the folder only.
    """
    places = {one.name: place for place, one in enumerate(files)}
    found = [(row, layouts.find(files, row.version)) for row in history.applied]
    newest = max((places[one.name] for row, one in found if one and row.version in before.applied), default=-1)
    for row, one in found:
        known = before.applied.get(row.version)
        late = known is None and before.looked and one is not None and places[one.name] < newest
        if late and not row_each:
            continue
        if known is None or lacks(known.data, one):
            note(t, target, row, one, late and not put_in_again(ledger, before, row.version))


def put_in_again(ledger: Ledger, before: Seen, version: str) -> bool:
    """Has a way back of ours applied it again? That run has told of it."""
    _, by = before.gone.get(version, (None, None))
    return by is not None and ledger.run(by).state in stored.UNDONE


def lacks(known: Json, one: Migration | None) -> bool:
    """Has the folder a script that was not there when the migration was noted?"""
    return one is not None and any(part and not known[side] for side, part in sides(one))


def sides(one: Migration) -> tuple[tuple[str, Part | None], ...]:
    """Both scripts. One with a password of ours in it would be refused anyway, and is not kept."""
    return ("forward", harmless(one.forward)), ("rollback", harmless(one.rollback))


def harmless(part: Part | None) -> Part | None:
    return None if part is None or holds_secret(part.data.decode("utf-8", "replace")) else part


def note(t: Transaction, target: Target, row: Applied, one: Migration | None, late: bool) -> None:
    """One event `applied`, and the bytes of both scripts beside it."""
    told = {side: kept(t, part) for side, part in sides(one)} if one else {"forward": None, "rollback": None}
    t.append(
        None,
        "applied",
        {
            "target": target.name,
            "version": row.version,
            "name": one.name if one else None,
            "applied_at": stamp(row.applied_at) if row.applied_at else None,
            **told,
            "irreversible": one.irreversible if one else "",
            "out_of_order": late,
        },
    )


def kept(t: Transaction, part: Part | None) -> Json | None:
    """A script as its event names it."""
    if part is None:
        return None
    return {
        "file": part.file,
        "sha256": t.keep(part.data),
        "bytes": len(part.data),
        "transaction": part.transaction,
    }


def note_edits(t: Transaction, target: Target, before: Seen, history: History, files: Sequence[Migration]) -> None:
    """Each script that is another one than was applied, once for each new one."""
    for row in history.applied:
        one = layouts.find(files, row.version) if row.version in before.applied else None
        for _, part in sides(one) if one else ():
            if part and part.was:
                edit = {"name": part.file, "is": stored.digest(part.data)}
                if (edit["name"], edit["is"]) not in before.edits:
                    t.append(None, "script_edited", {"target": target.name, "was": part.was, **edit})


def put_back(t: Transaction, ledger: Ledger, target: Target, before: Seen, files: Sequence[Migration]) -> None:
    """Keep again what was kept, where the audit trail has lost the bytes or has others, and the folder has them."""
    events = [*before.kept.values(), *(event for event, _ in before.gone.values())]
    named = {told["sha256"] for event in events for told in (event.data["forward"], event.data["rollback"]) if told}
    for part in (part for one in files for _, part in sides(one) if part and not part.stored):
        digest = stored.digest(part.data)
        if digest in named and not ledger.look(KEPT, digest, part.data):
            t.keep(part.data)
            log.warning("the bytes of a script were put back", target=target.name, file=part.file, sha256=digest)


# -- what is gone --------------------------------------------------------------------------------------------


def note_gone(t: Transaction, ledger: Ledger, target: Target, before: Seen, history: History, no_table: bool) -> None:
    """What was applied and is no longer there: by which run of ours, or by hand. No row at all is something else, and no table."""
    there = {row.version for row in history.applied}
    gone: dict[str | None, list[str]] = {}
    runs = (
        [(ledger.run(run), event) for run, event in ledger.look(TOOK_OUT, target.name)]
        if before.applied.keys() - there
        else []
    )
    for version, applied in before.applied.items():
        if version not in there:
            by = next((run.id for run, event in runs if event > applied.id and took_out(run, version)), None)
            gone.setdefault(by, []).append(version)
    for run, versions in gone.items():
        if run is None and not there:
            t.append(None, "history_emptied", {"target": target.name, "versions": versions, "no_table": no_table})
        else:
            t.append(None, "unapplied", {"target": target.name, "versions": versions, "by": run})


def took_out(run: Run, version: str) -> bool:
    """May it be this run that took the version out? A restore puts another history in the place of this one."""
    if run.kind == "restore":
        return version not in run.evidence["identify"]["will_apply"]
    return version in [item["version"] for item in run.going]
