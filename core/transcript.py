"""What one run prints in the shell, as it goes: ledger records in, lines out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.model import STEPS, Event, Json, Run
from core.printing import plain, what
from core.quantities import duration as seconds
from core.quantities import plural as many
from core.quantities import size
from core.redact import visible

if TYPE_CHECKING:
    from core.settings import Target

NAMES = {"backup": "back up", "prepare": "put in"}
"""Steps that are told by another name."""


def numbered(run: Run, step: str) -> str:
    """`3 back up`, in columns."""
    return f"{STEPS[run.kind].index(step) + 1} {NAMES.get(step, step):<14}"


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


def aligned(rows: Sequence[Row]) -> list[str]:
    """The rows in columns."""
    return [f"  {label:<16} {text}" for label, text in rows]


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
    return [("note", plain(note)) for item in run.going for note in item["warnings"]]


def head(run: Run) -> list[str]:
    """The plan in a few lines."""
    first = f"{run.id}  {plain(run.target)}: {what(run)}"
    if run.kind == "restore":
        return [first, *aligned(price(run))]
    if run.kind == "reapply":
        return [first, *aligned([*price(run), *restored(run), *seen(run)])]
    goes = ("will be deleted", f"{losses(run)}; saved first")
    return [first, *aligned([goes, *restored(run), *seen(run), *doubts(run)])]


def plan(run: Run, target: Target) -> list[str]:
    """`rollback plan`: nothing was started."""
    lines = [line.replace(f"{run.id}  ", "Plan for ", 1) for line in head(run)]
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
        lines += [f"   | {line}" for one in script["statements"] for line in f"{visible(one['sql'])};".split("\n")]
    return lines


def review(run: Run) -> list[str]:
    """What an approval in the shell is given to."""
    why = f"  reason           {plain(run.reason) or 'none given'}"
    asks = f"  asked by         {plain(run.requester.name)}, {plain(run.requester.id)}"
    bound = f"You approve exactly plan {run.digest[:12]}, revision {run.revision}. If scripts, database or history change, it is void."
    first, *rest = head(run)
    return [first, asks, why, *rest, *scripts(run), "", bound]


def step_lines(event: Event, run: Run, target: Target) -> list[str]:
    """What one event adds to the transcript in the shell."""
    data, at = event.data, f"{event.at:%H:%M} UTC"
    who = plain(event.actor.name) if event.actor else ""
    match event.kind:
        case "step_done":
            return done(data["step"], data["evidence"], run)
        case "step_failed":
            return [f"  {numbered(run, data['step'])} failed    {plain(data['message'])}"]
        case "opened" if run.needed:
            where = target.channel or "Slack"
            until = data["expires_at"][11:16]
            return [
                *head(run),
                f"  waiting for {run.needed} approval in {where}, until {until} UTC      (Ctrl-C stops watching, not the run)",
            ]
        case "approved" | "denied" | "withdrawn":
            why = data.get("note") or data.get("reason") or ""
            return [f"    {event.kind:<14} {who}   {at}" + (f"   {plain(why)}" if why else "")]
        case "glass_broken":
            return [
                f"    BREAK-GLASS by {who}: starts without a second person in {seconds(data['countdown'])}, anyone can stop it",
                f"                   {plain(data['reason'])}",
            ]
        case "countdown_over":
            return [f"    nobody stopped the break-glass of {who}   {at}"]
        case "unapproved":
            return [
                f"    {'break-glass' if 'broken' in data else 'approval'} of {who} no longer counts: {plain(data.get('why') or 'taken back')}"
            ]
        case "plan_changed":
            return [f"    the plan changed: {plain('; '.join(data['what']))}"]
        case "executing":
            parts = len(run.evidence.get("rehearse", {}).get("parts", ()))
            whole = "services stop" if run.kind == "restore" else "one transaction, all or nothing"
            return [f"  {numbered(run, 'execute')} starts: {f'{parts} parts' if parts else whole}"]
        case "part_done":
            return [
                f"    part {data['part']} of {data['of']} done in {seconds(data['seconds'])}: {plain(data['about'])}"
            ]
        case "continued":
            return [f"    {who} lets the rest follow"]
        case "held_up" if data["by"]:
            who_ = ", ".join(
                f"{plain(one['who'])} ({plain(one['state'])} for {seconds(one['seconds'])})" for one in data["by"][:3]
            )
            return [f"    waits for a lock, held by {who_}"]
        case "released":
            return [f"    {who} released the hold"]
        case "found_committed":
            return ["    interrupted; the database says: committed. Nothing runs twice."]
        case _:
            return ending(event, run)


def done(step: str, evidence: Json, run: Run) -> list[str]:
    """One finished step."""
    how, text = outcome(step, evidence, run)
    lines = [f"  {numbered(run, step)} {how:<9} {text}"]
    return lines + (head(run) if step == "rehearse" and not run.needed and "rehearse" in run.evidence else [])


def outcome(step: str, evidence: Json, run: Run) -> Row:
    """How a step ended, and what it found."""
    took = seconds(evidence["seconds"])
    match step:
        case "identify" if run.kind == "restore":
            return "done", f"the backup is unharmed, {size(evidence['backup']['bytes'])}"
        case "identify" if run.kind == "reapply":
            return "done", f"{saved(evidence['saved'])} saved, unharmed"
        case "identify":
            count = len(evidence["undo"])
            each = "it has a rollback script" if count == 1 else "each has a rollback script"
            return "done", f"{many(count, 'migration')}, {each}"
        case "rehearse" if run.kind == "restore":
            return "done", f"{took}, counted what was written since the backup"
        case "rehearse" if run.kind == "reapply":
            aside = sum(one["rows"] for one in evidence["back"].get("aside", ()))
            ran = many(evidence["statements"], "statement")
            return "done", f"{took}, {ran} on a copy, {many(aside, 'row')} no longer fit"
        case "rehearse":
            return "done", f"{took}, {many(evidence['statements'], 'statement')} on an empty copy"
        case "prepare":
            return "done", f"{took}, {evidence['equal']} of {evidence['tables']} tables equal"
        case "backup":
            return "done", f"{took}, {size(evidence['bytes'])}, sha256 {evidence['sha256'][:12]}"
        case "test restore":
            equal = f"{evidence['equal']} of {evidence['tables']} tables equal"
            text = f"{took}, {equal}, trial run {seconds(evidence['trial_seconds'])}"
            back = evidence.get("way_back", {})
            if back.get("works") is not None:
                text += ", re-apply put everything back" if back["works"] else ", RE-APPLY DID NOT PUT EVERYTHING BACK"
            return "done", text
        case "execute" if run.kind == "restore":
            return "swapped", f"{took}, the database of before is {plain(evidence['kept'])}"
        case "execute" if run.kind == "reapply":
            return "committed", f"{took}, {saved(evidence['back'])} put back"
        case "execute":
            return "committed", f"{took}, {saved(evidence.get('saved', {}))} saved first"
        case _:
            health = evidence["health"]
            asked = f", health {health['ok']} of {health['tries']}" if health else ""
            return "done", f"{took}, schema {evidence['schema']}{asked}"


def ending(event: Event, run: Run) -> list[str]:
    """The last line of a run, and what to do next."""
    data = event.data
    match event.kind:
        case "done":
            took = seconds((event.at - run.created_at).total_seconds())
            lines = [f"{run.id} done in {took}.  Audit #{event.id} {event.digest[:16]}"]
            if run.kind == "rollback":
                whole = run.evidence.get("backup", {}).get("restores", True)
                also = f" | rollback restore {run.id}" if whole else ""
                lines.append(f"Ways back: rollback reapply {run.id}{also}")
            return lines
        case "stopped":
            return [
                f"{run.id} stopped, nothing was changed: {plain(data['message'])} {plain(data.get('hint', ''))} ({data['code']})"
            ]
        case "refused":
            lines = [f"{plain(data['message'])} {plain(data.get('hint', ''))} ({data['code']})"]
            return lines + [f"  {plain(option.replace('/rollback', 'rollback'))}" for option in data.get("options", ())]
        case "expired":
            return [f"{run.id} expired: nobody decided. Nothing was changed. Ask again."]
        case "differs":
            return [
                f"{run.id} is committed, but not verified:",
                *[f"  {plain(d)}" for d in data["differences"]],
                "Decide on the card.",
            ]
        case "unknown":
            lines = [f"{run.id}: {plain(data['message'])} {plain(data['hint'])} ({data['code']})"]
            lines += [f"  {what}  {plain(one)}" for what in ("done", "left") for one in data.get(what, ())]
            return [*lines, f"  rollback resume {run.id}"] if data["code"] == "E-PARTLY" else lines
        case "interrupted":
            return [
                f"{run.id} was interrupted; the database says: not committed. Decide on the card: execute again, or stop."
            ]
        case "kept":
            return [f"{run.id} is kept as it is."]
        case _:
            return []
