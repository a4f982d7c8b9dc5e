"""What a plan prints in the shell: what goes, what comes back, what no statement says. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core import staging
from core.lines import WARNING, Line, line
from core.model import Json, Run
from core.printing import plain, what
from core.quantities import duration as seconds
from core.quantities import plural as many
from core.redact import visible

if TYPE_CHECKING:
    from core.settings import Target


def losses(run: Run) -> str:
    """What will be deleted, in rows."""
    parts = []
    for loss in run.evidence["rehearse"]["losses"]:
        if "rows" not in loss:
            continue
        unit = "values" if loss["kind"] == "column" else "rows"
        young = f" ({loss['since']:,} written since the migration)" if loss.get("since") is not None else ""
        parts.append(f"{plain(loss['name'])} {'about ' if loss['about'] else ''}{loss['rows']:,} {unit}{young}")
    return ", ".join(parts) or "no rows"


def saved(told: Json) -> str:
    """`57,333 rows and 1,204 values`."""
    parts = [many(told[key], unit) for key, unit in (("rows", "row"), ("values", "value")) if told.get(key)]
    return " and ".join(parts) or "no rows"


Row = tuple[str, str]
"""A label, and what it says; an empty label goes on with the one above."""


STRESSED = ("WARNING", "WILL BE LOST", "CASCADE takes")
"""Labels of what an approver must not overlook."""


def aligned(rows: Sequence[Row]) -> list[Line]:
    """The rows in columns."""
    return [
        line("  ", (label, WARNING if label in STRESSED else ""), f"{'':<{16 - len(label)}} {text}")
        for label, text in rows
    ]


def price(run: Run) -> list[Row]:
    """What a way back costs."""
    found = run.evidence["rehearse"]
    if run.kind == "reapply":
        back = found.get("back", {})
        rows = [("puts back", f"{saved(run.evidence['identify']['saved'])}; keeps every write made since")]
        return rows + [
            ("WARNING", f"{many(one['rows'], 'saved row')} of {plain(one['table'])} kept aside: {plain(one['reason'])}")
            for one in back.get("aside", ())
        ]
    names = run.evidence["identify"]
    stops = ", ".join(map(plain, names["services"]["names"])) or "no service"
    lost = [
        ("WILL BE LOST", f"{plain(one['table'].removeprefix('public.'))}: {lost_of(one)}") for one in found["losses"]
    ]
    return [
        *(lost or [("will be lost", "nothing was written since the backup")]),
        ("stops", f"{stops}, for the swap"),
        ("keeps", f"the database of now, as {plain(names['kept'])}"),
    ]


def lost_of(one: Json) -> str:
    """What a restore loses of one table."""
    if one.get("saved"):
        return f"{one['new']:,} rows more than in the backup; they stay in the save of the rollback"
    if one["about"]:
        return "not counted"
    return f"{one['new']:,} rows new or changed, {one['gone']:,} of the backup's changed or deleted"


def restored(run: Run) -> list[Row]:
    """Does the schema from before come back?"""
    found = run.evidence["rehearse"]
    if found["restores"] == "exact":
        note = [("not quite", f"{plain(d['message'])} (cosmetic)") for d in found["differences"]]
        before = "the rollback" if run.kind == "reapply" else "the migration"
        return [("schema", f"as it was before {before}"), *note]
    if found["restores"] == "unknown":
        return [("schema", f"not compared with the one from before: {plain(found['why_unknown'])}")]
    rows = [("", plain(d["message"])) for d in found["differences"] if d["severity"] == "harmful"]
    return [("WARNING", "the script does not restore the schema from before:"), *rows]


def seen(run: Run) -> list[Row]:
    """What no statement says: parts, cascades, rewrites, a broken way forward, who uses the tables now."""
    found = run.evidence["rehearse"]
    rows = [(f"part {n}", plain(one["about"])) for n, one in enumerate(found.get("parts", ()), 1)]
    rows += [("CASCADE takes", f"{plain(one['kind'])} {plain(one['name'])}") for one in found.get("cascaded", [])]
    rows += [("rewrites", f"{plain(table)}, whole, under a lock") for table in found.get("rewritten", [])]
    if found.get("reapplies") is False:
        why = plain(found["why_not_reapplies"])
        rows.append(("WARNING", f"the migration does not apply again afterwards: {why}"))
    for one in found.get("usage", []):
        table = plain(one["table"].removeprefix("public."))
        held = "".join(
            f", held by {plain(h['who'])} ({plain(h['state'])} for {h['seconds']} s)" for h in one["holders"]
        )
        if one["writes"] or one["reads"] > 9 or held:
            rows.append(("in use", f"{table}: {one['reads']} reads, {one['writes']} writes in {one['per']} s{held}"))
    return rows + [("note", plain(note)) for note in found.get("notes", [])]


def doubts(run: Run) -> list[Row]:
    """What there is to say about the scripts."""
    commit = run.evidence["identify"].get("commit")
    read = [("scripts from", f"commit {commit[:12]}")] if commit else []
    return read + [("note", plain(note)) for item in run.going for note in item["warnings"]]


def staged(run: Run) -> list[Row]:
    """When these very scripts last ran on the staging target."""
    found = run.evidence["identify"].get("staging")
    if not found:
        return []
    when = staging.sentence(found, plain, lambda at: at[:16].replace("T", " ") + " UTC")
    rows = [("staging", f"on {plain(found['target'])}: {when}")]
    if found["required"] and (names := staging.lacking(found)):
        few = ", ".join(map(plain, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        rows.append(
            ("WARNING", f"not run there to a verified end: {few}; approving is refused, only break-glass starts it")
        )
    return rows


def head(run: Run) -> list[str]:
    """The plan in a few lines."""
    first = f"{run.id}  {plain(run.target)}: {what(run)}"
    if run.kind == "restore":
        return [first, *aligned(price(run))]
    if run.kind == "reapply":
        return [first, *aligned([*price(run), *restored(run), *seen(run), *doubts(run)])]
    goes = ("will be deleted", f"{losses(run)}; saved first")
    return [first, *aligned([goes, *restored(run), *staged(run), *seen(run), *doubts(run)])]


def plan(run: Run, target: Target) -> list[str]:
    """`rollback plan`: nothing was started."""
    first, *rest = head(run)
    lines = [f"Plan for {first.removeprefix(f'{run.id}  ')}", *rest]
    found = run.evidence["rehearse"]
    locks = ", ".join(plain(lock["table"].removeprefix("public.")) for lock in found["locks"]) or "none"
    lines += [
        f"  locks            {locks}",
        f"  rehearsed        {many(found['statements'], 'statement')} in {seconds(found['seconds'])}",
    ]
    lines += scripts(run)
    who = f"{target.approvals} approval by {', '.join(target.approvers)}" if target.approvals else "no approval"
    return [*lines, "", f"Nothing was started. It would need {who}. Plan {run.digest[:12]}."]


def scripts(run: Run) -> list[str]:
    """The SQL that runs, file by file."""
    lines = []
    for item in run.going:
        script = item["script"]
        lines += ["", f"-- {plain(script['file'])}, sha256 {script['sha256'][:12]}"]
        lines += [f"   | {row}" for one in script["statements"] for row in f"{visible(one['sql'])};".split("\n")]
    return lines


def review(run: Run) -> list[str]:
    """What an approval in the shell is given to."""
    why = f"  reason           {plain(run.reason) or 'none given'}"
    asks = f"  asked by         {plain(run.requester.name)}, {plain(run.requester.id)}"
    bound = f"You approve exactly plan {run.digest[:12]}, revision {run.revision}. If scripts, database or history change, it is void."
    first, *rest = head(run)
    return [first, asks, why, *rest, *scripts(run), "", bound]
