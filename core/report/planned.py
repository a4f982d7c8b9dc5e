"""What a packet says of the plan: what goes in which order, what is lost, the scripts whole."""

from __future__ import annotations

from collections.abc import Iterator

from core import printed_plan
from core.model import Json, Run
from core.quantities import number, plural, size
from core.report.case import Case
from core.report.happened import stamp
from core.report.model import Block, Code, Facts, Items, Table, Words, line, name, names, sentence
from core.telling import lock


def plan(case: Case) -> list[Block]:
    """What was planned, and what the rehearsal saw."""
    run = case.run
    if "identify" not in run.evidence:
        return [Words("There is no plan of it: it ended before, or the plan is being made.")]
    return [*_order(run), Facts((*_bound(run), *_seen(run))), *_locks(run)]


def _order(run: Run) -> Iterator[Block]:
    if not run.going:
        return
    rows = tuple(
        (str(nth), name(one["name"]), name(one["version"]), _applied(one), name(one["script"]["file"]))
        for nth, one in enumerate(run.going, 1)
    )
    yield Table(("Order", "Migration", "Version", "Applied, UTC", "Script"), rows)


def _applied(one: Json) -> str:
    """When a migration was applied, as the history table had it."""
    return stamp(one["applied_at"]) if one.get("applied_at") else "–"


def _bound(run: Run) -> Iterator[tuple[str, str]]:
    found, facts = run.evidence["identify"], run.evidence.get("rehearse", {}).get("facts") or {}
    if run.digest:
        yield "Plan", f"{name(run.digest)}, revision {run.revision}"
    if run.changed:
        yield "Changed since the revision before", "; ".join(map(sentence, run.changed))
    if run.kind != "restore":
        yield "Newest afterwards", name(found["stays"]) if found.get("stays") else "no migration is applied"
    if found.get("kept_after"):
        yield "Stays applied", names(found["kept_after"])
    yield "History table", name(found["history_table"])
    if facts.get("policy"):
        policy = facts["policy"]
        who = f" of {names(policy['approvers'])}" if policy.get("approvers") else ""
        yield "Approvals needed", f"{policy['approvals']}{who}"


def _seen(run: Run) -> Iterator[tuple[str, str]]:
    """What the rehearsal saw, in the words of the shell."""
    if "rehearse" not in run.evidence:
        yield "Rehearsal", "it was not rehearsed"
        return
    rows = printed_plan.price(run) if run.kind != "rollback" else []
    if run.kind != "restore":
        rows += [*printed_plan.restored(run), *printed_plan.staged(run)]
        rows += [*printed_plan.seen(run), *printed_plan.doubts(run)]
    yield from ((label[:1].upper() + label[1:], text) for label, text in rows)


def _locks(run: Run) -> list[Block]:
    found = run.evidence.get("rehearse", {}).get("locks", ())
    locks = tuple(f"{line(lock(one['mode']))} on {name(one['table'])}" for one in found)
    return [Items(locks, "Locks")] if locks else []


# -- losses --------------------------------------------------------------------------------------------------


def losses(case: Case) -> list[Block]:
    """What goes, or went, and where it is kept."""
    run = case.run
    if "rehearse" not in run.evidence:
        return [Words("Nothing was counted.")]
    counted = _counted(run) if run.kind == "rollback" else _since(run) if run.kind == "restore" else _back(run)
    return [*counted, *_kept(run)]


def _counted(run: Run) -> Iterator[Block]:
    found = run.evidence["rehearse"]["losses"]
    if not found:
        yield Words("No table and no column goes.")
        return
    yield Table(
        ("Kind", "Name", "Rows or values", "Written since the migration", "Last write, UTC"), tuple(map(_loss, found))
    )
    yield Words("Counted on the target while the plan was made.")


def _loss(one: Json) -> tuple[str, ...]:
    kind = "all rows of" if one["kind"] == "rows" else line(one["kind"])
    rows = "–" if "rows" not in one else "not counted" if one["rows"] is None else number(int(one["rows"]))
    about = "about " if one.get("about") and one.get("rows") is not None else ""
    since = number(int(one["since"])) if one.get("since") is not None else "–"
    last = stamp(one["last_write"]) if one.get("last_write") else "–"
    return kind, name(one["name"]), about + rows, since, last


def _since(run: Run) -> Iterator[Block]:
    """Of a restore: what was written since the backup, as it was at the swap where that has been."""
    swapped = "losses" in run.evidence.get("execute", {})
    found = run.evidence["execute" if swapped else "rehearse"]["losses"]
    if not found:
        yield Words("Nothing was written since the backup, as far as the rows tell.")
        return
    rows = tuple((name(one["table"].removeprefix("public.")), printed_plan.lost_of(one)) for one in found)
    yield Table(("Table", "Written since the backup"), rows)
    yield Words(f"Counted {'right before the swap' if swapped else 'while the plan was made'}.")


def _back(run: Run) -> Iterator[Block]:
    """Of a re-apply: nothing goes; what could not be put back."""
    executed = run.evidence.get("execute", {}).get("back")
    back = executed or run.evidence["rehearse"].get("back", {})
    verb = "were put back" if executed else "would be put back"
    yield Words(f"Nothing goes: {printed_plan.saved(back)} {verb}, every write made since stays.")
    aside = [
        f"{plural(one['rows'], 'row')} of {name(one['table'].removeprefix('public.'))}: {sentence(one['reason'])}"
        for one in back.get("aside", ())
    ]
    if aside:
        yield Items(tuple(aside), "Kept aside, since they no longer fit")


def _kept(run: Run) -> Iterator[Block]:
    executed = run.evidence.get("execute", {})
    held = executed.get("saved") or {}
    if held.get("file"):
        parts = tuple(
            (line(one["kind"]), name(one["table"]), names(one["columns"]), number(int(one["rows"])))
            for one in held.get("parts", ())
        )
        file = f"{name(held['file'])}, {size(int(held['bytes']))}, SHA-256 {name(held['sha256'])}"
        yield Facts((("Saved first, under the lock", printed_plan.saved(held)), ("File", file)))
        if parts:
            yield Table(("Saved", "Table", "Columns", "Rows"), parts)
    if run.kind == "restore" and executed.get("kept"):
        gone = ", dropped since" if run.dropped_old else ""
        yield Facts((("The database of before", f"{name(executed['kept'])}{gone}"),))


# -- scripts -------------------------------------------------------------------------------------------------


def scripts(case: Case) -> list[Block]:
    """Every statement, file by file, with the hash of the file."""
    going = case.run.going
    if not going:
        return [Words("It runs no scripts.")]
    found = [one["script"] for one in going]
    rows = tuple(
        (
            name(one["file"]),
            name(one["sha256"]),
            size(int(one.get("bytes", 0))),
            number(len(one["statements"])),
        )
        for one in found
    )
    told = "The hashes are of the files; below stand the statements as they run, with characters that cannot be seen written out."
    shown = [Code(line(one["file"]), "\n".join(_ended(each["sql"]) for each in one["statements"])) for one in found]
    return [Table(("File", "SHA-256", "Size", "Statements"), rows), Words(told), *shown]


def _ended(sql: str) -> str:
    stripped = sql.strip("\n").rstrip()
    return stripped if stripped.endswith(";") else f"{stripped};"
